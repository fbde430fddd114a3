"""Everything that lies below an image folder, by directory entries alone: no file is opened, few links are followed.

Wider than dataset/scan.py, which lists what a run takes: this one also sees what lies too deep, links, pipes, names.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

# So many entries are looked at, about 10 s of listing: somebody may have named the root of a disk.
MAX_ENTRIES = 1_000_000

FILE, FOLDER, BROKEN, LOOP, UNKNOWN = "file", "folder", "broken link", "link loop", "cannot be examined"
# What is neither file nor folder: named, never opened.
_OTHERS = ((stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in the tree.

    Args:
        path: relative to the image folder, with forward slashes.
        kind: FILE, FOLDER, BROKEN, LOOP, UNKNOWN, or "pipe", "socket", "device".
        is_link: whether it is a symbolic link; ``kind`` is then that of what it leads to.
    """

    path: str
    kind: str
    is_link: bool = False

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def depth(self) -> int:
        """1 directly in the image folder, 2 in a class folder, more below."""
        return self.path.count("/") + 1

    @property
    def parent(self) -> str:
        """The folder that it lies in; empty for the image folder."""
        return self.path.rpartition("/")[0]

    @property
    def is_hidden(self) -> bool:
        """Whether its name, or that of a folder above, starts with a dot."""
        return self.path.startswith(".") or "/." in self.path


@dataclass(frozen=True)
class Survey:
    """What lies below an image folder.

    Args:
        root: the image folder as it was typed.
        entries: folder by folder, by name; a hidden folder is there, what it holds is not.
        unlisted: folders that could not be listed, relative, and why.
        is_whole: whether all of it was seen; MAX_ENTRIES may have been too few.
    """

    root: str
    entries: tuple[Entry, ...] = ()
    unlisted: tuple[tuple[str, str], ...] = ()
    is_whole: bool = True

    def full_path(self, path: str) -> str:
        """Say where an entry lies.

        Args:
            path: relative to the image folder.

        Returns:
            Its path, joined to the root as it was typed.
        """
        return os.path.join(self.root, *path.split("/")) if path else self.root


def suffix_of(path: str) -> str:
    """Take the suffix of a name.

    Args:
        path: with forward slashes.

    Returns:
        In lower case with its dot; empty where there is none.
    """
    return os.path.splitext(path.rsplit("/", 1)[-1])[1].lower()


def survey_folder(root: str, max_entries: int = MAX_ENTRIES) -> Survey:
    """List what lies below a folder.

    Args:
        root: the folder.
        max_entries: no more are looked at.

    Returns:
        What was found; nothing is raised for what cannot be listed.
    """
    entries: list[Entry] = []
    unlisted: list[tuple[str, str]] = []
    folders = [""]
    while folders and len(entries) < max_entries:
        folder = folders.pop()
        try:
            found = sorted(_list(root, folder), key=lambda entry: entry.path)
        except (OSError, ValueError) as error:
            unlisted.append((folder, getattr(error, "strerror", None) or str(error)))
            continue
        entries += found
        folders += [entry.path for entry in reversed(found) if _is_led_on(entry)]
    return Survey(root, tuple(entries[:max_entries]), tuple(unlisted), len(entries) <= max_entries and not folders)


def survey_top(root: str) -> Survey:
    """List what lies directly in a folder.

    Args:
        root: the folder.

    Returns:
        What was found; nothing is raised for what cannot be listed.
    """
    try:
        return Survey(root, tuple(sorted(_list(root, ""), key=lambda entry: entry.path)))
    except (OSError, ValueError) as error:
        return Survey(root, unlisted=(("", getattr(error, "strerror", None) or str(error)),))


def _is_led_on(entry: Entry) -> bool:
    """Whether a folder's own entries are listed: a class folder may be a link, as a run follows it; no other may."""
    return entry.kind == FOLDER and not entry.is_hidden and (not entry.is_link or entry.depth == 1)


def _list(root: str, folder: str) -> Iterator[Entry]:
    start = os.path.join(root, *folder.split("/")) if folder else root
    # Trap: a class folder that is a link to the image folder itself would be walked again, class by class.
    linked = bool(folder) and "/" not in folder and os.path.islink(start)  # noqa: PTH114
    with os.scandir(start) as found:
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            kind = _kind_of(entry)
            yield Entry(path, kind, _is_link(entry) or (linked and kind == FOLDER))


def _is_link(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink()
    except OSError:
        return False


def _kind_of(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_file():
            return FILE
        if entry.is_dir():
            return FOLDER
        mode = entry.stat().st_mode
    except FileNotFoundError:
        return BROKEN
    except OSError as error:
        return LOOP if error.errno == errno.ELOOP else UNKNOWN
    return next((name for test, name in _OTHERS if test(mode)), UNKNOWN)
