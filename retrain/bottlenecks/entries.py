"""Entries of the index, which say what content a file has, and the checksum that each of them carries.

Without one, a flipped bit in a name, a date or a digest could make an entry speak for a file it is not of: two
pictures of one size that were unpacked within one tick of the clock differ in nothing but their names.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import zlib
from collections.abc import Sequence

from retrain.bottlenecks.digests import DIGEST_BYTES
from retrain.console import printable

COLUMNS = "root, path, size, mtime_ns, ctime_ns, read_ns, sha256, checksum"
# The checksum of entries from before they had one; no CRC-32 is below 0.
NONE_YET = -1

# Lengths of root and path, then size, mtime_ns, ctime_ns, read_ns.
_HEAD = struct.Struct("<2Q4q")


def checked_entry(facts: tuple[bytes, bytes, int, int, int, int, bytes]) -> tuple[bytes | int, ...]:
    """Make a row of the index.

    Args:
        facts: root, path, size, mtime_ns, ctime_ns, read_ns, digest.

    Returns:
        The same, and a CRC-32 over all of it.
    """
    root, path, size, mtime_ns, ctime_ns, read_ns, sha = facts
    head = _HEAD.pack(len(root), len(path), size, mtime_ns, ctime_ns, read_ns)
    return *facts, zlib.crc32(b"".join((head, root, path, sha)))


def is_whole_entry(row: Sequence[object]) -> bool:
    """Check a row of the index as SQLite gave it.

    Args:
        row: as of checked_entry; a flipped bit in a row's header makes something of another type of each of them.

    Returns:
        Whether it is what was kept.
    """
    root, path, size, mtime_ns, ctime_ns, read_ns, sha, checksum = row
    if not (isinstance(root, bytes) and isinstance(path, bytes) and isinstance(sha, bytes)):
        return False
    if not all(type(number) is int for number in (size, mtime_ns, ctime_ns, read_ns)) or len(sha) != DIGEST_BYTES:
        return False
    facts = (root, path, size, mtime_ns, ctime_ns, read_ns, sha)
    return checked_entry(facts)[-1] == checksum  # type: ignore[arg-type]  # asked for above


def name_of(value: object) -> str:
    """Name a file or folder of the index as SQLite gave it.

    Args:
        value: bytes; or anything, where a flipped bit in a row's header made that of them.

    Returns:
        A name that is safe to print.
    """
    return printable(os.fsdecode(value)) if isinstance(value, bytes) else f"damaged name {value!r}"


def damaged_entries(db: sqlite3.Connection, most: int) -> list[str]:
    """Compare every entry of an index with its checksum; entries that have none yet are not believed, and no damage.

    Args:
        db: connection of a cache file of format 2.
        most: how many are named.

    Returns:
        One sentence each, safe to print.
    """
    rows = db.execute(f"SELECT {COLUMNS} FROM files WHERE checksum IS NOT ?", (NONE_YET,))  # noqa: S608 - names of ours
    bad = [row[1] for row in rows if not is_whole_entry(row)]
    more = [f"and {len(bad) - most} more damaged entries"] * (len(bad) > most)
    return [*(f"damaged entry of {name} in the index" for name in map(name_of, bad[:most])), *more]
