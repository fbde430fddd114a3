"""run(config) -> RunResult: the whole story, in the order in which the data flows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from retrain import journal
from retrain.bottlenecks import Features, Material
from retrain.bundle import Bundle
from retrain.config import RunConfig
from retrain.console import Console, HeldConsole
from retrain.dataset import Catalog, Split, SplitRequest, plan_of, split_csv, split_images, with_days
from retrain.evaluate import Accuracy
from retrain.exporters.worker import TensorFlowWorker
from retrain.gather import gather, gather_alike, gather_material, tell_drift
from retrain.head import Head, Recipe
from retrain.judging import Judgement, calibrated, cross, judge
from retrain.outset import check, days_of, each_architecture, prepare, spec_of
from retrain.publish import Saved, Training, describe, is_repetition, place_of, save_exports, save_model
from retrain.results import Earlier, discover, show
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

Pairs = Sequence[tuple[int, int]]
Found = TypeVar("Found", Judgement, LabelJudgement)


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Args:
        bundle: the model, in its own words.
        head: the trained layer.
        test: accuracy of the final test; of several labels a photograph, how often all of them were right.
        cross_validated: accuracy over all photographs; None when it was left out.
        skipped: how many files could not be read.
        files: what was written.
        judgement: all numbers and scores.
    """

    bundle: Bundle
    head: Head
    test: Accuracy
    cross_validated: Accuracy | None
    skipped: int
    files: tuple[str, ...]
    judgement: Judgement | LabelJudgement


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
    config, backbone, features = contender.config, contender.backbone, contender.features
    earlier = Earlier.read(config.output_graph, console)
    table, bundle = begin(contender, recipe, split, worker)
    head = train(contender, recipe, material, split, bundle, console)
    recipe = recipe.ended_at(head.step)  # folds that went further would be surer of themselves than this head
    # Before the model is saved: temperature, threshold of the unknown and sets of labels are in it.
    crossed = cross(config, material, split, recipe, len(bundle.labels), console)
    if config.calibrate:
        head = calibrated(head, crossed, material.labels)
    discovery = discover(config, features, split, head, crossed)
    told = discovery.insight.bundle_fields()
    bundle = replace(bundle, unknown=told["unknown"], sets=told["sets"])
    training = Training(config, backbone, features, split, table, head, bundle, discovery.files())

    def judge_it() -> tuple[Judgement, tuple[str, ...]]:
        found = judge(training, material, recipe, crossed, console)
        return found, show(training, found, discovery, near, console)

    saved, found, shown = save_and_judge(training, judge_it, worker, console)
    files = saved.files + shown + end(training, saved, shown, earlier, console)
    accuracy = None if found.cross_validated is None else found.cross_validated.accuracy
    return RunResult(saved.bundle, head, found.test.accuracy, accuracy, len(features.skipped), files, found)


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
    table, bundle = begin(contender, recipe, split, worker)
    crossed = cross_labels(config, features, material, split, recipe, console)
    head, thresholds = train_labels(contender, recipe, material, split, crossed, bundle)
    discovery = discover_labels(config, features, split, head)
    told = discovery.insight.bundle_fields()
    bundle = replace(bundle, unknown=told["unknown"], thresholds=thresholds)
    training = Training(config, backbone, features, split, table, head, bundle, discovery.files())

    def judge_it() -> tuple[LabelJudgement, tuple[str, ...]]:
        found = judge_labels(training, crossed, console)
        return found, show_labels(training, found, discovery, near, console)

    saved, found, shown = save_and_judge(training, judge_it, worker, console)
    files = saved.files + shown + end(training, saved, shown, earlier, console)
    exact = None if found.cross_validated is None else found.cross_validated.exact
    return RunResult(saved.bundle, head, found.test.exact, exact, len(features.skipped), files, found)


def begin(contender: Contender, recipe: Recipe, split: Split, worker: TensorFlowWorker) -> tuple[str, Bundle]:
    """Write the split as a table and describe the model; TensorFlow is started where the model will be a new one."""
    config, features = contender.config, contender.features
    table = split_csv(features.catalog, features.sha256s, split)
    marks = config.distortions() | config.caveats()
    bundle = describe(config, contender.backbone, features.catalog.labels, recipe, table, marks)
    if not is_repetition(bundle, place_of(config.output_graph, "tflite")):
        worker.start()
    return table, bundle


def end(
    training: Training, saved: Saved, shown: tuple[str, ...], earlier: Earlier, console: Console
) -> tuple[str, ...]:
    """Say what was written and what changed, and write the other formats."""
    if training.backbone.precision != "float32":
        tell_drift(training.config, training.features, training.backbone, training.head, console)
    console.line("Wrote " + ", ".join(saved.files + shown))
    earlier.tell(console)
    return save_exports(training, saved, console)


def save_and_judge(
    training: Training,
    judge_it: Callable[[], tuple[Found, tuple[str, ...]]],
    worker: TensorFlowWorker,
    console: Console,
) -> tuple[Saved, Found, tuple[str, ...]]:
    """Write the model once it has been measured; find out meanwhile how good its head is, and show it."""
    held = HeldConsole(quiet=console.quiet)
    with ThreadPoolExecutor(1, thread_name_prefix="save") as pool:
        saving = pool.submit(save_model, training, worker, held)
        try:
            found, shown = judge_it()
        except BaseException:
            worker.close()  # what is waiting for it need not be waited for
            raise
        saved = saving.result()
    held.release(console)
    return saved, found, shown


def divide(
    config: RunConfig,
    catalog: Catalog,
    features: Features,
    console: Console,
    near: Sequence[tuple[int, int]] = (),
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
    near: Sequence[tuple[int, int]],
) -> Split:
    """Give each photograph that could be read its side, by the flags of the split."""
    request = SplitRequest(config.split_rule, config.validation_percentage, config.testing_percentage)
    plan = plan_of(config, catalog, kept, sha256s)
    if config.group_by == "exif_date":
        plan = with_days(plan, kept, days_of(kept))
    return split_images(kept, sha256s, request, plan, near)
