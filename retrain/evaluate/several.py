"""How good scores of several labels a photograph are: each label by itself, and all of a photograph together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.evaluate.accuracy import Accuracy, Floats, accuracy_of
from retrain.evaluate.classes import ClassNumbers, numbers_of
from retrain.evaluate.intervals import UNKNOWN_SHARE, Indices, Interval, Values, effective_count, mean_interval
from retrain.evaluate.numbers import FORMAT, plain
from retrain.evaluate.ranking import auc_intervals, macro_area, roc_auc
from retrain.evaluate.resampling import measure_precisions

Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabelNumbers:
    """What scores of several labels a photograph come to. Intervals are of 95 %.

    Args:
        exact: photographs whose answers are right for every label (subset accuracy).
        effective_count: as how many photographs that stand alone they count; fewer than there are where they come in
            groups.
        groups: how many groups; None where each photograph stands alone.
        hamming_loss: share of single answers, a photograph and a label, that are wrong: Schapire and Singer,
            "BoosTexter: a boosting-based system for text categorization", 2000, Machine Learning 39.
        mean_average_precision: mean over the labels that have photographs, see resampling.py; NaN where none has.
        average_precisions: of each label, in the order of the scores; NaN of one that no photograph has.
        macro_f1: mean over the same labels; NaN where none has.
        roc_auc: area under the ROC curve, mean over the labels that some photographs have and some have not; None
            where there is no such label.
        labels: each label by itself, in the order of the scores; guessed are the photographs that are said to have it.
        notes: what was left out, and why.
    """

    exact: Accuracy
    effective_count: float
    groups: int | None
    hamming_loss: Interval
    mean_average_precision: Interval
    average_precisions: tuple[Interval, ...]
    macro_f1: float
    roc_auc: Interval | None
    labels: tuple[ClassNumbers, ...]
    notes: tuple[str, ...]

    def numbers_json(self) -> dict[str, Any]:
        """Spell everything out for JSON.

        Returns:
            Names and values; null for what is not a number, such as the precision of a label never given.
        """
        return {"format": FORMAT, **plain(self)}


def measure_labels(
    scores: Floats, truth: Truth, said: Truth, names: tuple[str, ...], groups: Indices | None = None
) -> LabelNumbers:
    """Measure scores of photographs whose labels are known.

    Args:
        scores: float32 (N, C), each 0 to 1; out-of-fold, or of photographs never trained on.
        truth: bool (N, C), which photographs have which labels.
        said: bool (N, C), which are said to: scores over thresholds, that were not chosen on these very photographs.
        names: of the labels, C of them.
        groups: intp (N,), number of each photograph's group; None where each stands alone.

    Returns:
        The record.
    """
    right = (truth == said).all(axis=1)
    count, counted = len(truth), effective_count(right.astype(np.float64), groups)
    areas = _areas(scores, truth, counted / count if count else 1.0)
    labels = tuple(
        numbers_of(name, truth[:, number], said[:, number], scores[:, number], areas[number], groups)
        for number, name in enumerate(names)
    )
    precisions = measure_precisions(scores, truth, groups)
    wrong = mean_interval((truth != said).mean(axis=1), groups)
    known = [one for one in labels if one.count]
    return LabelNumbers(
        exact=accuracy_of(right, groups),
        effective_count=counted,
        groups=None if groups is None else len(np.unique(groups)),
        hamming_loss=Interval(wrong.value, max(0.0, wrong.low), min(1.0, wrong.high)),
        mean_average_precision=precisions.mean,
        average_precisions=precisions.labels,
        macro_f1=_mean([one.f1.value for one in known]),
        roc_auc=macro_area(areas),
        labels=labels,
        notes=_notes(labels, counted, count),
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _areas(scores: Floats, truth: Truth, independence: float) -> list[Interval]:
    return [_area(scores[:, number], truth[:, number], independence) for number in range(truth.shape[1])]


def _area(scores: Floats, own: Truth, independence: float) -> Interval:
    area = roc_auc(scores, own)
    if math.isnan(area):
        return UNKNOWN_SHARE
    inside = np.array([own.sum() * independence], np.float64)
    outside = np.array([(~own).sum() * independence], np.float64)
    low, high = auc_intervals(np.array([area]), inside, outside)
    return Interval(area, _first(low), _first(high))


def _first(values: Values) -> float:
    return float(values[0])


def _notes(labels: tuple[ClassNumbers, ...], counted: float, count: int) -> tuple[str, ...]:
    notes = []
    absent = sum(one.count == 0 for one in labels)
    if absent:
        notes.append(f"{absent} of {len(labels)} labels are on no photograph here and are in no mean over labels")
    if counted < count:
        notes.append(f"{count} photographs in groups count as {counted:.1f} that stand alone")
    return tuple(notes)


def labels_line(numbers: LabelNumbers) -> str:
    """Say in a line what numbers came to.

    Args:
        numbers: of at least one photograph.

    Returns:
        "mean average precision 93.1 % (88.0 to 96.0 %) over 3 labels, mean F1 88.0 %, every label right on 80.0 % of
        photographs (N=84), 95 % interval 70.0 to 87.1 %, 7.1 % of single answers wrong".
    """
    known = sum(one.count > 0 for one in numbers.labels)
    exact = numbers.exact
    return (
        f"mean average precision {numbers.mean_average_precision.text()} over {known} labels, mean F1 "
        f"{100 * numbers.macro_f1:.1f} %, every label right on {100 * exact.value:.1f} % of photographs "
        f"(N={exact.count}), {exact.interval_text()}, {100 * numbers.hamming_loss.value:.1f} % of single answers wrong"
    )


def labels_sentence(test: LabelNumbers, crossed: LabelNumbers | None) -> str:
    """Say what the numbers can and cannot tell.

    Args:
        test: of the final test.
        crossed: cross-validated, or None when it was left out.

    Returns:
        One or two sentences for a person who has no statistics.
    """
    what = "of photographs that have every label right"
    if test.exact.count:
        low, high = 100 * test.exact.low, 100 * test.exact.high
        photographs = f"{test.exact.count} test photograph{'' if test.exact.count == 1 else 's'}"
        start = f"With {photographs} this test cannot tell {low:.0f} % from {high:.0f} % {what}"
    else:
        start = "No photograph was kept for the final test"
    if crossed is None:
        return f"{start}; cross-validation was left out."
    exact = crossed.exact
    return (
        f"{start}; cross-validation over {exact.count} says {100 * exact.value:.0f} % ({100 * exact.low:.0f} to "
        f"{100 * exact.high:.0f} %). {_weakest(crossed)}"
    )


def _weakest(numbers: LabelNumbers) -> str:
    known = [one for one in numbers.labels if one.count]
    worst = min(known, key=lambda one: one.f1.value)
    if not worst.guessed:
        return f"Hardest is {worst.label!r}, which was given to none of the {worst.count} photographs that have it."
    return (
        f"Hardest is {worst.label!r}: {100 * worst.recall.value:.0f} % of the photographs that have it get it, and "
        f"{100 * worst.precision.value:.0f} % of those that get it have it."
    )
