"""What a file's own structure says, before any decoder sees it: its size, and what reading it would cost.

Decoders ask these questions late, or never. Pillow walks segments in Python before it names a size: 25 million
empty ones (100 MB) keep it busy for half a minute, 20 MB of EXIF in 33,000 parts for 18 s. Here the bytes are walked
once, no further than the limits: 10 us a photograph of 67 KB.
What is not there, or lies, is left to the decoder, which says that the file is damaged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

from retrain.errors import ImageError
from retrain.images.spec import ImageLimits

# Parts of a file. A photograph has some 10 segments, with a film or a map of depths some 200; a PNG of 100 MB has
# 12,000 chunks as libpng writes them, a GIF of 100 MB 400,000 blocks.
MAX_SEGMENTS, MAX_CHUNKS, MAX_BLOCKS = 10_000, 200_000, 1_000_000
# Bytes between the segments of a JPEG's header, which Pillow reads one by one; and of EXIF, whose parts it joins.
MAX_STRAY_BYTES, MAX_EXIF_BYTES = 1_000_000, 4_000_000
# Of a run-length encoded BMP, which Pillow decodes in Python: 0.4 us a run, and 0.04 us a pixel.
MAX_RUN_BYTES, MAX_RUN_PIXELS = 10_000_000, 40_000_000
# Where the decoder holds more than the picture: a JPEG in several scans is held as coefficients (12 bytes a pixel in
# all), an animation's canvas twice beside the picture and its copy (20).
MAX_SCANNED_PIXELS, MAX_WEBP_PIXELS = 75_000_000, 40_000_000
# Of a TIFF: Pillow makes an object of each strip.
MAX_STRIPS = 1_000_000

# A marker that begins a segment: not stuffing (00), restart (D0 to D7), start of image (D8) or fill (FF).
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1
_GIF_EXTENSION, _GIF_FRAME, _GIF_END = 0x21, 0x2C, 0x3B
_BMP_RUNS = (1, 2)
_TIFF_STRIPS, _TIFF_TILES = 273, 324


def check_structure(data: bytes, image_format: str, limits: ImageLimits) -> None:
    """Refuse a file by what its own structure says.

    Args:
        data: the file's bytes.
        image_format: as `sniff_format` names it, or "TIFF".
        limits: how much is too much.

    Raises:
        ImageError: too many bytes, pixels, scans or parts, or a side too long.
    """
    check_bytes(data, limits)
    _CHECKS[image_format](data, limits)


def check_bytes(data: bytes, limits: ImageLimits) -> None:
    """Refuse a file by its size.

    Args:
        data: the file's bytes.
        limits: how much is too much.

    Raises:
        ImageError: too many bytes.
    """
    if len(data) > limits.max_bytes:
        raise ImageError("too large", f"{len(data)} bytes, at most {limits.max_bytes} are read")


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Refuse a picture by its size.

    Args:
        width: pixels.
        height: pixels.
        limits: how much is too much.

    Raises:
        ImageError: too many pixels, or a side too long.
    """
    if width * height > limits.max_pixels:
        raise ImageError("too large", f"{width} x {height} pixels, at most {limits.max_pixels} are decoded")
    if max(width, height) > limits.max_side:
        raise ImageError("too large", f"{width} x {height} pixels, at most {limits.max_side} a side are decoded")


def _check_parts(name: str, count: int, most: int) -> None:
    if count > most:
        raise ImageError("damaged", f"{name}, at most {most} are looked at")


def _check_held(name: str, pixels: int, most: int) -> None:
    if pixels > most:
        raise ImageError("too large", f"{pixels} pixels of {name}, at most {most} are decoded")


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _little(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _segments(data: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """Marker, and where what it says begins and ends, of each segment of a JPEG, up to the end of the picture."""
    # Trap: behind the picture phones append films, and thumbnails lie inside of segments; neither is walked.
    while found := _JPEG_MARKER.search(data, at):
        at, marker = found.end(), data[found.end() - 1]
        end = at + _big(data, at, 2)
        yield marker, at, end
        if marker == _END_OF_IMAGE:
            return
        at = max(at, end)


def _check_jpeg(data: bytes, limits: ImageLimits) -> None:
    parts = stray = exif = components = pixels = 0
    last, has_many_scans = 2, False
    for marker, at, end in _segments(data):
        parts, stray, last = parts + 1, stray + at - 2 - last, end
        _check_parts("JPEG: too many segments", parts, MAX_SEGMENTS)
        # What Pillow steps over byte by byte, looking for the next segment.
        _check_parts("JPEG: too many bytes outside of its segments", stray, MAX_STRAY_BYTES)
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            width, height = _big(data, at + 5, 2), _big(data, at + 3, 2)
            check_size(width, height, limits)
            pixels = width * height
            components, has_many_scans = _big(data, at + 7, 1), has_many_scans or marker in _PROGRESSIVE
        elif marker == _APP1 and data.startswith(b"Exif\0\0", at + 2):
            exif += end - at
            _check_parts("JPEG: too many bytes of EXIF", exif, MAX_EXIF_BYTES)
        elif marker == _START_OF_SCAN:
            # As libjpeg decides it: where the first scan has not all of the colours, all scans are waited for.
            if has_many_scans or _big(data, at + 2, 1) < components:
                _check_held("a JPEG in several scans", pixels, MAX_SCANNED_PIXELS)
                _check_scans(data, at - 2, limits.max_jpeg_scans)
            return


def _check_scans(data: bytes, first: int, most: int) -> None:
    if data.count(b"\xff\xda", first) <= most:
        return
    scans = 0
    for marker, _, _ in _segments(data, first):
        scans += marker == _START_OF_SCAN
        if scans > most:
            raise ImageError("too many scans", f"over {most} scans in a JPEG")


def _check_png(data: bytes, limits: ImageLimits) -> None:
    at, parts = 8, 0
    while at + 8 <= len(data) and parts <= MAX_CHUNKS and not data.startswith(b"IEND", at + 4):
        if data.startswith(b"IHDR", at + 4):
            check_size(_big(data, at + 8, 4), _big(data, at + 12, 4), limits)
        parts += 1
        at += _big(data, at, 4) + 12  # length, kind and checksum stand around the contents
    _check_parts("PNG: too many chunks", parts, MAX_CHUNKS)


def _blocks(data: bytes, at: int, room: int) -> tuple[int, int]:
    """Where a chain of a GIF's blocks ends, and how many of them there are; no more than room."""
    count = 0
    while at < len(data) and data[at] and count <= room:
        at += data[at] + 1
        count += 1
    return at + 1, count


def _colours(flags: int) -> int:
    """Bytes of a GIF's table of colours."""
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _check_gif(data: bytes, limits: ImageLimits) -> None:
    screen = _little(data, 6, 2), _little(data, 8, 2)
    check_size(*screen, limits)
    at, parts, frames = 13 + _colours(_big(data, 10, 1)), 0, 0
    # Of the second frame nothing is read but that it is there.
    while at < len(data) and parts <= MAX_BLOCKS and frames < 2 and data[at] != _GIF_END:
        count, kind = 0, data[at]
        if kind == _GIF_EXTENSION:
            at, count = _blocks(data, at + 2, MAX_BLOCKS - parts)
        elif kind == _GIF_FRAME:
            frames += 1
            if frames == 1:
                _check_gif_frame(data, at, screen, limits)
            at, count = _blocks(data, at + 11 + _colours(_big(data, at + 9, 1)), MAX_BLOCKS - parts)
        else:
            at += 1
        parts += count + 1
    _check_parts("GIF: too many blocks", parts, MAX_BLOCKS)


def _check_gif_frame(data: bytes, at: int, screen: tuple[int, int], limits: ImageLimits) -> None:
    left, top, width, height = (_little(data, at + place, 2) for place in (1, 3, 5, 7))
    check_size(max(screen[0], left + width), max(screen[1], top + height), limits)


def _check_bmp(data: bytes, limits: ImageLimits) -> None:
    if _little(data, 14, 4) == 12:
        check_size(_little(data, 18, 2), _little(data, 20, 2), limits)
        return
    width, height = _little(data, 18, 4), _little(data, 22, 4)
    # Trap: rows that go downwards have a negative height; what Pillow takes for one has all of the highest bits.
    height = (1 << 32) - height if height >> 24 == 255 else height
    check_size(width, height, limits)
    if _little(data, 30, 4) in _BMP_RUNS:
        _check_parts("BMP: too many bytes of run lengths", len(data), MAX_RUN_BYTES)
        _check_parts("BMP: too many pixels in run lengths", width * height, MAX_RUN_PIXELS)


def _check_webp(data: bytes, limits: ImageLimits) -> None:
    kind, width, height = data[12:16], 0, 0
    if kind == b"VP8X":
        width, height = _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    elif kind == b"VP8L":
        width, height = (_little(data, 21, 4) & 0x3FFF) + 1, (_little(data, 21, 4) >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    check_size(width, height, limits)
    _check_held("a WebP", width * height, MAX_WEBP_PIXELS)


def _check_tiff(data: bytes, _: ImageLimits) -> None:
    # Its size Pillow says before anything else is done.
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    first = number(4, 4)
    for at in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if number(at, 2) in (_TIFF_STRIPS, _TIFF_TILES):
            _check_parts("TIFF: too many strips or tiles", number(at + 4, 4), MAX_STRIPS)


_CHECKS: dict[str, Callable[[bytes, ImageLimits], None]] = {
    "JPEG": _check_jpeg,
    "PNG": _check_png,
    "GIF": _check_gif,
    "BMP": _check_bmp,
    "WEBP": _check_webp,
    "TIFF": _check_tiff,
}
