"""Folder names become labels."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from retrain.console import printable

_NOT_ASCII_WORD = re.compile(r"[^a-z0-9]+")


def poets_label(folder: str) -> str:
    """Normalise a folder name as the original retrain.py does.

    Args:
        folder: the name of a class folder.

    Returns:
        The name in lower case, each run of characters outside a-z and 0-9 replaced by one space, not stripped.
    """
    return _NOT_ASCII_WORD.sub(" ", folder.lower())


def make_labels(folders: Sequence[str], style: str, noun: str = "folder") -> tuple[tuple[str, ...], list[str]]:
    """Give each class folder its label.

    Args:
        folders: names of the class folders.
        style: "folder" (as spelt) or "poets" (as the original).
        noun: what the names are called in messages, "folder" or "label".

    Returns:
        One label a folder in the same order, and one sentence a problem.
    """
    labels = tuple(poets_label(folder) if style == "poets" else folder for folder in folders)
    return labels, _unprintable(folders, labels, noun) + _collisions(folders, labels, noun)


def _unprintable(folders: Sequence[str], labels: Sequence[str], noun: str) -> list[str]:
    # A line break would make two labels of one in the labels file; a lone surrogate cannot be written as UTF-8.
    # Joiners and wide spaces, which Python does not call printable either, belong to Persian and Japanese names.
    return [
        f"class {noun} {printable(folder)!r} has a name that cannot be a line of the labels file; rename it"
        for folder, label in zip(folders, labels, strict=True)
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in label)
    ]


def _collisions(folders: Sequence[str], labels: Sequence[str], noun: str) -> list[str]:
    folders_of = defaultdict(list)
    for folder, label in zip(folders, labels, strict=True):
        folders_of[label].append(printable(folder))
    return [
        f"{noun}s {', '.join(map(repr, same))} would all be labelled {label!r}; "
        "rename them apart or use --label_style=folder"
        for label, same in folders_of.items()
        if len(same) > 1
    ]
