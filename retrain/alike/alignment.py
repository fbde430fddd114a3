"""Whether one photograph is a part of another: thumbnails laid upon each other, and their fine detail compared.

Two photographs of one sky, or of two globular clusters, are alike in everything coarse; what only the same photograph
shares is where each small thing lies. So each thumbnail loses its mean over 3 x 3 points, and the correlation of what
is left is taken over all ways to cut up to a tenth off each side of one of the two: whole points first, then halves and
quarters around the best. A mean over 5 x 5 left so much of a cluster's glow that unrelated ones correlated by 0.78.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from retrain.alike.fingerprints import THUMBNAIL
from retrain.images import Floats, Pixels

Indices = npt.NDArray[np.intp]

# Points of a thumbnail that may be cut off a side, and in all off two opposite ones: 9 % and 12 %.
_MOST, _MOST_TOGETHER = 3, 4
# Refining is tried only from here on: it added at most 0.3.
_HOPELESS = 0.3
_STEPS = (0.5, 0.25)
_AREA = THUMBNAIL * THUMBNAIL


def likenesses(thumbnails: Pixels, first: Indices, second: Indices, enough: float) -> Floats:
    """Compare the fine detail of pairs of thumbnails.

    Args:
        thumbnails: uint8 (N, 32, 32), grey.
        first: intp (P,), one of each pair ...
        second: intp (P,), ... and the other.
        enough: a likeness that need not be made more exact.

    Returns:
        float32 (P,): the best correlation of either with a cut of the other, -1 to 1; at or above `enough` it may be
        a little too low.
    """
    best = np.full(len(first), -1, np.float32)
    wholes, parts = np.concatenate([first, second]), np.concatenate([second, first])
    # The products are too small to share: on busy cores, two threads that wait for each other took 14 times as long.
    with threadpool_limits(1, user_api="blas"):
        # Each one's cuts are made once, whatever it is compared with: they are nine tenths of the work.
        for one, places in _by_value(wholes):
            pairs = places % len(first)
            found = _as_cuts(thumbnails[one], thumbnails[parts[places]], best[pairs] >= enough, enough)
            best[pairs] = np.maximum(best[pairs], found)
    return best


def _by_value(values: Indices) -> Iterator[tuple[int, Indices]]:
    order = np.argsort(values, kind="stable")
    if len(order):
        for run in np.split(order, np.flatnonzero(np.diff(values[order])) + 1):
            yield int(values[run[0]]), run


def _as_cuts(whole: Pixels, parts: Pixels, decided: npt.NDArray[np.bool_], enough: float) -> Floats:
    """Correlate cuts of one thumbnail (32, 32) with others (P, 32, 32); float32 (P,)."""
    picture, details = whole.astype(np.float32), _details(parts.astype(np.float32))
    scores = details @ _cuts(picture, _coarse(), _coarse()).T
    places = scores.argmax(axis=1)
    best: Floats = scores[np.arange(len(parts)), places]
    for number in np.flatnonzero((best >= _HOPELESS) & (best < enough) & ~decided):
        best[number] = _refined(picture, details[number], int(places[number]), float(best[number]))
    return best


def _refined(picture: Floats, detail: Floats, place: int, best: float) -> float:
    margins = _coarse().margins
    down, across = margins[place // len(margins)], margins[place % len(margins)]
    for step in _STEPS:
        rows, columns = _around(down, step), _around(across, step)
        scores = _cuts(picture, rows, columns) @ detail
        place = int(scores.argmax())
        down, across = rows.margins[place // len(columns.margins)], columns.margins[place % len(columns.margins)]
        best = max(best, float(scores[place]))
    return best


@dataclass(frozen=True)
class _Axis:
    """Ways to cut along one axis.

    Args:
        margins: W pairs: points cut off before and behind.
        plain: float32 (W, 32, 32): matrices that stretch what is left over 32 points.
        smooth: the same, and then the mean of 3 points.
    """

    margins: tuple[tuple[float, float], ...]
    plain: Floats
    smooth: Floats


@cache
def _coarse() -> _Axis:
    margins = range(_MOST + 1)
    return _axis(tuple((a, b) for a in margins for b in margins if a + b <= _MOST_TOGETHER))


@cache
def _around(margin: tuple[float, float], step: float) -> _Axis:
    before, behind = margin
    return _axis(tuple((before + a * step, behind + b * step) for a in (-1, 0, 1) for b in (-1, 0, 1)))


def _axis(margins: tuple[tuple[float, float], ...]) -> _Axis:
    plain = np.stack([_stretching(before, behind) for before, behind in margins])
    return _Axis(margins, plain, _smoothing() @ plain)


def _stretching(before: float, behind: float) -> Floats:
    """Matrix that reads 32 points from between two margins, each mixed of its two neighbours."""
    matrix = np.zeros((THUMBNAIL, THUMBNAIL), np.float32)
    rows = np.arange(THUMBNAIL)
    places = before + (rows + 0.5) * (THUMBNAIL - before - behind) / THUMBNAIL - 0.5
    lower = np.floor(places).astype(np.intp)
    share = (places - lower).astype(np.float32)
    np.add.at(matrix, (rows, lower.clip(0, THUMBNAIL - 1)), 1 - share)
    np.add.at(matrix, (rows, (lower + 1).clip(0, THUMBNAIL - 1)), share)
    return matrix


@cache
def _smoothing() -> Floats:
    rows = np.arange(THUMBNAIL)
    matrix = np.zeros((THUMBNAIL, THUMBNAIL), np.float32)
    for offset in (-1, 0, 1):
        np.add.at(matrix, (rows, (rows + offset).clip(0, THUMBNAIL - 1)), np.float32(1 / 3))
    return matrix


def _cuts(picture: Floats, rows: _Axis, columns: _Axis) -> Floats:
    """Fine detail of all cuts of a thumbnail: float32 (rows * columns, 1024), of length 1."""
    fine: Floats = _stretched(picture, rows.plain, columns.plain)
    fine -= _stretched(picture, rows.smooth, columns.smooth)
    return _unit(fine.transpose(0, 2, 1, 3).reshape(-1, _AREA))


def _stretched(picture: Floats, rows: Floats, columns: Floats) -> Floats:
    # Two plain products of matrices, as many of them as there are ways: (R * 32, 32) and (32, C * 32).
    down: Floats = rows.reshape(-1, THUMBNAIL) @ picture
    both: Floats = down @ columns.reshape(-1, THUMBNAIL).T
    return both.reshape(len(rows), THUMBNAIL, len(columns), THUMBNAIL)


def _details(pictures: Floats) -> Floats:
    smooth = _smoothing()
    fine = pictures.copy()
    fine -= smooth @ pictures @ smooth.T
    return _unit(fine.reshape(-1, _AREA))


def _unit(rows: Floats) -> Floats:
    # Trap: a picture of one colour has no detail; its rows stay zero, and are like nothing.
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.maximum(lengths, 1.0)[:, np.newaxis]
    return rows
