"""One file of decoded photographs: rows of equal length, only ever appended, found by content.

A row is written before its entry in the index, under a lock that other processes respect; whoever takes the lock next
cuts off what a killed process left unfinished. Nothing is synced: a row that a power cut lost fails its checksum, which
is taken when a process reads it for the first time, and is decoded and appended again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import weakref
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from retrain import fsio
from retrain.errors import CacheError
from retrain.images import InputSpec, Pixels
from retrain.pixels.index import ENTRY_BYTES, INDEX_SUFFIX, Entry, checksum, pack, rows_path, unpack

# macOS before 11 and Windows have no preadv; there the place is sought first.
_HAS_PREADV = hasattr(os, "preadv")
_ADVICE = "make room, or give a smaller --pixel_cache_mb"


class PixelStore:
    """An open file of decoded photographs; may be used from several threads, and by several processes at once.

    Args:
        folder: where it lies; made.
        spec: size and stretch of the pictures.
        wanted: digests that will be asked for; others make room for them where the file is full.
        limit_bytes: what the file may take.

    Raises:
        CacheError: it cannot be opened, or the disk has no room for what is wanted.
    """

    def __init__(self, folder: str | Path, spec: InputSpec, wanted: Collection[bytes], limit_bytes: int) -> None:
        self.path = rows_path(folder, spec)
        self._shape = (spec.height, spec.width, 3)
        self._row_bytes = spec.height * spec.width * 3
        self._capacity = max(0, limit_bytes) // (self._row_bytes + ENTRY_BYTES)
        self._wanted = frozenset(wanted)
        self._busy = threading.Lock()
        with self._as_cache_error(), self._alone():
            self._open()
            self._settle()
            self._make_room()
            self._check_disk()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is kept."""
        return self._count >= self._capacity

    def read(self, digests: Sequence[bytes], out: Pixels) -> list[int]:
        """Read photographs.

        Args:
            digests: N of them.
            out: uint8 (N, H, W, 3), written to; a row must be contiguous.

        Returns:
            Which of them are not there, or not whole; their rows of ``out`` hold nothing of use.

        Raises:
            CacheError: the file cannot be read.
        """
        with self._as_cache_error():
            return [place for place, sha256 in enumerate(digests) if not self._read_one(sha256, out[place])]

    def put(self, digests: Sequence[bytes], pixels: Sequence[Pixels]) -> None:
        """Keep photographs, as far as there is room.

        Args:
            digests: N of them.
            pixels: uint8 (H, W, 3) each, contiguous.

        Raises:
            CacheError: the file cannot be written.
        """
        if self.is_full:
            return
        with self._as_cache_error(), self._alone():
            self._settle()
            fresh = {sha256: row for sha256, row in zip(digests, pixels, strict=True) if sha256 not in self._rows}
            chosen = list(fresh.items())[: max(0, self._capacity - self._count)]
            entries = [Entry(self._count + n, sha, checksum(sha, row)) for n, (sha, row) in enumerate(chosen)]
            for _, row in chosen:
                fsio.append(self._file, row.data)
            fsio.append(self._index, memoryview(b"".join(map(pack, entries))))
            self._learn(entries)

    def _open(self) -> None:
        self._file = fsio.open_partial(self.path)
        self._index = fsio.open_partial(self.path.with_suffix(INDEX_SUFFIX))
        self._count = 0
        self._rows: dict[bytes, tuple[int, int | None]] = {}
        # Whoever holds the store last closes its files; close() is for those who know better.
        self.close = weakref.finalize(self, _close, self._file, self._index)

    def _settle(self) -> None:
        """Cut off what was left unfinished, and take in what other processes added."""
        sizes = ((self._file, self._row_bytes), (self._index, ENTRY_BYTES))
        whole = min(_size(file) // size for file, size in sizes)
        for file, size in sizes:
            if _size(file) != whole * size:
                file.truncate(whole * size)
        if whole < self._count:
            self._count, self._rows = 0, {}
        self._index.seek(self._count * ENTRY_BYTES)
        new = self._index.read((whole - self._count) * ENTRY_BYTES)
        first, self._count = self._count, whole
        self._learn(unpack(new, first), 0)

    def _learn(self, entries: Iterator[Entry] | list[Entry], more: int | None = None) -> None:
        entries = list(entries)
        self._count += len(entries) if more is None else more
        self._rows.update({one.sha256: (one.row, one.checksum) for one in entries if one.sha256 in self._wanted})

    def _read_one(self, sha256: bytes, into: Pixels) -> bool:
        row, expected = self._rows.get(sha256, (-1, None))
        if row < 0:
            return False
        if not self._read_row(row, into) or (expected is not None and checksum(sha256, into) != expected):
            self._rows.pop(sha256, None)
            return False
        if expected is not None:
            self._rows[sha256] = (row, None)  # a pass over the pixels once a process, not once an epoch
        return True

    def _read_row(self, row: int, into: Pixels) -> bool:
        view, offset = into.data.cast("B"), row * self._row_bytes
        while view:
            got = self._read_at(view, offset)
            if not got:
                return False
            view, offset = view[got:], offset + got
        return True

    def _read_at(self, into: memoryview, offset: int) -> int:
        if _HAS_PREADV:
            return os.preadv(self._file.fileno(), [into], offset)
        with self._busy:
            self._file.seek(offset)
            return self._file.readinto(into)  # type: ignore[attr-defined, no-any-return]

    def _make_room(self) -> None:
        """Where not all that is wanted would fit beside the rest, keep only what is wanted of it."""
        missing = len(self._wanted) - len(self._rows)
        if self._count + missing <= self._capacity or self._count == min(len(self._rows), self._capacity):
            return
        keep = sorted(self._rows.items(), key=lambda item: item[1])[: self._capacity]
        picture = np.empty(self._shape, np.uint8)
        # Killed between the two renames, the index names rows whose checksums fail: they are decoded again.
        with fsio.replacing(self._index.name) as index, fsio.replacing(self.path) as file:
            count = 0
            for sha256, (_, expected) in keep:
                if self._read_one(sha256, picture) and expected is not None:
                    file.write(picture.data)
                    index.write(pack(Entry(count, sha256, expected)))
                    count += 1
        self.close()
        self._open()
        self._settle()

    def _check_disk(self) -> None:
        rows = min(len(self._wanted) - len(self._rows), self._capacity - self._count)
        free, need = shutil.disk_usage(self.path.parent).free, rows * (self._row_bytes + ENTRY_BYTES)
        if free < need:
            self.close()
            raise CacheError(
                f"expected {need / 1e6:,.0f} MB free in {self.path.parent} for decoded photographs, got "
                f"{free / 1e6:,.0f} MB; {_ADVICE}"
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._busy, fsio.locked(self.path):
            yield

    @contextlib.contextmanager
    def _as_cache_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CacheError(
                f"cannot keep decoded photographs in {self.path}: {error.strerror or error}; {_ADVICE}"
            ) from error


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _close(*files: BinaryIO) -> None:
    for file in files:
        file.close()
