"""What every head is, whatever it was trained by: layers on a raw bottleneck vector, the last of which gives scores.

Five operations are enough for all of them, so that each format of export has to know no more: Normalise, Dense, Relu,
Softmax before the last layer, and that one with a softmax, a sigmoid or nothing behind it. Scaling of the features is
folded into the first Dense, the temperature into the last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows, as_rows
from retrain.errors import NumericalError
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats, take_chunks

# What stands behind the last layer.
SOFTMAX, SIGMOID, NOTHING = "softmax", "sigmoid", "nothing"
# Added to the sum of squares before its root, so that a vector of zeros stays one. Every export has the same.
NORM_FLOOR = np.float32(1e-12)


@dataclass(frozen=True)
class Normalise:
    """Each vector divided by its Euclidean length: sqrt(sum of squares + NORM_FLOOR)."""

    def apply(self, x: Floats) -> Floats:
        """Normalise float32 (N, D); the same shape."""
        divided: Floats = x / np.sqrt(np.square(x).sum(axis=1, keepdims=True) + NORM_FLOOR)
        return divided


@dataclass(frozen=True)
class Dense:
    """A linear layer.

    Args:
        weights: float32 (D, E).
        biases: float32 (E,).
    """

    weights: Floats
    biases: Floats

    def apply(self, x: Floats) -> Floats:
        """Map float32 (N, D) to (N, E)."""
        return x @ self.weights + self.biases


@dataclass(frozen=True)
class Relu:
    """Negative values become 0."""

    def apply(self, x: Floats) -> Floats:
        """Rectify float32 (N, E); the same shape."""
        return np.maximum(x, np.float32(0))


@dataclass(frozen=True)
class Softmax:
    """Each row becomes shares that sum to 1: among training photographs, how much each has to say."""

    def apply(self, x: Floats) -> Floats:
        """Map float32 (N, E) to shares; the same shape."""
        return softmax(x)


Layer = Normalise | Dense | Relu | Softmax


@dataclass(frozen=True)
class Head:
    """A trained head on raw bottleneck vectors: scaling is folded in.

    Args:
        weights: float32 (E, C), of the last layer; E is D where there is no other.
        biases: float32 (C,).
        step: the training step it was taken after, counted from 0.
        before: layers before the last one, in their order.
        after: SOFTMAX; SIGMOID, a label by itself each; or NOTHING, where the last layer gives shares that sum to 1.
        temperature: that its logits have been divided by; it is inside the last layer. 1: as trained.
    """

    weights: Floats
    biases: Floats
    step: int
    before: tuple[Layer, ...] = ()
    after: str = SOFTMAX
    temperature: float = 1.0

    @property
    def is_linear(self) -> bool:
        """Whether it is one linear layer and a softmax, as the original's."""
        return not self.before and self.after == SOFTMAX

    def logits(self, features: Floats) -> Floats:
        """Give what stands before the last operation.

        Args:
            features: float32 (N, D), as the backbone gives them.

        Returns:
            float32 (N, C).
        """
        for layer in self.before:
            features = layer.apply(features)
        return features @ self.weights + self.biases

    def probabilities(self, features: Floats) -> Floats:
        """Classify.

        Args:
            features: float32 (N, D), as the backbone gives them.

        Returns:
            float32 (N, C); rows sum to 1 but after SIGMOID.
        """
        return activation(self.after, self.logits(features))

    def classify(self, rows: Rows | Floats, indices: Indices) -> Floats:
        """Classify photographs wherever their features lie.

        Args:
            rows: (N, D), as the backbone gives them.
            indices: intp (M,), which of them.

        Returns:
            float32 (M, C); the same bytes on any number of cores.

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

    def cooled(self, temperature: float) -> Head:
        """Divide the logits by a temperature, folded into the last layer.

        Args:
            temperature: above 0; 1 changes nothing. Guo et al., "On calibration of modern neural networks", 2017, ICML.

        Returns:
            The head with softer (above 1) or harder scores; which is the best does not change.

        Raises:
            ValueError: its scores have no logits (after is NOTHING), or the temperature is not above 0.
        """
        if not 0 < temperature < np.inf or (self.after == NOTHING and temperature != 1):
            raise ValueError(f"expected a temperature above 0 and a head with logits, got {temperature}, {self.after}")
        factor = np.float32(1 / temperature)
        told = float(self.temperature * temperature)
        return replace(self, weights=self.weights * factor, biases=self.biases * factor, temperature=told)


def activation(after: str, logits: Floats) -> Floats:
    """Turn logits into scores.

    Args:
        after: SOFTMAX, SIGMOID or NOTHING.
        logits: float32 (N, C).

    Returns:
        float32 (N, C), 0 to 1.
    """
    if after == SOFTMAX:
        return softmax(logits)
    if after == SIGMOID:
        # Both branches stay finite: no exponential of a large positive number.
        small = np.exp(-np.abs(logits))
        scores: Floats = np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
        return scores
    return logits


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
