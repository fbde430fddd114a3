"""One hidden layer between the bottleneck vectors and the softmax, with dropout.

Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014, JMLR 15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows, as_rows
from retrain.head.layers import Dense, Head, Relu
from retrain.head.optimizers import optimizer
from retrain.head.recipe import Recipe
from retrain.head.reports import Observer
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats, Scaling, take_chunks
from retrain.head.softmax import softmax_error
from retrain.head.trainer import State, Trainer, fold_scaling


def train_mlp(
    features: Rows | Floats,
    labels: Indices,
    validation: Indices,
    recipe: Recipe,
    class_count: int,
    observers: Sequence[Observer] = (),
    training: Indices | None = None,
) -> Head:
    """Train a hidden layer and a softmax layer together.

    Args:
        features: rows or float32 (N, D), as the backbone gives them; the same bytes make the same head.
        labels: intp (N,), 0 to class_count - 1.
        validation: indices that choose the step; may be empty, then the last step is kept.
        recipe: how; its hidden_units and dropout as well.
        class_count: C.
        observers: told how it goes; what they do changes nothing.
        training: indices to train on; None for all that are not in ``validation``.

    Returns:
        Dense, Relu and the last layer.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    if training is None:
        training = np.setdiff1d(np.arange(len(labels)), validation)
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        rows = as_rows(features)
        trainer = Trainer(rows, labels, training, validation, recipe)
        network = _Layers(rows.shape[1], class_count, recipe, _mean_square(rows, training, trainer.scaling))
        return trainer.run(network, observers)


def _mean_square(rows: Rows, training: Indices, scaling: Scaling) -> float:
    """Mean squared length of a scaled vector."""
    total = sum(float(np.square(scaling.apply(chunk)).sum()) for _, chunk in take_chunks(rows, training))
    return total / len(training)


class _Layers:
    """Two linear layers with a rectifier between them."""

    def __init__(self, width: int, class_count: int, recipe: Recipe, mean_square: float) -> None:
        # A stream of its own: the same batches as the softmax head's, whatever the width.
        self.generator = np.random.default_rng([recipe.seed, 2])
        # Units of variance 2 before the rectifier, as of He et al., "Delving deep into rectifiers", 2015, ICCV.
        spread = np.float32(np.sqrt(2 / mean_square)) if mean_square > 0 else np.float32(0)
        self.hidden: Floats = self.generator.standard_normal((recipe.hidden_units, width), np.float32) * spread
        self.hidden_biases = np.zeros(recipe.hidden_units, np.float32)
        self.by_class: Floats = np.zeros((class_count, recipe.hidden_units), np.float32)
        self.biases = np.zeros(class_count, np.float32)
        self.recipe = recipe
        self.movers = [optimizer(recipe, part.shape) for part in self._parameters]
        self.kept = np.float32(1 - recipe.dropout)

    @property
    def _parameters(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.hidden, self.hidden_biases, self.by_class, self.biases

    @property
    def state(self) -> State:
        """float32 (D, H), (H,), (H, C), (C,), views."""
        return self.hidden.T, self.hidden_biases, self.by_class.T, self.biases

    def logits(self, x: Floats) -> Floats:
        """See Network; all units take part."""
        units = x @ self.hidden.T
        units += self.hidden_biases
        logits: Floats = np.maximum(units, 0, out=units) @ self.by_class.T + self.biases
        return logits

    def descend(self, x: Floats, y: Indices, rate: np.float32) -> None:
        """See Network."""
        units, passing = self._forward(x)
        error = self.by_class @ units
        error += self.biases[:, np.newaxis]
        share = self.movers[0].unit(rate) / np.float32(len(y))
        softmax_error(error, y, share, np.float32(self.recipe.label_smoothing))
        back = self.by_class.T @ error
        back *= passing
        gradients = (back @ x, np.add.reduce(back, axis=1), error @ units.T, np.add.reduce(error, axis=1))
        shrink = 1 - rate * np.float32(self.recipe.weight_decay)
        self.hidden *= shrink
        self.by_class *= shrink
        for mover, part, gradient in zip(self.movers, self._parameters, gradients, strict=True):
            mover.apply(part, gradient, rate)

    def _forward(self, x: Floats) -> tuple[Floats, Floats]:
        """Give the hidden units of a batch, (H, B), and how much of each one's error goes back."""
        units: Floats = self.hidden @ x.T
        units += self.hidden_biases[:, np.newaxis]
        passing: Floats = (units > 0).astype(np.float32)
        if self.recipe.dropout:
            # What is left speaks louder, so that nothing need be changed when all of them speak.
            passing *= self.generator.random(units.shape, np.float32) < self.kept
            passing *= 1 / self.kept
        units *= passing
        return units, passing

    def fold(self, state: State, scaling: Scaling, step: int) -> Head:
        """See Network."""
        hidden, hidden_biases, weights, biases = state
        first = Dense(*fold_scaling(hidden, hidden_biases, scaling))
        return Head(np.ascontiguousarray(weights), biases.copy(), step, (first, Relu()))
