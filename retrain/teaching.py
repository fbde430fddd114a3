"""From features to a trained head: the recipe of the flags, or the one that compares best, and the training itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrain.backbones import FrozenBackbone, PreparedBackbone
from retrain.bottlenecks import Features, Material
from retrain.bundle import Bundle
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import TRAINING, VALIDATION, Split
from retrain.errors import UsageError
from retrain.evaluate import wilson_interval
from retrain.exporters import frozen_graph
from retrain.head import (
    AUTO,
    Backbone,
    Choice,
    Head,
    Observer,
    Photographs,
    Recipe,
    choose_head,
    fit_head,
    groups_of,
    table_rows,
)
from retrain.head.choosing import fits_of
from retrain.head.recipe import LOGISTIC
from retrain.observe import observers
from retrain.summaries import Summaries

_TIMED = 7


@dataclass(frozen=True)
class Contender:
    """A backbone with what it makes of the photographs.

    Args:
        config: the run's, with this architecture alone.
        backbone: its files present and whole.
        features: of all photographs.
    """

    config: RunConfig
    backbone: PreparedBackbone
    features: Features


def recipe_of(config: RunConfig) -> Recipe:
    """Pick the flags that decide the head.

    Args:
        config: the flags.

    Returns:
        The recipe; its kind is still AUTO where heads are to be compared.
    """
    recipe = Recipe(
        steps=config.how_many_training_steps,
        learning_rate=config.learning_rate,
        batch_size=config.train_batch_size,
        weight_decay=config.weight_decay,
        eval_interval=config.eval_step_interval,
        validation_batch_size=config.validation_batch_size,
        seed=config.seed,
        kind=LOGISTIC if config.multi_label else config.head,
        class_weights=config.class_weights,
        label_smoothing=config.label_smoothing,
        schedule=config.schedule,
        early_stopping=config.early_stopping,
        optimizer=config.optimizer,
        hidden_units=config.hidden_units,
        dropout=config.dropout,
    )
    return recipe if recipe.kind == AUTO else recipe.settled(recipe.kind)


def same_photographs(contenders: Sequence[Contender]) -> None:
    """Insist that all backbones are compared by the same photographs.

    Args:
        contenders: at least one.

    Raises:
        UsageError: files changed while they were read.
    """
    first = contenders[0].features.sha256s
    for one in contenders[1:]:
        if list(one.features.sha256s) != list(first):
            raise UsageError(
                f"photographs changed while {one.backbone.spec.name} read them, so that backbones cannot be compared; "
                "run the same command again"
            )


def decide(
    contenders: Sequence[Contender], materials: Sequence[Material], split: Split, console: Console
) -> tuple[int, Recipe]:
    """Say which backbone and which head to train.

    Args:
        contenders: at least one.
        materials: what heads are trained on, of each.
        split: the training photographs decide.
        console: told how the heads compare.

    Returns:
        Index of the contender, and the recipe.

    Raises:
        NumericalError: a feature, a loss or a weight became NaN or infinite.
        UsageError: the photographs are too few to compare anything by.
    """
    recipe = recipe_of(contenders[0].config)
    if recipe.kind != AUTO:
        return 0, recipe
    names = [one.backbone.spec.name for one in contenders]
    backbones = [
        Backbone(name, material.rows, _cost_ms(one.backbone))
        for name, one, material in zip(names, contenders, materials, strict=True)
    ]
    first, classes = materials[0], len(contenders[0].features.catalog.labels)
    photographs = Photographs(first.labels, split.keys, split.indices(TRAINING), first.training_rows, classes)
    with console.stage("Comparing heads", fits_of(len(backbones)), "fits") as advance:
        choice = choose_head(backbones, photographs, recipe, advance)
    _tell(choice, {one.name: one.cost for one in backbones}, console)
    return names.index(choice.winner.backbone), choice.winner.recipe


def _cost_ms(backbone: PreparedBackbone) -> float:
    """Time a backbone on one thread: median milliseconds a photograph."""
    spec = backbone.spec.input_spec
    frozen, blank = FrozenBackbone(backbone.tflite, spec), np.zeros((spec.height, spec.width, 3), np.uint8)
    taken = []
    for _ in range(_TIMED):
        begun = time.perf_counter()
        frozen.features(blank)
        taken.append(time.perf_counter() - begun)
    return 1000 * float(np.median(taken))


def _tell(choice: Choice, cost_ms: dict[str, float], console: Console) -> None:
    rows = table_rows(choice, wilson_interval)
    width = max(len(row[0]) for row in rows)
    console.line(f"{'backbone':{width}}  head      cross-validated        ms       kB of the head")
    for backbone, kind, accuracy, head_ms, kilobytes, mark in rows:
        ms = f"{cost_ms[backbone] + float(head_ms):.2f}"
        console.line(f"{backbone:{width}}  {kind:8}  {accuracy:21}  {ms:7}  {kilobytes:>6}  {mark}".rstrip())
    right, count = int(choice.nested_right.sum()), len(choice.nested_right)
    low, high = wilson_interval(right, count)
    console.line(
        f"A choice made like this one is right in {100 * right / count:.1f} % of photographs that had no say in it "
        f"({100 * low:.0f} to {100 * high:.0f}, N={count})"
    )
    for remark in choice.remarks:
        console.line(remark)


def train(
    contender: Contender, recipe: Recipe, material: Material, split: Split, bundle: Bundle, console: Console
) -> Head:
    """Train the new layer, with the log, TensorBoard and the intermediate graphs watching.

    Args:
        contender: what the layer stands on.
        recipe: how.
        material: what it is trained on.
        split: sides of the photographs.
        bundle: description of the model.
        console: where log lines go.

    Returns:
        The head.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    config, base, classes = contender.config, contender.backbone.graph.read_bytes(), len(bundle.labels)
    blank = Head(np.zeros((bundle.feature_width, classes), np.float32), np.zeros(classes, np.float32), 0)
    with Summaries(config.summaries_dir, frozen_graph(base, blank, bundle)) as summaries:
        seen_by = observers(config, recipe.steps, summaries, base, bundle, console)
        return fit_on_side(material, split, recipe, classes, seen_by)


def fit_on_side(material: Material, split: Split, recipe: Recipe, classes: int, seen_by: Sequence[Observer]) -> Head:
    """Train a head on the training side.

    Args:
        material: what heads are trained on.
        split: sides of the photographs.
        recipe: how.
        classes: C.
        seen_by: shown how the training goes.

    Returns:
        The head.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    training = split.indices(TRAINING)
    return fit_head(
        material.rows,
        material.labels,
        split.indices(VALIDATION),
        recipe,
        classes,
        seen_by,
        material.training_rows(training),
        groups_of(split.keys, len(material.rows), material.training_rows, training),
    )
