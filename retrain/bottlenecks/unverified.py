"""Vectors that this program did not compute, kept in a table of their own beside the ones it did.

They are imported (transfer.py), lent to a run that asks for them by name, and made ordinary vectors or dropped once a
sample of them has been computed again (trial.py). Nothing else reads the table as vectors, so the two kinds are never
mixed unasked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from retrain.bottlenecks.matrix import FileMatrix, Floats, MemoryMatrix, Rows
from retrain.bottlenecks.store import BottleneckStore, checked_row, is_whole

# Made when first needed: a cache of an earlier version stays readable and gains it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS unverified (
    sha256 BLOB NOT NULL UNIQUE, vector BLOB NOT NULL, checksum INTEGER NOT NULL, source TEXT NOT NULL)
"""
_KEEP = "INSERT OR REPLACE INTO unverified SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE sha256 = ?)"
_PROMOTE = "INSERT OR IGNORE INTO vectors SELECT sha256, vector, checksum FROM unverified WHERE sha256 = ?"


def keep(store: BottleneckStore, vectors: Iterable[tuple[bytes, Floats]], source: str) -> int:
    """Keep vectors that this program did not compute.

    Args:
        store: the cache.
        vectors: digest and float32 (width,) of each content.
        source: where they come from, for a person.

    Returns:
        How many were kept; a content that has a vector already needs none.
    """
    rows = [(*checked_row(sha, vector), source, sha) for sha, vector in vectors]
    with store.writing() as db:
        db.execute(_SCHEMA)
        return db.executemany(_KEEP, rows).rowcount if rows else 0


def known(store: BottleneckStore) -> set[bytes]:
    """List the contents that have an unverified vector.

    Args:
        store: the cache.

    Returns:
        SHA-256 digests.
    """
    with store.writing() as db:
        db.execute(_SCHEMA)
        return {row[0] for row in db.execute("SELECT sha256 FROM unverified")}


def lend(store: BottleneckStore, rows: Rows, hashes: Sequence[bytes], bad: Sequence[int]) -> list[int]:
    """Fill rows that have no vector with unverified ones.

    Args:
        store: the cache.
        rows: (N, width), of store.read_rows.
        hashes: digests, N of them.
        bad: indices of the rows to fill.

    Returns:
        The indices that remain without a vector.
    """
    still = []
    with store.writing() as db:
        db.execute(_SCHEMA)
        for index in bad:
            query = "SELECT sha256, vector, checksum FROM unverified WHERE sha256 = ?"
            row = db.execute(query, (hashes[index],)).fetchone()
            if row is None or not is_whole(row, 4 * store.width):
                still.append(index)
            else:
                _fill(rows, index, np.frombuffer(row[1], "<f4"))
    return still


def _fill(rows: Rows, index: int, vector: Floats) -> None:
    if isinstance(rows, MemoryMatrix):
        rows.array[index] = vector
    elif isinstance(rows, FileMatrix):
        rows.write(np.array([index], np.intp), vector[np.newaxis])
    else:
        raise TypeError(f"cannot write to {type(rows).__name__}")


def settle(store: BottleneckStore, hashes: Iterable[bytes], *, promote: bool) -> None:
    """Make unverified vectors ordinary ones, or drop them.

    Args:
        store: the cache.
        hashes: digests.
        promote: whether they were found right; one that was computed meanwhile is not replaced.
    """
    rows = [(sha,) for sha in hashes]
    with store.writing() as db:
        if promote:
            db.executemany(_PROMOTE, rows)
        db.executemany("DELETE FROM unverified WHERE sha256 = ?", rows)
