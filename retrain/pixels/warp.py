"""Cuts out and turns decoded pictures: one resampling between what is kept and what is trained on.

Both release Python's lock for most of their time, so that a thread a core keeps every core busy. For one picture of
128 x 128 on one core: the cut 0.04 ms (TensorFlow's crop_and_resize 0.18, not antialiased), the turn 0.3 ms (Pillow's
affine transform 0.64 without borders, TensorFlow's ImageProjectiveTransformV3 1.1 on two cores).
"""

from __future__ import annotations

import math
import threading
from typing import Any, NamedTuple

import cykooz_resizer
import numpy as np
import numpy.typing as npt

from retrain.images import Pixels

# Coordinates are whole numbers of 1/65,536 of a pixel, weights of 1/256: the same bits on every machine.
_FRACTION_BITS, _WEIGHT_BITS = 16, 8
_NEARLY_WHOLE = 1e-6
_local = threading.local()
_Lanes = npt.NDArray[np.uint64]


class Box(NamedTuple):
    """A part of a picture, in pixels, from its upper left corner.

    Args:
        top: of its upper edge.
        left: of its left edge.
        height: more than 0.
        width: more than 0.
    """

    top: float
    left: float
    height: float
    width: float


def cut_out(pixels: Pixels, box: Box, height: int, width: int) -> Pixels:
    """Bring a part of a picture to a size.

    Args:
        pixels: uint8 (., ., 3).
        box: the part; edges may lie between pixels.
        height: wanted.
        width: wanted.

    Returns:
        uint8 (height, width, 3), with the antialiased bilinear kernel of retrain.images; a view of ``pixels`` where the
        box lies on whole pixels and has that size.
    """
    top, left = round(box.top), round(box.left)
    if max(abs(a - b) for a, b in zip(box, (top, left, height, width), strict=True)) < _NEARLY_WHOLE:
        return pixels[top : top + height, left : left + width]
    kind = cykooz_resizer.PixelType.U8x3
    source = cykooz_resizer.ImageData(pixels.shape[1], pixels.shape[0], kind, pixels.tobytes())
    target = cykooz_resizer.ImageData(width, height, kind)
    _resizer().resize(source, target, _options(_inside(box, pixels)))
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(height, width, 3)


def warp(pixels: Pixels, matrix: npt.NDArray[np.float64], height: int, width: int) -> Pixels:
    """Look at a picture through an affine map.

    Args:
        pixels: uint8 (., ., 3).
        matrix: float64 (2, 3): x and y in the picture of what stands at (x, y, 1) of the result; pixel n reaches from
            n to n + 1.
        height: of the result.
        width: of the result.

    Returns:
        uint8 (height, width, 3), bilinear, rounded; beyond its edges the picture is mirrored, the edge pixel included.
        Not antialiased: made for maps that shrink by less than a half.
    """
    shape = (height, width)
    x, low_x, high_x = _coordinates(matrix[0], shape, "x")
    y, low_y, high_y = _coordinates(matrix[1], shape, "y")
    rows = _mirrored(low_y, high_y + 1, pixels.shape[0])
    columns = _mirrored(low_x, high_x + 1, pixels.shape[1])
    around = _lanes(pixels, rows, columns)
    place = np.subtract(y >> _FRACTION_BITS, low_y, out=_scratch("place", shape, np.int64))
    place *= len(columns)
    place += (x >> _FRACTION_BITS) - low_x
    return _from_lanes(_blend(around, place, len(columns), _weights(x), _weights(y)))


def _blend(flat: _Lanes, place: npt.NDArray[np.int64], stride: int, across: _Lanes, down: _Lanes) -> _Lanes:
    """Weigh four neighbours; their weights sum to 256 exactly, so no lane runs over into the next."""
    shape = place.shape
    both = np.multiply(across, down, out=_scratch("both", shape))
    both >>= np.uint64(_WEIGHT_BITS)
    across -= both
    down -= both
    weight = np.subtract(np.uint64(1 << _WEIGHT_BITS), across, out=_scratch("weight", shape))
    weight -= down
    weight -= both
    part, total = _scratch("part", shape), _scratch("total", shape)
    # Trap: with the usual mode, take writes to a copy of ``out`` first.
    np.multiply(flat.take(place, out=part, mode="clip"), weight, out=total)
    for offset, weights in ((1, across), (stride, down), (stride + 1, both)):
        flat[offset:].take(place, out=part, mode="clip")
        part *= weights
        total += part
    return total


def _coordinates(
    row: npt.NDArray[np.float64], shape: tuple[int, int], name: str
) -> tuple[npt.NDArray[np.int64], int, int]:
    """Where each pixel's centre comes from, in fixed point, and the first and last whole pixel among them."""
    scale = float(1 << _FRACTION_BITS)
    across = np.rint((row[0] * (np.arange(shape[1]) + 0.5) + row[2] - 0.5) * scale).astype(np.int64)
    down = np.rint(row[1] * (np.arange(shape[0]) + 0.5) * scale).astype(np.int64)
    low, high = int(across.min() + down.min()), int(across.max() + down.max())
    fixed = np.add(across, down[:, None], out=_scratch(name, shape, np.int64))
    return fixed, low >> _FRACTION_BITS, high >> _FRACTION_BITS


def _weights(fixed: npt.NDArray[np.int64]) -> _Lanes:
    """The share of the second of two neighbours, 0 to 255 of 256; written over the coordinates."""
    fixed >>= _FRACTION_BITS - _WEIGHT_BITS
    fixed &= (1 << _WEIGHT_BITS) - 1
    return fixed.view(np.uint64)


def _mirrored(low: int, high: int, length: int) -> npt.NDArray[np.intp]:
    """Indices low to high, both included, thrown back at the edges as often as it takes."""
    folded = np.arange(low, high + 1) % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def _lanes(pixels: Pixels, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> _Lanes:
    """A pixel's three values in 16 bits each of one number, so that one multiplication weighs all three."""
    wide = _scratch("wide", (*pixels.shape[:2], 4), np.uint16)
    for channel in range(3):
        wide[..., channel] = pixels[..., channel]
    lanes: _Lanes = wide.view(np.uint64)[..., 0]
    some = lanes.take(rows, axis=0, out=_scratch("rows", (len(rows), lanes.shape[1])), mode="clip")
    return some.take(columns, axis=1, out=_scratch("around", (len(rows), len(columns))), mode="clip").ravel()


def _from_lanes(total: _Lanes) -> Pixels:
    wide = total.view(np.uint16).reshape(*total.shape, 4)
    wide += np.uint16(1 << (_WEIGHT_BITS - 1))
    wide >>= _WEIGHT_BITS
    result = np.empty((*total.shape, 3), np.uint8)
    for channel in range(3):
        result[..., channel] = wide[..., channel]
    return result


def _scratch(name: str, shape: tuple[int, ...], kind: type[np.generic] = np.uint64) -> npt.NDArray[Any]:
    """A thread's own array, zero at first, used again: fresh memory for each took longer than all the arithmetic."""
    size = math.prod(shape)
    arrays = _local.__dict__.setdefault("arrays", {})
    if name not in arrays or arrays[name].size < size:
        arrays[name] = np.zeros(size, kind)
    array: npt.NDArray[Any] = arrays[name][:size].reshape(shape)
    return array


def _inside(box: Box, pixels: Pixels) -> Box:
    """Take off what rounding put beyond the edges; the resizer refuses that."""
    top, left = max(0.0, box.top), max(0.0, box.left)
    return Box(top, left, min(box.height, pixels.shape[0] - top), min(box.width, pixels.shape[1] - left))


def _resizer() -> Any:  # noqa: ANN401
    if not hasattr(_local, "resizer"):
        _local.resizer = cykooz_resizer.Resizer()
    return _local.resizer


def _options(box: Box) -> Any:  # noqa: ANN401
    kernel = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.bilinear)
    return cykooz_resizer.ResizeOptions(
        kernel, crop_box=cykooz_resizer.CropBox(box.left, box.top, box.width, box.height)
    )
