"""One photograph's answer as a row: what every format writes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from retrain.classifier import Guess, Result
from retrain.errors import ImageError, PartError

UNKNOWN = "unknown"
# Digits behind the point; float32 has no more near 1.
_DIGITS = 7


@dataclass(frozen=True)
class Row:
    """What is written of one photograph.

    Args:
        path: as it was given; "-" for standard input.
        label: the best guess's; "unknown" when its score is too low; None when there is an error.
        score: of the best guess, 0 to 1; None when it could not be read.
        guesses: best first, --top_k of them.
        error: what went wrong; None when nothing did.
    """

    path: str
    label: str | None
    score: float | None
    guesses: tuple[Guess, ...]
    error: str | None = None

    def cells(self, top_k: int) -> list[str | float | None]:
        """Lay it out as the columns that `columns` names.

        Args:
            top_k: guesses a row.

        Returns:
            A value or None a column.
        """
        cells: list[str | float | None] = [self.path, self.label, rounded(self.score)]
        for place in range(1, top_k):
            guess = self.guesses[place] if place < len(self.guesses) else None
            cells += [guess.label, rounded(guess.score)] if guess else [None, None]
        return [*cells, self.error]


def columns(top_k: int) -> list[str]:
    """Name the columns of a table of rows.

    Args:
        top_k: guesses a row.

    Returns:
        path, label, score, label_2, score_2, ..., error.
    """
    more = [f"{name}_{place}" for place in range(2, top_k + 1) for name in ("label", "score")]
    return ["path", "label", "score", *more, "error"]


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
        min_score: below it the label is "unknown".

    Returns:
        The row.
    """
    if result.error is not None:
        return Row(path, None, None, (), str(result.error))
    best = result.guesses[0]
    return Row(path, best.label if best.score >= min_score else UNKNOWN, best.score, result.guesses)


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
