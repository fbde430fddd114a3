"""CSV: what a person gives is read, columns by name, every fault with its line; what is written can be read back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrain.console import FORMULA_STARTS, printable
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
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        return [], [f"cannot read it: {error.strerror}"]
    except UnicodeDecodeError as error:
        return [], [f"expected UTF-8, got other bytes at {error.start}; save it as UTF-8"]
    reader = csv.DictReader(lines_of(text), restkey="", restval=None, strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        missing = [name for name in columns if name not in names]
        if missing or len(set(names)) < len(names):
            return [], [f"expected a first line with the columns {','.join(columns)}, got {printable(','.join(names))}"]
        return _rows(reader, len(names))
    except csv.Error as error:
        return [], [f"line {reader.line_num} is not CSV ({error}); write it with a spreadsheet or Python's csv"]


def guarded(text: str) -> str:
    """Spell a text so that no spreadsheet calculates it (OWASP, "CSV injection").

    Args:
        text: a path or label; what is not UTF-8 in it becomes escapes, as in the run's other tables.

    Returns:
        The text, behind an apostrophe where it would begin a formula.
    """
    shown = text.encode("utf-8", "backslashreplace").decode()
    return f"'{shown}" if shown.lstrip("'").startswith(FORMULA_STARTS) else shown


def unguarded(text: str) -> str:
    """Take away the apostrophe of `guarded`.

    Args:
        text: a cell.

    Returns:
        What it was made of.
    """
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA_STARTS) else text


def read_own(text: str) -> list[dict[str, str]]:
    """Read a table that a run wrote.

    Args:
        text: CSV of table_text, whose cells are guarded.

    Returns:
        Column -> text, a row each, as it was before it was guarded.
    """
    return [{name: unguarded(cell) for name, cell in row.items()} for row in csv.DictReader(lines_of(text))]


def lines_of(text: str) -> io.StringIO:
    """Take CSV apart into the lines that Python's csv wants.

    Args:
        text: of the file, its line ends as they are.

    Returns:
        Its lines. Trap: str.splitlines also breaks at characters that are part of a file's name, as U+0085 and U+2028.
    """
    return io.StringIO(text, newline="")


def table_text(rows: Iterable[Sequence[str]]) -> str:
    """Write CSV that can be read back.

    Args:
        rows: cells; the first are the names of the columns.

    Returns:
        The text, its lines ending in a line feed.
    """
    text = io.StringIO()
    usual = csv.writer(text, lineterminator="\n")
    # Trap: before Python 3.13 a carriage return in a cell is written without quotes, where it ends the row.
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any("\r" in cell for cell in row) else usual).writerow(row)
    return text.getvalue()


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
