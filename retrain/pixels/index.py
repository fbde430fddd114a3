"""Which row of a file of decoded photographs holds which content: an entry of 40 bytes a row, in their order.

An entry is the SHA-256 of the photograph's bytes, a CRC-32 over that and the pixels, and a CRC-32 over the row's
number and both. So an entry cannot be taken for another row's, and a row not for another photograph's.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from retrain.images import PREPROCESSING_VERSION, InputSpec, Pixels

# Part of every file's name: raise it when rows or entries are laid out otherwise.
FORMAT_VERSION = 1
# Below the folder of the bottlenecks.
FOLDER = "pixels"
ROWS_SUFFIX, INDEX_SUFFIX = ".rows", ".index"
_ENTRY = struct.Struct("<32sII")
ENTRY_BYTES = _ENTRY.size
_NAME = re.compile(r"pixels-(\d+)x(\d+)-[0-9a-f]{12}\.rows")


class Entry(NamedTuple):
    """What stands in one row.

    Args:
        row: its number.
        sha256: digest of the photograph's bytes.
        checksum: of digest and pixels.
    """

    row: int
    sha256: bytes
    checksum: int


class KeptPixels(NamedTuple):
    """A file of decoded photographs, as it lies on the disk.

    Args:
        path: of its rows.
        index_path: of its index.
        height: pixels.
        width: pixels.
        rows: photographs in it.
        size: bytes of both files.
    """

    path: Path
    index_path: Path
    height: int
    width: int
    rows: int
    size: int


def rows_path(folder: str | Path, spec: InputSpec) -> Path:
    """Name the file of photographs decoded in one way.

    Args:
        folder: of all such files.
        spec: size and stretch; its scaling does not matter here.

    Returns:
        The path; the index has INDEX_SUFFIX in place of ROWS_SUFFIX.
    """
    sky = "" if spec.sky is None else spec.sky.fingerprint
    facts = [FORMAT_VERSION, PREPROCESSING_VERSION, spec.height, spec.width, sky]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return Path(folder) / f"pixels-{spec.height}x{spec.width}-{key[:12]}{ROWS_SUFFIX}"


def kept_pixels(folder: str | Path) -> list[KeptPixels]:
    """List the files of decoded photographs, for those who count or clear them.

    Args:
        folder: of such files; it need not exist.

    Returns:
        Sorted by name. A file may be removed, with its index and lock, while no training process is at work.
    """
    found = []
    for path in sorted(Path(folder).glob(f"*{ROWS_SUFFIX}")):
        if (named := _NAME.fullmatch(path.name)) is None:
            continue
        index = path.with_suffix(INDEX_SUFFIX)
        entries = index.stat().st_size if index.exists() else 0
        size = path.stat().st_size + entries
        found.append(KeptPixels(path, index, int(named[1]), int(named[2]), entries // ENTRY_BYTES, size))
    return found


def checksum(sha256: bytes, pixels: Pixels) -> int:
    """Take the checksum of a row.

    Args:
        sha256: digest of the photograph's bytes.
        pixels: uint8, contiguous.

    Returns:
        A CRC-32.
    """
    return zlib.crc32(pixels.data, zlib.crc32(sha256))


def pack(entry: Entry) -> bytes:
    """Write an entry.

    Args:
        entry: what stands in a row.

    Returns:
        ENTRY_BYTES bytes.
    """
    return _ENTRY.pack(entry.sha256, entry.checksum, _own_checksum(entry))


def unpack(data: bytes, first: int) -> Iterator[Entry]:
    """Read entries.

    Args:
        data: whole entries.
        first: row of the first of them.

    Yields:
        Those that are whole; a damaged one's row is not used again.
    """
    for row, (sha256, pixels, own) in enumerate(_ENTRY.iter_unpack(data), first):
        entry = Entry(row, sha256, pixels)
        if own == _own_checksum(entry):
            yield entry


def _own_checksum(entry: Entry) -> int:
    return zlib.crc32(struct.pack("<Q32sI", *entry))
