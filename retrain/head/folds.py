"""Cross-validation: every photograph is classified by a head that has not seen it, nor a copy of it.

Stone, "Cross-validatory choice and assessment of statistical predictions", 1974, JRSS B 36(2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from retrain.head.sampling import Indices
from retrain.head.softmax import Floats, Recipe, train_softmax

NO_VALIDATION = np.zeros(0, np.intp)


def assign_folds(labels: Indices, sha256s: Sequence[bytes], folds: int) -> Indices:
    """Deal photographs out to folds: classes evenly, exact copies together, and the same for the same contents.

    Args:
        labels: intp (N,).
        sha256s: digest of each photograph.
        folds: how many.

    Returns:
        intp (N,), 0 to folds - 1.
    """
    fold_of: dict[bytes, int] = {}
    start = 0
    for label in np.unique(labels):
        members = sorted({sha256s[i] for i in np.flatnonzero(labels == label).tolist()} - fold_of.keys())
        fold_of.update({sha: (start + place) % folds for place, sha in enumerate(members)})
        start += len(members)  # go on where the last class ended, so that folds stay of one size
    return np.array([fold_of[sha] for sha in sha256s], np.intp)


def cross_validate(
    features: Floats,
    labels: Indices,
    sha256s: Sequence[bytes],
    recipe: Recipe,
    class_count: int,
    folds: int,
    on_fold: Callable[[], None],
) -> Floats:
    """Classify every photograph with a head trained on the other folds, by the same recipe as the real one.

    Args:
        features: float32 (N, D).
        labels: intp (N,).
        sha256s: digest of each photograph.
        recipe: how each head is trained; the last step is kept, since no fold is left to choose one.
        class_count: C.
        folds: at most N are used.
        on_fold: called after each.

    Returns:
        float32 (N, C), out-of-fold probabilities.
    """
    fold = assign_folds(labels, sha256s, min(folds, len(set(sha256s))))
    probabilities = np.zeros((len(labels), class_count), np.float32)
    for number in np.unique(fold):
        held_out = np.flatnonzero(fold == number)
        rest = np.flatnonzero(fold != number)
        head = train_softmax(features, labels, NO_VALIDATION, recipe, class_count, training=rest)
        probabilities[held_out] = head.probabilities(features[held_out])
        on_fold()
    return probabilities
