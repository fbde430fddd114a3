"""What lies in a zip or tar archive, one member after the other, in bounded memory; nothing is written.

An archive is not trusted: what it says of itself is told as it is said, and guards.py judges it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import IO, BinaryIO, NamedTuple

from retrain.errors import UsageError

FILE, FOLDER = "file", "folder"
# tarfile reads the long names and notes of a member at once: an archive that lies about their size would fill memory.
_MAX_READ_BYTES = 1 << 20
# zipfile reads the list of members at once, and makes 600 bytes of each 46. More only for who allows more files.
_MAX_LISTING_BYTES, _LISTING_BYTES_A_FILE = 32 << 20, 512
_TAR_BLOCK = 512
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, struct.error, NotImplementedError, RuntimeError,
    ValueError, LookupError, OverflowError,
)  # fmt: skip


class Member(NamedTuple):
    """One entry of an archive.

    Args:
        name: as the archive spells it.
        kind: FILE, FOLDER, or in words what else it is.
        size: bytes that it says it has.
        open: opens it for reading.
    """

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes] | None]


def members_of(file: BinaryIO, kind: str, source: str, max_bytes: int, max_files: int = 0) -> Iterator[Member]:
    """List an archive, to its very end.

    Args:
        file: the archive, open at its start; it can be sought in.
        kind: "zip", "tar", "tar.gz" or "tar.bz2".
        source: what it is called in messages.
        max_bytes: no more than this of a tar is decompressed.
        max_files: so many are expected; the list of a zip may be the longer.

    Yields:
        Its entries; each can be opened before the next one is asked for.

    Raises:
        UsageError: it is damaged, or ends too early.
    """
    with telling_damage(source):
        yield from _zip_members(file, max_files) if kind == "zip" else _tar_members(file, kind, max_bytes)


def blocks_of(member: Member, source: str) -> Iterator[bytes]:
    """Read one entry, no further than the size that it says it has.

    Args:
        member: an entry of kind FILE.
        source: what the archive is called in messages.

    Yields:
        Its bytes, at most 1 MiB at a time.

    Raises:
        UsageError: it is damaged, ends too early, or is longer than it says.
    """
    with telling_damage(source):
        file = member.open()
        if file is None:
            raise EOFError(f"{member.name!r} has no contents")
        left = member.size
        with file:
            while block := file.read(_MAX_READ_BYTES):
                left -= len(block)
                if left < 0:
                    break
                yield block
        if left:
            raise EOFError(f"{member.name!r} has other than the {member.size} bytes that are said of it")


@contextmanager
def telling_damage(source: str) -> Iterator[None]:
    """Turn what the readers of archives raise into a sentence.

    Args:
        source: what the archive is called in messages.

    Yields:
        Nothing.

    Raises:
        UsageError: it is damaged or cannot be read.
    """
    try:
        yield
    except (*_DAMAGE, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UsageError(f"cannot read the archive {source}: {reason}; fetch or pack it again") from error


def _zip_members(file: BinaryIO, max_files: int) -> Iterator[Member]:
    size, most = _listing_bytes(file), max(_MAX_LISTING_BYTES, _LISTING_BYTES_A_FILE * max_files)
    if size > most:
        raise zipfile.BadZipFile(f"its list of members has {size} bytes, at most {most} are read")
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            # Trap: info.filename is cut at a NUL; orig_filename is what is written there.
            yield Member(info.orig_filename, _zip_kind(info), info.file_size, partial(archive.open, info))


def _listing_bytes(file: BinaryIO) -> int:
    """How long a zip says that its list of members is; 0 where it does not say, which zipfile refuses."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 66_000))
    tail = file.read()
    found, wide = tail.rfind(b"PK\x05\x06"), -1
    if tail[max(0, found - 20) :].startswith(b"PK\x06\x07"):  # the pointer to the place for 64-bit sizes
        wide = tail.rfind(b"PK\x06\x06", 0, found)
    sizes = [0]
    if 0 <= found <= len(tail) - 22:
        sizes += struct.unpack_from("<L", tail, found + 12)
    if 0 <= wide <= len(tail) - 56:
        # A zip with 64-bit sizes says 0xFFFFFFFF in the short place.
        sizes = [size for size in sizes if size != 0xFFFFFFFF] + list(struct.unpack_from("<Q", tail, wide + 40))
    return max(sizes)


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 0x1:
        return "encrypted"
    if mode == stat.S_IFLNK:
        return "a symbolic link"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or pipe"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        return f"packed by method {info.compress_type}, of which 0, 8 and 12 are read"
    return FOLDER if info.orig_filename.endswith("/") or mode == stat.S_IFDIR else FILE


def _tar_members(file: BinaryIO, kind: str, max_bytes: int) -> Iterator[Member]:
    with _decompressed(file, kind) as raw:
        bounded = _Bounded(raw, max_bytes)
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            for info in tar:
                yield Member(info.name, _tar_kind(info), info.size, partial(tar.extractfile, info))
            _check_end(bounded, tar.offset)


def _check_end(file: _Bounded, offset: int) -> None:
    # Trap: tarfile takes a damaged header, and the end of a file cut between two members, for the end of the archive.
    file.seek(offset)
    length = 0
    while block := file.read(_MAX_READ_BYTES):
        length += len(block)
        if any(block):
            raise tarfile.ReadError(f"a damaged header {offset} bytes behind its start")
    if length < _TAR_BLOCK:
        raise tarfile.ReadError("it ends without the mark of its end")


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return FOLDER
    if info.issparse():
        return "a file with holes"
    if info.isfile():
        return FILE
    if info.issym() or info.islnk():
        return "a symbolic link" if info.issym() else "a hard link"
    return "a device or pipe"


def _decompressed(file: BinaryIO, kind: str) -> AbstractContextManager[IO[bytes]]:
    if kind == "tar.gz":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    return bz2.BZ2File(file) if kind == "tar.bz2" else nullcontext(file)


class _Bounded(io.RawIOBase):
    """A file that is neither longer than it may be nor read in larger pieces than it may be."""

    def __init__(self, raw: IO[bytes], max_bytes: int) -> None:
        self._raw, self._max_bytes = raw, max_bytes

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ_BYTES:
            raise tarfile.ReadError(f"it asks for {size} bytes at once, at most {_MAX_READ_BYTES} are read")
        self._check(self._raw.tell() + size - _MAX_READ_BYTES)
        return self._raw.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check(offset)  # tarfile counts from the start only
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def seekable(self) -> bool:
        return True

    def _check(self, offset: int) -> None:
        if offset > self._max_bytes:
            raise tarfile.ReadError(f"it unpacks to more than {self._max_bytes} bytes")
