"""Looks for a learning rate: tries ever higher ones, a step each, and takes the one where the loss falls fastest.

Smith, "Cyclical learning rates for training neural networks", 2017, WACV (the range test).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retrain.images import Floats

LOWEST, HIGHEST, RATES = 1e-6, 10.0, 100
# Losses are means over one batch: for the slope they are averaged with so many neighbours on each side.
_NEIGHBOURS = 4
# Steps at the lowest rates that say how high the loss is before anything is learnt; what counts as a fall from there,
# in standard errors; and the share of it from which on slopes are compared.
_LEVEL, _NOISES, _BEGUN = 20, 3.0, 0.1
# The sweep ends where the running loss is so many times its lowest; the first steps may jump about.
_DIVERGED, _SETTLED, _MEMORY = 3.0, 10, 0.8


@dataclass(frozen=True)
class Found:
    """What a sweep came to.

    Args:
        rate: where the averaged loss falls fastest; None where it falls nowhere.
        curve: rate and loss of each step.
    """

    rate: float | None
    curve: tuple[tuple[float, float], ...]


def sweep(loss_at: Callable[[float], float]) -> Found:
    """Try rates from LOWEST to HIGHEST, evenly spaced in their logarithm, until the loss diverges.

    Args:
        loss_at: takes a step at a rate; gives the loss before it, nats.

    Returns:
        The rate found, and the curve.
    """
    curve: list[tuple[float, float]] = []
    running, lowest = 0.0, math.inf
    for number, rate in enumerate(np.geomspace(LOWEST, HIGHEST, RATES).tolist()):
        loss = loss_at(rate)
        if not math.isfinite(loss):
            break
        curve.append((rate, loss))
        running = _MEMORY * running + (1 - _MEMORY) * loss
        unbiased = running / (1 - _MEMORY ** (number + 1))
        lowest = min(lowest, unbiased)
        if number >= _SETTLED and unbiased > _DIVERGED * lowest:
            break
    return Found(steepest(curve), tuple(curve))


def steepest(curve: list[tuple[float, float]]) -> float | None:
    """Say at which rate the loss falls fastest.

    Args:
        curve: rates, rising evenly in their logarithm, and losses.

    Returns:
        The rate; None where the loss falls by no more than batches differ, or was measured too few times to say.
    """
    if len(curve) <= _LEVEL + 2 * _NEIGHBOURS:
        return None
    rates, losses = np.array(curve).T
    # The lowest rates change nothing: their losses say how high the loss is, and how much batches differ.
    level, noise = losses[:_LEVEL].mean(), losses[:_LEVEL].std() / np.sqrt(_LEVEL)
    smooth, rates = averaged(losses)[_LEVEL - _NEIGHBOURS :], rates[_LEVEL:-_NEIGHBOURS]
    lowest = int(smooth.argmin())
    fall = level - smooth[lowest]
    if fall <= _NOISES * noise:
        return None
    # Before a tenth of the way down, what looks steep is chance.
    slopes = np.where(smooth <= level - _BEGUN * fall, np.gradient(smooth), 0.0)[: lowest + 1]
    return float(rates[slopes.argmin()])


def averaged(losses: Floats) -> Floats:
    """Average each loss with its neighbours.

    Args:
        losses: (N,).

    Returns:
        (N - 2 * _NEIGHBOURS,), of those that have as many on both sides.
    """
    width = 2 * _NEIGHBOURS + 1
    mean: Floats = np.convolve(losses, np.full(width, 1 / width), "valid")
    return mean
