"""The journal of fixes: which photograph went where, written before the first one moves, so that all can go back.

A line a photograph or folder, JSON: the number of the fix, the place before (``old``) and the place after (``new``).
Nothing as ``old`` means that it was not there, nothing as ``new`` that it is not there any more; a slash at the end
marks a folder that was made, or taken away when it was empty.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from retrain import fsio
from retrain.errors import UsageError

JOURNAL = "fixed.jsonl"
# What is read of the journal's end at first; most fixes are shorter.
_TAIL_BYTES = 65_536


class Correction(NamedTuple):
    """One photograph and the place that it goes to; one class folder and its new name; or one that came or went.

    Args:
        old: its path below the image folder, with forward slashes; a path of one part is a folder. Empty: it was not
            there, and ``new`` is a photograph that was added, or with a slash at its end a folder that was made.
        new: the path it gets, of one part as well then. Empty: ``old`` is an empty folder that was taken away.
    """

    old: str
    new: str

    @property
    def moves(self) -> bool:
        """Whether something goes from one place to another."""
        return bool(self.old and self.new)

    @property
    def is_folder(self) -> bool:
        """Whether a class folder is renamed, with all that is in it."""
        return self.moves and "/" not in self.old

    @property
    def is_added(self) -> bool:
        """Whether a photograph came from elsewhere."""
        return not self.old and not self.new.endswith("/")

    @property
    def made(self) -> str:
        """Path of a folder that was made; empty: none was."""
        return self.new.rstrip("/") if not self.old and self.new.endswith("/") else ""

    @property
    def dropped(self) -> str:
        """Path of an empty folder that was taken away; empty: none was."""
        return self.old.rstrip("/") if not self.new else ""

    def source(self, root: Path) -> Path:
        """Say where it was."""
        return below(root, self.old)

    def target(self, root: Path) -> Path:
        """Say where it goes."""
        return below(root, self.new)


def below(root: Path, path: str) -> Path:
    """Find a place in the image folder.

    Args:
        root: the image folder.
        path: below it, with forward slashes.

    Returns:
        Its path.
    """
    return root.joinpath(*path.rstrip("/").split("/"))


def read_journal(root: Path) -> list[tuple[Correction, ...]]:
    """Read what was moved.

    Args:
        root: the image folder.

    Returns:
        A tuple a fix, the last one last; none where there is no journal.

    Raises:
        UsageError: it is not one that was written here; a journal from elsewhere must not move files out of the folder.
    """
    if not _is_there(root):
        return []
    batches: dict[int, list[Correction]] = {}
    for number, one in _parsed(root, (root / JOURNAL).read_bytes(), 1):
        batches.setdefault(number, []).append(one)
    return [tuple(batches[number]) for number in sorted(batches)]


def last_fix(root: Path) -> tuple[int, tuple[Correction, ...]]:
    """Read the end of the journal only, which may tell of 100,000 photographs.

    Args:
        root: the image folder.

    Returns:
        Number of the last fix, from 1, and what it was; 0 and nothing where there is none.

    Raises:
        UsageError: as read_journal, of what was read.
    """
    if not _is_there(root):
        return 0, ()
    wanted = _TAIL_BYTES
    with (root / JOURNAL).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        while True:
            at = max(0, size - wanted)
            file.seek(at)
            data = file.read()
            if at:  # the window begins within a line
                data = data.partition(b"\n")[2]
            rows = _parsed(root, data, None if at else 1)
            if not at or (rows and rows[0][0] != rows[-1][0]):
                break
            wanted *= 4
    last = rows[-1][0] if rows else 0
    return last, tuple(one for number, one in rows if number == last)


def _is_there(root: Path) -> bool:
    path = root / JOURNAL
    if path.is_symlink() or not path.is_file():
        if os.path.lexists(path):
            raise UsageError(f"expected {path} to be a file, got a link, folder or device; take it away")
        return False
    return True


def _parsed(root: Path, data: bytes, first_line: int | None) -> list[tuple[int, Correction]]:
    lines = data.decode("utf-8", errors="replace").split("\n")
    if not lines[-1]:
        lines.pop()
    found = []
    for number, line in enumerate(lines):
        parsed = _parse(line)
        if parsed is None:
            where = "a line" if first_line is None else f"line {first_line + number}"
            raise UsageError(f"{where} of {root / JOURNAL} is not one that fix writes; take the file away, or mend it")
        found.append(parsed)
    return found


def _parse(line: str) -> tuple[int, Correction] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(row, dict) and set(row) == {"fix", "old", "new"}):
        return None
    if type(row["fix"]) is not int or row["fix"] < 1:
        return None
    old, new = row["old"], row["new"]
    if not (isinstance(old, str) and isinstance(new, str) and _is_sound(old, new)):
        return None
    return row["fix"], Correction(old, new)


def _is_sound(old: str, new: str) -> bool:
    if not all(_is_below(path.removesuffix("/")) for path in (old, new) if path):
        return False
    if old and new:
        return not old.endswith("/") and not new.endswith("/") and ("/" in old) == ("/" in new)
    return "/" in new if new else old.endswith("/")


def _is_below(path: str) -> bool:
    parts = path.split("/")
    odd = any(part in ("", ".", "..") or "\0" in part or (os.sep != "/" and os.sep in part) for part in parts)
    return not odd and not os.path.isabs(path) and not os.path.splitdrive(path)[0]  # noqa: PTH117


def write_journal(root: Path, batches: Sequence[Sequence[Correction]]) -> None:
    """Write what is moved, whole or not at all; no fixes, no journal.

    Args:
        root: the image folder.
        batches: a fix each, the last one last.
    """
    text = "".join(_lines(number, batch) for number, batch in enumerate(batches, 1))
    if text:
        fsio.write_text(root / JOURNAL, text)
    else:
        fsio.remove(root / JOURNAL)


def append_journal(root: Path, number: int, corrections: Sequence[Correction]) -> None:
    """Add to the journal, whole or not at all.

    What is there is copied, not read line by line: 10 MB for 100,000 photographs. A loss of power while a file grows
    may leave anything at its end, so it is written anew and renamed.

    Args:
        root: the image folder.
        number: of the fix, that of the last one or the next.
        corrections: that belong to it.
    """
    path = root / JOURNAL
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):  # a person's last line
        before += b"\n"
    fsio.write_bytes(path, before + _lines(number, corrections).encode())


def _lines(number: int, batch: Sequence[Correction]) -> str:
    # ASCII, so that names that are not UTF-8 come back as they were.
    return "".join(json.dumps({"fix": number, "old": one.old, "new": one.new}) + "\n" for one in batch)
