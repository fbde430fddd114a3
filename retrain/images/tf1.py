"""The pixels that the codelab's label_image fed its graph under TensorFlow 1: for graphs that were trained on such.

A photograph is decoded in full as TensorFlow 1 decoded it (tf1_decoding.py), not turned, and resized by its
ResizeBilinear: each new pixel is mixed of the four old ones around it, without antialiasing and without rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrain.images.opening import with_image
from retrain.images.spec import LIMITS, Floats, ImageLimits, InputSpec
from retrain.images.tf1_decoding import tf1_picture
from retrain.images.tf1_jpeg import Places


def decode_tf1(data: bytes, spec: InputSpec, limits: ImageLimits = LIMITS) -> Floats:
    """Decode an image and resize it as the codelab's label_image does under TensorFlow 1.

    WebP, 8-bit and 32-bit BMP and animations, which that script could not label, are decoded in the same manner.

    Args:
        data: the file's bytes.
        spec: gives height and width.
        limits: checked from the header, before decoding.

    Returns:
        float32 (height, width, 3), RGB, 0 to 255, not rounded, not turned by EXIF; for `normalise`.

    Raises:
        ImageError: the bytes are not an image that is read, are damaged, or pass a limit.
    """
    return with_image(data, limits, lambda image: _resized(image, spec), spec.sky)


def _resized(image: Image.Image, spec: InputSpec) -> Floats:
    picture = tf1_picture(image)
    down, across = _mixtures(picture.height, spec.height), _mixtures(picture.width, spec.width)
    # Only the pixels that are mixed are made: of a large photograph few.
    pixels = picture.at(np.concatenate([down.first, down.second]), np.concatenate([across.first, across.second]))
    rows = _mixed(pixels[:, : spec.width], pixels[:, spec.width :], across.share[:, np.newaxis])
    return _mixed(rows[: spec.height], rows[spec.height :], down.share[:, np.newaxis, np.newaxis])


@dataclass(frozen=True)
class _Mixtures:
    """Of which two old places each new one is mixed along one axis, and the share of the second, 0 to 1."""

    first: Places
    second: Places
    share: Floats


def _mixtures(old: int, new: int) -> _Mixtures:
    # Old corners on new ones, not centres on centres; in float32 as the original, whose roundings show in large images.
    places = np.arange(new, dtype=np.float32) * (np.float32(old) / np.float32(new))
    first = places.astype(np.intp)
    return _Mixtures(first, np.minimum(first + 1, old - 1), places - first.astype(np.float32))


def _mixed(first: npt.NDArray[Any], second: npt.NDArray[Any], share: Floats) -> Floats:
    """Compute first + (second - first) * share in float32."""
    mixed = second.astype(np.float32)
    mixed -= first
    mixed *= share
    mixed += first
    return mixed
