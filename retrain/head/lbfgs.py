"""Several smooth convex functions minimised at once, each for itself: limited-memory BFGS.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989, Mathematical Programming 45.
The functions are evaluated together, so that one pass over the photographs serves all of them; a function that has
converged stays where it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Wide = npt.NDArray[np.float64]
# Points (K, P) -> values (K,) and gradients (K, P).
Objective = Callable[[Wide], tuple[Wide, Wide]]

MEMORY = 10
# Of the decrease that the slope promises, so much must come: Armijo's rule.
ENOUGH = 1e-4
MAX_HALVINGS = 30


@dataclass(frozen=True)
class Minimum:
    """Where it ended.

    Args:
        points: float64 (K, P).
        values: float64 (K,).
        steps: taken by the slowest function.
        converged: bool (K,), whether the gradient became small enough.
    """

    points: Wide
    values: Wide
    steps: int
    converged: npt.NDArray[np.bool_]


def minimise(objective: Objective, start: Wide, tolerance: float, most_steps: int) -> Minimum:
    """Minimise K functions of P variables.

    Args:
        objective: their values and gradients; scaled so that steps of about 1 are good ones.
        start: float64 (K, P).
        tolerance: a gradient of this Euclidean length is small enough.
        most_steps: give up then.

    Returns:
        The points reached; values that are not finite numbers are given back as they are.
    """
    points = start.copy()
    values, gradients = objective(points)
    pairs: deque[tuple[Wide, Wide]] = deque(maxlen=MEMORY)
    for step in range(most_steps):
        moving = _lengths(gradients) > tolerance
        if not moving.any() or not np.isfinite(values).all():
            return Minimum(points, values, step, ~moving)
        directions = np.where(moving[:, np.newaxis], _directions(gradients, pairs), 0.0)
        moved = _search(objective, points, values, gradients, directions)
        if moved is None:  # the arithmetic has no smaller value to offer
            return Minimum(points, values, step, ~moving)
        new_points, values, new_gradients = moved
        pairs.append((new_points - points, new_gradients - gradients))
        points, gradients = new_points, new_gradients
    return Minimum(points, values, most_steps, _lengths(gradients) <= tolerance)


def _search(
    objective: Objective, points: Wide, values: Wide, gradients: Wide, directions: Wide
) -> tuple[Wide, Wide, Wide] | None:
    """Walk along the directions, half as far where that is too far; None if nowhere is any better."""
    slopes = _dots(directions, gradients)
    lengths = np.ones(len(points))
    for _ in range(MAX_HALVINGS):
        new_points = points + lengths[:, np.newaxis] * directions
        new_values, new_gradients = objective(new_points)
        # Trap: not "new_values > limit", which would let NaN pass.
        too_far = ~(new_values <= values + ENOUGH * lengths * slopes) & (slopes < 0)
        if not too_far.any():
            return new_points, new_values, new_gradients
        lengths[too_far] /= 2
    stuck = too_far
    if stuck.all() or not np.isfinite(new_values).all():
        return None
    lengths[stuck] = 0
    new_points = points + lengths[:, np.newaxis] * directions
    return (new_points, *objective(new_points))


def _directions(gradients: Wide, pairs: deque[tuple[Wide, Wide]]) -> Wide:
    """Downhill, as the last steps say that the functions are curved: the two-loop recursion, for each function."""
    direction = -gradients
    kept = []
    for moved, bent in reversed(pairs):
        curvature = _dots(moved, bent)
        # A function that stood still has no say.
        inverse = np.divide(1, curvature, out=np.zeros_like(curvature), where=curvature > 1e-30)
        share = inverse * _dots(moved, direction)
        direction -= share[:, np.newaxis] * bent
        kept.append((moved, bent, inverse, share))
    if pairs:
        moved, bent = pairs[-1]
        curvature, size = _dots(moved, bent), _dots(bent, bent)
        scale = np.divide(curvature, size, out=np.ones_like(size), where=(size > 1e-30) & (curvature > 1e-30))
        direction *= scale[:, np.newaxis]
    for moved, bent, inverse, share in reversed(kept):
        back = inverse * _dots(bent, direction)
        direction += (share - back)[:, np.newaxis] * moved
    uphill = _dots(direction, gradients) >= 0
    direction[uphill] = -gradients[uphill]
    return direction


def _dots(a: Wide, b: Wide) -> Wide:
    products: Wide = np.einsum("kp,kp->k", a, b)
    return products


def _lengths(a: Wide) -> Wide:
    return np.sqrt(_dots(a, a))
