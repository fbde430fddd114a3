"""Photographs that are there twice: the same bytes, or the same picture scaled, compressed anew, cut or brightened.

Exact ones have one SHA-256. Near ones are looked for among pairs that are alike by the perceptual hash, by the cosine
of their bottleneck vectors, or by both, and decided by their fine detail (alignment.py). No one of the three is enough.
Measured on five sets (375 flowers, 400 cats and dogs, 110 textures, 600 pieces of trash, 84 star clusters), with
mobilenet_0.50_224, between each photograph and its copy at 60 % of its size, at JPEG quality 40, cut by 5 % and
brightened by 10 %, and between different photographs:

    cosine        copies 0.80 and more, 95 % of cut ones 0.95; of different star clusters 1 % have 0.98, of different
                  flowers two have 0.95
    hash          copies that are not cut: at most 8 of 63 bits (textures 30); cut ones 22 (textures 38); different
                  flowers 14 and more, different star clusters 2 and more
    fine detail   copies: 99 % have 0.91 and more, cut ones 0.67 and more (textures 0.54); different star clusters at
                  most 0.48, textures 0.50, flowers 0.22 but for two of one scene (0.67), and things that lie alike on
                  a white table 0.78, with a cosine of 0.89 to 0.92

With the thresholds below, bench/doctor.py finds all such copies of flowers, of cats and dogs and of star clusters, and
97 to 99 % of cut textures (all others); false were one pair of textures, and up to 3 of 607 of things on a white table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.alike.alignment import Indices, likenesses
from retrain.alike.candidates import Bits, directions, find_candidates
from retrain.alike.fingerprints import Fingerprints, hash_bits
from retrain.bottlenecks import Rows, as_rows, slices
from retrain.images import Floats, Pixels

# Fine detail from which on two photographs are one whatever their vectors say; with vectors of at least that cosine;
# and where there are no vectors. White tables with a round thing in the middle have up to 0.78 at a cosine of 0.89.
CERTAIN, NEAR, WITHOUT_VECTORS = 0.8, 0.65, 0.7
_NEAR_COSINE = 0.93
# Pairs whose vectors are compared at a time.
_PAIRS = 2048

# As likenesses: thumbnails, one of each pair, the other, and a likeness that is enough.
Compare = Callable[[Pixels, Indices, Indices, float], Floats]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photographs that are one.

    Args:
        first: row in the Fingerprints.
        second: a later row.
        kind: "exact", "near" or "mirrored".
        likeness: correlation of fine detail, 0 to 1; 1 for exact ones.
    """

    first: int
    second: int
    kind: str
    likeness: float


@dataclass(frozen=True)
class Duplicates:
    """What is there more than once.

    Args:
        pairs: as few as hold the groups together, one fewer than a group has members; by row.
        groups: rows of the same photograph, ascending, two or more each; by their first row.
    """

    pairs: tuple[Pair, ...]
    groups: tuple[tuple[int, ...], ...]

    def group_numbers(self, count: int) -> npt.NDArray[np.intp]:
        """Say which photographs must stay on one side of a split.

        Args:
            count: rows in the Fingerprints.

        Returns:
            intp (count,): the same number for the same photograph.
        """
        numbers = np.arange(count)
        for group in self.groups:
            numbers[list(group)] = group[0]
        return numbers


def find_duplicates(prints: Fingerprints, features: Rows | Floats | None = None, mirrored: bool = False) -> Duplicates:
    """Find photographs that are there more than once.

    Time grows with the square of the number of different photographs, memory with the number itself.

    Args:
        prints: N fingerprints.
        features: their bottleneck vectors, float32 (N, width), in the same order; None: hash and fine detail alone,
            which miss more copies that were cut.
        mirrored: also find photographs that were mirrored left to right.

    Returns:
        Pairs and groups.
    """
    forest = _Forest(len(prints))
    exact, different = _exact_pairs(prints)
    pairs = [pair for pair in exact if forest.join(pair.first, pair.second)]
    vectors = None if features is None else directions(as_rows(features), different)
    for kind in ("near", "mirrored") if mirrored else ("near",):
        near = near_pairs(prints.thumbnails[different], prints.bits[different], vectors, kind == "mirrored")
        for one, other, likeness in zip(*near, strict=True):
            if forest.join(first := int(different[one]), second := int(different[other])):
                pairs.append(Pair(first, second, kind, float(likeness)))
    return Duplicates(tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second))), forest.groups())


def _exact_pairs(prints: Fingerprints) -> tuple[list[Pair], Indices]:
    """Pair each copy with the first of its kind; and the rows of all first ones."""
    seen: dict[bytes, int] = {}
    pairs = []
    for row, digest in enumerate(prints.sha256):
        first = seen.setdefault(digest.tobytes(), row)
        if first != row:
            pairs.append(Pair(first, row, "exact", 1.0))
    return pairs, np.fromiter(seen.values(), np.intp, len(seen))


def near_pairs(
    thumbnails: Pixels, bits: Bits, vectors: Floats | None, mirrored: bool = False, compare: Compare = likenesses
) -> tuple[Indices, Indices, Floats]:
    """Find different photographs that are one picture.

    Args:
        thumbnails: uint8 (N, 32, 32), grey.
        bits: bool (N, HASH_BITS), their hashes.
        vectors: float32 (N, width), of length 1; None: by looks alone.
        mirrored: find those that are one another's mirror image instead.
        compare: gives the fine detail of pairs; one that remembers, perhaps.

    Returns:
        intp (P,) and intp (P,): the earlier photographs and the later ones; float32 (P,): their likeness, 0 to 1. The
        likest first: they are the pairs that hold a group together.
    """
    if mirrored:
        # The vectors of a mirror image differ little, so those of the photograph itself do.
        flipped = thumbnails[:, :, ::-1]
        first, second = find_candidates(bits, hash_bits(flipped), vectors)
        found = compare(np.concatenate([thumbnails, flipped]), first, second + len(bits), CERTAIN)
    else:
        first, second = find_candidates(bits, bits, vectors)
        found = compare(thumbnails, first, second, CERTAIN)
    kept = np.flatnonzero(found >= (NEAR if vectors is not None else WITHOUT_VECTORS))
    if vectors is not None:
        kept = kept[(found[kept] >= CERTAIN) | (_cosines(vectors, first[kept], second[kept]) >= _NEAR_COSINE)]
    kept = kept[np.argsort(-found[kept], kind="stable")]
    return first[kept], second[kept], np.minimum(found[kept], np.float32(1))


def _cosines(vectors: Floats, first: Indices, second: Indices) -> Floats:
    answer = np.empty(len(first), np.float32)
    for part in slices(len(first), _PAIRS):
        answer[part] = np.einsum("ij,ij->i", vectors[first[part]], vectors[second[part]])
    return answer


class _Forest:
    """Union-find."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count).tolist()

    def _root(self, row: int) -> int:
        parents = self._parents
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    def join(self, first: int, second: int) -> bool:
        """Put two together; say whether they were not yet."""
        one, other = self._root(first), self._root(second)
        self._parents[max(one, other)] = min(one, other)
        return one != other

    def groups(self) -> tuple[tuple[int, ...], ...]:
        """List those of two and more."""
        members: dict[int, list[int]] = {}
        for row in range(len(self._parents)):
            members.setdefault(self._root(row), []).append(row)
        return tuple(tuple(rows) for rows in members.values() if len(rows) > 1)
