"""Cross-validation of heads for several labels, and the thresholds that its scores call for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows, as_rows
from retrain.head.folds import assign_folds
from retrain.head.inner import groups_of
from retrain.head.multilabel import best_threshold, fit_labels
from retrain.head.recipe import Recipe
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats
from retrain.litert import usable_cores
from retrain.threads import in_order

_NONE = np.zeros(0, np.intp)


@dataclass(frozen=True, eq=False)
class CrossedLabels:
    """Scores of photographs by heads that have not seen them, nor copies, nor their groups.

    Args:
        scores: float32 (N, C), of each label.
        folds: intp (N,), the fold of each photograph; those of one fold were scored by the same head.
    """

    scores: Floats
    folds: Indices

    def said_by_others(self, truth: Floats) -> npt.NDArray[np.bool_]:
        """Say which labels follow, by thresholds that were not chosen on the photographs that they are held against.

        Args:
            truth: float32 (N, C), 1 where a photograph has a label, else 0.

        Returns:
            bool (N, C): each fold's by the thresholds of the other folds' scores.
        """
        said = np.zeros(self.scores.shape, np.bool_)
        for fold in np.unique(self.folds):
            other = self.folds != fold
            said[~other] = self.scores[~other] >= label_thresholds(self.scores[other], truth[other])
        return said


def cross_validate_labels(
    features: Rows | Floats,
    targets: Floats,
    strata: Indices,
    keys: Sequence[bytes],
    recipe: Recipe,
    folds: int,
    on_fold: Callable[[], None],
    training_rows: Callable[[Indices], Indices] = lambda photographs: photographs,
    *,
    by_size: bool = False,
) -> CrossedLabels:
    """Score every photograph with a head trained on the other folds, by the same recipe as the real one.

    Args:
        features: rows or float32, (N, D); more rows may stand behind those of the N photographs.
        targets: float32, the labels of each row.
        strata: intp (N,), by which folds are dealt evenly: the rarest label of each photograph.
        keys: digest of each photograph or key of its group, N of them.
        recipe: how each head is trained.
        folds: at most as many as there are different keys are used.
        on_fold: called after each.
        training_rows: which rows stand for the photographs of the other folds: they themselves, or distorted views.
        by_size: whether folds are balanced in photographs rather than groups, see assign_folds.

    Returns:
        The scores.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
        UsageError: nothing is left to train one of them on.
    """
    rows = as_rows(features)
    dealt = assign_folds(strata, keys, min(folds, len(set(keys))), by_size=by_size)
    groups = groups_of(keys, len(rows), training_rows)
    scores = np.zeros((len(keys), targets.shape[1]), np.float32)

    def score(number: int) -> tuple[Indices, Floats]:
        held_out = np.flatnonzero(dealt == number)
        training = training_rows(np.flatnonzero(dealt != number))
        fitted = fit_labels(rows, targets, _NONE, recipe, training, groups)
        return held_out, fitted.head.classify(rows, held_out)

    # Set once around the threads: each fit sets and restores it for itself, which several at once would mix up.
    with threadpool_limits(1, user_api="blas"):
        for held_out, found in in_order(score, np.unique(dealt).tolist(), usable_cores(), folds):
            scores[held_out] = found
            on_fold()
    return CrossedLabels(scores, dealt)


def label_thresholds(scores: Floats, truth: Floats) -> Floats:
    """Choose from what score on each label is given.

    Args:
        scores: float32 (N, C), out-of-fold.
        truth: float32 (N, C), 1 where a photograph has a label, else 0.

    Returns:
        float32 (C,), see best_threshold.
    """
    return np.array([best_threshold(*both) for both in zip(scores.T, truth.T, strict=True)], np.float32)
