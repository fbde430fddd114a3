"""One SQLite file a backbone fingerprint: vectors by content hash, and an index of which file has which content.

What SQLite is told and why: ``journal_mode=WAL`` with ``synchronous=NORMAL`` survives a kill at any moment and, on
power loss, may lose the last commits but never mixes them up; a batch that is lost is extracted again. Where a file
system cannot do WAL, SQLite falls back to its rollback journal by itself.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.dataset import ImageRecord
from retrain.errors import CacheError

FORMAT_VERSION = 1
# Git's rule for racy timestamps: a file whose clock is not older than the moment it was read may have been changed
# again within the same tick, so its entry is not believed. FAT ticks every 2 s.
RACY_NS = 2_000_000_000
BUSY_TIMEOUT_S = 60.0
# Fewer wanted rows than this are looked up one by one; more are read in one pass over the table.
_LOOKUP_LIMIT = 2000

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE vectors (sha256 BLOB NOT NULL UNIQUE, vector BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE files (
    root BLOB NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, read_ns INTEGER NOT NULL, sha256 BLOB NOT NULL,
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
"""

Floats = npt.NDArray[np.float32]


def cache_path(bottleneck_dir: str | Path, architecture: str, fingerprint: str) -> Path:
    """Name the cache file of a backbone.

    Args:
        bottleneck_dir: folder of the caches.
        architecture: canonical name.
        fingerprint: hash of all that decides a vector besides the photograph.

    Returns:
        The path of the SQLite file.
    """
    return Path(bottleneck_dir) / f"{architecture}-{fingerprint[:12]}.sqlite"


class BottleneckStore:
    """An open cache file; one writer thread.

    Args:
        path: the SQLite file, made when it is not there.
        fingerprint: must be the file's own.
        width: length of a vector.

    Raises:
        CacheError: the file belongs to another backbone or version, or cannot be opened.
    """

    def __init__(self, path: Path, fingerprint: str, width: int) -> None:
        self.path = path
        self.width = width
        self._facts = {"format": str(FORMAT_VERSION), "fingerprint": fingerprint, "width": str(width)}
        path.parent.mkdir(parents=True, exist_ok=True)
        self.set_aside = _set_damaged_aside(path)
        with _as_cache_error(path):
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._create_or_check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def _create_or_check(self) -> None:
        with self._transaction():
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.executemany("INSERT INTO meta VALUES (?, ?)", self._facts.items())
        found = dict(self._db.execute("SELECT key, value FROM meta"))
        if found != self._facts:
            raise CacheError(
                f"expected {self.path} to be a cache of {self._facts}, got {found}; move it away and run again"
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def known_hashes(self) -> set[bytes]:
        """List the contents that have a vector.

        Returns:
            SHA-256 digests, 32 bytes each.
        """
        with _as_cache_error(self.path):
            return {row[0] for row in self._db.execute("SELECT sha256 FROM vectors")}

    def recognise(self, root: str, records: Sequence[ImageRecord]) -> list[bytes | None]:
        """Tell by the stat index alone which content each file has.

        Args:
            root: the image folder.
            records: files as the directory lists them now.

        Returns:
            A digest for each file that is certainly unchanged since it was read, else None.
        """
        with _as_cache_error(self.path):
            rows = self._db.execute(
                "SELECT path, size, mtime_ns, ctime_ns, read_ns, sha256 FROM files WHERE root = ?",
                (_root_key(root),),
            )
            index = {row[0]: row[1:] for row in rows}
        return [_trusted(index.get(os.fsencode(record.path)), record) for record in records]

    def put(
        self,
        vectors: Iterable[tuple[bytes, Floats]],
        root: str,
        files: Iterable[tuple[ImageRecord, int, bytes]],
    ) -> None:
        """Keep a batch, whole or not at all.

        Args:
            vectors: digest and float32 (width,) of each new content.
            root: the image folder.
            files: record, time when its bytes were read (ns since the epoch), digest.
        """
        vector_rows = [(sha, (blob := vector.astype("<f4").tobytes()), _checksum(sha, blob)) for sha, vector in vectors]
        key = _root_key(root)
        file_rows = [
            (key, os.fsencode(record.path), record.size, record.mtime_ns, record.ctime_ns, read_ns, sha)
            for record, read_ns, sha in files
        ]
        with _as_cache_error(self.path), self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", vector_rows)
            self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", file_rows)

    def read_matrix(self, hashes: Sequence[bytes]) -> tuple[Floats, list[int]]:
        """Read vectors as one matrix.

        Args:
            hashes: digests, N of them, repeats allowed.

        Returns:
            float32 (N, width), and the indices whose row is absent or fails its checksum (their rows are zero).
        """
        matrix = np.zeros((len(hashes), self.width), np.float32)
        wanted: dict[bytes, list[int]] = {}
        for index, sha in enumerate(hashes):
            wanted.setdefault(sha, []).append(index)
        bad = set(wanted)
        with _as_cache_error(self.path):
            for sha, blob, checksum in self._rows(wanted):
                # A flipped bit in a row's header makes text or a number of a blob.
                whole = isinstance(sha, bytes) and isinstance(blob, bytes) and len(blob) == 4 * self.width
                if whole and sha in wanted and _checksum(sha, blob) == checksum:
                    matrix[wanted[sha]] = np.frombuffer(blob, "<f4")
                    bad.discard(sha)
        return matrix, sorted(index for sha in bad for index in wanted[sha])

    def _rows(self, wanted: dict[bytes, list[int]]) -> Iterator[tuple[bytes, bytes, int]]:
        query = "SELECT sha256, vector, checksum FROM vectors"
        if len(wanted) > _LOOKUP_LIMIT:
            yield from self._db.execute(query)
            return
        for sha in wanted:
            yield from self._db.execute(f"{query} WHERE sha256 = ?", (sha,))


def _trusted(entry: tuple[int, int, int, int, bytes] | None, record: ImageRecord) -> bytes | None:
    if entry is None:
        return None
    size, mtime_ns, ctime_ns, read_ns, sha = entry
    same = (size, mtime_ns, ctime_ns) == (record.size, record.mtime_ns, record.ctime_ns)
    return sha if same and max(mtime_ns, ctime_ns) + RACY_NS < read_ns else None


def _root_key(root: str) -> bytes:
    # The whole path, so that equal names in two image folders never answer for each other.
    return os.fsencode(os.path.realpath(root))


def _checksum(sha: bytes, blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(sha))


def _set_damaged_aside(path: Path) -> Path | None:
    """Move a file that SQLite cannot read out of the way, keeping it; returns where it went."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as db:
            # 0.1 s for 50,000 vectors of 512. Without it a torn page would end this run and every later one.
            if db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                return None
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, no permission: not damage
            raise CacheError(f"cannot open the bottleneck cache {path}: {error}") from error
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    fsio.move(path, aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


@contextlib.contextmanager
def _as_cache_error(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise CacheError(f"bottleneck cache {path}: {error}; is the disk full, or the file in use?") from error
