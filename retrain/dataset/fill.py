"""Gives classes the sides that they are large enough for, by moving as few groups as can be.

It works on units: the photographs of one key, on one side together. Which side a unit lies on, and whether it may be
moved at all, is decided before (split.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from retrain.dataset.sides import TRAINING

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Units:
    """Groups, and in which classes they have photographs.

    Args:
        places: float64 (U,), 0 to 100.
        free: bool (U,), whether a unit may be moved.
        sides: uint8 (U,); changed by fill_sides.
        members: for each class, intp, its units.
    """

    places: npt.NDArray[np.float64]
    free: npt.NDArray[np.bool_]
    sides: npt.NDArray[np.uint8]
    members: Sequence[Indices]

    @cached_property
    def class_counts(self) -> Indices:
        """In how many classes each unit has photographs, intp (U,)."""
        together = np.concatenate([np.zeros(0, np.intp), *self.members])
        return np.bincount(together, minlength=len(self.places))

    def missing(self, label: int, wanted: Sequence[int]) -> list[int]:
        """List the sides that a class has no unit on.

        Args:
            label: the class.
            wanted: the sides in question.

        Returns:
            Those of them.
        """
        here = set(self.sides[self.members[label]].tolist())
        return [side for side in wanted if side not in here]


def units_of(
    labels: Indices, unit: Indices, places: npt.NDArray[np.float64], free: npt.NDArray[np.bool_],
    sides: npt.NDArray[np.uint8], class_count: int,
) -> Units:  # fmt: skip
    """Put photographs together to units.

    Args:
        labels: intp (N,), of each photograph.
        unit: intp (N,), its unit, 0 to U - 1.
        places: float64 (N,), the same for all of a unit; so are the next two.
        free: bool (N,).
        sides: uint8 (N,).
        class_count: C.

    Returns:
        The units.
    """
    _, first = np.unique(unit, return_index=True)
    label_of, member = np.divmod(np.unique(labels * max(len(first), 1) + unit), max(len(first), 1))
    members = np.split(member, np.searchsorted(label_of, np.arange(1, class_count)))
    return Units(places[first], free[first], sides[first].copy(), members[:class_count])


def fill_sides(units: Units, wanted: Sequence[Sequence[int]]) -> None:
    """Move single units so that every class has each side that it is to have, as far as its units permit.

    Args:
        units: whose sides are changed.
        wanted: for each class, the sides that it is to have; TRAINING first.
    """
    # Training first, for every class. Then units of one class alone, so that filling a side of one class never empties
    # another's. What is shared comes last, and only where no class is worse off for it.
    for label, members in enumerate(units.members):
        own = _own(units, members)
        _move_one(units, label, TRAINING, [TRAINING], own if len(own) else members)
    for label, members in enumerate(units.members):
        for side in wanted[label][1:]:
            _move_one(units, label, side, wanted[label], _own(units, members))
    classes_of = _classes_of_shared(units)
    for label, members in enumerate(units.members):
        for side in units.missing(label, wanted[label][1:]):
            spare = [int(u) for u in members if units.free[u] and _can_leave(units, int(u), classes_of, wanted)]
            _move_nearest(units, side, spare)


def _own(units: Units, members: Indices) -> Indices:
    own: Indices = members[units.free[members] & (units.class_counts[members] == 1)]
    return own


def _move_one(units: Units, label: int, side: int, wanted: Sequence[int], movable: Indices) -> None:
    """If the class has nothing on the side, move what is nearest to it, off a side that can spare one."""
    here = Counter(units.sides[units.members[label]].tolist())
    if side in here:
        return
    spare = [
        int(u) for u in movable if units.free[u] and (units.sides[u] not in wanted or here[int(units.sides[u])] > 1)
    ]
    _move_nearest(units, side, spare)


def _move_nearest(units: Units, side: int, spare: Sequence[int]) -> None:
    if spare:
        # Training lies at the upper end of 0 to 100, the other two at the lower: nearest is largest or smallest.
        choose: Callable[..., int] = max if side == TRAINING else min
        units.sides[choose(spare, key=lambda u: float(units.places[u]))] = side


def _classes_of_shared(units: Units) -> dict[int, list[int]]:
    shared: dict[int, list[int]] = {int(u): [] for u in np.flatnonzero(units.class_counts > 1)}
    for label, members in enumerate(units.members):
        for u in members[units.class_counts[members] > 1]:
            shared[int(u)].append(label)
    return shared


def _can_leave(units: Units, unit: int, classes_of: dict[int, list[int]], wanted: Sequence[Sequence[int]]) -> bool:
    side = units.sides[unit]
    return unit in classes_of and all(
        side not in wanted[label] or np.count_nonzero(units.sides[units.members[label]] == side) > 1
        for label in classes_of[unit]
    )
