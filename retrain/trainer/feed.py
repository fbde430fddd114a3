"""Hands batches to TensorFlow as a tf.data.Dataset, and keeps the errors of ours that it makes into its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import RetrainError

# Whole batches that wait for the network.
_PREFETCHED = 2
Arrays = tuple[npt.NDArray[Any], ...]
Kind = tuple[np.dtype[Any], tuple[int | None, ...]]


def dataset(
    batches: Callable[[], Iterator[Arrays]], count: int, kinds: Sequence[Kind], note: Callable[[RetrainError], None]
) -> Any:  # noqa: ANN401
    """Make a dataset of batches.

    Args:
        batches: starts going through them; called each time the dataset is gone through, one time after the other.
        count: how many there are.
        kinds: dtype and shape of each array of a batch.
        note: told of an error of ours, of which TensorFlow keeps only the text.

    Returns:
        A tf.data.Dataset of tuples, of which two wait ready; no worker's part is taken of it again.
    """
    import tensorflow as tf

    feed = _Feed(batches, note)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def give(step: Any) -> tuple[Any, ...]:  # noqa: ANN401
        parts = tf.numpy_function(feed, [step], [dtype for dtype, _ in kinds])
        for part, (_, shape) in zip(parts, kinds, strict=True):
            part.set_shape(shape)
        return tuple(parts)

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Trap: not from_generator. That operation makes the process give memory back to the system at once
    # (M_TRIM_THRESHOLD), so that every array of a step is fresh pages: two to three times the cost of a kept batch.
    return tf.data.Dataset.range(count).map(give).with_options(options).prefetch(_PREFETCHED)


class _Feed:
    """Gives one batch after the other, from the start again each time that the first is asked for.

    Args:
        batches: starts going through them.
        note: told of an error of ours.
    """

    def __init__(self, batches: Callable[[], Iterator[Arrays]], note: Callable[[RetrainError], None]) -> None:
        self._batches, self._note = batches, note
        self._under_way: Iterator[Arrays] = iter(())

    def __call__(self, step: int) -> Arrays:
        try:
            if step == 0:
                self._under_way = self._batches()
            return tuple(next(self._under_way))
        except RetrainError as error:
            self._note(error)
            raise
