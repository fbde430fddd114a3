"""One step of a training, and one of its validation, each as one graph; and the variables that they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retrain.errors import NumericalError
from retrain.images import Floats
from retrain.trainer.checkpoints import Arrays
from retrain.trainer.job import Job
from retrain.trainer.optimisers import Optimiser
from retrain.trainer.strategies import Strategy
from retrain.trainer.trainable import Trainable, trainable_of


class Network:
    """What is trained, with all that changes while it is.

    Args:
        job: what to train.
        strategy: where its variables are made.
    """

    def __init__(self, job: Job, strategy: Strategy) -> None:
        with strategy.scope():
            self.trainable: Trainable = trainable_of(job)
            blocks = [[plain(variable) for variable in block] for block in self.trainable.blocks]
            self.optimiser = Optimiser(job.settings, blocks, [plain(one) for one in self.trainable.decayed])
        everything = [plain(one) for one in (*self.trainable.trunk.variables, *self.trainable.last.variables)]
        self.variables = _changing(job, self.optimiser.variables, everything)
        self.trained = _count(self.optimiser.variables)
        # From scratch all learns; means and variances that normalisations keep are neither trained nor frozen.
        self.frozen = max(0, _count(everything) - self.trained) if job.train == "finetune" else 0

    @property
    def state(self) -> list[Any]:
        """tf.Variables that a checkpoint holds, in its order."""
        return [*self.variables, *self.optimiser.state]

    def align(self, strategy: Strategy) -> None:
        """Give all replicas what the first one keeps beside its weights: each saw other pictures.

        Args:
            strategy: that they belong to.
        """
        if strategy.replicas > 1:
            for variable in self.variables[len(self.optimiser.variables) :]:
                variable.assign(strategy.share(variable.numpy()))

    def arrays(self) -> Arrays:
        """Copy what a checkpoint holds.

        Returns:
            An array a variable of state.

        Raises:
            NumericalError: a weight is not a finite number.
        """
        arrays = [np.asarray(variable.numpy()) for variable in self.state]
        if not all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f"):
            raise NumericalError(
                "expected finite weights, got NaN or infinity; nothing of them was written; give a lower "
                "--learning_rate, or --find_learning_rate"
            )
        return arrays

    def misfit(self, arrays: Arrays) -> str:
        """Say why arrays are no state of this network.

        Args:
            arrays: of a checkpoint.

        Returns:
            What is wrong, or nothing.
        """
        wanted = [(tuple(one.shape), one.dtype.as_numpy_dtype) for one in self.state]
        if wanted == [(array.shape, array.dtype.type) for array in arrays]:
            return ""
        return f"expected {len(wanted)} arrays in the network's shapes, got {len(arrays)} that do not fit them"

    def restore(self, arrays: Arrays) -> None:
        """Put a state back.

        Args:
            arrays: as arrays() gave them.
        """
        for variable, array in zip(self.state, arrays, strict=True):
            variable.assign(array)


class Steps:
    """The graphs of a training.

    Args:
        job: smoothing of labels, scaling of pictures.
        network: what is trained.
        strategy: where it is calculated.
        dtype: of the pictures of a training batch.
    """

    def __init__(self, job: Job, network: Network, strategy: Strategy, dtype: Any) -> None:  # noqa: ANN401
        import tensorflow as tf

        self._job, self._network, self._strategy = job, network, strategy
        spec, classes = job.input_spec, len(job.labels)

        def of_batch(kind: Any) -> list[Any]:  # noqa: ANN401
            shape = (None, spec.height, spec.width, 3)
            return [tf.TensorSpec(shape, kind), tf.TensorSpec((None, classes)), tf.TensorSpec((None,))]

        numbers, stop = tf.TensorSpec((3,)), tf.TensorSpec(())
        self._train = strategy.compiled(self._training, [*of_batch(dtype), numbers, stop])
        self._validate = strategy.compiled(self._judging, of_batch(tf.uint8))

    def train(self, batch: Sequence[Any], numbers: Floats, stop: bool) -> tuple[float, float, float, bool]:
        """Take a step.

        Args:
            batch: pictures, targets and weights, see Batches.
            numbers: see Optimiser.numbers.
            stop: whether this process was asked to stop.

        Returns:
            The mean loss before the step, how many were right, of how many, and whether any process was asked to stop.
        """
        import tensorflow as tf

        totals = self._train(*batch, tf.constant(numbers), tf.constant(np.float32(stop))).numpy()
        return float(totals[0] / totals[1]), float(totals[2]), float(totals[3]), bool(totals[4])

    def validate(self, batch: Sequence[Any]) -> tuple[float, float, float]:
        """Look at a validation batch.

        Args:
            batch: pictures, targets and weights; those of weight 0 only fill it up.

        Returns:
            The sum of the losses, how many were right, of how many.
        """
        totals = self._validate(*batch).numpy()
        return float(totals[0]), float(totals[2]), float(totals[3])

    def _training(self, images: Any, targets: Any, weights: Any, numbers: Any, stop: Any) -> Any:  # noqa: ANN401
        import tensorflow as tf

        images, targets, weights = self._strategy.part((images, targets, weights))
        variables = self._network.optimiser.variables
        smoothing = self._job.settings.label_smoothing
        # Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, CVPR.
        aims = targets * (1 - smoothing) + smoothing / len(self._job.labels) if smoothing else targets
        rows = tf.cast(tf.shape(images)[0], tf.float32)
        # Alone the mean is differentiated; of several, the sum, as no one knows the others' rows yet.
        alone = self._strategy.replicas == 1
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            logits = self._logits(images, training=True)
            loss = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(aims, logits) * weights)
            measure = loss / rows if alone else loss
        gradients = tape.gradient(measure, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        totals = tf.stack([loss, rows, *_right(logits, targets, weights), stop])
        if not alone:
            *gradients, totals = self._strategy.total([*gradients, totals])
            gradients = [gradient / totals[1] for gradient in gradients]
        self._network.optimiser.apply(gradients, numbers)
        return totals

    def _judging(self, images: Any, targets: Any, weights: Any) -> Any:  # noqa: ANN401
        import tensorflow as tf

        images, targets, weights = self._strategy.part((images, targets, weights))
        logits = self._logits(images, training=False)
        loss = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(targets, logits) * weights)
        rows = tf.cast(tf.shape(images)[0], tf.float32)
        return self._strategy.total([tf.stack([loss, rows, *_right(logits, targets, weights)])])[0]

    def _logits(self, images: Any, *, training: bool) -> Any:  # noqa: ANN401
        import tensorflow as tf

        spec = self._job.input_spec
        scaled = (tf.cast(images, tf.float32) - spec.mean) * (1 / spec.std)
        # With mixed precision these are bfloat16, in which a loss would be too coarse.
        return tf.cast(self._network.trainable.forward(scaled, training=training), tf.float32)


def plain(variable: Any) -> Any:  # noqa: ANN401
    """Give the tf.Variable of a Keras variable.

    Args:
        variable: of either kind.
    """
    import keras

    return variable.value if isinstance(variable, keras.Variable) else variable


def _right(logits: Any, targets: Any, weights: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """How many of those that weigh anything have their class on top, and how many those are."""
    import tensorflow as tf

    real = tf.cast(weights > 0, tf.float32)
    same = tf.cast(tf.equal(tf.argmax(logits, 1), tf.argmax(targets, 1)), tf.float32)
    return tf.reduce_sum(same * real), tf.reduce_sum(real)


def _changing(job: Job, trained: Sequence[Any], everything: Sequence[Any]) -> list[Any]:
    """What a step can change: what is trained, random states, and from scratch what normalisations keep."""
    known = {id(variable) for variable in trained}
    others = [one for one in everything if id(one) not in known]
    return [*trained, *(one for one in others if job.train == "scratch" or not one.dtype.is_floating)]


def _count(variables: Sequence[Any]) -> int:
    return sum(int(np.prod(one.shape)) for one in variables if one.dtype.is_floating)
