"""How far features that were computed in another precision lie from float32's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrain.head import Head
from retrain.images import Floats


@dataclass(frozen=True)
class Drift:
    """How far feature vectors computed in another precision lie from float32's.

    Args:
        photographs: how many were compared.
        median: relative difference, the length of the difference over the length of float32's vector.
        largest: the same, of the worst photograph.
        agreeing: on how many the trained head gives the same first label.
    """

    photographs: int
    median: float
    largest: float
    agreeing: int

    def sentence(self, precision: str) -> str:
        """Say it in a line.

        Args:
            precision: what was compared with float32.

        Returns:
            Words for a person.
        """
        return (
            f"Features in {precision} differ from float32 by {100 * self.median:.2f} % (at most "
            f"{100 * self.largest:.2f} %); the same first label on {self.agreeing} of {self.photographs} photographs"
        )


def measure_drift(exact: Floats, drifted: Floats, head: Head) -> Drift:
    """Compare feature vectors of the same photographs.

    Args:
        exact: float32 (N, D), in float32; N at least 1.
        drifted: float32 (N, D), in another precision.
        head: the trained layer.

    Returns:
        How far they lie apart.
    """
    lengths = np.maximum(np.linalg.norm(exact, axis=1), np.finfo(np.float32).tiny)
    relative = np.linalg.norm(drifted - exact, axis=1) / lengths
    same = head.probabilities(exact).argmax(axis=1) == head.probabilities(drifted).argmax(axis=1)
    return Drift(len(exact), float(np.median(relative)), float(relative.max()), int(same.sum()))
