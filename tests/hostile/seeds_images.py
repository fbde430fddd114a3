"""The seeds of the mutation tests: some 290 small images of every kind that is read, the same on every machine.

To these come the files of the folder that RETRAIN_AWKWARD names, where it does: images that broke one decoder or another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import seeds_jpeg
import seeds_png
import sky_files
from PIL import Image
from support import scene

FINDS = Path(__file__).parent / "finds"
# Larger ones of the folder would make a mutant cost a hundred times as much as one of a seed.
MOST_BYTES = 60_000
_SIZE = (25, 19)


def seeds() -> list[tuple[str, bytes]]:
    """Name and bytes of each that is made here."""
    picture = scene(1, _SIZE)
    return [*seeds_jpeg.seeds(picture), *seeds_png.seeds(picture), *_sky()]


def finds() -> list[tuple[str, bytes]]:
    """What broke this program once."""
    return [(path.name, path.read_bytes()) for path in sorted(FINDS.iterdir()) if path.suffix != ".md"]


def awkward(most_bytes: int = MOST_BYTES) -> list[tuple[str, bytes]]:
    """The folder's files, those that are not too large; none where no folder is named."""
    folder = os.environ.get("RETRAIN_AWKWARD", "")
    paths = sorted(Path(folder).rglob("*")) if folder else []
    found = [(str(path.relative_to(folder)), path) for path in paths if path.is_file()]
    return [(name, path.read_bytes()) for name, path in found if 0 < path.stat().st_size <= most_bytes]


def _sky() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    grey, colours = (rng.integers(0, 60_000, (*planes, 13, 21)) for planes in ((), (3,)))
    for kind in (">u1", ">i2", ">i4", ">i8", ">f4", ">f8"):
        yield f"fits {kind[1:]}", sky_files.fits_bytes((grey % 200).astype(kind))
    yield "fits planes", sky_files.fits_bytes(colours.astype(">f4"))
    yield "fits gzip", sky_files.fits_gz(grey.astype(">f4"))
    yield "fits second", sky_files.fits_bytes(None, grey.astype(">f4"), colours.astype(">i2"))
    for method in ("RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1"):
        yield f"fits {method}", sky_files.fits_fz(grey.astype(">i2") % 99, method)
    yield "fits float tiles", sky_files.fits_fz(grey.astype(">f4"), "RICE_1", quantize_level=4)
    yield (
        "fits header",
        sky_files.header(*sky_files.sized(16, 21, 13), "BZERO   =   32768", "BLANK   =       0") + bytes(2880),
    )
    yield "fits many axes", sky_files.header(*sky_files.sized(8, *[1] * 99)) + bytes(2880)
    for planes in (1, 2, 3, 4):
        yield f"png 16 bits {planes} planes", sky_files.png16(rng.integers(0, 65_535, (13, 21, planes)))
    yield from _tiffs(grey)


def _tiffs(grey: np.ndarray) -> Iterator[tuple[str, bytes]]:
    colours = np.stack([grey, grey // 2, grey // 3], axis=-1)
    for order in "<>":
        for kind in ("u2", "i4", "f4"):
            yield f"tiff {kind} {order}", sky_files.tiff(grey.astype(kind), order)
        yield f"tiff colours {order}", sky_files.tiff(colours.astype("u2"), order, orientation=6)
        yield f"tiff colours deflated {order}", sky_files.tiff(colours.astype("u2"), order, deflate=True)
    yield "tiff 8 bits", sky_files.tiff((grey % 250).astype("u1"))
    wide = Image.fromarray(grey.astype(np.uint16))
    for method in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
        yield f"tiff {method}", seeds_jpeg.saved(wide, "TIFF", compression=method)
    yield "tiff two pages", seeds_jpeg.saved(wide, "TIFF", save_all=True, append_images=[wide])
