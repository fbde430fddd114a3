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

from retrain.images.decoding import is_wide, upper_bits
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
    whole = np.asarray(_opaque(image))
    height, width, _ = whole.shape
    return Picture(height, width, lambda rows, columns: whole.take(rows, axis=0).take(columns, axis=1))


def _opaque(image: Image.Image) -> Image.Image:
    if is_wide(image):
        return upper_bits(image).convert("RGB")
    # Trap: decoding empties the list of tiles.
    frame = image.tile[0].extents if isinstance(image, GifImageFile) else None
    image.load()
    # A transparent colour is a colour; Pillow would warn that its transparency is lost.
    image.info.pop("transparency", None)
    whole = image.convert("RGB")
    return whole.crop(frame) if frame is not None else whole
