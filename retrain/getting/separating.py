"""Sorts the files of one folder into class folders by their names: planned, done, and undone where that is wanted."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrain import fsio
from retrain.console import printable
from retrain.dataset.scan import list_folder, suffix_of, suffixes_for
from retrain.errors import UsageError
from retrain.getting.moves import (
    JOURNAL,
    Move,
    carry,
    folder_fault,
    is_claim,
    is_claim_of_undo,
    read_journal,
    write_journal,
)
from retrain.getting.names import label_fault, twins

# What stands before the first dot, underscore or digit: "cat.123.jpg", "dog_7.jpg", "open cluster 12.jpg".
DEFAULT_PATTERN = r"(?P<label>[^._0-9]+)"
# ... without what only parted the two: "cat-12.jpg", "cat (12).jpg".
_SEPARATORS = " -("
_LOCK = ".separating"
_LOCK_WAIT_S = 2.0


@dataclass(frozen=True)
class Plan:
    """What a separation would do.

    Args:
        folder: that is separated.
        moves: by label, then by name.
        left: name of an entry that stays -> why.
        problems: one sentence each; nothing is moved while there are any.
    """

    folder: Path
    moves: tuple[Move, ...]
    left: dict[str, str]
    problems: tuple[str, ...] = ()

    def count_by_label(self) -> dict[str, int]:
        """Count the files a label."""
        return dict(sorted(Counter(move.label for move in self.moves).items()))


def plan_separation(folder: str | Path, pattern: str = DEFAULT_PATTERN, *, lower: bool = False) -> Plan:
    """Say where each file of a folder would go; nothing is touched.

    Args:
        folder: whose files lie directly in it.
        pattern: regular expression with a group named label, matched at the start of the name.
        lower: labels in small letters.

    Returns:
        The plan, with all problems.

    Raises:
        UsageError: there is no such folder, the pattern cannot be used, or the journal in it is damaged.
    """
    folder = Path(folder)
    expression = _compile(pattern)
    if not folder.is_dir():
        raise UsageError(f"expected a folder, got {printable(str(folder))}; check the spelling")
    moves: list[Move] = []
    left: dict[str, str] = {}
    for entry in _listed(folder):
        label, why = _label_of(entry, expression, lower)
        if label is not None:
            moves.append(Move(entry.name, label))
        elif why:
            left[entry.name] = why
    moves.sort(key=lambda move: (move.label, move.name))
    return Plan(folder, tuple(moves), left, tuple(_problems(folder, moves)))


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    entries = list_folder(str(folder))
    if isinstance(entries, str):
        raise UsageError(entries)
    return entries


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"expected --pattern to be a regular expression, got {pattern!r}: {error}") from error
    if "label" not in expression.groupindex:
        raise UsageError(f"expected --pattern to have a group (?P<label>...), got {pattern!r}")
    return expression


def _label_of(entry: os.DirEntry[str], pattern: re.Pattern[str], lower: bool) -> tuple[str | None, str]:
    """Give the label of a file, or why it has none; neither for what is no concern of anybody's."""
    if entry.is_symlink():
        return None, "a link, and links are not followed"
    if entry.is_dir(follow_symlinks=False) or entry.name in (JOURNAL, f"{_LOCK}.lock"):
        return None, ""
    if entry.name.startswith("."):
        return None, "hidden (name starts with a dot)"
    if not entry.is_file(follow_symlinks=False):
        return None, "not a regular file"
    if suffix_of(entry.name) not in suffixes_for(sky=True) - {""}:
        return None, "suffix of no known image format"
    found = pattern.match(entry.name)
    label = (found["label"] or "").rstrip(_SEPARATORS) if found else ""
    if not label:
        return None, "its name does not match the pattern"
    label = label.lower() if lower else label
    fault = label_fault(label)
    return (None, f"its label would be {label!r}: {fault}") if fault else (label, "")


def _problems(folder: Path, moves: list[Move]) -> list[str]:
    labels = sorted({move.label for move in moves})
    folders = [entry.name for entry in _listed(folder) if entry.is_dir(follow_symlinks=False)]
    same = [f"{sentence}, or use --lower" for sentence in twins(labels, folders)]
    blocked = [fault for label in labels if (fault := folder_fault(folder / label))]
    earlier = read_journal(folder)
    claims = {move for move in earlier if is_claim(folder, move)}
    moved = {move.name: move.label for move in earlier if os.path.lexists(move.target(folder)) and move not in claims}
    # Of two files of one name, only one could be put back.
    again = [
        f"a file called {printable(move.name)} was moved to {moved[move.name]!r} before; rename one of them"
        for move in moves
        if moved.get(move.name, move.label) != move.label
    ]
    taken = [
        f"{printable(str(move.target(folder)))} is there already; rename it or {printable(move.name)}"
        for move in moves
        if os.path.lexists(move.target(folder)) and move not in claims
    ]
    return same + blocked + again + ([] if blocked else taken)


def apply_plan(plan: Plan) -> int:
    """Move the files.

    Args:
        plan: without problems.

    Returns:
        How many were moved.

    Raises:
        UsageError: the plan has problems, or a name was taken since; nothing is ever replaced.
    """
    if plan.problems:
        raise UsageError(plan.problems)
    if not plan.moves:
        return 0
    folder = plan.folder
    _see_that_files_can_move(folder, plan.moves)
    with fsio.locked(folder / _LOCK, timeout_s=_LOCK_WAIT_S):
        # What an interrupted run did not get to is planned again; what it moved stays in the journal.
        earlier = read_journal(folder)
        for move in earlier:
            if is_claim(folder, move):
                fsio.remove(move.target(folder))
        done = [move for move in earlier if os.path.lexists(move.target(folder))]
        write_journal(folder, [*dict.fromkeys([*done, *plan.moves])])
        for move in plan.moves:
            try:
                carry(move.source(folder), move.target(folder))
            except FileExistsError as error:
                raise UsageError(f"{error.filename} was made meanwhile; rename it and try again") from error
            except FileNotFoundError as error:
                raise UsageError(f"{move.source(folder)} is gone since it was listed; try again") from error
    return len(plan.moves)


def _see_that_files_can_move(folder: Path, moves: Sequence[Move]) -> None:
    labels = sorted({folder / move.label for move in moves})
    places = [folder, *(place for place in labels if os.path.isdir(place))]  # noqa: PTH112
    hindrances = ((place, fsio.why_not_writable(place, folder=True)) for place in places)
    problems = [
        f"cannot move files in {printable(str(place))}: {why}; change its permissions"
        for place, why in hindrances
        if why
    ]
    if problems:
        raise UsageError(problems)


def undo_separation(folder: str | Path) -> tuple[int, list[str]]:
    """Put back what was moved, and take away the class folders that are empty then.

    Args:
        folder: that was separated.

    Returns:
        How many files went back, and the names of those that are no longer where they were put.

    Raises:
        UsageError: nothing was separated here, or names are taken; nothing is moved then.
    """
    folder = Path(folder)
    moves = read_journal(folder) if folder.is_dir() else []
    if not moves:
        raise UsageError(f"expected a folder with {JOURNAL} in it, got {printable(str(folder))}; nothing to undo there")
    _see_that_files_can_move(folder, moves)
    with fsio.locked(folder / _LOCK, timeout_s=_LOCK_WAIT_S):
        for move in moves:
            if is_claim(folder, move):
                fsio.remove(move.target(folder))
            elif is_claim_of_undo(folder, move):
                fsio.remove(move.source(folder))
        problems = [fault for label in sorted({m.label for m in moves}) if (fault := folder_fault(folder / label))]
        problems += [
            f"{printable(str(move.source(folder)))} is there again; rename it"
            for move in moves
            if os.path.lexists(move.source(folder)) and os.path.lexists(move.target(folder))
        ]
        if problems:
            raise UsageError(problems)
        back, gone = _put_back(folder, moves)
    return back, gone


def _put_back(folder: Path, moves: list[Move]) -> tuple[int, list[str]]:
    back, gone = 0, []
    for move in moves:
        if os.path.lexists(move.target(folder)):
            carry(move.target(folder), move.source(folder))
            back += 1
        elif not os.path.lexists(move.source(folder)):
            gone.append(move.name)
    for label in {move.label for move in moves}:
        place = folder / label
        if place.is_dir() and not any(place.iterdir()):
            fsio.remove_folder(place)
    write_journal(folder, [])
    return back, gone
