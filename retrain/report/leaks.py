"""How much of an accuracy comes of copies: the same number without photographs trained on or counted before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from retrain.dataset.sides import TRAINING
from retrain.report.facts import Copies, Indices, ReportFacts
from retrain.report.markup import counted, percent


def accuracy_lines(facts: ReportFacts, groups: Sequence[Copies]) -> list[str]:
    """Say how good the model is with copies and without.

    Args:
        facts: of the report.
        groups: of photographs that are one picture.

    Returns:
        A sentence a judgement.
    """
    pictures = pictures_of(groups, len(facts.photographs.names))
    trained = np.zeros(len(pictures), bool)
    if facts.photographs.sides is not None:
        trained[pictures[facts.photographs.sides == TRAINING]] = True
    lines = []
    for title, rows, right in _judgements(facts):
        if not len(rows):
            continue
        kept = _first_of_each(pictures[rows])
        if _is_held_out(facts, rows):
            kept &= ~trained[pictures[rows]]
        lines.append(_line(title, right, kept))
    return lines


def pictures_of(groups: Sequence[Copies], count: int) -> Indices:
    """Number the pictures: photographs that are one have one number, by way of others too.

    Args:
        groups: of photographs that are one picture.
        count: of photographs.

    Returns:
        intp (count,), the lowest row of each one's picture.
    """
    lowest = list(range(count))

    def find(row: int) -> int:
        while lowest[row] != row:
            lowest[row] = lowest[lowest[row]]
            row = lowest[row]
        return row

    for one in groups:
        roots = sorted({find(row) for row in one.rows.tolist()})
        for root in roots[1:]:
            lowest[root] = roots[0]
    return np.array([find(row) for row in range(count)], np.intp)


def _judgements(facts: ReportFacts) -> Iterator[tuple[str, Indices, npt.NDArray[np.bool_]]]:
    """Name each judgement, its photographs, and which of them were answered rightly."""
    for one in facts.judged:
        yield one.title, one.rows, one.predicted == facts.photographs.labels[one.rows]
    if facts.label_judged is not None:
        several = facts.label_judged
        yield several.title, several.rows, (several.said == several.truth).all(axis=1)


def _is_held_out(facts: ReportFacts, rows: Indices) -> bool:
    # Cross-validation trains on all photographs in turn; its folds keep copies together.
    sides = facts.photographs.sides
    return sides is not None and not (sides[rows] == TRAINING).any()


def _first_of_each(pictures: Indices) -> npt.NDArray[np.bool_]:
    first = np.zeros(len(pictures), bool)
    first[np.unique(pictures, return_index=True)[1]] = True
    return first


def _line(title: str, right: npt.NDArray[np.bool_], kept: npt.NDArray[np.bool_]) -> str:
    left, out = int(kept.sum()), int((~kept).sum())
    whole = f"{title}: accuracy {percent(float(right.mean()), 1)} on {counted(len(right))}"
    if not out:
        return f"{whole}, none of which is a copy of one that was trained on or of another one of them."
    without = f"{percent(float(right[kept].mean()), 1)} on the {left:,} others" if left else "no others are left"
    return f"{whole}; without the {out:,} that are copies of one that was trained on or of another of them: {without}."
