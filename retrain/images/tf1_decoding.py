"""Image to pixels as TensorFlow 1's decode_jpeg, decode_png, decode_gif and decode_bmp gave them.

They are not what other models are fed with: alpha is dropped, not laid over white; of a GIF only the frame is kept, not
the canvas around it; JPEG has a module of its own (tf1_jpeg.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile

from retrain.images.decoding import bands, is_wide, upper_bits
from retrain.images.spec import Pixels
from retrain.images.tf1_jpeg import Places, jpeg_pixels


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Args:
        height: pixels.
        width: pixels.
        at: makes uint8 (rows, columns, 3), RGB, of the numbers of rows and columns that are wanted.
    """

    height: int
    width: int
    at: Callable[[Places, Places], Pixels]


def tf1_picture(image: Image.Image) -> Picture:
    """Decode an image in full.

    Args:
        image: opened, not decoded yet; of any mode. It is used up.
    """
    if isinstance(image, JpegImageFile):
        return Picture(image.height, image.width, jpeg_pixels(image))
    whole = _frame(image)
    return Picture(whole.height, whole.width, lambda rows, columns: _at(whole, rows, columns))


def _frame(image: Image.Image) -> Image.Image:
    # Trap: decoding empties the list of tiles.
    frame = image.tile[0].extents if isinstance(image, GifImageFile) else None
    image.load()
    # A transparent colour is a colour; Pillow would warn that its transparency is lost.
    image.info.pop("transparency", None)
    return image.crop(frame) if frame is not None else image


def _at(image: Image.Image, rows: Places, columns: Places) -> Pixels:
    pixels = np.empty((len(rows), len(columns), 3), np.uint8)
    for band in bands(*image.size):
        here = np.flatnonzero((rows >= band.start) & (rows < band.stop))
        if len(here):
            part = np.asarray(_opaque(image.crop((0, band.start, image.width, band.stop))))
            pixels[here] = part.take(rows[here] - band.start, axis=0).take(columns, axis=1)
    return pixels


def _opaque(image: Image.Image) -> Image.Image:
    return (upper_bits(image) if is_wide(image) else image).convert("RGB")
