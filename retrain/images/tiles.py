"""Tile-compressed FITS images (.fz): what is checked before astropy's decoders, which are C and trust the file.

Only the methods whose decoders keep inside what they are given are let through: RICE_1, GZIP_1, GZIP_2 and NOCOMPRESS.
HCOMPRESS_1 and PLIO_1 read sizes out of the stream.
"""

from __future__ import annotations

import math
import re
import zlib
from typing import Any

import numpy as np

from retrain.errors import ImageError

_METHODS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")
_COLUMNS = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA")
# Of RICE_1: other sizes of its blocks let its decoder run in circles.
_LEGAL = {"BLOCKSIZE": (16, 32), "BYTEPIX": (1, 2, 4, 8)}
# The table of random numbers of subtractive dithering has so many.
_MAX_DITHER_SEED = 10_000
_LARGEST_ITEM = 8
# What a column holds is said as "1PB(80)": places of so many bytes.
_PLACES = re.compile(r"1?[PQ]([BIJ])")
_ITEM_BYTES = {"B": 1, "I": 2, "J": 4}


def check_tiles(table: Any, data: bytes) -> None:  # noqa: ANN401 - astropy's BinTableHDU
    """See that unpacking the tiles takes no more than the picture has.

    Args:
        table: the table that holds the tiles, opened without unpacking.
        data: the bytes of the file that it was opened from.

    Raises:
        ImageError: a method that is not read, a parameter out of range, a tile larger than it says, or tiles that lie
            outside of the file or over each other.
    """
    header = table.header
    method = str(header.get("ZCMPTYPE", ""))
    if method not in _METHODS:
        raise ImageError("damaged", f"FITS: compressed by {method[:20]!r}; read are {', '.join(_METHODS)}")
    tile_pixels, tiles = _tiles(header)
    if header["NAXIS2"] != tiles:
        raise ImageError("damaged", f"FITS: {header['NAXIS2']} tiles, expected {tiles}")
    _check_parameters(header)
    heap_at = table.fileinfo()["datLoc"] + int(header.get("THEAP", header["NAXIS1"] * tiles))
    if heap_at < table.fileinfo()["datLoc"]:
        raise ImageError("damaged", "FITS: the tiles lie before their table")
    raw, room = table.data.view(np.ndarray), len(data) - heap_at
    for column in table.columns:
        # Trap: to astropy, names of columns and of parameters are the same in small letters.
        name = column.name.upper()
        if name in _COLUMNS:
            found = _PLACES.match(str(column.format))
            if found is None:
                raise ImageError("damaged", f"FITS: {name} is {str(column.format)[:20]!r}, expected 1PB")
            counts = raw[column.name][:, 0].astype("i8") * _ITEM_BYTES[found[1]]
            places = list(zip(counts.tolist(), raw[column.name][:, 1].tolist(), strict=True))
            room -= _check_places(name, places, room, len(data) - heap_at)
            if name.startswith("GZIP") or (name == "COMPRESSED_DATA" and method.startswith("GZIP")):
                for count, offset in places:
                    _check_gzip(data[heap_at + offset : heap_at + offset + count], tile_pixels * _LARGEST_ITEM)


def _tiles(header: Any) -> tuple[int, int]:  # noqa: ANN401 - astropy's Header
    pixels, count = 1, 1
    for axis in range(1, int(header["ZNAXIS"]) + 1):
        size = header[f"ZNAXIS{axis}"]
        tile = header.get(f"ZTILE{axis}", size if axis == 1 else 1)
        if type(tile) is not int or type(size) is not int or not 1 <= tile <= max(size, 1):
            raise ImageError("damaged", f"FITS: ZTILE{axis} is {tile!r} of {size!r}")
        pixels, count = pixels * tile, count * math.ceil(size / tile)
    return pixels, count


def _check_parameters(header: Any) -> None:  # noqa: ANN401 - astropy's Header
    for card in [card for card in header if card.startswith("ZNAME")]:
        name, value = str(header[card]).strip().upper(), header.get(card.replace("NAME", "VAL"))
        if name in _LEGAL and (type(value) is not int or value not in _LEGAL[name]):
            raise ImageError("damaged", f"FITS: {name} is {value!r}, expected {_LEGAL[name]}")
    seed = header.get("ZDITHER0", 1)
    if type(seed) is not int or not 1 <= seed <= _MAX_DITHER_SEED:
        raise ImageError("damaged", f"FITS: ZDITHER0 is {seed!r}, expected 1 to {_MAX_DITHER_SEED}")


def _check_places(name: str, places: list[tuple[int, int]], room: int, heap_bytes: int) -> int:
    """Check where a column's tiles lie; give the bytes that they take."""
    if any(count < 0 or offset < 0 or offset + count > heap_bytes for count, offset in places):
        raise ImageError("damaged", f"FITS: truncated, tiles of {name} lie outside of the file")
    taken = sum(count for count, _ in places)
    if taken > room:
        raise ImageError("damaged", f"FITS: tiles of {name} lie over each other")
    return taken


def _check_gzip(tile: bytes, most: int) -> None:
    while tile:
        member = zlib.decompressobj(31)
        most -= len(member.decompress(tile, most + 1))
        if most < 0:
            raise ImageError("too large", "a tile of the FITS image unpacks to more than it should")
        if not member.eof:
            raise ImageError("damaged", "FITS: a tile is truncated")
        tile = member.unused_data.lstrip(b"\0")
