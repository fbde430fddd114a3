"""The day that a camera wrote into a photograph: EXIF 2.3, tag DateTimeOriginal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from PIL import Image

from retrain.errors import ImageError
from retrain.images.opening import with_image
from retrain.images.reading import read_image_file
from retrain.images.spec import LIMITS

_EXIF_IFD, _DATE_TIME_ORIGINAL = 0x8769, 0x9003
_DAY = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)\b")


def days_taken(paths: Sequence[str]) -> list[str]:
    """Read on which day photographs were taken.

    Args:
        paths: files or URLs.

    Returns:
        "2024-01-31" for each; empty where the photograph says nothing of it, or cannot be read.
    """
    with ThreadPoolExecutor(thread_name_prefix="dates") as pool:
        return list(pool.map(_day_of_file, paths))


def _day_of_file(path: str) -> str:
    try:
        return day_taken(read_image_file(path))
    except ImageError:
        return ""


def day_taken(data: bytes) -> str:
    """Read on which day a photograph was taken, without decoding it.

    Args:
        data: bytes of an image file.

    Returns:
        "2024-01-31"; empty where it says nothing of it, or no day that there is.

    Raises:
        ImageError: the bytes are not an image that is read.
    """
    return _as_day(with_image(data, LIMITS, lambda image: _original_date(image, data)))


def _original_date(image: Image.Image, data: bytes) -> str:
    # Trap: Image.getexif decodes a whole PNG to look behind its pixels, where the dates usually stand.
    raw = _png_exif(data) if image.format == "PNG" else image.info.get("exif")
    if not raw:
        return ""
    exif = Image.Exif()
    exif.load(raw)
    return str(exif.get_ifd(_EXIF_IFD).get(_DATE_TIME_ORIGINAL, ""))


def _png_exif(data: bytes) -> bytes:
    at = len(b"\x89PNG\r\n\x1a\n")
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"eXIf":
            return data[at + 8 : at + 8 + size]
        at += size + 12  # length, kind and checksum stand around the contents
    return b""


def _as_day(text: str) -> str:
    # Cameras without a set clock write 0000:00:00 or spaces.
    found = _DAY.match(text.strip())
    try:
        return date(*map(int, found.groups())).isoformat() if found else ""
    except ValueError:
        return ""
