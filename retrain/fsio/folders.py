"""Folders: made beside their target, fsynced, renamed into its place."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from retrain.fsio.files import process_is_gone, sync_directory

_STAGING = ".staging."
_REPLACED = ".replaced."


@contextlib.contextmanager
def staging(folder: str | Path) -> Iterator[Path]:
    """Make a folder to prepare files in, on the file system where they will lie; it is gone afterwards.

    Args:
        folder: below which it is made; made as well.

    Yields:
        The empty folder. What killed processes left of theirs is removed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder, _STAGING)
    place = folder / f"{_STAGING}{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def open_staged(target: str | Path) -> BinaryIO:
    """Open a new file in a staging folder; move_folder syncs it.

    Args:
        target: a file that must not exist yet; its folder is made.

    Returns:
        A binary file to write into, buffered.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.open("xb")


def move_folder(source: str | Path, target: str | Path) -> None:
    """Put a finished folder into its place. The old one, if there is one, is whole until the new one is.

    Args:
        source: the folder, on the target's file system.
        target: where it goes; a folder that is there is replaced.
    """
    source, target = Path(source), Path(target)
    for path in sorted(source.rglob("*"), reverse=True):
        _sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent, f".{target.name}{_REPLACED}")
    old = target.with_name(f".{target.name}{_REPLACED}{os.getpid()}")
    if target.exists():
        target.rename(old)
    source.rename(target)
    sync_directory(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def remove(target: str | Path) -> bool:
    """Remove a file, or a folder with all that is in it.

    Args:
        target: the path.

    Returns:
        Whether there was one.
    """
    target = Path(target)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
        return True
    if target.exists() or target.is_symlink():
        target.unlink()
        return True
    return False


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_directory(path)
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sweep(folder: Path, start: str) -> None:
    """Remove what killed processes left."""
    for leftover in folder.glob(f"{''.join(f'[{c}]' if c in '*?[' else c for c in start)}*"):
        pid = leftover.name.rsplit(".", 1)[-1]
        if pid.isdigit() and int(pid) != os.getpid() and process_is_gone(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)
