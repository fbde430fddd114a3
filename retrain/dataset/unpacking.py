"""Photographs in a zip or tar archive: looked through first, then unpacked once, beside the cache.

The folder is named by the archive's SHA-256 and is there whole or not at all, so that every later run, and
``python -m retrain export``, finds the photographs where they were.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from retrain import fsio
from retrain.config.inputs import archive_kind
from retrain.console import Console
from retrain.dataset.guards import Bounds, Guard
from retrain.dataset.members import FOLDER, Member, blocks_of, members_of, telling_damage
from retrain.dataset.unpacked import note_archive, remove_older
from retrain.errors import UsageError

# A hostile archive may have a sentence for each of its members.
_MOST_PROBLEMS = 10
# What macOS adds to a zip: shadows of the files.
_SHADOWS = "__MACOSX"
_HEADER_BYTES = 4096


def unpacked_folder(path: str, place: str) -> Path:
    """Say where an archive's files lie once it is unpacked.

    Args:
        path: the archive.
        place: the folder of all unpacked archives.

    Returns:
        A folder, there whole or not at all.

    Raises:
        UsageError: the archive cannot be read.
    """
    with telling_damage(path):
        return Path(place) / fsio.sha256_file(path)


def inspect_archive(path: str, place: str, bounds: Bounds) -> list[str]:
    """Look through an archive without writing anything.

    Args:
        path: the archive.
        place: where it is to be unpacked.
        bounds: how much may come out of it.

    Returns:
        Why it is not unpacked, one sentence a problem, at most ten and one that says how many more.
    """
    guard = Guard(path, Path(path).stat().st_size, bounds)
    problems: list[str] = []
    try:
        with Path(path).open("rb") as file:
            for member in _members(file, path, guard, bounds):
                problems += _judged(guard, member, path)
        excess = guard.excess(is_all=True)
    except UsageError as error:
        excess = guard.excess()
        problems += [] if excess else error.problems
    more = len(problems) - _MOST_PROBLEMS
    if more > 0:
        problems[_MOST_PROBLEMS:] = [f"{path}: {more} more members are not unpacked"]
    return excess + problems + _room_problems(path, place, guard.total_bytes)


def _judged(guard: Guard, member: Member, path: str) -> list[str]:
    if guard.is_exceeded:  # only counted, to say how much there is
        guard.add(member)
        return []
    _, problem = guard.judge(member)
    return [_sentence(path, member, problem)] if problem else []


def unpack_archive(
    path: str, place: str, bounds: Bounds, console: Console, judge: Callable[[str], Sequence[str]]
) -> Path:
    """Unpack an archive, unless it is unpacked already; what was unpacked of it when it held something else goes.

    Args:
        path: the archive.
        place: the folder of all unpacked archives; made.
        bounds: how much may come out of it.
        console: shown how far it is.
        judge: folder -> what is wrong with its photographs, one sentence a problem; asked before it takes its place.

    Returns:
        The folder with its files.

    Raises:
        UsageError: it is not one that is unpacked, or its photographs are not to be used; nothing is left of it.
    """
    target = unpacked_folder(path, place)
    if target.is_dir():
        return target
    with _leaving_no_empty_folders(Path(place)), fsio.staging(place) as stage:
        _extract(path, stage / target.name, bounds, console)
        problems = judge(str(stage / target.name))
        if problems:
            raise UsageError([one.replace(str(stage / target.name), path) for one in problems])
        if not target.is_dir():  # another process may have been as fast
            note_archive(target, path)
            fsio.move_folder(stage / target.name, target)
    for older in remove_older(target, path):
        console.line(f"Removed {older}, which was unpacked from what {path} held before")
    return target


def step_into(folder: Path) -> Path:
    """Find the class folders of an unpacked archive, which often holds one folder with everything in it.

    Args:
        folder: as it was unpacked.

    Returns:
        Its only folder, where it holds nothing else and that has folders of its own; else the folder itself.
    """
    visible = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if len(visible) != 1 or not visible[0].is_dir():
        return folder
    return visible[0] if any(entry.is_dir() for entry in visible[0].iterdir()) else folder


def _extract(path: str, folder: Path, bounds: Bounds, console: Console) -> None:
    fsio.make_folder(folder)
    size = Path(path).stat().st_size
    guard = Guard(path, size, bounds)
    with Path(path).open("rb") as file, console.stage("Unpacking", size // 1024, "KiB of the archive") as advance:
        done = 0
        for member in _members(file, path, guard, bounds):
            name, problem = guard.judge(member)
            if guard.is_exceeded or problem:
                raise UsageError(guard.excess() or _sentence(path, member, problem))
            _put(member, name, folder, path)
            now = max(done, file.tell() // 1024)
            advance(now - done)
            done = now


def _put(member: Member, name: str, folder: Path, source: str) -> None:
    if name.split("/")[0] in (_SHADOWS, ""):
        return
    target = fsio.safe_join(folder, name)
    if member.kind == FOLDER:
        fsio.make_folder(target)
        return
    with fsio.open_staged(target) as file:
        for block in blocks_of(member, source):
            file.write(block)


def _members(file: BinaryIO, path: str, guard: Guard, bounds: Bounds) -> Iterator[Member]:
    most = guard.allowed_bytes + bounds.max_files * _HEADER_BYTES
    return members_of(file, archive_kind(path), path, most, bounds.max_files)


def _sentence(path: str, member: Member, problem: str) -> str:
    return (
        f"{path}: its member {member.name!r} {problem}, so it is not unpacked; pack the photographs again, or, if you "
        "trust it, unpack it yourself and give the folder as --image_dir"
    )


def _room_problems(path: str, place: str, total_bytes: int) -> list[str]:
    parent = Path(place).absolute()
    while not parent.is_dir():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    if total_bytes <= free:
        return []
    return [
        f"{path} unpacks to {total_bytes:,} bytes, and {parent} has room for {free:,}; make room, or give a "
        "--bottleneck_dir on another disk, beside which archives are unpacked"
    ]


@contextlib.contextmanager
def _leaving_no_empty_folders(place: Path) -> Iterator[None]:
    """Take away, when it comes to nothing, the folders that were made for it."""
    made = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # one is not empty: others use it by now
            for folder in made:
                fsio.remove_folder(folder)
        raise
