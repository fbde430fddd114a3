"""Who is like whom: the nearest neighbours of each vector, and a flat map that keeps them together.

The map is a plain form of UMAP (McInnes, Healy and Melville, "UMAP: Uniform Manifold Approximation and Projection",
2018, arXiv 1802.03426): photographs pull at their nearest neighbours and push away others drawn by chance, from where
the two principal components put them. It was chosen by looking, and by the share of the ten nearest on the map that
are of one's own class: principal components alone 0.76 (star clusters), 0.40 (flowers), 0.34 (trash), this map 0.84,
0.65, 0.54. Discriminant directions separate the 84 star clusters better still (0.99), because they are fitted to the
labels: with more dimensions than photographs they separate anything, and so would hide wrong labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrain.report.facts import Floats, Indices

NEIGHBOURS = 15
_STEPS = 150
_DIMENSIONS = 50
# Of UMAP's curve 1 / (1 + a d^2b) for points that may come as near as 0.1; and how far a point goes at most in a step.
_A, _B, _STRIDE = 1.58, 0.9, 4.0
# Vectors whose distances to all others are held at a time.
_BLOCK = 512

_Doubles = npt.NDArray[np.float64]


def principal(vectors: Floats, dimensions: int) -> _Doubles:
    """Turn vectors so that they spread along the first axes.

    Args:
        vectors: (N, D).
        dimensions: how many axes are kept, at most N and D.

    Returns:
        float64 (N, dimensions); each axis points to where its largest value is positive.
    """
    centred = np.asarray(vectors, np.float64) - vectors.mean(axis=0, dtype=np.float64)
    small = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    values, axes = np.linalg.eigh(small)
    values, axes = values[::-1][:dimensions], axes[:, ::-1][:, :dimensions]
    turned = axes * np.sqrt(np.maximum(values, 0)) if len(centred) < centred.shape[1] else centred @ axes
    largest = turned[np.abs(turned).argmax(axis=0), np.arange(turned.shape[1])]
    return np.asarray(turned * np.where(largest < 0, -1.0, 1.0))


def condensed(vectors: Floats) -> _Doubles:
    """Leave of vectors what neighbours are found by.

    Args:
        vectors: (N, D), N at least 2.

    Returns:
        float64 (N, at most 50): directions only, along the axes that matter.
    """
    long = np.linalg.norm(vectors, axis=1, keepdims=True)
    return principal(vectors / np.maximum(long, 1e-12), min(_DIMENSIONS, *vectors.shape))


def nearest(points: _Doubles, count: int) -> tuple[Indices, _Doubles]:
    """Find the nearest neighbours of each point.

    Args:
        points: (N, D).
        count: K, at most N - 1.

    Returns:
        intp (N, K) and float64 (N, K): which, and how far.
    """
    squares = np.square(points).sum(axis=1)
    found, far = np.empty((len(points), count), np.intp), np.empty((len(points), count))
    for start in range(0, len(points), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(points)))
        distances = squares[part, None] + squares - 2 * (points[part] @ points.T)
        distances[np.arange(len(distances)), np.arange(part.start, part.stop)] = np.inf
        found[part] = np.argpartition(distances, count - 1, axis=1)[:, :count]
        far[part] = np.sqrt(np.maximum(np.take_along_axis(distances, found[part], axis=1), 0))
    return found, far


def flat_map(points: _Doubles, found: Indices, far: _Doubles) -> _Doubles:
    """Lay points out on a plane, neighbours beside each other.

    Args:
        points: (N, D), of ``condensed``.
        found: intp (N, K), of ``nearest``.
        far: float64 (N, K), of ``nearest``.

    Returns:
        float64 (N, 2), 0 to 1 on each axis; the same for the same points.
    """
    closest = far.min(axis=1, keepdims=True)
    scale = (far - closest).mean(axis=1, keepdims=True) + 1e-12
    pull = np.exp((closest - far) / scale).ravel()
    one, other = np.repeat(np.arange(len(points)), found.shape[1]), found.ravel()
    edges = np.concatenate([one, other]), np.concatenate([other, one]), np.concatenate([pull, pull]) / 2
    draw = np.random.default_rng(0)
    places = np.ascontiguousarray((points[:, :2] if points.shape[1] > 1 else np.repeat(points, 2, axis=1)).T)
    places *= 10 / max(np.abs(places).max(), 1e-12)
    for step in range(_STEPS):
        strangers = draw.integers(0, len(points), (len(points), 5 * found.shape[1] // 2))
        force = _pulled(places, *edges) + _pushed(places, strangers)
        places += (1 - step / _STEPS) * np.clip(2 * force / found.shape[1], -_STRIDE, _STRIDE)
    low, high = places.min(axis=1), places.max(axis=1)
    return np.asarray((places.T - low) / np.maximum(high - low, 1e-12))


# Places are (2, N) here: sums over an axis of two numbers would take most of the time.
def _pulled(places: _Doubles, one: Indices, other: Indices, pull: _Doubles) -> _Doubles:
    apart = places[:, one] - places[:, other]
    squared = np.square(apart[0]) + np.square(apart[1]) + 1e-6
    powered = squared**_B
    strength = -2 * _A * _B * powered / squared / (1 + _A * powered) * pull
    moved = np.clip(strength * apart, -_STRIDE, _STRIDE)
    return np.stack([np.bincount(one, along, places.shape[1]) for along in moved])


def _pushed(places: _Doubles, strangers: Indices) -> _Doubles:
    apart = places[:, :, None] - places[:, strangers]
    squared = np.square(apart[0]) + np.square(apart[1]) + 1e-3
    strength = 2 * _B / ((1e-3 + squared) * (1 + _A * squared**_B))
    return np.asarray(np.clip(strength * apart, -_STRIDE, _STRIDE).sum(axis=2))
