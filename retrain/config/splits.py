"""What --group_by and --split_file may be, and checks of them; the files themselves are read in the room dataset."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrain.errors import did_you_mean

if TYPE_CHECKING:
    from retrain.config.flags import RunConfig

GROUP_BY_HELP = (
    "photographs that must lie on one side together: 'folder' (those of one sub-folder below the class), 'nohash' (the "
    "original's: what stands before _nohash_ in the name), 'exif_date' (taken on one day), csv:FILE (columns "
    "path,group) or regex:PATTERN (its first group, found in class/name)"
)
SPLIT_FILE_HELP = (
    "CSV that decides the sides: path,label,split and, if you like, group,sha256, as an earlier run's .split.csv; what "
    "it does not name is placed by --split_rule"
)
SUBFOLDER_SPLITS_HELP = (
    "take train, val and test folders with the class folders inside them as the sides, where --image_dir holds such "
    "folders and nothing else"
)
NEAR_DUPLICATES_HELP = (
    "photographs that are one picture scaled, cut, brightened or compressed anew: 'together' keeps them on one side "
    "(and only counts them where the sides are given, by --split_rule=poets, --split_file or folders), 'ignore' does "
    "not look for them. Looking compares all with all, once for a set of photographs: about a fifth of the time that "
    "their bottlenecks take, for some thousand"
)
_WORDS = ("folder", "nohash", "exif_date")
_WITH_ARGUMENT = ("csv", "regex")


@dataclass(frozen=True)
class GroupRule:
    """What makes photographs one group.

    Args:
        kind: "" (nothing), "folder", "nohash", "exif_date", "csv" or "regex".
        argument: the file of "csv", the pattern of "regex".
    """

    kind: str
    argument: str = ""


def parse_group_by(text: str) -> GroupRule | str:
    """Read --group_by.

    Args:
        text: as it was typed.

    Returns:
        The rule, or one sentence that says what is wrong with it.
    """
    kind, colon, argument = text.partition(":")
    if not text or text in _WORDS:
        return GroupRule(text)
    legal = (*_WORDS, "csv:FILE", "regex:PATTERN")
    if kind not in _WITH_ARGUMENT or not colon:
        return f"expected --group_by to be one of {', '.join(legal)}, got {text!r}{did_you_mean(text, legal)}"
    if not argument:
        return f"expected something behind the colon of --group_by={text}, got nothing; one of {', '.join(legal)}"
    hindrance = _not_a_file(argument) if kind == "csv" else _not_a_pattern(argument)
    if hindrance:
        return f"--group_by={text}: {hindrance}"
    return GroupRule(kind, argument)


def split_problems(config: RunConfig) -> list[str]:
    """Check --group_by and --split_file, without reading a file.

    Args:
        config: what a run is told.

    Returns:
        One sentence a problem.
    """
    rule = parse_group_by(config.group_by)
    problems = [rule] if isinstance(rule, str) else []
    if config.group_by and config.split_rule == "poets":
        problems.append(
            f"got --group_by={config.group_by} and --split_rule=poets, which places each path by itself (and keeps "
            "_nohash_ names together already); leave one of them away"
        )
    if config.split_file and (hindrance := _not_a_file(config.split_file)):
        problems.append(f"--split_file={config.split_file}: {hindrance}")
    return problems


def _not_a_file(path: str) -> str:
    if os.path.isfile(path):  # noqa: PTH113 - unlike Path.is_file, false and not an error for a name that is too long
        return ""
    what = "got a folder" if os.path.isdir(path) else "there is none"  # noqa: PTH112
    return f"expected a CSV file, {what}; check the spelling and the current folder"


def _not_a_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return f"expected a regular expression, got {pattern!r} ({error}); try it in Python with re.search"
    return ""
