"""The journal of fixes: which photograph went where, written before the first one moves, so that all can go back."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from retrain import fsio
from retrain.errors import UsageError

JOURNAL = "fixed.jsonl"


class Correction(NamedTuple):
    """One photograph and the place that it goes to.

    Args:
        old: its path below the image folder, with forward slashes.
        new: the path it gets.
    """

    old: str
    new: str

    def source(self, root: Path) -> Path:
        """Say where it was."""
        return root.joinpath(*self.old.split("/"))

    def target(self, root: Path) -> Path:
        """Say where it goes."""
        return root.joinpath(*self.new.split("/"))


def read_journal(root: Path) -> list[tuple[Correction, ...]]:
    """Read what was moved.

    Args:
        root: the image folder.

    Returns:
        A tuple a fix, the last one last; none where there is no journal.

    Raises:
        UsageError: it is not one that was written here; a journal from elsewhere must not move files out of the folder.
    """
    path = root / JOURNAL
    if path.is_symlink() or not path.is_file():
        if os.path.lexists(path):
            raise UsageError(f"expected {path} to be a file, got a link, folder or device; take it away")
        return []
    batches: dict[int, list[Correction]] = {}
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        parsed = _parse(line)
        if parsed is None:
            raise UsageError(f"line {number} of {path} is not one that fix writes; take the file away, or mend it")
        batches.setdefault(parsed[0], []).append(parsed[1])
    return [tuple(batches[number]) for number in sorted(batches)]


def _parse(line: str) -> tuple[int, Correction] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(row, dict) and set(row) == {"fix", "old", "new"} and type(row["fix"]) is int):
        return None
    inside = all(isinstance(row[name], str) and _is_below(row[name]) for name in ("old", "new"))
    return (row["fix"], Correction(row["old"], row["new"])) if inside else None


def _is_below(path: str) -> bool:
    parts = path.split("/")
    odd = any(part in ("", ".", "..") or "\0" in part or (os.sep != "/" and os.sep in part) for part in parts)
    return len(parts) > 1 and not odd and not os.path.isabs(path) and not os.path.splitdrive(path)[0]  # noqa: PTH117


def write_journal(root: Path, batches: Sequence[Sequence[Correction]]) -> None:
    """Write what is moved, whole or not at all; no fixes, no journal.

    Args:
        root: the image folder.
        batches: a fix each, the last one last.
    """
    lines = [
        # ASCII, so that names that are not UTF-8 come back as they were.
        json.dumps({"fix": number, "old": one.old, "new": one.new})
        for number, batch in enumerate(batches, 1)
        for one in batch
    ]
    if lines:
        fsio.write_text(root / JOURNAL, "".join(f"{line}\n" for line in lines))
    else:
        fsio.remove(root / JOURNAL)
