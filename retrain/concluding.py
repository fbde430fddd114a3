"""From a trained head to all that a run leaves: the model saved, judged and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from retrain.bottlenecks import Material
from retrain.bundle import Bundle
from retrain.config.networks import HEAD
from retrain.console import Console, HeldConsole
from retrain.dataset import Split, split_csv
from retrain.evaluate import Accuracy
from retrain.exporters.worker import TensorFlowWorker
from retrain.gather import tell_drift
from retrain.head import Crossed, Head, Indices, Recipe
from retrain.judging import Judgement, judge
from retrain.publish import (
    NetworkTraining,
    Saved,
    Training,
    describe,
    is_repetition,
    place_of,
    save_exports,
    save_model,
)
from retrain.results import Earlier, discover, show
from retrain.several import LabelJudgement
from retrain.teaching import Contender

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


@dataclass(frozen=True, eq=False)
class Taught:
    """A trained head on its backbone, which is to be judged, saved and shown.

    Args:
        contender: the backbone and its vectors.
        head: as it will be saved, its temperature folded in.
        crossed: out-of-fold scores as heads were trained; None where cross-validation was left out.
        material: what heads are trained and tested on.
        recipe: of the head; None of a whole network.
        table: the split as CSV.
        bundle: the model's description.
        told_by: intp, photographs by which the threshold of the unknown is found; None: all.
        network: how a whole network was trained; None of a head.
    """

    contender: Contender
    head: Head
    crossed: Crossed | None
    material: Material
    recipe: Recipe | None
    table: str
    bundle: Bundle
    told_by: Indices | None = None
    network: NetworkTraining | None = None


def begin(
    contender: Contender, decided_by: Mapping[str, float | str], split: Split, worker: TensorFlowWorker
) -> tuple[str, Bundle]:
    """Write the split as a table and describe the model; TensorFlow is started where the model will be a new one.

    Args:
        contender: the backbone and its vectors.
        decided_by: what shapes the head, or the whole network.
        split: the side of each photograph.
        worker: runs TensorFlow.

    Returns:
        The split as CSV, and the description.
    """
    config, features = contender.config, contender.features
    table = split_csv(features.catalog, features.sha256s, split)
    decided_by = {**decided_by, **(config.distortions() if config.train == HEAD else {}), **config.caveats()}
    bundle = describe(config, contender.backbone, features.catalog.labels, decided_by, table)
    if not is_repetition(bundle, place_of(config.output_graph, "tflite")):
        worker.start()
    return table, bundle


def end(
    training: Training, saved: Saved, shown: tuple[str, ...], earlier: Earlier, console: Console
) -> tuple[str, ...]:
    """Say what was written and what changed, and write the other formats.

    Args:
        training: what the model is made of.
        saved: of save_model.
        shown: paths of what is written to look at.
        earlier: what the run before this one predicted.
        console: where to say it.

    Returns:
        The paths of the other formats.

    Raises:
        ParityError: one of them does not answer as the model; all others are written.
    """
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
    """Write the model once it has been measured; find out meanwhile how good its head is, and show it.

    Args:
        training: what the model is made of.
        judge_it: judges and shows; gives what was found and the paths written.
        worker: runs the graph.
        console: where to say it.

    Returns:
        What was saved, what was found, the paths of what shows it.

    Raises:
        ParityError: the LiteRT file does not answer as the training does; the model was not written.
    """
    held = HeldConsole(quiet=console.quiet)
    with ThreadPoolExecutor(1, thread_name_prefix="save") as pool:
        saving = pool.submit(save_model, training, worker, held)
        try:
            found, shown = judge_it()
            saved = saving.result()
        except BaseException:
            worker.close()  # what is waiting for it need not be waited for
            raise
    held.release(console)
    return saved, found, shown


def conclude(taught: Taught, split: Split, near: Pairs, worker: TensorFlowWorker, console: Console) -> RunResult:
    """Save a model, judge it and show what was found out.

    Args:
        taught: the trained head on its backbone.
        split: the side of each photograph.
        near: pairs of photographs that are one picture.
        worker: runs TensorFlow.
        console: where to say it.

    Returns:
        What the run came to; the files are written.

    Raises:
        RetrainError: one of its kinds, see errors.py; no file is half written.
    """
    config, backbone, features = taught.contender.config, taught.contender.backbone, taught.contender.features
    earlier = Earlier.read(config.output_graph, console)
    # Before the model is saved: the threshold of the unknown and sets of labels are in it.
    discovery = discover(config, features, split, taught.head, taught.crossed, taught.told_by)
    told = discovery.insight.bundle_fields()
    bundle = replace(taught.bundle, unknown=told["unknown"], sets=told["sets"])
    files = discovery.files()
    noted = {"insight": discovery.insight.facts(features.catalog.labels)}
    training = Training(
        config, backbone, features, split, taught.table, taught.head, bundle, files, taught.network, noted
    )

    def judge_it() -> tuple[Judgement, tuple[str, ...]]:
        found = judge(training, taught.material, taught.recipe, taught.crossed, console)
        return found, show(training, found, discovery, near, console)

    saved, found, shown = save_and_judge(training, judge_it, worker, console)
    written = saved.files + shown + end(training, saved, shown, earlier, console)
    accuracy = None if found.cross_validated is None else found.cross_validated.accuracy
    skipped = len(features.skipped)
    return RunResult(saved.bundle, taught.head, found.test.accuracy, accuracy, skipped, written, found)
