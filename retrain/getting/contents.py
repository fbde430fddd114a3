"""Sees that what came is a picture, whole, and one that is not there yet."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

from retrain import fsio
from retrain.images import ImageLimits, InputSpec, decode_rgb, sniff_format

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "WEBP": ".webp"}
# A large JPEG is decoded at an eighth: all of its data is read, which is what shows that it is whole.
_SMALL = InputSpec(8, 8, 0.0, 1.0)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")
_MAX_STEM = 60


def suffix_of(data: bytes, max_pixels: int) -> str:
    """See that bytes are a picture that the training reads.

    Args:
        data: a whole file.
        max_pixels: width times height, from the header, before anything is decoded.

    Returns:
        The suffix of its format, with the dot.

    Raises:
        ImageError: they are none.
    """
    suffix = _SUFFIXES[sniff_format(data)]
    decode_rgb(data, _SMALL, ImageLimits(max_bytes=len(data), max_pixels=max_pixels))
    return suffix


def file_name(url: str, sha256: str, suffix: str) -> str:
    """Name a picture by where it came from and what is in it.

    Args:
        url: its address.
        sha256: of its bytes, hexadecimal.
        suffix: of its format.

    Returns:
        A name of ASCII letters, digits and hyphens: the same for the same picture.
    """
    last = unquote(urlsplit(url).path).rsplit("/", 1)[-1].rsplit(".", 1)[0]
    stem = _NOT_PLAIN.sub("-", last)[:_MAX_STEM].strip("-")
    return f"{stem or 'picture'}-{sha256[:12]}{suffix}"


class Shelf:
    """The pictures of an image folder, by contents. Only files of a size that comes up are read.

    Args:
        root: the folder of class folders; it need not be there.
    """

    def __init__(self, root: Path) -> None:
        self._unread: defaultdict[int, list[str]] = defaultdict(list)
        self._known: dict[str, str] = {}
        for label in _names(root, folders=True):
            for name in _names(root / label, folders=False):
                self._unread[(root / label / name).stat().st_size].append(f"{label}/{name}")
        self._root = root

    def find(self, data: bytes, label: str) -> tuple[str, str]:
        """Look for a picture.

        Args:
            data: its bytes.
            label: where it is wanted; of two copies, the one there is named.

        Returns:
            SHA-256 of the bytes, and the path of a file with the same, relative to the root; empty: there is none.
        """
        for path in sorted(self._unread.pop(len(data), []), key=lambda path: not path.startswith(f"{label}/")):
            with contextlib.suppress(OSError):  # one that cannot be read is told by the training, not here
                self._known.setdefault(fsio.sha256_file(self._root / path), path)
        sha256 = hashlib.sha256(data).hexdigest()
        return sha256, self._known.get(sha256, "")

    def add(self, sha256: str, path: str) -> None:
        """Remember a picture that was put there.

        Args:
            sha256: of its bytes.
            path: relative to the root.
        """
        self._known[sha256] = path


def _names(folder: Path, *, folders: bool) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [e.name for e in entries if not e.name.startswith(".") and (e.is_dir() if folders else e.is_file())]
    return sorted(found)
