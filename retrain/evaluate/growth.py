"""How many more photographs are needed, and of which class: a curve through the learning curve, and where it leads.

Errors fall as an inverse power of the number of photographs towards a limit: error(n) = limit + scale * n ** -power
(Figueroa et al., "Predicting sample size required for classification performance", 2012, BMC Medical Informatics and
Decision Making 12:8; Viering and Loog, "The shape of learning curves: a review", 2021, arXiv:2103.10948, who also warn
of curves that do not behave). So nothing is foretold where the curve is too short, does not rise, or beyond
FURTHEST times the photographs there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from retrain.console import printable
from retrain.evaluate.intervals import Indices, Interval, Values
from retrain.head.learning import LearningCurve

# Sizes below which there is no curve, and how far apart the smallest and the largest are at least.
FEWEST_SIZES = 4
LEAST_SPAN = 3.0
FEWEST_HELD_OUT = 30
# Times the photographs there are that anything is foretold for.
FURTHEST = 4.0
RESAMPLES = 300
# What twice the photographs must bring to be called a gain.
WORTH_IT = 0.01
# Powers tried: of error, from hardly falling to falling with the square of the number.
_POWERS = np.geomspace(0.05, 2.0, 80)
# Photographs of a class below which its own curve is not looked at.
_FEWEST_OF_CLASS = 10

TOO_SHORT, FLAT, RISING = "too short", "flat", "rising"


@dataclass(frozen=True)
class Prediction:
    """What is foretold for a number of photographs.

    Args:
        times: as many times the photographs there are.
        size: photographs a class.
        accuracy: with a 95 % band.
    """

    times: float
    size: float
    accuracy: Interval


@dataclass(frozen=True)
class Growth:
    """What the learning curve says.

    Args:
        sizes: photographs a class that heads were trained on, ascending.
        accuracy: at each size, with a 95 % interval (bootstrap over the held-out photographs or their groups).
        class_sizes: for each class the photographs of it at each size.
        class_recall: for each class its recall at each size; NaN of a class without photographs.
        state: RISING, FLAT or TOO_SHORT; nothing is foretold but where it is RISING.
        limit: accuracy that the curve comes to with ever more such photographs; NaN where nothing is foretold.
        scale: of the curve.
        power: of the curve.
        predictions: for twice and for FURTHEST times the photographs.
        gains: for each class, by how much its recall would rise with twice its photographs; NaN where unknown.
        best_class: the class that gains most, where its gain is above chance; None where none stands out.
        sentences: all that in words, labels as they are.
    """

    sizes: tuple[float, ...]
    accuracy: tuple[Interval, ...]
    class_sizes: tuple[tuple[float, ...], ...]
    class_recall: tuple[tuple[float, ...], ...]
    state: str
    limit: float
    scale: float
    power: float
    predictions: tuple[Prediction, ...]
    gains: tuple[Interval, ...]
    best_class: int | None
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class _Fit:
    """Curves through B sets of errors: float64 (B,) each."""

    limit: Values
    scale: Values
    power: Values

    def error(self, size: float) -> Values:
        """Error at a size, float64 (B,), 0 to 1."""
        found: Values = np.clip(self.limit + self.scale * size**-self.power, 0.0, 1.0)
        return found


def grow(curve: LearningCurve, names: tuple[str, ...], groups: Indices | None = None, seed: int = 0) -> Growth:
    """Say where a learning curve leads.

    Args:
        curve: as measured.
        names: of the classes.
        groups: intp (N,), number of each photograph's group; None where each stands alone.
        seed: of the bootstrap.

    Returns:
        What it says.
    """
    recalls, shares = _resampled(curve, len(names), groups, seed)
    accuracy = tuple(_interval(row) for row in shares.T)
    state = _state(curve, shares)
    fit = _fit(curve.sizes, 1 - shares, len(curve.labels)) if state == RISING else None
    predictions = tuple(
        Prediction(times, times * curve.sizes[-1], _interval(_ahead(fit, curve.sizes[-1], times, shares[:, -1])))
        for times in (2.0, FURTHEST)
        if fit is not None
    )
    gains = tuple(_gain(curve, number, recalls[:, number], state) for number in range(len(names)))
    best = _best(gains)
    found = Growth(
        sizes=tuple(curve.sizes.tolist()),
        accuracy=accuracy,
        class_sizes=tuple(tuple(row) for row in curve.class_sizes.T.tolist()),
        class_recall=tuple(tuple(row) for row in recalls[0].tolist()),
        state=state,
        limit=float("nan") if fit is None else 1 - float(fit.limit[0]),
        scale=float("nan") if fit is None else float(fit.scale[0]),
        power=float("nan") if fit is None else float(fit.power[0]),
        predictions=predictions,
        gains=gains,
        best_class=best,
        sentences=(),
    )
    return _with_sentences(found, curve, names)


def _resampled(curve: LearningCurve, classes: int, groups: Indices | None, seed: int) -> tuple[Values, Values]:
    """Draw the photographs again with replacement, groups whole; the first of RESAMPLES + 1 is as it is.

    Returns:
        Recalls, float64 (B, C, S), NaN of a class without photographs; and accuracies, float64 (B, S).
    """
    own = np.arange(len(curve.labels)) if groups is None else groups
    total = int(own.max()) + 1
    generator = np.random.default_rng(seed)
    # Class by class, so that each one's photographs lie together.
    order = np.argsort(curve.labels, kind="stable")
    right, own = curve.right[:, order].astype(np.float32), own[order]
    present, starts = np.unique(curve.labels[order], return_index=True)
    found = np.zeros((RESAMPLES + 1, classes, len(right) + 1))
    counts = np.ones(total, np.float32)
    # A resample at a time: all of them at once are 1.2 KB a photograph.
    for row in range(RESAMPLES + 1):
        if row:
            counts = np.bincount(generator.integers(total, size=total), minlength=total).astype(np.float32)
        drawn = counts[own]
        found[row, present, :-1] = np.add.reduceat(right * drawn, starts, axis=1, dtype=np.float64).T
        found[row, present, -1] = np.add.reduceat(drawn, starts, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        recalls: Values = found[:, :, :-1] / found[:, :, -1:]
    sums = found.sum(axis=1)
    return recalls, sums[:, :-1] / sums[:, -1:]


def _interval(values: Values) -> Interval:
    """The first as measured, with the middle 95 % of all; NaN of nothing."""
    known = values[~np.isnan(values)]
    if not len(known) or np.isnan(values[0]):
        return Interval(float("nan"), 0.0, 1.0)
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(values[0]), min(float(low), float(values[0])), max(float(high), float(values[0])))


def _state(curve: LearningCurve, shares: Values) -> str:
    sizes = curve.sizes
    if len(sizes) < FEWEST_SIZES or sizes[-1] < LEAST_SPAN * sizes[0] or len(curve.labels) < FEWEST_HELD_OUT:
        return TOO_SHORT
    # Of the upper half against the lower one, which a single size that fell badly does not decide.
    half = len(sizes) // 2
    rise = shares[:, half:].mean(axis=1) - shares[:, :half].mean(axis=1)
    return RISING if _interval(rise).low > 0 else FLAT


def _fit(sizes: Values, errors: Values, count: int) -> _Fit:
    """Fit the curve to B sets of errors (B, S) by weighted least squares: limit and scale of each power, then power."""
    # Each weight is one over the variance of a share; a half is added to both sides, so that none is without error.
    weights = 1 / np.maximum((errors * count + 0.5) * ((1 - errors) * count + 0.5) / (count + 1) ** 3, 1e-12)
    x = sizes[np.newaxis, :] ** -_POWERS[:, np.newaxis]  # (P, S)
    total, sum_y = weights.sum(axis=1), (weights * errors).sum(axis=1)
    sum_x, sum_xx, sum_xy = weights @ x.T, weights @ np.square(x).T, (weights * errors) @ x.T  # (B, P)
    spread = np.maximum(total[:, np.newaxis] * sum_xx - sum_x**2, 1e-30)
    scale = np.maximum((total[:, np.newaxis] * sum_xy - sum_x * sum_y[:, np.newaxis]) / spread, 0.0)
    limit = (sum_y[:, np.newaxis] - scale * sum_x) / total[:, np.newaxis]
    # No error below none: then the curve goes to 0, and its scale is found for that.
    scale = np.where(limit < 0, sum_xy / sum_xx, scale)
    limit = np.maximum(limit, 0.0)
    missed = errors[:, np.newaxis] - limit[:, :, np.newaxis] - scale[:, :, np.newaxis] * x
    best = (weights[:, np.newaxis] * missed**2).sum(axis=2).argmin(axis=1)
    rows = np.arange(len(errors))
    return _Fit(limit[rows, best], scale[rows, best], _POWERS[best])


def _ahead(fit: _Fit, size: float, times: float, now: Values) -> Values:
    """Accuracy at so many times a size: what was measured there, and the curve's rise from there on."""
    found: Values = np.clip(now + fit.error(size) - fit.error(times * size), 0.0, 1.0)
    return found


def _gain(curve: LearningCurve, number: int, recall: Values, state: str) -> Interval:
    """By how much a class' recall would rise with twice its photographs."""
    own, sizes = int((curve.labels == number).sum()), curve.class_sizes[:, number]
    known = np.flatnonzero(~np.isnan(recall).any(axis=1))
    if state != RISING or own < _FEWEST_OF_CLASS or 0 not in known or sizes[0] <= 0:
        return Interval(float("nan"), 0.0, 1.0)
    fit = _fit(sizes, 1 - recall[known], own)
    return _interval(_ahead(fit, sizes[-1], 2.0, recall[known, -1]) - recall[known, -1])


def _best(gains: tuple[Interval, ...]) -> int | None:
    """The class with the largest gain, among those whose gain is worth it and above 0 in nearly all resamples."""
    known = [(gain.value, number) for number, gain in enumerate(gains) if gain.value >= WORTH_IT and gain.low > 0]
    return max(known)[1] if known else None


def _with_sentences(growth: Growth, curve: LearningCurve, names: tuple[str, ...]) -> Growth:
    lines = [_overall(growth), *_needed(growth), *_which(growth, curve, names)]
    return replace(growth, sentences=tuple(line for line in lines if line))


def _overall(growth: Growth) -> str:
    size, now = growth.sizes[-1], growth.accuracy[-1]
    if growth.state == TOO_SHORT:
        return (
            f"The learning curve has {len(growth.sizes)} sizes up to {size:.0f} photographs a class: too short to tell "
            "what more photographs would bring."
        )
    if growth.state == FLAT:
        first = growth.accuracy[0]
        return (
            f"From {growth.sizes[0]:.0f} to {size:.0f} photographs a class accuracy does not measurably rise "
            f"({100 * first.value:.1f} to {100 * now.value:.1f} %): more photographs of the same kind are not what it "
            "lacks, or too few are held out to see it."
        )
    twice = growth.predictions[0]
    if twice.accuracy.value - now.value < WORTH_IT:
        return (
            f"With {size:.0f} photographs a class to train on it is right in {now.text()}; twice as many of the same "
            f"kind would hardly change that (about {twice.accuracy.text()})."
        )
    return (
        f"With {size:.0f} photographs a class to train on it is right in {now.text()}; with twice as many it would be "
        f"in about {twice.accuracy.text()}."
    )


def _needed(growth: Growth) -> list[str]:
    """How many photographs would halve the mistakes."""
    if growth.state != RISING:
        return []
    size, error = growth.sizes[-1], 1 - growth.accuracy[-1].value
    curve = _Fit(*(np.array([value]) for value in (1 - growth.limit, growth.scale, growth.power)))
    here = float(curve.error(size)[0])
    grid = np.geomspace(1.0, FURTHEST, 200)
    halved = [times for times in grid if here - float(curve.error(times * size)[0]) >= error / 2]
    if halved and error > 0:
        more = size * (halved[0] - 1)
        return [f"About {more:.0f} more photographs a class would halve the mistakes."]
    return [f"Even {FURTHEST:.0f} times as many of the same kind would not halve the mistakes."]


def _which(growth: Growth, curve: LearningCurve, names: tuple[str, ...]) -> list[str]:
    if growth.state != RISING:
        return []
    if growth.best_class is None:
        return ["No class stands out as the one that needs them most."]
    number = growth.best_class
    recall, gain = growth.class_recall[number][-1], growth.gains[number]
    return [
        f"'{printable(names[number])}' would gain most: with {int((curve.labels == number).sum())} more of it, "
        f"{100 * recall:.0f} % of them recognised would become about {100 * (recall + gain.value):.0f} %."
    ]
