"""Reads the CSV files that a person gives: columns by name, every fault with its line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrain.console import printable
from retrain.dataset.catalog import Catalog, ImageRecord

# Problems of one kind that are listed; the rest are counted.
SHOWN = 5


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        line: its line in the file, from 1.
        cells: column -> text.
    """

    line: int
    cells: Mapping[str, str]


def read_table(path: str, columns: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Read a CSV file whose first line names the columns.

    Args:
        path: of the file, UTF-8.
        columns: those that must be there; others may be.

    Returns:
        The rows, and one sentence a problem.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        return [], [f"cannot read it: {error.strerror}"]
    except UnicodeDecodeError as error:
        return [], [f"expected UTF-8, got other bytes at {error.start}; save it as UTF-8"]
    reader = csv.DictReader(text.splitlines(keepends=True), restkey="", restval=None, strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        missing = [name for name in columns if name not in names]
        if missing or len(set(names)) < len(names):
            return [], [f"expected a first line with the columns {','.join(columns)}, got {printable(','.join(names))}"]
        return _rows(reader, len(names))
    except csv.Error as error:
        return [], [f"line {reader.line_num} is not CSV ({error}); write it with a spreadsheet or Python's csv"]


def _rows(reader: csv.DictReader[str], width: int) -> tuple[list[Row], list[str]]:
    rows, torn = [], []
    for cells in reader:
        if "" in cells or None in cells.values():
            torn.append(f"line {reader.line_num} does not have {width} cells; put texts with commas in quotes")
        else:
            rows.append(Row(reader.line_num, cells))
    return rows, shorten(torn)


def spelt(path: str) -> str:
    """Spell a path as the run's own CSV files do.

    Args:
        path: of a record.

    Returns:
        The path, what is not UTF-8 in its name as escapes.
    """
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def match_rows(rows: Sequence[Row], catalog: Catalog) -> tuple[list[tuple[Row, ImageRecord]], list[str]]:
    """Find the photograph of each row by its column ``path``.

    Args:
        rows: of a table.
        catalog: the photographs.

    Returns:
        Each row that names a photograph that no row before it names, with this; and one sentence a problem.
    """
    named = {spelt(record.path): record for record in catalog.records}
    example = next(iter(named), "class/photograph.jpg")
    first: dict[str, int] = {}
    found, strange, twice = [], [], []
    for row in rows:
        path = row.cells["path"].removeprefix("./")
        if path not in named:
            strange.append(f"line {row.line} names no photograph of {catalog.root}: {printable(path)!r}")
        elif path in first:
            twice.append(f"line {row.line} names {printable(path)!r}, as line {first[path]} does; keep one of them")
        else:
            first[path] = row.line
            found.append((row, named[path]))
    advice = f"paths are given from the image folder on, as {printable(example)!r}; mend them or take the rows out"
    return found, shorten(strange, advice) + shorten(twice)


def shorten(problems: Sequence[str], advice: str = "") -> list[str]:
    """List some problems of one kind and count the rest.

    Args:
        problems: one sentence each.
        advice: added to the last.

    Returns:
        At most SHOWN + 1 sentences.
    """
    shown = list(problems[:SHOWN])
    if len(problems) > SHOWN:
        shown.append(f"and {len(problems) - SHOWN} more of this kind")
    if shown and advice:
        shown[-1] += f" ({advice})"
    return shown
