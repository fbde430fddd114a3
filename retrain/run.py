"""run(config) -> RunResult: the whole story, in the order in which the data flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retrain import journal
from retrain.bottlenecks import Features, Material, labels_of, material_of
from retrain.concluding import Pairs, RunResult, Taught, begin, conclude, end, save_and_judge
from retrain.config import RunConfig
from retrain.config.networks import HEAD
from retrain.console import Console
from retrain.dataset import TRAINING, Catalog, Split, SplitRequest, plan_of, split_images, with_days
from retrain.exporters.worker import TensorFlowWorker
from retrain.gather import gather, gather_alike, gather_material
from retrain.head import Recipe
from retrain.judging import calibrated, cross
from retrain.outset import check, days_of, each_architecture, prepare, spec_of
from retrain.publish import NetworkTraining, Training, place_of
from retrain.results import Earlier
from retrain.several import (
    LabelJudgement,
    cross_labels,
    discover_labels,
    judge_labels,
    show_labels,
    train_labels,
)
from retrain.survey import start_lines
from retrain.teaching import Contender, decide, same_photographs, train
from retrain.whole import cross_networks, first_look, train_whole, validated

__all__ = ["RunResult", "run"]


def run(config: RunConfig, console: Console | None = None) -> RunResult:
    """Train a classifier on a folder of photographs.

    Args:
        config: what to do.
        console: where to say how it goes; None says nothing.

    Returns:
        What it came to; the files are written.

    Raises:
        RetrainError: one of its kinds, see errors.py; no file is half written.
    """
    console = console or Console(quiet=True)
    _, catalog = check(config, console)
    journal.tell_catalog(catalog, console)
    if not catalog.label_sets:  # whose folders mean nothing
        journal.tell_layout(start_lines(catalog, config.image_dir, config.image_list), console)
    with TensorFlowWorker() as worker:
        if config.train != HEAD:
            return run_whole(config, catalog, worker, console)
        if not place_of(config.output_graph, "tflite").exists():
            worker.start()  # it imports TensorFlow meanwhile, for the check of what will be written
        contenders = [contend(one, catalog, console) for one in each_architecture(config)]
        same_photographs(contenders)
        features = contenders[0].features
        near = gather_alike(config, features, contenders[0].backbone, console)
        split = divide(config, catalog, features, console, near)
        materials = [gather_material(one.config, one.features, split, one.backbone, console) for one in contenders]
        place, recipe = decide(contenders, materials, split, console)
        finishing = finish_several if config.multi_label else finish
        # The whole list of architectures is what repeats the run: report, card and metrics name it.
        winner = replace(contenders[place], config=config)
        return finishing(winner, recipe, materials[place], split, near, worker, console)


def contend(config: RunConfig, catalog: Catalog, console: Console) -> Contender:
    """Give every photograph its vector by one architecture."""
    backbone = prepare(config, spec_of(config), console)
    journal.tell_backbone(backbone, console)
    return Contender(config, backbone, gather(config, catalog, backbone, console))


def finish(
    contender: Contender,
    recipe: Recipe,
    material: Material,
    split: Split,
    near: Pairs,
    worker: TensorFlowWorker,
    console: Console,
) -> RunResult:
    """Train the head that was decided on, and leave behind all that a run leaves."""
    config = contender.config
    table, bundle = begin(contender, recipe.facts(), split, worker)
    head = train(contender, recipe, material, split, bundle, console)
    recipe = recipe.ended_at(head.step)  # folds that went further would be surer of themselves than this head
    crossed = cross(config, material, split, recipe, len(bundle.labels), console)
    if config.calibrate:
        head = calibrated(head, crossed, material.labels)
    return conclude(Taught(contender, head, crossed, material, recipe, table, bundle), split, near, worker, console)


def run_whole(config: RunConfig, catalog: Catalog, worker: TensorFlowWorker, console: Console) -> RunResult:
    """Train a whole network and leave behind all that a run leaves."""
    looking = first_look(config)
    base = contend(looking, catalog, console)
    near = gather_alike(looking, base.features, base.backbone, console)
    split = divide(config, catalog, base.features, console, near)
    whole = train_whole(config, catalog, base, split, console)
    journal.tell_network(whole.contender.backbone, whole.yardstick, console)
    contender, head = whole.contender, whole.head
    table, bundle = begin(contender, whole.facts, split, worker)
    crossed = cross_networks(config, base, split, console)
    if config.calibrate:
        seen = (crossed, labels_of(contender.features)) if crossed else validated(head, contender.features, split)
        head = calibrated(head, *(seen or (None, np.zeros(0, np.intp))))
    # Vectors of photographs that a network was trained on lie closer to each other than those of others.
    told_by = np.flatnonzero(split.sides != TRAINING)
    network = NetworkTraining(whole.trained, *whole.yardstick)
    material = material_of(contender.features, None)
    taught = Taught(contender, head, crossed, material, None, table, bundle, told_by, network)
    return conclude(taught, split, near, worker, console)


def finish_several(
    contender: Contender,
    recipe: Recipe,
    material: Material,
    split: Split,
    near: Pairs,
    worker: TensorFlowWorker,
    console: Console,
) -> RunResult:
    """Do what finish does, where a photograph may have several labels."""
    config, backbone, features = contender.config, contender.backbone, contender.features
    earlier = Earlier.read(config.output_graph, console)
    table, bundle = begin(contender, recipe.facts(), split, worker)
    crossed = cross_labels(config, features, material, split, recipe, console)
    head, thresholds = train_labels(contender, recipe, material, split, crossed, bundle)
    discovery = discover_labels(config, features, split, head)
    told = discovery.insight.bundle_fields()
    bundle = replace(bundle, unknown=told["unknown"], thresholds=thresholds)
    noted = {"insight": discovery.insight.facts(features.catalog.labels)}
    training = Training(config, backbone, features, split, table, head, bundle, discovery.files(), noted=noted)

    def judge_it() -> tuple[LabelJudgement, tuple[str, ...]]:
        found = judge_labels(training, crossed, console)
        return found, show_labels(training, found, discovery, near, console)

    saved, found, shown = save_and_judge(training, judge_it, worker, console)
    files = saved.files + shown + end(training, saved, shown, earlier, console)
    exact = None if found.cross_validated is None else found.cross_validated.exact
    return RunResult(saved.bundle, head, found.test.exact, exact, len(features.skipped), files, found)


def divide(
    config: RunConfig,
    catalog: Catalog,
    features: Features,
    console: Console,
    near: Pairs = (),
) -> Split:
    """Decide which photographs are trained on, validated on and tested on."""
    split = draw_split(config, catalog, features.catalog, features.sha256s, near)
    journal.tell_split(split, console)
    return split


def draw_split(
    config: RunConfig,
    catalog: Catalog,
    kept: Catalog,
    sha256s: Sequence[bytes],
    near: Pairs,
) -> Split:
    """Give each photograph that could be read its side, by the flags of the split."""
    request = SplitRequest(config.split_rule, config.validation_percentage, config.testing_percentage, config.folds)
    plan = plan_of(config, catalog, kept, sha256s)
    if config.group_by == "exif_date":
        plan = with_days(plan, kept, days_of(kept))
    return split_images(kept, sha256s, request, plan, near)
