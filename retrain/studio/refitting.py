"""A head trained on what the folder is now: the way of a run, from the folder to the head, without what a run writes.

The recipe, the split and the training are those of ``python -m retrain``, so that the numbers on the page are those
of a run. What it costs is the training: the vectors come out of the cache.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

import numpy as np

from retrain.backbones import PreparedBackbone
from retrain.bottlenecks import Features, Material, labels_of
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, Catalog, Split, split_csv
from retrain.evaluate import Numbers, cooled_scores, group_numbers, measure, measure_repeated
from retrain.gather import gather, gather_alike, gather_material
from retrain.head import (
    Crossed,
    Floats,
    Head,
    Indices,
    Observer,
    Recipe,
    StepReport,
    Stopped,
    cross_validate_again,
)
from retrain.insight import gain
from retrain.insight.gain import Insight, gain_insight
from retrain.judging import calibrated, measure_test, tested_rows
from retrain.publish.describing import manifest_sha256
from retrain.run import draw_split
from retrain.studio.recognising import Recognising
from retrain.teaching import fit_on_side

# Folds of the cross-validation that follows a correction: one deal, so that it is there in seconds.
FOLDS = 5
# How often a head that is being trained looks whether it is still wanted; each look measures some photographs.
_LOOKS = 20


class Overtaken(Exception):  # noqa: N818
    """Something newer is to be done in place of this."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A head, and what it says of the photographs.

    Args:
        config: what it was made by.
        backbone: what it stands on.
        features: of all photographs that can be read; their catalog is the folder as it was then.
        split: side of each.
        material: what heads are trained on: the features and, where the run distorts, distorted views.
        recipe: of the head.
        head: as it would be saved, but for its temperature.
        scores: float32 (N, C), of all photographs, those it was trained on too.
        test: numbers of the photographs that it was neither trained nor chosen by.
        manifest: hash of the photographs' contents and labels, as a model's description has it.
        seconds: what it took.
    """

    config: RunConfig
    backbone: PreparedBackbone
    features: Features
    split: Split
    material: Material
    recipe: Recipe
    head: Head
    scores: Floats
    test: Numbers
    manifest: str
    seconds: float

    @property
    def catalog(self) -> Catalog:
        """The photographs."""
        return self.features.catalog

    @property
    def labels(self) -> Indices:
        """The class of each photograph, intp (N,)."""
        return labels_of(self.features)


@dataclass(frozen=True, eq=False)
class Examined:
    """What cross-validation adds: an accuracy over all photographs, and labels that may be wrong.

    Args:
        crossed: out-of-fold scores.
        scores: float32 (N, C), the same at the head's temperature.
        numbers: of all photographs, each judged by a head that had not seen it.
        head: the fitted one, its temperature folded in.
        insight: suspects, neighbours, the threshold of the unknown.
        seconds: what it took.
    """

    crossed: Crossed
    scores: Floats
    numbers: Numbers
    head: Head
    insight: Insight
    seconds: float


@dataclass(frozen=True)
class Flip:
    """A photograph that is named differently than before.

    Args:
        path: below the image folder, as it is now.
        before: label that it was given.
        now: label that it is given.
        truth: label of its folder.
        side: TRAINING, VALIDATION or TESTING.
    """

    path: str
    before: str
    now: str
    truth: str
    side: int


def fit(
    config: RunConfig,
    catalog: Catalog,
    backbone: PreparedBackbone,
    recipe: Recipe,
    console: Console | None = None,
    stop: Event | None = None,
) -> Fitted:
    """Train a head on a folder as it is now.

    Args:
        config: of one architecture and one label a photograph.
        catalog: the folder, without problems.
        backbone: its files present and whole.
        recipe: of the head; its kind is settled.
        console: shown how far extraction is; None: nobody.
        stop: set when the head is not wanted any more.

    Returns:
        The head and what it says.

    Raises:
        Overtaken: ``stop`` was set.
        RetrainError: one of its kinds, see errors.py.
    """
    console, stop, start = console or Console(quiet=True), stop or Event(), time.perf_counter()
    features = gather(config, catalog, backbone, console, Recognising)
    near = gather_alike(config, features, backbone, console)
    split = draw_split(config, catalog, features.catalog, features.sha256s, near)
    _look(stop)
    material = gather_material(config, features, split, backbone, console)
    head = _trained(material, split, recipe, len(features.catalog.labels), stop)
    scores = head.classify(features.rows, np.arange(len(features.sha256s)))
    labels = labels_of(features)
    rows = tested_rows(config, labels, split.indices(TESTING))
    test = measure_test(scores[rows], split, rows, labels, features.catalog.labels)
    manifest = manifest_sha256(split_csv(features.catalog, features.sha256s, split))
    seconds = time.perf_counter() - start
    return Fitted(config, backbone, features, split, material, recipe, head, scores, test, manifest, seconds)


def _look(stop: Event) -> None:
    if stop.is_set():
        raise Overtaken


def _trained(material: Material, split: Split, recipe: Recipe, classes: int, stop: Event) -> Head:
    def see(report: StepReport) -> None:
        _look(stop)

    return fit_on_side(material, split, recipe, classes, [Observer(max(1, recipe.steps // _LOOKS), see)])


def examine(fitted: Fitted, stop: Event | None = None) -> Examined:
    """Cross-validate, and look for labels that may be wrong.

    Args:
        fitted: of ``fit``.
        stop: set when what is found is not wanted any more.

    Returns:
        What was found.

    Raises:
        Overtaken: ``stop`` was set.
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    stop, start = stop or Event(), time.perf_counter()
    config, features, split, material = fitted.config, fitted.features, fitted.split, fitted.material
    names, groups = features.catalog.labels, group_numbers(split.keys)
    crossed = _crossed(fitted, stop)
    head = calibrated(fitted.head, crossed, material.labels) if config.calibrate else fitted.head
    scores = cooled_scores(crossed.scores, head.temperature)
    accuracy = measure_repeated(crossed.scores, fitted.labels, groups)
    numbers = measure(crossed.mean_scores, fitted.labels, names, groups, head.temperature, scores, accuracy)
    _look(stop)
    paths = [record.path for record in features.catalog.records]
    known = gain.Material(features.rows, fitted.labels, paths, split.keys, split.indices(TRAINING), names)
    insight = gain_insight(known, scores, unknown_false_alarms=config.unknown_false_alarms, coverage=config.coverage)
    return Examined(crossed, scores, numbers, head, insight, time.perf_counter() - start)


def _crossed(fitted: Fitted, stop: Event) -> Crossed:
    split, material = fitted.split, fitted.material
    # Folds that went further would be surer of themselves than this head.
    recipe, classes = fitted.recipe.ended_at(fitted.head.step), len(fitted.catalog.labels)
    try:
        return cross_validate_again(
            material.rows, material.labels, split.keys, recipe, classes, FOLDS, 1, lambda: _look(stop),
            material.training_rows, by_size=split.is_grouped, stop=stop,
        )  # fmt: skip
    except Stopped as stopped:
        raise Overtaken from stopped


def flips(before: Fitted, now: Fitted) -> list[Flip]:
    """List the photographs that are named differently; moved ones are known by their content.

    Args:
        before: of the folder as it was.
        now: of the folder as it is.

    Returns:
        One each, those of the test first, then by path.
    """
    earlier = dict(zip(before.features.sha256s, _first_guesses(before), strict=True))
    found = []
    for row, (sha, label) in enumerate(zip(now.features.sha256s, _first_guesses(now), strict=True)):
        was = earlier.get(sha)
        if was is not None and was != label:
            record = now.catalog.records[row]
            truth = now.catalog.labels[record.label]
            found.append(Flip(record.path, was, label, truth, int(now.split.sides[row])))
    return sorted(found, key=lambda one: (one.side != TESTING, one.path))


def _first_guesses(fitted: Fitted) -> Sequence[str]:
    names = fitted.catalog.labels
    return [names[index] for index in fitted.scores.argmax(axis=1)]
