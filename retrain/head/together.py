"""Several heads trained at once: cross-validation and the learning curve train dozens that differ only in photographs.

A step on 100 vectors of 512 is 60 us of arithmetic in some twenty calls; one head at a time, the calls cost nearly as
much again, and threads wait for Python's lock. Here a step does it for several heads in one array, so that what is left
is arithmetic, which releases the lock. The heads are the same to the bit as trained one by one, but for the last bits
where photographs are few (_Counted).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from threading import Event

import numpy as np
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import MemoryMatrix, Rows, as_rows
from retrain.head.layers import Head
from retrain.head.recipe import Recipe
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats, Moments, Scaling, take_chunks
from retrain.head.softmax import train_softmax
from retrain.litert import usable_cores
from retrain.threads import in_order

# How one head is trained: rows, labels, the indices trained on, recipe, number of classes.
Fit = Callable[[Rows, Indices, Indices, Recipe, int], Head]

# Heads in one array: more cost memory (200 KB each at 100 x 512) and gain nothing.
MOST_TOGETHER = 8
NO_VALIDATION = np.zeros(0, np.intp)
# The fields of a recipe that the arithmetic below knows; one that sets any other is trained one by one.
_KNOWN = frozenset(
    (
        *("steps", "learning_rate", "batch_size", "weight_decay", "eval_interval", "validation_batch_size", "seed"),
        "label_smoothing",
    )
)


class Stopped(Exception):  # noqa: N818
    """Somebody who waits for the heads no longer wants them."""


@dataclass(frozen=True)
class Task:
    """Heads to train on different photographs of the same set.

    Args:
        rows: (N, D), as the backbone gives them.
        labels: intp (N,).
        recipe: how each is trained; the last step is kept.
        class_count: C.
        stop: set when nobody waits for the heads any more.
        asked: set by somebody else who wants no heads any more.
    """

    rows: Rows
    labels: Indices
    recipe: Recipe
    class_count: int
    stop: Event = field(default_factory=Event)
    asked: Event = field(default_factory=Event)

    @property
    def is_over(self) -> bool:
        """Whether no further step is of use."""
        return self.stop.is_set() or self.asked.is_set()


def fit_one(rows: Rows, labels: Indices, training: Indices, recipe: Recipe, class_count: int) -> Head:
    """Train one head, with no photographs to choose a step by.

    Args:
        rows: (N, D).
        labels: intp (N,).
        training: intp (n,), indices of the rows to train on.
        recipe: how.
        class_count: C.

    Returns:
        The head.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    return train_softmax(rows, labels, NO_VALIDATION, recipe, class_count, training=training)


def train_together(
    features: Rows | Floats,
    labels: Indices,
    trainings: Sequence[Indices],
    recipe: Recipe,
    class_count: int,
    fit: Fit = fit_one,
    stop: Event | None = None,
) -> Iterator[Head]:
    """Train a head on each of several choices of photographs, on all cores.

    Args:
        features: rows or float32 (N, D).
        labels: intp (N,), 0 to class_count - 1.
        trainings: intp (n,) each, the rows to train on.
        recipe: how; the same for all.
        class_count: C.
        fit: trains one head; used where a recipe is more than the arithmetic here.
        stop: set, from another thread, when the heads are not wanted any more.

    Yields:
        The heads, in the order of ``trainings``; the same bytes as ``fit`` gives, or, where there are at most two
        batches of photographs, the same but for rounding.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
        UsageError: nothing is left to train one of them on.
        Stopped: ``stop`` was set.
    """
    task = Task(as_rows(features), labels, recipe, class_count, asked=stop or Event())
    threads = usable_cores()
    together = fit is fit_one and is_plain(recipe) and class_count > 1
    parts = _parts(task, trainings, threads) if together else [(number,) for number in range(len(trainings))]

    def do(part: Sequence[int]) -> dict[int, Head]:
        chosen = [trainings[number] for number in part]
        heads = _kind_of(task, chosen)(task, chosen).run() if len(chosen) > 1 and len(chosen[0]) else None
        if heads is None:  # alone, or one of them left the numbers: its own error says which step and what to do
            heads = [fit(task.rows, labels, training, recipe, class_count) for training in chosen if not task.is_over]
        return dict(zip(part, heads, strict=False))  # fewer only where nobody waits for them

    done, due = dict[int, Head](), 0
    # Set once around the threads: each fit sets and restores it for itself, which several at once would mix up.
    with threadpool_limits(1, user_api="blas"):
        try:
            # An interrupt need not wait for what is under way: that is told to stop below.
            for heads in in_order(do, parts, threads, 2 * threads, wait=False):
                if task.asked.is_set():
                    raise Stopped
                done |= heads
                while due in done:
                    yield done.pop(due)
                    due += 1
        finally:
            task.stop.set()


def is_plain(recipe: Recipe) -> bool:
    """Say whether a recipe is plain gradient descent, with smoothed labels or not: all that is done here together.

    Args:
        recipe: any.

    Returns:
        Whether every option beyond it is at its default; a batch of one is none, since numpy sums it another way.
    """
    others = [field for field in fields(recipe) if field.name not in _KNOWN]
    return recipe.batch_size > 1 and all(getattr(recipe, field.name) == field.default for field in others)


def _parts(task: Task, trainings: Sequence[Indices], threads: int) -> list[tuple[int, ...]]:
    """Put trainings that have the same classes together, evenly over the threads; the first ones first."""
    alike: dict[bytes, list[int]] = {}
    for number, training in enumerate(trainings):
        present = np.bincount(task.labels[training], minlength=task.class_count) > 0
        alike.setdefault(present.tobytes(), []).append(number)
    parts = []
    for numbers in alike.values():
        count = max(1, -(-len(numbers) // MOST_TOGETHER))
        # Steps on few photographs are so short that two threads would wait for each other: 1.2 s in place of 0.4.
        if not _are_few(task, [trainings[number] for number in numbers]):
            count = min(len(numbers), -(-count // threads) * threads)
        parts += [tuple(part.tolist()) for part in np.array_split(numbers, count)]
    return sorted(parts)


class _Together:
    """Heads of one shape: F trainings whose photographs have the same classes."""

    def __init__(self, task: Task, trainings: Sequence[Indices]) -> None:
        self.task = task
        self.scalings = [_scaling(task.rows, training) for training in trainings]
        self.mean = np.stack([scaling.mean for scaling in self.scalings])[:, np.newaxis]
        self.scale = np.stack([scaling.scale for scaling in self.scalings])[:, np.newaxis]
        self.draws = _Draws(task.labels, trainings, task.recipe.seed)
        shape = (len(trainings), task.class_count, task.rows.shape[1])
        self.weights, self.change = np.zeros(shape, np.float32), np.empty(shape, np.float32)
        self.biases = np.zeros(shape[:2], np.float32)
        self._make_room(trainings)

    def _make_room(self, trainings: Sequence[Indices]) -> None:
        heads, classes, width = self.weights.shape
        self.x = np.empty((heads, self.task.recipe.batch_size, width), np.float32)
        self.error = np.empty((heads, classes, self.task.recipe.batch_size), np.float32)

    def run(self) -> list[Head] | None:
        """Train; None where a number left the numbers."""
        recipe = self.task.recipe
        with np.errstate(all="ignore"):
            for step in range(recipe.steps):
                self._step(*self.draws.draw(recipe.batch_size))
                if self.task.is_over:
                    return None
                if step % recipe.eval_interval == 0 and not np.isfinite(self.weights).all():
                    return None
            heads = [self._fold(number) for number in range(len(self.scalings))]
        finite = all(np.isfinite(head.weights).all() and np.isfinite(head.biases).all() for head in heads)
        return heads if finite else None

    def _step(self, indices: Indices, classes: Indices) -> None:
        self._gather(indices)
        self._descend(classes)

    def _gather(self, indices: Indices) -> None:
        """Scale what was drawn, not all that could be: one matrix for all heads stays in the processor's cache."""
        rows = self.task.rows
        if isinstance(rows, MemoryMatrix):
            rows.array.take(indices, axis=0, out=self.x, mode="clip")
        else:
            self.x[:] = rows.take(indices.ravel()).reshape(self.x.shape)
        self.x -= self.mean
        self.x *= self.scale

    def _descend(self, classes: Indices) -> None:
        """Do what _Trainer._descend does, for all heads; the comments there hold here."""
        recipe, error = self.task.recipe, self.error
        rate = np.float32(recipe.learning_rate)
        share = rate / np.float32(recipe.batch_size)
        np.matmul(self.weights, self.x.transpose(0, 2, 1), out=error)
        error += self.biases[:, :, np.newaxis]
        error -= np.maximum.reduce(error, axis=1)[:, np.newaxis]
        np.exp(error, out=error)
        error *= (share / np.add.reduce(error, axis=1))[:, np.newaxis]
        smoothing = np.float32(recipe.label_smoothing)
        error[:, classes, np.arange(len(classes))] -= share * (1 - smoothing) if smoothing else share
        if smoothing:
            error -= share * smoothing / np.float32(error.shape[1])
        self.weights *= 1 - rate * np.float32(recipe.weight_decay)
        np.matmul(error, self.x, out=self.change)
        self.weights -= self.change
        self.biases -= np.add.reduce(error, axis=2)

    def _fold(self, number: int) -> Head:
        scaling = self.scalings[number]
        # A copy in the layout of _Trainer's view, so that the product sums in the same order.
        folded = self.weights[number].T * scaling.scale[:, np.newaxis]
        return Head(folded, self.biases[number] - scaling.mean @ folded, self.task.recipe.steps - 1)


class _Counted(_Together):
    """The same where a batch has more photographs than there are to draw from: each is calculated once, and counted.

    Nothing is copied together, and 67 photographs cost 67 rows where their batches cost 100. They span 67 dimensions of
    the 512 at most: weights that begin at 0 and move along photographs never leave these, so that they are found in
    coordinates there. Cross-validation of 84 takes a third of the time. Sums are in another order, so that the last
    bits differ from those of one by one.
    """

    def _make_room(self, trainings: Sequence[Indices]) -> None:
        heads, classes, width = self.weights.shape
        most = max(map(len, trainings))
        self.axes: list[Floats | None] = []
        self.x = np.zeros((heads, most, min(most, width)), np.float32)
        self.weights, self.change = (np.zeros((heads, classes, self.x.shape[2]), np.float32) for _ in range(2))
        self.error = np.empty((heads, classes, most), np.float32)
        smoothing = self.task.recipe.label_smoothing
        self.right = np.full((heads, classes, most), smoothing / classes, np.float32)
        # Place of each row among those of its head, counted over all heads.
        self.place = np.zeros((heads, len(self.task.labels)), np.intp)
        for number, training in enumerate(trainings):
            own = np.arange(len(training))
            scaled = self.scalings[number].apply(self.task.rows.take(training))
            axes, placed = _spanned(scaled) if most < width else (None, scaled)
            self.axes.append(axes)
            self.x[number, own, : placed.shape[1]] = placed
            self.right[number, self.task.labels[training], own] += np.float32(1 - smoothing)
            self.place[number, training] = number * most + own

    def _step(self, indices: Indices, classes: Indices) -> None:
        recipe, error = self.task.recipe, self.error
        share = np.float32(recipe.learning_rate) / np.float32(recipe.batch_size)
        drawn = np.bincount(np.take_along_axis(self.place, indices, axis=1).ravel(), minlength=self.x[..., 0].size)
        counts = drawn.reshape(len(self.x), 1, -1).astype(np.float32) * share
        np.matmul(self.weights, self.x.transpose(0, 2, 1), out=error)
        error += self.biases[:, :, np.newaxis]
        error -= np.maximum.reduce(error, axis=1)[:, np.newaxis]
        np.exp(error, out=error)
        error *= (1 / np.add.reduce(error, axis=1))[:, np.newaxis]
        error -= self.right
        error *= counts
        self.weights *= 1 - np.float32(recipe.learning_rate) * np.float32(recipe.weight_decay)
        np.matmul(error, self.x, out=self.change)
        self.weights -= self.change
        self.biases -= np.add.reduce(error, axis=2)

    def _fold(self, number: int) -> Head:
        axes = self.axes[number]
        if axes is None:
            return super()._fold(number)
        weights = axes @ self.weights[number, :, : axes.shape[1]].T
        folded = weights * self.scalings[number].scale[:, np.newaxis]
        return Head(folded, self.biases[number] - self.scalings[number].mean @ folded, self.task.recipe.steps - 1)


def _spanned(x: Floats) -> tuple[Floats, Floats]:
    """Give axes of what n rows span, float32 (D, n), and the rows in them, (n, n)."""
    axes, triangle = np.linalg.qr(x.T.astype(np.float64))
    return axes.astype(np.float32), triangle.T.astype(np.float32)


def _are_few(task: Task, trainings: Sequence[Indices]) -> bool:
    return max(map(len, trainings)) <= 2 * task.recipe.batch_size and isinstance(task.rows, MemoryMatrix)


def _kind_of(task: Task, trainings: Sequence[Indices]) -> type[_Together]:
    return _Counted if _are_few(task, trainings) else _Together


class _Draws:
    """What ClassBalancedSampler draws, for several of them with the same seed and the same classes."""

    def __init__(self, labels: Indices, trainings: Sequence[Indices], seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        # Rows class by class, those of one training behind those of another.
        self._order = np.concatenate([training[np.argsort(labels[training], kind="stable")] for training in trainings])
        self._classes = np.unique(labels[trainings[0]])
        self._count = np.stack([np.unique(labels[training], return_counts=True)[1] for training in trainings])
        self._first = np.cumsum(self._count).reshape(self._count.shape) - self._count

    def draw(self, size: int) -> tuple[Indices, Indices]:
        """Draw rows for each, intp (F, size), and their classes, intp (size,)."""
        drawn = self._generator.integers(len(self._classes), size=size)
        within = (self._generator.random(size) * self._count[:, drawn]).astype(np.intp)
        return self._order[self._first[:, drawn] + within], self._classes[drawn]


def _scaling(rows: Rows, training: Indices) -> Scaling:
    """Find the scaling of scale_training, without a scaled copy."""
    moments = Moments(rows.shape[1])
    for _, chunk in take_chunks(rows, training):
        moments.add(chunk)
    return moments.scaling()
