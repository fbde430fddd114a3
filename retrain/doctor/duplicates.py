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

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.bottlenecks import Rows, as_rows, slices
from retrain.doctor.alignment import Indices, likenesses
from retrain.doctor.candidates import find_candidates
from retrain.doctor.findings import COSTS, NOTE, Finding, of_names
from retrain.doctor.fingerprints import Fingerprints, hash_bits
from retrain.doctor.report import safe_cell
from retrain.images import Floats

# Fine detail from which on two photographs are one whatever their vectors say; with vectors of at least that cosine;
# and where there are no vectors. White tables with a round thing in the middle have up to 0.78 at a cosine of 0.89.
CERTAIN, NEAR, WITHOUT_VECTORS = 0.8, 0.65, 0.7
_NEAR_COSINE = 0.93
# Pairs whose vectors are compared at a time.
_PAIRS = 2048


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
    vectors = None if features is None else _directions(as_rows(features), different)
    for kind in ("near", "mirrored") if mirrored else ("near",):
        near = _near_pairs(prints, different, vectors, kind)
        pairs += [pair for pair in near if forest.join(pair.first, pair.second)]
    return Duplicates(tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second))), forest.groups())


def duplicate_findings(
    found: Duplicates, paths: Sequence[str], labels: Sequence[int], sides: Sequence[int] | None = None
) -> list[Finding]:
    """Say what is there more than once, and what that does.

    Args:
        found: by find_duplicates.
        paths: of each row.
        labels: class of each row.
        sides: training, validation or test, of each row; None where nothing is split yet.

    Returns:
        Up to one finding a kind and place: across sides, across classes, within a class.
    """
    findings: list[Finding] = []
    for kind, words in _KINDS.items():
        pairs = [pair for pair in found.pairs if pair.kind == kind]
        if sides is not None:
            leaks = _named([p for p in pairs if sides[p.first] != sides[p.second]], paths)
            findings += of_names(COSTS, f"{kind}-duplicate-across-sides", f"{words} {_ACROSS_SIDES}", _SPLIT, leaks)
        across = _named([p for p in pairs if labels[p.first] != labels[p.second]], paths)
        within = _named([p for p in pairs if labels[p.first] == labels[p.second]], paths)
        findings += of_names(COSTS, f"{kind}-duplicate-across-classes", f"{words} {_ACROSS_CLASSES}", _CHOOSE, across)
        findings += of_names(NOTE, f"{kind}-duplicate", f"{words} {_WITHIN}", _KEEP_ONE, within)
    return findings


def duplicates_csv(found: Duplicates, paths: Sequence[str], labels: Sequence[str]) -> str:
    """List photographs that are there more than once as a table.

    Args:
        found: by find_duplicates.
        paths: of each row.
        labels: name of the class of each row.

    Returns:
        CSV with the columns group, path, label, kind, likeness, like: a row a photograph; the last three say of all but
        the first of a group how, how much and which other one it is like. No cell is a formula for a spreadsheet.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["group", "path", "label", "kind", "likeness", "like"])
    ties = _ties(found)
    for number, group in enumerate(found.groups, 1):
        for row in group:
            cells = [str(number), safe_cell(paths[row]), safe_cell(labels[row]), "", "", ""]
            if row in ties:
                pair, other = ties[row]
                cells[3:] = [pair.kind, f"{pair.likeness:.3f}", safe_cell(paths[other])]
            table.writerow(cells)
    return text.getvalue()


def _ties(found: Duplicates) -> dict[int, tuple[Pair, int]]:
    """Say of each photograph but the first of its group by which pair, and to which other one, it belongs there."""
    pairs: dict[int, list[Pair]] = {}
    for pair in found.pairs:
        pairs.setdefault(pair.first, []).append(pair)
        pairs.setdefault(pair.second, []).append(pair)
    ties: dict[int, tuple[Pair, int]] = {}
    for group in found.groups:
        waiting = [group[0]]
        while waiting:
            row = waiting.pop()
            for pair in pairs[row]:
                other = pair.first + pair.second - row
                if other != group[0] and other not in ties:
                    ties[other] = (pair, row)
                    waiting.append(other)
    return ties


_KINDS = {
    "exact": "pairs of photographs with the same bytes",
    "near": "pairs of photographs that are one picture scaled, cut or compressed anew",
    "mirrored": "pairs of photographs that are one picture and its mirror image",
}
_ACROSS_SIDES = "on two sides of the split: what is tested was also learned, and the accuracy comes out too good"
_ACROSS_CLASSES = "in two classes: one of the two is wrong, or both classes are in the picture"
_WITHIN = "within a class: it counts as often as it is there"
_SPLIT = "take one of each pair away, or keep them on one side of the split"
_CHOOSE = "take each out of the class where it does not belong"
_KEEP_ONE = "take all but one away, if the photograph is not meant to count more"


def _named(pairs: Sequence[Pair], paths: Sequence[str]) -> list[str]:
    return [f"{paths[pair.first]} = {paths[pair.second]}" for pair in pairs]


def _exact_pairs(prints: Fingerprints) -> tuple[list[Pair], Indices]:
    """Pair each copy with the first of its kind; and the rows of all first ones."""
    seen: dict[bytes, int] = {}
    pairs = []
    for row, digest in enumerate(prints.sha256):
        first = seen.setdefault(digest.tobytes(), row)
        if first != row:
            pairs.append(Pair(first, row, "exact", 1.0))
    return pairs, np.fromiter(seen.values(), np.intp, len(seen))


def _directions(features: Rows, rows: Indices) -> Floats:
    vectors = features.take(rows)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return vectors


def _near_pairs(prints: Fingerprints, rows: Indices, vectors: Floats | None, kind: str) -> list[Pair]:
    thumbnails = prints.thumbnails[rows]
    bits = prints.bits[rows]
    if kind == "near":
        first, second = find_candidates(bits, bits, vectors)
        stack, other = thumbnails, second
    else:
        # The vectors of a mirror image differ little, so those of the photograph itself do.
        flipped = thumbnails[:, :, ::-1]
        first, second = find_candidates(bits, hash_bits(flipped), vectors)
        stack, other = np.concatenate([thumbnails, flipped]), second + len(rows)
    found = likenesses(stack, first, other, CERTAIN)
    kept = np.flatnonzero(found >= (NEAR if vectors is not None else WITHOUT_VECTORS))
    if vectors is not None:
        kept = kept[(found[kept] >= CERTAIN) | (_cosines(vectors, first[kept], second[kept]) >= _NEAR_COSINE)]
    # The likest first: they are the pairs that hold a group together.
    kept = kept[np.argsort(-found[kept], kind="stable")]
    return [Pair(int(rows[first[k]]), int(rows[second[k]]), kind, min(float(found[k]), 1.0)) for k in kept]


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
