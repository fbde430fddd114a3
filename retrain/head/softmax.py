"""A softmax layer on bottleneck vectors, trained by gradient descent.

The recipe is the original's (plain gradient descent on class-balanced batches, constant learning rate) with three
changes, each measured on five sets of photographs (docs/design.md): features are centred and scaled, the scaling then
folded into the layer; weights decay; and the step with the best validation loss is kept, where there are enough
validation photographs to choose one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows, as_rows, slices
from retrain.errors import NumericalError, UsageError
from retrain.head.sampling import ClassBalancedSampler, Indices
from retrain.head.scaling import CHUNK_ROWS, Floats, ScaledRows, scale_training, take_chunks

# Choosing the best step needs the same validation photographs each time, but not all of a large set.
MAX_VALIDATION_FOR_CHOICE = 2000
# Fewer can prefer step 30 by chance; then the last step is kept.
MIN_VALIDATION_FOR_CHOICE = 10


@dataclass(frozen=True)
class Recipe:
    """How to train a head.

    Args:
        steps: steps of gradient descent.
        learning_rate: size of a step.
        batch_size: photographs a step.
        weight_decay: the weights shrink by learning_rate times this each step.
        eval_interval: measure every so many steps, and on the last.
        validation_batch_size: photographs of a logged validation, drawn class by class; -1 for all.
        seed: of the random draws.
    """

    steps: int
    learning_rate: float
    batch_size: int
    weight_decay: float
    eval_interval: int = 10
    validation_batch_size: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Head:
    """A trained layer on raw bottleneck vectors: scaling is folded in.

    Args:
        weights: float32 (D, C).
        biases: float32 (C,).
        step: the training step it was taken after, counted from 0.
    """

    weights: Floats
    biases: Floats
    step: int

    def probabilities(self, features: Floats) -> Floats:
        """Classify.

        Args:
            features: float32 (N, D), as the backbone gives them.

        Returns:
            float32 (N, C), rows sum to 1.
        """
        return softmax(features @ self.weights + self.biases)

    def classify(self, rows: Rows | Floats, indices: Indices) -> Floats:
        """Classify photographs wherever their features lie.

        Args:
            rows: (N, D), as the backbone gives them.
            indices: intp (M,), which of them.

        Returns:
            float32 (M, C), rows sum to 1; the same bytes on any number of cores.

        Raises:
            NumericalError: one of these rows holds NaN or infinity.
        """
        probabilities = np.empty((len(indices), len(self.biases)), np.float32)
        with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
            for part, chunk in take_chunks(as_rows(rows), indices):
                probabilities[part] = self.probabilities(chunk)
        if not np.isfinite(probabilities.sum()):
            raise NumericalError("a bottleneck vector holds a value that is not a finite number; it has no class")
        return probabilities


@dataclass(frozen=True)
class StepReport:
    """What is measured at a step.

    Args:
        step: counted from 0.
        train_accuracy: 0 to 1, on the batch just trained on.
        cross_entropy: mean loss of that batch, nats.
        validation_accuracy: 0 to 1, on the validation batch; None without validation photographs.
        validation_cross_entropy: mean loss of that batch, nats.
        validation_count: photographs in that batch.
        weights: float32 (D, C), on scaled features.
        biases: float32 (C,).
        logits: float32 (B, C), of the training batch.
        head: makes the layer as it stands, scaling folded in.
    """

    step: int
    train_accuracy: float
    cross_entropy: float
    validation_accuracy: float | None
    validation_cross_entropy: float | None
    validation_count: int
    weights: Floats
    biases: Floats
    logits: Floats
    head: Callable[[], Head]


@dataclass(frozen=True)
class Observer:
    """Somebody who is told how training goes.

    Args:
        every: told at steps 0, every, 2 every ... and at the last.
        see: what to call.
    """

    every: int
    see: Callable[[StepReport], None]


def softmax(logits: Floats) -> Floats:
    """Turn logits into probabilities.

    Args:
        logits: float32 (N, C).

    Returns:
        float32 (N, C), rows sum to 1.
    """
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


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
    """
    if training is None:
        training = np.setdiff1d(np.arange(len(labels)), validation)
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        # One BLAS thread: two on a busy machine were up to 17 times slower than one on matrices this small.
        trainer = _Trainer(as_rows(features), labels, training, validation, recipe, class_count)
        return trainer.run(observers)


class _Trainer:
    def __init__(
        self,
        rows: Rows,
        labels: Indices,
        training: Indices,
        validation: Indices,
        recipe: Recipe,
        class_count: int,
    ) -> None:
        if not len(training):
            raise UsageError("no photograph is left to train on; add different ones, or lower --testing_percentage")
        self.recipe = recipe
        self.scaling, self.train = scale_training(rows, training)
        self.y = labels[training]
        # A row a class: both products of a step are then faster than with (D, C), 48 in place of 75 us together.
        self.by_class = np.zeros((class_count, rows.shape[1]), np.float32)
        self.biases = np.zeros(class_count, np.float32)
        self.sampler = ClassBalancedSampler(self.y, np.random.default_rng(recipe.seed))
        self.validation = ScaledRows(rows, validation, self.scaling)
        self.val_y = labels[validation]
        chosen = _spread(len(validation), MAX_VALIDATION_FOR_CHOICE)
        self.choice = _StepChoice(len(chosen))
        self.choice_x, self.choice_y = self.validation.take(chosen), self.val_y[chosen]
        # A stream of its own, so that how often is measured does not change what is learned.
        self.val_sampler = (
            ClassBalancedSampler(self.val_y, np.random.default_rng([recipe.seed, 1])) if len(validation) else None
        )

    def run(self, observers: Sequence[Observer]) -> Head:
        recipe = self.recipe
        for step in range(recipe.steps):
            batch = self.sampler.draw(recipe.batch_size)
            x, y = self.train.take(batch), self.y[batch]
            self._descend(x, y)
            last = step == recipe.steps - 1
            if last or step % recipe.eval_interval == 0:
                self._choose(step, x, y)
            told = [observer for observer in observers if last or step % observer.every == 0]
            if told:
                report = self._report(step, x, y)
                for observer in told:
                    observer.see(report)
        chosen = self.choice.best(recipe.steps - 1, self.weights, self.biases)
        return self._fold(*chosen)

    @property
    def weights(self) -> Floats:
        """float32 (D, C), a view."""
        return self.by_class.T

    def _logits(self, x: Floats) -> Floats:
        logits: Floats = x @ self.weights + self.biases
        return logits

    def _descend(self, x: Floats, y: Indices) -> None:
        rate = np.float32(self.recipe.learning_rate)
        share = rate / np.float32(len(y))
        # In place, (C, B): logits, their exponentials, probabilities times the share, the error times the share.
        error = self.by_class @ x.T
        error += self.biases[:, np.newaxis]
        error -= np.maximum.reduce(error, axis=0)
        np.exp(error, out=error)
        error *= share / np.add.reduce(error, axis=0)
        error[y, np.arange(len(y))] -= share
        self.by_class *= 1 - rate * np.float32(self.recipe.weight_decay)
        self.by_class -= error @ x
        self.biases -= np.add.reduce(error, axis=1)

    def _choose(self, step: int, x: Floats, y: Indices) -> None:
        if len(self.choice_y):
            losses = _losses(self._logits(self.choice_x), self.choice_y)
            self.choice.offer(step, losses, self.weights, self.biases)
        loss = float(_losses(self._logits(x), y).mean())
        if not np.isfinite(loss) or not np.isfinite(self.weights).all():
            raise NumericalError(
                f"the loss became {loss} at step {step}: training left the numbers. Lower --learning_rate "
                f"(now {self.recipe.learning_rate:g}; 0.01 is usual). Nothing was exported."
            )

    def _report(self, step: int, x: Floats, y: Indices) -> StepReport:
        logits = self._logits(x)
        val_accuracy, val_loss, count = self._validate()
        return StepReport(
            step=step,
            train_accuracy=float((logits.argmax(axis=1) == y).mean()),
            cross_entropy=float(_losses(logits, y).mean()),
            validation_accuracy=val_accuracy,
            validation_cross_entropy=val_loss,
            validation_count=count,
            weights=self.weights,
            biases=self.biases,
            logits=logits,
            head=lambda: self._fold(step, self.weights, self.biases),
        )

    def _validate(self) -> tuple[float | None, float | None, int]:
        """Draw validation photographs: their accuracy and mean loss, and how many they are."""
        if self.val_sampler is None:
            return None, None, 0
        drawn = self.val_sampler.draw(self.recipe.validation_batch_size)
        right, losses = 0, []
        for part in slices(len(drawn), CHUNK_ROWS):
            y = self.val_y[drawn[part]]
            logits = self._logits(self.validation.take(drawn[part]))
            right += int((logits.argmax(axis=1) == y).sum())
            losses.append(_losses(logits, y))
        return right / len(drawn), float(np.concatenate(losses).mean()), len(drawn)

    def _fold(self, step: int, weights: Floats, biases: Floats) -> Head:
        """Fold (x - mean) * scale into the layer, so that it takes raw bottleneck vectors."""
        folded = weights * self.scaling.scale[:, np.newaxis]
        shifted = biases - self.scaling.mean @ folded
        if not (np.isfinite(folded).all() and np.isfinite(shifted).all()):
            raise NumericalError(
                f"the layer after step {step} is not finite. Lower --learning_rate (now {self.recipe.learning_rate:g}; "
                "0.01 is usual). Nothing was exported."
            )
        return Head(folded, shifted, step)


def _losses(logits: Floats, labels: Indices) -> Floats:
    """Cross-entropy of each row, nats: float32 (N,)."""
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, np.newaxis]).sum(axis=1)) + top
    losses: Floats = total - logits[np.arange(len(labels)), labels]
    return losses


def _spread(count: int, limit: int) -> Indices:
    """Pick at most ``limit`` of ``count`` rows, evenly."""
    return np.arange(count) if count <= limit else np.linspace(0, count - 1, limit).astype(np.intp)


class _StepChoice:
    """Remembers the step with the lowest validation loss.

    Args:
        count: how many validation photographs are looked at, the same at every step.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._best_loss = np.inf
        self._best: tuple[int, Floats, Floats] | None = None

    def offer(self, step: int, losses: Floats, weights: Floats, biases: Floats) -> None:
        if losses.mean() < self._best_loss:
            self._best_loss = float(losses.mean())
            self._best = (step, weights.copy(), biases.copy())

    def best(self, last_step: int, weights: Floats, biases: Floats) -> tuple[int, Floats, Floats]:
        if self._best is None or self._count < MIN_VALIDATION_FOR_CHOICE:
            return (last_step, weights, biases)
        return self._best
