"""JPEG files for the mutation tests: most by Pillow, what Pillow cannot write by a small encoder of flat blocks."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator, Sequence

from PIL import Image, ImageCms

EXIF_IFD, TAKEN, ORIENTATION, MAKE, MODEL = 0x8769, 0x9003, 0x0112, 0x010F, 0x0110
# Columns and rows of one component's values in a unit, of each component.
SAMPLINGS = (
    ((1, 1), (1, 1), (1, 1)), ((2, 1), (1, 1), (1, 1)), ((2, 2), (1, 1), (1, 1)), ((1, 2), (1, 1), (1, 1)),
    ((4, 1), (1, 1), (1, 1)), ((4, 2), (1, 1), (1, 1)), ((1, 4), (1, 1), (1, 1)), ((2, 4), (1, 1), (1, 1)),
    ((3, 1), (1, 1), (1, 1)), ((1, 3), (1, 1), (1, 1)), ((2, 2), (2, 1), (1, 2)), ((1, 1), (2, 2), (2, 2)),
    ((2, 2), (1, 2), (1, 2)), ((3, 2), (1, 1), (1, 1)), ((2, 1), (1, 1), (2, 1)), ((4, 4), (1, 1), (1, 1)),
    ((2, 2),), ((4, 1),), ((1, 1), (1, 1)), ((2, 2), (1, 1), (1, 1), (2, 2)), ((1, 1), (1, 1), (1, 1), (1, 1)),
)  # fmt: skip
_CATEGORIES = 12


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def tables() -> bytes:
    """One quantization table; codes of 4 bits for differences; one bit, 0, for "nothing more in this block"."""
    quantization = segment(0xDB, b"\0" + bytes([16] * 64))
    differences = b"\0" + bytes([0, 0, 0, _CATEGORIES] + [0] * 12) + bytes(range(_CATEGORIES))
    rest = b"\x10" + bytes([1] + [0] * 15) + b"\0"
    return quantization + segment(0xC4, differences) + segment(0xC4, rest)


def frame(marker: int, width: int, height: int, sampling: Sequence[tuple[int, int]], bits: int = 8) -> bytes:
    parts = b"".join(bytes([number, across << 4 | down, 0]) for number, (across, down) in enumerate(sampling, 1))
    return segment(marker, struct.pack(">BHHB", bits, height, width, len(sampling)) + parts)


def scan(numbers: Sequence[int], ends: tuple[int, int, int] = (0, 63, 0)) -> bytes:
    """The header of a scan; the numbers are those of its components, and first, last coefficient and bits."""
    parts = b"".join(bytes([number, 0]) for number in numbers)
    return segment(0xDA, bytes([len(numbers)]) + parts + bytes(ends))


def flat_blocks(count: int, rng: random.Random | None, *, with_rest: bool = True) -> bytes:
    """Entropy-coded blocks of one colour each; without a generator all of them are as the one before."""
    end = "0" if with_rest else ""
    if rng is None:
        bits = ("0000" + end) * count
    else:
        bits = "".join(format(size := rng.randrange(4), "04b") + "1" * size + end for _ in range(count))
    return stuffed(bits)


def stuffed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0") if bits else b""


def _units(width: int, height: int, sampling: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """How many units of interleaved blocks there are, and how many blocks are in one."""
    across, down = (max(one[axis] for one in sampling) for axis in (0, 1))
    alone = len(sampling) == 1
    across, down = (1, 1) if alone else (across, down)
    blocks = 1 if alone else sum(a * d for a, d in sampling)
    return -(-width // (8 * across)) * -(-height // (8 * down)), blocks


def drawn(
    sampling: Sequence[tuple[int, int]], width: int = 33, height: int = 25, *, marker: int = 0xC0, restart: int = 0,
    extra: bytes = b"", seed: int = 0,
) -> bytes:  # fmt: skip
    """A JPEG of flat blocks in random colours, all components in one scan."""
    rng = random.Random(seed)
    units, blocks = _units(width, height, sampling)
    if marker in (0xC2, 0xCA):
        body = scan(range(1, len(sampling) + 1), (0, 0, 0)) + flat_blocks(units * blocks, rng, with_rest=False)
    else:
        parts = [min(restart, units - at) for at in range(0, units, restart)] if restart else [units]
        coded = [flat_blocks(count * blocks, rng) for count in parts]
        body = scan(range(1, len(sampling) + 1)) + coded[0]
        body += b"".join(bytes([0xFF, 0xD0 + number % 8]) + part for number, part in enumerate(coded[1:]))
    interval = segment(0xDD, struct.pack(">H", restart)) if restart else b""
    return b"\xff\xd8" + extra + tables() + frame(marker, width, height, sampling) + interval + body + b"\xff\xd9"


def one_by_one(width: int, height: int, *, times: int = 1, marker: int = 0xC0, coded: bytes | None = None) -> bytes:
    """A JPEG whose components come in scans of their own, each so many times."""
    if coded is None:
        coded = flat_blocks(-(-width // 8) * -(-height // 8), None, with_rest=marker == 0xC0)
    ends = (0, 63, 0) if marker == 0xC0 else (0, 0, 0)
    scans = b"".join(scan([number], ends) + coded for _ in range(times) for number in (1, 2, 3))
    return b"\xff\xd8" + tables() + frame(marker, width, height, SAMPLINGS[0]) + scans + b"\xff\xd9"


def exif_of(orientation: int, day: str = "2024:01:31 12:00:00") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE], exif[MODEL] = orientation, "Maker", "Camera 1"
    exif.get_ifd(EXIF_IFD)[TAKEN] = day
    return exif.tobytes()


def saved(picture: Image.Image, image_format: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, image_format, **options)
    return file.getvalue()


def behind_start(data: bytes, *parts: bytes) -> bytes:
    """Put segments behind the first two bytes."""
    return data[:2] + b"".join(parts) + data[2:]


def seeds(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each, for a small RGB picture."""
    plain = saved(picture)
    yield from _written(picture)
    for number, sampling in enumerate(SAMPLINGS):
        yield (
            f"jpeg sampling {sampling}".replace("), (", " ").replace("(", "").replace(")", ""),
            drawn(sampling, seed=number),
        )
    for marker in (0xC1, 0xC2, 0xC3, 0xC9, 0xCA):
        yield f"jpeg frame {marker:x}", drawn(SAMPLINGS[2], marker=marker)
    for restart in (1, 2, 5):
        yield f"jpeg restart {restart}", drawn(SAMPLINGS[2], 64, 48, restart=restart)
    yield "jpeg scans", one_by_one(33, 25)
    yield "jpeg scans repeated", one_by_one(33, 25, times=3)
    yield "jpeg progressive scans", one_by_one(33, 25, marker=0xC2)
    yield from _marked(plain)
    for share in (2, 10, 30, 60, 90, 99):
        yield f"jpeg cut at {share}", plain[: len(plain) * share // 100]


def _written(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    for quality in (1, 30, 75, 100):
        for progressive in (False, True):
            name = f"jpeg quality {quality}{' progressive' * progressive}"
            yield name, saved(picture, quality=quality, progressive=progressive)
    for subsampling in (0, 1, 2):
        yield f"jpeg 4:{subsampling} optimised", saved(picture, subsampling=subsampling, optimize=True)
        yield f"jpeg 4:{subsampling} restart", saved(picture, subsampling=subsampling, restart_marker_blocks=3)
    for mode in ("L", "CMYK", "YCbCr"):
        for progressive in (False, True):
            yield f"jpeg {mode}{' progressive' * progressive}", saved(picture.convert(mode), progressive=progressive)
    cmyk = saved(picture.convert("CMYK"))
    at = cmyk.index(b"Adobe") + 11
    yield "jpeg YCCK", cmyk[:at] + b"\2" + cmyk[at + 1 :]
    yield "jpeg CMYK without Adobe", cmyk.replace(b"Adobe", b"adobe")
    yield "jpeg RGB", saved(picture, keep_rgb=True)
    for orientation in (*range(1, 9), 0, 9, 65535):
        yield f"jpeg orientation {orientation}", saved(picture, exif=exif_of(orientation))
    yield "jpeg orientation 6 progressive", saved(picture, exif=exif_of(6), progressive=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield "jpeg profile", saved(picture, icc_profile=profile)
    yield "jpeg profile cut", saved(picture, icc_profile=profile[:40])
    yield "jpeg profile junk", saved(picture, icc_profile=b"\xff" * 70_000)
    yield "jpeg three pictures", saved(picture, "MPO", save_all=True, append_images=[picture.rotate(90)] * 2)
    yield "jpeg one wide", saved(picture.resize((1, 40)))
    yield "jpeg one pixel", saved(picture.resize((1, 1)))
    yield "jpeg tables alone", saved(picture, streamtype=1)


def _marked(plain: bytes) -> Iterator[tuple[str, bytes]]:
    exif = exif_of(3)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    photoshop = b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\x10" + bytes(16)
    marked = {
        "xmp": [segment(0xE1, xmp)],
        "photoshop": [segment(0xED, photoshop)],
        "exif twice": [segment(0xE1, exif), segment(0xE1, b"Exif\0\0" + bytes(100))],
        "exif cut": [segment(0xE1, exif[:20])],
        "exif junk": [segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 60)],
        "exif loop": [segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0")],
        "thumbnail": [segment(0xE0, b"JFXX\0\x10" + plain[:200])],
        "picture list": [segment(0xE2, b"MPF\0II*\0\x08\0\0\0\1\0\1\xb0\4\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0")],
        "profile parts": [segment(0xE2, b"ICC_PROFILE\0\2\2bb"), segment(0xE2, b"ICC_PROFILE\0\1\2aa")],
        "flashpix": [segment(0xE2, b"FPXR\0" + bytes(20))],
        "adobe": [segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")],
        "adobe cut": [segment(0xEE, b"Adobe")],
        "comment": [segment(0xFE, b"\xff\xd8\xff\xd9" * 9)],
        "empty segments": [segment(0xE5, b"")] * 5,
        "filled": [b"\xff" * 40],
        "junk": [bytes(40)],
        "16-bit table": [segment(0xDB, b"\x11" + bytes([0, 16] * 64))],
        "lines": [segment(0xDC, b"\0\x10")],
        "arithmetic": [segment(0xCC, b"\0\x10")],
    }
    for name, parts in marked.items():
        yield f"jpeg {name}", behind_start(plain, *parts)
    yield "jpeg tail", plain + b"PK\3\4" + bytes(60)
    yield "jpeg 12 bits", b"\xff\xd8" + tables() + frame(0xC1, 33, 25, SAMPLINGS[0], bits=12) + plain[-300:]
    yield "jpeg no height", b"\xff\xd8" + tables() + frame(0xC0, 33, 0, SAMPLINGS[0]) + plain[-300:]
