"""Archives that nobody should unpack, made here: what each is, and a part of the sentence that refuses it."""

from __future__ import annotations

import gzip
import io
import lzma
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from support import encode, noise

PHOTO = encode(noise(24, 24))
GOOD = {f"{label}/{n}.png": encode(noise(24, 24, n + 10 * len(label))) for label in ("cat", "horse") for n in range(6)}
MIB = 1 << 20


def zip_of(files: Mapping[str, bytes], modes: Mapping[str, int] | None = None, method: int = zipfile.ZIP_DEFLATED):
    """Pack a zip; names stand in it as they are spelt."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type, info.create_system = name, method, 3
            info.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return out.getvalue()


def tar_of(files: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w:gz", **options):
    """Pack a tar; a TarInfo is an entry without contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, **options) as archive:
        for name, entry in files.items():
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if isinstance(entry, tarfile.TarInfo) else entry
            info.size = len(content) or info.size
            archive.addfile(info, io.BytesIO(content) if content else None)
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def of_size(size: int) -> bytes:
    """A tar whose one entry says that it is so long."""
    info = tarfile.TarInfo("cat/1.png")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def renamed_by_pax(path: str) -> bytes:
    """A tar whose plain name is overruled by an extended header, which some guards do not look at."""
    info = tarfile.TarInfo("cat/1.png")
    info.pax_headers = {"path": path}
    return tar_of({**GOOD, "x": info}, "w", format=tarfile.PAX_FORMAT)


def with_two_names(inner: str, outer: str) -> bytes:
    """A zip that calls a file by one name where it lies and by another one in the list at its end."""
    assert len(inner) == len(outer)
    data = zip_of({**GOOD, outer: PHOTO}, method=zipfile.ZIP_STORED)
    return data.replace(outer.encode(), inner.encode(), 1)


def overlapping(count: int) -> bytes:
    """A zip bomb of the kind where many entries lie on the same bytes (Fifield, "A better zip bomb", WOOT 2019)."""
    data = zip_of({"cat/0000.bmp": bytes(MIB)})
    start = data.index(b"PK\x01\x02")
    entry, end = data[start : data.index(b"PK\x05\x06")], bytearray(data[data.index(b"PK\x05\x06") :])
    listing = b"".join(entry.replace(b"cat/0000", b"cat/%04d" % number) for number in range(count))
    struct.pack_into("<HHL", end, 8, count, count, len(listing))
    return data[:start] + listing + bytes(end)


def smaller_than_it_is() -> bytes:
    """A zip whose list says that a file of 8 MiB has one byte."""
    data = bytearray(zip_of({**GOOD, "cat/x.bmp": bytes(8 * MIB)}))
    struct.pack_into("<L", data, data.rindex(b"PK\x01\x02") + 24, 1)
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zip_of({"cat/1.png": PHOTO}))
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", data, data.index(start) + offset, 1)
    return bytes(data)


def many(count: int) -> dict[str, bytes]:
    return {f"cat/{number}.png": b"" for number in range(count)}


def in_two_forms(*pair: str) -> dict[str, bytes]:
    return {**GOOD, **dict.fromkeys(pair, PHOTO)}


_NOISE = random.Random(0).randbytes(MIB)
# What it is -> how its bytes are made, and words of the answer.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "zip: above the folder": (lambda: zip_of({**GOOD, "../evil.png": PHOTO}), "leads out of the folder"),
    "zip: above, in the middle": (lambda: zip_of({**GOOD, "cat/../../evil.png": PHOTO}), "leads out of the folder"),
    "zip: above, for Windows": (lambda: zip_of({**GOOD, "..\\evil.png": PHOTO}), "which Windows cannot have"),
    "zip: absolute": (lambda: zip_of({**GOOD, "/srv/evil.png": PHOTO}), "has an absolute name"),
    "zip: a drive": (lambda: zip_of({**GOOD, "C:/evil.png": PHOTO}), "has an absolute name"),
    "zip: a server": (lambda: zip_of({**GOOD, "//server/share/evil.png": PHOTO}), "has an absolute name"),
    "zip: a link": (
        lambda: zip_of({**GOOD, "cat/x.png": b"/etc/passwd"}, {"cat/x.png": stat.S_IFLNK | 0o777}),
        "is a symbolic link",
    ),
    "zip: a device": (lambda: zip_of({**GOOD, "cat/x.png": b""}, {"cat/x.png": stat.S_IFBLK | 0o644}), "device"),
    "zip: a name with NUL": (lambda: zip_of({**GOOD, "cat/x.pngX../y": PHOTO}).replace(b"ngX..", b"ng\0.."), "Windows"),
    "zip: two names of one file": (lambda: with_two_names("cat/x.png", "../ax.png"), "leads out of the folder"),
    "zip: another name inside": (lambda: with_two_names("../ax.png", "cat/x.png"), "cannot read the archive"),
    "zip: overlapping bomb": (lambda: overlapping(512), "got 512 MiB; raise --archive_max_mb"),
    "zip: bomb of nulls": (lambda: zip_of({**GOOD, "cat/x.bmp": bytes(40 * MIB)}), "to unpack to at most 100 times"),
    "zip: longer than it says": (smaller_than_it_is, "cannot read the archive"),
    "zip: over 256 MiB": (
        lambda: zip_of({f"cat/{n}.bmp": _NOISE for n in range(257)}, method=zipfile.ZIP_STORED),
        "to unpack to at most 256 MiB, got 257 MiB",
    ),
    "zip: over 10,000 files": (lambda: zip_of(many(10_001)), "to hold at most 10,000 files, got 10,001"),
    "zip: a zip in it": (lambda: zip_of({**GOOD, "cat/x.zip": zip_of(GOOD)}), "is an archive itself"),
    "zip: encrypted": (encrypted, "is encrypted"),
    "zip: a stream beside a file": (lambda: zip_of({**GOOD, "cat/1.png:x": PHOTO}), "which Windows cannot have"),
    "zip: a device of Windows": (lambda: zip_of({**GOOD, "cat/AUX.png": PHOTO}), "means something else on Windows"),
    "zip: case twins": (lambda: zip_of(in_two_forms("cat/a.png", "cat/A.png")), "differ only by case"),
    "zip: Unicode twins": (lambda: zip_of(in_two_forms("cat/\u00e9.png", "cat/e\u0301.png")), "differ only by case"),
    "zip: escapes for a terminal": (lambda: zip_of({**GOOD, "cat/\x1b]0;x\x07.png": PHOTO}), "which Windows cannot have"),
    "zip: cut": (lambda: zip_of(GOOD)[:-60], "cannot read the archive"),
    "zip: by a rare method": (lambda: zip_of(GOOD, method=zipfile.ZIP_LZMA), "is packed by method 14"),
    "tar: above the folder": (lambda: tar_of({**GOOD, "../evil.png": PHOTO}), "leads out of the folder"),
    "tar: absolute": (lambda: tar_of({**GOOD, "/srv/evil.png": PHOTO}), "has an absolute name"),
    "tar: above, by an extended header": (lambda: renamed_by_pax("../../evil.png"), "leads out of the folder"),
    "tar: absolute, by an extended header": (lambda: renamed_by_pax("/srv/evil.png"), "has an absolute name"),
    "tar: a symbolic link": (
        lambda: tar_of({**GOOD, "x": special("cat/x.png", tarfile.SYMTYPE, "/etc/passwd")}), "is a symbolic link"
    ),
    "tar: through a link": (
        lambda: tar_of({"x": special("cat", tarfile.SYMTYPE, "/srv"), "cat/evil.png": PHOTO}), "is a symbolic link"
    ),
    "tar: a hard link": (
        lambda: tar_of({**GOOD, "x": special("cat/x.png", tarfile.LNKTYPE, "../../../secret")}), "is a hard link"
    ),
    "tar: a pipe": (lambda: tar_of({**GOOD, "x": special("cat/x.png", tarfile.FIFOTYPE)}), "is a device or pipe"),
    "tar: a device": (lambda: tar_of({**GOOD, "x": special("cat/x.png", tarfile.CHRTYPE)}), "is a device or pipe"),
    "tar: holes": (
        lambda: tar_of({**GOOD, "x": special("cat/x.png", tarfile.GNUTYPE_SPARSE)}, "w", format=tarfile.GNU_FORMAT),
        "is a file with holes",
    ),
    "tar: a petabyte, it says": (lambda: gzip.compress(of_size(1 << 50)), "got at least 1,073,741,824 MiB"),
    "tar: less than nothing": (lambda: of_size(-1), "cannot read the archive"),
    "tar: bomb of nulls": (lambda: tar_of({**GOOD, "cat/x.bmp": bytes(40 * MIB)}), "to unpack to at most 100 times"),
    "tar: bomb behind its end": (
        lambda: tar_of(GOOD) + gzip.compress(bytes(MIB)) * 300, "it unpacks to more than"
    ),
    "tar: a tar in it": (lambda: tar_of({**GOOD, "cat/x.tar.gz": PHOTO}), "is an archive itself"),
    "tar: cut": (lambda: tar_of(GOOD)[:-200], "cannot read the archive"),
    "tar: xz": (lambda: lzma.compress(tar_of(GOOD, "w")), "to be a folder or an archive (.zip, .tar"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c\0\4" + bytes(64), "to be a folder or an archive (.zip, .tar"),
    "rar": (lambda: b"Rar!\x1a\x07\x01\0" + bytes(64), "to be a folder or an archive (.zip, .tar"),
    "a photograph with a zip behind it": (lambda: PHOTO + zip_of(GOOD), "to be a folder or an archive (.zip, .tar"),
}  # fmt: skip
# What it is -> its bytes; each holds GOOD.
WELCOME: dict[str, Callable[[], bytes]] = {
    "zip": lambda: zip_of(GOOD),
    "zip in a folder of its own": lambda: zip_of({f"pets/{name}": content for name, content in GOOD.items()}),
    "zip whose files may all be run": lambda: zip_of(GOOD, dict.fromkeys(GOOD, stat.S_IFREG | 0o6777)),
    "tar": lambda: tar_of(GOOD, "w"),
    "tar.gz": lambda: tar_of(GOOD),
    "tar.bz2": lambda: tar_of(GOOD, "w:bz2"),
}


def make(place: Path, name: str) -> Path:
    """Write one of them.

    Args:
        place: folder that it is to lie in.
        name: of HOSTILE or WELCOME.

    Returns:
        Its path; the name says nothing of what it is.
    """
    path = place / "photographs.bin"
    path.write_bytes(HOSTILE[name][0]() if name in HOSTILE else WELCOME[name]())
    return path
