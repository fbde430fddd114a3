"""One pass over each photograph's bytes: the few numbers by which photographs are compared with one another.

The hash is a pHash: the signs, against their median, of the lowest frequencies of a discrete cosine transform of a grey
picture of 32 x 32 (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Everything is
measured on a picture of 128 x 128, whatever the photograph's size, so that large and small ones are comparable; decoded
at the nearest scale of a JPEG above that. 1.0 ms a photograph of 400 x 300 on one core, 1.2 KB kept of each.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from retrain.errors import ImageError
from retrain.images import LIMITS, Floats, ImageLimits, Pixels, SkyStretch, decode_upright, deep_format, resize_rgb
from retrain.images.deep import deep_as_bmp
from retrain.images.opening import with_image

# Pixels a side of the picture that is measured, and of the thumbnail that is kept.
MEASURED = 128
THUMBNAIL = 32
# Frequencies a side of the hash: 8 x 8 of which the first, the mean, is left out.
_FREQUENCIES = 8
HASH_BITS = _FREQUENCIES * _FREQUENCIES - 1
# Rows and columns at the edge of the measured picture that count as border.
_BORDER = 2
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
# Files that are waited for at a time.
_QUEUE = 64
_BAD_EXIF = (ValueError, TypeError, LookupError, OSError, SyntaxError, OverflowError, struct.error, UserWarning)

_places = np.arange(THUMBNAIL)
_COSINES = np.cos(np.pi * (2 * _places + 1) * _places[:_FREQUENCIES, np.newaxis] / (2 * THUMBNAIL)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of one photograph.

    Args:
        sha256: of the file's bytes, 32 bytes.
        bits: bool (HASH_BITS,), the perceptual hash.
        thumbnail: uint8 (32, 32), grey, 0 to 255, upright.
        format: "JPEG", "PNG", "GIF", "BMP" or "WEBP", "FITS" or "TIFF", by the magic bytes.
        camera: make and model by EXIF; empty where there are none.
        width: pixels, upright, before any scaling.
        height: pixels.
        file_bytes: size of the file.
        compression: mean step of a JPEG's first table, 1 (best) to 255; 0 for other formats.
        brightness: mean grey, 0 to 255.
        contrast: standard deviation of grey, 0 to 127.5.
        entropy: of the grey levels in 64 steps, bits, 0 to 6.
        sharpness: logarithm (base 10) of the variance of a Laplacian over that of grey, both of the measured picture.
        border: mean grey of the outermost 1.6 % on the four sides, 0 to 255.
        border_spread: its standard deviation: 0 where a frame of one colour was drawn.
    """

    sha256: bytes
    bits: npt.NDArray[np.bool_]
    thumbnail: Pixels
    format: str
    camera: str
    width: int
    height: int
    file_bytes: int
    compression: float
    brightness: float
    contrast: float
    entropy: float
    sharpness: float
    border: float
    border_spread: float


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of a set, a column each; N photographs that could be read.

    Args:
        paths: N paths, as they were given.
        places: intp (N,), where each stands in what was given.
        sha256: uint8 (N, 32).
        bits: bool (N, HASH_BITS).
        thumbnails: uint8 (N, 32, 32).
        formats: N formats.
        cameras: N cameras.
        numbers: the other fields of Fingerprint by name, float64 (N,).
        refused: place -> why a photograph could not be read.
    """

    paths: tuple[str, ...]
    places: npt.NDArray[np.intp]
    sha256: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.bool_]
    thumbnails: Pixels
    formats: tuple[str, ...]
    cameras: tuple[str, ...]
    numbers: dict[str, npt.NDArray[np.float64]]
    refused: dict[int, str]

    def __len__(self) -> int:
        return len(self.paths)


_NUMBERS = (
    "width",
    "height",
    "file_bytes",
    "compression",
    "brightness",
    "contrast",
    "entropy",
    "sharpness",
    "border",
    "border_spread",
)


def fingerprint(data: bytes, sky: SkyStretch | None = None) -> Fingerprint:
    """Measure one photograph.

    Args:
        data: the file's bytes.
        sky: how a run stretches pictures with more than 8 bits a value, which are measured so; None: it does not.

    Returns:
        Its fingerprint.

    Raises:
        ImageError: the bytes are not an image that is read, are damaged, or pass a limit.
    """
    if sky is not None and (deep := deep_format(data)):
        plain = deep_as_bmp(data, sky, LIMITS)
        # Trap: a picture that keeps the limits is larger as a BMP than a file may be.
        found = _measured(plain, replace(LIMITS, max_bytes=len(plain)))
        return replace(found, sha256=hashlib.sha256(data).digest(), format=deep, file_bytes=len(data))
    return _measured(data, LIMITS)


def _measured(data: bytes, limits: ImageLimits) -> Fingerprint:
    header = with_image(data, limits, _header)
    colours = resize_rgb(decode_upright(data, MEASURED, MEASURED, limits), MEASURED, MEASURED)
    grey: Floats = colours.astype(np.float32) @ _GREY
    step = MEASURED // THUMBNAIL
    small = grey.reshape(THUMBNAIL, step, THUMBNAIL, step).mean(axis=(1, 3))
    edge = np.ones((MEASURED, MEASURED), np.bool_)
    edge[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    return Fingerprint(
        sha256=hashlib.sha256(data).digest(),
        bits=hash_bits(small),
        thumbnail=np.rint(small).astype(np.uint8),
        format=header.format,
        camera=header.camera,
        width=header.width,
        height=header.height,
        file_bytes=len(data),
        compression=header.compression,
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        entropy=_entropy(grey),
        sharpness=_sharpness(grey),
        border=float(grey[edge].mean()),
        border_spread=float(grey[edge].std()),
    )


def hash_bits(small: Floats | Pixels) -> npt.NDArray[np.bool_]:
    """Compute perceptual hashes.

    Args:
        small: float32 or uint8 (..., 32, 32), grey.

    Returns:
        bool (..., HASH_BITS).
    """
    waves = _COSINES @ small.astype(np.float32) @ _COSINES.T
    values = waves.reshape(*small.shape[:-2], HASH_BITS + 1)[..., 1:]
    found: npt.NDArray[np.bool_] = values > np.median(values, axis=-1, keepdims=True)
    return found


def gathered(paths: Sequence[str], found: Iterable[Fingerprint | ImageError]) -> Fingerprints:
    """Put fingerprints into columns, one after the other.

    Args:
        paths: N names.
        found: as many answers, in the same order.

    Returns:
        The table.
    """
    total, kept = len(paths), 0
    places = np.empty(total, np.intp)
    sha256, bits = np.empty((total, 32), np.uint8), np.empty((total, HASH_BITS), np.bool_)
    thumbnails = np.empty((total, THUMBNAIL, THUMBNAIL), np.uint8)
    numbers = {name: np.empty(total) for name in _NUMBERS}
    formats: list[str] = []
    cameras: list[str] = []
    refused: dict[int, str] = {}
    for place, one in enumerate(found):
        if isinstance(one, ImageError):
            refused[place] = str(one)
            continue
        places[kept], sha256[kept], bits[kept] = place, np.frombuffer(one.sha256, np.uint8), one.bits
        thumbnails[kept] = one.thumbnail
        for name, column in numbers.items():
            column[kept] = getattr(one, name)
        formats.append(one.format)
        cameras.append(one.camera)
        kept += 1
    return Fingerprints(
        tuple(paths[place] for place in places[:kept]),
        places[:kept],
        sha256[:kept],
        bits[:kept],
        thumbnails[:kept],
        tuple(formats),
        tuple(cameras),
        {name: column[:kept] for name, column in numbers.items()},
        refused,
    )


@dataclass(frozen=True)
class _Header:
    format: str
    camera: str
    width: int
    height: int
    compression: float


def _header(image: Image.Image) -> _Header:
    """Say what can be said before decoding."""
    compression = 0.0
    if isinstance(image, JpegImageFile) and image.quantization:
        compression = float(np.mean(image.quantization[min(image.quantization)]))
    width, height = image.size
    orientation, camera = _exif(image)
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    # Phones append a depth map or a film to a JPEG, which Pillow calls MPO.
    image_format = "JPEG" if image.format == "MPO" else str(image.format)
    return _Header(image_format, camera, width, height, compression)


def _exif(image: Image.Image) -> tuple[int, str]:
    if image.format == "JPEG" and "exif" not in image.info:
        return 1, ""
    try:
        exif = image.getexif()
        words = (str(exif.get(tag, "")).strip(" \0") for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
        return int(exif.get(ExifTags.Base.Orientation, 1)), " ".join(word for word in words if word)
    except _BAD_EXIF:
        return 1, ""  # as in images/decoding.py: damaged metadata is no reason to lose a photograph


def _entropy(grey: Floats) -> float:
    shares = np.bincount((grey.ravel() / 4).astype(np.intp), minlength=64) / grey.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _sharpness(grey: Floats) -> float:
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(np.log10((laplacian.var() + 1e-3) / (grey.var() + 1e-3)))
