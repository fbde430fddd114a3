"""The folders below a class folder, for --recursive: links are not followed, so that nothing is met twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

# Deeper folders are counted and left out: a mount inside itself would otherwise have no end.
MAX_DEPTH = 32
HIDDEN_FOLDER = "hidden folder (name starts with a dot)"
LINKED_FOLDER = "link to a folder, below a class folder"
UNREADABLE_FOLDER = "folder below a class folder that cannot be read"
TOO_DEEP = f"folder more than {MAX_DEPTH} levels below a class folder"

Entries = list[os.DirEntry[str]]


def walk_class(folder: str, entries: Entries, left_out: Counter[str]) -> Iterator[tuple[str, Entries]]:
    """List a class folder and all folders below it.

    Args:
        folder: its place below the image folder, with forward slashes.
        entries: what it holds, by name.
        left_out: reason -> how many folders were not looked into; counted up.

    Yields:
        The place of each folder below the image folder, and what it holds other than folders, by name.
    """
    waiting = [(folder, entries, 0)]
    while waiting:
        where, found, depth = waiting.pop()
        inner = [entry for entry in found if _is_folder(entry)]
        yield where, [entry for entry in found if not _is_folder(entry)]
        below = [(f"{where}/{entry.name}", listing) for entry in inner if (listing := _list(entry, depth, left_out))]
        waiting += [(place, listing, depth + 1) for place, listing in reversed(below)]


def _list(entry: os.DirEntry[str], depth: int, left_out: Counter[str]) -> Entries:
    reason = _why_not(entry, depth)
    if not reason:
        try:
            with os.scandir(entry.path) as entries:
                return sorted(entries, key=lambda one: one.name)
        except OSError:
            reason = UNREADABLE_FOLDER
    left_out[reason] += 1
    return []


def _why_not(entry: os.DirEntry[str], depth: int) -> str:
    if entry.name.startswith("."):
        return HIDDEN_FOLDER
    # Junctions of Windows are no symlinks; Python 3.12 and later tell them.
    if entry.is_symlink() or getattr(entry, "is_junction", bool)():
        return LINKED_FOLDER
    return TOO_DEEP if depth >= MAX_DEPTH else ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
