"""Which photograph is trained on, validated on, tested on.

By default the photograph's bytes decide, so that adding, renaming and moving files moves no other file, and exact
copies always lie on one side, near duplicates with them. Groups (groups.py) take the place of single photographs; a
file or the folders train, val and test decide before any rule (plan.py). ``poets`` is the original's rule, bit for bit.

One thing that adding files can move: a photograph that was moved so that its class has a side at all (fill.py) goes
back when the class gets one that lies there by itself. That concerns classes of a few dozen; --split_file with the
earlier run's list keeps every photograph where it was.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.console import printable
from retrain.dataset.catalog import Catalog
from retrain.dataset.fill import Indices, Units, fill_sides, units_of
from retrain.dataset.groups import group_keys, merge_groups, names_of_groups, near_lines, torn_keys
from retrain.dataset.plan import SplitPlan, sides_in_words
from retrain.dataset.sides import SIDE_NAMES, TESTING, TRAINING, VALIDATION
from retrain.dataset.tables import guarded, table_text
from retrain.errors import UsageError

_POETS_MAX_IMAGES_PER_CLASS = 2**27 - 1
_FREE = 255
_NO_PLAN = SplitPlan()
_Sides = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SplitRequest:
    """How to split.

    Args:
        rule: "content" or "poets".
        validation_percentage: 0 to 99.
        testing_percentage: 0 to 99.
        folds: of the cross-validation that follows; 0: none does.
    """

    rule: str
    validation_percentage: int
    testing_percentage: int
    folds: int = 0


@dataclass(frozen=True)
class Split:
    """The side of every photograph.

    Args:
        sides: uint8 (N,): TRAINING, VALIDATION or TESTING, in the order of the images.
        notes: sentences a person should read: classes too small for a side, and so on.
        keys: 32 bytes a photograph, the same for those that must not be told apart: cross-validation goes by it.
        groups: name of each photograph's group, empty for those without; None where no groups are used.
        by: what made groups, as it was typed; empty where near duplicates alone did, or nothing.
        near: a sentence on near duplicates; empty where there are none.
    """

    sides: _Sides
    notes: tuple[str, ...] = ()
    keys: tuple[bytes, ...] = ()
    groups: tuple[str, ...] | None = None
    by: str = ""
    near: str = ""

    @property
    def is_grouped(self) -> bool:
        """Whether different photographs belong together, so that parts of a set differ in size."""
        return self.groups is not None or bool(self.near)

    def indices(self, side: int) -> Indices:
        """List the images of one side.

        Args:
            side: TRAINING, VALIDATION or TESTING.

        Returns:
            intp (M,), ascending.
        """
        return np.flatnonzero(self.sides == side)


def content_percentage(sha256: bytes) -> float:
    """Place an image by its content, or a group by its key.

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


def split_images(
    catalog: Catalog,
    sha256s: Sequence[bytes],
    request: SplitRequest,
    plan: SplitPlan = _NO_PLAN,
    near: Sequence[tuple[int, int]] = (),
) -> Split:
    """Give every photograph its side.

    Args:
        catalog: the photographs, one record a hash.
        sha256s: the hash of each photograph's bytes, 32 bytes each.
        request: the rule and the shares.
        plan: what names decide: sides by file, groups.
        near: pairs of indices of near duplicates, which are kept together.

    Returns:
        The split.

    Raises:
        UsageError: nothing is left to train on, all photographs are one group, or a class has nothing to train on.
    """
    fixed, allowed = _fixed_sides(catalog, plan), _allowed(catalog)
    if request.rule == "poets":
        return _poets_split(catalog, sha256s, request, plan, near)
    names = [(plan.groups or {}).get(record.path, "") for record in catalog.records]
    keys = group_keys(names, sha256s)
    if plan.by and len(keys) > 1 and len(set(keys)) == 1:
        raise UsageError(
            f"{plan.by} puts all {len(keys)} photographs into one group, which cannot be split; use another rule"
        )
    keys_of_names, keys = keys, merge_groups(keys, near)
    if request.folds and len(keys) > 1 and len(set(keys)) == 1:
        raise UsageError(
            f"all {len(keys)} photographs are one picture, exactly or nearly, so that no head can be judged by another "
            "one; add different ones, or give --cross_validation_folds=0"
        )
    units, unit = _units(catalog, keys, request, fixed, allowed)
    wanted = [_wanted_sides(len(members), request, allowed) for members in units.members]
    fill_sides(units, wanted)
    sides = units.sides[unit]
    notes = _class_notes(catalog, units, wanted, f"groups ({plan.by})" if plan.by else "different photographs")
    paths = [record.path for record in catalog.records]
    said, torn = near_lines(paths, sha256s, near, sides.tolist(), "their folders or --split_file put them there")
    every = [*plan.notes, *notes, *_torn_notes(catalog, keys_of_names, sides, plan), *torn]
    groups = None if plan.groups is None and not near else tuple(names_of_groups(names, keys, sides.tolist()))
    return Split(sides, tuple(every), tuple(keys), groups, plan.by, said)


def _poets_split(
    catalog: Catalog,
    sha256s: Sequence[bytes],
    request: SplitRequest,
    plan: SplitPlan,
    near: Sequence[tuple[int, int]],
) -> Split:
    fixed = _fixed_sides(catalog, plan)
    places = np.array([poets_percentage(catalog.full_path(record)) for record in catalog.records], np.float64)
    sides = np.where(fixed == _FREE, _restricted(_sides_of(places, request), _allowed(catalog)), fixed)
    paths = [record.path for record in catalog.records]
    said, torn = near_lines(paths, sha256s, near, sides.tolist(), "--split_rule=poets places each path by itself")
    notes = (*plan.notes, *_poets_notes(catalog, sides, request), *torn)
    # No photograph is moved, but cross-validation does keep them together: it has no sides of the original's.
    return Split(sides, notes, tuple(merge_groups(sha256s, near)), near=said)


def _fixed_sides(catalog: Catalog, plan: SplitPlan) -> _Sides:
    """Say what is decided before any rule: uint8 (N,), _FREE for what is not."""
    if not plan.file.sides and not catalog.side_folders:
        return np.full(len(catalog.records), _FREE, np.uint8)
    folders = {**dict.fromkeys((None, TRAINING), _FREE), VALIDATION: VALIDATION, TESTING: TESTING}
    return np.array(
        [plan.file.sides.get(record.path, folders[catalog.side_of(record)]) for record in catalog.records], np.uint8
    )


def _allowed(catalog: Catalog) -> list[int]:
    """List the sides that free photographs may come to: with side folders, training and those that have no folder."""
    taken = set(catalog.side_folders.values()) - {TRAINING}
    return [side for side in (TRAINING, VALIDATION, TESTING) if side not in taken]


def _sides_of(places: npt.NDArray[np.float64], request: SplitRequest) -> _Sides:
    # Validation first, then testing: the original's order.
    below_testing = request.validation_percentage + request.testing_percentage
    chosen = np.where(
        places < request.validation_percentage, VALIDATION, np.where(places < below_testing, TESTING, TRAINING)
    )
    return chosen.astype(np.uint8)


def _restricted(sides: _Sides, allowed: Sequence[int]) -> _Sides:
    return np.where(np.isin(sides, allowed), sides, TRAINING).astype(np.uint8)


def _units(
    catalog: Catalog, keys: Sequence[bytes], request: SplitRequest, fixed: _Sides, allowed: Sequence[int]
) -> tuple[Units, Indices]:
    """Place photographs by the hash of their key; give the unit of each as well, intp (N,)."""
    numbers: dict[bytes, int] = {}
    group = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)
    places = np.array([content_percentage(key) for key in numbers], np.float64)[group]
    decided = _decided_groups(group, fixed, len(numbers), allowed)[group]
    by_rule = _restricted(_sides_of(places, request), allowed)
    sides = np.where(fixed != _FREE, fixed, np.where(decided != _FREE, decided, by_rule)).astype(np.uint8)
    labels, rows = _labels_and_rows(catalog)
    _, unit = np.unique(group * 3 + np.where(decided == _FREE, 0, sides), return_inverse=True)
    free = decided == _FREE
    return units_of(labels, unit[rows], places[rows], free[rows], sides[rows], len(catalog.labels)), unit


def _labels_and_rows(catalog: Catalog) -> tuple[Indices, Indices]:
    """Each label of each photograph, and which photograph it is of; two intp of one length."""
    pairs = [(label, row) for row, record in enumerate(catalog.records) for label in catalog.set_of(record)]
    labels, rows = np.array(pairs, np.intp).reshape(-1, 2).T
    return labels, rows


def _decided_groups(group: Indices, fixed: _Sides, count: int, allowed: Sequence[int]) -> _Sides:
    """Say where free photographs of each group go: with those that are fixed, training before the others."""
    decided = np.full(count, _FREE, np.uint8)
    for side in (TESTING, VALIDATION, TRAINING):
        decided[group[fixed == side]] = side if side in allowed else TRAINING
    return decided


def _wanted_sides(different: int, request: SplitRequest, allowed: Sequence[int]) -> list[int]:
    shares = {TESTING: request.testing_percentage, VALIDATION: request.validation_percentage}
    more = [side for side, share in shares.items() if share and different >= 3 and side in allowed]
    return [TRAINING, *more]


def _class_notes(catalog: Catalog, units: Units, wanted: Sequence[Sequence[int]], what: str) -> list[str]:
    notes = []
    used = set(units.sides.tolist())
    for label, name in enumerate(catalog.labels):
        count = len(units.members[label])
        missing = set(units.missing(label, sorted({*wanted[label], *used})))
        if count and TRAINING in missing:
            raise UsageError(f"class {printable(name)!r} is left no photograph to train on; put one on training")
        if count < 3:
            notes.append(
                f"class {printable(name)!r} has {count} {what}, too few to be trained on, validated and "
                "tested: cross-validated accuracy is the number to look at, not the final test's"
            )
        elif missing:
            notes.append(
                f"class {printable(name)!r} has no photograph for {sides_in_words(missing)}: cross-validated accuracy "
                "is the number to look at"
            )
    return notes


def _torn_notes(catalog: Catalog, keys: Sequence[bytes], sides: _Sides, plan: SplitPlan) -> list[str]:
    """Say which copies and groups lie on two sides, because a file or folders put them there."""
    if not plan.file.sides and not catalog.side_folders:
        return []
    torn = torn_keys(keys, sides.tolist())
    if not torn:
        return []
    first = next(i for i, key in enumerate(keys) if key in torn)
    other = next(i for i, key in enumerate(keys) if key == keys[first] and sides[i] != sides[first])
    paths = [printable(catalog.records[i].path) for i in (first, other)]
    return [
        f"{len(torn)} photographs or groups lie on two sides, such as {paths[0]!r} and "
        f"{paths[1]!r}, because their folders or --split_file put them there: accuracy will look better than it is"
    ]


def _poets_notes(catalog: Catalog, sides: _Sides, request: SplitRequest) -> list[str]:
    """Say which class lies on no photograph of a side; the rule itself gives no such promise."""
    if TRAINING not in sides:
        raise UsageError(
            f"--split_rule=poets leaves no photograph of {catalog.root} to train on (it goes by paths alone, and a "
            "_nohash_ in the folder's puts all on one side); rename the folder or use --split_rule=content"
        )
    labels, rows = _labels_and_rows(catalog)
    shares = {TRAINING: 1, VALIDATION: request.validation_percentage, TESTING: request.testing_percentage}
    return [
        f"class {name!r} has no photograph for {SIDE_NAMES[side]} under --split_rule=poets"
        for label, name in enumerate(catalog.labels)
        for side, share in shares.items()
        if share and side not in sides[rows[labels == label]]
    ]


def split_csv(catalog: Catalog, sha256s: Sequence[bytes], split: Split) -> str:
    """Write the split as a table, which --split_file reads back.

    Args:
        catalog: the photographs.
        sha256s: the hash of each.
        split: the side of each.

    Returns:
        CSV with the columns path, label, split, sha256, and group where groups are used. No cell is a formula for a
        spreadsheet.
    """
    more = [] if split.groups is None else ["group"]
    rows = [["path", "label", "split", "sha256", *more]]
    for index, (record, sha, side) in enumerate(zip(catalog.records, sha256s, split.sides, strict=True)):
        group = [] if split.groups is None else [guarded(split.groups[index])]
        names = guarded(record.path), guarded(catalog.label_text(record))
        rows.append([*names, SIDE_NAMES[side], sha.hex(), *group])
    return table_text(rows)
