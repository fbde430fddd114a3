"""Crops and feature maps on the disk: raw uint8, one file a shard, so that a stopped run loses one shard at most."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.errors import UsageError

Bytes = npt.NDArray[np.uint8]
# Photographs a shard: 8 views of 160 px make it 157 MB.
PHOTOGRAPHS_A_SHARD = 256


@dataclass(frozen=True)
class Shards:
    """Equal items in several files.

    Args:
        folder: where the files lie.
        item: shape of one item, uint8.
        items: how many there are in all.
        per_shard: how many in each file but the last.
    """

    folder: Path
    item: tuple[int, ...]
    items: int
    per_shard: int

    @property
    def count(self) -> int:
        """Number of files."""
        return -(-self.items // self.per_shard)

    def path(self, shard: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"{shard:05d}.u8"

    def length(self, shard: int) -> int:
        """How many items a shard has."""
        return min(self.per_shard, self.items - shard * self.per_shard)

    def missing(self) -> list[int]:
        """Shards that are not there whole."""
        size = int(np.prod(self.item))
        sizes = {k: self.path(k).stat().st_size if self.path(k).exists() else -1 for k in range(self.count)}
        return [k for k, found in sizes.items() if found != size * self.length(k)]

    def write(self, shard: int, items: Bytes) -> None:
        """Write a shard whole."""
        with fsio.replacing(self.path(shard)) as file:
            file.write(np.ascontiguousarray(items).data)

    def open(self, shard: int) -> Bytes:
        """Map a shard into memory: uint8 (length, *item)."""
        return np.memmap(self.path(shard), np.uint8, "r", shape=(self.length(shard), *self.item))


class Items:
    """All items of all shards, by number."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._maps = [shards.open(number) for number in range(shards.count)]

    def __len__(self) -> int:
        return self._shards.items

    def take(self, numbers: npt.NDArray[np.int64]) -> Bytes:
        """Copy items out: uint8 (len(numbers), *item), in the order asked for."""
        taken = np.empty((len(numbers), *self._shards.item), np.uint8)
        for row, number in enumerate(numbers):
            shard, place = divmod(int(number), self._shards.per_shard)
            taken[row] = self._maps[shard][place]
        return taken


def check_room(wanted_bytes: int, folder: Path, most_gb: float) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        wanted_bytes: of crops and feature maps together.
        folder: where they would lie.
        most_gb: what the person allows.

    Raises:
        UsageError: it is more than is allowed, or than is free.
    """
    free = shutil.disk_usage(folder).free / 1e9
    if wanted_bytes / 1e9 > min(most_gb, free):
        raise UsageError(
            f"crops and feature maps would take {wanted_bytes / 1e9:.1f} GB, but --max_gb allows {most_gb:g} and "
            f"{free:.1f} are free in {folder}; give fewer --views or photographs, or another --out"
        )
