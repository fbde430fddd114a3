"""JPEG to pixels, bit for bit as TensorFlow 1's decode_jpeg: libjpeg's fast transform and its smoothed colour.

TensorFlow asks libjpeg for the transform "ifast", whose pixels differ from the exact one's by up to 8 levels, and for
"fancy" upsampling of colour. Pillow gives that transform only together with colours that are repeated instead of
smoothed, so it is asked for brightness and colours as they are stored; what libjpeg does next (jdsample.c, jdcolor.c)
is done here, for no more pixels than are wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.JpegImagePlugin import JpegImageFile

from retrain.images.decoding import values_of
from retrain.images.spec import Pixels

# Numbers of rows or of columns, in any order, also twice.
Places = npt.NDArray[np.intp]
_Values = npt.NDArray[Any]

# What Pillow hands to its decoder: full size, and libjpeg's fast settings.
_FAST = (1, 1)
_RGB_LETTERS = [ord(letter) for letter in "RGB"]


def jpeg_pixels(image: JpegImageFile) -> Callable[[Places, Places], Pixels]:
    """Decode a JPEG in full.

    Args:
        image: opened, not decoded yet; it is used up.

    Returns:
        Makes uint8 (rows, columns, 3), RGB, of the numbers of rows and columns that are wanted.
    """
    steps = _steps(image)
    if image.mode == "CMYK":
        return _inked(image, steps)
    is_ycc = image.mode == "RGB" and _is_ycc(image)
    if is_ycc:
        image.draft("YCbCr", None)
    image.decoderconfig = _FAST
    stored = values_of(image)
    if stored.ndim == 2:
        return lambda rows, columns: np.repeat(_at(stored, rows, columns)[..., np.newaxis], 3, axis=2)
    planes = [(stored[::down, ::across, number], (down, across)) for number, (down, across) in enumerate(steps)]
    finish = _ycc_to_rgb if is_ycc else _stacked
    return lambda rows, columns: finish(*(_upsampled(plane, step, rows, columns) for plane, step in planes))


def _steps(image: JpegImageFile) -> list[tuple[int, int]]:
    """Say of each component how many rows and how many columns of the picture share one of its values."""
    across, down = (max(component[place] for component in image.layer) for place in (1, 2))
    return [(down // component[2], across // component[1]) for component in image.layer]


def _is_ycc(image: JpegImageFile) -> bool:
    # As libjpeg decides it (jdapimin.c).
    if "jfif" in image.info:
        return True
    if "adobe" in image.info:
        return bool(image.info.get("adobe_transform") != 0)
    return [component[0] for component in image.layer] != _RGB_LETTERS


def _inked(image: JpegImageFile, steps: list[tuple[int, int]]) -> Callable[[Places, Places], Pixels]:
    """Turn cyan, magenta, yellow and black into RGB as TensorFlow does: whole numbers, rounded down."""
    # Trap: Pillow gives no stored colours of these, so that the fast transform would cost the smoothing.
    if all(step == (1, 1) for step in steps):
        image.decoderconfig = _FAST
    stored = values_of(image)
    is_light = "adobe" in image.info

    def pixels(rows: Places, columns: Places) -> Pixels:
        found = _at(stored, rows, columns).astype(np.int32)
        # Trap: Pillow takes all of these for Adobe's, which store light in place of ink, and turns them over.
        found = 255 - found if is_light else found
        return (found[..., :3] * found[..., 3:] // 255).astype(np.uint8)

    return pixels


def _at(values: _Values, rows: Places, columns: Places) -> _Values:
    return values.take(rows, axis=0).take(columns, axis=1)


def _upsampled(plane: _Values, step: tuple[int, int], rows: Places, columns: Places) -> _Values:
    """Give a component's values at rows and columns of the picture: "fancy" upsampling, a triangle filter."""
    down, across = step
    is_narrow = plane.shape[1] <= 2
    if step == (2, 1):
        return (_three_to_one(plane, rows, 0).take(columns, axis=1) + _odd(rows, 1, 2)[:, np.newaxis]) >> 2
    if step == (1, 2) and not is_narrow:
        return (_three_to_one(plane.take(rows, axis=0), columns, 1) + _odd(columns, 1, 2)) >> 2
    if step == (2, 2) and not is_narrow:
        return (_three_to_one(_three_to_one(plane, rows, 0), columns, 1) + _odd(columns, 8, 7)) >> 4
    return _at(plane, rows // down, columns // across)


def _three_to_one(values: _Values, places: Places, axis: int) -> _Values:
    """Mix each value with its neighbour on the side where the place lies, 3 to 1, not divided; int16."""
    nearest = places // 2
    other = np.clip(nearest + places % 2 * 2 - 1, 0, values.shape[axis] - 1)
    mixed: _Values = values.take(nearest, axis=axis).astype(np.int16) * np.int16(3)
    mixed += values.take(other, axis=axis)
    return mixed


def _odd(places: Places, even: int, odd: int) -> _Values:
    """Say what is added before dividing: libjpeg rounds now up, now down, by where the place lies."""
    return np.where(places % 2, odd, even).astype(np.int16)


def _ycc_to_rgb(y: _Values, cb: _Values, cr: _Values) -> Pixels:
    # As jdcolor.c has it: 16 bits behind the point, and a half added.
    blueness, redness = cb.astype(np.int32) - 128, cr.astype(np.int32) - 128
    red = y + (91881 * redness + 32768 >> 16)  # 1.402
    green = y + (32768 - 22554 * blueness - 46802 * redness >> 16)  # 0.34414 and 0.71414
    blue = y + (116130 * blueness + 32768 >> 16)  # 1.772
    return _stacked(red, green, blue)


def _stacked(red: _Values, green: _Values, blue: _Values) -> Pixels:
    pixels = np.empty((*red.shape, 3), np.uint8)
    for number, values in enumerate((red, green, blue)):
        np.clip(values, 0, 255, out=pixels[..., number], casting="unsafe")
    return pixels
