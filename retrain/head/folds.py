"""Cross-validation: every photograph is classified by a head that has not seen it, nor a copy, nor one of its group.

Stone, "Cross-validatory choice and assessment of statistical predictions", 1974, JRSS B 36(2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from retrain.bottlenecks import Rows, as_rows
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats
from retrain.head.softmax import Recipe, train_softmax

NO_VALIDATION = np.zeros(0, np.intp)


def assign_folds(labels: Indices, sha256s: Sequence[bytes], folds: int) -> Indices:
    """Deal photographs out to folds: classes evenly, exact copies together, and the same for the same contents.

    Args:
        labels: intp (N,).
        sha256s: digest of each photograph, or the key of its group (Split.keys), which stays together as copies do.
        folds: how many.

    Returns:
        intp (N,), 0 to folds - 1.
    """
    content, labels_of_contents = _contents(labels, sha256s)
    fold = np.empty(len(labels_of_contents), np.intp)
    # Each class goes on where the last one ended, so that folds stay of one size.
    fold[np.argsort(labels_of_contents, kind="stable")] = np.arange(len(fold)) % folds
    return fold[content]


def _contents(labels: Indices, sha256s: Sequence[bytes]) -> tuple[Indices, Indices]:
    """Number the different contents in the order of their digests: each photograph's, and the first class of each."""
    # Without a dictionary, which would take 200 bytes a photograph. Big-endian words sort as the bytes do.
    words = np.frombuffer(b"".join(sha256s), ">u8").reshape(len(sha256s), -1)
    order = np.lexsort((labels, *words.T[::-1]))
    new = np.ones(len(order), np.bool_)
    new[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    content = np.empty(len(order), np.intp)
    content[order] = np.cumsum(new) - 1
    return content, labels[order[new]]


def _different(sha256s: Sequence[bytes], most: int) -> int:
    """Count different contents, as far as ``most``."""
    seen: set[bytes] = set()
    for sha in sha256s:
        seen.add(sha)
        if len(seen) == most:
            break
    return len(seen)


def cross_validate(
    features: Rows | Floats,
    labels: Indices,
    sha256s: Sequence[bytes],
    recipe: Recipe,
    class_count: int,
    folds: int,
    on_fold: Callable[[], None],
    training_rows: Callable[[Indices], Indices] = lambda photographs: photographs,
) -> Floats:
    """Classify every photograph with a head trained on the other folds, by the same recipe as the real one.

    Args:
        features: rows or float32, (N, D); more rows may stand behind those of the N photographs.
        labels: intp, the class of each row.
        sha256s: digest of each photograph or key of its group, N of them.
        recipe: how each head is trained; the last step is kept, since no fold is left to choose one.
        class_count: C.
        folds: at most N are used.
        on_fold: called after each.
        training_rows: which rows stand for the photographs of the other folds: they themselves, or distorted views.

    Returns:
        float32 (N, C), out-of-fold probabilities.
    """
    rows = as_rows(features)
    fold = assign_folds(labels[: len(sha256s)], sha256s, _different(sha256s, folds))
    probabilities = np.zeros((len(sha256s), class_count), np.float32)
    for number in np.unique(fold):
        held_out = np.flatnonzero(fold == number)
        rest = np.flatnonzero(fold != number)
        head = train_softmax(rows, labels, NO_VALIDATION, recipe, class_count, training=training_rows(rest))
        probabilities[held_out] = head.classify(rows, held_out)
        on_fold()
    return probabilities
