"""Photographs as a page shows them: decoded here and sent as JPEG, so that no page gets a stranger's file as it is."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path

from PIL import Image

from retrain.errors import ImageError
from retrain.images import LIMITS, SkyStretch, decode_upright, read_image_file, resize_rgb

# Pixels of the longer side: of a tile in the gallery, and of the photograph by itself.
TILE, WHOLE = 200, 1600
_QUALITY = 82
_KEPT_BYTES = 64_000_000


class Pictures:
    """Makes JPEGs of photographs, and keeps the latest in memory.

    Args:
        sky: how pictures with more than 8 bits a value are stretched; None: not.
    """

    def __init__(self, sky: SkyStretch | None = None) -> None:
        self._sky = sky
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes = 0

    def tag(self, path: Path, edge: int) -> str:
        """Say what a photograph's JPEG is known by; it changes with the file.

        Args:
            path: of its file; the caller has seen to it that it is one of the image folder.
            edge: pixels of the longer side; a smaller photograph stays as it is.

        Returns:
            An ETag of HTTP.

        Raises:
            ImageError: it is not there any more.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise ImageError("unreadable", error.strerror or str(error)) from error
        # The inode's time as well: files that were unpacked together have one date, and moving gives one the name of
        # another.
        return f'"{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{status.st_size:x}-{edge}"'

    def jpeg(self, path: Path, edge: int) -> tuple[bytes, str]:
        """Make a JPEG of a photograph.

        Args:
            path: as of ``tag``.
            edge: as of ``tag``.

        Returns:
            The JPEG, and its tag.

        Raises:
            ImageError: it cannot be read.
        """
        tag = self.tag(path, edge)
        key = (str(path), tag)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if found is None:
            found = self._made(read_image_file(path), edge)
            self._keep(key, found)
        return found, tag

    def _made(self, data: bytes, edge: int) -> bytes:
        picture = decode_upright(data, edge, edge, LIMITS, self._sky)
        share = edge / max(picture.size)
        if share < 1:
            width, height = (max(1, round(share * side)) for side in picture.size)
            picture = Image.fromarray(resize_rgb(picture, height, width))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()

    def _keep(self, key: tuple[str, str], made: bytes) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made)
            while self._bytes > _KEPT_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
