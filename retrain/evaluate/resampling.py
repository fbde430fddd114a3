"""How sure an average precision is: photographs are drawn anew, and what that does to it becomes an interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.evaluate.accuracy import Floats
from retrain.evaluate.intervals import UNKNOWN_SHARE, Z95, Indices, Interval, Values, t_quantile, wilson_interval

Truth = npt.NDArray[np.bool_]

SEED = 20260701
# Draws: a standard error needs no more than 200 (Efron and Tibshirani, "An introduction to the bootstrap", 1993, 6.4),
# and with millions of scores no fewer than 50. Scores that all draws together look at; those held at once.
MOST, FEWEST, BUDGET, _AT_ONCE = 200, 50, 60_000_000, 2_000_000


@dataclass(frozen=True)
class Precisions:
    """Average precisions with their intervals.

    Args:
        labels: of each label, C of them; NaN with 0 to 1 of one that no photograph has.
        mean: over the labels that occur; NaN with 0 to 1 where none does.
    """

    labels: tuple[Interval, ...]
    mean: Interval


@dataclass(frozen=True, eq=False)
class _Sorted:
    """One label's photographs by falling score.

    Args:
        order: intp (N,).
        positive: float64 (N,), 1 where the photograph in that place has the label.
        last: intp (T,), the last place of each run of equal scores: they pass the threshold together.
    """

    order: Indices
    positive: Values
    last: Indices


def measure_precisions(scores: Floats, truth: Truth, groups: Indices | None = None, seed: int = SEED) -> Precisions:
    """Measure average precisions, and how sure they are.

    Photographs, or their groups where they come in any, are drawn anew with replacement (Efron, "Bootstrap methods:
    another look at the jackknife", 1979, Annals of Statistics 7); all labels see the same draws, since they share the
    photographs. From the standard deviation over the draws follows as how many single answers the average precision
    counts, at most as many as there are photographs with the label, and the interval is Wilson's at that count: a
    percentile of the draws would say that an average precision of 1 is certain, and be too narrow for rare labels
    (docs/multilabel.md has the figures).

    Args:
        scores: float32 (N, C), each 0 to 1.
        truth: bool (N, C), which photographs have which labels.
        groups: intp (N,), numbers of their groups; None where each stands alone.
        seed: of the draws; the same gives the same intervals.

    Returns:
        Of each label and of their mean, with 95 % intervals.
    """
    known = np.flatnonzero(truth.any(axis=0)).tolist() if len(truth) else []
    if not known:
        return Precisions((UNKNOWN_SHARE,) * truth.shape[1], UNKNOWN_SHARE)
    numbers = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    ranked = [_sorted(scores[:, label], truth[:, label]) for label in known]
    ones = np.ones((1, len(truth)))
    found = np.array([_weighted(one, ones)[0] for one in ranked])
    drawn = np.concatenate([_drawn(ranked, weights) for weights in _draws(numbers, len(known), seed)])
    most = np.array([len(np.unique(numbers[truth[:, label]])) for label in known], np.float64)
    few = int(numbers.max()) + 1
    made = [_interval(*each, few) for each in zip(found.tolist(), drawn.T, most.tolist(), strict=True)]
    # As many answers as labels that are judged by different photographs give, and never more than there are.
    together = min(len(known) ** 2 / float((1 / most).sum()), float(few))
    mean = _interval(float(found.mean()), _means(drawn), together, few)
    by_label = dict(zip(known, made, strict=True))
    return Precisions(tuple(by_label.get(label, UNKNOWN_SHARE) for label in range(truth.shape[1])), mean)


def _sorted(scores: Floats, positive: Truth) -> _Sorted:
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    return _Sorted(
        order, positive[order].astype(np.float64), np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    )


def _draws(numbers: Indices, labels: int, seed: int) -> Iterator[Values]:
    """How often each photograph is in each draw, float64 (some draws, N)."""
    count, groups = len(numbers), int(numbers.max()) + 1
    draws = int(np.clip(BUDGET // (count * labels), FEWEST, MOST))
    generator = np.random.default_rng(seed)
    for start in range(0, draws, step := max(1, _AT_ONCE // count)):
        size = min(step, draws - start)
        times = generator.multinomial(groups, np.full(groups, 1 / groups), size=size)
        yield times[:, numbers].astype(np.float64)


def _drawn(ranked: list[_Sorted], weights: Values) -> Values:
    """The average precision of each label in each draw, (draws, labels)."""
    return np.stack([_weighted(one, weights) for one in ranked], axis=1)


def _weighted(one: _Sorted, weights: Values) -> Values:
    """The average precision with photographs counted so often; NaN where none with the label is left."""
    placed = weights[:, one.order]
    passed = np.cumsum(placed, axis=1)[:, one.last]
    found = np.cumsum(placed * one.positive, axis=1)[:, one.last]
    rises = np.diff(found, axis=1, prepend=0.0)
    total = found[:, -1]
    summed = (rises * found / np.maximum(passed, 1.0)).sum(axis=1)
    return np.where(total > 0, summed / np.maximum(total, 1.0), np.nan)


def _means(drawn: Values) -> Values:
    """The mean of each draw over the labels that it has, (draws,); NaN where it has none."""
    known = ~np.isnan(drawn)
    counts = known.sum(axis=1)
    sums = np.where(known, drawn, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _interval(value: float, drawn: Values, most: float, groups: int) -> Interval:
    """Wilson's interval of a share that counts as many answers as its spread over the draws says, at most ``most``."""
    values = drawn[~np.isnan(drawn)]
    spread = float(values.var()) if len(values) else 0.0
    if groups > 1:
        # The variance of a draw is smaller by one part in so many, and few groups say little of how they differ.
        spread *= groups / (groups - 1) * (t_quantile(groups - 1) / Z95) ** 2
    answers = value * (1 - value) / spread if spread > 0 else math.inf
    answers = min(max(answers, 1.0), most)
    return Interval(value, *wilson_interval(value * answers, answers))
