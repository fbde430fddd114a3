"""Whether something that has nothing to do with the classes predicts them: size, format, camera, border, file name.

A model that is trained on photographs of one class from one telescope, and of another from a second, may learn the
telescopes. So for each class and each such property alone it is tried how well the property tells the class from the
others: the photographs are put into bins by the property (without looking at the classes), and each bin goes to the
side that has the larger share of its photographs in it, learned on four fifths and tried on the fifth, five times.

Chance is found by shuffling the classes 499 times. All pairs of a property and a class are tried at once, so the best
of all pairs of each shuffle is what an answer has to beat (Westfall and Young, "Resampling-Based Multiple Testing",
1993), each measured in standard deviations of its own pair: an alarm in a set without shortcuts is a matter of 1 in
100, however many properties and classes there are. On top of that the answer has to matter: see _LEAST.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.alike.fingerprints import Fingerprints
from retrain.doctor.patterns import name_pattern
from retrain.survey.findings import COSTS, MAX_EXAMPLES, NOTE, Finding

# Classes with fewer photographs are left out: of five none could be told from chance.
LEAST_PHOTOGRAPHS = 10
_FOLDS = 5
_SHUFFLES = 499
_LEVEL = 0.01
# Photographs that are looked at, drawn at random; more would change no answer that matters.
_MOST_PHOTOGRAPHS = 20_000
# A property with so many values is put into bins of equal counts.
_MOST_VALUES, _BINS = 32, 16
_SEED = 0
# Labels that are tried, where a photograph may have several.
MOST_LABELS = 40

_Whole = npt.NDArray[np.intp]
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Property:
    """Something that may predict the class.

    Args:
        kind: short name, for programs.
        words: what it is called in a sentence.
        may_be_real: whether it lies in the picture, so that it may belong to the class.
        least: balanced accuracy, 0.5 to 1, from which on it is spoken of.
    """

    kind: str
    words: str
    may_be_real: bool
    least: float


# Of what lies in the picture a weak link is the rule: flowers differ in brightness.
_FILE, _PICTURE = 0.65, 0.8
PROPERTIES = (
    Property("size", "the size in pixels", False, _FILE),
    Property("aspect", "the ratio of width to height", False, _FILE),
    Property("format", "the file format", False, _FILE),
    Property("camera", "the camera named in the file", False, _FILE),
    Property("compression", "the strength of JPEG compression", False, _FILE),
    Property("file-size", "the bytes a pixel", False, _PICTURE),
    Property("name", "the pattern of the file name", False, _FILE),
    Property("brightness", "the mean brightness", True, _PICTURE),
    Property("border", "the brightness of the outermost pixels", True, _PICTURE),
    Property("frame", "how even the outermost pixels are", True, _PICTURE),
)


@dataclass(frozen=True)
class Shortcut:
    """A property that tells a class from the others.

    Args:
        property: which.
        label: index of the class.
        accuracy: balanced, 0.5 (chance) to 1, cross-validated.
        p_value: how often the best of all pairs was as good by chance.
    """

    property: Property
    label: int
    accuracy: float
    p_value: float


def find_shortcuts(prints: Fingerprints, labels: Sequence[int], names: Sequence[str]) -> list[Shortcut]:
    """Try each property on each class.

    Args:
        prints: N fingerprints.
        labels: class of each, N.
        names: of the classes; a file name that holds its class's name is no news.

    Returns:
        What predicts a class, the best first.
    """
    classes = np.asarray(labels, np.intp)
    rng = np.random.default_rng(_SEED)
    rows = _rows(classes, rng)
    present, codes = np.unique(classes[rows], return_inverse=True)
    if len(present) < 2:
        return []
    scores = _all_scores(_tables(prints, rows, classes, names), _Shuffles(codes, len(present), rng))
    return _beyond_chance(scores, present.tolist())


def find_label_shortcuts(prints: Fingerprints, truth: npt.NDArray[np.bool_], names: Sequence[str]) -> list[Shortcut]:
    """Try each property on each label, where a photograph may have several.

    Args:
        prints: N fingerprints.
        truth: bool (N, C), which photographs have which labels.
        names: of the labels.

    Returns:
        What tells photographs with a label from those without it, the best first; of all pairs tried, as ever, an alarm
        by chance is a matter of 1 in 100. The MOST_LABELS commonest labels are tried.
    """
    inside = truth.sum(axis=0)
    tried = np.flatnonzero((inside >= LEAST_PHOTOGRAPHS) & (len(truth) - inside >= LEAST_PHOTOGRAPHS))
    tried = np.sort(tried[np.argsort(-inside[tried], kind="stable")][:MOST_LABELS])
    scores = []
    for label in tried.tolist():
        codes, rng = truth[:, label].astype(np.intp), np.random.default_rng((_SEED, label))
        rows = _rows(codes, rng)
        tables = _tables(prints, rows, codes, (names[label], names[label]))
        scores.append(_all_scores(tables, _Shuffles(codes[rows], 2, rng))[:, 1])
    return _beyond_chance(np.stack(scores, axis=1), tried.tolist()) if scores else []


def _beyond_chance(scores: _Numbers, present: list[int]) -> list[Shortcut]:
    """What is better than the best of all pairs by chance; scores float64 (P, C, 1 + shuffles), of these C labels."""
    observed, chance = scores[..., 0], scores[..., 1:]
    spread = np.maximum(chance.std(axis=-1), 1e-3)
    middle = chance.mean(axis=-1)
    best_of_chance = ((chance - middle[..., np.newaxis]) / spread[..., np.newaxis]).max(axis=(0, 1))
    heights = (observed - middle) / spread
    found = [
        Shortcut(what, present[place], float(observed[number, place]), p_value)
        for number, what in enumerate(PROPERTIES)
        for place in range(len(present))
        if observed[number, place] >= what.least
        and (p_value := _p_value(heights[number, place], best_of_chance)) <= _LEVEL
    ]
    return sorted(found, key=lambda shortcut: -shortcut.accuracy)


def shortcut_findings(prints: Fingerprints, labels: Sequence[int], names: Sequence[str]) -> list[Finding]:
    """Say what predicts a class without showing what is in its photographs.

    Args:
        prints: N fingerprints.
        labels: class of each, N.
        names: of the classes.

    Returns:
        One finding a property that predicts at least one class; its examples are the classes.
    """
    return _findings(find_shortcuts(prints, labels, names), names, "the other classes")


def label_shortcut_findings(prints: Fingerprints, truth: npt.NDArray[np.bool_], names: Sequence[str]) -> list[Finding]:
    """Say what predicts a label, where a photograph may have several.

    Args:
        prints: N fingerprints.
        truth: bool (N, C), which photographs have which labels.
        names: of the labels.

    Returns:
        As of shortcut_findings.
    """
    return _findings(find_label_shortcuts(prints, truth, names), names, "photographs without it")


def _findings(found: list[Shortcut], names: Sequence[str], others: str) -> list[Finding]:
    return [
        _finding([shortcut for shortcut in found if shortcut.property is what], names, others)
        for what in dict.fromkeys(shortcut.property for shortcut in found)
    ]


def _finding(shortcuts: list[Shortcut], names: Sequence[str], others: str) -> Finding:
    what, best = shortcuts[0].property, shortcuts[0]
    told = f"{what.words} alone tells {names[best.label]!r} from {others} with {best.accuracy:.0%} accuracy"
    text = f"{told} (chance: 50%)"
    if what.kind == "name":
        text += "; a model does not see names, but the photographs may come from different sources that it does see"
    elif what.may_be_real:
        text += "; this may be a property of the class, or of how its photographs were taken"
    else:
        text += "; a model may learn this in place of what is in the photographs"
    examples = tuple(f"{names[one.label]}: {one.accuracy:.0%}" for one in shortcuts[:MAX_EXAMPLES])
    severity = NOTE if what.may_be_real or what.kind == "name" else COSTS
    return Finding(severity, f"shortcut-{what.kind}", text, _FIXES[what.kind], examples, len(shortcuts))


_SAME_SOURCES = "take the photographs of all classes from the same sources"
_FIXES = {
    "size": f"{_SAME_SOURCES}, or bring all to one size from the originals",
    "aspect": f"{_SAME_SOURCES}, or cut all to one shape",
    "format": f"{_SAME_SOURCES}, or save all in one format from the originals",
    "camera": f"{_SAME_SOURCES}: each camera or telescope should have taken some of every class",
    "compression": f"{_SAME_SOURCES}, or save all at one quality from the originals",
    "file-size": f"{_SAME_SOURCES}, or save all at one size and quality from the originals",
    "name": "see whether each source has photographs of every class",
    "brightness": "see whether photographs of every class were taken in the same light, where the model is to be used",
    "border": "cut borders and frames off, or see whether the backgrounds differ where the model is used, too",
    "frame": "cut borders and frames off, or see whether the backgrounds differ where the model is used, too",
}


def _p_value(height: float, best_of_chance: _Numbers) -> float:
    return float((1 + (best_of_chance >= height).sum()) / (1 + len(best_of_chance)))


def _rows(classes: _Whole, rng: np.random.Generator) -> _Whole:
    """Photographs of classes that are large enough, at most so many."""
    counts = np.bincount(classes, minlength=1)
    rows = np.flatnonzero(counts[classes] >= LEAST_PHOTOGRAPHS)
    if len(rows) <= _MOST_PHOTOGRAPHS:
        return rows
    drawn = np.sort(rng.choice(rows, _MOST_PHOTOGRAPHS, replace=False))
    counts = np.bincount(classes[drawn], minlength=len(counts))
    kept: _Whole = drawn[counts[classes[drawn]] >= LEAST_PHOTOGRAPHS]
    return kept


def _tables(prints: Fingerprints, rows: _Whole, classes: _Whole, names: Sequence[str]) -> list[_Whole]:
    """The bin of each photograph by each property, in the order of PROPERTIES."""
    numbers = {name: column[rows] for name, column in prints.numbers.items()}
    area = numbers["width"] * numbers["height"]
    patterns = [name_pattern(prints.paths[row], names[classes[row]]) for row in rows]
    return [
        _bins(np.maximum(numbers["width"], numbers["height"])),
        _bins(np.round(numbers["width"] / numbers["height"], 2)),
        _kinds([prints.formats[row] for row in rows]),
        _kinds([prints.cameras[row] for row in rows]),
        _bins(np.round(numbers["compression"], 1)),
        _bins(numbers["file_bytes"] / area),
        _kinds(patterns),
        _bins(numbers["brightness"]),
        _bins(numbers["border"]),
        _bins(numbers["border_spread"]),
    ]


def _bins(values: _Numbers) -> _Whole:
    """Bins of a number: one a value where there are few, or as many photographs in each."""
    different, where = np.unique(values, return_inverse=True)
    if len(different) <= _MOST_VALUES:
        return where
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def _kinds(values: list[str]) -> _Whole:
    """Bins of a word: one each of the commonest, the last for all others."""
    different, where, counts = np.unique(np.array(values, dtype=object), return_inverse=True, return_counts=True)
    ranks = np.empty(len(different), np.intp)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(different))
    return np.minimum(ranks[where], _MOST_VALUES - 1)


class _Shuffles:
    """The classes as they are, and shuffled; each with the fold that it is tried in.

    Args:
        codes: intp (N,), 0 to C - 1.
        classes: C.
        rng: shuffles.
    """

    def __init__(self, codes: _Whole, classes: int, rng: np.random.Generator) -> None:
        self.classes = classes
        # Folds are drawn within each class, and go with it when it is shuffled: always as many of each in each.
        ranks = np.empty(len(codes), np.intp)
        for code in range(classes):
            inside = np.flatnonzero(codes == code)
            ranks[inside] = rng.permutation(len(inside))
        self._cells = ranks % _FOLDS * classes + codes
        self._rng = rng

    def scores(self, tables: list[_Whole]) -> _Numbers:
        """Balanced accuracies as things are: float64 (P, C)."""
        return np.stack([self._score(bins) for bins in tables])

    def shuffle(self) -> None:
        """Give the photographs each other's classes."""
        self._cells = self._rng.permutation(self._cells)

    def _score(self, bins: _Whole) -> _Numbers:
        kinds = int(bins.max()) + 1
        flat = np.bincount(self._cells * kinds + bins, minlength=_FOLDS * self.classes * kinds)
        return _balanced_accuracy(flat.reshape(_FOLDS, self.classes, kinds).astype(np.float64))


def _balanced_accuracy(counts: _Numbers) -> _Numbers:
    """Cross-validate one property on each class.

    Args:
        counts: float64 (folds, C, bins), photographs.

    Returns:
        float64 (C,), 0 to 1: the mean of how many of the class, and how many of the others, were told right.
    """
    totals = counts.sum(axis=0)
    learned = totals - counts
    inside, everything = _shares(learned), learned.sum(axis=1, keepdims=True)
    outside = _shares(everything - learned)
    # A bin that was met on neither side, or equally often on both, is worth half a point to each.
    vote = np.where(inside == outside, 0.5, inside > outside)
    others = counts.sum(axis=1, keepdims=True) - counts
    right = (counts * vote).sum(axis=(0, 2)) / totals.sum(axis=1)
    right_outside = (others * (1 - vote)).sum(axis=(0, 2)) / others.sum(axis=(0, 2))
    answer: _Numbers = (right + right_outside) / 2
    return answer


def _shares(counts: _Numbers) -> _Numbers:
    shares: _Numbers = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    return shares


def _all_scores(tables: list[_Whole], shuffles: _Shuffles) -> _Numbers:
    """float64 (P, C, 1 + shuffles): as things are, then by chance."""
    scores = [shuffles.scores(tables)]
    for _ in range(_SHUFFLES):
        shuffles.shuffle()
        scores.append(shuffles.scores(tables))
    return np.stack(scores, axis=-1)
