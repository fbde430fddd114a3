"""Files whose name says one thing and whose bytes another: what is read is decided by the first bytes alone."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import sky_files
from PIL import Image
from seeds_jpeg import behind_start, saved, segment

PHOTO = Image.new("RGB", (40, 30), (9, 99, 199))
_PHP = b"<?php system('touch canary'); ?>"
_PIPE = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n(%pipe%touch canary) (w) file\nshowpage\n%%EOF\n"


def _psd() -> bytes:
    header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30, 40, 8, 3)
    return header + bytes(12) + b"\0\0" + bytes(3600)


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", saved(PHOTO))
    return file.getvalue()


def _fpx() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


# name under which it comes -> what it is. None of it is read.
REFUSED: dict[str, Callable[[], bytes]] = {
    "eps.jpg": lambda: _PIPE,
    "eps with preview.jpg": lambda: b"\xc5\xd0\xd3\xc6" + struct.pack("<I", 30) + bytes(22) + _PIPE,
    "ps.png": lambda: b"%!PS\n" + _PIPE,
    "psd.jpg": _psd,
    "tiff.jpg": lambda: saved(PHOTO, "TIFF"),
    "tiff of 16 bits.jpg": lambda: sky_files.tiff(np.ones((9, 9), "u2")),
    "fits.jpg": lambda: sky_files.fits_bytes(np.ones((9, 9), "f4")),
    "svg.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "pdf.jpg": lambda: saved(PHOTO, "PDF"),
    "ico.jpg": lambda: saved(PHOTO, "ICO", sizes=[(16, 16)]),
    "icns.jpg": lambda: saved(PHOTO.resize((16, 16)), "ICNS"),
    "jpeg2000.jpg": lambda: saved(PHOTO, "JPEG2000"),
    "avif.jpg": lambda: saved(PHOTO, "AVIF"),
    "ppm.jpg": lambda: saved(PHOTO, "PPM"),
    "pcx.bmp": lambda: saved(PHOTO, "PCX"),
    "tga.png": lambda: saved(PHOTO, "TGA"),
    "sgi.gif": lambda: saved(PHOTO, "SGI"),
    "dds.png": lambda: saved(PHOTO, "DDS"),
    "html.gif": lambda: b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "zip.jpg": _zip,
    "elf.jpg": lambda: b"\x7fELF\2\1\1" + bytes(99),
    "text.jpg": lambda: b"GIF is what this is not",
    "fpx.jpg": _fpx,
    "wmf.bmp": lambda: b"\xd7\xcd\xc6\x9a" + bytes(60),
    "gzip.png": lambda: b"\x1f\x8b" + zlib.compress(b"x"),
    "wave.webp": lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(28),
    "mp4.jpg": lambda: b"\0\0\0\x18ftypmp42" + bytes(40),
    "begins later.jpg": lambda: b"\n" + saved(PHOTO),
    "script.jpg": lambda: b"#!/bin/sh\ntouch canary\n",
    "nothing.jpg": lambda: b"",
}


def _gif_and_archive() -> bytes:
    return saved(PHOTO, "GIF") + _zip()


# name -> what it is: a picture of a format that is read, whatever else it may be to other programs.
READ: dict[str, Callable[[], bytes]] = {
    "png.jpg": lambda: saved(PHOTO, "PNG"),
    "jpeg.png": lambda: saved(PHOTO),
    "gif.jpg": lambda: saved(PHOTO, "GIF"),
    "webp.jpg": lambda: saved(PHOTO, "WEBP", lossless=True),
    "bmp.jpg": lambda: saved(PHOTO, "BMP"),
    "jpeg.eps": lambda: saved(PHOTO),
    "jpeg and zip.jpg": lambda: saved(PHOTO) + _zip(),
    "gif and archive.gif": _gif_and_archive,
    "png and zip.png": lambda: saved(PHOTO, "PNG") + _zip(),
    "jpeg and php.jpg": lambda: behind_start(saved(PHOTO), segment(0xFE, _PHP)),
    "jpeg and postscript.jpg": lambda: behind_start(saved(PHOTO), segment(0xFE, _PIPE)),
    "jpeg and html.jpg": lambda: behind_start(saved(PHOTO), segment(0xE1, b"<html><script>alert(1)</script>")),
    "gif and script.gif": lambda: saved(PHOTO, "GIF", comment=b"*/=1;alert(1);"),
    "bmp and script.bmp": lambda: saved(PHOTO, "BMP") + b"#!/bin/sh\ntouch canary\n",
    "jpeg and tiff.jpg": lambda: saved(PHOTO) + saved(PHOTO, "TIFF"),
}
