"""How well scores put the photographs of a class before the others: area under the ROC curve, precision and recall."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.evaluate.accuracy import Floats
from retrain.evaluate.intervals import UNKNOWN_SHARE, Z95, Indices, Interval, Values

# Points of a curve that are kept for drawing it.
MOST_POINTS = 100
_HALVINGS = 50


@dataclass(frozen=True)
class PrecisionRecall:
    """What precision is had at what recall, as the threshold falls.

    Args:
        thresholds: of the score, falling.
        precision: share of those at or above it that are of the class.
        recall: share of the class that is at or above it.
    """

    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


def roc_auc(scores: Floats | Values, positive: npt.NDArray[np.bool_]) -> float:
    """Find how often a photograph of the class has a higher score than one of another.

    Args:
        scores: (N,), of the class.
        positive: bool (N,), which photographs are of it.

    Returns:
        0 to 1, equal scores counting half; NaN where one of the two is missing. Mann and Whitney, "On a test of
        whether one of two random variables is stochastically larger than the other", 1947, Annals of Mathematical
        Statistics 18(1).
    """
    inside = int(positive.sum())
    outside = len(positive) - inside
    if not inside or not outside:
        return math.nan
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # The mean rank of each run of equal scores, from 1.
    rank = np.cumsum(counts) - (counts - 1) / 2
    return float((rank[inverse.reshape(-1)][positive].sum() - inside * (inside + 1) / 2) / (inside * outside))


def auc_intervals(areas: Values, inside: Values, outside: Values) -> tuple[Values, Values]:
    """Find between which areas the truths lie with 95 % confidence.

    Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2", 2006,
    Statistics in Medicine 25, method 5: the variance of Hanley and McNeil, 1982, at the limits instead of at what was
    measured, so that an area of 1 does not come out as certain.

    Args:
        areas: float64 (C,), 0 to 1.
        inside: float64 (C,), photographs of the class, above 0.
        outside: float64 (C,), others, above 0.

    Returns:
        Lower and upper ends, float64 (C,).
    """

    def limit(end: float) -> Values:
        near, far = areas.copy(), np.full_like(areas, end)
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            within = np.abs(areas - middle) <= Z95 * np.sqrt(_area_variance(middle, inside, outside))
            near, far = np.where(within, middle, near), np.where(within, far, middle)
        return near

    return limit(0.0), limit(1.0)


def _area_variance(area: Values, inside: Values, outside: Values) -> Values:
    pairs = (inside + outside) / 2 - 1
    spread = 1 + pairs * (1 - area) / (2 - area) + pairs * area / (1 + area)
    variance: Values = area * (1 - area) * np.maximum(spread, 0) / (inside * outside)
    return variance


def class_areas(scores: Floats, labels: Indices, independence: float = 1.0) -> list[Interval]:
    """Find the area under the ROC curve of each class against all others.

    Args:
        scores: float32 (N, C).
        labels: intp (N,).
        independence: effective count as a share of the photographs, where they come in groups.

    Returns:
        C of them, with their intervals; the value is NaN of a class that has no photographs, or all of them.
    """
    count, classes = scores.shape
    inside = np.bincount(labels, minlength=classes).astype(np.float64)
    areas = np.array([roc_auc(scores[:, number], labels == number) for number in range(classes)])
    known = ~np.isnan(areas)
    low, high = np.zeros(classes), np.ones(classes)
    if known.any():
        ends = auc_intervals(areas[known], inside[known] * independence, (count - inside[known]) * independence)
        low[known], high[known] = ends
    return [
        Interval(float(area), float(lower), float(upper)) if is_known else UNKNOWN_SHARE
        for area, lower, upper, is_known in zip(areas, low, high, known, strict=True)
    ]


def macro_area(areas: list[Interval]) -> Interval | None:
    """Average the areas of the classes.

    Args:
        areas: of class_areas.

    Returns:
        The mean over the classes that have one, from the mean of the lower ends to that of the upper: the classes
        share their photographs, so their errors may all go the same way. None where none has.
    """
    known = [area for area in areas if not math.isnan(area.value)]
    if not known:
        return None
    return Interval(*(float(np.mean([getattr(area, end) for area in known])) for end in ("value", "low", "high")))


def precision_recall(scores: Floats | Values, positive: npt.NDArray[np.bool_]) -> tuple[PrecisionRecall, float]:
    """Follow precision and recall as the threshold falls.

    Args:
        scores: (N,), of the class.
        positive: bool (N,), which photographs are of it.

    Returns:
        The curve, at most MOST_POINTS of it, and the average precision over all of it: each rise of recall times the
        precision there, nothing interpolated (Davis and Goadrich, "The relationship between precision-recall and ROC
        curves", 2006, ICML). Empty and NaN where the class has no photograph.
    """
    inside = int(positive.sum())
    if not inside:
        return PrecisionRecall((), (), ()), math.nan
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    # Photographs of equal scores pass the threshold together.
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    found = np.cumsum(positive[order])[last]
    precision, recall = found / (last + 1), found / inside
    average = float((np.diff(recall, prepend=0.0) * precision).sum())
    shown = np.unique(np.linspace(0, len(last) - 1, min(len(last), MOST_POINTS)).round().astype(np.intp))
    curve = (falling[last[shown]], precision[shown], recall[shown])
    return PrecisionRecall(*(tuple(round(value, 6) for value in part.tolist()) for part in curve)), average
