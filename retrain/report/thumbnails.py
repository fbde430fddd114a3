"""Small pictures: tiles of all photographs on a few sheets, some larger, heat laid over some; bounded in bytes."""

from __future__ import annotations

import io
import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrain.album import SIDE, Album, ReadPhotograph, reader
from retrain.images import Pixels, resize_rgb
from retrain.insight.heat import overlay
from retrain.litert import usable_cores
from retrain.report.choosing import Chosen
from retrain.report.facts import Floats, Heat
from retrain.threads import in_order

__all__ = ["MAX_BYTES", "Picture", "Pictures", "ReadPhotograph", "make_pictures", "reader", "tile_side"]

# Tiles of up to so many photographs are so many pixels wide: multiples of 16, which JPEG's blocks never cross.
_SIDES = ((150, SIDE), (600, 112), (1500, 80), (10**9, 64))
_QUALITIES = (68, 55, 42, 30, 18, 8)
# Pixels of the longer side of a larger picture, and of one with heat; tiles in a row of a sheet, at most.
_LARGE, _GRID = 288, 16
_LARGE_QUALITIES = (74, 55, 35, 15)
# Of what the sheets may take up on the page, as base64; and of a larger picture, as JPEG: photographs have some 15,000.
MAX_BYTES, _LARGE_BYTES = 5_600_000, 24_000
_GREY = 128


@dataclass(frozen=True)
class Picture:
    """One larger picture.

    Args:
        uri: data URI.
        width: pixels.
        height: pixels.
    """

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Pictures:
    """All pictures of the page.

    Args:
        sheets: data URIs of square JPEGs, each of ``grid`` by ``grid`` tiles.
        grid: tiles in a row.
        side: pixels of a tile.
        places: photograph -> sheet, column and row of its tile.
        gone: photographs that cannot be read any more.
        large: photograph -> larger picture.
        heated: photograph -> the same with heat over it.
    """

    sheets: tuple[str, ...]
    grid: int
    side: int
    places: Mapping[int, tuple[int, int, int]]
    gone: frozenset[int]
    large: Mapping[int, Picture]
    heated: Mapping[int, Picture]


def tile_side(count: int) -> int:
    """Say how large tiles are.

    Args:
        count: photographs that are shown.

    Returns:
        Pixels a side.
    """
    return next(side for most, side in _SIDES if count <= most)


def make_pictures(
    chosen: Chosen, heats: Sequence[Heat], read: ReadPhotograph, max_bytes: int = MAX_BYTES, threads: int = 0
) -> Pictures:
    """Make all pictures of the page, in as many threads as there are cores.

    Args:
        chosen: which photographs, and which of them large.
        heats: heat maps of some of those.
        read: an album, or what gives a photograph's bytes; called from the threads.
        max_bytes: of all sheets as base64; where they would take more, tiles get coarser.
        threads: how many; 0: one a core.

    Returns:
        The pictures; the same for the same photographs whatever the number of threads.
    """
    album = read if isinstance(read, Album) else Album(read, threads=threads)
    threads = threads or usable_cores()
    rows = chosen.shown.tolist()
    side = tile_side(len(rows))
    tiles = album.squares(rows, side)
    large, heated = _larger(chosen, heats, album, threads)
    grid, places = _places(rows)
    sheets = _fitting_sheets(tiles, grid, side, max_bytes, threads)
    gone = frozenset(row for row, tile in zip(rows, tiles, strict=True) if tile is None)
    return Pictures(sheets, grid, side, places, gone, large, heated)


def _larger(
    chosen: Chosen, heats: Sequence[Heat], album: Album, threads: int
) -> tuple[dict[int, Picture], dict[int, Picture]]:
    """Make the larger pictures, and those with heat."""
    heat_of = {heat.row: heat.weights for heat in heats}
    rows = sorted(chosen.large)

    def both(row: int) -> tuple[Picture | None, Picture | None]:
        return _both(album.upright(row, _LARGE), heat_of.get(row))

    made = dict(zip(rows, in_order(both, rows, threads, 4 * threads), strict=True))
    large = {row: picture for row, (picture, _) in made.items() if picture is not None}
    return large, {row: picture for row, (_, picture) in made.items() if picture is not None}


def _both(image: Image.Image | None, heat: Floats | None) -> tuple[Picture | None, Picture | None]:
    if image is None:
        return None, None
    scale = min(_LARGE / max(image.size), 1.0)
    width, height = (max(round(edge * scale), 1) for edge in image.size)
    pixels = resize_rgb(image, height, width)
    return _picture(pixels), None if heat is None else _heated(pixels, heat)


def _heated(pixels: Pixels, heat: Floats) -> Picture:
    return _picture(np.asarray(overlay(Image.fromarray(pixels), np.asarray(heat, np.float64))))


def _places(rows: Iterable[int]) -> tuple[int, dict[int, tuple[int, int, int]]]:
    rows = list(rows)
    grid = min(max(math.isqrt(max(len(rows) - 1, 0)) + 1, 1), _GRID)
    places = {}
    for number, row in enumerate(rows):
        sheet, rest = divmod(number, grid * grid)
        places[row] = (sheet, rest % grid, rest // grid)
    return grid, places


def _fitting_sheets(
    tiles: Sequence[Pixels | None], grid: int, side: int, max_bytes: int, threads: int
) -> tuple[str, ...]:
    parts = [tiles[start : start + grid * grid] for start in range(0, len(tiles), grid * grid)]
    uris: tuple[str, ...] = ()
    for quality in _QUALITIES:

        def encoded(part: Sequence[Pixels | None], quality: int = quality) -> str:
            return _data_uri(_jpeg(_sheet(part, grid, side), quality))

        uris = tuple(in_order(encoded, parts, threads, threads))
        if sum(map(len, uris)) <= max_bytes:
            break
    return uris


def _sheet(tiles: Sequence[Pixels | None], grid: int, side: int) -> npt.NDArray[np.uint8]:
    sheet = np.full((grid, side, grid, side, 3), _GREY, np.uint8)
    for number, tile in enumerate(tiles):
        if tile is not None:
            sheet[number // grid, :, number % grid] = tile
    return sheet.reshape(grid * side, grid * side, 3)


def _picture(pixels: Pixels) -> Picture:
    jpeg = b""
    for quality in _LARGE_QUALITIES:
        jpeg = _jpeg(pixels, quality)
        if len(jpeg) <= _LARGE_BYTES:
            break
    return Picture(_data_uri(jpeg), pixels.shape[1], pixels.shape[0])


def _jpeg(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + b64encode(jpeg).decode("ascii")
