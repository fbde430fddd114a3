"""Look into cache files without their backbones: what is in them, and whether it is whole; prune.py takes out."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from retrain.bottlenecks.entries import COLUMNS, damaged_entries, is_whole_entry, name_of
from retrain.bottlenecks.opening import BESIDE, reading
from retrain.bottlenecks.store import KNOWN_FORMATS, RACY_NS, BottleneckStore, is_whole, root_key
from retrain.console import printable
from retrain.errors import CacheError, UsageError, did_you_mean

# At most so many damages of one kind are told one by one.
_PROBLEMS = 100

# Stands for an architecture in the name of the file in which the doctor keeps what it found, see doctor/kept.py.
DOCTOR = "doctor"
# The same of small pictures of the photographs, see album.py; and the table that they are in.
ALBUM, PICTURES = "album", "pictures"
_VECTORS = ("vectors", "unverified")


@dataclass(frozen=True)
class CacheStats:
    """What is in a cache file.

    Args:
        path: the file.
        architecture: whose vectors they are.
        fingerprint: of the backbone, 64 hexadecimal digits.
        width: length of a vector.
        source: where imported vectors come from; empty in a cache of our own.
        vectors: of photographs.
        views: of distorted views.
        unverified: imported ones that were not computed again yet.
        pictures: small ones of photographs.
        folders: image folder -> files in the index.
        size: bytes on the disk, with what SQLite keeps beside the file.
    """

    path: Path
    architecture: str
    fingerprint: str
    width: int
    source: str
    vectors: int
    views: int
    unverified: int
    pictures: int
    folders: dict[str, int]
    size: int


@dataclass(frozen=True)
class Check:
    """What a check of a cache file found.

    Args:
        rows: vectors, or small pictures, whose checksum was compared.
        files: files whose contents were read and compared.
        damage: one sentence each; empty when the cache is sound.
        outdated: files that changed since they were read, as a run would notice by itself.
    """

    rows: int
    files: int
    damage: tuple[str, ...]
    outdated: int


def find_caches(bottleneck_dir: str, names: Sequence[str] = ()) -> list[Path]:
    """Find cache files.

    Args:
        bottleneck_dir: folder of the caches.
        names: which, by file name, with or without ``.sqlite``; none means all.

    Returns:
        Their paths, in the order of their names.

    Raises:
        UsageError: a name is not there.
    """
    here = {path.stem: path for path in sorted(Path(bottleneck_dir).glob("*.sqlite"))}
    wanted = [name.removesuffix(".sqlite") for name in names]
    problems = [
        f"expected a cache in {bottleneck_dir}, got {name!r}{did_you_mean(name, list(here))}; "
        "see python -m retrain cache stats"
        for name in wanted
        if name not in here
    ]
    if problems:
        raise UsageError(problems)
    return [here[name] for name in wanted or here]


def read_meta(db: sqlite3.Connection, path: Path) -> dict[str, str]:
    """Read what a cache says of itself.

    Args:
        db: its connection.
        path: the file.

    Returns:
        format, fingerprint, width and perhaps more.

    Raises:
        CacheError: it is no cache, or one of another version.
    """
    if not has_table(db, "meta"):
        raise CacheError(f"expected {path} to be a bottleneck cache, got another SQLite file; move it away")
    meta = dict(db.execute("SELECT key, value FROM meta"))
    if meta.get("format") not in KNOWN_FORMATS:
        raise CacheError(
            f"expected {path} to be a cache of format {' or '.join(KNOWN_FORMATS)}, got {meta.get('format')!r}; "
            "use the version of this program that wrote it, or move it away"
        )
    # Trap: a flipped bit in a row's header makes bytes or a number of a text.
    if not (isinstance(meta.get("fingerprint"), str) and str(meta.get("width")).isdecimal()):
        raise CacheError(f"expected {path} to say its fingerprint and width, got {meta}; it is damaged: move it away")
    return meta


def stats_of(path: Path) -> CacheStats:
    """Count what is in a cache file.

    Args:
        path: the file.

    Returns:
        The counts.

    Raises:
        CacheError: it cannot be read.
    """
    size = size_on_disk(path)  # before SQLite makes its own files beside it
    with reading(path) as db:
        meta = read_meta(db, path)
        folders = dict(db.execute("SELECT root, count(*) FROM files GROUP BY root"))
        total = _count(db, "vectors")
        views = (
            db.execute("SELECT count(*) FROM views WHERE key IN (SELECT sha256 FROM vectors)").fetchone()[0]
            if has_table(db, "views")
            else 0
        )
        return CacheStats(
            path,
            path.stem.rpartition("-")[0],
            meta["fingerprint"],
            int(meta["width"]),
            meta.get("source", ""),
            total - views,
            views,
            _count(db, "unverified"),
            _count(db, PICTURES),
            {os.fsdecode(root) if isinstance(root, bytes) else name_of(root): count for root, count in folders.items()},
            size,
        )


def size_on_disk(path: Path) -> int:
    """Add up a cache file and what SQLite keeps beside it.

    Args:
        path: the file.

    Returns:
        Bytes.
    """
    files = [path, *(path.with_name(path.name + suffix) for suffix in BESIDE)]
    return sum(file.stat().st_size for file in files if file.exists())


def check_cache(path: Path, image_dir: str = "") -> Check:
    """Compare everything in a cache file with its checksums, and perhaps with the files it was made from.

    Args:
        path: the file.
        image_dir: read and hash the files of this folder that are in the index; empty: none.

    Returns:
        What was found.

    Raises:
        CacheError: it cannot be opened at all.
    """
    with reading(path) as db:
        meta = read_meta(db, path)
        damage = [f"SQLite: {text}" for (text,) in db.execute(f"PRAGMA integrity_check({_PROBLEMS})") if text != "ok"]
        rows = 0
        size = 4 * int(meta["width"])
        for table, column, each in (*((one, "vector", size) for one in _VECTORS), (PICTURES, "picture", None)):
            if has_table(db, table):
                bad = damaged_rows(db, table, each, column)
                damage += [f"damaged {column} of {name}" for name in names_of(db, bad[:_PROBLEMS])]
                damage += [f"and {len(bad) - _PROBLEMS} more damaged {column}s"] * (len(bad) > _PROBLEMS)
                rows += _count(db, table)
        damage += damaged_entries(db, _PROBLEMS) if meta["format"] != "1" else []
        files = list(_trusted_files(db, meta, image_dir)) if image_dir else []
    wrong, outdated = _compare(files)
    return Check(rows, len(files), (*damage, *wrong), outdated)


def damaged_rows(db: sqlite3.Connection, table: str, size: int | None, column: str = "vector") -> list[bytes]:
    """Compare every row of a table with its checksum.

    Args:
        db: connection of a cache file.
        table: ``vectors``, ``unverified`` or ``pictures``.
        size: bytes of each; None: any number.
        column: where they are.

    Returns:
        The keys of those that fail.
    """
    rows = db.execute(f"SELECT sha256, {column}, checksum FROM {table}")  # noqa: S608 - names of ours
    return [row[0] for row in rows if not is_whole(row, size)]


def names_of(db: sqlite3.Connection, keys: Sequence[bytes]) -> list[str]:
    """Name vectors by the files they are of.

    Args:
        db: connection of a cache file.
        keys: keys of the table of vectors.

    Returns:
        A name each, safe to print.
    """
    made_from = dict(db.execute("SELECT key, sha256 FROM views")) if keys and has_table(db, "views") else {}
    files: dict[bytes, str] = {}
    contents = {made_from.get(key, key) for key in keys}
    for path, sha in db.execute("SELECT path, sha256 FROM files") if keys else ():
        if sha in contents:
            files.setdefault(sha, name_of(path))
    return [_name(key, made_from, files) for key in keys]


def _name(key: bytes, made_from: dict[bytes, bytes], files: dict[bytes, str]) -> str:
    sha = made_from.get(key, key)
    # A flipped bit in a row's header can make something else of a key, too.
    content = sha.hex() if isinstance(sha, bytes) else repr(sha)
    name = files.get(sha) or f"content {content}, which no file has now"
    return f"a distorted view of {name}" if key in made_from else name


def mend(store: BottleneckStore) -> list[str]:
    """Take damaged vectors out of a cache that is open, so that a run computes them again; rebuild damaged indexes.

    Args:
        store: the cache.

    Returns:
        What was damaged, by name.

    Raises:
        CacheError: SQLite cannot mend it.
    """
    with store.writing() as db:
        problems = [text for (text,) in db.execute(f"PRAGMA integrity_check({_PROBLEMS})") if text != "ok"]
        if problems:
            db.execute("REINDEX")
        bad = damaged_rows(db, "vectors", 4 * store.width)
        names = names_of(db, bad)
        db.executemany("DELETE FROM vectors WHERE sha256 IS ?", [(key,) for key in bad])
        left = [text for (text,) in db.execute("PRAGMA integrity_check(1)") if text != "ok"] if problems else []
    if left:
        raise CacheError(f"bottleneck cache {store.path}: {left[0]}; move it away and run again")
    return [f"SQLite: {text}" for text in problems] + [f"damaged vector of {name}" for name in names]


@dataclass(frozen=True)
class _Entry:
    root: bytes
    path: bytes
    facts: tuple[int, int, int]
    sha256: bytes

    @property
    def full_path(self) -> bytes:
        return os.path.join(self.root, *self.path.split(b"/"))


def _trusted_files(db: sqlite3.Connection, meta: dict[str, str], image_dir: str) -> Iterator[_Entry]:
    if meta["format"] == "1":
        return
    query = f"SELECT {COLUMNS} FROM files WHERE root = ? AND max(mtime_ns, ctime_ns) + ? < read_ns"  # noqa: S608
    for row in db.execute(query, (root_key(image_dir), RACY_NS)):
        if is_whole_entry(row):
            root, path, size, mtime_ns, ctime_ns, _, sha, _ = row
            yield _Entry(root, path, (size, mtime_ns, ctime_ns), sha)


def _compare(entries: Sequence[_Entry]) -> tuple[list[str], int]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = list(pool.map(_fault, entries, chunksize=64))
    wrong = [f"{printable(os.fsdecode(e.path))}: {a}" for e, a in zip(entries, answers, strict=True) if a]
    return wrong, sum(answer is None for answer in answers)


def _fault(entry: _Entry) -> str | None:
    """Say what is wrong with a file that the index vouches for; None where a run would not believe the index."""
    try:
        status = os.stat(entry.full_path)
        if entry.facts != (status.st_size, status.st_mtime_ns, status.st_ctime_ns):
            return None
        with Path(os.fsdecode(entry.full_path)).open("rb") as file:
            sha = hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if sha == entry.sha256 else "its contents changed while size and dates stayed the same"


def has_table(db: sqlite3.Connection, table: str) -> bool:
    """Tell whether a cache file has a table; those of an earlier version lack some.

    Args:
        db: its connection.
        table: the name.

    Returns:
        Whether it is there.
    """
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def _count(db: sqlite3.Connection, table: str) -> int:
    if not has_table(db, table):
        return 0
    count: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a name of ours
    return count
