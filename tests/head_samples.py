"""One head of every kind that there is, with random numbers: what tests of the formats export."""

from __future__ import annotations

import numpy as np

from retrain.head import Head
from retrain.head.layers import NOTHING, SIGMOID, Dense, Normalise, Relu, Softmax

# Photographs that the nearest-neighbour head remembers, and units of the hidden layer.
REMEMBERED, HIDDEN = 9, 7


def sample_heads(width: int, classes: int, seed: int = 0) -> dict[str, Head]:
    """Make heads.

    Args:
        width: length of a bottleneck vector.
        classes: how many labels.
        seed: of the numbers.

    Returns:
        Kind -> head.
    """
    generator = np.random.default_rng(seed)

    def layer(rows: int, columns: int, size: float = 2.0) -> np.ndarray:
        # So that a layer's results are as large as what it is given, however wide that is.
        return (generator.standard_normal((rows, columns)) * size / np.sqrt(rows)).astype(np.float32)

    def biases(count: int) -> np.ndarray:
        return generator.standard_normal(count).astype(np.float32)

    shares, nothing = np.abs(layer(REMEMBERED, classes)), np.zeros(classes, np.float32)
    shares /= shares.sum(axis=1, keepdims=True)
    remembered = Dense(layer(width, REMEMBERED, 3 * np.sqrt(width)), biases(REMEMBERED))
    hidden = Dense(layer(width, HIDDEN), biases(HIDDEN))
    last, mixed = layer(HIDDEN, classes), (Normalise(), hidden, Relu(), Softmax(), Normalise())
    return {
        "softmax": Head(layer(width, classes), biases(classes), 7),
        "sigmoid": Head(layer(width, classes), biases(classes), 7, after=SIGMOID),
        "cosine": Head(layer(width, classes, 4 * np.sqrt(width)), nothing, 7, (Normalise(),)),
        "knn": Head(shares, nothing, 7, (Normalise(), remembered, Softmax()), NOTHING),
        "mlp": Head(last, biases(classes), 7, (hidden, Relu())),
        "mixed": Head(last, biases(classes), 7, mixed, SIGMOID),
    }


KINDS = tuple(sample_heads(1, 1))


def sample_vectors(width: int, seed: int = 1) -> np.ndarray:
    """Make bottleneck vectors: float32 (6, width), of usual length, tiny, nothing but zeros, and large."""
    rows = np.random.default_rng(seed).standard_normal((6, width)).astype(np.float32)
    return rows * np.array([1, 0.1, 1e-6, 1e-9, 0, 30], np.float32)[:, np.newaxis]
