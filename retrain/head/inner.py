"""Folds within the training photographs, by which a head chooses its own strength; groups and copies stay together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from retrain.head.choice import MIN_VALIDATION_FOR_CHOICE
from retrain.head.sampling import Indices

FOLDS = 5
# One part in so many is held out of the training photographs where a head is to stop early and nothing else can tell.
HELD_OUT_PARTS = 8


def groups_of(
    keys: Sequence[bytes],
    row_count: int,
    training_rows: Callable[[Indices], Indices],
    photographs: Indices | None = None,
) -> Indices:
    """Number the groups of all rows: photographs, and the distorted views behind them.

    Args:
        keys: digest of each photograph or key of its group, all of one length, P of them.
        row_count: N, at least P.
        training_rows: which rows stand for photographs that are trained on, as many for each, in their order.
        photographs: those that are; None for all.

    Returns:
        intp (N,): rows of one group have the same number, in the order of the keys; -1 for rows that stand for nothing.
    """
    _, number = np.unique(np.array(keys, f"S{len(keys[0])}"), return_inverse=True)
    trained = np.arange(len(keys)) if photographs is None else photographs
    groups = np.full(row_count, -1, np.intp)
    groups[: len(keys)] = number
    rows = training_rows(trained)
    groups[rows] = np.repeat(number[trained], len(rows) // max(1, len(trained)))
    return groups


def inner_folds(y: Indices, groups: Indices | None, folds: int = FOLDS) -> Indices:
    """Deal training photographs out to folds: classes evenly, groups together.

    Args:
        y: intp (n,), the classes.
        groups: intp (n,), equal for those that stay together; None: each stands for itself.
        folds: how many.

    Returns:
        intp (n,), 0 to folds - 1; fewer where there are fewer groups.
    """
    if groups is None:
        groups = np.arange(len(y))
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    fold = np.empty(len(first), np.intp)
    # Each class goes on where the last one ended, so that folds stay of one size.
    fold[np.argsort(y[first], kind="stable")] = np.arange(len(first)) % folds
    return fold[member]


def hold_out(y: Indices, groups: Indices | None) -> tuple[Indices, Indices]:
    """Take some training photographs out to stop by.

    Args:
        y: intp (n,), the classes.
        groups: as of inner_folds.

    Returns:
        Those that stay and those that are held out, ascending; none are held out where they would be too few.
    """
    fold = inner_folds(y, groups, HELD_OUT_PARTS)
    held = np.flatnonzero(fold == 0)
    if len(held) < MIN_VALIDATION_FOR_CHOICE:
        return np.arange(len(y)), np.zeros(0, np.intp)
    return np.flatnonzero(fold != 0), held
