"""What is trained: a backbone or network, a new last layer behind it, and which of their weights may change."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrain import fsio
from retrain.backbones import BackboneSpec, find_backbone, with_channels
from retrain.backbones.convert import build, build_untrained, scaling_of
from retrain.backbones.layers import LayerFacts, layers_of, line_of
from retrain.backbones.slim import write_npz
from retrain.config.networks import SCRATCH
from retrain.errors import NumericalError, WeightsError
from retrain.trainer.job import HEAD_FILE, NETWORK_FILE, Job
from retrain.trainer.reordered import Forward, in_faster_order

MIXED, FULL = "mixed_bfloat16", "float32"
# What the last layer is called in Keras; it reaches no file.
LAST = "last"


@dataclass(frozen=True, eq=False)
class Trainable:
    """A network in training. Weights are float32, also where products are bfloat16.

    Args:
        trunk: keras.Model: float32 (N, H, W, 3), RGB, -1 to 1 -> (N, D), the bottleneck; what its training wanted
            beyond that is inside.
        last: keras Dense: float32 (N, D) -> float32 (N, C), logits.
        blocks: variables that are trained, from the picture up, those of one block together; the last are the head's.
            From scratch nothing learns more slowly than the rest, and all are one.
        decayed: those of them that weight decay shrinks: kernels, not biases nor normalisations.
        frozen_layers: how many layers of the backbone stay as they are.
        calculate: what gives the trunk's vectors in training, and whether for training: the trunk, or the same faster.
    """

    trunk: Any
    last: Any
    blocks: tuple[tuple[Any, ...], ...]
    decayed: tuple[Any, ...]
    frozen_layers: int
    calculate: Forward

    def forward(self, images: Any, training: bool) -> Any:  # noqa: ANN401 - tensors; as Keras has it
        """Calculate logits; in a graph or outside.

        Args:
            images: float32 tensor (N, H, W, 3), RGB, -1 to 1.
            training: whether values are dropped out, and batch normalisations take the batch's own statistics. In
                fine-tuning these never do, and layers that are frozen drop nothing.

        Returns:
            float32 tensor (N, C).
        """
        import tensorflow as tf

        return self.last(tf.cast(self.calculate(images, training), tf.float32))

    def save(self, folder: Path) -> None:
        """Write the trunk's weights as --weights takes them, and the last layer's.

        Args:
            folder: of the job.

        Raises:
            NumericalError: a weight is not a finite number; nothing is written.
        """
        arrays, (weights, biases) = self.trunk.get_weights(), self.last.get_weights()
        if not all(np.isfinite(array).all() for array in (*arrays, weights, biases)):
            raise NumericalError("a weight of the trained network is not a finite number; lower --learning_rate")
        file = io.BytesIO()
        np.savez(file, weights=weights.astype(np.float32), biases=biases.astype(np.float32))
        write_npz(folder / NETWORK_FILE, arrays)
        fsio.write_bytes(folder / HEAD_FILE, file.getvalue())


def trainable_of(job: Job) -> Trainable:
    """Build what a job trains; the same job gives the same weights in every process.

    Args:
        job: what to train. From scratch weights are drawn by its seed (Glorot and Bengio, 2010), else they are those
            of ``job.weights``; the last layer's are those of ``job.head`` where it names a file, else drawn, too.

    Returns:
        The network; variables are made in the strategy's scope that this is called in.

    Raises:
        UsageError: a layer that is named is not there.
        WeightsError: the weights or the head do not fit.
    """
    import keras

    spec = with_channels(find_backbone(job.architecture, job.definition), job.channels)
    keras.utils.set_random_seed(job.settings.seed)
    with _precision(MIXED if job.settings.mixed_precision else FULL):
        network = build_untrained(spec) if job.train == SCRATCH else build(spec, Path(job.weights))
        trunk = _as_trained(network, spec)
    last = _last(spec, job)
    if job.train == SCRATCH:
        blocks, line = [network.trainable_variables], 0
    else:
        layers = layers_of(network)
        line = line_of(layers, job.settings.freeze_layers, job.settings.unfreeze_from)
        _freeze(network, line)
        blocks = [*_blocks(network, layers, line), []]
    blocks[-1] += last.trainable_variables
    decayed = tuple(one for block in blocks for one in block if len(one.shape) > 1)
    calculate = in_faster_order(network) if job.train == SCRATCH else _called(trunk)
    return Trainable(trunk, last, tuple(map(tuple, blocks)), decayed, line, calculate)


def _called(trunk: Any) -> Forward:  # noqa: ANN401
    return lambda images, training: trunk(images, training=training)


@contextmanager
def _precision(policy: str) -> Iterator[None]:
    """Have layers built with a dtype policy: Keras Applications have no argument for it."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _as_trained(network: Any, spec: BackboneSpec) -> Any:  # noqa: ANN401
    """Put what turns RGB in -1 to 1 into the network's own input in front of it; it has no weights."""
    if spec.preprocessing == "tf":
        return network
    import keras

    matrix, offset = scaling_of(spec.preprocessing)
    images = keras.Input((spec.input_spec.height, spec.input_spec.width, 3), dtype=FULL)
    return keras.Model(images, network(keras.ops.conv(images, matrix[None, None]) + offset))


def _last(spec: BackboneSpec, job: Job) -> Any:  # noqa: ANN401
    import keras

    last = keras.layers.Dense(len(job.labels), name=LAST, dtype=FULL)
    last.build((None, spec.feature_width))
    if job.head:
        last.set_weights(_read_head(job, spec.feature_width))
    return last


def _read_head(job: Job, width: int) -> list[Any]:
    try:
        with Path(job.head).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            weights, biases = arrays["weights"], arrays["biases"]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"cannot read the layer to start from, {job.head}: {error}; run the command again"
        ) from error
    classes = len(job.labels)
    if weights.shape != (width, classes) or biases.shape != (classes,):
        raise WeightsError(
            f"expected a layer of ({width}, {classes}) to start from in {job.head}, got {weights.shape}; run the "
            "command again"
        )
    return [weights, biases]


def _freeze(network: Any, line: int) -> None:  # noqa: ANN401
    """Keep the first layers as they are, and the statistics of every batch normalisation."""
    import keras

    for layer in network.layers[:line]:
        layer.trainable = False
        for one in _parts(layer):
            _never_in_training(one)
    for layer in network.layers[line:]:
        for one in _parts(layer):
            if isinstance(one, keras.layers.BatchNormalization):
                _never_in_training(one)


def _parts(layer: Any) -> list[Any]:  # noqa: ANN401
    inner = getattr(layer, "layers", None)
    return [part for one in inner for part in _parts(one)] if inner else [layer]


def _never_in_training(layer: Any) -> None:  # noqa: ANN401
    """Call a layer as if nothing were trained, whatever its caller says.

    Trap: ``trainable = False`` alone would do so for batch normalisations, but then their factors would not learn; and
    for dropout it does nothing.
    """
    call: Callable[..., Any] = layer.call
    if "training" not in inspect.signature(call).parameters:
        return

    def inferring(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        return call(*arguments, **{**named, "training": False})

    layer.call = inferring


def _blocks(network: Any, layers: Sequence[LayerFacts], line: int) -> list[list[Any]]:  # noqa: ANN401
    """Collect the variables that are trained, a list a block that has any."""
    found: dict[int, list[Any]] = {}
    for layer, facts in zip(network.layers[line:], layers[line:], strict=True):
        found.setdefault(facts.block, []).extend(layer.trainable_variables)
    return [variables for _, variables in sorted(found.items()) if variables]
