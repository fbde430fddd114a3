"""Gradient descent on batches drawn as the original draws them, whatever the layers are that learn.

The best step by validation loss is kept, where there are enough validation photographs to choose one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from retrain.bottlenecks import Rows, slices
from retrain.errors import NumericalError
from retrain.head.checking import finite_head, require_training
from retrain.head.choice import MAX_VALIDATION_FOR_CHOICE, StepChoice, spread
from retrain.head.layers import Head
from retrain.head.optimizers import rate_of
from retrain.head.recipe import BALANCED, Recipe
from retrain.head.reports import Observer, StepReport, losses_of, tell
from retrain.head.sampling import ClassBalancedSampler, EvenSampler, Indices
from retrain.head.scaling import CHUNK_ROWS, Floats, ScaledRows, Scaling, scale_training

# The parameters of a network at some step, copied.
State = tuple[Floats, ...]


class Network(Protocol):
    """Layers that learn, on scaled features."""

    @property
    def state(self) -> State:
        """All parameters, as they stand; those of the last layer, (E, C) and (C,), come last."""

    def logits(self, x: Floats) -> Floats:
        """Map scaled features (n, D) to logits (n, C), as they are when the head is used."""

    def descend(self, x: Floats, y: Indices, rate: np.float32) -> None:
        """Move the parameters by one step on a batch (B, D) with labels (B,)."""

    def fold(self, state: State, scaling: Scaling, step: int) -> Head:
        """Make a head of raw features of the parameters of some step."""


class Trainer:
    """One training of softmax.py or mlp.py.

    Args:
        rows: (N, D).
        labels: intp (N,).
        training: indices to train on.
        validation: indices that choose the step.
        recipe: how.

    Raises:
        UsageError: there is nothing to train on.
        NumericalError: a row holds NaN or infinity.
    """

    def __init__(self, rows: Rows, labels: Indices, training: Indices, validation: Indices, recipe: Recipe) -> None:
        require_training(training)
        self.recipe = recipe
        self.scaling, self.train = scale_training(rows, training)
        self.y = labels[training]
        sampler = ClassBalancedSampler if recipe.class_weights == BALANCED else EvenSampler
        self.sampler = sampler(self.y, np.random.default_rng(recipe.seed))
        self.validation = ScaledRows(rows, validation, self.scaling)
        self.val_y = labels[validation]
        chosen = spread(len(validation), MAX_VALIDATION_FOR_CHOICE)
        self.choice: StepChoice[State] = StepChoice(len(chosen), recipe.early_stopping)
        self.choice_x, self.choice_y = self.validation.take(chosen), self.val_y[chosen]
        # A stream of its own, so that how often is measured does not change what is learned.
        self.val_sampler = (
            ClassBalancedSampler(self.val_y, np.random.default_rng([recipe.seed, 1])) if len(validation) else None
        )

    def run(self, network: Network, observers: Sequence[Observer]) -> Head:
        """Train.

        Args:
            network: what learns.
            observers: told how it goes.

        Returns:
            The head of the step that is kept.

        Raises:
            NumericalError: the loss or a weight became NaN or infinite.
        """
        recipe, step = self.recipe, 0
        for step in range(recipe.steps):
            batch = self.sampler.draw(recipe.batch_size)
            x, y = self.train.take(batch), self.y[batch]
            network.descend(x, y, rate_of(recipe, step))
            self._require_numbers(network, step)
            last = step == recipe.steps - 1
            if last or step % recipe.eval_interval == 0:
                last |= self._choose(network, step, x, y)
            tell(observers, step, last, lambda x=x, y=y, step=step: self._report(network, step, x, y))  # type: ignore[misc]
            if last:
                break
        kept, state = self.choice.best(step, network.state)
        return self._fold(network, state, kept)

    def _choose(self, network: Network, step: int, x: Floats, y: Indices) -> bool:
        """Remember the step if it is the best; True when no better one is to be expected."""
        stop = False
        if len(self.choice_y):
            losses = losses_of(network.logits(self.choice_x), self.choice_y)
            stop = self.choice.offer(step, losses, lambda: tuple(part.copy() for part in network.state))
        loss = float(losses_of(network.logits(x), y).mean())
        if not np.isfinite(loss):
            raise self._left_numbers(f"the loss became {loss}", step)
        return stop

    def _require_numbers(self, network: Network, step: int) -> None:
        # A sum of squares that is a number is one of numbers, and soon had; what is so large is looked at again.
        parts = [part.ravel("K") for part in network.state]
        if all(math.isfinite(part @ part) for part in parts):
            return
        if not all(np.isfinite(part).all() for part in parts):
            raise self._left_numbers("a weight became NaN or infinite", step)

    def _left_numbers(self, what: str, step: int) -> NumericalError:
        return NumericalError(
            f"{what} at step {step}: training left the numbers. Lower --learning_rate "
            f"(now {self.recipe.learning_rate:g}; 0.01 is usual). Nothing was exported."
        )

    def _report(self, network: Network, step: int, x: Floats, y: Indices) -> StepReport:
        logits = network.logits(x)
        val_accuracy, val_loss, count = self._validate(network)
        return StepReport(
            step=step,
            train_accuracy=float((logits.argmax(axis=1) == y).mean()),
            cross_entropy=float(losses_of(logits, y).mean()),
            validation_accuracy=val_accuracy,
            validation_cross_entropy=val_loss,
            validation_count=count,
            weights=network.state[-2],
            biases=network.state[-1],
            logits=logits,
            head=lambda: self._fold(network, network.state, step),
        )

    def _validate(self, network: Network) -> tuple[float | None, float | None, int]:
        """Draw validation photographs: their accuracy and mean loss, and how many they are."""
        if self.val_sampler is None:
            return None, None, 0
        drawn = self.val_sampler.draw(self.recipe.validation_batch_size)
        right, losses = 0, []
        for part in slices(len(drawn), CHUNK_ROWS):
            y = self.val_y[drawn[part]]
            logits = network.logits(self.validation.take(drawn[part]))
            right += int((logits.argmax(axis=1) == y).sum())
            losses.append(losses_of(logits, y))
        return right / len(drawn), float(np.concatenate(losses).mean()), len(drawn)

    def _fold(self, network: Network, state: State, step: int) -> Head:
        advice = f"Lower --learning_rate (now {self.recipe.learning_rate:g}; 0.01 is usual)"
        return finite_head(network.fold(state, self.scaling, step), advice)


def fold_scaling(weights: Floats, biases: Floats, scaling: Scaling) -> tuple[Floats, Floats]:
    """Fold (x - mean) * scale into a layer, so that it takes raw bottleneck vectors.

    Args:
        weights: float32 (D, E), on scaled features.
        biases: float32 (E,).
        scaling: of the features.

    Returns:
        float32 (D, E) and (E,).
    """
    folded = weights * scaling.scale[:, np.newaxis]
    return folded, biases - scaling.mean @ folded
