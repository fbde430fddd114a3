"""A table beside the vectors: bytes of any length by the content of a photograph, a checksum a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from retrain.bottlenecks.store import BottleneckStore, checksum_of

# Rows asked for together: SQLite takes 999 values a statement where it is old.
_TOGETHER = 500


class BlobTable:
    """A table of a cache file, made when it is first needed.

    Args:
        store: the cache.
        name: of the table; a name of ours.
        column: of the bytes.
        size: bytes that each row has; None: any number.
    """

    def __init__(self, store: BottleneckStore, name: str, column: str, size: int | None = None) -> None:
        self._store, self._name, self._column, self._size = store, name, column, size

    def read(self, sha256s: Iterable[bytes]) -> dict[bytes, bytes]:
        """Read rows.

        Args:
            sha256s: digests of the contents, repeats allowed.

        Returns:
            digest -> bytes, of those that are there and whole.

        Raises:
            CacheError: the cache cannot be used.
        """
        wanted = list(dict.fromkeys(sha256s))
        with self._store.writing() as db:
            self._make(db)
            return {
                sha: blob
                for start in range(0, len(wanted), _TOGETHER)
                for sha, blob, checksum in self._some(db, wanted[start : start + _TOGETHER])
                if self._size in (None, len(blob)) and checksum_of(sha, blob) == checksum
            }

    def keep(self, blobs: Iterable[tuple[bytes, bytes]], most: int | None = None) -> None:
        """Keep rows, all or none; they take the place of older ones of the same contents.

        Args:
            blobs: digest and bytes of each.
            most: rows that may be there; the oldest beyond that go. None: any number.

        Raises:
            CacheError: the cache cannot be used.
        """
        rows = [(sha, blob, checksum_of(sha, blob)) for sha, blob in blobs]
        with self._store.writing() as db:
            self._make(db)
            db.executemany(f"INSERT OR REPLACE INTO {self._name} VALUES (?, ?, ?)", rows)  # noqa: S608 - a name of ours
            if most is not None:
                self._forget_oldest(db, most)

    def _forget_oldest(self, db: sqlite3.Connection, most: int) -> None:
        (count,) = db.execute(f"SELECT count(*) FROM {self._name}").fetchone()  # noqa: S608
        oldest = f"SELECT rowid FROM {self._name} ORDER BY rowid LIMIT ?"  # noqa: S608
        db.execute(f"DELETE FROM {self._name} WHERE rowid IN ({oldest})", (max(0, count - most),))  # noqa: S608

    def _some(self, db: sqlite3.Connection, wanted: Sequence[bytes]) -> Iterator[tuple[bytes, bytes, object]]:
        marks = ", ".join("?" * len(wanted))
        # Trap: a flipped bit in a row's header makes text or a number of a blob, which is why it is cast to one.
        columns = f"sha256, CAST({self._column} AS BLOB), checksum"
        yield from db.execute(f"SELECT {columns} FROM {self._name} WHERE sha256 IN ({marks})", wanted)  # noqa: S608

    def _make(self, db: sqlite3.Connection) -> None:
        columns = f"sha256 BLOB NOT NULL UNIQUE, {self._column} BLOB NOT NULL, checksum INTEGER NOT NULL"
        db.execute(f"CREATE TABLE IF NOT EXISTS {self._name} ({columns})")
