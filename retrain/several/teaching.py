"""From features to a trained head with a threshold for each label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retrain.bottlenecks import Features, Material, labels_of
from retrain.bundle import Bundle
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, VALIDATION, Split
from retrain.exporters import frozen_graph
from retrain.head import Floats, Head, Recipe, groups_of
from retrain.head.label_folds import CrossedLabels, cross_validate_labels, label_thresholds
from retrain.head.layers import SIGMOID
from retrain.head.multilabel import fit_labels
from retrain.results import Discovery, discover
from retrain.summaries import Summaries
from retrain.teaching import Contender


def targets_of(features: Features, material: Material) -> Floats:
    """Spell out the labels of all rows: those of the photographs, and behind them those of distorted views.

    Args:
        features: of the photographs.
        material: what heads are trained on.

    Returns:
        float32 (rows, C), 1 where a row has a label, else 0.
    """
    own = features.catalog.targets()
    if material.views_of is None:
        return own
    viewed = np.flatnonzero(material.views_of >= 0)
    in_place = viewed[np.argsort(material.views_of[viewed])]
    return np.concatenate([own, np.repeat(own[in_place], material.each, axis=0)])


def cross_labels(
    config: RunConfig, features: Features, material: Material, split: Split, recipe: Recipe, console: Console
) -> CrossedLabels | None:
    """Cross-validate.

    Args:
        config: how many folds.
        features: of all photographs.
        material: what heads are trained and tested on.
        split: photographs with the same key are never told apart.
        recipe: of the head.
        console: shown how far it is.

    Returns:
        Out-of-fold scores; None where cross-validation is off.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    folds = config.folds
    if not folds:
        return None
    with console.stage("Cross-validating", folds, "folds") as advance:
        return cross_validate_labels(
            material.rows,
            targets_of(features, material),
            labels_of(features),
            split.keys,
            recipe,
            folds,
            advance,
            material.training_rows,
            by_size=split.is_grouped,
        )


def train_labels(
    contender: Contender,
    recipe: Recipe,
    material: Material,
    split: Split,
    crossed: CrossedLabels | None,
    bundle: Bundle,
) -> tuple[Head, tuple[float, ...]]:
    """Train the new layer, and choose from what score on each label is given.

    Args:
        contender: what the layer stands on.
        recipe: how.
        material: what it is trained on.
        split: sides of the photographs.
        crossed: out-of-fold scores, which choose the thresholds, those of the final test left out; None leaves it to
            the validation photographs and to folds within the training ones.
        bundle: description of the model, for the graph that TensorBoard shows.

    Returns:
        The head, and the thresholds, C of them.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
        UsageError: there is nothing to train on.
    """
    config, classes = contender.config, len(bundle.labels)
    weights = np.zeros((bundle.feature_width, classes), np.float32)
    blank = Head(weights, np.zeros(classes, np.float32), 0, after=SIGMOID)
    graph = frozen_graph(contender.backbone.graph.read_bytes(), blank, bundle)
    targets, training = targets_of(contender.features, material), split.indices(TRAINING)
    with Summaries(config.summaries_dir, graph):
        fitted = fit_labels(
            material.rows,
            targets,
            split.indices(VALIDATION),
            recipe,
            material.training_rows(training),
            groups_of(split.keys, len(material.rows), material.training_rows, training),
        )
    thresholds = fitted.thresholds
    if crossed is not None:
        kept = split.sides != TESTING
        thresholds = label_thresholds(crossed.scores[kept], targets[: len(kept)][kept])
    return fitted.head, tuple(map(float, thresholds))


def discover_labels(config: RunConfig, features: Features, split: Split, head: Head) -> Discovery:
    """Find when a photograph is like none of these; wrong labels and sets are about one label a photograph.

    Args:
        config: how often it may be wrong.
        features: of all photographs.
        split: which of them the head was trained on.
        head: as it will be saved.

    Returns:
        What was found; nothing is written.
    """
    return discover(replace(config, coverage=0.0), features, split, head, None)
