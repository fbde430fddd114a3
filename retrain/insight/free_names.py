"""Names that nothing in a folder has: ``m13-2.jpg`` where ``m13.jpg`` is taken."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

# Of a name, on nearly every file system.
_MOST_BYTES = 255


class FreeNames:
    """Gives out names below a folder, none of them twice.

    Two names that are one where large and small letters, or composed and decomposed ones, are one count as one.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._taken: dict[str, set[str]] = {}
        self._next: dict[tuple[str, str], int] = {}

    def take(self, path: str) -> str:
        """Find a free name, which is taken from then on.

        Args:
            path: that is wished for, below the folder, with forward slashes.

        Returns:
            The path, or one with a number in its name.
        """
        folder, _, name = path.rpartition("/")
        taken = self._names_in(folder)
        free = name if _key(name) not in taken else self._numbered(folder, name, taken)
        taken.add(_key(free))
        return f"{folder}/{free}" if folder else free

    def _numbered(self, folder: str, name: str, taken: set[str]) -> str:
        stem, suffix = os.path.splitext(name)
        number = self._next.get((folder, _key(name)), 2)
        while _key(made := _spelt(stem, number, suffix)) in taken:
            number += 1
        self._next[folder, _key(name)] = number + 1
        return made

    def _names_in(self, folder: str) -> set[str]:
        if folder not in self._taken:
            place = self._root.joinpath(*folder.split("/"))
            # A folder is listed once, however many names are asked for in it.
            self._taken[folder] = {_key(one.name) for one in place.iterdir()} if place.is_dir() else set()
        return self._taken[folder]


def _spelt(stem: str, number: int, suffix: str) -> str:
    """Put a number behind a stem, which is cut where the name would be too long for a file system."""
    end = f"-{number}{suffix}"
    while stem and len(os.fsencode(stem + end)) > _MOST_BYTES:
        stem = stem[:-1]
    return stem + end


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
