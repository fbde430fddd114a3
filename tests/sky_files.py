"""Pictures of the sky as files: FITS by astropy, and 16-bit TIFF and PNG by hand, since Pillow writes no such colours."""

import gzip
import io
import struct
import zlib

import numpy as np
from astropy.io import fits
from PIL import Image


def fits_bytes(*units):
    """A FITS file of arrays and HDUs; the first is the primary one."""
    made = [unit if hasattr(unit, "header") else fits.ImageHDU(unit) for unit in units]
    if not isinstance(made[0], fits.PrimaryHDU):
        first = made.pop(0) if isinstance(made[0], fits.ImageHDU) else None
        made.insert(0, fits.PrimaryHDU(None if first is None else first.data, None if first is None else first.header))
    file = io.BytesIO()
    fits.HDUList(made).writeto(file, output_verify="silentfix")
    return file.getvalue()


def fits_gz(*units):
    return gzip.compress(fits_bytes(*units), mtime=0)


def fits_fz(values, method="RICE_1", **more):
    return fits_bytes(fits.PrimaryHDU(), fits.CompImageHDU(values, compression_type=method, **more))


def header(*cards, primary=True):
    """A FITS header block of cards as they are written."""
    first = "SIMPLE  =                    T" if primary else "XTENSION= 'IMAGE   '"
    text = "".join(card.ljust(80) for card in (first, *cards, "END"))
    return text.encode().ljust(-(-len(text) // 2880) * 2880)


def sized(bits, *axes):
    cards = [f"BITPIX  = {bits:>20}", f"NAXIS   = {len(axes):>20}"]
    return [*cards, *(f"NAXIS{number:<3}= {size:>20}" for number, size in enumerate(axes, 1))]


def png16(values):
    """A 16-bit PNG of (H, W) or (H, W, 2 to 4)."""
    values = np.atleast_3d(values)
    height, width, planes = values.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[planes]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    made = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def tiff(values, order="<", *, deflate=False, orientation=1):
    """An uncompressed or deflated TIFF of (H, W) or (H, W, 3), of the array's own kind."""
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    bits, kind = 8 * values.dtype.itemsize, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    raw = values.astype(values.dtype.newbyteorder(order)).tobytes()
    raw = zlib.compress(raw) if deflate else raw
    lists_at = 8 + 2 + 12 * 12 + 4
    tags = [
        (256, width), (257, height), (258, [bits] * samples), (259, 8 if deflate else 1), (262, 2 if samples == 3 else 1),
        (273, lists_at + 12), (274, orientation), (277, samples), (278, height), (279, len(raw)), (284, 1),
        (339, [kind] * samples),
    ]  # fmt: skip
    entries, lists = b"", b""
    for tag, value in tags:
        held = value if isinstance(value, list) else [value]
        packed = struct.pack(f"{order}{len(held)}H", *held) if max(held) < 65536 else struct.pack(f"{order}I", *held)
        entries += struct.pack(f"{order}HHI", tag, 3 if max(held) < 65536 else 4, len(held))
        if len(packed) > 4:
            entries += struct.pack(f"{order}I", lists_at + len(lists))
            lists += packed
        else:
            entries += packed.ljust(4, b"\0")
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return start + entries + bytes(4) + lists.ljust(12, b"\0") + raw


def faint(data, seed=0):
    """Turn an 8-bit photograph into counts of a camera: faint light on a noisy sky, and a few stars far above it."""
    with Image.open(io.BytesIO(data)) as image:
        grey = np.asarray(image.convert("L"), np.float64) / 255
    rng = np.random.default_rng(seed)
    counts = 1000 + 300 * grey + 3000 * grey**4 + rng.normal(0, 8, grey.shape)
    for _ in range(4):
        counts[rng.integers(grey.shape[0]), rng.integers(grey.shape[1])] = rng.uniform(30_000, 60_000)
    return counts.clip(0, 65535)[::-1].astype(np.uint16)  # the lowest row of the sky first
