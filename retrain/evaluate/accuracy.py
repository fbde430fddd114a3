"""Right answers counted: accuracy of a test, of repeated cross-validation, and what was taken for what."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.evaluate.intervals import Indices, effective_count, wilson_interval

Floats = npt.NDArray[np.float32]
# Beyond this many classes the right one among the first five says something.
TOP = 5


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its uncertainty.

    Args:
        right: how many; of several repeats the mean, which need not be whole.
        count: of how many photographs.
        low: lower end of the 95 % interval, 0 to 1.
        high: upper end.
    """

    right: float
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


def measure_accuracy(probabilities: Floats, labels: Indices, groups: Indices | None = None) -> Accuracy:
    """Count right first guesses.

    Args:
        probabilities: float32 (N, C).
        labels: intp (N,).
        groups: intp (N,), number of each photograph's group; None where each stands alone.

    Returns:
        The accuracy with its Wilson interval, at the effective count where there are groups.
    """
    return accuracy_of((probabilities.argmax(axis=1) == labels) if len(labels) else np.zeros(0, np.bool_), groups)


def measure_repeated(scores: Floats, labels: Indices, groups: Indices | None = None) -> Accuracy:
    """Count right first guesses of a cross-validation repeated with other folds.

    The interval is that of the mean over photographs, each with the share of repeats that got it right: repeats share
    all photographs, so more of them even out which folds fell, and never count as more photographs. Tried in
    simulation against the corrected resampled t interval of Nadeau and Bengio, "Inference for the generalization
    error", 2003, Machine Learning 52: docs/numbers.md has both.

    Args:
        scores: float32 (R, N, C).
        labels: intp (N,).
        groups: intp (N,), number of each photograph's group; None where each stands alone.

    Returns:
        The mean accuracy of a repeat; of one repeat the same as measure_accuracy.
    """
    if len(scores) == 1:
        return measure_accuracy(scores[0], labels, groups)
    return accuracy_of((scores.argmax(axis=2) == labels).mean(axis=0), groups)


def measure_top(probabilities: Floats, labels: Indices, groups: Indices | None = None) -> Accuracy | None:
    """Count photographs whose class is among the first five guesses.

    Args:
        probabilities: float32 (N, C).
        labels: intp (N,).
        groups: intp (N,), number of each photograph's group; None where each stands alone.

    Returns:
        The accuracy; None where there are five classes or fewer, since it would be right always. Of equal scores the
        right one is counted last.
    """
    if probabilities.shape[1] <= TOP:
        return None
    own = probabilities[np.arange(len(labels)), labels]
    ahead = (probabilities >= own[:, np.newaxis]).sum(axis=1) - 1
    return accuracy_of(ahead < TOP, groups)


def accuracy_of(right: npt.NDArray[np.bool_] | npt.NDArray[np.float64], groups: Indices | None = None) -> Accuracy:
    """Give a share of photographs its interval.

    Args:
        right: bool or float64 (N,), 0 to 1, how far each was right.
        groups: intp (N,), number of each photograph's group; None where each stands alone.

    Returns:
        The share.
    """
    total = int(right.sum()) if right.dtype == np.bool_ else float(right.sum())
    counted = effective_count(right.astype(np.float64), groups)
    # Exactly as many, where each stands alone.
    narrower = counted / len(right) if len(right) else 0.0
    return Accuracy(total, len(right), *wilson_interval(total * narrower, counted))


def confusion_matrix(probabilities: Floats, labels: Indices, class_count: int) -> npt.NDArray[np.int64]:
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
