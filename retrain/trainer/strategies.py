"""Where steps are calculated: in this process, on all devices of this machine, or on several machines at once.

Every replica computes the gradient of its part of a batch; the sums over all replicas are what each of them applies, so
their variables stay equal. A loss is the mean over the whole batch, whatever it was divided into.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from retrain.errors import RetrainError, UsageError
from retrain.images import Floats

NONE, MIRRORED, MULTI_WORKER = "none", "mirrored", "multi_worker"


class Strategy(Protocol):
    """A way of calculating steps.

    Args:
        index: of this process among the workers, from 0.
        workers: processes that train together.
        replicas: of the network, in all of them.
    """

    index: int
    workers: int
    replicas: int

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where variables are to be made."""

    def part(self, tensors: Sequence[Any]) -> Sequence[Any]:
        """Give a replica's rows of this process's batch; within a compiled function."""

    def total(self, tensors: Sequence[Any]) -> Sequence[Any]:
        """Sum over all replicas; within a compiled function."""

    def compiled(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        """Make a graph of a function that all replicas run, and that answers alike on each of them."""

    def share(self, array: Floats | Any) -> Any:  # noqa: ANN401
        """Give every process the array of the first one, which all have in the same shape and type."""


class Alone:
    """One process and one device: nothing is shared, nothing costs."""

    index, workers, replicas = 0, 1, 1

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """See Strategy."""
        return contextlib.nullcontext()

    def part(self, tensors: Sequence[Any]) -> Sequence[Any]:
        """See Strategy."""
        return tensors

    def total(self, tensors: Sequence[Any]) -> Sequence[Any]:
        """See Strategy."""
        return tensors

    def compiled(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        """See Strategy."""
        import tensorflow as tf

        made: Callable[..., Any] = tf.function(function, input_signature=list(signature))
        return made

    def share(self, array: Any) -> Any:  # noqa: ANN401
        """See Strategy."""
        return array


class Distributed:
    """TensorFlow's own strategies: replicas on the devices of this machine, in one process or in several.

    Args:
        strategy: a tf.distribute.Strategy.
        index: of this process.
        workers: processes.
    """

    def __init__(self, strategy: Any, index: int = 0, workers: int = 1) -> None:  # noqa: ANN401
        self._strategy, self.index, self.workers = strategy, index, workers
        self.replicas = int(strategy.num_replicas_in_sync)
        self._here = self.replicas // workers

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """See Strategy."""
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def part(self, tensors: Sequence[Any]) -> Sequence[Any]:
        """See Strategy."""
        import tensorflow as tf

        if self._here == 1:
            return tensors
        rows = tf.shape(tensors[0])[0]
        number = _number_of_replica() - self.index * self._here
        start, end = number * rows // self._here, (number + 1) * rows // self._here
        return [tensor[start:end] for tensor in tensors]

    def total(self, tensors: Sequence[Any]) -> Sequence[Any]:
        """See Strategy."""
        import tensorflow as tf

        summed: Sequence[Any] = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)
        return summed

    def compiled(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        """See Strategy."""
        import tensorflow as tf

        def everywhere(*tensors: Any) -> Any:  # noqa: ANN401
            answers = self._strategy.run(function, args=tensors)
            return self._strategy.experimental_local_results(answers)[0]

        made: Callable[..., Any] = tf.function(everywhere, input_signature=list(signature))
        return made

    def share(self, array: Any) -> Any:  # noqa: ANN401
        """See Strategy."""
        import tensorflow as tf

        if self.workers == 1:
            return array
        # Bytes travel as whole numbers: a sum of floats with zeros would turn -0.0 into 0.0.
        data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8).astype(np.int32)

        def first(bits: Any) -> Any:  # noqa: ANN401
            return self.total([bits * tf.cast(_number_of_replica() == 0, tf.int32)])[0]

        summed = self.compiled(first, [tf.TensorSpec(data.shape, tf.int32)])(tf.constant(data)).numpy()
        return np.frombuffer(summed.astype(np.uint8).tobytes(), array.dtype).reshape(array.shape)


def _number_of_replica() -> Any:  # noqa: ANN401
    import tensorflow as tf

    return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)


def open_strategy(name: str) -> Strategy:
    """Make the strategy of a job; of several workers, this waits for the others.

    Args:
        name: NONE, MIRRORED (all accelerators, or all logical processors of TensorFlow) or MULTI_WORKER.

    Returns:
        The strategy.

    Raises:
        UsageError: MULTI_WORKER, and TF_CONFIG does not say who works together.
        ValueError: there is none of that name.
    """
    import tensorflow as tf

    if name == NONE:
        return Alone()
    if name == MIRRORED:
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return Distributed(tf.distribute.MirroredStrategy([device.name for device in devices]))
    if name == MULTI_WORKER:
        index, workers = worker_of(os.environ)
        return Distributed(tf.distribute.MultiWorkerMirroredStrategy(), index, workers)
    raise ValueError(f"expected a strategy none, mirrored or multi_worker, got {name!r}")


def worker_of(environment: Mapping[str, str]) -> tuple[int, int]:
    """Read who works together from TF_CONFIG.

    Args:
        environment: variables of the process.

    Returns:
        This process's number, the chief's being 0, and how many there are.

    Raises:
        UsageError: the variable is missing, or does not say it.
    """
    wanted = (
        'expected TF_CONFIG to be {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}} '
        "on each machine, with its own index, for --strategy multi_worker"
    )
    try:
        told = json.loads(environment["TF_CONFIG"])
        cluster, task = told["cluster"], told["task"]
        kinds = [kind for kind in ("chief", "worker") if kind in cluster]
        everyone = [(kind, number) for kind in kinds for number, _ in enumerate(cluster[kind])]
        return everyone.index((task["type"], int(task["index"]))), len(everyone)
    except (KeyError, TypeError, ValueError) as error:
        got = environment.get("TF_CONFIG", "nothing")
        raise UsageError(f"{wanted}; got {got}") from error


def is_chief(name: str) -> bool:
    """Say whether this process is the one that writes.

    Args:
        name: of the strategy.

    Raises:
        UsageError: TF_CONFIG does not say it.
    """
    return name != MULTI_WORKER or worker_of(os.environ)[0] == 0


def lost_worker(error: Exception) -> RetrainError | None:
    """Tell the loss of another worker from other errors of TensorFlow.

    Args:
        error: what a step raised.

    Returns:
        What to tell the person; None where it is something else.
    """
    import tensorflow as tf

    kinds = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)
    if not isinstance(error, kinds):
        return None
    said = [line.strip() for line in str(error).splitlines() if "rror" in line and line.strip()[-1:] != ":"]
    return RetrainError(
        f"expected all workers of TF_CONFIG to be there, lost one ({said[0] if said else type(error).__name__}); start "
        "the same command on all of them again, which goes on from the last checkpoint"
    )
