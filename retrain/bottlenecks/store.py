"""One SQLite file a backbone fingerprint: vectors by content hash, and an index of which file has which content.

What SQLite is told and why: ``journal_mode=WAL`` with ``synchronous=NORMAL`` survives a kill at any moment and, on
power loss, may lose the last commits but never mixes them up; a batch that is lost is extracted again. Where a file
system cannot do WAL, SQLite falls back to its rollback journal by itself.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from retrain import fsio, storage
from retrain.bottlenecks.digests import DIGEST_BYTES, Wanted
from retrain.bottlenecks.entries import COLUMNS, NONE_YET, checked_entry, is_whole_entry
from retrain.bottlenecks.matrix import FileMatrix, Floats, Indices, MemoryMatrix, Rows
from retrain.bottlenecks.memory import features_fit
from retrain.bottlenecks.opening import as_cache_error, page_size, set_damaged_aside, write_ahead
from retrain.dataset import ImageRecord
from retrain.errors import CacheError

# 2: an entry of the index has a checksum too. A file of 1 becomes one of 2 when it is opened to be written: its vectors
# are used as they are, and its entries, whose bits nothing vouches for, not believed: each file is read once more.
FORMAT_VERSION = 2
KNOWN_FORMATS = ("1", "2")
# Git's rule for racy timestamps: a file whose clock is not older than the moment it was read may have been changed
# again within the same tick, so its entry is not believed. FAT ticks every 2 s.
RACY_NS = 2_000_000_000
BUSY_TIMEOUT_S = 60.0
# Fewer wanted rows than this are looked up one by one; more are read in one pass over the table.
_LOOKUP_LIMIT = 2000
# Vectors read at a time, and files recognised at a time (SQLite takes 999 values a statement where it is old).
_BATCH_ROWS, _BATCH_FILES = 1024, 500
# SQLite's whole numbers; a file system may date a file past the year 2262, whose nanoseconds are none.
_INTEGERS = range(-(2**63), 2**63)
_RECOGNISE = (
    f"SELECT {COLUMNS} FROM files "  # noqa: S608 - names of ours
    "WHERE root = ? AND path IN ({}) AND max(mtime_ns, ctime_ns) + ? < read_ns"
)

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE vectors (sha256 BLOB NOT NULL UNIQUE, vector BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE files (
    root BLOB NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, read_ns INTEGER NOT NULL, sha256 BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
"""
_UPGRADE_1 = (
    f"ALTER TABLE files ADD COLUMN checksum INTEGER NOT NULL DEFAULT {NONE_YET}",
    "UPDATE meta SET value = '2' WHERE key = 'format'",
)


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
        fsio.make_folder(path.parent)
        self.set_aside = set_damaged_aside(path, BUSY_TIMEOUT_S)
        with contextlib.ExitStack() as on_failure, as_cache_error(path):
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            on_failure.callback(self._db.close)  # a connection left to the garbage collector may keep its lock
            self._db.execute(f"PRAGMA page_size={page_size(width)}")  # of a new file; an old one keeps its own
            write_ahead(self._db, BUSY_TIMEOUT_S)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._create_or_check()
            on_failure.pop_all()

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
            if {**self._facts, "format": "1"}.items() <= found.items():
                for statement in _UPGRADE_1:
                    self._db.execute(statement)
                found["format"] = str(FORMAT_VERSION)
        if self._facts.items() - found.items():  # more may be noted there than this version knows
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

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the file to a module with a table of its own, for one transaction, kept whole or not at all."""
        with as_cache_error(self.path), self._transaction():
            yield self._db

    def commits_of_others(self) -> int:
        """Give a number that changes when another process commits."""
        with as_cache_error(self.path):
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def known_hashes(self) -> set[bytes]:
        """List the contents that have a vector.

        Returns:
            SHA-256 digests, 32 bytes each.
        """
        with as_cache_error(self.path):
            return {row[0] for row in self._db.execute("SELECT sha256 FROM vectors")}

    def recognise(self, root: str, records: Sequence[ImageRecord]) -> list[bytes | None]:
        """Tell by the stat index alone which content each file has.

        Args:
            root: the image folder.
            records: files as the directory lists them now.

        Returns:
            A digest for each file that is certainly unchanged since it was read, else None.
        """
        key, found = root_key(root), list[bytes | None]()
        with as_cache_error(self.path):
            # Some at a time: an index of all files of the folder would take 450 bytes a file.
            for start in range(0, len(records), _BATCH_FILES):
                found += self._recognise_some(key, records[start : start + _BATCH_FILES])
        return found

    def _recognise_some(self, key: bytes, records: Sequence[ImageRecord]) -> list[bytes | None]:
        names = [os.fsencode(record.path) for record in records]
        marks = ", ".join("?" * len(names))
        rows = self._db.execute(_RECOGNISE.format(marks), (key, *names, RACY_NS))
        index = {row[1]: row for row in rows}
        found: list[bytes | None] = []
        for name, record in zip(names, records, strict=True):
            row = index.get(name)
            is_same = row is not None and row[2:5] == (record.size, record.mtime_ns, record.ctime_ns)
            found.append(row[6] if row is not None and is_same and is_whole_entry(row) else None)
        return found

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
        vector_rows = [checked_row(sha, vector) for sha, vector in vectors]
        key = root_key(root)
        file_rows = [
            checked_entry((key, os.fsencode(record.path), record.size, record.mtime_ns, record.ctime_ns, read_ns, sha))
            for record, read_ns, sha in files
            if record.mtime_ns in _INTEGERS and record.ctime_ns in _INTEGERS
        ]
        with self.writing() as db:
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", vector_rows)
            db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", file_rows)

    def read_matrix(self, hashes: Sequence[bytes]) -> tuple[Floats, list[int]]:
        """Read vectors as one matrix.

        Args:
            hashes: digests, N of them, repeats allowed.

        Returns:
            float32 (N, width), and the indices whose row is absent or fails its checksum (their rows are zero).
        """
        matrix = np.zeros((len(hashes), self.width), np.float32)

        def keep(indices: Indices, vectors: Floats) -> None:
            matrix[indices] = vectors

        return matrix, self.read_into(hashes, keep)

    def read_rows(self, hashes: Sequence[bytes], limit_mb: int) -> tuple[Rows, list[int]]:
        """Read vectors into memory or, where they do not fit, into a nameless file beside the cache.

        Args:
            hashes: digests, N of them, repeats allowed.
            limit_mb: as of features_fit.

        Returns:
            Rows (N, width), and the indices whose row is absent or fails its checksum (their rows are zero).

        Raises:
            CacheError: the disk has no room, or a file cannot be used.
        """
        if features_fit(len(hashes), self.width, limit_mb):
            matrix, bad = self.read_matrix(hashes)
            return MemoryMatrix(matrix), bad
        rows = FileMatrix(self.path.parent, len(hashes), self.width)
        return rows, self.read_into(hashes, rows.write)

    def read_into(self, hashes: Sequence[bytes], keep: Callable[[Indices, Floats], None]) -> list[int]:
        """Read vectors, some at a time, in the order in which the file has them.

        Args:
            hashes: digests, N of them, repeats allowed.
            keep: given intp (n,), indices into ``hashes``, each once in all, and their vectors, float32 (n, width).

        Returns:
            The indices whose row is absent or fails its checksum; ``keep`` is never given them.
        """
        wanted, missing = Wanted(hashes), np.ones(len(hashes), np.bool_)
        with as_cache_error(self.path):
            for rows in self._batches(hashes):
                whole = [row[:2] for row in rows if is_whole(row, 4 * self.width)]
                places, indices = wanted.find([sha for sha, _ in whole])
                vectors = np.frombuffer(b"".join([blob for _, blob in whole]), "<f4").reshape(-1, self.width)
                keep(indices, vectors[places])
                missing[indices] = False
        return np.flatnonzero(missing).tolist()

    def _batches(self, hashes: Sequence[bytes]) -> Iterator[list[tuple[bytes, bytes, int]]]:
        query = "SELECT sha256, vector, checksum FROM vectors"
        if len(hashes) <= _LOOKUP_LIMIT:
            yield [
                row for sha in dict.fromkeys(hashes) for row in self._db.execute(f"{query} WHERE sha256 = ?", (sha,))
            ]
            return
        cursor = self._db.execute(query)
        while rows := cursor.fetchmany(_BATCH_ROWS):
            yield rows


def root_key(root: str) -> bytes:
    """Name an image folder in the index.

    Args:
        root: its path as typed, or its URL.

    Returns:
        The whole path, so that equal names in two image folders never answer for each other.
    """
    return os.fsencode(storage.normalise(root) if storage.is_url(root) else os.path.realpath(root))


def checked_row(sha: bytes, vector: Floats) -> tuple[bytes, bytes, int]:
    """Make a row of a table of vectors.

    Args:
        sha: digest of the content.
        vector: float32 (width,).

    Returns:
        Digest, little-endian bytes, checksum.
    """
    blob = vector.astype("<f4").tobytes()
    return sha, blob, checksum_of(sha, blob)


def is_whole(row: tuple[object, object, object], size: int | None) -> bool:
    """Check a row of a table of vectors or other bytes as SQLite gave it.

    Args:
        row: digest, bytes, checksum; a flipped bit in a row's header makes text or a number of a blob.
        size: bytes that a vector has; None: any number.

    Returns:
        Whether it is what was kept.
    """
    sha, blob, checksum = row
    if type(sha) is not bytes or len(sha) != DIGEST_BYTES or type(blob) is not bytes:
        return False
    return size in (None, len(blob)) and checksum_of(sha, blob) == checksum


def checksum_of(sha: bytes, blob: bytes) -> int:
    """Add up a row, so that a flipped bit or a mixed-up key is noticed.

    Args:
        sha: digest of the content.
        blob: what is kept of it.

    Returns:
        A CRC-32 over both.
    """
    return zlib.crc32(blob, zlib.crc32(sha))
