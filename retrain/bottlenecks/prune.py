"""Take out of a cache file what nothing refers to any more, and give the room back."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from retrain import fsio
from retrain.bottlenecks.entries import name_of
from retrain.bottlenecks.maintain import PICTURES, has_table, read_meta, size_on_disk
from retrain.bottlenecks.opening import BESIDE, alone, page_size, reading

# In the names of files that were set aside because SQLite could not read them.
DAMAGED = ".damaged-"
# Left in place: what a photograph, or a view of one, still needs.
_GOES = "NOT IN (SELECT key FROM kept)"


@dataclass(frozen=True)
class Pruned:
    """What was, or would be, taken out of a cache file.

    Args:
        entries: index entries of files that are gone.
        vectors: of photographs, unverified ones included.
        views: of distorted views.
        pictures: small ones of photographs, see album.py.
        freed: bytes; an estimate in a dry run.
        kept_folders: image folders that are not there, such as those of a disk that is not plugged in.
    """

    entries: int
    vectors: int
    views: int
    pictures: int
    freed: int
    kept_folders: tuple[str, ...]


def prune(path: Path, *, dry_run: bool) -> Pruned:
    """Take out of a cache file what nothing refers to any more, and give the room back.

    Args:
        path: the file.
        dry_run: only count.

    Returns:
        What went.

    Raises:
        CacheError: another process has it open.
    """
    before = size_on_disk(path)
    with (reading if dry_run else alone)(path) as db:
        meta = read_meta(db, path)
        kept = _mark(db)
        counts = _marked(db)
        if dry_run:
            vectors = (counts[1] + counts[2]) * (4 * int(meta["width"]) + 110)
            freed = counts[0] * 200 + vectors + _of_pictures(db, "coalesce(sum(length(picture) + 110), 0)")
            return Pruned(*counts, freed, kept)
        _sweep(db, int(meta["width"]))
    return Pruned(*counts, max(0, before - size_on_disk(path)), kept)


def _mark(db: sqlite3.Connection) -> tuple[str, ...]:
    """Fill temporary tables with what goes; returns the image folders that are not there."""
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("CREATE TEMP TABLE gone (root BLOB, path BLOB, PRIMARY KEY (root, path)) WITHOUT ROWID")
    missing = []
    for (root,) in db.execute("SELECT DISTINCT root FROM files").fetchall():
        if not _has_entries(root):
            missing.append(name_of(root))
            continue
        names = db.execute("SELECT path FROM files WHERE root = ?", (root,))
        gone = [(root, name) for (name,) in names if not _is_there(root, name)]
        db.executemany("INSERT INTO gone VALUES (?, ?)", gone)
    db.execute("CREATE TEMP TABLE kept (key BLOB PRIMARY KEY) WITHOUT ROWID")
    db.execute(
        "INSERT OR IGNORE INTO kept SELECT sha256 FROM files AS f "
        "WHERE NOT EXISTS (SELECT 1 FROM gone AS g WHERE g.root = f.root AND g.path = f.path)"
    )
    if has_table(db, "views"):
        db.execute("INSERT OR IGNORE INTO kept SELECT key FROM views WHERE sha256 IN (SELECT key FROM kept)")
    return tuple(missing)


def _is_there(root: bytes, path: object) -> bool:
    if not isinstance(path, bytes):
        return True  # a damaged entry says nothing of what is gone
    return os.path.exists(os.path.join(root, *path.split(b"/")))  # noqa: PTH110 - asked 100,000 times


def _has_entries(folder: object) -> bool:
    # Trap: os.scandir(None) lists the working directory, and os.scandir(5) whatever is open as 5.
    if not isinstance(folder, bytes):
        return False
    # An empty mount point is a disk that is not there: what was learnt of its photographs must not go with it.
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _marked(db: sqlite3.Connection) -> tuple[int, int, int, int]:
    """Count entries, vectors, views and pictures that go."""
    entries = db.execute("SELECT count(*) FROM gone").fetchone()[0]
    vectors = db.execute(f"SELECT count(*) FROM vectors WHERE sha256 {_GOES}").fetchone()[0]  # noqa: S608
    views = 0
    if has_table(db, "views"):
        both = f"SELECT count(*) FROM views WHERE key {_GOES} AND key IN (SELECT sha256 FROM vectors)"  # noqa: S608
        views = db.execute(both).fetchone()[0]
    if has_table(db, "unverified"):
        vectors += db.execute(f"SELECT count(*) FROM unverified WHERE sha256 {_GOES}").fetchone()[0]  # noqa: S608
    return entries, vectors - views, views, _of_pictures(db, "count(*)")


def _of_pictures(db: sqlite3.Connection, what: str) -> int:
    if not has_table(db, PICTURES):
        return 0
    number: int = db.execute(f"SELECT {what} FROM {PICTURES} WHERE sha256 {_GOES}").fetchone()[0]  # noqa: S608
    return number


def _sweep(db: sqlite3.Connection, width: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM files WHERE (root, path) IN (SELECT root, path FROM gone)")
    # looks_1 is alike/kept.py's: how photographs look that were compared with others.
    tables = {"vectors": "sha256", "unverified": "sha256", "views": "key", "looks_1": "sha256", PICTURES: "sha256"}
    for table, key in tables.items():
        if has_table(db, table):
            db.execute(f"DELETE FROM {table} WHERE {key} {_GOES}")  # noqa: S608 - names of ours
    db.execute("COMMIT")
    # Only in this mode can the page size change, which gives back half of a file of an earlier version.
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute(f"PRAGMA page_size = {page_size(width)}")
    db.execute("VACUUM")
    db.execute("PRAGMA journal_mode = WAL")


def delete_cache(path: Path) -> int:
    """Delete a whole cache file that no process has open.

    Args:
        path: the file, or one that was set aside as damaged.

    Returns:
        How many bytes were freed.

    Raises:
        CacheError: another process has it open.
    """
    size = size_on_disk(path)
    if DAMAGED not in path.name:
        with alone(path):
            pass
    for file in (path, *(path.with_name(path.name + suffix) for suffix in BESIDE)):
        fsio.remove(file)
    return size
