"""A network as a Keras model, of layers that Keras brings along: no Lambda, no class of ours."""

from __future__ import annotations

from typing import Any

from retrain.networks.blocks import (
    NAMES,
    Activation,
    Block,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Inception,
    Normalise,
    Pool,
)
from retrain.networks.measuring import convolutions_of, measure
from retrain.networks.network import LUMA, Network

# Turns the picture grey; never trained.
GREY_LAYER = "grey"


def build(network: Network) -> Any:  # noqa: ANN401 - a keras.Model; Keras has no types
    """Build a network with weights that Keras draws at random (Glorot and Bengio, 2010), biases 0.

    Args:
        network: any.

    Returns:
        A keras.Model: float32 (N, size, size, 3), RGB, -1 to 1 -> float32 (N, D), the vector
            in front of the last layer.

    Raises:
        UsageError: all that is wrong with the network.
    """
    import keras

    measure(network)
    images = keras.Input((network.size, network.size, 3), name="images")
    values, grey = images, None
    if network.channels == 1:
        grey = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer="zeros", name=GREY_LAYER, trainable=False)
        values = grey(images)
    counts: dict[type[Block], int] = {}
    for block in network.blocks:
        counts[type(block)] = counts.get(type(block), 0) + 1
        # Trap: with "_" before the number these would be names as Keras gives by itself, see backbones/layers.py.
        values = _added(block, f"{NAMES[type(block)]}{counts[type(block)]}", values)
    model = keras.Model(images, values, name="network")
    if grey is not None:
        grey.set_weights([_luma()])
    return model


def _luma() -> Any:  # noqa: ANN401
    import numpy as np

    return np.array(LUMA, np.float32).reshape(1, 1, 3, 1)


def _added(block: Block, name: str, values: Any) -> Any:  # noqa: ANN401
    """Put the layers of a block behind values."""
    from keras import layers

    match block:
        case Convolution():
            return _convolved(block, name, values)
        case Inception():
            return _inception(block, name, values)
        case Pool():
            pool = layers.MaxPooling2D if block.kind == "max" else layers.AveragePooling2D
            return pool(block.size, block.stride or block.size, block.padding, name=name)(values)
        case GlobalPool():
            pool = layers.GlobalMaxPooling2D if block.kind == "max" else layers.GlobalAveragePooling2D
            return pool(name=name)(values)
        case Normalise():
            return layers.BatchNormalization(momentum=block.momentum, epsilon=block.epsilon, name=name)(values)
        case Activation():
            return layers.Activation(block.kind, name=name)(values)
        case Flatten():
            return layers.Flatten(name=name)(values)
        case Dense():
            return layers.Dense(block.units, block.activation, block.bias, name=name)(values)
        case Dropout():
            return layers.Dropout(block.share, name=name)(values)
    raise AssertionError(f"a block that nothing builds: {block}")


def _convolved(block: Convolution, name: str, values: Any) -> Any:  # noqa: ANN401
    from keras import layers

    made = layers.Conv2D(
        block.filters, block.kernel, block.stride, block.padding,
        activation=block.activation, use_bias=block.bias, name=name,
    )  # fmt: skip
    return made(values)


def _inception(block: Inception, name: str, values: Any) -> Any:  # noqa: ANN401
    from keras import layers

    pooled = layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool")(values)
    ends = []
    for road, start in zip(convolutions_of(block), (values, values, values, pooled), strict=True):
        end, last = start, road[-1]
        what = "pooled" if start is pooled else f"{last.kernel}x{last.kernel}"
        for convolution in road:
            step = what if convolution is last else f"{what}_reduced"
            end = _convolved(convolution, f"{name}_{step}", end)
        ends.append(end)
    return layers.Concatenate(name=f"{name}_joined")(ends)
