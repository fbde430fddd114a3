"""Centring and scaling of features, found in one pass and applied where they lie: in memory once, else as drawn.

Rows are worked on a fixed number at a time, wherever they lie, so that a head comes out the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.bottlenecks import Rows, slices
from retrain.errors import NumericalError
from retrain.head.sampling import Indices

Floats = npt.NDArray[np.float32]

# Rows worked on at a time. Trap: sums and products depend on it in their last bits.
CHUNK_ROWS = 1024
# The variance added to each feature's own, as a multiple of the mean variance: a feature that never varied among the
# training photographs must not be blown up on those that come later. Where the penalty alone weighs features, those
# that hardly vary are noise, and the floor is high (0: 81.7 %, 1: 82.9 to 83.1, 3: 83.1 to 83.3; mean of five sets).
VARIANCE_FLOOR, HIGH_FLOOR = 1e-3, 3.0


@dataclass(frozen=True)
class Scaling:
    """What makes features of one size.

    Args:
        mean: float32 (D,), subtracted first.
        scale: float32 (D,), multiplied with then.
    """

    mean: Floats
    scale: Floats

    def apply(self, x: Floats) -> Floats:
        """Scale in place.

        Args:
            x: float32 (n, D), written to.

        Returns:
            The same array.
        """
        x -= self.mean
        x *= self.scale
        return x


class Moments:
    """Mean and spread of each feature, of rows that come some at a time.

    The parts are put together as by Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances", 1979, Stanford STAN-CS-79-773: no large squares are subtracted from each other.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        self._count = 0
        self._mean = np.zeros(width)
        self._squares = np.zeros(width)

    def add(self, rows: Floats) -> None:
        """Take rows in.

        Args:
            rows: float32 (n, D), n at least 1.
        """
        wide = rows.astype(np.float64)
        mean = wide.mean(axis=0)
        wide -= mean
        total = self._count + len(rows)
        shift = mean - self._mean
        self._mean += shift * (len(rows) / total)
        self._squares += np.square(wide, out=wide).sum(axis=0) + shift**2 * (self._count * len(rows) / total)
        self._count = total

    def scaling(self) -> Scaling:
        """Derive the scaling: half way between one scale for all features and a scale each.

        Each is divided by 2 sqrt(own spread times mean spread), which leaves a mean variance of about 1/4. Pareto
        scaling, van den Berg et al., "Centering, scaling, and transformations: improving the biological information
        content of metabolomics data", 2006, BMC Genomics 7:142. Divided by their own spread, features that hardly vary
        count as much as those that tell classes apart; divided by one for all, a few loud ones outvote the rest
        (docs/heads.md has both measured).

        Returns:
            float32 mean and scale.

        Raises:
            NumericalError: a row taken in holds NaN or infinity.
        """
        spread = self._spread(VARIANCE_FLOOR)
        mean_spread = spread.mean()
        # All photographs alike: any scale will do, and the biases still learn.
        scale = 0.5 / np.sqrt(spread * mean_spread) if mean_spread > 0 else np.ones_like(spread)
        return Scaling(self._mean.astype(np.float32), scale.astype(np.float32))

    def floored(self) -> Scaling:
        """Derive the scaling of a layer that is solved: a scale each, with a high floor under the spread.

        Returns:
            float32 mean and 1 / spread.

        Raises:
            NumericalError: a row taken in holds NaN or infinity.
        """
        spread = self._spread(HIGH_FLOOR)
        scale = 1 / spread if spread.any() else np.ones_like(spread)
        return Scaling(self._mean.astype(np.float32), scale.astype(np.float32))

    def _spread(self, floor: float) -> npt.NDArray[np.float64]:
        # Squares of float32 never leave float64, so that any number of finite rows has a finite mean.
        _require_finite(self._mean)
        variance = self._squares / self._count
        spread: npt.NDArray[np.float64] = np.sqrt(variance + floor * variance.mean())
        return spread


class ScaledRows:
    """Some of the rows, scaled: all at once in memory, or those that are asked for.

    Args:
        rows: (N, D).
        indices: intp (n,), which of them.
        scaling: as all are scaled.
        scaled: float32 (n, D), these rows when they have been scaled already.
    """

    def __init__(self, rows: Rows, indices: Indices, scaling: Scaling, scaled: Floats | None = None) -> None:
        self._rows, self._indices, self._scaling = rows, indices, scaling
        self._scaled = scaling.apply(rows.take(indices)) if scaled is None and rows.resident else scaled

    def take(self, places: Indices) -> Floats:
        """Give scaled rows.

        Args:
            places: intp (B,), 0 to n - 1.

        Returns:
            float32 (B, D), the caller's own.
        """
        if self._scaled is not None:
            return self._scaled.take(places, axis=0)
        return self._scaling.apply(self._rows.take(self._indices[places]))

    def chunks(self) -> Iterator[tuple[slice, Floats]]:
        """Give all scaled rows once, CHUNK_ROWS at a time.

        Yields:
            Which places, and float32 (up to CHUNK_ROWS, D). Of rows in memory they are the scaled copy itself: what is
            written to it is what comes the next time.
        """
        for part in slices(len(self._indices), CHUNK_ROWS):
            yield part, self.take(np.arange(part.start, part.stop)) if self._scaled is None else self._scaled[part]


def scale_training(
    rows: Rows, training: Indices, derive: Callable[[Moments], Scaling] = Moments.scaling
) -> tuple[Scaling, ScaledRows]:
    """Find the scaling of the training photographs, and scale them.

    Args:
        rows: (N, D), none written to.
        training: intp (n,), n at least 1; only these decide the scaling.
        derive: which scaling: Moments.scaling or Moments.floored.

    Returns:
        The scaling, and the training photographs by it.

    Raises:
        NumericalError: any of the N rows holds NaN or infinity.
    """
    moments = Moments(rows.shape[1])
    copy = np.empty((len(training), rows.shape[1]), np.float32) if rows.resident else None
    for part, chunk in take_chunks(rows, training):
        moments.add(chunk)
        if copy is not None:
            copy[part] = chunk
    others = np.ones(len(rows), np.bool_)
    others[training] = False
    for _, chunk in take_chunks(rows, np.flatnonzero(others)):
        _require_finite(chunk)
    scaling = derive(moments)
    return scaling, ScaledRows(rows, training, scaling, None if copy is None else scaling.apply(copy))


def take_chunks(rows: Rows, indices: Indices) -> Iterator[tuple[slice, Floats]]:
    """Read rows CHUNK_ROWS at a time.

    Args:
        rows: (N, D).
        indices: intp (n,).

    Yields:
        Which places of ``indices``, and their float32 (up to CHUNK_ROWS, D).
    """
    for part in slices(len(indices), CHUNK_ROWS):
        yield part, rows.take(indices[part])


def _require_finite(values: npt.NDArray[np.floating]) -> None:
    if not np.isfinite(values).all():
        raise NumericalError("a bottleneck vector holds a value that is not a finite number; nothing is trained on it")
