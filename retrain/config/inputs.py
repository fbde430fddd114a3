"""Checks of where the photographs come from: --image_dir (folder, URL or archive), --image_list and --recursive."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from retrain import fsio, storage
from retrain.errors import did_you_mean

if TYPE_CHECKING:
    from retrain.config.flags import RunConfig

IMAGE_LIST_HELP = (
    "CSV of path,label in place of class folders; paths are relative to --image_dir, or to the CSV's own folder "
    "without one, and labels are kept as they are written"
)
MIB = 1 << 20
# What may come out of an archive, unless somebody who trusts it says more.
ARCHIVE_FILES, ARCHIVE_MB = 10_000, 256
ARCHIVE_FILES_HELP = "an archive with more files and folders is not unpacked"
ARCHIVE_MB_HELP = "an archive that unpacks to more is not unpacked, in MiB"

# What an archive starts with, by its bytes and not by its name; a .tar says so behind its first name.
_KINDS = {"zip": rb"PK(\x03\x04|\x05\x06)", "tar.gz": rb"\x1f\x8b", "tar.bz2": rb"BZh", "tar": rb"(?s:.{257})ustar"}
_HEAD_BYTES = 262
# Where some files never end, and reading changes things; none of them on Windows. Photographs may lie in memory.
_SYSTEM, _IN_MEMORY = (() if os.name == "nt" else ("/proc", "/sys", "/dev")), "/dev/shm/"  # noqa: S108


def input_problems(config: RunConfig) -> list[str]:
    """Check what names the photographs, without listing them and without reading an archive.

    Args:
        config: what a run is told.

    Returns:
        One sentence a problem.
    """
    problems = _list_problems(config)
    if config.image_dir or not config.image_list:
        problems += _image_dir_problems(config)
    return problems


def archive_kind(path: str) -> str:
    """Tell an archive of photographs by its first bytes.

    Args:
        path: of anything.

    Returns:
        "zip", "tar", "tar.gz" or "tar.bz2"; empty for whatever else, folders and URLs among it.
    """
    if not path or storage.is_url(path) or not os.path.isfile(path):  # noqa: PTH113 - false for a name too long
        return ""
    try:
        with Path(path).open("rb") as file:
            start = file.read(_HEAD_BYTES)
    except OSError:
        return ""
    return next((kind for kind, pattern in _KINDS.items() if re.match(pattern, start)), "")


def system_problems(folder: str) -> list[str]:
    """See that a folder can be one of photographs: not a whole disk, and not one whose files the system makes up.

    Args:
        folder: an existing folder.

    Returns:
        One sentence, or none.
    """
    place = os.path.realpath(folder)
    if os.path.dirname(place) == place:  # noqa: PTH120
        return [
            f"expected --image_dir to be the folder above the class folders, got {folder}, which is a whole disk; give "
            "the folder of the photographs"
        ]
    if not any(os.path.commonpath([place, one]) == one for one in _SYSTEM) or place.startswith(_IN_MEMORY):
        return []
    return [
        f"expected --image_dir to be a folder of photographs, got {folder}, whose files the system makes up when they "
        "are read; give the folder of the photographs"
    ]


def unpack_place(bottleneck_dir: str) -> str:
    """Say where archives are unpacked.

    Args:
        bottleneck_dir: the folder of the cache.

    Returns:
        A folder beside it, "unpacked"; it need not exist.
    """
    return str(Path(bottleneck_dir).parent / "unpacked")


def _list_problems(config: RunConfig) -> list[str]:
    path, problems = config.image_list, []
    if not path:
        return []
    if not os.path.isfile(path):  # noqa: PTH113
        problems.append(f"expected --image_list to be a CSV of path,label, got {path!r}; check the spelling")
    if storage.is_url(config.image_dir):
        problems.append(
            f"got --image_list and --image_dir={config.image_dir}: the photographs of a list must lie on this machine; "
            "copy them here, or give the URL of class folders without a list"
        )
    if config.recursive:
        problems.append(
            "got --image_list and --recursive: the list names every photograph itself; leave one of them away"
        )
    return problems


def _image_dir_problems(config: RunConfig) -> list[str]:
    image_dir = config.image_dir
    if not image_dir:
        return ["expected --image_dir, the folder with one sub-folder a class; try --image_dir tf_files/cluster_photos"]
    if storage.is_url(image_dir):
        return _url_problems(config)
    path = Path(image_dir)
    if os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, false and not an error for a name that is too long
        # What a list names is looked up, nothing else; its paths may well be those of a whole disk.
        return [] if config.image_list else system_problems(image_dir)
    if archive_kind(image_dir):
        return _unpack_problems(config)
    if os.path.exists(path):  # noqa: PTH110
        return [
            f"expected --image_dir to be a folder or an archive (.zip, .tar, .tar.gz, .tar.bz2), got the file "
            f"{image_dir}; give the folder above the class folders"
        ]
    return [f"Image directory '{image_dir}' not found{_near_folder(path)}; check the spelling and the current folder"]


def _url_problems(config: RunConfig) -> list[str]:
    problem = storage.folder_problem(config.image_dir)
    problems = [f"--image_dir={config.image_dir}: {problem}"] if problem else []
    if config.recursive:
        problems.append(
            f"got --recursive and --image_dir={config.image_dir}: folders below class folders are read on this machine "
            "only; copy the photographs here, or leave --recursive away"
        )
    return problems


def _unpack_problems(config: RunConfig) -> list[str]:
    place = unpack_place(config.bottleneck_dir)
    hindrance = fsio.why_not_writable(place, folder=True)
    if not hindrance:
        return []
    return [
        f"cannot unpack --image_dir={config.image_dir} into {place}: {hindrance}; choose another --bottleneck_dir, "
        "beside which archives are unpacked"
    ]


def _near_folder(path: Path) -> str:
    try:
        siblings = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return f" (nor is its parent {path.parent})"
    hint = did_you_mean(path.name, siblings)
    return f"; did you mean {path.parent / hint[len('; did you mean ') : -1]}?" if hint else ""
