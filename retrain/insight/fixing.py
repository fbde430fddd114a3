"""Photographs that lie in the wrong class folder are moved to the right one: planned, done, and undone.

A journal is written before the first file moves, a rename never replaces anything, and an interrupted fix is put back
by undoing it. The steps are those of ``python -m retrain separate`` (retrain/getting/moves.py), between class folders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retrain import fsio
from retrain.console import printable
from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.tables import Row, match_rows, read_table, shorten, spelt, unguarded
from retrain.errors import UsageError, did_you_mean
from retrain.getting.moves import carry, folder_fault
from retrain.insight.corrections import JOURNAL, Correction, read_journal, write_journal

_LOCK = ".fixing"
_LOCK_WAIT_S = 2.0
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
    _refuse_interrupted(root)
    rows, problems = read_table(table, ("path",))
    if problems:
        return FixPlan(root, (), 0, tuple(f"{table}: {problem}" for problem in problems))
    wanted, passed_over, problems = _wanted(rows)
    found, strange = match_rows([row for row, _ in wanted], catalog)
    problems += strange
    folders = _class_folders(catalog)
    # A class whose name begins or ends with a space is named as it is spelt.
    goes_to = {row.line: to if to in folders else to.strip() for row, to in wanted}
    corrections, faults = [], []
    for row, record in found:
        fault = _row_fault(row, record, goes_to[row.line], catalog, folders)
        if fault:
            faults.append(f"line {row.line}: {fault}")
        else:
            corrections.append(Correction(record.path, _place(record, folders[goes_to[row.line]], catalog)))
    problems += shorten(faults) + shorten(_clashes(root, corrections))
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


def _class_folders(catalog: Catalog) -> dict[str, str]:
    """Find the folder of each label, below the image folder or the folder of a side."""
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


def _place(record: ImageRecord, folder: str, catalog: Catalog) -> str:
    """Give a photograph's path in another class folder, on its own side, in a folder of the same name below."""
    inside = catalog.path_of_class(record)
    side = record.path[: len(record.path) - len(inside)]
    return f"{side}{folder}/{inside.split('/', 1)[1]}"


def _clashes(root: Path, corrections: Sequence[Correction]) -> list[str]:
    problems = []
    first: dict[str, str] = {}
    for one in corrections:
        # Where large and small letters are one, two names would be one file.
        other = first.setdefault(one.new.casefold(), one.old)
        if other != one.old:
            problems.append(f"{printable(other)} and {printable(one.old)} would both become {printable(one.new)}")
        if os.path.lexists(one.target(root)):
            problems.append(f"{printable(one.new)} is there already; rename it or {printable(one.old)}")
        if os.path.islink(one.source(root)):  # noqa: PTH114 - asked for each row
            problems.append(f"{printable(one.old)} is a link, and links are not moved")
        problems += _outside(root, one)
    return list(dict.fromkeys(problems))


def _outside(root: Path, one: Correction) -> list[str]:
    """Refuse folders that are links: what lies behind them is not in the image folder."""
    places = {*_folders_of(root, one.old), *_folders_of(root, one.new)}
    return [fault for place in sorted(places) if (fault := folder_fault(place))]


def _folders_of(root: Path, path: str) -> list[Path]:
    parts = path.split("/")[:-1]
    return [root.joinpath(*parts[: count + 1]) for count in range(len(parts))]


def apply_fix(plan: FixPlan) -> int:
    """Move the photographs.

    Args:
        plan: without problems.

    Returns:
        How many were moved.

    Raises:
        UsageError: the plan has problems, or a name was taken or a file went away since; what was moved until then is
            put back by undo_fix.
    """
    if plan.problems:
        raise UsageError(plan.problems)
    if not plan.corrections:
        return 0
    with fsio.locked(plan.root / _LOCK, timeout_s=_LOCK_WAIT_S):
        batches = read_journal(plan.root)
        write_journal(plan.root, [*batches, plan.corrections])
        for one in plan.corrections:
            try:
                carry(one.source(plan.root), one.target(plan.root))
            except (FileExistsError, FileNotFoundError) as error:
                what = "was made meanwhile" if isinstance(error, FileExistsError) else "is gone since it was listed"
                raise UsageError(f"{error.filename} {what}; put the rest back with --undo and try again") from error
    return len(plan.corrections)


def undo_fix(root: str | Path) -> tuple[int, list[str]]:
    """Put back what the last fix moved.

    Args:
        root: the image folder.

    Returns:
        How many went back, and the names of those that are no longer where they were put.

    Raises:
        UsageError: nothing was fixed here, or names are taken; nothing is moved then.
    """
    root = Path(root)
    batches = read_journal(root) if root.is_dir() else []
    if not batches:
        raise UsageError(f"expected a folder with {JOURNAL} in it, got {printable(str(root))}; nothing to undo there")
    with fsio.locked(root / _LOCK, timeout_s=_LOCK_WAIT_S):
        batch = batches[-1]
        _drop_claims(root, batch)
        problems = [fault for one in batch for fault in _outside(root, one)]
        problems += [
            f"{printable(one.old)} is there again; rename it"
            for one in batch
            if os.path.lexists(one.source(root)) and os.path.lexists(one.target(root))
        ]
        if problems:
            raise UsageError(list(dict.fromkeys(problems)))
        back, gone = 0, []
        for one in batch:
            if os.path.lexists(one.target(root)):
                carry(one.target(root), one.source(root))
                back += 1
            elif not os.path.lexists(one.source(root)):
                gone.append(one.new)
        write_journal(root, batches[:-1])
    return back, gone


def _drop_claims(root: Path, batch: Sequence[Correction]) -> None:
    """Take away the empty files with which an interrupted move had claimed its target."""
    for one in batch:
        for empty, other in ((one.target(root), one.source(root)), (one.source(root), one.target(root))):
            if _is_empty_file(empty) and other.is_file() and not _is_empty_file(other):
                fsio.remove(empty)


def _is_empty_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == 0


def _refuse_interrupted(root: Path) -> None:
    batches = read_journal(root)
    if not batches:
        return
    unmoved = [one for one in batches[-1] if os.path.lexists(one.source(root)) and not _moved(root, one)]
    if unmoved and len(unmoved) < len(batches[-1]):
        raise UsageError(
            f"expected the last fix in {printable(str(root))} to be whole, but {len(unmoved)} of {len(batches[-1])} "
            "files were not moved (it was interrupted, or files were put back by hand); undo it first, with --undo"
        )


def _moved(root: Path, one: Correction) -> bool:
    target = one.target(root)
    return os.path.lexists(target) and not _is_empty_file(target)
