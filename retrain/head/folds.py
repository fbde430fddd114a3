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


def assign_folds(labels: Indices, sha256s: Sequence[bytes], folds: int, *, by_size: bool = False) -> Indices:
    """Deal photographs out to folds: classes evenly, exact copies together, and the same for the same contents.

    Args:
        labels: intp (N,).
        sha256s: digest of each photograph, or the key of its group (Split.keys), which stays together as copies do.
        folds: how many.
        by_size: count photographs in place of groups, as is right where groups are of different sizes.

    Returns:
        intp (N,), 0 to folds - 1.
    """
    content, labels_of_contents = _contents(labels, sha256s)
    if by_size:
        return _balanced(labels, content, folds)[content]
    fold = np.empty(len(labels_of_contents), np.intp)
    # Each class goes on where the last one ended, so that folds stay of one size.
    fold[np.argsort(labels_of_contents, kind="stable")] = np.arange(len(fold)) % folds
    return fold[content]


def _balanced(labels: Indices, group: Indices, folds: int) -> Indices:
    """Put each group, the largest first, into the fold that holds fewest photographs of its classes.

    Graham, "Bounds on multiprocessing timing anomalies", 1969, SIAM J. Appl. Math. 17(2): longest first.

    Args:
        labels: intp (N,).
        group: intp (N,), 0 to G - 1, each there.
        folds: how many.

    Returns:
        intp (G,): within a class, folds differ by no more than its largest group, where no group has two classes.
    """
    classes = int(labels.max(initial=0)) + 1
    parts, sizes = np.unique(group * classes + labels, return_counts=True)
    ends = np.cumsum(np.bincount(parts // classes)).tolist()
    of_class, counts = (parts % classes).tolist(), sizes.tolist()
    held, whole = [[0] * classes for _ in range(folds)], [0] * folds
    fold = np.empty(len(ends), np.intp)
    for number in np.argsort(-np.bincount(group), kind="stable").tolist():
        part = slice(ends[number - 1] if number else 0, ends[number])
        own = list(zip(of_class[part], counts[part], strict=True))
        chosen = min(range(folds), key=lambda k, own=own: (sum(n * held[k][c] for c, n in own), whole[k]))  # type: ignore[misc]
        for label, count in own:
            held[chosen][label] += count
            whole[chosen] += count
        fold[number] = chosen
    return fold


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
    *,
    by_size: bool = False,
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
        by_size: whether folds are balanced in photographs rather than groups, see assign_folds.

    Returns:
        float32 (N, C), out-of-fold probabilities.
    """
    rows = as_rows(features)
    fold = assign_folds(labels[: len(sha256s)], sha256s, _different(sha256s, folds), by_size=by_size)
    probabilities = np.zeros((len(sha256s), class_count), np.float32)
    for number in np.unique(fold):
        held_out = np.flatnonzero(fold == number)
        rest = np.flatnonzero(fold != number)
        head = train_softmax(rows, labels, NO_VALIDATION, recipe, class_count, training=training_rows(rest))
        probabilities[held_out] = head.classify(rows, held_out)
        on_fold()
    return probabilities
