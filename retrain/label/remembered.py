"""The journal of --watch: which photographs are in the output already, so that a new start goes on from there.

A line each, in JSON: path below the folder, size, time of the last change, and how long the output was once the row was
in it. The row is written first. So what lies behind the last length in the journal was cut off by a kill: it is taken
away at the next start and written again, and each photograph has one row, whatever moment the process ended at.
Only the first row is synced: what a loss of power made zeros of, in either file, counts as cut off as well.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from retrain import fsio
from retrain.errors import RetrainError, UsageError
from retrain.label.flags import LabelConfig

Stamp = tuple[int, int]
SUFFIX = ".journal"
_VERSION = 1
_CHUNK = 1 << 20


def journal_path(output: str) -> Path:
    """Say where the journal lies.

    Args:
        output: the file of rows.

    Returns:
        ``names.csv.journal`` beside ``names.csv``.
    """
    return Path(f"{output}{SUFFIX}")


def journal_problem(config: LabelConfig) -> str | None:
    """Say why a watch cannot go on with an output.

    Args:
        config: with output.

    Returns:
        One sentence, or None.
    """
    output = str(config.output)
    path = journal_path(output)
    if not path.exists():
        if Path(output).exists() and Path(output).stat().st_size:
            return f"expected --output={output} to be new, or to have its journal {path}; name another file"
        return None
    try:
        head = _read(path)[0]
    except RetrainError as error:
        return str(error)
    if head["format"] != config.format:
        return f"expected --format={head['format']}, as {path} says, got {config.format}; or name another --output"
    return None


class Journal:
    """Remembers what is done; opens, and mends, the output it belongs to.

    Args:
        output: the file of rows.
        head: what has to stay the same from one start to the next: format and columns.

    Raises:
        UsageError: the output was begun with another head.
        RetrainError: the journal is damaged.
    """

    def __init__(self, output: str, head: dict[str, Any]) -> None:
        path, self.done = journal_path(output), dict[str, Stamp]()
        entries = self._earlier(path, Path(output), head)
        self.output: BinaryIO = fsio.open_partial(output)
        if Path(output).stat().st_size:
            self.output.truncate(max((entry[3] for entry in entries), default=0))
        else:
            entries = [[*entry[:3], 0] for entry in entries]  # rows that were moved away stay done
        for name, size, mtime_ns, _ in entries:
            self.done[name] = (size, mtime_ns)
        lines = [{"journal": _VERSION, **head}, *entries]
        fsio.write_text(path, "".join(f"{json.dumps(line)}\n" for line in lines))
        self._file = fsio.open_partial(path)
        self._is_empty = not Path(output).stat().st_size

    @staticmethod
    def _earlier(path: Path, output: Path, head: dict[str, Any]) -> list[list[Any]]:
        if not path.exists():
            return []
        old, entries = _read(path)
        if {name: old[name] for name in head} != head:
            raise UsageError(f"expected {output} to be continued with {old}, got {head}; name another --output")
        was_moved = not output.exists() or not output.stat().st_size
        sound = 0 if was_moved else _bytes_before_zeros(output)
        latest = {entry[0]: entry for entry in entries if was_moved or entry[3] <= sound}
        return list(latest.values())

    def remember(self, name: str, stamp: Stamp) -> None:
        """Note that a photograph's row is in the output.

        Args:
            name: path below the folder.
            stamp: its size and time of change when it was named.
        """
        self.output.flush()
        if self._is_empty:
            # From here on an output without a byte is one that a person moved away, not one that was lost.
            fsio.sync(self.output)
            self._is_empty = False
        length = os.fstat(self.output.fileno()).st_size
        self._file.write(f"{json.dumps([name, *stamp, length])}\n".encode())
        self._file.flush()
        self.done[name] = stamp

    def close(self) -> None:
        """Close journal and output."""
        self._file.close()
        self.output.close()


def _read(path: Path) -> tuple[dict[str, Any], list[list[Any]]]:
    """Read head and entries; a last line that a kill cut short is no entry, nor are zeros."""
    lines = path.read_bytes().partition(b"\0")[0].split(b"\n")[:-1]
    try:
        head, *entries = [json.loads(line) for line in lines]
        kinds = [str, int, int, int]
        if head["journal"] != _VERSION or not {"format", "columns"} <= set(head):
            raise ValueError(f"of version {head['journal']}, not {_VERSION}, or without its columns")
        if any([type(field) for field in entry] != kinds for entry in entries):
            raise ValueError("an entry that is none")
    except (ValueError, TypeError, KeyError) as error:
        raise RetrainError(
            f"{path} is no journal that can be read ({error}); move it and its output away to begin anew"
        ) from error
    return head, entries


def _bytes_before_zeros(path: Path) -> int:
    """How long a file is up to its first zero byte: no row has one, as no name of a file has."""
    length = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if b"\0" in chunk:
                return length + chunk.index(b"\0")
            length += len(chunk)
    return length
