"""Logistic regression with a penalty on squared weights, solved to convergence; its strength by cross-validation."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows
from retrain.head.axes import PrincipalRows
from retrain.head.checking import finite_head, require_training
from retrain.head.inner import inner_folds
from retrain.head.layers import Head
from retrain.head.penalised import Targets, Task, softmax_loss, solve_path
from retrain.head.recipe import BALANCED, Recipe
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats

ADVICE = "Look for features that are far larger than all others"


def fit_logistic(
    rows: Rows, labels: Indices, training: Indices, recipe: Recipe, class_count: int, groups: Indices | None = None
) -> Head:
    """Fit a linear layer and a softmax.

    Args:
        rows: (N, D), as the backbone gives them.
        labels: intp (N,), 0 to class_count - 1.
        training: intp (n,), which are learnt from.
        recipe: its class_weights and label_smoothing.
        class_count: C.
        groups: intp (n,), equal for those that stay in one fold; None: each stands for itself.

    Returns:
        The layer; its step is the number of steps that the solver took.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
        UsageError: there is nothing to train on.
    """
    require_training(training)
    y = labels[training]
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        principal = PrincipalRows(rows, training)
        task = Task(
            principal, smoothed(y, class_count, recipe.label_smoothing), softmax_loss, counting(y, recipe), class_count
        )
        found = solve_path(task, inner_folds(y, groups))
        return finite_head(Head(*principal.layer(found.weights, found.biases), found.steps), ADVICE)


def counting(y: Indices, recipe: Recipe) -> Floats:
    """Say what each photograph counts.

    Args:
        y: intp (n,), the classes.
        recipe: its class_weights.

    Returns:
        float32 (n,), which sum to 1: alike, or every class alike and the photographs of each.
    """
    if recipe.class_weights != BALANCED:
        return np.full(len(y), 1 / len(y), np.float32)
    classes, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    shares: Floats = (1 / (len(classes) * counts)).astype(np.float32)[inverse]
    return shares


def smoothed(y: Indices, class_count: int, smoothing: float) -> Targets:
    """Make the targets of classes that exclude each other.

    Args:
        y: intp (n,).
        class_count: C.
        smoothing: share of each label that is spread over all classes.

    Returns:
        Which photographs -> float32 (C, their number).
    """

    def targets(part: slice) -> Floats:
        chosen = y[part]
        spread = np.full((class_count, len(chosen)), smoothing / class_count, np.float32)
        spread[chosen, np.arange(len(chosen))] += np.float32(1 - smoothing)
        return spread

    return targets
