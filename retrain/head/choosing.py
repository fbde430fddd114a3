"""Which head, and which backbone: all of them compared on the cached vectors by nested cross-validation.

Each candidate is cross-validated several times over, with other folds each time, since which of two is ahead often
hangs on the deal; the best is chosen, or a simpler one that is no more than a standard error worse (Breiman, Friedman,
Olshen and Stone, "Classification and regression trees", 1984, section 3.4.3). The accuracy of a
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
from retrain.head.folds import deal_again
from retrain.head.inner import groups_of, inner_folds
from retrain.head.knn import too_many
from retrain.head.layers import Dense, Head
from retrain.head.recipe import KINDS, KNN, Recipe
from retrain.head.sampling import Indices
from retrain.head.together import fit_one, is_plain, train_together

OUTER_FOLDS, INNER_FOLDS = 5, 3
# How often the photographs are dealt to the outer folds. What the choice itself is worth is found with the first deal.
REPEATS = 3
# More than these say nothing new about which head is the best, and each takes its time thirty times over.
MOST_COMPARED = 20_000
TIMED = 30
Marks = npt.NDArray[np.bool_]
Shares = npt.NDArray[np.float64]


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
        right: float64 (P,), share of the repeats in which each photograph compared by was classified rightly by a head
            that had not seen it.
        head_ms: what a photograph's vector takes the head, milliseconds; the backbone's time is not in it.
        kilobytes: of the head's numbers, 1,000 bytes each.
    """

    backbone: str
    recipe: Recipe
    right: Shares
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
    deals = _deal(photographs, chosen)
    kinds, remarks = _that_fit(kinds, photographs, chosen)
    if len(chosen) < len(photographs.compared):
        remarks.append(f"heads were compared on {len(chosen):,} of {len(photographs.compared):,} training photographs")
    fitted = [
        _cross(backbone, photographs, recipe.settled(kind), chosen, deals, on_fit)
        for backbone in sorted(backbones, key=lambda one: one.cost)
        for kind in kinds
    ]
    candidates = tuple(one.candidate for one in fitted)
    nested, outer = np.zeros(len(chosen), np.bool_), deals.outer[0]
    for fold in range(len(deals.inner)):
        inside = [one.within[fold][outer != fold] for one in fitted]
        nested[outer == fold] = fitted[prefer(inside)].first[outer == fold]
    return Choice(candidates, prefer([candidate.right for candidate in candidates]), nested, tuple(remarks))


def fits_of(backbone_count: int, kind_count: int = len(KINDS)) -> int:
    """Say how many heads a comparison fits, at most.

    Args:
        backbone_count: of backbones.
        kind_count: of kinds of heads.

    Returns:
        How often on_fit is called, where there are photographs enough for all folds.
    """
    return backbone_count * kind_count * OUTER_FOLDS * (REPEATS + INNER_FOLDS)


def prefer(right: Sequence[Shares | Marks]) -> int:
    """Choose the first candidate that is no more than a standard error worse than the best.

    Args:
        right: (P,) each, the simplest candidate first, of the same photographs: whether each was classified rightly,
            or in which share of the repeats.

    Returns:
        Its index. The standard error is that of the difference, photograph by photograph: the root of the sum of its
        squares (of one repeat, of how many only one of the two has right), and of one more, so that a single photograph
        decides nothing.
    """
    shares = [one.astype(np.float64) for one in right]
    best = shares[int(np.argmax([one.mean() for one in shares]))]
    worse = [best - one for one in shares]
    return next(index for index, one in enumerate(worse) if one.sum() <= np.sqrt(np.square(one).sum() + 1))


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
        low, high = interval(round(float(one.right.sum())), len(one.right))
        accuracy = f"{100 * one.accuracy:.1f} % ({100 * low:.0f} to {100 * high:.0f})"
        mark = "chosen" if index == choice.chosen else ""
        rows.append((one.backbone, one.recipe.kind, accuracy, f"{one.head_ms:.3f}", f"{one.kilobytes:.0f}", mark))
    return rows


@dataclass(frozen=True)
class _Deals:
    """How photographs are dealt.

    Args:
        outer: intp (P,) each, the fold of each photograph, for every repeat.
        inner: intp (P,) each, of each fold of the first deal: how the others are dealt; -1 for its own.
    """

    outer: list[Indices]
    inner: list[Indices]


def _deal(photographs: Photographs, chosen: Indices) -> _Deals:
    """Deal the photographs to outer folds, several times, and the rest of each fold of the first to inner ones."""
    y, keys = photographs.labels[chosen], [photographs.keys[i] for i in chosen.tolist()]
    groups = [groups_of(deal_again(keys, repeat), len(chosen), lambda rows: rows) for repeat in range(REPEATS)]
    outer = [inner_folds(y, one, OUTER_FOLDS) for one in groups]
    inner = []
    for fold in range(int(outer[0].max(initial=-1)) + 1):
        others = np.flatnonzero(outer[0] != fold)
        dealt = np.full(len(chosen), -1, np.intp)
        dealt[others] = inner_folds(y[others], groups[0][others], INNER_FOLDS)
        inner.append(dealt)
    if len(inner) < 2 or any(dealt.max() < 1 for dealt in inner):
        raise UsageError(
            f"expected at least 3 training photographs that differ to compare heads by, got {len(np.unique(groups[0]))}"
            "; add photographs, or name a --head"
        )
    return _Deals(outer, inner)


def _that_fit(kinds: Sequence[str], photographs: Photographs, chosen: Indices) -> tuple[list[str], list[str]]:
    """Leave out the kinds that are not meant for so many photographs, and say so."""
    problem = too_many(len(photographs.training_rows(photographs.compared)))
    if problem and KNN in kinds and len(kinds) > 1:
        return [kind for kind in kinds if kind != KNN], [f"knn was not compared: {problem.partition(';')[0]}"]
    return list(kinds), []


@dataclass(frozen=True)
class _Crossed:
    """A candidate, its marks by the first deal, bool (P,), and those within each of its folds' others, (P,) each."""

    candidate: Candidate
    first: Marks
    within: list[Marks]


def _cross(
    backbone: Backbone,
    photographs: Photographs,
    recipe: Recipe,
    chosen: Indices,
    deals: _Deals,
    on_fit: Callable[[], None],
) -> _Crossed:
    """Cross-validate a candidate, and once more within each fold's other photographs."""
    labels, rows_of = photographs.labels, photographs.training_rows
    # Which photographs each head is asked about, and where its marks go: first the repeats, then within the folds.
    dealt = [*deals.outer, *deals.inner]
    asked = [(place, part) for place, one in enumerate(dealt) for part in range(int(one.max()) + 1)]
    trainings = [rows_of(chosen[(dealt[place] >= 0) & (dealt[place] != part)]) for place, part in asked]
    fit = fit_one if is_plain(recipe) else fitter(_groups(backbone, photographs))
    heads = train_together(backbone.rows, labels, trainings, recipe, photographs.class_count, fit)
    marks, cost = np.zeros((len(dealt), len(chosen)), np.bool_), (0.0, 0.0)
    for (place, part), head in zip(asked, heads, strict=True):
        held = dealt[place] == part
        guesses = head.classify(backbone.rows, chosen[held]).argmax(axis=1)
        marks[place, held] = guesses == labels[chosen[held]]
        if place == 0:
            cost = _measured(head, backbone.rows, chosen)
        on_fit()
    right = marks[:REPEATS].mean(axis=0)
    return _Crossed(Candidate(backbone.name, recipe, right, *cost), marks[0], list(marks[REPEATS:]))


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
