"""Folders: made beside their target, fsynced, renamed into its place."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from retrain.fsio import system
from retrain.fsio.files import process_is_gone

_STAGING = ".staging."
_REPLACED = ".replaced."
_LEFT = re.compile(rf"(?:{re.escape(_STAGING)}|\.(?P<replaced>.+){re.escape(_REPLACED)})(?P<pid>[0-9]+)")
# Folders that this process is preparing files in.
_in_use: set[Path] = set()


@contextlib.contextmanager
def staging(folder: str | Path) -> Iterator[Path]:
    """Make a folder to prepare files in, on the file system where they will lie; it is gone afterwards.

    Args:
        folder: below which it is made; made as well.

    Yields:
        The empty folder. What killed processes left of theirs is removed.
    """
    folder = Path(folder)
    system.make_folder(folder)
    sweep(folder)
    place = folder / f"{_STAGING}{os.getpid()}"
    remove(place)
    system.make_folder(place)
    try:
        with _using(place):
            yield place
    finally:
        discard(place)


def open_staged(target: str | Path) -> BinaryIO:
    """Open a new file in a staging folder; move_folder syncs it.

    Args:
        target: a file that must not exist yet; its folder is made.

    Returns:
        A binary file to write into, buffered.
    """
    target = Path(target)
    system.make_folder(target.parent)
    return system.open_file(target, "xb")


def move_folder(source: str | Path, target: str | Path) -> None:
    """Put a finished folder into its place. The old one, if there is one, is whole until the new one is.

    Args:
        source: the folder, on the target's file system.
        target: where it goes; a folder that is there is replaced.
    """
    source, target = Path(source), Path(target)
    for path in (*sorted(source.rglob("*"), reverse=True), source):
        _sync(path)
    system.make_folder(target.parent)
    sweep(target.parent)
    old = target.with_name(f".{target.name}{_REPLACED}{os.getpid()}")
    with _using(old):
        if target.exists():
            system.rename(target, old)
        try:
            system.rename(source, target)
        except OSError:
            _put_back(old, target)
            raise
        system.sync_folder(target.parent)
    discard(old)


def remove(target: str | Path) -> bool:
    """Remove a file, or a folder with all that is in it.

    Args:
        target: the path.

    Returns:
        Whether there was one.
    """
    target = Path(target)
    if target.is_dir() and not target.is_symlink():
        system.remove_tree(target)
        return True
    return os.path.lexists(target) and system.remove_file(target)


def discard(target: str | Path) -> None:
    """Remove what is of no use any more, as far as that can be done: a later run sweeps what stays.

    Args:
        target: a file or a folder; it need not be there.
    """
    target = Path(target)
    if target.is_dir() and not target.is_symlink():
        system.remove_tree(target, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        system.remove_file(target)


def _sync(path: Path) -> None:
    if path.is_dir():
        system.sync_folder(path)
    else:
        system.sync_path(path)


def sweep(folder: str | Path) -> None:
    """Remove the folders that killed processes prepared files in or had replaced, and what could not be removed then.

    A folder that was moved away for another one that never came goes back.

    Args:
        folder: in which they were; it need not exist.
    """
    with contextlib.suppress(OSError):
        for leftover in list(Path(folder).glob(".*")):
            left = _LEFT.fullmatch(leftover.name)
            if left is None or leftover in _in_use or not _is_nobodys(int(left["pid"])):
                continue
            if left["replaced"]:  # killed between its two renames, a process leaves no other copy
                _put_back(leftover, leftover.with_name(left["replaced"]))
            discard(leftover)


def _is_nobodys(pid: int) -> bool:
    return pid == os.getpid() or process_is_gone(pid)


def _put_back(old: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        if old.exists() and not os.path.lexists(target):
            system.rename(old, target)


@contextlib.contextmanager
def _using(place: Path) -> Iterator[None]:
    _in_use.add(place)
    try:
        yield
    finally:
        _in_use.discard(place)
