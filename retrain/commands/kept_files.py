"""Files of --bottleneck_dir that can be named to be deleted: caches, what was set aside, decoded photographs."""

from __future__ import annotations

from pathlib import Path

from retrain import fsio
from retrain.bottlenecks.prune import DAMAGED, delete_cache
from retrain.console import Console
from retrain.errors import CacheError, RetrainError, UsageError, did_you_mean
from retrain.pixels import FOLDER, kept_pixels

_MB = 1e6


def tell_pixels(bottleneck_dir: str, console: Console) -> None:
    """List the files of decoded photographs that whole networks are trained on.

    Args:
        bottleneck_dir: folder of the caches.
        console: where to say it.
    """
    for one in kept_pixels(Path(bottleneck_dir, FOLDER)):
        console.line(
            f"{one.path.name}\n  {one.rows:,} decoded photographs of {one.width} x {one.height} pixels for --train; "
            f"{one.size / _MB:,.1f} MB on the disk; cache prune --delete_cache {one.path.name}"
        )


def named_file(bottleneck_dir: str, name: str) -> Path:
    """Find a file by what a person calls it.

    Args:
        bottleneck_dir: folder of the caches.
        name: of the file; of a cache with or without .sqlite.

    Returns:
        Its path.

    Raises:
        UsageError: there is none such.
    """
    folder = Path(bottleneck_dir)
    here = {path.name: path for path in (*folder.glob("*.sqlite"), *folder.glob(f"*{DAMAGED}*"))}
    here |= {one.path.name: one.path for one in kept_pixels(folder / FOLDER)}
    path = here.get(name) or here.get(f"{name}.sqlite")
    if path is None:
        raise UsageError(
            f"expected --delete_cache to name a file in {folder}, got {name!r}{did_you_mean(name, [*here])}"
        )
    return path


def delete_file(path: Path) -> int:
    """Delete a file of named_file, with what belongs to it.

    Args:
        path: the file.

    Returns:
        How many bytes were freed.

    Raises:
        CacheError: a process has the cache open, or is just writing decoded photographs.
    """
    pixels = [one for one in kept_pixels(path.parent) if one.path == path]
    if not pixels:
        return delete_cache(path)
    try:
        with fsio.locked(path, timeout_s=0.0):
            for file in (path, pixels[0].index_path):
                fsio.remove(file)
    except RetrainError as error:
        raise CacheError(f"{path.name} is in use: {error}; try again when no network is being trained") from error
    return pixels[0].size
