"""FITS images: found and bounded by their headers, read by astropy.

The headers are walked here first, card by card: astropy is handed one image alone, whose size is known and allowed, and
never a header of a million cards. Nothing is mapped into memory, fetched or written.
"""

from __future__ import annotations

import functools
import io
import math
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from retrain.errors import ImageError
from retrain.images.headers import check_size
from retrain.images.sky import Values, no_astropy
from retrain.images.spec import ImageLimits
from retrain.images.tiles import check_tiles

MAGIC = b"SIMPLE  ="
GZIP_MAGIC = b"\x1f\x8b"
_BLOCK, _CARD = 2880, 80
_END = b"END".ljust(_CARD)
# Long headers of mosaics have some ten thousand cards; astropy takes 0.1 s over this many.
MAX_CARDS = 36_000
MAX_HDUS = 1000
_BITS = (8, 16, 32, 64, -32, -64)
# What an extension stands behind when it is read alone.
_EMPTY_PRIMARY = b"".join(
    card.ljust(_CARD)
    for card in (
        b"SIMPLE  =                    T",
        b"BITPIX  =                    8",
        b"NAXIS   =                    0",
        b"EXTEND  =                    T",
        b"END",
    )
).ljust(_BLOCK)


@dataclass(frozen=True)
class _Unit:
    """One header with its data ("HDU"): where it lies, and the cards that say how large it is."""

    start: int
    data_at: int
    cards: dict[bytes, bytes]

    def number(self, name: str, default: int | None = None) -> int:
        text = self.cards.get(name.encode())
        if text is None and default is not None:
            return default
        try:
            return int(text or b"")
        except ValueError as error:
            raise ImageError("damaged", f"FITS: {name} is {(text or b'')[:20]!r}, no whole number") from error

    def axes(self, prefix: str = "") -> list[int]:
        count = self.number(f"{prefix}NAXIS")
        if not 0 <= count <= 999:
            raise ImageError("damaged", f"FITS: {prefix}NAXIS is {count}, expected 0 to 999")
        axes = [self.number(f"{prefix}NAXIS{axis}") for axis in range(1, count + 1)]
        if min(axes, default=0) < 0:
            raise ImageError("damaged", f"FITS: {prefix}NAXIS is negative: {axes[:4]}")
        return axes

    def item_bytes(self, prefix: str = "") -> int:
        bits = self.number(f"{prefix}BITPIX")
        if bits not in _BITS:
            raise ImageError("damaged", f"FITS: {prefix}BITPIX is {bits}, expected one of {_BITS}")
        return abs(bits) // 8

    @property
    def data_bytes(self) -> int:
        more, groups, axes = self.number("PCOUNT", 0), self.number("GCOUNT", 1), self.axes()
        if more < 0 or groups < 0:
            raise ImageError("damaged", f"FITS: PCOUNT is {more}, GCOUNT is {groups}")
        return self.item_bytes() * groups * (more + math.prod(axes)) if axes else 0

    @property
    def end(self) -> int:
        return self.data_at + self.data_bytes

    @property
    def kind(self) -> bytes:
        return self.cards.get(b"XTENSION", b"'IMAGE'").strip(b"' ")

    @property
    def is_compressed(self) -> bool:
        return self.kind == b"BINTABLE" and self.cards.get(b"ZIMAGE") == b"T"

    def shape(self) -> tuple[int, ...]:
        """(H, W) or (3, H, W) of a picture, in numpy's order; () for whatever else."""
        if self.kind != b"IMAGE" and not self.is_compressed:
            return ()
        axes = self.axes("Z" if self.is_compressed else "")
        while len(axes) > 2 and axes[-1] == 1:
            axes.pop()
        is_picture = len(axes) == 2 or (len(axes) == 3 and axes[2] == 3)
        return tuple(reversed(axes)) if is_picture and min(axes) > 0 else ()


def read_fits(data: bytes, limits: ImageLimits) -> Values:
    """Read the first picture of a FITS file.

    Args:
        data: the file's bytes, as they are or compressed by gzip.
        limits: of pixels, and of bytes once unpacked; checked from the header.

    Returns:
        Real numbers (H, W), or (3, H, W) for red, green and blue; the first row is the file's, which is the lowest of
        the sky. Scaled by BSCALE and BZERO; NaN where the file says BLANK.

    Raises:
        ImageError: there is no picture in it, it is damaged, or it passes a limit.
    """
    if data.startswith(GZIP_MAGIC):
        data = _unpacked(data, limits)
    seen = []
    for unit in _units(data):
        shape = unit.shape()
        if shape:
            return _read(data, unit, shape, limits)
        seen.append(unit.kind.decode(errors="replace") + " " + "x".join(map(str, unit.axes())))
    raise ImageError("not an image", f"FITS without a picture of 1 or 3 planes; it holds {', '.join(seen[:4])}")


def _unpacked(data: bytes, limits: ImageLimits) -> bytes:
    """Undo gzip, of one or more members, and stop at the limit."""
    parts, room = [], limits.max_bytes
    try:
        while data.startswith(GZIP_MAGIC):
            member = zlib.decompressobj(31)
            part = member.decompress(data, room + 1)
            room -= len(part)
            if room < 0:
                raise ImageError("too large", f"over {limits.max_bytes} bytes unpacked, no more are read")
            if not member.eof:
                raise ImageError("damaged", "gzip: truncated")
            parts.append(part)
            data = member.unused_data
    except zlib.error as error:
        raise ImageError("damaged", f"gzip: {error}") from error
    whole = b"".join(parts)
    if not whole.startswith(MAGIC):
        raise ImageError("not an image", f"a gzip archive of what is no FITS; it starts with {whole[:8]!r}")
    return whole


def _units(data: bytes) -> Iterator[_Unit]:
    at = 0
    for _ in range(MAX_HDUS):
        # Behind the last extension anything may stand.
        if not data.startswith(b"XTENSION=" if at else MAGIC, at):
            return
        unit = _unit(data, at)
        yield unit
        at = -(-unit.end // _BLOCK) * _BLOCK


def _unit(data: bytes, start: int) -> _Unit:
    cards: dict[bytes, bytes] = {}
    for number in range(MAX_CARDS):
        at = start + number * _CARD
        card = data[at : at + _CARD]
        if card == _END:
            data_at = start + -(-(at + _CARD - start) // _BLOCK) * _BLOCK
            return _Unit(start, data_at, cards)
        if len(card) < _CARD:
            raise ImageError("damaged", "FITS: truncated in its header")
        if card[8:10] == b"= ":
            cards.setdefault(card[:8].rstrip(), card[10:].partition(b"/")[0].strip())
    raise ImageError("damaged", f"FITS: no END among the first {MAX_CARDS} cards of a header")


def _read(data: bytes, unit: _Unit, shape: tuple[int, ...], limits: ImageLimits) -> Values:
    height, width = shape[-2:]
    check_size(width, height, limits)
    unpacked = math.prod(shape) * unit.item_bytes("Z" if unit.is_compressed else "")
    if unpacked > limits.max_bytes:
        raise ImageError("too large", f"{unpacked} bytes unpacked, at most {limits.max_bytes} are read")
    if unit.end > len(data):
        raise ImageError("damaged", f"FITS: truncated, {len(data)} of {unit.end} bytes are there")
    alone = data[unit.start : unit.end]
    alone = (_EMPTY_PRIMARY if unit.start else b"") + alone + bytes(-len(alone) % _BLOCK)
    fits, place = _astropy_fits(), 1 if unit.start else 0
    if unit.is_compressed:
        with _opened(fits, alone, disable_image_compression=True) as units:
            check_tiles(units[place], alone)
    with _opened(fits, alone) as units, np.errstate(all="ignore"):
        found = units[place]
        # Trap: a card that is there twice may be another one's for astropy.
        if math.prod(found.shape) != math.prod(shape):
            raise ImageError("damaged", f"FITS: two sizes in one header, {found.shape} and {shape}")
        values: Values = found.data.reshape(shape)
    return values


def _opened(fits: ModuleType, data: bytes, **more: bool) -> fits.HDUList:  # type: ignore[name-defined]  # noqa: F821
    # Trap: with uint, which is the default, BLANK is not looked at.
    return fits.open(io.BytesIO(data), mode="readonly", memmap=False, uint=False, **more)


@functools.cache
def _astropy_fits() -> ModuleType:
    try:
        # Here, because it is an extra and its import takes 0.2 s.
        from astropy.io import fits
        from astropy.utils.exceptions import AstropyWarning
    except ImportError as error:
        raise no_astropy() from error
    # It would be printed for every file of many a camera: headers that bend the standard are harmless.
    warnings.filterwarnings("ignore", category=AstropyWarning, module=r"astropy\.io\.fits")
    module: ModuleType = fits
    return module
