"""Files that are small or quickly refused, and would cost gigabytes or minutes to decode. All are made here."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sky_files
from PIL import Image
from seeds_jpeg import SAMPLINGS, behind_start, flat_blocks, frame, one_by_one, saved, scan, segment, tables
from seeds_png import bmp, chunk, png_header

HUGE = 16_000  # squared: 256 million pixels
_SMALL = Image.new("RGB", (40, 30), (9, 99, 199))


class Bomb(NamedTuple):
    """A file, what refuses it, and whether only a model of the sky would open it."""

    make: Callable[[], bytes]
    reason: str
    is_sky: bool = False


def _blocks(side: int) -> int:
    return (-(-side // 8)) ** 2


def _coded(side: int, *, with_rest: bool) -> bytes:
    eight = flat_blocks(8, None, with_rest=with_rest)
    return eight * (_blocks(side) // 8 + 1)


def refined_jpeg(side: int, scans: int) -> bytes:
    """Progressive: a first scan of each colour, then so many that add a bit to each block."""
    first, more = _coded(side, with_rest=False), bytes([0x55]) * (_blocks(side) // 8 + 1)
    parts = [scan([number], (0, 0, 1)) + first for number in (1, 2, 3)]
    parts += [scan([1 + number % 3], (0, 0, 0x10)) + more for number in range(scans - 3)]
    return b"\xff\xd8" + tables() + frame(0xC2, side, side, SAMPLINGS[0]) + b"".join(parts) + b"\xff\xd9"


def _png(width: int, height: int, *parts: bytes, bits: int = 8, colour: int = 2) -> bytes:
    planes = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    row = bytes(1 + -(-width * bits * planes // 8))
    deflate = zlib.compressobj(1)
    rows = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    return png_header(width, height, bits, colour) + b"".join(parts) + chunk(b"IDAT", rows) + chunk(b"IEND")


def _wide_png() -> bytes:
    return _png(20_000_000, 1, bits=1, colour=0)


def _packed_profile() -> bytes:
    """50 MB of zeros as a colour profile, and 10 MB in each of 90 texts."""
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(50_000_000), 1))
    text = chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(10_000_000), 1))
    return _png(40, 30, profile, *[text] * 90)


def _gif(width: int, height: int, extra: bytes = b"", frame_size: tuple[int, int] = (40, 30)) -> bytes:
    plain = saved(_SMALL, "GIF")
    start = 13 + (3 << (plain[10] & 7) + 1)
    at = plain.index(b",", start)
    picture = plain[: at + 5] + struct.pack("<HH", *frame_size) + plain[at + 9 :]
    return plain[:6] + struct.pack("<HH", width, height) + picture[10:start] + extra + picture[start:]


def _webp_canvas() -> bytes:
    """A canvas of 16 million pixels a side behind 40 bytes."""
    body = b"WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\xff\xff" * 2 + b"VP8L\x08\0\0\0/\0\0\0\0\0\0\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp() -> bytes:
    """One that is whole: 41 million pixels in 200 bytes, 0.8 GB to its decoder."""
    return saved(Image.new("RGBA", (6410, 6410)), "WEBP", lossless=True, quality=0, method=0)


def _animated() -> bytes:
    """10,000 frames, of which the first is asked for."""
    frames = [Image.new("P", (16, 16), number % 256) for number in range(2)]
    whole = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=10)
    first = 13 + (3 << (whole[10] & 7) + 1)
    return whole[:first] + whole[first:-1] * 5000 + b";"


def _many_strips() -> bytes:
    """A TIFF of 2 million strips, each an object to Pillow."""
    plain = sky_files.tiff(np.zeros((4, 4), "u2"))
    at = plain.index(struct.pack("<HHI", 273, 3, 1))
    strips = struct.pack("<HHII", 273, 4, 2_000_000, len(plain))
    return plain[:at] + strips + plain[at + 12 :] + bytes(8_000_000)


def _long_film() -> bytes:
    return saved(_SMALL) + bytes(100_000_001)


def _sky_header(side: int) -> bytes:
    return sky_files.header(*sky_files.sized(16, side, side))


def _tiff_of(side: int) -> bytes:
    plain = sky_files.tiff(np.zeros((4, 4), "u2"))
    for tag in (256, 257, 278):
        at = plain.index(struct.pack("<HHI", tag, 3, 1))
        plain = plain[: at + 8] + struct.pack("<HH", side, 0) + plain[at + 12 :]
    return plain


BOMBS: dict[str, Bomb] = {
    "100 MB file": Bomb(_long_film, "too large"),
    "jpeg of 256 megapixels": Bomb(lambda: one_by_one(HUGE, HUGE, coded=b""), "too large"),
    "png of 256 megapixels": Bomb(lambda: _png(HUGE, HUGE, bits=1, colour=0), "too large"),
    "png of one row": Bomb(_wide_png, "too large"),
    "png texts": Bomb(_packed_profile, "damaged"),
    "png of empty chunks": Bomb(lambda: _png(40, 30, *[chunk(b"IDAT")] * 210_000), "damaged"),
    "gif canvas": Bomb(lambda: _gif(65_535, 65_535), "too large"),
    "gif frame": Bomb(lambda: _gif(40, 30, frame_size=(60_000, 60_000)), "too large"),
    "gif comment": Bomb(lambda: _gif(40, 30, b"!\xfe" + b"\1a" * 1_100_000 + b"\0"), "damaged"),
    "gif of empty extensions": Bomb(lambda: _gif(40, 30, b"!\1\0" * 1_100_000), "damaged"),
    "webp canvas": Bomb(_webp_canvas, "too large"),
    "webp": Bomb(_webp, "too large"),
    "bmp lies": Bomb(lambda: bmp(24, 0, bytes(99), size=(50_000, 50_000)), "too large"),
    "bmp top down": Bomb(lambda: bmp(24, 0, bytes(99), size=(50_000, -50_000)), "too large"),
    "bmp runs": Bomb(lambda: bmp(8, 1, b"\1a" * 6_000_000, size=(4000, 3000), extra=bytes(1024)), "damaged"),
    "bmp runs of 4": Bomb(lambda: bmp(4, 2, b"\xff\0" * 400_000, size=(9000, 9000), extra=bytes(64)), "damaged"),
    "jpeg of 101 scans": Bomb(lambda: refined_jpeg(800, 101), "too many scans"),
    "jpeg of 300 plain scans": Bomb(lambda: one_by_one(800, 800, times=100), "too many scans"),
    "jpeg in parts of 100 megapixels": Bomb(lambda: refined_jpeg(10_000, 5), "too large"),
    "jpeg of empty segments": Bomb(lambda: behind_start(saved(_SMALL), segment(0xE5, b"") * 20_000), "damaged"),
    "jpeg of filling": Bomb(lambda: behind_start(saved(_SMALL), b"\xff" * 2_000_000), "damaged"),
    "jpeg exif": Bomb(lambda: behind_start(saved(_SMALL), segment(0xE1, b"Exif\0\0" + bytes(600)) * 9_000), "damaged"),
    "fits axes": Bomb(lambda: _sky_header(99_999) + bytes(2880), "too large", is_sky=True),
    "fits.gz": Bomb(lambda: gzip.compress(_sky_header(9) + bytes(101_000_000), 1), "too large", is_sky=True),
    "tiff axes": Bomb(lambda: _tiff_of(60_000), "too large", is_sky=True),
    "tiff strips": Bomb(_many_strips, "damaged", is_sky=True),
    "png of 16 bits": Bomb(lambda: _png(5100, 5100, bits=16, colour=6), "too large", is_sky=True),
}  # fmt: skip


# Within all limits, and the slowest of their kind that were found: these are decoded.
SLOW: dict[str, Callable[[], bytes]] = {
    "jpeg of 100 scans": lambda: refined_jpeg(8600, 100),
    "10,000 frames": _animated,
    "bmp runs": lambda: bmp(8, 1, b"\1a" * 4_900_000, size=(2500, 1960), extra=bytes(range(256)) * 4),
    "png of 100 megapixels": lambda: _png(10_000, 10_000, colour=6),
    "png of 16 bits": lambda: _png(4470, 4470, bits=16, colour=6),
    "png in 190,000 parts": lambda: _png(40, 30, *[chunk(b"IDAT")] * 190_000),
    "gif comment": lambda: _gif(40, 30, b"!\xfe" + b"\1a" * 900_000 + b"\0"),
    "long jpeg": lambda: saved(Image.new("RGB", (65_500, 1300)), subsampling=0),
}


def write(folder: Path, names: Iterable[str]) -> list[Path]:
    """Write bombs, each at a path that says its name and whether it is one of the sky."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names:
        paths.append(folder / f"{name}.{'sky' if BOMBS[name].is_sky else 'bin'}")
        paths[-1].write_bytes(BOMBS[name].make())
    return paths
