"""Questions about paths and files; nothing is written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from retrain.errors import UsageError


def sha256_file(path: str | Path) -> str:
    """Hash a file's contents.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_fault(path: Path, checksum: str) -> str:
    """Compare a file with its published checksum.

    Args:
        path: the file.
        checksum: MD5 or SHA-256, lower-case hexadecimal; empty where none is published.

    Returns:
        What is wrong, or nothing.
    """
    if not checksum:
        return ""
    name = {32: "md5", 64: "sha256"}[len(checksum)]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()
    if found == checksum:
        return ""
    return f"expected a file with the {name.upper().replace('SHA', 'SHA-')} {checksum}, got {found}"


def why_not_writable(path: str | Path, *, folder: bool) -> str | None:
    """Say what stands in the way of writing, without touching the disk.

    Args:
        path: a file or folder that need not exist.
        folder: whether the path is to be a folder.

    Returns:
        A phrase such as "it is a folder", or None where nothing stands in the way.
    """
    path = Path(path)
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _why_no_new_entry(path)
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be looked into, a NUL
        return getattr(error, "strerror", None) or str(error)
    if folder and not os.path.isdir(path):  # noqa: PTH112 - false, not an error, where it may not be asked
        return "it is a file, not a folder"
    if not folder and os.path.isdir(path):  # noqa: PTH112
        return "it is a folder, not a file"
    if not os.access(path, os.W_OK):
        return "there is no permission to write to it"
    return None if folder else _why_no_new_entry(path)


def _why_no_new_entry(path: Path) -> str | None:
    parent = path.absolute().parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        return f"{parent} is a file, not a folder"
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"there is no permission to write in {parent}"
    return None


def safe_join(root: str | Path, *parts: str) -> Path:
    """Join names to a folder and refuse to leave it.

    Args:
        root: the folder.
        parts: names below it, from a source that is not to be trusted.

    Returns:
        The joined path.

    Raises:
        UsageError: a part is absolute, holds a NUL, or climbs out with "..".
    """
    root = Path(root)
    joined = root.joinpath(*parts)
    inside = os.path.normpath(joined) != os.path.normpath(root)
    below = Path(os.path.normpath(joined)).is_relative_to(os.path.normpath(root))
    if "\0" in "".join(parts) or not (inside and below):
        raise UsageError(f"expected a name inside {root}, got {'/'.join(parts)!r}")
    return joined
