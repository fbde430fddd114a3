"""The journal of a separation: which file went where, written before the first one moves, so that all can go back."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from retrain import fsio
from retrain.console import printable
from retrain.errors import UsageError
from retrain.getting.names import label_fault

JOURNAL = "separated.jsonl"


class Move(NamedTuple):
    """One file and the class folder that it goes to.

    Args:
        name: of the file, in the folder that is separated and in the class folder.
        label: name of the class folder.
    """

    name: str
    label: str

    def source(self, folder: Path) -> Path:
        """Say where the file was."""
        return folder / self.name

    def target(self, folder: Path) -> Path:
        """Say where the file goes."""
        return folder / self.label / self.name


def read_journal(folder: Path) -> list[Move]:
    """Read what was moved.

    Args:
        folder: that was separated.

    Returns:
        The moves, none where there is no journal.

    Raises:
        UsageError: it is not one that was written here; a journal from elsewhere must not move files out of the folder.
    """
    path = folder / JOURNAL
    if not _is_regular(path):
        if os.path.lexists(path):
            raise UsageError(f"expected {path} to be a file, got a link, folder or device; take it away")
        return []
    moves = []
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        move = _parse(line)
        if move is None:
            raise UsageError(f"line {number} of {path} is not one that separate writes; take the file away, or mend it")
        moves.append(move)
    return moves


def _parse(line: str) -> Move | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(row, dict) and set(row) == {"name", "label"} and all(isinstance(v, str) for v in row.values())):
        return None
    move = Move(row["name"], row["label"])
    inside = move.name not in ("", ".", "..") and not any(c in move.name for c in "/\0" + os.sep)
    return move if inside and label_fault(move.label) is None else None


def write_journal(folder: Path, moves: Sequence[Move]) -> None:
    """Write what is moved, whole or not at all; no moves, no journal.

    Args:
        folder: that is separated.
        moves: all that are to be undone together.
    """
    if moves:
        # ASCII, so that names that are not UTF-8 come back as they were.
        fsio.write_text(folder / JOURNAL, "".join(f"{json.dumps(move._asdict())}\n" for move in moves))
    else:
        fsio.remove(folder / JOURNAL)


def is_claim(folder: Path, move: Move) -> bool:
    """Tell an empty file that an interrupted move left at its target: the file itself is still where it was.

    Args:
        folder: that is separated.
        move: from the journal.
    """
    return _is_regular(move.source(folder)) and _is_empty(move.target(folder))


def is_claim_of_undo(folder: Path, move: Move) -> bool:
    """Tell an empty file that an interrupted undoing left where the file was: the file itself is still at its target.

    Args:
        folder: that is separated.
        move: from the journal.
    """
    return _is_regular(move.target(folder)) and _is_empty(move.source(folder))


def carry(source: Path, target: Path, *, lasting: bool = True) -> None:
    """Move a file to a name that nothing has.

    Args:
        source: the file.
        target: on the same disk; its folder is made.
        lasting: as of fsio.move.

    Raises:
        FileExistsError: something has that name; nothing is moved.
        FileNotFoundError: the file is gone.
    """
    os.lstat(source)
    # A rename replaces what is there, so the name is claimed first, which fails where it is taken.
    fsio.open_log(target).close()
    try:
        fsio.move(source, target, lasting=lasting)
    except BaseException:
        if os.path.lexists(source):
            fsio.remove(target)
        raise


def folder_fault(path: Path) -> str | None:
    """Say why files cannot go into or out of a class folder.

    Args:
        path: of a folder that need not be there.

    Returns:
        A sentence, or None.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        return None
    what = "a link" if stat.S_ISLNK(mode) else "a file"
    return f"expected {printable(str(path))} to be a folder, got {what}; rename it"


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_empty(path: Path) -> bool:
    return _is_regular(path) and path.stat().st_size == 0
