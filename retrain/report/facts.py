"""What the report is made of: one frozen record of arrays and words, filled by the run; no I/O and no decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from retrain.bottlenecks import Rows

Indices = npt.NDArray[np.intp]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Photographs:
    """The photographs that the run could read.

    Args:
        names: path of each under the image folder, as it is on the disk; N of them.
        labels: intp (N,), the class of each.
        sides: uint8 (N,), TRAINING, VALIDATION or TESTING of retrain.dataset; None where nothing was split.
    """

    names: tuple[str, ...]
    labels: Indices
    sides: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """Photographs classified by a head that had not seen them.

    Args:
        title: "Cross-validation", "Final test".
        sentence: what was done, and what it says of the model.
        rows: intp (K,), which photographs; each at most once.
        scores: float32 (K, C), 0 to 1.
    """

    title: str
    sentence: str
    rows: Indices
    scores: Floats

    @property
    def predicted(self) -> Indices:
        """The class with the highest score, intp (K,)."""
        return np.asarray(self.scores.argmax(axis=1), np.intp)


@dataclass(frozen=True, eq=False)
class LabelJudged:
    """Photographs that may have several labels, answered by a head and thresholds that had not seen them.

    Args:
        title: "Cross-validation", "Final test".
        sentence: what was done.
        rows: intp (K,), which photographs; each at most once.
        scores: float32 (K, C), 0 to 1, of each label by itself.
        truth: bool (K, C), which labels each has.
        said: bool (K, C), which labels it was given.
    """

    title: str
    sentence: str
    rows: Indices
    scores: Floats
    truth: npt.NDArray[np.bool_]
    said: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    """One number at the top of the page.

    Args:
        name: what it is: "Cross-validated accuracy".
        value: as it is read: "95.2 %".
        detail: its interval, its N; may be empty.
    """

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True, eq=False)
class ClassNumbers:
    """How good the model is at each class.

    Args:
        sentence: what they were measured on, and how the intervals were found.
        counts: intp (C,), photographs judged.
        recall: float (C, 3): value, low and high end of its interval, 0 to 1; NaN where nothing can be said.
        precision: as recall.
        f1: as recall.
        average_precision: as recall, where a photograph may have several labels; None: one label each.
    """

    sentence: str
    counts: Indices
    recall: Floats
    precision: Floats
    f1: Floats
    average_precision: Floats | None = None


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often the model is right when it is that sure.

    Args:
        confidence: float (B,), mean score of each bin's photographs, 0 to 1; NaN in empty bins.
        accuracy: float (B,), share of them that is right.
        counts: intp (B,), how many they are.
        error: expected calibration error, 0 to 1.
    """

    confidence: Floats
    accuracy: Floats
    counts: Indices
    error: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether scores are probabilities.

    Args:
        sentence: what it comes to.
        before: as the head was trained.
        after: with the temperature; None where none was fitted.
        temperature: what logits are divided by; 1 where none was fitted.
    """

    sentence: str
    before: Reliability
    after: Reliability | None = None
    temperature: float = 1.0


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Accuracy against the number of photographs.

    Args:
        sentence: the answer to "how many more pictures do I need, and of which class?".
        sizes: float (P,), training photographs a class.
        accuracy: float (P,), 0 to 1.
        low: float (P,), end of its interval.
        high: float (P,), the other end.
        fitted_sizes: float (Q,), where the fitted curve is known, past the last size too; empty for none.
        fitted: float (Q,), its accuracy.
    """

    sentence: str
    sizes: Floats
    accuracy: Floats
    low: Floats
    high: Floats
    fitted_sizes: Floats = field(default_factory=lambda: np.zeros(0))
    fitted: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class History:
    """How a whole network was trained, epoch by epoch.

    Args:
        sentence: for how long, which epoch was best, what stayed as it was.
        loss: float (E, 2), of training and validation; NaN where there is none.
        accuracy: float (E, 2), likewise, 0 to 1.
        kept: the epoch whose weights the model has, counted from 1.
    """

    sentence: str
    loss: Floats
    accuracy: Floats
    kept: int


@dataclass(frozen=True, eq=False)
class Suspects:
    """Labels that may be wrong.

    Args:
        sentence: how they were found.
        rows: intp (S,), the most suspect first.
        suggested: intp (S,), the class that fits better.
        confidence: float (S,), how sure of it, 0 to 1.
        command: what moves them; may be empty.
    """

    sentence: str
    rows: Indices
    suggested: Indices
    confidence: Floats
    command: str = ""


@dataclass(frozen=True, eq=False)
class Copies:
    """Photographs that are one picture.

    Args:
        rows: intp (2 or more,).
        kind: "exact", "near", "mirrored".
    """

    rows: Indices
    kind: str


@dataclass(frozen=True, eq=False)
class Unknown:
    """From which distance on the model says that it does not know.

    Args:
        sentence: how the threshold was chosen, and what it promises.
        measure: what is on the axis: "mean cosine to the nearest training photographs".
        known: float (K,), of held-out photographs of the classes.
        threshold: photographs beyond it are unknown.
        others: float (M,), of photographs of none of the classes, where there are any.
        is_likeness: whether photographs below the threshold are unknown; without it, those above.
    """

    sentence: str
    measure: str
    known: Floats
    threshold: float
    others: Floats | None = None
    is_likeness: bool = False


@dataclass(frozen=True, eq=False)
class Heat:
    """Where the model looks.

    Args:
        row: which photograph.
        weights: float (h, w) over the whole photograph, upright, of retrain.insight.heat.occlusion_map: above 0 what
            speaks for the answer, below 0 what speaks against it.
        sentence: what was asked: "what speaks for open cluster"; may be empty.
    """

    row: int
    weights: Floats
    sentence: str = ""


@dataclass(frozen=True)
class Origin:
    """Where the model comes from.

    Args:
        command: repeats the run.
        settings: name and value of each flag.
        hashes: what, and its SHA-256.
        versions: package, and its version.
    """

    command: str
    settings: tuple[tuple[str, str], ...] = ()
    hashes: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class ReportFacts:
    """All that the report says. A part that is None is replaced by a sentence that says how to get it.

    Args:
        title: of the page: the image folder's name, for example.
        sentence: the run in one plain sentence.
        classes: names of the C classes.
        photographs: N of them.
        origin: settings, hashes, versions, command.
        figures: the numbers at the top.
        notes: what a person should know before believing any of it.
        judged: the first is shown at length: cross-validation where it was done, then the final test.
        label_judged: what is judged where a photograph may have several labels; then ``judged`` is empty.
        class_numbers: per class.
        calibration: reliability.
        learning: learning curve.
        suspects: labels that may be wrong; none found is an empty array, not looked for is None.
        copies: as suspects.
        copies_sentence: what was looked for: exact copies alone, for example; may be empty.
        vectors: float32 (N, D) for the map, or rows that are read from a file: at most 4,000 are asked for.
        unknown: distances and threshold.
        heat: heat maps.
        heat_sentence: how they were made.
        missing: section -> sentence that says how to get it, in place of the report's own; sections are those of
            retrain.report.page.SECTIONS.
        shown_as: what is said of photographs that are in no judgement, behind the name of their class.
        history: of a whole network's training; its section is left out where only a layer was trained.
    """

    title: str
    sentence: str
    classes: tuple[str, ...]
    photographs: Photographs
    origin: Origin
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    judged: tuple[Judged, ...] = ()
    label_judged: LabelJudged | None = None
    class_numbers: ClassNumbers | None = None
    calibration: Calibration | None = None
    learning: LearningCurve | None = None
    suspects: Suspects | None = None
    copies: tuple[Copies, ...] | None = None
    copies_sentence: str = ""
    vectors: Rows | npt.NDArray[np.float32] | None = None
    unknown: Unknown | None = None
    heat: tuple[Heat, ...] | None = None
    heat_sentence: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    shown_as: str = "not judged"
    history: History | None = None
