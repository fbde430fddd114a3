"""Scaled features along their principal axes, where a linear head with a penalty is quickly solved.

A penalty on squared weights does not change when the axes are turned, and along the principal axes the variances say
how far each weight can be moved at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retrain.bottlenecks import Rows
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats, Moments, ScaledRows, scale_training

# Axes that vary less than this, as a share of the first, are rounding errors of float32.
LEAST_VARIANCE = 1e-7


class PrincipalRows:
    """Training photographs, scaled and turned.

    Args:
        rows: (N, D).
        training: intp (n,), n at least 1.

    Raises:
        NumericalError: any of the N rows holds NaN or infinity.
    """

    def __init__(self, rows: Rows, training: Indices) -> None:
        self.count = len(training)
        self.scaling, self._scaled = scale_training(rows, training, Moments.floored)
        self.variances, self._axes = _principal(self._scaled, self.count, rows.shape[1])
        self._turned = rows.resident
        if self._turned:
            # In place: there is room for one copy of the rows, and no more.
            for _, chunk in self._scaled.chunks():
                chunk[:, : self.width] = chunk @ self._axes

    @property
    def width(self) -> int:
        """R, how many axes there are: at most D, and fewer than there are photographs."""
        return len(self.variances)

    def chunks(self) -> Iterator[tuple[slice, Floats]]:
        """Give all rows once, in order.

        Yields:
            Which, and float32 (up to CHUNK_ROWS, R), not to be written to; the same bytes wherever the rows lie.
        """
        for part, chunk in self._scaled.chunks():
            yield part, chunk[:, : self.width] if self._turned else chunk @ self._axes

    def layer(self, weights: Floats, biases: Floats) -> tuple[Floats, Floats]:
        """Turn a layer back, and fold the scaling in.

        Args:
            weights: float32 (R, C), along the axes.
            biases: float32 (C,).

        Returns:
            float32 (D, C) and (C,), on raw bottleneck vectors.
        """
        folded: Floats = (self._axes @ weights) * self.scaling.scale[:, np.newaxis]
        return folded, biases - self.scaling.mean @ folded


def _principal(scaled: ScaledRows, count: int, width: int) -> tuple[Floats, Floats]:
    """Variances (R,), falling, and axes (D, R) of centred rows; from the smaller of the two products."""
    if count < width:
        x = np.concatenate([chunk for _, chunk in scaled.chunks()])
        variances, vectors = _strongest(x @ x.T / np.float32(count))
        axes = (x.T @ vectors) / np.sqrt(variances * np.float32(count))
        return variances, axes
    product = np.zeros((width, width), np.float32)
    for _, chunk in scaled.chunks():
        product += chunk.T @ chunk
    return _strongest(product / np.float32(count))


def _strongest(product: Floats) -> tuple[Floats, Floats]:
    variances, vectors = np.linalg.eigh(product)
    # All photographs alike: no axis is left, and the biases still learn.
    kept = variances > LEAST_VARIANCE * max(float(variances[-1]), float(np.finfo(np.float32).tiny))
    return variances[kept][::-1].copy(), np.ascontiguousarray(vectors[:, kept][:, ::-1])
