"""Mutants of seed images: a function of (seed, number) alone, so that whatever one of them did can be done again."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

Seeds = Sequence[tuple[str, bytes]]

# Mutants larger than this cost more than they find.
MOST_BYTES = 200_000
# Numbers at which a reader's arithmetic turns over.
_EDGES = (0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 128, 254, 255, 256, 257, 4095, 4096, 32767, 32768, 65534,
          65535, 65536, (1 << 24) - 1, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1)  # fmt: skip
WORDS = (
    b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xdb", b"\xff\xdd", b"\xff\xe0",
    b"\xff\xe1", b"\xff\xe2", b"\xff\xed", b"\xff\xee", b"\xff\xfe", b"\xff\xd0", b"\xff\xc9", b"\xff\xff", b"\xff\0",
    b"Exif\0\0", b"JFIF\0", b"ICC_PROFILE\0", b"MPF\0", b"Adobe\0", b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0",
    b"8BIM\x03\xed", b"II*\0", b"MM\0*", b"\x12\x01", b"\x01\x12", b"\x69\x87", b"\x87\x69", b"\x03\x90",
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"acTL", b"fcTL", b"fdAT",
    b"pHYs", b"bKGD", b"gAMA", b"cHRM", b"sRGB", b"GIF89a", b"GIF87a", b"!\xf9\4", b"!\xff\x0bNETSCAPE2.0\3\1", b"!\xfe",
    b",", b";", b"BM", b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP", b"XMP ",
    b"SIMPLE  =", b"XTENSION= 'BINTABLE'", b"XTENSION= 'IMAGE   '", b"NAXIS   =", b"NAXIS1  =", b"BITPIX  =", b"BLANK   =",
    b"BSCALE  =", b"BZERO   =", b"PCOUNT  =", b"GCOUNT  =", b"THEAP   =", b"ZIMAGE  =", b"ZCMPTYPE=", b"ZTILE1  =",
    b"ZNAXIS  =", b"ZNAME1  =", b"CONTINUE  'a&'", b"END" + b" " * 77, b"\x1f\x8b\x08", b"\x78\x9c", b"nan", b"1e999",
    b"tiff:Orientation=\"6\"", b"Raw profile type exif\0\0",
)  # fmt: skip
# What names a place whose neighbours are worth changing: lengths, sizes and counts stand beside these.
_MARKS = tuple(word for word in WORDS if len(word) >= 2)


def mutant(seeds: Seeds, seed: int, number: int) -> bytes:
    """Make one mutant: a seed, changed in one to six ways."""
    rng = random.Random(f"{seed}/{number}")
    data = rng.choice(seeds)[1]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6))):
        data = rng.choice(CHANGES)(data, rng, seeds)[:MOST_BYTES]
    return data


def _place(data: bytes, rng: random.Random) -> int:
    # Headers are where readers decide; half of all changes fall there.
    return rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data)) if data else 0


def _marked(data: bytes, rng: random.Random) -> int:
    """A place behind or before something that a reader looks for; any where there is nothing."""
    for _ in range(8):
        mark = rng.choice(_MARKS)
        at = data.find(mark, rng.randrange(len(data))) if data else -1
        if at >= 0:
            return max(0, at + rng.randrange(-8, len(mark) + 8))
    return _place(data, rng)


def _put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _cut(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    changed = bytearray(data)
    for _number in range(rng.choice((1, 1, 2, 8, 40)) if data else 0):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _junk(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    return _put(data, _place(data, rng), rng.randbytes(rng.choice((1, 2, 4, 16, 64))))


def _number(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    """Write a number at the edge of what fits over a length, a size or a count."""
    form = rng.choice(("B", ">H", "<H", ">I", "<I"))
    most = (1 << 8 * struct.calcsize(form)) - 1
    return _put(data, _marked(data, rng), struct.pack(form, min(rng.choice(_EDGES), most)))


def _digits(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    """The same for headers that are text."""
    at = data.find(b"= ", rng.randrange(len(data))) if data else -1
    if at < 0:
        return data
    value = rng.choice(_EDGES) * rng.choice((1, 1, -1, 10**6))
    return _put(data, at, f"= {value:>20}".encode()[:22])


def _sizes(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    """Write another width and height where each format has them."""
    width, height = (rng.choice((0, 1, 2, 7, 9, 255, 300, 1000, 9999, 16_383, 40_000, 65_535)) for _ in range(2))
    if data.startswith(b"\x89PNG"):
        return _put(data, 16, struct.pack(">II", width, height))
    if data.startswith(b"GIF"):
        return _put(data, 6, struct.pack("<HH", width, height))
    if data.startswith(b"BM"):
        return _put(data, 18, struct.pack("<ii", width, rng.choice((1, -1)) * height))
    if data.startswith(b"RIFF"):
        return _put(data, 24, struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3])
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return _put(data, at + 5, struct.pack(">HH", height, width)) if at >= 0 else data


def _word(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    at, word = _place(data, rng), rng.choice(WORDS)
    return _put(data, at, word) if rng.random() < 0.5 else data[:at] + word + data[at:]


def _swap(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    """Put one mark in another's place."""
    old, new = rng.choice(_MARKS), rng.choice(_MARKS)
    return data.replace(old, new[: len(old)].ljust(len(old), b"\0"), 1)


def _piece(data: bytes, rng: random.Random) -> tuple[int, int]:
    at = _place(data, rng)
    return at, min(len(data), at + rng.choice((1, 4, 12, 40, 80, 300, 2880)))


def _repeat(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    at, end = _piece(data, rng)
    return data[:end] + data[at:end] * rng.choice((1, 2, 9, 99)) + data[end:]


def _drop(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    at, end = _piece(data, rng)
    return data[:at] + data[end:]


def _move(data: bytes, rng: random.Random, _: Seeds) -> bytes:
    (at, end), to = _piece(data, rng), _place(data, rng)
    rest = data[:at] + data[end:]
    return rest[:to] + data[at:end] + rest[to:]


def _splice(data: bytes, rng: random.Random, seeds: Seeds) -> bytes:
    """The beginning of one file and the end of another."""
    other = rng.choice(seeds)[1]
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _inside(data: bytes, rng: random.Random, seeds: Seeds) -> bytes:
    """A piece of another file in the midst of one."""
    other = rng.choice(seeds)[1]
    at, (start, end) = _place(data, rng), _piece(other, rng)
    return data[:at] + other[start:end] + data[at:]


Change = Callable[[bytes, random.Random, Seeds], bytes]
CHANGES: tuple[Change, ...] = (
    _cut, _flip, _flip, _junk, _number, _number, _digits, _sizes, _word, _swap, _repeat, _drop, _move, _splice, _inside,
)  # fmt: skip
