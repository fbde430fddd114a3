"""What label_image says of one photograph: guesses and, where the model can tell, what it is most alike to.

Imported for every model; the memory beside the model and the rules of the room insight only for those that have them.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrain.classifier import Classifier, Guess, ImageLike, Result
from retrain.console import printable
from retrain.errors import ImageError, ModelError, UsageError
from retrain.images import Floats
from retrain.label.flags import LabelConfig

if TYPE_CHECKING:
    from retrain.insight.memory import Memory, Neighbour
    from retrain.insight.sets import SetRule

# How many training photographs are shown.
SHOWN = 3


@dataclass(frozen=True)
class Judged(Result):
    """What came of one photograph, with what is known beside its scores.

    Args:
        nearest: the training photographs most alike to it, nearest first; empty where that cannot be told.
        is_far: whether it is less like them than the model's threshold, or --min_cosine.
        label_set: the labels one of which is right as often as the model promises, best first; None: not asked for.
        given: of a model that gives several labels, those whose score is at least its threshold, best first; None: of
            one that gives one.
    """

    nearest: tuple[Neighbour, ...] = ()
    is_far: bool = False
    label_set: tuple[str, ...] | None = None
    given: tuple[Guess, ...] | None = None


class Judge:
    """Judges photographs; may be used from several threads.

    Args:
        classifier: the model.
        config: evidence, sets, min_cosine, top_k and, in place of the thresholds of several labels, min_score.

    Raises:
        UsageError: evidence or sets are asked for, and the model has none.
        ModelError: what belongs to the model is missing while it is asked for, or damaged.
    """

    def __init__(self, classifier: Classifier, config: LabelConfig) -> None:
        self.classifier, self._config = classifier, config
        self._asked = config.evidence or bool(config.min_cosine)
        self._rule = _rule_of(classifier, config) if config.sets else None
        self._min_cosine = config.min_cosine or 0.0
        own, count = classifier.bundle.thresholds, len(classifier.bundle.labels)
        self._thresholds = own if not own or config.min_score is None else (config.min_score,) * count
        self._memory = self._remember()
        self._lock, self._told = threading.Lock(), False

    def judge(self, image: ImageLike, index: int = 0) -> Judged:
        """Judge one photograph.

        Args:
            image: what Classifier.classify takes.
            index: its place among those given.

        Returns:
            The answer.

        Raises:
            ImageError: it is not an image that is read.
            UsageError: evidence is asked for, and this format of the model does not give it.
        """
        scores, vector = self._run(image)
        nearest, is_far = self._likeness(vector)
        order = np.argsort(-scores, kind="stable")
        labels = self.classifier.bundle.labels
        guesses = tuple(Guess(labels[i], float(scores[i])) for i in order[: self._config.top_k])
        path = image if isinstance(image, str) else None
        given = tuple(self.classifier.labels_of(scores, self._thresholds)) if self._thresholds else None
        return Judged(index, path, guesses, None, nearest, is_far, self._set(scores, order), given)

    def judge_or_error(self, numbered: tuple[int, ImageLike]) -> Judged:
        """Judge one of many photographs.

        Args:
            numbered: its place and itself.

        Returns:
            The answer, or why there is none.
        """
        index, image = numbered
        try:
            return self.judge(image, index)
        except ImageError as error:
            return Judged(index, image if isinstance(image, str) else None, (), error)

    def _remember(self) -> Memory | None:
        """Read the memory beside the model, where it has one and it is there."""
        source, bundle = self._config.graph, self.classifier.bundle
        if not bundle.unknown:
            if self._asked:
                raise UsageError(
                    f"expected a model that remembers its training photographs, for --evidence and --min_cosine; "
                    f"{source} does not: train it again with this version"
                )
            return None
        from retrain.insight.memory import ENDING, read_memory
        from retrain.insight.unknown import unknown_of

        unknown = unknown_of(bundle.unknown, source)
        place = Path(source).with_suffix(ENDING)
        if unknown is None or not (self._asked or self._config.min_cosine is None) or not _may_read(place, self._asked):
            return None
        if self._config.min_cosine is None:
            self._min_cosine = unknown.min_cosine
        return read_memory(place, unknown.memory_sha256, bundle.feature_width, len(bundle.labels))

    def _run(self, image: ImageLike) -> tuple[Floats, Floats | None]:
        if self._memory is None:
            return self.classifier.scores(image), None
        scores, vector = self.classifier.scores_and_bottleneck(image)
        if vector is None:
            self._tell_that_there_is_no_vector()
        return scores, vector

    def _likeness(self, vector: Floats | None) -> tuple[tuple[Neighbour, ...], bool]:
        if self._memory is None or vector is None:
            return (), False
        nearest = self._memory.nearest(vector, self.classifier.bundle.labels, SHOWN)
        return nearest, bool(np.mean([one.cosine for one in nearest]) < self._min_cosine)

    def _set(self, scores: Floats, order: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> tuple[str, ...] | None:
        if self._rule is None:
            return None
        chosen = self._rule.sets(scores[None, :])[0]
        return tuple(self.classifier.bundle.labels[i] for i in order if chosen[i])

    def _tell_that_there_is_no_vector(self) -> None:
        source = printable(self._config.graph)
        what = f"{source} gives scores only, not the vector that likeness to the training photographs is told by"
        if self._asked:
            raise UsageError(f"{what}; use the .pb with its .tflite for --evidence and --min_cosine")
        with self._lock:
            if not self._told:
                print(f"label_image: {what}: none is called unknown for being unlike them", file=sys.stderr)
            self._told = True


def _may_read(place: Path, asked: bool) -> bool:
    """Say whether the memory is to be read: one that was left behind is missed only when it is asked for."""
    if place.exists():
        return True
    if asked:
        raise ModelError(
            f"expected {place}, which the run wrote beside the model, for --evidence and --min_cosine; copy it there"
        )
    return False


def _rule_of(classifier: Classifier, config: LabelConfig) -> SetRule:
    from retrain.insight.sets import rule_of

    if classifier.bundle.thresholds:
        raise UsageError(
            f"got --sets, which hold the one right label, and {config.graph}, which gives each label by itself; leave "
            "--sets away"
        )
    rule = rule_of(classifier.bundle.sets, config.graph)
    if rule is None:
        raise UsageError(
            f"expected a model that promises a coverage, for --sets; {config.graph} does not: train it with --coverage "
            "and cross-validation, on photographs enough for the promise"
        )
    return rule
