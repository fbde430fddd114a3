"""What all runtimes are, and the softmax for models that have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from retrain.images import Floats

# Writes a picture into float32 (1, H, W, 3); must not keep the array.
Fill = Callable[[Floats], object]


class Runtime(Protocol):
    """A model that is open; may be used from several threads at once."""

    def scores(self, fill: Fill) -> Floats:
        """Score one picture.

        Args:
            fill: writes it, scaled as the model wants it.

        Returns:
            float32 (C,); the caller's own.
        """

    def close(self) -> None:
        """Let go of what the model holds; it may not be used any more."""


@runtime_checkable
class GivesVectors(Protocol):
    """A runtime that gives the bottleneck vector as well, in the same pass."""

    def scores_and_vector(self, fill: Fill) -> tuple[Floats, Floats | None]:
        """Score one picture, and say what the backbone makes of it.

        Args:
            fill: writes it, scaled as the model wants it.

        Returns:
            float32 (C,), scores, and float32 (D,), None where this model does not give it; the caller's own.
        """


class Softmaxed:
    """A model whose answer is not probabilities, made one whose answer is.

    Args:
        runtime: gives any numbers.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def scores(self, fill: Fill) -> Floats:
        """Score one picture, see Runtime."""
        logits = self._runtime.scores(fill).astype(np.float64)
        powers = np.exp(logits - logits.max())
        probabilities: Floats = (powers / powers.sum()).astype(np.float32)
        return probabilities

    def close(self) -> None:
        """Let go of the model."""
        self._runtime.close()
