"""A softmax layer on bottleneck vectors, trained by gradient descent: the default head.

The recipe is the original's (plain gradient descent on class-balanced batches, constant learning rate) with three
changes, each measured on five sets of photographs (docs/heads.md): features are centred and scaled, the scaling then
folded into the layer; weights decay; and the step with the best validation loss is kept, where there are enough
validation photographs to choose one. What Recipe offers besides is off.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows, as_rows
from retrain.head.layers import Head
from retrain.head.optimizers import optimizer
from retrain.head.recipe import SOFTMAX, Recipe
from retrain.head.reports import Observer
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats, Scaling
from retrain.head.trainer import State, Trainer, fold_scaling

__all__ = ["Recipe", "softmax_error", "train_softmax"]


def train_softmax(
    features: Rows | Floats,
    labels: Indices,
    validation: Indices,
    recipe: Recipe,
    class_count: int,
    observers: Sequence[Observer] = (),
    training: Indices | None = None,
) -> Head:
    """Train a softmax layer.

    Args:
        features: rows or float32 (N, D), as the backbone gives them; the same bytes make the same head.
        labels: intp (N,), 0 to class_count - 1.
        validation: indices that choose the step; may be empty, then the last step is kept.
        recipe: how.
        class_count: C.
        observers: told how it goes; what they do changes nothing.
        training: indices to train on; None for all that are not in ``validation``.

    Returns:
        The trained layer.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
        ValueError: the recipe is one of another kind of head.
    """
    if recipe.kind != SOFTMAX:
        raise ValueError(f"expected a recipe of a softmax head, got {recipe.kind!r}; fit_head takes any")
    if training is None:
        training = np.setdiff1d(np.arange(len(labels)), validation)
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        # One BLAS thread: two on a busy machine were up to 17 times slower than one on matrices this small.
        rows = as_rows(features)
        trainer = Trainer(rows, labels, training, validation, recipe)
        return trainer.run(_Layer(rows.shape[1], class_count, recipe), observers)


class _Layer:
    """One linear layer, from zeros."""

    def __init__(self, width: int, class_count: int, recipe: Recipe) -> None:
        # A row a class: both products of a step are then faster than with (D, C), 48 in place of 75 us together.
        self.by_class: Floats = np.zeros((class_count, width), np.float32)
        self.biases = np.zeros(class_count, np.float32)
        self.decay = np.float32(recipe.weight_decay)
        self.smoothing = np.float32(recipe.label_smoothing)
        self.move, self.move_biases = (optimizer(recipe, part.shape) for part in (self.by_class, self.biases))

    @property
    def state(self) -> State:
        """float32 (D, C), a view, and (C,)."""
        return self.by_class.T, self.biases

    def logits(self, x: Floats) -> Floats:
        """See Network."""
        logits: Floats = x @ self.by_class.T + self.biases
        return logits

    def descend(self, x: Floats, y: Indices, rate: np.float32) -> None:
        """See Network."""
        share = self.move.unit(rate) / np.float32(len(y))
        # In place, (C, B): logits, their exponentials, probabilities times the share, the error times the share.
        error: Floats = self.by_class @ x.T
        error += self.biases[:, np.newaxis]
        softmax_error(error, y, share, self.smoothing)
        slope: Floats = error @ x
        self.by_class *= 1 - rate * self.decay
        self.move.apply(self.by_class, slope, rate)
        self.move_biases.apply(self.biases, np.add.reduce(error, axis=1), rate)

    def fold(self, state: State, scaling: Scaling, step: int) -> Head:
        """See Network."""
        weights, biases = state
        return Head(*fold_scaling(weights, biases, scaling), step)


def softmax_error(logits: Floats, y: Indices, share: np.float32, smoothing: np.float32) -> None:
    """Turn logits into the slope of their mean cross-entropy, in place.

    Args:
        logits: float32 (C, B), a column a photograph; written to.
        y: intp (B,), the classes.
        share: what the slope is multiplied by; 1 / B for the mean.
        smoothing: share of each label that is spread over all classes.
    """
    logits -= np.maximum.reduce(logits, axis=0)
    np.exp(logits, out=logits)
    logits *= share / np.add.reduce(logits, axis=0)
    logits[y, np.arange(len(y))] -= share * (1 - smoothing) if smoothing else share
    if smoothing:
        logits -= share * smoothing / np.float32(len(logits))
