"""What a file is by its first bytes, for the formats that are not read as well: so that each can be named."""

from __future__ import annotations

from retrain.errors import ImageError
from retrain.images import sniff_format

# Bytes that are looked at; the DICOM mark lies at 128, and an SVG may begin with a long comment.
HEAD_BYTES = 4096
# Suffixes that each format is usually given.
USUAL_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "FITS": (".fits", ".fit", ".fts", ".fz", ".gz"),
    "TIFF": (".tif", ".tiff"),
}
# Magic, where it lies, name. The first that fits is taken: camera files are TIFF with a mark of their own.
_PICTURES = (
    (b"CR\x02", 8, "Canon raw (CR2)"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"II+\0", 0, "BigTIFF"),
    (b"MM\0+", 0, "BigTIFF"),
    (b"IIRO", 0, "Olympus raw"),
    (b"IIU\0", 0, "Panasonic raw"),
    (b"FUJIFILMCCD-RAW", 0, "Fujifilm raw"),
    (b"8BPS", 0, "PSD"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", 0, "JPEG XL"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"\0\0\1\0", 0, "ICO"),
    (b"\0\0\2\0", 0, "CUR"),
    (b"icns", 0, "ICNS"),
    (b"SIMPLE  =", 0, "FITS"),
    (b"DICM", 128, "DICOM"),
    (b"DDS ", 0, "DDS"),
    (b"\x76\x2f\x31\x01", 0, "OpenEXR"),
    (b"#?RADIANCE", 0, "Radiance HDR"),
    (b"gimp xcf", 0, "XCF"),
    (b"%!PS", 0, "EPS"),
    (b"\xc5\xd0\xd3\xc6", 0, "EPS"),
    (b"qoif", 0, "QOI"),
    (b"\x01\xda", 0, "SGI"),
    (b"\x59\xa6\x6a\x95", 0, "Sun raster"),
    (b"\xd7\xcd\xc6\x9a", 0, "WMF"),
)
_OTHERS = (
    (b"%PDF", 0, "PDF"),
    (b"PK\3\4", 0, "ZIP archive"),
    (b"\x1f\x8b", 0, "gzip archive"),
    (b"7z\xbc\xaf", 0, "7z archive"),
    (b"Rar!", 0, "RAR archive"),
    (b"\x1aE\xdf\xa3", 0, "Matroska film"),
    (b"SQLite format 3\0", 0, "SQLite database"),
    (b"\x7fELF", 0, "program"),
)
# The brand behind "ftyp": one kind of container holds pictures and films.
_BRANDS = {
    b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC",
    b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"crx ": "Canon raw (CR3)",
}  # fmt: skip
_BITMAP_MAGICS = {b"P" + digit: "Netpbm (PPM, PGM, PBM)" for digit in (b"1", b"2", b"3", b"4", b"5", b"6", b"7")}


def read_format(head: bytes) -> str | None:
    """Tell a format that is read.

    Args:
        head: the file's first bytes, or all of them.

    Returns:
        "JPEG", "PNG", "GIF", "BMP" or "WEBP"; None for anything else.
    """
    try:
        return sniff_format(head)
    except ImageError:
        return None


def unread_picture(head: bytes, suffix: str) -> str | None:
    """Name a format of pictures that is not read.

    Args:
        head: the file's first bytes.
        suffix: of its name, in lower case with its dot; it decides only where a format has no magic.

    Returns:
        The name, or None where it is no picture that is known of.
    """
    named = _by_magic(head, _PICTURES) or _brand(head)
    if named:
        return named
    if head[:2] in _BITMAP_MAGICS and head[2:3].isspace():
        return _BITMAP_MAGICS[head[:2]]
    if b"<svg" in head.lower():
        return "SVG"
    if head[:1] == b"\x0a" and head[1:2] in (b"\0", b"\2", b"\3", b"\4", b"\5") and head[2:3] in (b"\0", b"\1"):
        return "PCX"
    return "TGA" if suffix == ".tga" else None


def other_content(head: bytes) -> str:
    """Say what a file that is no picture seems to be.

    Args:
        head: the file's first bytes.

    Returns:
        "HTML page", "text", "ZIP archive" ... or "unknown".
    """
    named = _by_magic(head, _OTHERS)
    if named:
        return named
    if head[4:8] == b"ftyp":
        return "film"
    start = head.lstrip()[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "HTML page"
    return "text" if _is_text(head) else "unknown"


def _is_text(head: bytes) -> bool:
    # A character may be cut in two at the end of what was read.
    whole = head.decode("utf-8", errors="replace").removesuffix("\ufffd")
    return (
        bool(whole)
        and all(c.isprintable() or c in "\t\n\r\f" for c in whole if c != "\ufeff")
        and "\ufffd" not in whole
    )


def _by_magic(head: bytes, table: tuple[tuple[bytes, int, str], ...]) -> str | None:
    return next((name for magic, at, name in table if head.startswith(magic, at)), None)


def _brand(head: bytes) -> str | None:
    return _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
