"""Feature rows, in memory or in a file: what the head is trained on, whichever of the two holds it.

Both kinds give the same bytes for the same indices, so a head does not depend on where its rows lay.
"""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.bottlenecks.memory import MIB
from retrain.errors import CacheError

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

# macOS before 11 and Windows have no preadv; there the place is sought first.
_HAS_PREADV = hasattr(os, "preadv")


class Rows(Protocol):
    """A float32 matrix (N, width) that is read row by row; no caller holds all of it."""

    @property
    def shape(self) -> tuple[int, int]:
        """N and width."""

    @property
    def resident(self) -> bool:
        """Whether it lies in memory, with room for a scaled copy."""

    def __len__(self) -> int: ...

    def take(self, indices: Indices) -> Floats:
        """Read rows.

        Args:
            indices: intp (n,), 0 to N - 1, in any order, repeats allowed.

        Returns:
            float32 (n, width), in the order of the indices; the caller's own.

        Raises:
            IndexError: an index is not in 0 to N - 1.
            CacheError: the file cannot be read.
        """

    def chunks(self, rows: int) -> Iterator[tuple[slice, Floats]]:
        """Read everything once, in order.

        Args:
            rows: how many at a time, at least 1.

        Yields:
            Which rows, and float32 (n, width), not to be written to.
        """


class MemoryMatrix:
    """Rows of an array, which is not copied.

    Args:
        array: float32 (N, width).
    """

    resident = True

    def __init__(self, array: Floats) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, int]:
        """N and width."""
        count, width = self.array.shape
        return count, width

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: Indices) -> Floats:
        """Copy rows out; see Rows."""
        _check_range(indices, len(self.array))
        return self.array.take(indices, axis=0)

    def chunks(self, rows: int) -> Iterator[tuple[slice, Floats]]:
        """Show everything once, in order; see Rows."""
        for part in slices(len(self.array), rows):
            yield part, self.array[part]


class FileMatrix:
    """Rows of a flat file of little-endian float32 that has no name and is gone with the process, however it ends.

    Rows are read with preadv into arrays of the size asked for, not through np.memmap: pages of a mapped file that
    were touched count as this process's memory, so a matrix that is drawn from at random for thousands of steps would
    come to lie in memory as a whole. What is read stays in the system's page cache, which gives way to others.

    Args:
        folder: where the file lies; it exists, on a disk with room.
        count: N.
        width: numbers a row.

    Raises:
        CacheError: the disk has no room, or the file cannot be made.
    """

    resident = False

    def __init__(self, folder: Path, count: int, width: int) -> None:
        self.shape = (count, width)
        self._row_bytes = 4 * width
        self._folder = folder
        self._file = _make(folder, count * self._row_bytes)
        # Whoever holds the rows last closes the file, as with an array; close() is for those who know better.
        self.close = weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self.shape[0]

    def write(self, indices: Indices, vectors: Floats) -> None:
        """Fill rows in; rows never filled in are zero.

        Args:
            indices: intp (n,), 0 to N - 1, each once.
            vectors: float32 (n, width).

        Raises:
            CacheError: the file cannot be written.
        """
        _check_range(indices, len(self))
        order = np.argsort(indices)
        blocks = np.ascontiguousarray(vectors[order], "<f4")
        try:
            for first, begin, end in _runs(indices[order]):
                self._file.seek(first * self._row_bytes)
                _write_all(self._file, blocks[begin:end].data.cast("B"))
        except OSError as error:
            raise CacheError(f"cannot write features to a file in {self._folder}: {error.strerror}") from error

    def take(self, indices: Indices) -> Floats:
        """Read rows, those that lie together at once; see Rows."""
        _check_range(indices, len(self))
        rows, where = np.unique(indices, return_inverse=True)
        block = np.empty((len(rows), self.shape[1]), "<f4")
        for first, begin, end in _runs(rows):
            self._read(first, block[begin:end])
        found = block.astype(np.float32, copy=False)
        return found if len(rows) == len(indices) and _ascends(indices) else found.take(where, axis=0)

    def chunks(self, rows: int) -> Iterator[tuple[slice, Floats]]:
        """Read everything once, in order; see Rows."""
        for part in slices(len(self), rows):
            block = np.empty((part.stop - part.start, self.shape[1]), "<f4")
            self._read(part.start, block)
            yield part, block.astype(np.float32, copy=False)

    def _read(self, first: int, into: npt.NDArray[np.float32]) -> None:
        """Fill a contiguous array with the rows from ``first`` on."""
        view, offset = into.data.cast("B"), first * self._row_bytes
        while view:
            try:
                got = _read_at(self._file, view, offset)
            except OSError as error:
                raise CacheError(f"cannot read features from a file in {self._folder}: {error.strerror}") from error
            if not got:
                raise CacheError(
                    f"expected the file of features in {self._folder} to hold {len(self)} rows of {self._row_bytes} "
                    f"bytes, got its end at byte {offset}; something cut it short: run again"
                )
            view, offset = view[got:], offset + got


def as_rows(features: Rows | Floats) -> Rows:
    """Take an array for what it is.

    Args:
        features: rows, or float32 (N, width).

    Returns:
        Rows; of an array without a copy.
    """
    return MemoryMatrix(features) if isinstance(features, np.ndarray) else features


def slices(count: int, size: int) -> Iterator[slice]:
    """Cut a range into equal parts.

    Args:
        count: its length.
        size: of a part, at least 1; the last may be shorter.

    Yields:
        The parts, in order.
    """
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _make(folder: Path, size: int) -> BinaryIO:
    """Make the file, full of zeros that take no room yet."""
    try:
        file = fsio.scratch(folder)
        free = shutil.disk_usage(folder).free
        if free < size:
            file.close()
            raise CacheError(
                f"expected {size / MIB:,.0f} MB free in {folder} for a file of features, got {free / MIB:,.0f} MB; "
                "make room, put --bottleneck_dir on a larger disk, or raise --feature_memory_mb to hold them in memory"
            )
        file.truncate(size)
    except OSError as error:
        raise CacheError(f"cannot make a file of features in {folder}: {error.strerror}") from error
    return file


def _read_at(file: BinaryIO, into: memoryview, offset: int) -> int:
    if _HAS_PREADV:
        return os.preadv(file.fileno(), [into], offset)
    file.seek(offset)
    return file.readinto(into)  # type: ignore[attr-defined, no-any-return]


def _write_all(file: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _runs(ascending: Indices) -> Iterator[tuple[int, int, int]]:
    """Find rows that lie together: the first's index, and between which places of ``ascending`` they stand."""
    if not len(ascending):
        return
    ends = np.flatnonzero(np.diff(ascending) != 1) + 1
    begins = np.concatenate([[0], ends])
    yield from zip(ascending[begins].tolist(), begins.tolist(), [*ends.tolist(), len(ascending)], strict=True)


def _ascends(indices: Indices) -> bool:
    return bool((np.diff(indices) > 0).all())


def _check_range(indices: Indices, count: int) -> None:
    if len(indices) and not (indices.min() >= 0 and indices.max() < count):
        raise IndexError(f"expected rows 0 to {count - 1}, got {indices.min()} to {indices.max()}")
