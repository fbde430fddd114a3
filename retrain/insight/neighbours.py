"""The photographs that are most alike to a photograph: cosine of bottleneck vectors, by exact search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

# Rows whose similarities to the whole pool lie in memory at once: 8 MB for 4,096 rows of a pool.
_CHUNK = 512
# A vector of zeros has no direction; it stays one and is alike to nothing.
_FLOOR = np.float32(1e-12)
# The cosine of a photograph to itself, a copy or one of its group, which must not speak for it.
_OWN = np.float32(-2)


class Takes(Protocol):
    """A float32 matrix (N, D) that is read row by row, such as retrain.bottlenecks.Rows."""

    def __len__(self) -> int: ...

    def take(self, indices: Indices) -> Floats:
        """Read rows: float32 (n, D) for intp (n,)."""


@dataclass(frozen=True)
class Nearest:
    """The nearest rows of a pool, nearest first.

    Args:
        rows: intp (N, k), rows of the pool; -1 where the pool had no more.
        cosines: float32 (N, k), -1 to 1; -2 where the pool had no more.
    """

    rows: Indices
    cosines: Floats

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Whether there was one: bool (N, k)."""
        return self.rows >= 0


def unit_rows(vectors: npt.NDArray[np.floating | np.integer]) -> Floats:
    """Divide each row by its Euclidean length.

    Args:
        vectors: numbers (N, D).

    Returns:
        float32 (N, D); a row of zeros stays one.
    """
    floats = vectors.astype(np.float32)
    floats /= np.sqrt(np.square(floats).sum(axis=1, keepdims=True) + _FLOOR)
    return floats


def find_nearest(
    rows: Takes, groups: Indices, pool: Floats, pool_groups: Indices, k: int, chosen: Indices | None = None
) -> Nearest:
    """Find, for each photograph, the rows of a pool that are most alike and not of its own group.

    Args:
        rows: vectors of the photographs, (N, D), of any length.
        groups: intp (N,), the same number for those that must not be told apart: a photograph itself, copies, bursts.
        pool: float32 (M, D), of length 1.
        pool_groups: intp (M,).
        k: how many, 1 or more.
        chosen: intp (n,), the photographs that are asked for; None: all of them.

    Returns:
        n rows; the same bytes on any number of cores. Of equals, the earlier row of the pool.
    """
    from threadpoolctl import threadpool_limits  # here, since label_image asks for one photograph and needs no limit

    wanted = np.arange(len(groups)) if chosen is None else chosen
    found = Nearest(np.full((len(wanted), k), -1, np.intp), np.full((len(wanted), k), _OWN, np.float32))
    width = min(k, len(pool))
    with threadpool_limits(1, user_api="blas"):
        for part in _parts(len(wanted)):
            indices = wanted[part]
            cosines = unit_rows(rows.take(indices)) @ pool.T
            cosines[groups[indices][:, None] == pool_groups[None, :]] = _OWN
            best, values = best_columns(cosines, width)
            found.rows[part, :width] = np.where(values > _OWN, best, -1)
            found.cosines[part, :width] = values
    return found


def best_columns(values: Floats, k: int) -> tuple[Indices, Floats]:
    """Find the largest values of each row.

    Args:
        values: float32 (N, M).
        k: how many, at most M.

    Returns:
        intp (N, k), their columns, largest first, of equals the first; and float32 (N, k), the values.
    """
    if k < values.shape[1]:
        columns = np.sort(np.argpartition(values, -k, axis=1)[:, -k:], axis=1)
    else:
        columns = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    taken = np.take_along_axis(values, columns, axis=1)
    order = np.argsort(-taken, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(taken, order, axis=1)


def mean_cosine(nearest: Nearest, k: int) -> npt.NDArray[np.float64]:
    """Say how alike each photograph is to the nearest ones.

    Args:
        nearest: with at least k columns.
        k: how many count.

    Returns:
        float64 (N,): the mean over those that were found; -1, the least there is, where none was.
    """
    found = nearest.found[:, :k]
    counts = found.sum(axis=1)
    sums = np.where(found, nearest.cosines[:, :k].astype(np.float64), 0).sum(axis=1)
    means: npt.NDArray[np.float64] = np.where(counts > 0, sums / np.maximum(counts, 1), -1.0)
    return means


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _CHUNK):
        yield slice(start, min(start + _CHUNK, count))
