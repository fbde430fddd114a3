"""Which head, and which backbone: all of them compared on the cached vectors by nested cross-validation.

Each candidate is cross-validated; the best is chosen, or a simpler one that is no more than a standard error worse
(Breiman, Friedman, Olshen and Stone, "Classification and regression trees", 1984, section 3.4.3). The accuracy of a
winner flatters it, since chance helped it to win. So the choice itself is cross-validated as well: within the other
folds' photographs the whole comparison is made again, and who wins there is asked about the fold that had no say.
Varma and Simon, "Bias in error estimation when using cross-validation for model selection", 2006, BMC Bioinformatics 7.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.bottlenecks import Rows
from retrain.errors import UsageError
from retrain.head.choice import spread
from retrain.head.fitting import fitter
from retrain.head.inner import groups_of, inner_folds
from retrain.head.knn import too_many
from retrain.head.layers import Dense, Head
from retrain.head.recipe import KINDS, KNN, Recipe
from retrain.head.sampling import Indices
from retrain.head.together import fit_one, is_plain, train_together

OUTER_FOLDS, INNER_FOLDS = 5, 3
# More than these say nothing new about which head is the best, and each takes its time twenty times over.
MOST_COMPARED = 20_000
TIMED = 30
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Backbone:
    """A backbone whose vectors are at hand.

    Args:
        name: its architecture.
        rows: (N, D), the same photographs in the same order as those of all others; distorted views behind them.
        cost: what a photograph takes it, in any unit that all share (ms, say): the cheaper is the simpler.
    """

    name: str
    rows: Rows
    cost: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """One head on one backbone, and how it did.

    Args:
        backbone: its name.
        recipe: of the head, settled.
        right: bool (P,), whether each photograph compared by was classified rightly by a head that had not seen it.
        head_ms: what a photograph's vector takes the head, milliseconds; the backbone's time is not in it.
        kilobytes: of the head's numbers, 1,000 bytes each.
    """

    backbone: str
    recipe: Recipe
    right: Marks
    head_ms: float
    kilobytes: float

    @property
    def accuracy(self) -> float:
        """Share of the photographs that are right, 0 to 1."""
        return float(self.right.mean())


@dataclass(frozen=True)
class Choice:
    """What the comparison came to.

    Args:
        candidates: all that were compared, the simplest first.
        chosen: which of them.
        nested_right: bool (P,), whether each photograph was classified rightly by what was chosen without it: how
            good the choice is, not flattered by having been made.
        remarks: what was left out of the comparison, a sentence each.
    """

    candidates: tuple[Candidate, ...]
    chosen: int
    nested_right: Marks
    remarks: tuple[str, ...]

    @property
    def winner(self) -> Candidate:
        """The one to fit on all training photographs."""
        return self.candidates[self.chosen]


@dataclass(frozen=True)
class Photographs:
    """What candidates are compared by.

    Args:
        labels: intp (N,), the class of each row of the backbones.
        keys: digest of each photograph or key of its group; the first rows are theirs.
        compared: indices of the photographs to compare by, and to train on; those that test the winner are not here.
        training_rows: which rows stand for photographs that are trained on.
        class_count: C.
    """

    labels: Indices
    keys: Sequence[bytes]
    compared: Indices
    training_rows: Callable[[Indices], Indices]
    class_count: int


def choose_head(
    backbones: Sequence[Backbone],
    photographs: Photographs,
    recipe: Recipe,
    on_fit: Callable[[], None] = lambda: None,
    kinds: Sequence[str] = KINDS,
) -> Choice:
    """Compare every kind of head on every backbone, and choose one.

    Args:
        backbones: at least one.
        photographs: what to compare by.
        recipe: the flags; what they leave to the head is settled for each kind.
        on_fit: called after each of fits_of heads.
        kinds: of heads, at least one.

    Returns:
        The choice; fit_head with its winner's recipe makes the head itself.

    Raises:
        NumericalError: a feature, a loss or a weight became NaN or infinite.
        UsageError: the photographs are too few to compare anything by.
    """
    chosen = photographs.compared[spread(len(photographs.compared), MOST_COMPARED)]
    outer, inner = _deal(photographs, chosen)
    kinds, remarks = _that_fit(kinds, photographs, chosen)
    if len(chosen) < len(photographs.compared):
        remarks.append(f"heads were compared on {len(chosen):,} of {len(photographs.compared):,} training photographs")
    fitted = [
        _cross(backbone, photographs, recipe.settled(kind), chosen, outer, inner, on_fit)
        for backbone in sorted(backbones, key=lambda one: one.cost)
        for kind in kinds
    ]
    candidates = tuple(candidate for candidate, _ in fitted)
    nested = np.zeros(len(chosen), np.bool_)
    for fold in range(len(inner)):
        inside = [within[fold][outer != fold] for _, within in fitted]
        nested[outer == fold] = candidates[prefer(inside)].right[outer == fold]
    return Choice(candidates, prefer([candidate.right for candidate in candidates]), nested, tuple(remarks))


def fits_of(backbone_count: int, kind_count: int = len(KINDS)) -> int:
    """Say how many heads a comparison fits, at most.

    Args:
        backbone_count: of backbones.
        kind_count: of kinds of heads.

    Returns:
        How often on_fit is called, where there are photographs enough for all folds.
    """
    return backbone_count * kind_count * OUTER_FOLDS * (INNER_FOLDS + 1)


def prefer(right: Sequence[Marks]) -> int:
    """Choose the first candidate that is no more than a standard error worse than the best.

    Args:
        right: bool (P,) each, the simplest candidate first, of the same photographs.

    Returns:
        Its index. The standard error is that of the difference, photograph by photograph: the root of how many only
        one of the two has right, and of one more, so that a single photograph decides nothing.
    """
    best = right[int(np.argmax([marks.mean() for marks in right]))]
    return next(
        index
        for index, marks in enumerate(right)
        if int(best.sum()) - int(marks.sum()) <= np.sqrt(int((best != marks).sum()) + 1)
    )


def table_rows(choice: Choice, interval: Callable[[int, int], tuple[float, float]]) -> list[tuple[str, ...]]:
    """Write the comparison down.

    Args:
        choice: what it came to.
        interval: right answers and photographs -> lower and upper bound of accuracy, 0 to 1.

    Returns:
        Backbone, head, accuracy with its interval in percent, ms of the head, kB of the head, and a mark on the winner.
    """
    rows: list[tuple[str, ...]] = []
    for index, one in enumerate(choice.candidates):
        low, high = interval(int(one.right.sum()), len(one.right))
        accuracy = f"{100 * one.accuracy:.1f} % ({100 * low:.0f} to {100 * high:.0f})"
        mark = "chosen" if index == choice.chosen else ""
        rows.append((one.backbone, one.recipe.kind, accuracy, f"{one.head_ms:.3f}", f"{one.kilobytes:.0f}", mark))
    return rows


def _deal(photographs: Photographs, chosen: Indices) -> tuple[Indices, list[Indices]]:
    """Deal the photographs to outer folds, intp (P,), and the rest of each to inner ones, (P,), -1 for its own."""
    y = photographs.labels[chosen]
    groups = groups_of([photographs.keys[i] for i in chosen.tolist()], len(chosen), lambda rows: rows)
    outer = inner_folds(y, groups, OUTER_FOLDS)
    inner = []
    for fold in range(int(outer.max(initial=-1)) + 1):
        others = np.flatnonzero(outer != fold)
        dealt = np.full(len(chosen), -1, np.intp)
        dealt[others] = inner_folds(y[others], groups[others], INNER_FOLDS)
        inner.append(dealt)
    if len(inner) < 2 or any(dealt.max() < 1 for dealt in inner):
        raise UsageError(
            f"expected at least 3 training photographs that differ to compare heads by, got {len(np.unique(groups))}; "
            "add photographs, or name a --head"
        )
    return outer, inner


def _that_fit(kinds: Sequence[str], photographs: Photographs, chosen: Indices) -> tuple[list[str], list[str]]:
    """Leave out the kinds that are not meant for so many photographs, and say so."""
    problem = too_many(len(photographs.training_rows(photographs.compared)))
    if problem and KNN in kinds and len(kinds) > 1:
        return [kind for kind in kinds if kind != KNN], [f"knn was not compared: {problem.partition(';')[0]}"]
    return list(kinds), []


def _cross(
    backbone: Backbone,
    photographs: Photographs,
    recipe: Recipe,
    chosen: Indices,
    outer: Indices,
    inner: Sequence[Indices],
    on_fit: Callable[[], None],
) -> tuple[Candidate, list[Marks]]:
    """Cross-validate a candidate, and once more within each fold's other photographs; marks of those, (P,) each."""
    labels, rows_of = photographs.labels, photographs.training_rows
    asked = [(outer != fold, outer == fold) for fold in range(len(inner))]
    for dealt in inner:
        asked += [((dealt >= 0) & (dealt != part), dealt == part) for part in range(int(dealt.max()) + 1)]
    trainings = [rows_of(chosen[learnt]) for learnt, _ in asked]
    fit = fit_one if is_plain(recipe) else fitter(_groups(backbone, photographs))
    heads = train_together(backbone.rows, labels, trainings, recipe, photographs.class_count, fit)
    right, within = np.zeros(len(chosen), np.bool_), [np.zeros(len(chosen), np.bool_) for _ in inner]
    owners = [None] * len(inner) + [fold for fold, dealt in enumerate(inner) for _ in range(int(dealt.max()) + 1)]
    ms, kilobytes = 0.0, 0.0
    for (_, held), owner, head in zip(asked, owners, heads, strict=True):
        guesses = head.classify(backbone.rows, chosen[held]).argmax(axis=1)
        (right if owner is None else within[owner])[held] = guesses == labels[chosen[held]]
        if owner is None:
            ms, kilobytes = _measured(head, backbone.rows, chosen)
        on_fit()
    return Candidate(backbone.name, recipe, right, ms, kilobytes), within


def _groups(backbone: Backbone, photographs: Photographs) -> Indices:
    # Only of those compared by: the others may have no views.
    return groups_of(photographs.keys, len(backbone.rows), photographs.training_rows, photographs.compared)


def _measured(head: Head, rows: Rows, chosen: Indices) -> tuple[float, float]:
    """Milliseconds a vector, the median of several, and kilobytes."""
    vector = rows.take(chosen[:1])
    taken = []
    for _ in range(TIMED):
        begun = time.perf_counter_ns()
        head.probabilities(vector)
        taken.append(time.perf_counter_ns() - begun)
    sizes = [layer.weights.nbytes + layer.biases.nbytes for layer in head.before if isinstance(layer, Dense)]
    return float(np.median(taken)) / 1e6, (sum(sizes) + head.weights.nbytes + head.biases.nbytes) / 1000
