"""Sets of photographs laid out for the benchmarks: as many as wanted, each of its own content, at a size if asked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle, islice
from pathlib import Path

from common import ROOT  # noqa: F401 - puts the repository on the path

from retrain.dataset.split import poets_percentage

# The only suffixes that every peer reads.
SUFFIXES = (".jpg", ".jpeg")
QUALITY = 90


def class_folders(folder: Path) -> dict[str, list[Path]]:
    """List the JPEG photographs of each class folder; folders without any are left out."""
    listed = {
        part.name: sorted(path for path in part.iterdir() if path.suffix in SUFFIXES)
        for part in sorted(folder.iterdir())
        if part.is_dir()
    }
    return {name: paths for name, paths in listed.items() if paths}


def lay_out(source: Path, target: Path, photographs: int) -> int:
    """Copy photographs of each class in turn until there are enough, each copy with other bytes behind the picture.

    Returns:
        How many there are: `photographs`, rounded down to as many of each class.
    """
    classes = class_folders(source)
    wanted = photographs // len(classes)
    for name, paths in classes.items():
        folder = target / name
        folder.mkdir(parents=True)
        for number, path in enumerate(islice(cycle(paths), wanted)):
            (folder / codelab_name(folder, number)).write_bytes(path.read_bytes() + b"copy %d" % number)
    return wanted * len(classes)


def lay_out_large(source: Path, target: Path, photographs: int, size: tuple[int, int]) -> int:
    """Enlarge photographs of each class to one size; size: width and height in pixels.

    Returns:
        How many there are: `photographs`, rounded down to as many of each class.
    """
    classes = class_folders(source)
    wanted = photographs // len(classes)
    jobs = []
    for name, paths in classes.items():
        folder = target / name
        folder.mkdir(parents=True)
        copies = enumerate(islice(cycle(paths), wanted))
        jobs += [(path, folder / codelab_name(folder, number), number) for number, path in copies]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda job: _enlarge(*job, size), jobs))
    return wanted * len(classes)


def _enlarge(source: Path, target: Path, number: int, size: tuple[int, int]) -> None:
    from PIL import Image

    file = io.BytesIO()
    with Image.open(source) as image:
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=QUALITY)
    target.write_bytes(file.getvalue() + b"copy %d" % number)


def codelab_name(folder: Path, number: int) -> str:
    """Name a photograph so that the codelab's rule, which hashes its path, puts it where ours could.

    Of ten in a row one is for validation and one for the test: with a side left empty, the codelab's retrain.py ends
    in a division by zero.
    """
    return next(name for name in _names(number) if _side(folder / name) == min(number % 10, 2))


def _names(number: int) -> Iterator[str]:
    return (f"{number}-{attempt}.jpg" for attempt in count())


def _side(path: Path) -> int:
    """0 validation, 1 test, 2 training, at ten percent each for the first two."""
    return min(int(poets_percentage(str(path)) // 10), 2)
