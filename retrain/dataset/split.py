"""Which photograph is trained on, validated on, tested on.

By default the photograph's bytes decide, so that adding, renaming and moving files moves no other file, and exact
copies always lie on one side. ``poets`` is the original's rule, bit for bit.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.dataset.scan import Catalog
from retrain.errors import UsageError

TRAINING, VALIDATION, TESTING = 0, 1, 2
SIDE_NAMES = ("training", "validation", "testing")

_POETS_MAX_IMAGES_PER_CLASS = 2**27 - 1


@dataclass(frozen=True)
class SplitRequest:
    """How to split.

    Args:
        rule: "content" or "poets".
        validation_percentage: 0 to 99.
        testing_percentage: 0 to 99.
    """

    rule: str
    validation_percentage: int
    testing_percentage: int


@dataclass(frozen=True)
class Split:
    """The side of every photograph.

    Args:
        sides: uint8 (N,): TRAINING, VALIDATION or TESTING, in the order of the images.
        notes: sentences a person should read: classes too small for a side, and so on.
    """

    sides: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    def indices(self, side: int) -> npt.NDArray[np.intp]:
        """List the images of one side.

        Args:
            side: TRAINING, VALIDATION or TESTING.

        Returns:
            intp (M,), ascending.
        """
        return np.flatnonzero(self.sides == side)


def content_percentage(sha256: bytes) -> float:
    """Place an image by its content.

    Args:
        sha256: 32 bytes.

    Returns:
        0 to 100, uniform over contents.
    """
    return int.from_bytes(sha256[:8], "big") / 2**64 * 100.0


def poets_percentage(path_as_typed: str) -> float:
    """Place an image by its path, as the original retrain.py does.

    Args:
        path_as_typed: image_dir as it was typed, joined to the class folder and the file name.

    Returns:
        0 to 100. What follows ``_nohash_`` anywhere in the path does not count.
    """
    name = re.sub(r"_nohash_.*$", "", path_as_typed)
    digest = int(hashlib.sha1(os.fsencode(name)).hexdigest(), 16)  # noqa: S324 - the original's rule, not a secret
    return (digest % (_POETS_MAX_IMAGES_PER_CLASS + 1)) * (100.0 / _POETS_MAX_IMAGES_PER_CLASS)


def split_images(catalog: Catalog, sha256s: Sequence[bytes], request: SplitRequest) -> Split:
    """Give every photograph its side.

    Args:
        catalog: the photographs, one record a hash.
        sha256s: the hash of each photograph's bytes, 32 bytes each.
        request: the rule and the shares.

    Returns:
        The split.
    """
    if request.rule == "poets":
        places = [poets_percentage(catalog.full_path(record)) for record in catalog.records]
        sides = _sides_of(places, request)
        return Split(sides, tuple(_poets_notes(catalog, sides, request)))
    places = [content_percentage(sha) for sha in sha256s]
    sides = _sides_of(places, request)
    labels = np.array([record.label for record in catalog.records])
    notes = _fill_empty_sides(catalog.labels, labels, list(sha256s), np.array(places), sides, request)
    return Split(sides, tuple(notes))


def _sides_of(places: Sequence[float], request: SplitRequest) -> npt.NDArray[np.uint8]:
    # Validation first, then testing: the original's order.
    place = np.asarray(places, dtype=np.float64)
    below_testing = request.validation_percentage + request.testing_percentage
    chosen = np.where(
        place < request.validation_percentage, VALIDATION, np.where(place < below_testing, TESTING, TRAINING)
    )
    return chosen.astype(np.uint8)


def _poets_notes(catalog: Catalog, sides: npt.NDArray[np.uint8], request: SplitRequest) -> list[str]:
    """Say which class lies on no photograph of a side; the rule itself gives no such promise."""
    if TRAINING not in sides:
        raise UsageError(
            f"--split_rule=poets leaves no photograph of {catalog.root} to train on (a _nohash_ in the path puts all "
            "of them on one side); rename the folder or use --split_rule=content"
        )
    labels = np.array([record.label for record in catalog.records])
    shares = {TRAINING: 1, VALIDATION: request.validation_percentage, TESTING: request.testing_percentage}
    return [
        f"class {name!r} has no photograph for {SIDE_NAMES[side]} under --split_rule=poets"
        for label, name in enumerate(catalog.labels)
        for side, share in shares.items()
        if share and side not in sides[labels == label]
    ]


def _fill_empty_sides(
    names: Sequence[str],
    labels: npt.NDArray[np.intp],
    shas: list[bytes],
    places: npt.NDArray[np.float64],
    sides: npt.NDArray[np.uint8],
    request: SplitRequest,
) -> list[str]:
    """Move single photographs so that every class has each side it is large enough for; ``sides`` is changed."""
    copies = defaultdict(list)
    for index, sha in enumerate(shas):
        copies[sha].append(index)
    members = [_different(np.flatnonzero(labels == label).tolist(), shas) for label in range(len(names))]
    shared = {sha for sha, where in copies.items() if len({int(labels[i]) for i in where}) > 1}
    # Training first, for every class. Then only photographs of one class alone are moved, so that filling a side of
    # one class never empties another's.
    for found in members:
        own = [i for i in found if shas[i] not in shared]
        _move_one(TRAINING, [TRAINING], found, own or found, places, sides, [copies[shas[i]] for i in own or found])
    for found in members:
        own = [i for i in found if shas[i] not in shared]
        for side in (wanted := _wanted_sides(len(found), request))[1:]:
            _move_one(side, wanted, found, own, places, sides, [copies[shas[i]] for i in own])
    return [
        f"class {name!r} has {len(found)} different photographs, too few to be trained on, validated and "
        "tested: cross-validation covers it, the final test does not"
        for name, found in zip(names, members, strict=True)
        if len(found) < 3
    ]


def _different(indices: list[int], shas: list[bytes]) -> list[int]:
    """One index a content: the first."""
    return list({shas[i]: i for i in reversed(indices)}.values())[::-1]


def _wanted_sides(different: int, request: SplitRequest) -> list[int]:
    wanted = [TRAINING]
    if request.testing_percentage and different >= 3:
        wanted.append(TESTING)
    if request.validation_percentage and different >= 3:
        wanted.append(VALIDATION)
    return wanted


def _move_one(
    side: int,
    wanted: list[int],
    members: list[int],
    movable: list[int],
    places: npt.NDArray[np.float64],
    sides: npt.NDArray[np.uint8],
    copies: list[list[int]],
) -> None:
    """If no member lies on the side, move the one whose place is nearest to it, off a side that can spare one."""
    here = Counter(sides[members].tolist())
    if side in here:
        return
    spare = [k for k, i in enumerate(movable) if sides[i] not in wanted or here[int(sides[i])] > 1]
    if not spare:
        return
    # Training lies at the upper end of 0 to 100, the other two at the lower: nearest is largest or smallest.
    nearest = (max if side == TRAINING else min)(spare, key=lambda k: float(places[movable[k]]))
    sides[copies[nearest]] = side


def split_csv(catalog: Catalog, sha256s: Sequence[bytes], split: Split) -> str:
    """Write the split as a table.

    Args:
        catalog: the photographs.
        sha256s: the hash of each.
        split: the side of each.

    Returns:
        CSV with the columns path, label, split, sha256.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "label", "split", "sha256"])
    for record, sha, side in zip(catalog.records, sha256s, split.sides, strict=True):
        table.writerow([record.path, catalog.labels[record.label], SIDE_NAMES[side], sha.hex()])
    return text.getvalue()
