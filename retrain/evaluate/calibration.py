"""Whether scores are to be believed: log loss, Brier score, calibration error, and the temperature that mends them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.evaluate.accuracy import Floats
from retrain.evaluate.intervals import Indices, Interval, Values, mean_interval

BINS = 15
# Between which the temperature is looked for.
COLDEST, HOTTEST = 0.1, 10.0
# Of the logarithm of temperatures: two of three heads lie between 0.78 and 1.28. Twice as much, and of a hundred
# photographs temperatures were found that did harm (docs/numbers.md).
LIKELY_SPREAD = 0.25
_HALVINGS = 40
# Photographs that it is found on, evenly out of more: one number needs no million.
_MOST = 20_000
# The least score that a logarithm is taken of; a softmax in float32 gives 0 below it.
_LEAST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Bin:
    """Photographs whose first guess is about equally sure.

    Args:
        low: lower end of the scores, not included but for 0.
        high: upper end.
        count: how many photographs.
        confidence: mean score of the first guess; NaN of none.
        accuracy: share that is right; NaN of none.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far scores can be believed.

    Args:
        log_loss: mean of -ln of the right class' score, nats; 0 is best.
        brier: mean squared distance of the scores from 1 for the right class and 0 for the others, summed over the
            classes; 0 to 2, 0 is best. Brier, "Verification of forecasts expressed in terms of probability", 1950,
            Monthly Weather Review 78(1).
        error: expected calibration error, 0 to 1: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated
            probabilities using Bayesian binning", 2015, AAAI; as Guo et al., "On calibration of modern neural
            networks", 2017, ICML, with 15 bins of equal width over the first guess' score. NaN of nothing.
        chance: error that scores as they should be would show on so many photographs, by chance alone; an error
            near it is none. NaN of nothing.
        bins: what it is made of.
    """

    log_loss: Interval
    brier: Interval
    error: float
    chance: float
    bins: tuple[Bin, ...]


def measure_calibration(scores: Floats, labels: Indices, groups: Indices | None = None) -> Calibration:
    """Measure how far scores can be believed.

    Args:
        scores: float32 (N, C), rows sum to 1.
        labels: intp (N,).
        groups: intp (N,), number of each photograph's group; None where each stands alone.

    Returns:
        The measures; intervals as of mean_interval, but nothing below 0.
    """
    wide = scores.astype(np.float64)
    own = wide[np.arange(len(labels)), labels]
    losses = -np.log(np.maximum(own, _LEAST))
    squares = np.square(wide).sum(axis=1) - 2 * own + 1
    bins = _bins(wide, labels)
    error = sum(one.count * abs(one.accuracy - one.confidence) for one in bins if one.count) / max(1, len(labels))
    log_loss, brier = (_not_negative(mean_interval(values, groups)) for values in (losses, squares))
    if not len(labels):
        return Calibration(log_loss, brier, math.nan, math.nan, bins)
    return Calibration(log_loss, brier, error, _chance_error(wide.max(axis=1)), bins)


def _chance_error(top: Values) -> float:
    """Mean error of scores as they should be: a bin's right answers are a sum of coins, taken for normal."""
    variance = np.bincount(_bin_of(top), top * (1 - top), BINS)
    return float(np.sqrt(2 / np.pi * np.maximum(variance, 0)).sum()) / len(top)


def _bin_of(top: Values) -> Indices:
    """Bin of each score: 1/15 belongs to the first, as in the paper."""
    return np.clip(np.ceil(top * BINS).astype(np.intp) - 1, 0, BINS - 1)


def _not_negative(interval: Interval) -> Interval:
    return Interval(interval.value, max(0.0, interval.low), interval.high)


def _bins(scores: Values, labels: Indices) -> tuple[Bin, ...]:
    top = scores.max(axis=1) if len(labels) else np.zeros(0)
    right = scores.argmax(axis=1) == labels if len(labels) else np.zeros(0, np.bool_)
    which = _bin_of(top)
    counts = np.bincount(which, minlength=BINS)
    sure, correct = (np.bincount(which, values, BINS) for values in (top, right.astype(np.float64)))
    return tuple(
        Bin(
            number / BINS,
            (number + 1) / BINS,
            int(count),
            float(sure[number] / count) if count else math.nan,
            float(correct[number] / count) if count else math.nan,
        )
        for number, count in enumerate(counts)
    )


def find_temperature(scores: Floats, labels: Indices) -> float:
    """Find the temperature whose division of the logits makes the log loss least.

    Guo et al., "On calibration of modern neural networks", 2017, ICML, with a prior: the logarithm of the temperature
    is taken for normal around 0 with a spread of LIKELY_SPREAD, so that a handful of photographs, all of them right, do
    not make scores of 1. Of some thousand photographs the prior no longer shows. The loss falls and then rises with the
    temperature, so its slope is halved in on.

    Args:
        scores: float32 (N, C), out-of-fold: of heads that have not seen the photographs; rows sum to 1.
        labels: intp (N,).

    Returns:
        COLDEST to HOTTEST; 1 of no photographs.
    """
    if not len(labels):
        return 1.0
    logits, own = _logits(scores, labels)

    def slope(log_sharpness: float) -> float:
        sharpness = math.exp(log_sharpness)
        shares = np.exp(logits * sharpness)
        mean = (shares * logits).sum(axis=1) / shares.sum(axis=1)
        return sharpness * float((mean - own).sum()) + log_sharpness / LIKELY_SPREAD**2

    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(np.clip(math.exp(-(low + high) / 2), COLDEST, HOTTEST))


def _logits(scores: Floats, labels: Indices) -> tuple[Values, Values]:
    """Logits whose largest is 0, float64 (n, C), and that of the right class; of at most _MOST photographs."""
    if len(labels) > _MOST:
        some = np.linspace(0, len(labels) - 1, _MOST).astype(np.intp)
        scores, labels = scores[some], labels[some]
    logits = np.log(np.maximum(scores.astype(np.float64), _LEAST))
    logits -= logits.max(axis=1, keepdims=True)
    return logits, logits[np.arange(len(labels)), labels]


def cool(scores: Floats, temperature: float | npt.NDArray[np.float64]) -> Floats:
    """Give the scores that the same logits have at another temperature.

    Args:
        scores: float32 (N, C), rows sum to 1.
        temperature: above 0; one for all, or float64 (N,).

    Returns:
        float32 (N, C), rows sum to 1; the first guess stays the first, but where scores were 0 or 1 to the last bit.
    """
    if not len(scores) or np.all(np.asarray(temperature) == 1):
        return scores
    logits = np.log(np.maximum(scores.astype(np.float64), _LEAST))
    logits = (logits - logits.max(axis=1, keepdims=True)) / np.reshape(temperature, (-1, 1))
    shares = np.exp(logits)
    cooled: Floats = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return cooled


def cooled_scores(scores: Floats, temperature: float) -> Floats:
    """Give the scores of several repeats at another temperature, and their mean.

    Args:
        scores: float32 (R, N, C), rows sum to 1.
        temperature: above 0.

    Returns:
        float32 (N, C), rows sum to 1.
    """
    repeats, count, classes = scores.shape
    cooled = cool(scores.reshape(repeats * count, classes), temperature).reshape(scores.shape)
    mean: Floats = cooled.mean(axis=0, dtype=np.float32)
    return mean


def cool_by_others(scores: Floats, labels: Indices, folds: Indices) -> Floats:
    """Cool out-of-fold scores by temperatures that were not found on them.

    Args:
        scores: float32 (N, C).
        labels: intp (N,).
        folds: intp (N,), the fold of each.

    Returns:
        float32 (N, C): each fold's at the temperature that the other folds' scores give, so that what is measured on
        them is what new photographs would see.
    """
    temperatures = np.ones(len(labels))
    for fold in np.unique(folds):
        other = folds != fold
        temperatures[~other] = find_temperature(scores[other], labels[other])
    return cool(scores, temperatures)


def useful_temperature(scores: Floats, labels: Indices, folds: Indices) -> float:
    """Find the temperature of a cross-validation, where cooling is of use.

    Args:
        scores: float32 (R, N, C), of R repeats.
        labels: intp (N,).
        folds: intp (R, N), the fold of each.

    Returns:
        The temperature of all of it; 1 where scores cooled by temperatures that were not found on them have no lower
        log loss than before.
    """
    repeats, count, classes = scores.shape
    losses = [
        [measure_calibration(one, labels).log_loss.value for one in (own, cool_by_others(own, labels, deal))]
        for own, deal in zip(scores, folds, strict=True)
    ]
    before, after = np.mean(losses, axis=0)
    if not count or not after < before:
        return 1.0
    return find_temperature(scores.reshape(repeats * count, classes), np.tile(labels, repeats))
