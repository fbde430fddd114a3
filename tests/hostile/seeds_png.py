"""PNG, GIF, BMP and WebP files for the mutation tests: by hand where Pillow writes no such kind."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

from PIL import Image
from seeds_jpeg import exif_of, saved

PNG = b"\x89PNG\r\n\x1a\n"
_PLANES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16),
          (6, 8), (6, 16)]  # fmt: skip
# First column and row, and steps across and down, of each pass.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, bits: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    return PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace))


def png(colour: int, bits: int, interlace: int = 0, *parts: bytes, width: int = 21, height: int = 13) -> bytes:
    """A PNG of random pixels, each row with another filter; parts stand before the pixels."""
    rng = random.Random(f"{colour} {bits} {interlace}")
    rows = b""
    for left, top, across, down in _ADAM7 if interlace else [(0, 0, 1, 1)]:
        columns, lines = -(-(width - left) // across), -(-(height - top) // down)
        size = -(-columns * bits * _PLANES[colour] // 8)
        rows += b"".join(bytes([line % 5]) + rng.randbytes(size) for line in range(lines if columns > 0 else 0))
    palette = chunk(b"PLTE", rng.randbytes(3 << bits)) if colour == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return png_header(width, height, bits, colour, interlace) + palette + b"".join(parts) + pixels + chunk(b"IEND")


def _png_seeds(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    for colour, bits in _KINDS:
        for interlace in (0, 1):
            yield f"png {colour} {bits} bits{' interlaced' * interlace}", png(colour, bits, interlace)
    for name, colour, body in [("grey", 0, b"\0\7"), ("colour", 2, b"\0\1\0\2\0\3"), ("palette", 3, bytes(range(200)))]:
        yield f"png transparent {name}", png(colour, 8, 0, chunk(b"tRNS", body))
    yield "png transparent 16 bits", png(0, 16, 0, chunk(b"tRNS", b"\0\7"))
    profile = zlib.compress(bytes(3000))
    odd = {
        b"gAMA": struct.pack(">I", 45455), b"cHRM": bytes(32), b"sRGB": b"\0", b"iCCP": b"name\0\0" + profile,
        b"pHYs": struct.pack(">IIB", 2835, 2835, 1), b"tIME": bytes(7), b"bKGD": bytes(6), b"sBIT": b"\5\6\5",
        b"sPLT": b"name\0\x08" + bytes(30), b"hIST": bytes(8), b"eXIf": exif_of(6)[6:], b"tEXt": b"Title\0text",
        b"zTXt": b"Title\0\0" + zlib.compress(b"text" * 99), b"iTXt": b"T\0\1\0en\0t\0" + zlib.compress(b"text" * 99),
        b"oFFs": bytes(9), b"prVt": b"own", b"CRIT": b"unknown", b"acTL": bytes(8), b"fcTL": bytes(26), b"fdAT": bytes(9),
        b"PLTE": bytes(3 * 300), b"IHDR": struct.pack(">IIBBBBB", 5, 5, 8, 2, 0, 0, 0), b"IDAT": b"", b"caBX": bytes(50),
    }  # fmt: skip
    for kind, body in odd.items():
        yield f"png {kind.decode()}", png(2, 8, 0, chunk(kind, body))
    raw = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n   8\n" + exif_of(3)[6:].hex().encode())
    yield "png raw exif", png(2, 8, 0, chunk(b"zTXt", raw))
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="8"/>'
    yield "png xmp", png(2, 8, 0, chunk(b"iTXt", xmp))
    whole = saved(picture, "PNG")
    yield "png optimised", saved(picture, "PNG", optimize=True)
    yield "png text behind", whole[:-12] + chunk(b"tEXt", b"Title\0text") + whole[-12:]
    yield "png wrong checksum", whole[:30] + b"\0" + whole[31:]
    yield "png without end", whole[:-12]
    yield "png animated", saved(picture, "PNG", save_all=True, append_images=[picture.rotate(180)] * 2)
    yield (
        "png animated alone",
        saved(picture, "PNG", save_all=True, append_images=[picture.rotate(180)] * 2, default_image=True),
    )
    for share in (1, 20, 50, 95):
        yield f"png cut at {share}", whole[: len(whole) * share // 100]


def _gif_seeds(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    frames = [picture.rotate(angle).convert("P", palette=Image.Palette.ADAPTIVE) for angle in (90, 180, 270)]
    few = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    for name, options in {
        "": {}, " plain": {"interlace": 0}, " transparent": {"transparency": 2}, " comment": {"comment": b"text" * 99},
    }.items():  # fmt: skip
        yield f"gif{name}", saved(picture, "GIF", **options)
        yield f"gif{name} few colours", saved(few, "GIF", **options)
    for disposal in (0, 1, 2, 3):
        yield (
            f"gif animated {disposal}",
            saved(
                picture, "GIF", save_all=True, append_images=frames, disposal=disposal, loop=0, duration=[10, 20, 30, 0]
            ),
        )
    yield "gif grey", saved(picture.convert("L"), "GIF")
    yield "gif animated transparent", saved(few, "GIF", save_all=True, append_images=frames, transparency=1, disposal=2)
    whole = saved(few, "GIF")
    start = 13 + (3 << (whole[10] & 7) + 1)
    yield "gif small screen", whole[:6] + struct.pack("<HH", 3, 3) + whole[10:]
    yield "gif large screen", whole[:6] + struct.pack("<HH", 90, 70) + whole[10:]
    yield (
        "gif extensions",
        whole[:start] + b"!\x01\2ab\0!\xfe\3abc\0!\xff\x0bNETSCAPE2.0\3\1\0\0\0!\xcc\0" + whole[start:],
    )
    yield "gif no colours", whole[:10] + b"\0" + whole[11:13] + whole[start:]
    for share in (3, 40, 90):
        yield f"gif cut at {share}", whole[: len(whole) * share // 100]


def bmp(bits: int, compression: int, body: bytes, *, size: tuple[int, int] = (21, 13), extra: bytes = b"",
        header: int = 40, colours: int = 0) -> bytes:  # fmt: skip
    """A BMP; extra stands between header and pixels: masks, a palette."""
    if header == 12:
        info = struct.pack("<IHHHH", 12, *size, 1, bits)
    else:
        words = struct.pack("<IiiHHIIiiII", header, *size, 1, bits, compression, len(body), 2835, 2835, colours, 0)
        info = (words + extra).ljust(header, b"\0") if header > 40 else words + extra
        extra = b""
    start = 14 + len(info) + len(extra)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + extra + body


def _bmp_seeds(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    rng = random.Random("bmp")
    pixels, palette = rng.randbytes(21 * 13 * 4 + 60), rng.randbytes(1024)
    for bits in (1, 4, 8):
        yield f"bmp {bits} bits", bmp(bits, 0, pixels, extra=palette[: 4 << bits])
        yield f"bmp {bits} bits OS/2", bmp(bits, 0, pixels, extra=palette[: 3 << bits], header=12)
    for bits in (16, 24, 32):
        yield f"bmp {bits} bits", bmp(bits, 0, pixels)
        yield f"bmp {bits} bits top down", bmp(bits, 0, pixels, size=(21, -13))
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    yield "bmp masks 16", bmp(16, 3, pixels, extra=masks)
    yield "bmp masks 32", bmp(32, 3, pixels, extra=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF))
    yield "bmp masks odd", bmp(32, 3, pixels, extra=struct.pack("<III", 0xFF, 0xF, 0xFFF))
    for header in (52, 56, 64, 108, 124, 77):
        whole = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        yield f"bmp header {header}", bmp(32, 3, pixels, extra=whole, header=header)
    runs = b"".join(bytes([21, line]) + b"\0\0" for line in range(13)) + b"\0\1"
    yield "bmp runs of 8", bmp(8, 1, runs, extra=palette)
    yield "bmp runs of 4", bmp(4, 2, runs, extra=palette[:64], colours=16)
    yield "bmp runs odd", bmp(8, 1, b"\0\5abcde\0\0\2\3\3\0\0\4\0\1\0\x09" + runs, extra=palette)
    yield "bmp holds a jpeg", bmp(0, 4, saved(picture))
    yield "bmp many colours", bmp(8, 0, pixels, extra=palette, colours=65_536)
    yield "bmp lies", bmp(24, 0, pixels, size=(2_000_000, 2_000_000))
    yield "bmp", saved(picture, "BMP")
    yield "bmp cut", saved(picture, "BMP")[:-40]


def _webp_seeds(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    alpha = picture.copy()
    alpha.putalpha(picture.convert("L"))
    for quality in (1, 50, 100):
        yield f"webp {quality}", saved(picture, "WEBP", quality=quality, method=0)
        yield f"webp alpha {quality}", saved(alpha, "WEBP", quality=quality, method=0)
    yield "webp lossless", saved(picture, "WEBP", lossless=True, method=0)
    yield "webp lossless alpha", saved(alpha, "WEBP", lossless=True, exact=True, method=0)
    yield "webp grey", saved(picture.convert("L"), "WEBP", method=0)
    for orientation in (1, 6, 9):
        yield f"webp orientation {orientation}", saved(picture, "WEBP", exif=exif_of(orientation), method=0)
    yield "webp metadata", saved(picture, "WEBP", icc_profile=bytes(90), xmp=b'<x tiff:Orientation="3"/>', method=0)
    frames = [alpha.rotate(90), alpha.rotate(180)]
    for lossless in (False, True):
        yield (
            f"webp animated{' lossless' * lossless}",
            saved(alpha, "WEBP", save_all=True, append_images=frames, lossless=lossless, method=0),
        )
    whole = saved(picture, "WEBP", method=0)
    yield "webp longer than its size", whole + bytes(50)
    for share in (10, 50, 95):
        yield f"webp cut at {share}", whole[: len(whole) * share // 100]
    yield "webp of nothing", b"RIFF\x04\0\0\0WEBP"
    yield "wave", b"RIFF\x24\0\0\0WAVEfmt " + bytes(28)


def seeds(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each, for a small RGB picture."""
    yield from _png_seeds(picture)
    yield from _gif_seeds(picture)
    yield from _bmp_seeds(picture)
    yield from _webp_seeds(picture)
