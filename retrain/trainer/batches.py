"""Hands out photographs batch by batch, in an order that a seed decides, decoded in threads while the network learns.

A batch is the same to the last bit whatever the threads, whether the photographs were decoded before, and whether the
run began there or went on there after a kill.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrain.bottlenecks.memory import MIB, available_bytes
from retrain.engines.local import READERS
from retrain.errors import RetrainError
from retrain.images import Floats, InputSpec, Pixels
from retrain.litert import usable_cores
from retrain.pixels import Pictures
from retrain.storage import is_url
from retrain.threads import in_order
from retrain.trainer.augment import Augmenter, Draws, draw_mix, shuffled
from retrain.trainer.feed import dataset
from retrain.trainer.job import Job, Photograph

_Indices = npt.NDArray[np.intp]
# Photographs that a thread takes at a time; handing over one costs about as much as reading a kept one.
_PART = 8
_ALIGNMENT = 64
# Kinds of targets and weights.
_REST = (np.dtype(np.float32), np.dtype(np.float32))


class Batch(NamedTuple):
    """What a step is taken on.

    Args:
        images: uint8 or, with brightness, colour or mixup, float32 (B, H, W, 3), RGB, 0 to 255; not clipped there.
        targets: float32 (B, C), shares of the classes; each row's sum is 1.
        weights: float32 (B,), of each photograph in the loss.
    """

    images: npt.NDArray[Any]
    targets: Floats
    weights: Floats


class _Side(NamedTuple):
    """One side of the split: its photographs have the numbers from ``first`` on."""

    pictures: Pictures
    first: int
    labels: _Indices


@dataclass(frozen=True)
class _Part:
    """Photographs of a batch: which, where each stands in the epoch's order, and where each goes."""

    numbers: _Indices
    places: _Indices
    out: npt.NDArray[Any]
    batch: npt.NDArray[Any] | None  # of the last part: all of it


class Batches:
    """Batches of a job, for one process.

    Args:
        job: what is trained.

    Raises:
        CacheError: the decoded photographs cannot be kept where the job says.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._index, self._count = job, 0, 1
        self._augmenter = Augmenter(job.augmentation, job.input_spec)
        # Threads that wait for a store decode nothing meanwhile.
        waiting = READERS if any(is_url(one.path) for one in job.photographs) else 0
        self._threads = (job.threads or usable_cores()) + waiting
        self._error: RetrainError | None = None
        self._training, self._validation = _open(job, self._augmenter.source)
        self.steps_an_epoch = job.steps_an_epoch
        self.validation_steps = -(-len(job.validation) // job.settings.batch_size)
        self.class_weights = class_weights(self._training.labels, job)
        self._one_hot = np.eye(len(job.labels), dtype=np.float32)

    def shard(self, index: int, count: int) -> Batches:
        """Take one worker's part of every batch.

        Args:
            index: of the worker, from 0.
            count: of workers.

        Returns:
            Batches of which each is a part of the whole one: all workers have equally many of them, of equal size.
            Where a batch does not divide, photographs of weight 0 fill it up, and the others' weights are such that
            the mean of the workers' means of weight times loss is that of the whole batch. Mixed is within a part.
        """
        part = object.__new__(Batches)
        part.__dict__.update(self.__dict__, _index=index, _count=count, _error=None)
        return part

    def arrays(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Go through the training photographs once.

        Args:
            epoch: from 0.
            skip: batches that were trained on before.

        Yields:
            The batches, each photograph in one of them; decoded ahead in threads.

        Raises:
            ImageError: a file is no image any more, or cannot be read.
            RetrainError: a file is not what it was when the run began.
            CacheError: the decoded photographs cannot be read or kept.
        """
        job, seed = self._job, self._job.settings.seed
        order = shuffled(f"order {seed} {epoch}", len(self._training.labels))
        draws = self._augmenter.draw(seed, epoch, len(order))
        steps = range(skip, self.steps_an_epoch)

        def fill(part: _Part) -> _Part:
            return self._fill_augmented(part, draws)

        for step, images in zip(steps, self._images(steps, order, self._augmenter.dtype, fill), strict=True):
            places, real = self._places(step, len(order))
            labels = self._training.labels[order[places]]
            weights = self.class_weights[labels] * real
            targets = self._one_hot[labels]
            where = f"{seed} {epoch} {step} {self._index} {self._count}"
            mix = draw_mix(job.augmentation, where, len(places), job.input_spec)
            if mix is None:
                yield Batch(images, targets, weights)
            else:
                yield Batch(mix.pictures(images), mix.labels(targets), mix.labels(weights))

    def validation_arrays(self) -> Iterator[Batch]:
        """Go through the validation photographs once, in the job's order, undistorted.

        Yields:
            The batches; uint8, each photograph of weight 1 (0 where it fills up a worker's part).

        Raises:
            RetrainError: as arrays.
        """
        labels = self._validation.labels
        steps = range(self.validation_steps)
        order = np.arange(len(labels))
        images = self._images(steps, order, np.dtype(np.uint8), self._fill_plain)
        for step, some in zip(steps, images, strict=True):
            places, real = self._places(step, len(labels))
            yield Batch(some, self._one_hot[labels[places]], (real > 0).astype(np.float32))

    def training(self, epoch: int, skip: int = 0, epochs: int = 1) -> Any:  # noqa: ANN401
        """Go through the training photographs, for TensorFlow.

        Args:
            epoch: from 0.
            skip: batches of it that were trained on before.
            epochs: how many, that one and those behind it. A Dataset takes up to half a second to make and to start, so
                one for all of them is better than one each.

        Returns:
            A tf.data.Dataset of what arrays yields. Use it within errors().
        """

        def whole() -> Iterator[Batch]:
            yield from self.arrays(epoch, skip)
            for later in range(epoch + 1, epoch + epochs):
                yield from self.arrays(later)

        return self._dataset(whole, epochs * self.steps_an_epoch - skip, self._augmenter.dtype)

    def validation(self) -> Any:  # noqa: ANN401
        """Go through the validation photographs once, for TensorFlow.

        Returns:
            A tf.data.Dataset of what validation_arrays yields, none where there are none. Use it within errors().
        """
        return self._dataset(self.validation_arrays, self.validation_steps, np.dtype(np.uint8))

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what TensorFlow makes of our errors into them again.

        Raises:
            RetrainError: in place of TensorFlow's error, where the batches failed.
        """
        try:
            yield
        except RetrainError:
            raise
        except Exception as error:
            if self._error is None:
                raise
            raise self._error from error

    def example(self, epoch: int) -> Pixels:
        """Show what is trained on.

        Args:
            epoch: from 0.

        Returns:
            uint8 (B, H, W, 3): the first batch, distorted and mixed, rounded and clipped.

        Raises:
            RetrainError: as arrays.
        """
        batches = self.arrays(epoch)
        try:
            images = next(batches).images
        finally:
            batches.close()  # type: ignore[attr-defined]
        return images if images.dtype == np.uint8 else np.rint(images).clip(0, 255).astype(np.uint8)

    def close(self) -> None:
        """Close the files of decoded photographs."""
        self._training.pictures.close()
        self._validation.pictures.close()

    def _places(self, step: int, total: int) -> tuple[_Indices, Floats]:
        """Where this worker's part of a batch stands in the order, and what fills up weighs 0."""
        size = self._job.settings.batch_size
        whole = np.arange(step * size, min((step + 1) * size, total))
        length = -(-len(whole) // self._count)
        mine = whole[self._index :: self._count]
        places = np.concatenate([mine, np.full(length - len(mine), whole[0])])
        share = np.float32(length * self._count / len(whole))
        return places, np.where(np.arange(length) < len(mine), share, np.float32(0))

    def _images(
        self, steps: range, order: _Indices, dtype: np.dtype[Any], fill: Callable[[_Part], _Part]
    ) -> Iterator[npt.NDArray[Any]]:
        parts = self._parts(steps, order, dtype)
        for part in in_order(fill, parts, self._threads, 2 * self._threads + 1):
            if part.batch is not None:
                yield part.batch

    def _parts(self, steps: range, order: _Indices, dtype: np.dtype[Any]) -> Iterator[_Part]:
        spec = self._job.input_spec
        for step in steps:
            places, _ = self._places(step, len(order))
            images = _aligned((len(places), spec.height, spec.width, 3), dtype)
            for start in range(0, len(places), _PART):
                some, is_last = slice(start, start + _PART), start + _PART >= len(places)
                yield _Part(order[places[some]], places[some], images[some], images if is_last else None)

    def _fill_plain(self, part: _Part) -> _Part:
        self._validation.pictures.fill(part.numbers + self._validation.first, part.out)
        return part

    def _fill_augmented(self, part: _Part, draws: Draws) -> _Part:
        if not self._augmenter.is_on and part.out.dtype == np.uint8:
            self._training.pictures.fill(part.numbers, part.out)
            return part
        source = self._augmenter.source
        decoded = np.empty((len(part.numbers), source.height, source.width, 3), np.uint8)
        self._training.pictures.fill(part.numbers, decoded)
        for pixels, place, out in zip(decoded, part.places.tolist(), part.out, strict=True):
            self._augmenter.apply(pixels, draws, place, out)
        return part

    def _dataset(self, batches: Callable[[], Iterator[Batch]], count: int, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401
        spec, classes = self._job.input_spec, len(self._job.labels)
        shapes = ((None, spec.height, spec.width, 3), (None, classes), (None,))
        return dataset(batches, count, list(zip((dtype, *_REST), shapes, strict=True)), self._note)

    def _note(self, error: RetrainError) -> None:
        self._error = error


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array, not filled, that begins where TensorFlow wants it to: it then takes it as it is, without a copy."""
    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


def class_weights(labels: _Indices, job: Job) -> Floats:
    """Weigh classes so that each counts alike in the loss.

    Args:
        labels: intp (N,), class of each photograph trained on.
        job: says how many classes there are, and whether they are weighed.

    Returns:
        float32 (C,): N / (K n) for a class of n photographs, where K classes have any; the mean over all photographs is
        1. All ones where they are not to be weighed.
    """
    counts = np.bincount(labels, minlength=len(job.labels))
    if job.settings.class_weights == "none":
        return np.ones(len(counts), np.float32)
    present = max(1, np.count_nonzero(counts))
    weights: Floats = (len(labels) / (present * np.maximum(counts, 1))).astype(np.float32)
    return weights


def _open(job: Job, source: InputSpec) -> tuple[_Side, _Side]:
    """Open both sides: one store where both are decoded at the same size, as neither is to push the other out."""
    training, validation = job.training, job.validation
    limit = job.pixel_cache_mb * MIB if job.pixel_cache_mb else available_bytes() // 2
    if source == job.input_spec:
        both = _pictures(job, [*training, *validation], source, limit)
        return _Side(both, 0, _labels(training)), _Side(both, len(training), _labels(validation))
    needs = [len(side) * spec.height * spec.width for side, spec in ((training, source), (validation, job.input_spec))]
    share = limit * needs[0] // max(1, sum(needs))
    return (
        _Side(_pictures(job, training, source, share), 0, _labels(training)),
        _Side(_pictures(job, validation, job.input_spec, limit - share), 0, _labels(validation)),
    )


def _pictures(job: Job, photographs: Sequence[Photograph], spec: InputSpec, limit_bytes: int) -> Pictures:
    return Pictures([(one.path, one.sha256) for one in photographs], spec, job.pixels, limit_bytes)


def _labels(photographs: Sequence[Photograph]) -> _Indices:
    return np.array([one.label for one in photographs], np.intp)
