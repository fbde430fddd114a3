"""The learning curve: how well heads do that were trained on ever more of the photographs.

For each fold of a cross-validation, heads are trained on nested parts of the photographs outside it, and asked about
those inside it. So every photograph is scored once at every size, by a head that has not seen it, nor a copy, nor one
of its group; the folds are the several draws of a subset; and the last size is the cross-validation itself. Figueroa
et al., "Predicting sample size required for classification performance", 2012, BMC Medical Informatics and Decision
Making 12:8; Viering and Loog, "The shape of learning curves: a review", 2021, arXiv:2103.10948.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.bottlenecks import Rows, as_rows
from retrain.head.folds import assign_folds, fold_fit
from retrain.head.recipe import Recipe
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats
from retrain.head.together import train_together

# Sizes with fewer photographs a class than this say more about luck than about photographs.
FEWEST_A_CLASS = 5
MOST_SIZES = 6
# Each size is at least this many times the one before.
LEAST_RATIO = 1.4


@dataclass(frozen=True)
class LearningCurve:
    """First guesses of heads trained on S sizes, the smallest first.

    Args:
        shares: float64 (S,), of the photographs outside a fold; the last is 1.
        class_sizes: float64 (S, C), photographs of each class that a head was trained on, the mean over the folds.
        guesses: intp (S, N), of each photograph, by a head that has not seen it.
        labels: intp (N,), what it is.
    """

    shares: npt.NDArray[np.float64]
    class_sizes: npt.NDArray[np.float64]
    guesses: Indices
    labels: Indices

    @property
    def sizes(self) -> npt.NDArray[np.float64]:
        """float64 (S,), photographs a class, the mean over the classes that have any."""
        means: npt.NDArray[np.float64] = self.class_sizes[:, self.class_sizes[-1] > 0].mean(axis=1)
        return means

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Bool (S, N), which guesses are right."""
        right: npt.NDArray[np.bool_] = self.guesses == self.labels
        return right


def curve_shares(labels: Indices, folds: int) -> npt.NDArray[np.float64]:
    """Choose which shares of the training photographs are tried, equal steps of a logarithm apart.

    Args:
        labels: intp (N,).
        folds: of the cross-validation.

    Returns:
        float64 (S,), ascending to 1: at most MOST_SIZES, so that the smallest has FEWEST_A_CLASS a class in the mean
        and a 32nd of all at least; 1 alone where there are too few photographs for two.
    """
    counts = np.bincount(labels)
    largest = counts[counts > 0].mean() * (folds - 1) / folds
    smallest = max(FEWEST_A_CLASS, largest / 32)
    steps = int(np.log(max(1.0, largest / smallest)) / np.log(LEAST_RATIO))
    count = min(MOST_SIZES, steps + 1)
    shares: npt.NDArray[np.float64] = (
        np.geomspace(min(1.0, smallest / largest), 1.0, count) if count > 1 else np.ones(1)
    )
    shares[-1] = 1.0
    return shares


def nested_parts(
    labels: Indices, keys: Sequence[bytes], photographs: Indices, fold: int, shares: npt.NDArray[np.float64]
) -> list[Indices]:
    """Choose nested parts of some photographs, of every class the same share, copies and groups together.

    Args:
        labels: intp (N,).
        keys: digest of each photograph, or the key of its group; which come first is decided by them.
        photographs: intp (n,), ascending, those to choose from.
        fold: another one draws other parts.
        shares: float64 (S,), ascending, 0 to 1.

    Returns:
        intp each, ascending; every part holds those before it, and something of every class.
    """
    start = hashlib.sha256(b"curve\0" + fold.to_bytes(8, "big"))
    place = np.array([_hashed(start, keys[index]) for index in photographs.tolist()], np.uint64)
    own = labels[photographs]
    order = np.lexsort((place, own))
    sorted_labels, sorted_places = own[order], place[order]
    # Where the photographs of the same class and key begin, counted from the first of the class.
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (np.diff(sorted_labels) != 0) | (sorted_places[1:] != sorted_places[:-1])
    unit = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    before = unit - np.searchsorted(sorted_labels, sorted_labels)
    count = np.bincount(own)[sorted_labels]
    return [np.sort(photographs[order[before < share * count]]) for share in shares]


def _hashed(start: hashlib._Hash, key: bytes) -> int:
    deal = start.copy()
    deal.update(key)
    return int.from_bytes(deal.digest()[:8], "big")


def learning_curve(
    features: Rows | Floats,
    labels: Indices,
    keys: Sequence[bytes],
    recipe: Recipe,
    class_count: int,
    folds: int,
    on_fit: Callable[[], None],
    whole: Indices | None = None,
    training_rows: Callable[[Indices], Indices] = lambda photographs: photographs,
    *,
    by_size: bool = False,
) -> LearningCurve:
    """Train heads on ever more of the photographs, and ask them about those held out.

    Args:
        features: rows or float32 (N, D); more rows may stand behind those of the N photographs.
        labels: intp, the class of each row.
        keys: digest of each photograph or key of its group, N of them.
        recipe: how each head is trained; the last step is kept.
        class_count: C.
        folds: as many as are cross-validated.
        on_fit: called after each head; fits_of says how many.
        whole: intp (N,), out-of-fold guesses of the cross-validation with these folds and this recipe, which are the
            curve's last size; None: they are found here.
        training_rows: which rows stand for photographs that are trained on.
        by_size: as of the cross-validation.

    Returns:
        The curve.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    rows, own = as_rows(features), labels[: len(keys)]
    shares = curve_shares(own, folds)
    fold = assign_folds(own, keys, folds, by_size=by_size)
    numbers = np.unique(fold)
    rests = [np.flatnonzero(fold != number) for number in numbers]
    parts = [nested_parts(own, keys, rest, int(number), shares) for number, rest in zip(numbers, rests, strict=True)]
    sizes = np.array([[np.bincount(own[part], minlength=class_count) for part in of_fold] for of_fold in parts])
    guesses = np.empty((len(shares), len(keys)), np.intp)
    tried = len(shares)
    if whole is not None:
        guesses[-1], tried = whole, len(shares) - 1
    todo = [(size, place) for size in range(tried) for place in range(len(numbers))]
    trainings = [training_rows(parts[place][size]) for size, place in todo]
    fit = fold_fit(recipe, keys, len(rows), training_rows)
    heads = train_together(rows, labels, trainings, recipe, class_count, fit)
    for (size, place), head in zip(todo, heads, strict=True):
        held_out = np.flatnonzero(fold == numbers[place])
        guesses[size, held_out] = head.classify(rows, held_out).argmax(axis=1)
        on_fit()
    return LearningCurve(shares, sizes.mean(axis=0), guesses, own)


def fits_of(labels: Indices, folds: int, *, whole_is_known: bool) -> int:
    """Say how many heads a learning curve trains.

    Args:
        labels: intp (N,).
        folds: of the cross-validation.
        whole_is_known: whether the guesses at the last size are given.

    Returns:
        How many, where there are as many photographs as folds.
    """
    return folds * (len(curve_shares(labels, folds)) - whole_is_known)
