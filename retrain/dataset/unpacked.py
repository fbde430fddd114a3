"""The folders of unpacked archives: of which archive each is, what it takes, and what can go.

Beside each folder lies a note, NAME.json, which says of which archive it is; without one it is not ours to remove.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from retrain import fsio

_NAME = re.compile(r"[0-9a-f]{64}")
_NOTE = ".json"


@dataclass(frozen=True)
class Unpacked:
    """One folder of an unpacked archive.

    Args:
        folder: named by the SHA-256 of its archive.
        archive: whole path of the archive; empty where no note says it.
        size: bytes of its files.
        files: how many they are.
        why_unused: why no run would use it; empty where one would, or where that is not known.
    """

    folder: Path
    archive: str
    size: int
    files: int
    why_unused: str


def note_archive(folder: Path, archive: str) -> None:
    """Note of which archive a folder is, before it takes its place.

    Args:
        folder: where the archive's files will lie.
        archive: its path as it was typed.
    """
    fsio.write_text(_note(folder), json.dumps({"archive": os.path.abspath(archive)}) + "\n")


def remove_older(folder: Path, archive: str) -> list[Path]:
    """Remove what was unpacked of the same archive when it held something else.

    Args:
        folder: where its files lie now.
        archive: its path as it was typed.

    Returns:
        The folders removed.
    """
    whole = os.path.abspath(archive)
    older = [one for one in _folders(folder.parent) if one != folder and _archive_of(one) == whole]
    return [one for one in older if remove_unpacked(one)]


def list_unpacked(place: str | Path) -> list[Unpacked]:
    """List the unpacked archives.

    Args:
        place: the folder that they lie in; it need not exist.

    Returns:
        One each, by name; what is no such folder is left out.
    """
    return [_describe(folder) for folder in _folders(Path(place))]


def remove_unpacked(folder: Path) -> bool:
    """Remove one unpacked archive; the archive itself stays.

    Args:
        folder: its folder, with a note beside it.

    Returns:
        Whether it is gone; False where no note says that it is ours.
    """
    if not _archive_of(folder):
        return False
    with fsio.staging(folder.parent) as stage:  # at once: half a folder under its name would be taken for whole
        fsio.move(folder, stage / folder.name)
    fsio.remove(_note(folder))
    return True


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(one for one in place.iterdir() if _NAME.fullmatch(one.name) and one.is_dir() and not one.is_symlink())


def _note(folder: Path) -> Path:
    return folder.with_name(folder.name + _NOTE)


def _archive_of(folder: Path) -> str:
    try:
        archive = json.loads(_note(folder).read_text(encoding="utf-8"))["archive"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return archive if isinstance(archive, str) else ""


def _describe(folder: Path) -> Unpacked:
    archive = _archive_of(folder)
    files = (os.path.join(top, name) for top, _, names in os.walk(folder) for name in names)
    sizes = [size for file in files if (size := _size(file)) >= 0]
    return Unpacked(folder, archive, sum(sizes), len(sizes), _why_unused(folder, archive) if archive else "")


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:  # it has gone meanwhile
        return -1


def _why_unused(folder: Path, archive: str) -> str:
    if not os.path.isfile(archive):  # noqa: PTH113 - false for a name too long
        # That of a disk that is not plugged in: its photographs may be all that there is of them here.
        return "the archive is gone" if os.path.isdir(os.path.dirname(archive)) else ""  # noqa: PTH112, PTH120
    try:
        return "" if fsio.sha256_file(archive) == folder.name else "the archive holds something else now"
    except OSError:
        return ""
