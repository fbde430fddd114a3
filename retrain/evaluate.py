"""How good the model is, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Two-sided 95 % of a normal distribution.
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its uncertainty.

    Args:
        right: how many.
        count: of how many.
        low: lower end of the 95 % interval, 0 to 1.
        high: upper end.
    """

    right: int
    count: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """0 to 1; NaN of nothing."""
        return self.right / self.count if self.count else math.nan

    def interval_text(self) -> str:
        """Say the interval in words.

        Returns:
            "95 % interval 81.2 to 98.9 %".
        """
        return f"95 % interval {100 * self.low:.1f} to {100 * self.high:.1f} %"


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Find between which accuracies the truth lies with 95 % confidence.

    Args:
        right: right answers.
        count: of how many.

    Returns:
        Lower and upper end, 0 to 1; (0, 1) of nothing. Wilson, "Probable inference, the law of succession, and
        statistical inference", 1927, JASA 22(158): unlike the textbook interval it holds for few photographs and
        for shares near 0 and 1.
    """
    if count == 0:
        return 0.0, 1.0
    share, z2 = right / count, _Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def measure_accuracy(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.intp]) -> Accuracy:
    """Count right first guesses.

    Args:
        probabilities: float32 (N, C).
        labels: intp (N,).

    Returns:
        The accuracy with its Wilson interval.
    """
    right = int((probabilities.argmax(axis=1) == labels).sum()) if len(labels) else 0
    return Accuracy(right, len(labels), *wilson_interval(right, len(labels)))


def confusion_matrix(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.intp], class_count: int
) -> npt.NDArray[np.int64]:
    """Count what was taken for what.

    Args:
        probabilities: float32 (N, C).
        labels: intp (N,).
        class_count: C.

    Returns:
        int64 (C, C): row is the true class, column the first guess.
    """
    matrix = np.zeros((class_count, class_count), np.int64)
    if len(labels):
        np.add.at(matrix, (labels, probabilities.argmax(axis=1)), 1)
    return matrix


def plain_sentence(test: Accuracy, crossed: Accuracy | None) -> str:
    """Say what the numbers can and cannot tell.

    Args:
        test: of the final test.
        crossed: cross-validated, or None when it was left out.

    Returns:
        One sentence for a person who has no statistics.
    """
    if test.count:
        low, high = 100 * test.low, 100 * test.high
        start = f"With {test.count} test photographs this test cannot tell {low:.0f} % from {high:.0f} %"
    else:
        start = "No photograph was kept for the final test"
    if crossed is None:
        return f"{start}; cross-validation was left out."
    return (
        f"{start}; cross-validation over {crossed.count} says {100 * crossed.value:.0f} % "
        f"({100 * crossed.low:.0f} to {100 * crossed.high:.0f} %)."
    )
