"""What no head is made of, and what none is handed on with: nothing, and numbers that are none."""

from __future__ import annotations

import numpy as np

from retrain.bottlenecks import Rows
from retrain.errors import NumericalError, UsageError
from retrain.head.layers import Dense, Head
from retrain.head.sampling import Indices
from retrain.head.scaling import take_chunks


def require_training(training: Indices) -> None:
    """Refuse to train on nothing.

    Args:
        training: intp (n,).

    Raises:
        UsageError: n is 0.
    """
    if not len(training):
        raise UsageError("no photograph is left to train on; add different ones, or lower --testing_percentage")


def require_finite_rows(rows: Rows) -> None:
    """Look through all rows, those that are not trained on as well: each will be classified.

    Args:
        rows: (N, D).

    Raises:
        NumericalError: one holds NaN or infinity.
    """
    for _, chunk in take_chunks(rows, np.arange(len(rows))):
        if not np.isfinite(chunk).all():
            raise NumericalError(
                "a bottleneck vector holds a value that is not a finite number; nothing is trained on it"
            )


def finite_head(head: Head, advice: str) -> Head:
    """Let a head pass if all its numbers are numbers.

    Args:
        head: just trained.
        advice: what to do if they are not, without a full stop.

    Returns:
        The same head.

    Raises:
        NumericalError: a weight or bias is NaN or infinite.
    """
    parts = [head.weights, head.biases]
    for layer in head.before:
        parts += [layer.weights, layer.biases] if isinstance(layer, Dense) else []
    if not all(np.isfinite(part).all() for part in parts):
        raise NumericalError(f"the layer after step {head.step} is not finite. {advice}. Nothing was exported.")
    return head
