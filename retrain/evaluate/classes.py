"""Each class by itself: precision, recall and F1 with their intervals, and the mean over classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.evaluate.accuracy import Floats, accuracy_of
from retrain.evaluate.intervals import Indices, Interval
from retrain.evaluate.ranking import PrecisionRecall, class_areas, precision_recall


@dataclass(frozen=True)
class ClassNumbers:
    """How one class fares.

    Args:
        label: its name.
        count: photographs of it.
        guessed: photographs taken for it.
        recall: share of its photographs that are taken for it.
        precision: share of those taken for it that are of it.
        f1: harmonic mean of the two.
        roc_auc: of its score against all other classes.
        average_precision: area below its curve of precision and recall; NaN without photographs.
        curve: of precision and recall.
    """

    label: str
    count: int
    guessed: int
    recall: Interval
    precision: Interval
    f1: Interval
    roc_auc: Interval
    average_precision: float
    curve: PrecisionRecall


def class_numbers(
    scores: Floats, labels: Indices, names: tuple[str, ...], groups: Indices | None, independence: float
) -> tuple[ClassNumbers, ...]:
    """Measure every class.

    Args:
        scores: float32 (N, C).
        labels: intp (N,).
        names: C of them.
        groups: intp (N,), number of each photograph's group; None where each stands alone.
        independence: effective count as a share of the photographs.

    Returns:
        C of them, in their order.
    """
    guesses = scores.argmax(axis=1) if len(labels) else np.zeros(0, np.intp)
    areas = class_areas(scores, labels, independence)
    return tuple(
        numbers_of(name, labels == number, guesses == number, scores[:, number], areas[number], groups)
        for number, name in enumerate(names)
    )


def numbers_of(
    name: str,
    own: npt.NDArray[np.bool_],
    guessed: npt.NDArray[np.bool_],
    scores: Floats,
    area: Interval,
    groups: Indices | None,
) -> ClassNumbers:
    """Measure one class, or one of several labels.

    Args:
        name: its name.
        own: bool (N,), which photographs are of it.
        guessed: bool (N,), which are taken for it.
        scores: float32 (N,), of it.
        area: under its ROC curve.
        groups: intp (N,), number of each photograph's group; None where each stands alone.

    Returns:
        The numbers.
    """
    curve, average = precision_recall(scores, own)
    shares = [_share(own & guessed, among, groups) for among in (own, guessed, own | guessed)]
    recall, precision, overlap = shares
    f1 = Interval(*map(_f1_of_overlap, (overlap.value, overlap.low, overlap.high)))
    return ClassNumbers(name, int(own.sum()), int(guessed.sum()), recall, precision, f1, area, average, curve)


def _share(right: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_], groups: Indices | None) -> Interval:
    found = accuracy_of(right[among], None if groups is None else groups[among])
    return Interval(found.value, found.low, found.high)


def _f1_of_overlap(overlap: float) -> float:
    """F1 rises with Jaccard's share, of what is in either of two sets in both, so Wilson's interval carries over.

    F1 = 2 TP / (2 TP + FP + FN) and J = TP / (TP + FP + FN) give F1 = 2 J / (1 + J); of a given number of photographs
    in either, TP is binomial.
    """
    return 2 * overlap / (1 + overlap)


def balanced_accuracy(classes: tuple[ClassNumbers, ...]) -> Interval | None:
    """Average the recalls of the classes.

    Args:
        classes: of class_numbers.

    Returns:
        The mean over the classes that have photographs; None where none has. The interval puts together Wilson's of
        each class: Zou and Donner, "Construction of confidence limits about effect measures: a general approach",
        2008, Statistics in Medicine 27 (MOVER); the classes' photographs are different ones, so their errors are
        independent.
    """
    known = [one.recall for one in classes if one.count]
    if not known:
        return None
    value = float(np.mean([one.value for one in known]))
    below = math.sqrt(sum((one.value - one.low) ** 2 for one in known)) / len(known)
    above = math.sqrt(sum((one.high - one.value) ** 2 for one in known)) / len(known)
    return Interval(value, max(0.0, value - below), min(1.0, value + above))
