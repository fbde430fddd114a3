"""Everything that is measured of scores whose labels are known, in one record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.evaluate.accuracy import TOP, Accuracy, Floats, confusion_matrix, measure_accuracy, measure_top
from retrain.evaluate.calibration import Calibration, cool, measure_calibration
from retrain.evaluate.classes import ClassNumbers, balanced_accuracy, class_numbers
from retrain.evaluate.intervals import Indices, Interval, effective_count
from retrain.evaluate.ranking import macro_area

# Raised when a name in the JSON changes its meaning.
FORMAT = 1
# Of a table that is written cell by cell: 10,000 classes would make 100 million of a confusion matrix, four times over.
_MOST_CELLS = 1_000_000


@dataclass(frozen=True)
class Numbers:
    """What scores come to. Intervals are of 95 %.

    Args:
        accuracy: right first guesses.
        effective_count: as how many photographs that stand alone they count; fewer than there are where they come in
            groups.
        groups: how many groups; None where each photograph stands alone.
        balanced_accuracy: mean recall of the classes that have photographs; None where none has.
        classes: each class by itself, in the order of the scores.
        top5: right among the first five guesses; None where there are five classes or fewer.
        roc_auc: area under the ROC curve, one class against the rest, mean over classes; None where no class has both.
        calibration: log loss, Brier score and calibration error of the scores as they are.
        temperature: what the logits are divided by for ``cooled``.
        cooled: the same of the cooled scores.
        confusion: int64 (C, C), row the true class, column the first guess.
        notes: what was left out, and why.
    """

    accuracy: Accuracy
    effective_count: float
    groups: int | None
    balanced_accuracy: Interval | None
    classes: tuple[ClassNumbers, ...]
    top5: Accuracy | None
    roc_auc: Interval | None
    calibration: Calibration
    temperature: float
    cooled: Calibration
    confusion: npt.NDArray[np.int64]
    notes: tuple[str, ...]

    def numbers_json(self) -> dict[str, Any]:
        """Spell everything out for JSON.

        Returns:
            Names and values; null for what is not a number, such as the precision of a class never guessed.
        """
        return {"format": FORMAT, **plain(self)}


def measure(
    scores: Floats,
    labels: Indices,
    names: tuple[str, ...],
    groups: Indices | None = None,
    temperature: float = 1.0,
    cooled: Floats | None = None,
    accuracy: Accuracy | None = None,
) -> Numbers:
    """Measure scores whose labels are known.

    Args:
        scores: float32 (N, C), rows sum to 1; out-of-fold, or of photographs never trained on.
        labels: intp (N,).
        names: of the classes, C of them.
        groups: intp (N,), number of each photograph's group; None where each stands alone.
        temperature: of the cooled scores.
        cooled: float32 (N, C); None: the scores at that temperature.
        accuracy: where it is not that of the scores: of a repeated cross-validation, whose mean scores these are.

    Returns:
        The record.
    """
    accuracy = measure_accuracy(scores, labels, groups) if accuracy is None else accuracy
    right = (scores.argmax(axis=1) == labels).astype(np.float64) if len(labels) else np.zeros(0)
    counted = effective_count(right, groups)
    classes = class_numbers(scores, labels, names, groups, counted / len(labels) if len(labels) else 1.0)
    areas = [one.roc_auc for one in classes]
    after = cool(scores, temperature) if cooled is None else cooled
    return Numbers(
        accuracy=accuracy,
        effective_count=counted,
        groups=None if groups is None else len(np.unique(groups)),
        balanced_accuracy=balanced_accuracy(classes),
        classes=classes,
        top5=measure_top(scores, labels, groups),
        roc_auc=macro_area(areas),
        calibration=measure_calibration(scores, labels, groups),
        temperature=temperature,
        cooled=measure_calibration(after, labels, groups),
        confusion=confusion_matrix(scores, labels, len(names)),
        notes=_notes(classes, counted, len(labels)),
    )


def _notes(classes: tuple[ClassNumbers, ...], counted: float, count: int) -> tuple[str, ...]:
    notes = []
    if len(classes) <= TOP:
        notes.append(f"the first {TOP} guesses are not looked at: there are {len(classes)} classes")
    absent = sum(one.count == 0 for one in classes)
    if absent:
        notes.append(f"{absent} of {len(classes)} classes have no photograph here and are in no mean over classes")
    if counted < count:
        notes.append(f"{count} photographs in groups count as {counted:.1f} that stand alone")
    return tuple(notes)


def plain(value: object) -> Any:  # noqa: ANN401
    """Turn any record of this room into what JSON knows.

    Args:
        value: records, arrays, tuples, mappings, numbers, text.

    Returns:
        dict, list, text, numbers; None for NaN and infinity. A table of over a million counts, as a confusion matrix of
        a thousand classes is, becomes the places that are not 0: ``{"shape": [C, C], "entries": [[row, column, n]]}``.

    Raises:
        TypeError: something else was in it.
    """
    if isinstance(value, Accuracy):
        share = value.value if value.count else None
        return {
            "accuracy": share,
            "right": value.right,
            "count": value.count,
            "low_95": value.low,
            "high_95": value.high,
        }
    if isinstance(value, Interval):
        return {"value": plain(value.value), "low_95": plain(value.low), "high_95": plain(value.high)}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return value.tolist() if value.size <= _MOST_CELLS else _entries(value)
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _entries(table: npt.NDArray[np.integer | np.bool_]) -> dict[str, Any]:
    places = np.nonzero(table)
    return {"shape": list(table.shape), "entries": np.stack([*places, table[places]], axis=1).tolist()}
