"""Calculate networks in both orders and tell how far they lie apart; run by test_reordered.py in a child process.

python tests/cli/reordered_parts.py CASE...
"""

from __future__ import annotations

import json
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from retrain.networks import Activation, Convolution, Dense, Flatten, GlobalPool, Network, Normalise, Pool, find_network
from retrain.networks.building import build
from retrain.trainer import reordered

NETWORKS = {
    **{name: find_network(name) for name in ("cnn3_40", "cnn6_24_grey", "inception_cnn_33", "mnist_cnn_29_grey")},
    "overlapping": Network(
        "overlapping",
        (
            Convolution(4, 5, 2, "valid", "tanh"), Pool(3, 2, padding="same"), Convolution(4, 3, bias=False),
            Pool(2), Convolution(4, activation="sigmoid"), Pool(2, kind="average"), Flatten(), Dense(3),
        ),
        size=40,
    ),
    "normalised": Network(
        "normalised",
        (
            Convolution(4, activation="linear", bias=False), Normalise(), Activation(), Pool(),
            Convolution(4, activation="relu6"), Pool(), GlobalPool(),
        ),
        size=24,
    ),
}  # fmt: skip


def compare(name: str, policy: str, training: bool) -> dict[str, Any]:
    """Build a network with biases that are not 0, and calculate it in both orders."""
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    network = build(NETWORKS[name])
    generator = np.random.default_rng(2)
    network.set_weights([one + generator.normal(0, 0.1, one.shape).astype(one.dtype) for one in network.get_weights()])
    images = tf.constant(generator.uniform(-1, 1, (6, *network.input_shape[1:])).astype(np.float32))
    faster = reordered.in_faster_order(network)
    means = [variable.numpy() for variable in network.non_trainable_variables]
    rows = []
    for forward in (lambda pictures: network(pictures, training=training), lambda pictures: faster(pictures, training)):
        for variable, value in zip(network.non_trainable_variables, means, strict=True):
            variable.assign(value)
        result, gradients = _differentiated(network, forward, images)
        kept = [variable.numpy() for variable in network.non_trainable_variables if variable.dtype == "float32"]
        rows.append((result, gradients, kept))
    first, second = rows
    return {
        "moved": len(reordered._poolings(network)),
        "same": bool(np.array_equal(first[0], second[0])),
        "apart": _apart([first[0]], [second[0]]),
        "gradients": _apart(first[1], second[1]),
        "kept": _apart(first[2], second[2]),
        "gradients_above_0": all(bool(np.abs(one).max() > 0) for one in first[1]),
    }


def _differentiated(network: Any, forward: Any, images: Any) -> tuple[Any, list[Any]]:
    @tf.function(autograph=False)
    def step(pictures: Any) -> Any:
        with tf.GradientTape() as tape:
            result = tf.cast(forward(pictures), tf.float32)
            loss = tf.reduce_sum(tf.square(result - 0.3))
        return result, tape.gradient(loss, [one.value for one in network.trainable_variables])

    result, gradients = step(images)
    return result.numpy(), [one.numpy() for one in gradients]


def _apart(first: list[Any], second: list[Any]) -> float:
    """The largest difference of any pair of arrays, as a share of the first one's largest value."""
    shares = [np.abs(a - b).max() / max(np.abs(a).max(), 1e-9) for a, b in zip(first, second, strict=True)]
    return float(max(shares, default=0.0))


if __name__ == "__main__":
    for case in sys.argv[1:]:
        name, policy, training = case.split(":")
        print("ROW " + json.dumps([case, compare(name, policy, training == "training")]), flush=True)
