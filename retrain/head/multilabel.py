"""Photographs with several labels each: a yes or no for every label, from one layer and a sigmoid.

The layer is solved as logistic.py's is, with one strength of the penalty for all labels. What score means yes is found
label by label, on scores of photographs that the scoring head had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows, as_rows
from retrain.errors import NumericalError, UsageError
from retrain.head.axes import PrincipalRows
from retrain.head.checking import finite_head, require_training
from retrain.head.inner import inner_folds
from retrain.head.layers import SIGMOID, Head, activation
from retrain.head.logistic import ADVICE
from retrain.head.penalised import Task, sigmoid_loss, solve_path
from retrain.head.recipe import LOGISTIC, Recipe
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats

# With fewer photographs that have a label, the best threshold would be chosen by chance.
FEWEST_WITH_LABEL = 5
USUAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class LabelHead:
    """A head for several labels a photograph.

    Args:
        head: scores of each label by itself.
        thresholds: float32 (C,), a score of at least this means yes.
        precision: float64 (C,), average precision of each label on photographs that were not learnt from; NaN for a
            label that none of them has.
        judged: how many those are.
    """

    head: Head
    thresholds: Floats
    precision: npt.NDArray[np.float64]
    judged: int

    @property
    def mean_average_precision(self) -> float:
        """Mean over the labels that occurred; NaN if none did."""
        known = self.precision[~np.isnan(self.precision)]
        return float(known.mean()) if len(known) else float("nan")


def fit_labels(
    features: Rows | Floats,
    targets: Floats,
    validation: Indices,
    recipe: Recipe,
    training: Indices | None = None,
    groups: Indices | None = None,
) -> LabelHead:
    """Fit a head for several labels a photograph, and choose a threshold for each.

    Args:
        features: rows or float32 (N, D), as the backbone gives them.
        targets: float32 (N, C), 1 where a photograph has a label, else 0.
        validation: indices that choose the thresholds; where a label is on too few of them to choose by, scores out of
            fold of the training photographs do. May be empty.
        recipe: its kind is LOGISTIC; every photograph counts alike, since there is no class to balance by.
        training: indices to learn from; None for all that are not in ``validation``.
        groups: intp (N,), equal for rows that must stay in one fold; None: each for itself.

    Returns:
        The head, its thresholds, and how well it ranks: on the validation photographs if there are any, else out of
        fold.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
        UsageError: there is nothing to train on, or the recipe is one of another kind of head.
    """
    if recipe.kind != LOGISTIC:
        raise UsageError(
            f"expected --head logistic for photographs with several labels, got --head {recipe.kind}; the other heads "
            "give each photograph one"
        )
    if training is None:
        training = np.setdiff1d(np.arange(len(targets)), validation)
    require_training(training)
    rows, wanted = as_rows(features), np.ascontiguousarray(_checked(targets)[training].T)
    fold = inner_folds(_patterns(targets[training]), None if groups is None else groups[training])
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        principal = PrincipalRows(rows, training)
        even = np.full(len(training), 1 / len(training), np.float32)
        smooth = wanted * np.float32(1 - recipe.label_smoothing) + np.float32(recipe.label_smoothing / 2)
        task = Task(principal, lambda part: smooth[:, part], sigmoid_loss, even, targets.shape[1])
        found = solve_path(task, fold)
        head = Head(*principal.layer(found.weights, found.biases), found.steps, after=SIGMOID)
        finite_head(head, ADVICE)
        out_of_fold = _out_of_fold(task, fold, found.strength)
    seen = (head.classify(rows, validation), targets[validation])
    folded = (out_of_fold, wanted.T)
    thresholds = [best_threshold(*_enough(label, seen, folded)) for label in range(targets.shape[1])]
    scores, truth = seen if len(validation) else folded
    return LabelHead(head, np.array(thresholds, np.float32), average_precision(scores, truth), len(truth))


def _checked(targets: Floats) -> Floats:
    if targets.ndim != 2 or not np.isin(targets, (0, 1)).all():
        raise ValueError(f"expected a matrix of labels that are 0 or 1, got one of shape {targets.shape}")
    return targets.astype(np.float32)


def _patterns(targets: Floats) -> Indices:
    """Number the combinations of labels, the rarest first: folds are to have some of each."""
    _, pattern, counts = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.intp)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    return rank[pattern.ravel()]


def _out_of_fold(task: Task, fold: Indices, strength: float) -> Floats:
    """Score each training photograph by a head that has not seen its fold, float32 (n, C)."""
    turned = np.concatenate([chunk for _, chunk in task.rows.chunks()])
    scores = np.full((len(fold), task.classes), USUAL_THRESHOLD, np.float32)
    for number in np.unique(fold):
        inside = fold != number
        if not inside.any():
            continue
        some = Task(task.rows, task.targets, task.loss, (inside / inside.sum()).astype(np.float32), task.classes)
        head = solve_path(some, np.zeros(len(fold), np.intp), (strength,))
        scores[~inside] = activation(SIGMOID, turned[~inside] @ head.weights + head.biases)
    if not np.isfinite(scores).all():
        raise NumericalError("a score out of fold is not a finite number. Nothing was exported.")
    return scores


def _enough(label: int, seen: tuple[Floats, Floats], folded: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Take a label's scores and truths where it is on enough photographs to choose by."""
    scores, truth = seen if seen[1][:, label].sum() >= FEWEST_WITH_LABEL else folded
    return scores[:, label], truth[:, label]


def best_threshold(scores: Floats, truth: Floats) -> float:
    """Choose from what score on a label is given, by the F1 of what follows.

    Lipton, Elkan and Naryanaswamy, "Optimal thresholding of classifiers to maximize F1 measure", 2014, ECML.

    Args:
        scores: float32 (N,), 0 to 1, of photographs that were not learnt from.
        truth: float32 (N,), 1 for those that have the label, else 0.

    Returns:
        Half-way between two neighbouring scores, the highest of equally good ones; USUAL_THRESHOLD where fewer than
        FEWEST_WITH_LABEL have the label, or all.
    """
    positives = truth.sum()
    if positives < FEWEST_WITH_LABEL or positives == len(truth):
        return USUAL_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    falling, hits = scores[order].astype(np.float64), np.cumsum(truth[order], dtype=np.float64)
    last = np.append(falling[1:] < falling[:-1], True)  # equal scores are on one side
    f1 = np.where(last, 2 * hits / (np.arange(1, len(truth) + 1) + positives), -1.0)
    best = int(np.argmax(f1))
    below = falling[best + 1] if best + 1 < len(falling) else 0.0
    return float((falling[best] + below) / 2)


def average_precision(scores: Floats, truth: Floats) -> npt.NDArray[np.float64]:
    """Average precision of each label: the mean, over the photographs that have it, of the precision down to each.

    Everingham et al., "The PASCAL visual object classes challenge", 2010, IJCV 88, as of 2010: not interpolated.

    Args:
        scores: float32 (N, C).
        truth: float32 (N, C), 0 or 1.

    Returns:
        float64 (C,), 0 to 1; NaN for a label that none has. Equal scores count as one step.
    """
    found = np.full(truth.shape[1], np.nan)
    for label in np.flatnonzero(truth.sum(axis=0) > 0):
        order = np.argsort(-scores[:, label], kind="stable")
        falling, hits = scores[order, label], np.cumsum(truth[order, label], dtype=np.float64)
        last = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
        gained = np.diff(hits[last], prepend=0.0)
        found[label] = (gained * hits[last] / (last + 1)).sum() / hits[-1]
    return found
