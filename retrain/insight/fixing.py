"""Photographs that lie in the wrong class folder are moved to the right one: planned and done.

A journal is written before the first file moves, a rename never replaces anything, and an interrupted fix is put back
by undoing it (carrying.py does it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retrain.console import printable
from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.tables import Row, match_rows, read_table, shorten, spelt, unguarded
from retrain.errors import UsageError, did_you_mean
from retrain.insight.carrying import clashes, correct, refuse_interrupted
from retrain.insight.corrections import Correction

_YES = frozenset({"yes", "y", "1", "x", "true", "accept", "accepted"})
_NO = frozenset({"", "no", "n", "0", "false"})


@dataclass(frozen=True)
class FixPlan:
    """What a fix would do.

    Args:
        root: the image folder.
        corrections: in the order of the table.
        passed_over: rows that nobody has accepted.
        problems: one sentence each; nothing is moved while there are any.
    """

    root: Path
    corrections: tuple[Correction, ...]
    passed_over: int
    problems: tuple[str, ...] = ()

    def count_by_class(self) -> dict[tuple[str, str], int]:
        """Count the files from one class folder to another."""
        folders = ((str(Path(one.old).parent), str(Path(one.new).parent)) for one in self.corrections)
        return dict(sorted(Counter(folders).items()))


def plan_fix(table: str, catalog: Catalog) -> FixPlan:
    """Say where photographs would go; nothing is touched.

    Args:
        table: path of a CSV with the columns path and to, a class; or of an edited suspects.csv, whose rows count
            where the column accept says yes.
        catalog: the photographs as they lie.

    Returns:
        The plan, with all problems.

    Raises:
        UsageError: the journal in the image folder is damaged, or tells of an interrupted fix.
    """
    root = Path(catalog.root)
    refuse_interrupted(root)
    rows, problems = read_table(table, ("path",))
    if problems:
        return FixPlan(root, (), 0, tuple(f"{table}: {problem}" for problem in problems))
    wanted, passed_over, problems = _wanted(rows)
    found, strange = match_rows([row for row, _ in wanted], catalog)
    problems += strange
    folders = class_folders(catalog)
    # A class whose name begins or ends with a space is named as it is spelt.
    goes_to = {row.line: to if to in folders else to.strip() for row, to in wanted}
    corrections, faults = [], []
    for row, record in found:
        fault = _row_fault(row, record, goes_to[row.line], catalog, folders)
        if fault:
            faults.append(f"line {row.line}: {fault}")
        else:
            corrections.append(Correction(record.path, place_in(record, folders[goes_to[row.line]], catalog)))
    problems += shorten(faults) + shorten(clashes(root, corrections))
    return FixPlan(root, tuple(corrections), passed_over, tuple(f"{table}: {problem}" for problem in problems))


def _wanted(rows: Sequence[Row]) -> tuple[list[tuple[Row, str]], int, list[str]]:
    """Read which rows count, and where their photographs go."""
    if not rows:
        return [], 0, ["it has no rows; write a line with path and to for each photograph that is to move"]
    columns = set(rows[0].cells)
    if "to" in columns:
        empty = [
            f"line {row.line}: expected a class in the column to, got nothing" for row in rows if not row.cells["to"]
        ]
        return [(row, row.cells["to"]) for row in rows if row.cells["to"]], 0, shorten(empty)
    if not {"suggested", "accept"} <= columns:
        return [], 0, ["expected the columns path,to, or those of a suspects.csv with its column accept"]
    rows = [replace(row, cells={name: unguarded(cell) for name, cell in row.cells.items()}) for row in rows]
    answers = [row.cells["accept"].strip().lower() for row in rows]
    strange = [
        f"line {row.line}: expected yes or nothing in the column accept, got {printable(row.cells['accept'])!r}"
        for row, answer in zip(rows, answers, strict=True)
        if answer not in _YES | _NO
    ]
    taken = [(row, row.cells["suggested"]) for row, answer in zip(rows, answers, strict=True) if answer in _YES]
    passed_over = len(rows) - len(taken)
    if not taken and not strange:
        strange = ["no row is accepted; write yes into the column accept of those that are to move"]
    return taken, passed_over, shorten(strange)


def class_folders(catalog: Catalog) -> dict[str, str]:
    """Find the folder of each label, below the image folder or the folder of a side.

    Args:
        catalog: the photographs.

    Returns:
        Label, as it is spelt in tables -> name of its folder.
    """
    return {
        spelt(catalog.labels[record.label]): catalog.path_of_class(record).split("/", 1)[0]
        for record in reversed(catalog.records)
    }


def _row_fault(row: Row, record: ImageRecord, to: str, catalog: Catalog, folders: dict[str, str]) -> str:
    path, label = printable(spelt(record.path)), spelt(catalog.labels[record.label])
    if to not in folders:
        known = sorted(folders)
        hint = did_you_mean(to, known) or f"; the classes are {', '.join(map(printable, known[:10]))}"
        return f"expected a class that there is for {path!r}, got {printable(to)!r}{hint}"
    if "label" in row.cells and row.cells["label"] != label:
        return (
            f"{path!r} is labelled {printable(label)!r}, the table says {printable(row.cells['label'])!r}: it is of "
            "another state of the folder; make it anew"
        )
    if to == label:
        return f"{path!r} is in {printable(to)!r} already; take the row out"
    return ""


def place_in(record: ImageRecord, folder: str, catalog: Catalog) -> str:
    """Give a photograph's path in another class folder, on its own side, in a folder of the same name below.

    Args:
        record: the photograph.
        folder: name of the class folder.
        catalog: of the photographs.

    Returns:
        The path, which may be taken.
    """
    inside = catalog.path_of_class(record)
    side = record.path[: len(record.path) - len(inside)]
    return f"{side}{folder}/{inside.split('/', 1)[1]}"


def apply_fix(plan: FixPlan) -> int:
    """Move the photographs.

    Args:
        plan: without problems.

    Returns:
        How many were moved.

    Raises:
        UsageError: the plan has problems, or a name was taken or a file went away since; what was moved until then
            has been put back.
    """
    if plan.problems:
        raise UsageError(plan.problems)
    return correct(plan.root, plan.corrections)
