"""Cross-validation: every photograph is classified by a head that has not seen it, nor a copy, nor one of its group.

Stone, "Cross-validatory choice and assessment of statistical predictions", 1974, JRSS B 36(2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

import numpy as np
import numpy.typing as npt

from retrain.bottlenecks import Rows, as_rows
from retrain.head.fitting import fitter
from retrain.head.inner import groups_of
from retrain.head.recipe import Recipe
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats
from retrain.head.together import Fit, fit_one, is_plain, train_together


@dataclass(frozen=True)
class Crossed:
    """Scores of photographs by heads that have not seen them, as many times over as there were repeats.

    Args:
        scores: float32 (R, N, C), out-of-fold scores.
        folds: intp (R, N), the fold of each photograph; those of one fold were scored by the same head.
    """

    scores: npt.NDArray[np.float32]
    folds: Indices

    @property
    def mean_scores(self) -> Floats:
        """float32 (N, C), each photograph's mean over the repeats; of one repeat its very scores."""
        mean: Floats = self.scores[0] if len(self.scores) == 1 else self.scores.mean(axis=0)
        return mean


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


def deal_again(keys: Sequence[bytes], repeat: int) -> Sequence[bytes]:
    """Give photographs other keys, by which assign_folds deals them otherwise.

    Args:
        keys: digest of each photograph, or the key of its group.
        repeat: which deal; 0 is that of the keys themselves.

    Returns:
        32 bytes each, the same for the same key.
    """
    if repeat == 0:
        return keys
    start = hashlib.sha256(b"deal\0" + repeat.to_bytes(8, "big"))

    def hashed(key: bytes) -> bytes:
        deal = start.copy()
        deal.update(key)
        return deal.digest()

    return [hashed(key) for key in keys]


def fold_fit(recipe: Recipe, keys: Sequence[bytes], row_count: int, training_rows: Callable[[Indices], Indices]) -> Fit:
    """Give what train_together is to fit heads with.

    Args:
        recipe: of the heads.
        keys: digest of each photograph or key of its group.
        row_count: of all rows, views included.
        training_rows: which rows stand for photographs that are trained on.

    Returns:
        Its own way for plain gradient descent; for all else fit_head, which keeps groups together whatever a head holds
        out within its training photographs.
    """
    return fit_one if is_plain(recipe) else fitter(groups_of(keys, row_count, training_rows))


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
    crossed = cross_validate_again(
        features, labels, sha256s, recipe, class_count, folds, 1, on_fold, training_rows, by_size=by_size
    )
    return crossed.mean_scores


def cross_validate_again(
    features: Rows | Floats,
    labels: Indices,
    sha256s: Sequence[bytes],
    recipe: Recipe,
    class_count: int,
    folds: int,
    repeats: int,
    on_fold: Callable[[], None],
    training_rows: Callable[[Indices], Indices] = lambda photographs: photographs,
    *,
    by_size: bool = False,
    stop: Event | None = None,
) -> Crossed:
    """Cross-validate several times over, with other folds each time.

    Args:
        features: as of cross_validate; so are the other arguments.
        labels: see there.
        sha256s: see there.
        recipe: see there.
        class_count: C.
        folds: see there.
        repeats: R, at least 1; the first deal is that of cross_validate.
        on_fold: called after each fold of each repeat.
        training_rows: see there.
        by_size: see there.
        stop: set, from another thread, when the scores are not wanted any more.

    Returns:
        The scores of every repeat.

    Raises:
        Stopped: ``stop`` was set.
    """
    rows, count = as_rows(features), _different(sha256s, folds)
    deals = np.stack(
        [
            assign_folds(labels[: len(sha256s)], deal_again(sha256s, repeat), count, by_size=by_size)
            for repeat in range(repeats)
        ]
    )
    parts = [(repeat, number) for repeat in range(repeats) for number in np.unique(deals[repeat])]
    trainings = [training_rows(np.flatnonzero(deals[repeat] != number)) for repeat, number in parts]
    scores = np.zeros((repeats, len(sha256s), class_count), np.float32)
    fit = fold_fit(recipe, sha256s, len(rows), training_rows)
    heads = train_together(rows, labels, trainings, recipe, class_count, fit, stop)
    for (repeat, number), head in zip(parts, heads, strict=True):
        held_out = np.flatnonzero(deals[repeat] == number)
        scores[repeat, held_out] = head.classify(rows, held_out)
        on_fold()
    return Crossed(scores, deals)
