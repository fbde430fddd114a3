"""A prototype a class: the mean of its vectors, all of length 1 and centred; the nearest direction wins.

Snell, Swersky and Zemel, "Prototypical networks for few-shot learning", 2017, NeurIPS; Wang, Chao, Weinberger and van
der Maaten, "SimpleShot: revisiting nearest-neighbor classification for few-shot learning", 2019, arXiv:1911.04623.
Vectors are brought to length 1 before they are centred, not after: the centre is then a part of the biases, where
otherwise each export would need a layer more, and accuracy is the same (76.4 and 76.2 %, mean of five sets).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows
from retrain.head.checking import finite_head, require_finite_rows, require_training
from retrain.head.inner import inner_folds
from retrain.head.layers import Head, Normalise
from retrain.head.logistic import counting
from retrain.head.recipe import BALANCED, Recipe
from retrain.head.reports import losses_of
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats, take_chunks

# What cosines are multiplied by, to choose from.
SCALES = tuple(float(value) for value in np.geomspace(1, 256, 33))
ADVICE = "Look for features that are far larger than all others"


@dataclass(frozen=True)
class _Sums:
    """Sums of normalised vectors: float64 (F, C, D), and how many they are, (F, C), fold by fold."""

    vectors: npt.NDArray[np.float64]
    counts: npt.NDArray[np.intp]

    def without(self, fold: int | None) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        """Add the folds up, all but one."""
        vectors, counts = self.vectors.sum(axis=0), self.counts.sum(axis=0)
        return (vectors, counts) if fold is None else (vectors - self.vectors[fold], counts - self.counts[fold])


def fit_cosine(
    rows: Rows, labels: Indices, training: Indices, recipe: Recipe, class_count: int, groups: Indices | None = None
) -> Head:
    """Find the prototypes, and by cross-validated log loss how sure their cosines make.

    Args:
        rows: (N, D), as the backbone gives them.
        labels: intp (N,), 0 to class_count - 1.
        training: intp (n,), which are learnt from.
        recipe: its class_weights; UNWEIGHTED adds the logarithm of each class's share.
        class_count: C.
        groups: intp (n,), equal for those that stay in one fold; None: each stands for itself.

    Returns:
        Normalise and a linear layer.

    Raises:
        NumericalError: a feature or a weight is NaN or infinite.
        UsageError: there is nothing to train on.
    """
    require_training(training)
    y = labels[training]
    fold = inner_folds(y, groups)
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        require_finite_rows(rows)
        sums = _sums(rows, training, y, fold, class_count)
        balanced = recipe.class_weights == BALANCED
        cosines, priors = _held_out(rows, training, fold, sums, balanced)
        scale = _best_scale(cosines, priors, y, counting(y, recipe))
        directions, shift, prior = _prototypes(*sums.without(None), balanced)
        weights = (directions.T * np.float32(scale)).astype(np.float32)
        head = Head(weights, (prior - scale * shift).astype(np.float32), 0, (Normalise(),))
        return finite_head(head, ADVICE)


def _sums(rows: Rows, training: Indices, y: Indices, fold: Indices, class_count: int) -> _Sums:
    place = fold * class_count + y
    folds = int(fold.max()) + 1
    vectors = np.zeros((folds * class_count, rows.shape[1]))
    for part, chunk in take_chunks(rows, training):
        np.add.at(vectors, place[part], Normalise().apply(chunk).astype(np.float64))
    counts = np.bincount(place, minlength=len(vectors))
    return _Sums(vectors.reshape(folds, class_count, -1), counts.reshape(folds, class_count))


def _prototypes(
    vectors: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], balanced: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Directions (C, D) of the centred means, where the centre lies along each, (C,), and log priors, (C,)."""
    present = counts > 0
    means = vectors / np.maximum(counts, 1)[:, np.newaxis]
    # Every class alike, so that the centre does not depend on which of them has most photographs.
    centre = means[present].mean(axis=0)
    centred = np.where(present[:, np.newaxis], means - centre, 0.0)
    directions = centred / np.sqrt(np.square(centred).sum(axis=1, keepdims=True) + 1e-12)
    # A class that was not seen has no direction, and is never likelier than chance makes it.
    shares = np.where(present, 1 / present.sum(), 0.0) if balanced else counts / counts.sum()
    floor = 1 / (10 * counts.sum())
    return directions, directions @ centre, np.log(np.maximum(shares, floor))


def _held_out(
    rows: Rows, training: Indices, fold: Indices, sums: _Sums, balanced: bool
) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Cosines float32 (n, C) with prototypes of the other folds, and each photograph's log priors (n, C)."""
    classes = sums.counts.shape[1]
    cosines, priors = np.zeros((len(training), classes), np.float32), np.zeros((len(training), classes))
    for number in np.unique(fold).tolist():
        vectors, counts = sums.without(number)
        if not counts.sum():
            continue
        directions, shift, prior = _prototypes(vectors, counts, balanced)
        held = np.flatnonzero(fold == number)
        for part, chunk in take_chunks(rows, training[held]):
            cosines[held[part]] = Normalise().apply(chunk) @ directions.T.astype(np.float32) - shift
        priors[held] = prior
    return cosines, priors


def _best_scale(cosines: Floats, priors: npt.NDArray[np.float64], y: Indices, counts: Floats) -> float:
    """Choose the scale with the lowest held-out loss, each photograph counting what it counts."""
    losses = [losses_of((scale * cosines + priors).astype(np.float32), y) for scale in SCALES]
    return SCALES[int(np.argmin([np.average(one, weights=counts) for one in losses]))]
