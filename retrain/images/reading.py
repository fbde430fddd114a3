"""Reads a file that should be an image: from the disk or from a URL, within limits."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from retrain import storage
from retrain.errors import ImageError
from retrain.images.spec import LIMITS, ImageLimits
from retrain.storage import is_url


def read_image_file(path: str | Path, limits: ImageLimits = LIMITS) -> bytes:
    """Read a file that should be an image.

    Args:
        path: the file, or its URL.
        limits: larger files are refused unread.

    Returns:
        Its bytes.

    Raises:
        ImageError: it is missing, empty, not a regular file, unreadable or too large.
    """
    try:
        if is_url(path):
            return _read_url(str(path), limits)
        # Asked before opening: opening a named pipe would wait for ever.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a file", f"{path} is a folder, pipe or device")
        if status.st_size > limits.max_bytes:
            raise ImageError("too large", f"{status.st_size} bytes, at most {limits.max_bytes} are read")
        if status.st_size == 0:
            return b""  # Trap: of some files the system says so, and reading them (/proc/kmsg) would wait for ever.
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes
            return file.read()
    except OSError as error:
        raise ImageError("unreadable", error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError("unreadable", str(error)) from error


def _read_url(url: str, limits: ImageLimits) -> bytes:
    data = storage.read(url, limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise ImageError("too large", f"over {limits.max_bytes} bytes, no more are read")
    return data
