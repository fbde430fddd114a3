"""run(config) -> RunResult: the whole story, in the order in which the data flows."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from retrain import journal
from retrain.bottlenecks import Features, Material
from retrain.bundle import Bundle
from retrain.config import RunConfig
from retrain.console import Console, HeldConsole
from retrain.dataset import Catalog, Split, SplitRequest, plan_of, split_csv, split_images, with_days
from retrain.evaluate import Accuracy
from retrain.exporters.worker import TensorFlowWorker
from retrain.gather import gather, gather_alike, gather_material, tell_drift
from retrain.head import Crossed, Head, Recipe
from retrain.judging import Judgement, calibrated, cross, judge
from retrain.outset import check, days_of, each_architecture, prepare, spec_of
from retrain.publish import Saved, Training, describe, is_repetition, place_of, save_exports, save_model
from retrain.results import Discovery, Earlier, discover, show
from retrain.survey import start_lines
from retrain.teaching import Contender, decide, same_photographs, train

Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Args:
        bundle: the model, in its own words.
        head: the trained layer.
        test: accuracy of the final test.
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
    judgement: Judgement


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
        return finish(contenders[place], recipe, materials[place], split, near, worker, console)


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
    table = split_csv(features.catalog, features.sha256s, split)
    marks = config.distortions() | config.caveats()
    bundle = describe(config, backbone, features.catalog.labels, recipe, table, marks)
    if not is_repetition(bundle, place_of(config.output_graph, "tflite")):
        worker.start()
    head = train(contender, recipe, material, split, bundle, console)
    # Before the model is saved: temperature, threshold of the unknown and sets of labels are in it.
    crossed = cross(config, material, split, recipe, len(bundle.labels), console)
    if config.calibrate:
        head = calibrated(head, crossed, material.labels)
    discovery = discover(config, features, split, head, crossed)
    told = discovery.insight.bundle_fields()
    bundle = replace(bundle, unknown=told["unknown"], sets=told["sets"])
    training = Training(config, backbone, features, split, table, head, bundle, discovery.files())
    saved, found, shown = save_and_judge(training, material, recipe, crossed, discovery, near, worker, console)
    if backbone.precision != "float32":
        tell_drift(config, features, backbone, head, console)
    console.line("Wrote " + ", ".join(saved.files + shown))
    earlier.tell(console)
    more = save_exports(training, saved, console)
    accuracy = None if found.cross_validated is None else found.cross_validated.accuracy
    files = saved.files + shown + more
    return RunResult(saved.bundle, head, found.test.accuracy, accuracy, len(features.skipped), files, found)


def save_and_judge(
    training: Training,
    material: Material,
    recipe: Recipe,
    crossed: Crossed | None,
    discovery: Discovery,
    near: Pairs,
    worker: TensorFlowWorker,
    console: Console,
) -> tuple[Saved, Judgement, tuple[str, ...]]:
    """Write the model once it has been measured; find out meanwhile how good its head is, and show it."""
    held = HeldConsole(quiet=console.quiet)
    with ThreadPoolExecutor(1, thread_name_prefix="save") as pool:
        saving = pool.submit(save_model, training, worker, held)
        try:
            found = judge(training, material, recipe, crossed, console)
            shown = show(training, found, discovery, near, console)
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
