"""One way to every head: what the recipe names is fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from retrain.bottlenecks import Rows, as_rows
from retrain.head.choice import MAX_VALIDATION_FOR_CHOICE, MIN_VALIDATION_FOR_CHOICE, spread
from retrain.head.cosine import fit_cosine
from retrain.head.inner import hold_out
from retrain.head.knn import fit_knn
from retrain.head.layers import Head
from retrain.head.logistic import fit_logistic
from retrain.head.mlp import train_mlp
from retrain.head.recipe import COSINE, KNN, LOGISTIC, MLP, SOFTMAX, Recipe
from retrain.head.reports import Observer, StepReport, losses_of, tell
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats
from retrain.head.softmax import train_softmax

_DESCEND = {SOFTMAX: train_softmax, MLP: train_mlp}
_SOLVE = {LOGISTIC: fit_logistic, COSINE: fit_cosine, KNN: fit_knn}
NONE = np.zeros(0, np.intp)


def fit_head(
    features: Rows | Floats,
    labels: Indices,
    validation: Indices,
    recipe: Recipe,
    class_count: int,
    observers: Sequence[Observer] = (),
    training: Indices | None = None,
    groups: Indices | None = None,
) -> Head:
    """Fit the head that a recipe names.

    Args:
        features: rows or float32 (N, D), as the backbone gives them; the same bytes make the same head.
        labels: intp (N,), 0 to class_count - 1.
        validation: indices that choose the step of what is trained step by step; other heads choose by folds within
            the training photographs, and leave these alone. May be empty. Where a head is to stop early and they are
            fewer than ten, an eighth of the training photographs takes their place, if that is ten.
        recipe: which head, and how.
        class_count: C.
        observers: told how it goes; of a head that is solved, once.
        training: indices to train on; None for all that are not in ``validation``.
        groups: intp (N,), equal for rows that must stay on one side whatever is held out; None: each for itself.

    Returns:
        The head.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
        UsageError: there is nothing to train on, or too much for this kind of head.
        ValueError: the recipe names no kind of head.
    """
    if training is None:
        training = np.setdiff1d(np.arange(len(labels)), validation)
    if recipe.kind in _DESCEND:
        if recipe.wants_validation and len(validation) < MIN_VALIDATION_FOR_CHOICE:
            kept, held = hold_out(labels[training], None if groups is None else groups[training])
            training, validation = training[kept], training[held] if len(held) else validation
        return _DESCEND[recipe.kind](features, labels, validation, recipe, class_count, observers, training)
    if recipe.kind not in _SOLVE:
        raise ValueError(f"expected a kind of head, got {recipe.kind!r}")
    rows = as_rows(features)
    head = _SOLVE[recipe.kind](
        rows, labels, training, recipe, class_count, None if groups is None else groups[training]
    )
    tell(observers, head.step, True, lambda: _report(head, rows, labels, training, validation))
    return head


def fitter(groups: Indices) -> Callable[[Rows, Indices, Indices, Recipe, int], Head]:
    """Make what fits a head on some photographs alone, as cross-validation asks for.

    Args:
        groups: as of fit_head.

    Returns:
        rows, labels, training, recipe, number of classes -> the head.
    """

    def fit(rows: Rows, labels: Indices, training: Indices, recipe: Recipe, class_count: int) -> Head:
        return fit_head(rows, labels, NONE, recipe, class_count, training=training, groups=groups)

    return fit


def _report(head: Head, rows: Rows, labels: Indices, training: Indices, validation: Indices) -> StepReport:
    """Measure a head that was solved as if it had been trained step by step."""
    seen = training[spread(len(training), MAX_VALIDATION_FOR_CHOICE)]
    judged = validation[spread(len(validation), MAX_VALIDATION_FOR_CHOICE)]
    logits, judged_logits = _logits(head, rows, seen), _logits(head, rows, judged)
    return StepReport(
        step=head.step,
        train_accuracy=float((logits.argmax(axis=1) == labels[seen]).mean()),
        cross_entropy=float(losses_of(logits, labels[seen]).mean()),
        validation_accuracy=float((judged_logits.argmax(axis=1) == labels[judged]).mean()) if len(judged) else None,
        validation_cross_entropy=float(losses_of(judged_logits, labels[judged]).mean()) if len(judged) else None,
        validation_count=len(judged),
        weights=head.weights,
        biases=head.biases,
        logits=logits,
        head=lambda: replace(head),
    )


def _logits(head: Head, rows: Rows, indices: Indices) -> Floats:
    """What a softmax would turn into the head's scores, float32 (n, C)."""
    scores = head.classify(rows, indices)
    # Also of heads that have logits: theirs differ from these by a number a photograph, which changes nothing.
    return np.log(np.maximum(scores, np.finfo(np.float32).tiny))
