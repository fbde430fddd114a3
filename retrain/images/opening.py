"""Tells an image's format by its first bytes, and opens it within limits; every failure is an ImageError."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from retrain.errors import ImageError
from retrain.images.deep import deep_format, deep_picture
from retrain.images.headers import check_size, check_structure
from retrain.images.sky import SkyStretch
from retrain.images.spec import ImageLimits

_MAGIC = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "WEBP": (b"RIFF",),
}

# Both would be printed for every such photograph: the limits decide on size, and damaged metadata is harmless.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_T = TypeVar("_T")


def sniff_format(data: bytes) -> str:
    """Tell an image's format by its first bytes.

    Args:
        data: the file's bytes.

    Returns:
        "JPEG", "PNG", "GIF", "BMP" or "WEBP".

    Raises:
        ImageError: it is empty or of no format that is read.
    """
    if not data:
        raise ImageError("empty", "0 bytes")
    for name, magics in _MAGIC.items():
        if data.startswith(magics) and (name != "WEBP" or data[8:12] == b"WEBP"):
            return name
    sky = "; FITS and TIFF with --sky_limits, and by models that were trained with it" if deep_format(data) else ""
    raise ImageError("not an image", f"starts with {data[:8]!r}; JPEG, PNG, GIF, BMP and WebP are read{sky}")


def with_image(data: bytes, limits: ImageLimits, use: Callable[[Image.Image], _T], sky: SkyStretch | None = None) -> _T:
    """Open an image, see that it keeps the limits, and make something of it.

    Args:
        data: the file's bytes.
        limits: checked from the header, before decoding.
        use: decodes it; whatever it raises means that the image is damaged.
        sky: how one with more than 8 bits a value is stretched before; None: as `InputSpec` says.

    Returns:
        What `use` returned.

    Raises:
        ImageError: the bytes are not an image that is read, are damaged, or pass a limit.
    """
    if sky is not None and deep_format(data):
        return use(deep_picture(data, sky, limits))
    image_format = sniff_format(data)
    check_structure(data, image_format, limits)
    try:
        with Image.open(io.BytesIO(data), formats=(image_format,)) as image:
            check_size(*image.size, limits)
            return use(image)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        # Its text names an object of Pillow's at an address, which is another one each time.
        raise ImageError("damaged", f"{image_format}: its header cannot be read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too large", str(error)) from error
    except Exception as error:
        # Pillow's decoders raise whatever the damage led them to (OSError, SyntaxError, ValueError, struct.error,
        # KeyError, TypeError ...): all of it means that these bytes are not a whole image.
        raise ImageError("damaged", f"{image_format}: {str(error) or type(error).__name__}") from error
