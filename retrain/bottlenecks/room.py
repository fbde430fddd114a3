"""How much room a run's vectors and small pictures will take, before they are made."""

from __future__ import annotations

from pathlib import Path

from retrain import fsio
from retrain.bottlenecks.opening import page_size

# Of a row besides its vector: its digest and checksum, the index of digests, its file's entry in the index of files.
_ROW_BYTES, _INDEX_BYTES = 64, 200
# Of retrain/album.py: two small pictures of a photograph, and of how many at most a run makes them.
_PICTURE_BYTES, _MOST_PICTURES = 19_000, 5_000


def cache_bytes(photographs: int, width: int) -> int:
    """Estimate what a cache file grows by.

    Args:
        photographs: that have no vector yet.
        width: length of a vector.

    Returns:
        Bytes; 100,000 vectors of 512 took 251 MB, estimated 254.
    """
    page, row = page_size(width), 4 * width + _ROW_BYTES
    # Rows longer than a page fill pages of their own.
    each = page // (page // row) if row <= page else -(-row // page) * page
    return photographs * (each + _INDEX_BYTES)


def shortage(path: Path, photographs: int, width: int) -> str:
    """Compare what a run will keep with what is free.

    Args:
        path: the cache file.
        photographs: that have no vector yet.
        width: length of a vector.

    Returns:
        A sentence where it will not fit; else nothing.
    """
    vectors, pictures = cache_bytes(photographs, width), min(photographs, _MOST_PICTURES) * _PICTURE_BYTES
    free = fsio.free_bytes(path)
    if vectors + pictures <= free:
        return ""
    needed = f"{(vectors + pictures) / 1e6:,.1f} MB"
    return (
        f"vectors and small pictures of {photographs} photographs will take about {needed}, and {free / 1e6:,.1f} MB "
        f"are free in {path.parent}: make room, or put --bottleneck_dir on a larger disk. What is cached until the "
        "disk is full is kept, and the same command goes on from there"
    )
