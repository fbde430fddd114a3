"""run(config) -> RunResult: the whole story, in the order in which the data flows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from retrain import journal, storage
from retrain.backbones import (
    BackboneSpec,
    HubRequest,
    PreparedBackbone,
    find_backbone,
    graph_spec,
    hub_spec,
    prepare_backbone,
    prepare_graph,
    prepare_hub,
)
from retrain.bottlenecks import Features, Material, labels_of
from retrain.bundle import Bundle
from retrain.config import RunConfig, format_problems
from retrain.config.handles import module_problem
from retrain.console import Console, HeldConsole
from retrain.dataset import (
    TESTING,
    TRAINING,
    VALIDATION,
    Catalog,
    Split,
    SplitPlan,
    SplitRequest,
    find_photographs,
    plan_of,
    plan_problems,
    split_csv,
    split_images,
    unpack_photographs,
    with_days,
)
from retrain.errors import UsageError, WeightsError
from retrain.evaluate import Accuracy, confusion_matrix, measure_accuracy
from retrain.exporters import frozen_graph
from retrain.exporters.making import problems_of_formats
from retrain.exporters.worker import TensorFlowWorker
from retrain.gather import gather, gather_alike, gather_material, tell_drift
from retrain.head import ClassBalancedSampler, Head, Recipe, cross_validate, train_softmax
from retrain.images.dates import days_taken
from retrain.images.sky import sky_of
from retrain.observe import observers
from retrain.publish import (
    Saved,
    Training,
    beside,
    describe,
    formats_of,
    is_repetition,
    place_of,
    save_exports,
    save_model,
    write_metrics,
)
from retrain.summaries import Summaries
from retrain.survey import start_lines


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
    """

    bundle: Bundle
    head: Head
    test: Accuracy
    cross_validated: Accuracy | None
    skipped: int
    files: tuple[str, ...]


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
    spec, catalog = check(config, console)
    journal.tell_catalog(catalog, console)
    journal.tell_layout(start_lines(catalog, config.image_dir, config.image_list), console)
    backbone = prepare(config, spec, console)
    journal.tell_backbone(backbone, console)
    tflite = place_of(config.output_graph, "tflite")
    with TensorFlowWorker() as worker:
        if not tflite.exists():
            worker.start()  # it imports TensorFlow meanwhile, for the check of what will be written
        features = gather(config, catalog, backbone, console)
        near = gather_alike(config, features, backbone, console)
        split = divide(config, catalog, features, console, near)
        table = split_csv(features.catalog, features.sha256s, split)
        marks = config.distortions() | config.caveats()
        bundle = describe(config, backbone, catalog.labels, recipe_of(config), table, marks)
        material = gather_material(config, features, split, backbone, console)
        if not is_repetition(bundle, tflite):
            worker.start()
        head = train(config, backbone, material, split, bundle, console)
        training = Training(config, backbone, features, split, table, head, bundle)
        saved, test, crossed = save_and_judge(training, material, worker, console)
        if backbone.precision != "float32":
            tell_drift(config, features, backbone, head, console)
        console.line("Wrote " + ", ".join(saved.files))
        more = save_exports(training, saved, console)
    return RunResult(saved.bundle, head, test, crossed, len(features.skipped), saved.files + more)


def save_and_judge(
    training: Training, material: Material, worker: TensorFlowWorker, console: Console
) -> tuple[Saved, Accuracy, Accuracy | None]:
    """Write the model once it has been measured, and meanwhile find out how good its head is."""
    held = HeldConsole(quiet=console.quiet)
    with ThreadPoolExecutor(1, thread_name_prefix="save") as pool:
        saving = pool.submit(save_model, training, worker, held)
        try:
            test, crossed = judge(training, material, console)
        except BaseException:
            worker.close()  # what is waiting for it need not be waited for
            raise
        saved = saving.result()
    held.release(console)
    return saved, test, crossed


def check(config: RunConfig, console: Console | None = None) -> tuple[BackboneSpec, Catalog]:
    """Refuse what cannot work before the disk is touched, all reasons at once."""
    problems, spec, catalog = find_problems(config)
    if not problems and catalog is None:  # an archive that is not unpacked yet
        unpack_photographs(config, console or Console(quiet=True))
        problems, spec, catalog = find_problems(config)
    if problems or spec is None or catalog is None:
        raise UsageError(problems)
    return spec, catalog


def find_problems(config: RunConfig) -> tuple[list[str], BackboneSpec | None, Catalog | None]:
    """List all that is wrong with a config, its architecture and its photographs."""
    problems, spec, catalog = config.problems(), None, None
    try:
        if config.tfhub_module:
            spec = None if module_problem(config.tfhub_module) else hub_spec(hub_request(config))
        elif not config.backbone_graph:
            spec = find_backbone(config.architecture)
        elif os.path.isfile(config.backbone_graph):  # noqa: PTH113
            spec = graph_spec(Path(config.backbone_graph), config.bottleneck_tensor)
    except UsageError as error:
        problems += error.problems
    except WeightsError as error:
        problems.append(f"{config.tfhub_module or config.backbone_graph}: {error}")
    if spec is not None and not format_problems(config.export, "export"):
        problems += problems_of_formats(formats_of(config), spec.name)
    found, catalog = find_photographs(config)
    problems += found
    if catalog is not None:
        problems += plan_problems(config, catalog) + date_problems(config, catalog)
    return problems, spec, catalog


def date_problems(config: RunConfig, catalog: Catalog) -> list[str]:
    """Say whether photographs can be grouped by day; those under a URL are read only when they are extracted."""
    if config.group_by != "exif_date" or storage.is_url(catalog.root):
        return []
    try:
        with_days(SplitPlan(by="--group_by=exif_date"), catalog, days_of(catalog))
    except UsageError as error:
        return list(error.problems)
    return []


def days_of(catalog: Catalog) -> list[str]:
    """Read on which day each photograph was taken; empty where it does not say."""
    return days_taken([catalog.full_path(record) for record in catalog.records])


def prepare(config: RunConfig, spec: BackboneSpec, console: Console) -> PreparedBackbone:
    """Have the backbone's converted files at hand."""
    folder = Path(config.model_dir)
    if config.tfhub_module:
        prepared = prepare_hub(hub_request(config), console=console)
    elif config.backbone_graph:
        prepared = prepare_graph(spec, Path(config.backbone_graph), folder, console=console)
    else:
        given = Path(config.weights) if config.weights else None
        prepared = prepare_backbone(spec, folder, offline=config.offline, console=console, weights=given)
    # Sky pictures are stretched wherever this backbone's input is made; it is part of the fingerprint, too.
    fed = replace(prepared.spec.input_spec, sky=sky_of(config))
    return replace(prepared, precision=config.precision, spec=replace(prepared.spec, input_spec=fed))


def hub_request(config: RunConfig) -> HubRequest:
    """Pick the flags that name a hub module."""
    return HubRequest(
        config.tfhub_module, Path(config.model_dir), config.bottleneck_tensor, config.tfhub_input_size, config.offline
    )


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


def recipe_of(config: RunConfig) -> Recipe:
    """Pick the flags that decide the head."""
    return Recipe(
        steps=config.how_many_training_steps,
        learning_rate=config.learning_rate,
        batch_size=config.train_batch_size,
        weight_decay=config.weight_decay,
        eval_interval=config.eval_step_interval,
        validation_batch_size=config.validation_batch_size,
        seed=config.seed,
    )


def train(
    config: RunConfig,
    backbone: PreparedBackbone,
    material: Material,
    split: Split,
    bundle: Bundle,
    console: Console,
) -> Head:
    """Train the new layer, with the log, TensorBoard and the intermediate graphs watching."""
    base, classes = backbone.graph.read_bytes(), len(bundle.labels)
    blank = Head(np.zeros((bundle.feature_width, classes), np.float32), np.zeros(classes, np.float32), 0)
    with Summaries(config.summaries_dir, frozen_graph(base, blank, bundle)) as summaries:
        return train_softmax(
            material.rows,
            material.labels,
            split.indices(VALIDATION),
            recipe_of(config),
            classes,
            observers(config, summaries, base, bundle, console),
            material.training_rows(split.indices(TRAINING)),
        )


def judge(training: Training, material: Material, console: Console) -> tuple[Accuracy, Accuracy | None]:
    """Measure how good the head is, on the test photographs and by cross-validation, and write it down."""
    config, backbone, head = training.config, training.backbone, training.head
    features, split = training.features, training.split
    labels, names = labels_of(features), features.catalog.labels
    rows = split.indices(TESTING)
    if len(rows) and config.test_batch_size > 0:
        rows = rows[
            ClassBalancedSampler(labels[rows], np.random.default_rng([config.seed, 2])).draw(config.test_batch_size)
        ]
    scores = head.classify(features.rows, rows)
    test = measure_accuracy(scores, labels[rows])
    crossed = crossed_scores = None
    if config.cross_validation_folds:
        with console.stage("Cross-validating", config.cross_validation_folds, "folds") as advance:
            crossed_scores = cross_validate(
                material.rows,
                material.labels,
                split.keys,
                recipe_of(config),
                len(names),
                config.cross_validation_folds,
                advance,
                material.training_rows,
                by_size=split.groups is not None or bool(split.near),
            )
        crossed = measure_accuracy(crossed_scores, labels)
    journal.tell_results(test, crossed, console)
    if config.print_misclassified_test_images:
        journal.tell_misclassified(features.catalog, rows, scores, console)
    facts = {
        "config": asdict(config),
        "image_root": features.catalog.root,
        "labels": names,
        "weights": {"source": backbone.weights.source, "sha256": backbone.weights.sha256},
        "kept_step": head.step,
        "test": test,
        "test_confusion": confusion_matrix(scores, labels[rows], len(names)),
        "cross_validated": crossed,
        "cross_validated_confusion": None
        if crossed_scores is None
        else confusion_matrix(crossed_scores, labels, len(names)),
    }
    write_metrics(beside(config.output_graph, ".metrics.json"), facts)
    return test, crossed
