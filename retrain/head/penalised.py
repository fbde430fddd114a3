"""Linear heads with a penalty on squared weights, solved to convergence; the strength is chosen by cross-validation.

One path of falling strengths, each starting where the last one ended, for all folds at once (Friedman, Hastie and
Tibshirani, "Regularization paths for generalized linear models via coordinate descent", 2010, Journal of Statistical
Software 33, for the path; the solver is L-BFGS, see lbfgs.py). A fold is a set of weights of the photographs in which
those held out count nothing, so one product of matrices serves all folds, and gives their held-out scores as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.errors import NumericalError
from retrain.head.axes import PrincipalRows
from retrain.head.lbfgs import minimise
from retrain.head.scaling import Floats

Wide = npt.NDArray[np.float64]
# Which photographs -> what each label of them should come to, float32 (C, n).
Targets = Callable[[slice], Floats]
# Logits (K, C, n) and targets (C, n) -> losses (K, n); the logits become the errors, scores less targets, in place.
Loss = Callable[[Floats, Floats], Floats]

# Strengths of the penalty, strongest first, relative to the mean loss of a photograph on scaled features.
STRENGTHS = tuple(float(value) for value in np.logspace(0, -4, 13))
# A stronger penalty is preferred to the best one where its loss is no more than so many standard errors higher: on few
# photographs the best one is a matter of chance (Breiman et al., 1984, section 3.4.3).
STANDARD_ERRORS = 1.0
# The path ends when the held-out loss has been higher than the best for so many strengths.
PATIENCE = 2
# Length of the gradient, along axes on which a step of 1 is a good one.
LOOSE, TIGHT = 3e-3, 1e-4
MOST_STEPS = 300
# Numbers in the parameters of folds that are solved at once: more would only take memory.
MOST_AT_ONCE = 4_000_000
# Curvature of the loss along an axis, as a share of the variance: about right is enough.
CURVATURE = 0.1


@dataclass(frozen=True)
class Linear:
    """A linear head that was solved.

    Args:
        weights: float32 (R, C), along principal axes.
        biases: float32 (C,).
        strength: of the penalty.
        held_out: (strength, mean held-out loss) along the path, as far as it went; empty if nothing was chosen.
        steps: of the last solution.
    """

    weights: Floats
    biases: Floats
    strength: float
    held_out: tuple[tuple[float, float], ...]
    steps: int


@dataclass(frozen=True)
class Task:
    """What is to be solved.

    Args:
        rows: the photographs.
        targets: what is to come out.
        loss: how wrong it is.
        weights: float32 (n,), what each photograph counts; they sum to 1.
        classes: C.
    """

    rows: PrincipalRows
    targets: Targets
    loss: Loss
    weights: Floats
    classes: int


def solve_path(task: Task, fold: npt.NDArray[np.intp], strengths: Sequence[float] = STRENGTHS) -> Linear:
    """Choose the strength by cross-validation, and solve for all photographs.

    Args:
        task: what is to be solved.
        fold: intp (n,), each photograph's fold; with fewer than two there is nothing to choose by, and the strength in
            the middle of the path is taken.
        strengths: to choose from, falling.

    Returns:
        The head.

    Raises:
        NumericalError: the loss is not a finite number.
    """
    numbers = np.unique(fold)
    if len(numbers) < 2:
        strength = strengths[len(strengths) // 2]
        return _solve(task, strength, np.zeros((1, task.classes, task.rows.width + 1)), ())
    size = task.classes * (task.rows.width + 1)
    at_once = max(1, MOST_AT_ONCE // size)
    groups = [numbers[i : i + at_once] for i in range(0, len(numbers), at_once)]
    paths = [_Path(task, fold, group) for group in groups]
    losses = list[Wide]()
    starts = list[Wide]()
    for strength in strengths:
        losses.append(np.sum([path.step(strength) for path in paths], axis=0))
        starts.append(np.concatenate([path.points for path in paths]).mean(axis=0, keepdims=True))
        means = [float(task.weights @ one) for one in losses]
        if not np.isfinite(means[-1]):
            raise NumericalError(f"the held-out loss became {means[-1]}: the numbers were left. Nothing was exported.")
        if len(means) - 1 - int(np.argmin(means)) >= PATIENCE:
            break
    chosen = _strongest(losses, task.weights)
    return _solve(task, strengths[chosen], starts[chosen], tuple(zip(strengths, means, strict=False)))


def _strongest(losses: Sequence[Wide], weights: Floats) -> int:
    """Choose the first strength whose held-out loss is no more than a standard error above the lowest."""
    best = losses[int(np.argmin([float(weights @ one) for one in losses]))]
    for index, one in enumerate(losses):
        more = one - best
        mean = float(weights @ more)
        if mean <= STANDARD_ERRORS * np.sqrt(float(np.square(weights) @ np.square(more - mean))):
            return index
    raise AssertionError("the lowest is no higher than itself")  # pragma: no cover


def _solve(task: Task, strength: float, start: Wide, held_out: tuple[tuple[float, float], ...]) -> Linear:
    problem = _Problem(task, strength, task.weights[np.newaxis])
    points, steps = problem.minimise(start, TIGHT)
    solved = points[0].astype(np.float32)
    return Linear(np.ascontiguousarray(solved[:, :-1].T), solved[:, -1].copy(), strength, held_out, steps)


class _Path:
    """Some folds, along the path: points, float64 (K, C, R + 1), the biases last."""

    def __init__(self, task: Task, fold: npt.NDArray[np.intp], numbers: npt.NDArray[np.intp]) -> None:
        self._task = task
        inside = fold != numbers[:, np.newaxis]
        weights = task.weights * inside
        # A fold that holds all there is of what counts leaves nothing to learn from: it learns nothing.
        sums = weights.sum(axis=1, keepdims=True)
        self._weights: Floats = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
        self._outside = ~inside
        self.points: Wide = np.zeros((len(numbers), task.classes, task.rows.width + 1))

    def step(self, strength: float) -> Wide:
        """Solve for the next strength; gives the held-out losses, float64 (n,), 0 for those that never are."""
        self.points, _ = _Problem(self._task, strength, self._weights).minimise(self.points, LOOSE)
        return _held_out(self._task, self.points, self._outside)


class _Problem:
    """The mean loss and the penalty of K heads, along axes on which steps of about 1 are good ones."""

    def __init__(self, task: Task, strength: float, weights: Floats) -> None:
        self._task, self._strength, self._weights = task, strength, weights
        curvature = np.append(CURVATURE * task.rows.variances.astype(np.float64) + strength, CURVATURE)
        self._stretch: Wide = 1 / np.sqrt(curvature)

    def minimise(self, start: Wide, tolerance: float) -> tuple[Wide, int]:
        """Solve from a start, float64 (K, C, R + 1)."""
        flat = (start / self._stretch).reshape(len(start), -1)
        found = minimise(self._value, flat, tolerance, MOST_STEPS)
        if not np.isfinite(found.values).all():
            raise NumericalError(
                f"the loss became {found.values.max()}: the numbers were left. Nothing was exported; look for features "
                "that are far larger than all others"
            )
        return found.points.reshape(start.shape) * self._stretch, found.steps

    def _value(self, flat: Wide) -> tuple[Wide, Wide]:
        points = flat.reshape(len(flat), self._task.classes, -1) * self._stretch
        losses, slopes = _losses(self._task, points, self._weights)
        penalised = points[:, :, :-1]
        values = losses + self._strength / 2 * np.square(penalised).sum(axis=(1, 2))
        slopes[:, :, :-1] += self._strength * penalised
        return values, (slopes * self._stretch).reshape(flat.shape)


def _losses(task: Task, points: Wide, weights: Floats) -> tuple[Wide, Wide]:
    """Weighted losses, float64 (K,), and their slopes, (K, C, R + 1)."""
    heads, classes, _ = points.shape
    losses, slope = np.zeros(heads), np.zeros_like(points)
    for part, chunk in task.rows.chunks():
        logits = _logits(points, chunk)
        each = task.loss(logits, task.targets(part))
        losses += np.einsum("kn,kn->k", each, weights[:, part], dtype=np.float64)
        logits *= weights[:, np.newaxis, part]
        slope[:, :, :-1] += (logits.reshape(heads * classes, -1) @ chunk).reshape(heads, classes, -1)
        slope[:, :, -1] += logits.sum(axis=2)
    return losses, slope


def _held_out(task: Task, points: Wide, outside: npt.NDArray[np.bool_]) -> Wide:
    """Loss of each photograph, float64 (n,), by the head whose fold holds it; outside: bool (K, n)."""
    held = np.zeros(outside.shape[1])
    for part, chunk in task.rows.chunks():
        logits = _logits(points, chunk)
        held[part] = (task.loss(logits, task.targets(part)) * outside[:, part]).sum(axis=0)
    return held


def _logits(points: Wide, chunk: Floats) -> Floats:
    """float32 (K, C, n) of rows (n, R)."""
    heads, classes, width = points.shape
    by_class = points[:, :, :-1].reshape(heads * classes, width - 1).astype(np.float32)
    logits: Floats = (by_class @ chunk.T).reshape(heads, classes, -1)
    logits += points[:, :, -1].astype(np.float32)[:, :, np.newaxis]
    return logits


def softmax_loss(logits: Floats, targets: Floats) -> Floats:
    """Cross-entropy over classes that exclude each other; see Loss.

    Args:
        logits: float32 (K, C, n); becomes the errors.
        targets: float32 (C, n), columns sum to 1.

    Returns:
        float32 (K, n), nats.
    """
    logits -= np.maximum.reduce(logits, axis=1, keepdims=True)
    losses: Floats = -np.einsum("kcn,cn->kn", logits, targets)
    np.exp(logits, out=logits)
    total = np.add.reduce(logits, axis=1, keepdims=True)
    losses += np.log(total[:, 0])
    logits /= total
    logits -= targets
    return losses


def sigmoid_loss(logits: Floats, targets: Floats) -> Floats:
    """Sum of the cross-entropies of labels that are each by itself; see Loss.

    Args:
        logits: float32 (K, C, n); becomes the errors.
        targets: float32 (C, n), each 0 to 1.

    Returns:
        float32 (K, n), nats.
    """
    losses: Floats = -np.einsum("kcn,cn->kn", logits, targets)
    small = np.exp(-np.abs(logits))
    losses += (np.maximum(logits, 0) + np.log1p(small)).sum(axis=1)
    logits[...] = np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
    logits -= targets
    return losses
