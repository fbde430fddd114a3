"""Pictures with more than 8 bits a value: told by their first bytes, read as numbers, stretched to 8-bit RGB.

What has 8 bits already was stretched by somebody; it is left to opening.py. Here are
    FITS        the first picture of one plane, or of three (red, green, blue), as it is or compressed by gzip or tiles
    TIFF        16-bit grey, RGB and RGBA, 32-bit integers, 32-bit float grey; the first page; no other TIFF
    PNG         16-bit grey, RGB, and both with alpha
Where alpha is 0 there is no picture: those values are black, and the limits are found without them.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from retrain.errors import ImageError
from retrain.images.fits import GZIP_MAGIC, read_fits
from retrain.images.fits import MAGIC as FITS_MAGIC
from retrain.images.headers import check_bytes, check_size, check_structure
from retrain.images.sky import SkyStretch, Values, stretched
from retrain.images.spec import ImageLimits

_TIFF_MAGICS = (b"II*\0", b"MM\0*")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# Of values as they lie in the file: with stretching, 4 s and five times as much memory. 20 million pixels with alpha.
MAX_BYTES = 160_000_000
# Where a PNG says how many bits a value has: in its first chunk.
_PNG_DEPTH_AT = 24
_GREY_MODES = ("I;16", "I;16L", "I;16B", "I", "F")
_READ = "of TIFF, 16-bit grey or RGB and 32-bit grey are read; save it as one of these, as FITS, or with 8 bits as PNG"
_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER = "B" if _NATIVE == "L" else "L"


@dataclass(frozen=True)
class _Plan:
    """How Pillow is made to give 16-bit colours in two halves: it keeps one byte of two, which one can be chosen."""

    mode: str
    upper: str
    lower: str


def _plans() -> dict[str, _Plan]:
    plans = {}
    for mode in ("RGB", "RGBX", "RGBA"):
        for order, other in (("B", "L"), ("L", "B"), ("N", _OTHER)):
            plans[f"{mode};16{order}"] = _Plan(mode.replace("X", ""), f"{mode};16{order}", f"{mode};16{other}")
    return plans


_PLANS = _plans()


def deep_format(data: bytes) -> str:
    """Tell a picture with more than 8 bits a value by its first bytes.

    Args:
        data: the file's bytes, or at least 25 of them.

    Returns:
        "FITS" (compressed by gzip, too: what is in it shows when it is read), "TIFF" or "PNG"; empty for whatever else.
    """
    if data.startswith((FITS_MAGIC, GZIP_MAGIC)):
        return "FITS"
    if data.startswith(_TIFF_MAGICS):
        return "TIFF"
    is_deep_png = data.startswith(_PNG_MAGIC) and data[_PNG_DEPTH_AT : _PNG_DEPTH_AT + 1] == b"\x10"
    return "PNG" if is_deep_png else ""


def deep_picture(data: bytes, sky: SkyStretch, limits: ImageLimits) -> Image.Image:
    """Read a picture with more than 8 bits a value, and bring it to 8.

    Args:
        data: the file's bytes, for which `deep_format` names a format.
        sky: how.
        limits: checked from the header.

    Returns:
        RGB, upright, of the picture's own size.

    Raises:
        ImageError: it is not read, is damaged, or passes a limit; or astropy is not installed.
    """
    name = deep_format(data)
    check_bytes(data, limits)
    try:
        if name == "FITS":
            # Turned over at last: rows of FITS go upwards, and zscale's sample of them is to be astropy's.
            return _picture(stretched(read_fits(data, limits), sky)[..., ::-1, :])
        return _picture(stretched(_read_with_pillow(data, name, limits), sky))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too large", str(error)) from error
    except UnidentifiedImageError as error:
        raise ImageError("damaged", f"{name}, damaged or of a kind that is not read; {_READ}") from error
    except Exception as error:
        # As in opening.py: whatever the damage led a decoder to means that these bytes are not a whole picture.
        raise ImageError("damaged", f"{name}: {str(error) or type(error).__name__}") from error


def deep_as_bmp(data: bytes, sky: SkyStretch, limits: ImageLimits) -> bytes:
    """Make an 8-bit file of a picture with more, for what takes files.

    Args:
        data: as of `deep_picture`.
        sky: how.
        limits: checked from the header.

    Returns:
        A BMP, which loses nothing of the 8 bits.

    Raises:
        ImageError: as of `deep_picture`.
    """
    file = io.BytesIO()
    deep_picture(data, sky, limits).save(file, "BMP")
    return file.getvalue()


def stretched_picture(picture: Image.Image, sky: SkyStretch) -> Image.Image:
    """Bring a picture that a program holds to 8 bits.

    Args:
        picture: grey with more than 8 bits.
        sky: how.

    Returns:
        RGB.
    """
    return _picture(stretched(np.asarray(picture), sky))


def _picture(levels: npt.NDArray[np.uint8]) -> Image.Image:
    if levels.ndim == 2:
        return Image.fromarray(levels).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(levels, 0, -1)))


def _read_with_pillow(data: bytes, name: str, limits: ImageLimits) -> Values:
    """Real numbers (H, W) or (3, H, W), upright."""
    check_structure(data, name, limits)
    with Image.open(io.BytesIO(data), formats=(name,)) as image:
        check_size(*image.size, limits)
        raw = _raw_mode(image)
        _check_unpacked(image, raw)
        if image.mode in _GREY_MODES and ";8" not in raw:
            return _grey(image, raw)
    if raw == "LA;16B":
        both = _half(data, name, "RGBA", "RGBA").astype(np.float32)
        grey, alpha = both[..., 0] * 256 + both[..., 1], both[..., 2] + both[..., 3]
        return np.where(alpha > 0, grey, np.nan)
    plan = _PLANS.get(raw)
    if plan is None:
        raise ImageError(
            "not an image",
            f"{name} of mode {image.mode} ({raw or 'of several'}); {_READ}",
        )
    return _colours(data, name, plan)


def _check_unpacked(image: Image.Image, raw: str) -> None:
    item = 2 if "16" in raw else 4
    size = image.width * image.height * item * len(image.getbands())
    if size > MAX_BYTES:
        raise ImageError("too large", f"{size} bytes unpacked, at most {MAX_BYTES} are read")


def _raw_mode(image: Image.Image) -> str:
    """How the values lie in the file, in Pillow's words; the same for all of its tiles, or empty."""
    found = {tile.args if isinstance(tile.args, str) else str((tile.args or [""])[0]) for tile in image.tile}  # type: ignore[attr-defined]
    return found.pop() if len(found) == 1 else ""


def _grey(image: Image.Image, raw: str) -> Values:
    if image.tile[0].codec_name == "libtiff" and raw.endswith(("B", "BF", "BS")):  # type: ignore[attr-defined]
        # Trap: libtiff has put the bytes into this machine's order already; Pillow turns those of 32 bits once more.
        native = raw.replace("B", "N")
        image.tile = [tile._replace(args=(native, *tile.args[1:])) for tile in image.tile]  # type: ignore[attr-defined]
    values: Values = np.asarray(image)
    return values


def _colours(data: bytes, name: str, plan: _Plan) -> Values:
    upper, lower = (_half(data, name, plan.mode, raw) for raw in (plan.upper, plan.lower))
    whole = upper.astype(np.uint16)
    whole <<= 8
    whole |= lower
    del upper, lower
    planes: Values = np.moveaxis(whole[..., :3], -1, 0)
    if plan.mode == "RGBA":
        planes = planes.astype(np.float32)
        planes[:, whole[..., 3] == 0] = np.nan
    return planes


def _half(data: bytes, name: str, mode: str, raw: str) -> npt.NDArray[np.uint8]:
    """Decode with one byte of each value."""
    with Image.open(io.BytesIO(data), formats=(name,)) as image:
        image._mode = mode
        changed = [
            tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in image.tile
        ]
        image.tile = changed
        return np.asarray(image)
