"""Image to pixels to model input, upright and in a size: what models are trained on and fed with."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator

import cykooz_resizer
import numpy as np
from PIL import ExifTags, Image

from retrain.errors import ImageError
from retrain.images.deep import stretched_picture
from retrain.images.headers import check_size
from retrain.images.opening import with_image
from retrain.images.sky import SkyStretch
from retrain.images.spec import LIMITS, Floats, ImageLimits, InputSpec, Pixels

# Part of every cache key: raise it when anything here or in opening.py changes a single pixel.
PREPROCESSING_VERSION = 1

# Pixels of which several copies are held at a time.
_AT_ONCE = 1 << 22

_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_local = threading.local()


def decode_rgb(data: bytes, spec: InputSpec, limits: ImageLimits = LIMITS) -> Pixels:
    """Decode an image and bring it to the size a model wants.

    Args:
        data: the file's bytes.
        spec: gives height and width, and how a picture of the sky is stretched.
        limits: checked from the header, before decoding.

    Returns:
        uint8 (height, width, 3), RGB, 0 to 255, upright; the aspect ratio is not kept (as in the original).
        Antialiased bilinear (triangle) kernel.

    Raises:
        ImageError: the bytes are not an image that is read, are damaged, or pass a limit.
    """
    return with_image(data, limits, lambda image: _upright_pixels(image, spec), spec.sky)


def pixels_of(picture: Image.Image, spec: InputSpec) -> Pixels:
    """Bring a picture that a program holds to the size a model wants.

    Args:
        picture: of any mode; not changed.
        spec: gives height and width.

    Returns:
        As decode_rgb, but a large JPEG is decoded in full.

    Raises:
        ImageError: it passes a limit; or it was opened from a damaged file and not decoded yet.
    """
    check_size(*picture.size, LIMITS)
    try:
        if spec.sky is not None and is_wide(picture):
            return _upright_pixels(stretched_picture(picture, spec.sky), spec)
        return _upright_pixels(picture.copy(), spec)  # Trap: draft() would change the size of the caller's own
    except Exception as error:  # as in with_image: one opened from a file is decoded only here
        raise ImageError("damaged", f"{picture.format or 'picture'}: {str(error) or type(error).__name__}") from error


def decode_upright(
    data: bytes, height: int, width: int, limits: ImageLimits = LIMITS, sky: SkyStretch | None = None
) -> Image.Image:
    """Decode an image for somebody who cuts or turns it before it gets the size a model wants.

    Args:
        data: the file's bytes.
        height: pixels; a large JPEG is decoded at the smallest of its scales that is at least this high ...
        width: ... and this wide.
        limits: checked from the header, before decoding.
        sky: as of an InputSpec.

    Returns:
        RGB, upright.

    Raises:
        ImageError: the bytes are not an image that is read, are damaged, or pass a limit.
    """
    return with_image(data, limits, lambda image: _upright_image(image, height, width), sky)


def resize_rgb(image: Image.Image, height: int, width: int) -> Pixels:
    """Resize with the kernel that all pictures are resized with.

    Args:
        image: RGB.
        height: pixels.
        width: pixels.

    Returns:
        uint8 (height, width, 3), RGB, 0 to 255.
    """
    return np.asarray(_resize(image, (width, height)))


def normalise(pixels: Pixels | Floats, spec: InputSpec, out: Floats | None = None) -> Floats:
    """Scale pixels as the backbone was trained on them.

    Args:
        pixels: uint8 or, when distorted, float32 (H, W, 3), RGB, 0 to 255.
        spec: gives mean and standard deviation.
        out: float32 (1, H, W, 3) to write into, a model's input; None makes a new array.

    Returns:
        float32 (1, H, W, 3), (value - mean) / std: -1 to 1 for the MobileNets.
    """
    scaled = np.empty((1, *pixels.shape), np.float32) if out is None else out
    np.subtract(pixels, np.float32(spec.mean), out=scaled[0])
    scaled *= np.float32(1.0 / spec.std)
    return scaled


def is_wide(image: Image.Image) -> bool:
    """Say whether a picture is grey with more than 8 bits.

    Args:
        image: of any mode.
    """
    return image.mode.startswith("I") or image.mode == "F"


def upper_bits(image: Image.Image) -> Image.Image:
    """Keep the upper 8 of 16 bits.

    Args:
        image: one for which `is_wide` holds.

    Returns:
        Mode L.
    """
    # Trap: convert() would clip 16-bit values at 255 instead of scaling them.
    wide = np.asarray(image)
    levels = np.empty(wide.shape, np.uint8)
    for rows in bands(*image.size):
        levels[rows] = (wide[rows].astype(np.float64) / 256).clip(0, 255)
    return Image.fromarray(levels)


def bands(width: int, height: int) -> Iterator[slice]:
    """Divide a picture into rows of which copies may be held: what is held beside it does not grow with it.

    Args:
        width: pixels.
        height: pixels.

    Yields:
        Numbers of rows, from the first to the last; all of them at once where the picture is not large.
    """
    step = max(1, _AT_ONCE // max(1, width))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def values_of(image: Image.Image) -> Pixels:
    """Copy a picture out of Pillow, which itself would hold it three times meanwhile.

    Args:
        image: of 8 bits a value.

    Returns:
        uint8 (height, width) or (height, width, channels).
    """
    parts = (np.asarray(image.crop((0, rows.start, image.width, rows.stop))) for rows in bands(*image.size))
    first = next(parts)
    if len(first) == image.height:
        return first
    whole = np.empty((image.height, *first.shape[1:]), np.uint8)
    whole[: len(first)] = first
    at = len(first)
    for part in parts:
        whole[at : at + len(part)] = part
        at += len(part)
    return whole


def _upright_pixels(image: Image.Image, spec: InputSpec) -> Pixels:
    turn = _TURN.get(_orientation(image))
    # Resizing first and turning the small result is the same picture for less work; so sizes are swapped here.
    size = (spec.height, spec.width) if _is_sideways(turn) else (spec.width, spec.height)
    image.draft("RGB", size)
    small = _resize(_to_rgb(image), size)
    return np.asarray(small.transpose(turn) if turn is not None else small)


def _is_sideways(turn: Image.Transpose | None) -> bool:
    return turn is not None and turn not in (_TURN[2], _TURN[3], _TURN[4])


def _upright_image(image: Image.Image, height: int, width: int) -> Image.Image:
    turn = _TURN.get(_orientation(image))
    image.draft("RGB", (height, width) if _is_sideways(turn) else (width, height))
    whole = _to_rgb(image)
    whole.load()  # the file's bytes are let go of
    if whole is not image:
        image.close()  # its pixels, too
    return whole.transpose(turn) if turn is not None else whole


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize with Pillow's own antialiased kernel, by a library that has it in SIMD: 0.15 ms in place of 0.51."""
    if not hasattr(_local, "resizer"):
        kernel = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.bilinear)
        _local.resizer = (cykooz_resizer.Resizer(), cykooz_resizer.ResizeOptions(kernel))
    resizer, options = _local.resizer
    small = Image.new("RGB", size)
    resizer.resize_pil(image, small, options)
    return small


def _orientation(image: Image.Image) -> int:
    if image.format == "JPEG" and "exif" not in image.info:
        return 1  # getexif() would look for it for another 0.02 ms
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (ValueError, TypeError, LookupError, OSError, SyntaxError, OverflowError, struct.error, UserWarning):
        # Damaged metadata is no reason to lose a photograph: viewers show it unturned, too.
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:  # a PNG may name one of its colours transparent
        return image
    if is_wide(image):
        return upper_bits(image).convert("RGB")
    return _over_white(image) if image.has_transparency_data else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    flat = Image.new("RGB", image.size)
    for rows in bands(*image.size):
        whole = image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA")
        paper = Image.new("RGBA", whole.size, (255, 255, 255, 255))
        flat.paste(Image.alpha_composite(paper, whole).convert("RGB"), (0, rows.start))
    return flat
