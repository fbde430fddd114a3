"""One photograph's answer as a row: what every format writes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from retrain.bundle import BETWEEN, NO_LABEL
from retrain.classifier import Guess, Result
from retrain.errors import ImageError, PartError
from retrain.label.judging import Judged

if TYPE_CHECKING:
    from retrain.insight.memory import Neighbour

UNKNOWN = "unknown"
# Digits behind the point; float32 has no more near 1.
_DIGITS = 7
# What --evidence and --sets add to a table, before the error.
EVIDENCE = ("nearest", "cosine", "nearest_2", "cosine_2", "nearest_3", "cosine_3")
SET = "set"


@dataclass(frozen=True)
class Row:
    """What is written of one photograph.

    Args:
        path: as it was given; "-" for standard input.
        label: the best guess's; "unknown" when its score is too low or it is too little like the training photographs;
            None when there is an error. Of a model that gives several, all of them with ';' between, or NO_LABEL.
        score: of the best guess, 0 to 1; None when it could not be read.
        guesses: best first, --top_k of them.
        error: what went wrong; None when nothing did.
        nearest: training photographs most alike to it, nearest first; empty where that cannot be told.
        is_far: whether it is too little like them.
        label_set: the labels one of which is right as often as promised, best first; None where none was asked for.
        given: of a model that gives several labels, those over their thresholds, best first, none where the photograph
            is unknown; None: of one that gives one.
    """

    path: str
    label: str | None
    score: float | None
    guesses: tuple[Guess, ...]
    error: str | None = None
    nearest: tuple[Neighbour, ...] = ()
    is_far: bool = False
    label_set: tuple[str, ...] | None = None
    given: tuple[Guess, ...] | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether there are guesses, and none of them counts."""
        if self.given is not None:
            return self.is_far
        return bool(self.guesses) and self.label != self.guesses[0].label

    def cells(self, top_k: int, more: Sequence[str] = ()) -> list[str | float | None]:
        """Lay it out as the columns that `columns` names.

        Args:
            top_k: guesses a row.
            more: columns of EVIDENCE and SET that are asked for.

        Returns:
            A value or None a column.
        """
        cells: list[str | float | None] = [self.path, self.label, rounded(self.score)]
        for place in range(1, top_k):
            guess = self.guesses[place] if place < len(self.guesses) else None
            cells += [guess.label, rounded(guess.score)] if guess else [None, None]
        added: dict[str, str | float | None] = dict(zip(EVIDENCE, self._nearest_cells(), strict=False))
        if self.label_set is not None:
            added[SET] = json.dumps(self.label_set, ensure_ascii=False)
        return [*cells, *(added.get(name) for name in more), self.error]

    def _nearest_cells(self) -> list[str | float]:
        return [cell for one in self.nearest for cell in (one.path, round(one.cosine, _DIGITS))]


def columns(top_k: int, more: Sequence[str] = ()) -> list[str]:
    """Name the columns of a table of rows.

    Args:
        top_k: guesses a row.
        more: columns of EVIDENCE and SET that are asked for.

    Returns:
        path, label, score, label_2, score_2, ..., those, error.
    """
    others = [f"{name}_{place}" for place in range(2, top_k + 1) for name in ("label", "score")]
    return ["path", "label", "score", *others, *more, "error"]


def rounded(score: float | None) -> float | None:
    """Drop the digits that float32 does not have.

    Args:
        score: or None.

    Returns:
        The score to 7 digits behind the point.
    """
    return None if score is None else round(score, _DIGITS)


def row_of(path: str, result: Result, min_score: float) -> Row:
    """Make a row.

    Args:
        path: of the photograph.
        result: what came of it.
        min_score: below it the label is "unknown", where the model gives one.

    Returns:
        The row.
    """
    if result.error is not None:
        return Row(path, None, None, (), str(result.error))
    best, judged = result.guesses[0], result if isinstance(result, Judged) else None
    is_far = judged is not None and judged.is_far
    if judged is not None and judged.given is not None:
        return _several(path, judged)
    label = UNKNOWN if is_far or best.score < min_score else best.label
    row = Row(path, label, best.score, result.guesses, is_far=is_far)
    return row if judged is None else replace(row, nearest=judged.nearest, label_set=judged.label_set)


def _several(path: str, judged: Judged) -> Row:
    given = () if judged.is_far else judged.given or ()
    label = UNKNOWN if judged.is_far else BETWEEN.join(one.label for one in given) or NO_LABEL
    score, nearest = judged.guesses[0].score, judged.nearest
    return Row(path, label, score, judged.guesses, nearest=nearest, is_far=judged.is_far, given=given)


class Tally:
    """Counts rows and what went wrong with them."""

    def __init__(self) -> None:
        self.rows = 0
        self.failed: Counter[str] = Counter()

    def add(self, failure: ImageError | None) -> None:
        """Count one row.

        Args:
            failure: what went wrong, or None.
        """
        self.rows += 1
        if failure is not None:
            self.failed[failure.reason] += 1

    def raise_if_any_failed(self) -> None:
        """End with the exit code for it when a photograph failed.

        Raises:
            PartError: says how many, by reason.
        """
        if self.failed:
            reasons = ", ".join(f"{reason}: {number}" for reason, number in sorted(self.failed.items()))
            raise PartError(
                f"{sum(self.failed.values())} of {self.rows} photographs could not be done ({reasons}); "
                "their rows say why, all other rows are whole"
            )
