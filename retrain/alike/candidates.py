"""Which photographs are worth a closer look: all are compared, by hash and vector, as products of matrices.

100,000 photographs are 5,000,000,000 pairs. As matrices of signs and of directions they are two products, done in
blocks: 20,000 photographs with vectors of 512 took 2.6 s on two cores, and four times as many take sixteen times as
long. Thresholds: see pairs.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.alike.alignment import Indices
from retrain.alike.fingerprints import HASH_BITS
from retrain.bottlenecks import Rows, slices
from retrain.images import Floats

Bits = npt.NDArray[np.bool_]

# A pair is looked at when its hashes differ by at most so many bits and its cosine is at least so much.
_GATES = ((8, 0.7), (22, 0.87), (HASH_BITS, 0.93))
_LOWEST_COSINE = min(least for _, least in _GATES)
# Without vectors the hash alone says which pairs are looked at.
_HASH_ALONE = 18
# Of each photograph so many of the likest by hash, and by cosine, are looked at: among dark skies a tenth of all pairs
# passes the gates. One order for both would lose cut copies of skies, whose hashes are unlike.
_NEAREST = 6
# Rows and columns that are multiplied at a time: 16 MB a product.
_BLOCK = 2048


def have_neighbours(rows: Rows, which: Indices, least: float) -> Bits:
    """Tell vectors that have another one near them; two blocks of them and one product are in memory at a time.

    Args:
        rows: (N, width), of any length.
        which: intp (M,), those that are compared.
        least: cosine from which on two are near.

    Returns:
        bool (M,).
    """
    found = np.zeros(len(which), np.bool_)
    for down in slices(len(which), _BLOCK):
        one = directions(rows, which[down])
        for across in slices(len(which), _BLOCK):
            # Among skies, whose vectors are all alike, most blocks are known before they are multiplied.
            if across.start < down.start or (found[down].all() and found[across].all()):
                continue
            cosine = one @ (one if across == down else directions(rows, which[across])).T
            if across == down:
                np.fill_diagonal(cosine, -1)
            found[down] |= cosine.max(axis=1, initial=-1) >= least
            found[across] |= cosine.max(axis=0, initial=-1) >= least
    return found


def directions(rows: Rows, which: Indices) -> Floats:
    """Take vectors at length 1.

    Args:
        rows: (N, width).
        which: intp (n,).

    Returns:
        float32 (n, width); zeros where a vector has no length.
    """
    vectors = rows.take(which)
    # Trap: np.linalg.norm would make a second table of that size.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    vectors /= np.maximum(lengths, np.float32(1e-12))[:, np.newaxis]
    return vectors


def find_candidates(bits: Bits, others: Bits, vectors: Floats | None) -> tuple[Indices, Indices]:
    """List pairs that may be one photograph, of each photograph the likest few.

    Args:
        bits: bool (N, HASH_BITS), hashes.
        others: bool (N, HASH_BITS), what they are compared with: the same, or those of the mirror images.
        vectors: float32 (N, width), of length 1; None: by the hash alone.

    Returns:
        intp (P,) and intp (P,): the earlier photographs and the later ones.
    """
    signs = _signs(bits)
    other_signs = signs if others is bits else _signs(others)
    found = []
    for down in slices(len(bits), _BLOCK):
        kept = _NOTHING
        for across in slices(len(bits), _BLOCK):
            if across.stop > down.start:
                kept = _likest(kept, _alike(signs, other_signs, vectors, down, across))
        found.append(kept)
    every = [_NOTHING, *found]
    return np.concatenate([one.first for one in every]), np.concatenate([one.second for one in every])


def _signs(bits: Bits) -> Floats:
    return np.where(bits, np.float32(1), np.float32(-1))


@dataclass(frozen=True)
class _Scored:
    """Pairs, and how likely each is one photograph: by the hash, and by the cosine."""

    first: Indices
    second: Indices
    agree: Floats
    cosine: Floats

    def take(self, which: npt.NDArray[Any]) -> _Scored:
        """Some of them."""
        return _Scored(self.first[which], self.second[which], self.agree[which], self.cosine[which])


_NOTHING = _Scored(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32), np.empty(0, np.float32))


def _alike(signs: Floats, others: Floats, vectors: Floats | None, down: slice, across: slice) -> _Scored:
    """Pairs of one block that pass the gates, the later photograph second."""
    agree: Floats = signs[down] @ others[across].T  # bits that agree less bits that differ
    cosine: Floats = agree if vectors is None else vectors[down] @ vectors[across].T
    if vectors is None:
        passed = agree >= HASH_BITS - 2 * _HASH_ALONE
    else:
        passed = cosine >= _LOWEST_COSINE
        # Where few pass the lowest cosine, as usual, the other questions are asked of them alone.
        if not _is_crowded(passed):
            rows, columns = np.nonzero(passed)
            passed[rows, columns] = _passes(agree[rows, columns], cosine[rows, columns])
        else:
            passed = _passes(agree, cosine)
    if across.start <= down.start:
        passed &= np.arange(across.start, across.stop) > np.arange(down.start, down.stop)[:, np.newaxis]
    if _is_crowded(passed):
        # Sorting all of them would take minutes a block; bits that tie are told apart by the cosine.
        by_hash: Floats = agree + cosine / np.float32(1 + HASH_BITS)
        passed = _highest(cosine, passed) | _highest(by_hash, passed)
    rows, columns = np.nonzero(passed)
    return _Scored(rows + down.start, columns + across.start, agree[rows, columns], cosine[rows, columns])


def _passes(agree: Floats, cosine: Floats) -> Bits:
    passed = np.zeros(agree.shape, np.bool_)
    for bits, least in _GATES:
        passed |= (agree >= HASH_BITS - 2 * bits) & (cosine >= least)
    return passed


def _is_crowded(passed: Bits) -> bool:
    return int(np.count_nonzero(passed)) > 4 * _NEAREST * len(passed)


def _highest(score: Floats, passed: Bits) -> Bits:
    """Tell the likest few of each row of a block."""
    if score.shape[1] <= _NEAREST:
        return passed
    masked = np.where(passed, score, np.float32(-np.inf))
    least = np.partition(masked, -_NEAREST, axis=1)[:, -_NEAREST, np.newaxis]
    answer: Bits = passed & (masked >= least)
    return answer


def _likest(kept: _Scored, more: _Scored) -> _Scored:
    every = _Scored(
        np.concatenate([kept.first, more.first]),
        np.concatenate([kept.second, more.second]),
        np.concatenate([kept.agree, more.agree]),
        np.concatenate([kept.cosine, more.cosine]),
    )
    return every.take(_among_first(every, every.agree) | _among_first(every, every.cosine))


def _among_first(pairs: _Scored, score: Floats) -> Bits:
    """Tell the pairs that are among the likest few of their first photograph."""
    order = np.lexsort((pairs.second, -score, pairs.first))
    first = pairs.first[order]
    answer = np.empty(len(first), np.bool_)
    answer[order] = np.arange(len(first)) - np.searchsorted(first, first) < _NEAREST
    return answer
