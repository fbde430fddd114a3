"""What a run says: the original's log lines where it had them, since people search for their words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from retrain.backbones import PreparedBackbone
from retrain.bottlenecks import BottleneckStore, Features, Rows, Views, count_reasons
from retrain.bottlenecks.memory import MIB, features_bytes
from retrain.bottlenecks.room import shortage
from retrain.console import Console, printable
from retrain.dataset import TESTING, TRAINING, VALIDATION, Catalog, Split
from retrain.dataset.layout import layout_note
from retrain.evaluate import (
    Accuracy,
    Growth,
    Interval,
    LabelNumbers,
    Numbers,
    calibration_sentence,
    labels_line,
    plain_sentence,
)
from retrain.head import Floats, Indices, StepReport

FEW_IMAGES = 20


def tell_catalog(catalog: Catalog, console: Console) -> None:
    """Say what was found, a line a class.

    Args:
        catalog: the photographs.
        console: where to say it.
    """
    if catalog.side_folders:
        console.line(layout_note(catalog.side_folders))
    what, few = (
        ("Looking for images with label", "Label is on")
        if catalog.label_sets
        else ("Looking for images in", "Folder has")
    )
    for label, count in zip(catalog.labels, catalog.count_with_label(), strict=True):
        console.line(f"{what} '{printable(label)}': {count}")
        if count < FEW_IMAGES:
            console.warn(f"{few} less than {FEW_IMAGES} images, which may cause issues.")
    for reason, count in catalog.left_out.items():
        console.warn(f"left out {count}: {reason}")


def tell_layout(lines: Sequence[str], console: Console) -> None:
    """Say what is wrong with how the folders lie.

    Args:
        lines: sentences, how to learn more as the last; or nothing.
        console: where to say it.
    """
    for line in lines[:-1]:
        console.warn(line)
    for line in lines[-1:]:
        console.line(line)


def tell_backbone(backbone: PreparedBackbone, console: Console) -> None:
    """Say which weights are used.

    Args:
        backbone: what will extract.
        console: where to say it.
    """
    weights = backbone.weights
    console.line(f"Backbone {backbone.spec.name}, {weights.source} weights, SHA-256 {weights.sha256}")


def tell_room(store: BottleneckStore, photographs: int, console: Console) -> None:
    """Warn where the disk has no room for what a run will keep; it may end before it is full, so it is tried.

    Args:
        store: the cache.
        photographs: of the run.
        console: where to say it.
    """
    words = shortage(store.path, max(0, photographs - len(store.known_hashes())), store.width)
    if words:
        console.warn(words)


def tell_features(features: Features, store: BottleneckStore, skipped_list: str, console: Console) -> None:
    """Say what the cache did.

    Args:
        features: what was collected.
        store: the cache.
        skipped_list: path of the list of skipped files.
        console: where to say it.
    """
    if store.set_aside:
        console.warn(
            f"the bottleneck cache was damaged and is made anew; the damaged file is kept as {store.set_aside}"
        )
    if features.damaged:
        console.warn(f"{features.damaged} cached bottlenecks failed their checksum and were computed again")
    total = len(features.sha256s)
    console.line(f"{features.extracted} bottleneck files created. {total} bottlenecks in use, cached in {store.path}")
    tell_rows(features.rows, console)
    if features.unverified:
        console.warn(
            f"{features.unverified} of these bottlenecks were imported and never verified (--use_unverified): a model "
            "trained on them is right only if they come from this very backbone and these very photographs"
        )
    if features.skipped:
        console.warn(
            f"skipped {len(features.skipped)} files ({count_reasons(features.skipped)}), listed in {skipped_list}"
        )


def tell_verified(features: Features, damage: Sequence[str], console: Console) -> None:
    """Say what --verify_cache found, by name.

    Args:
        features: what was collected.
        damage: what was wrong with the cache itself.
        console: where to say it.
    """
    for text in damage:
        console.warn(f"{text}: taken out and computed again")
    for path in features.changed:
        console.warn(f"{printable(path)}: its contents changed while size and dates stayed the same; computed again")
    found = len(damage) + len(features.changed)
    console.line(f"Verified the cache: {len(features.sha256s)} photographs read again, {found or 'nothing'} wrong")


def tell_views(views: Views, console: Console) -> None:
    """Say what the cache did for distorted training.

    Args:
        views: what was collected.
        console: where to say it.
    """
    if views.damaged:
        console.warn(f"{views.damaged} cached distorted bottlenecks failed their checksum and were computed again")
    console.line(
        f"{views.extracted} distorted bottlenecks created. {len(views.rows)} distorted bottlenecks in use, "
        f"{views.each} each of {len(views.photographs)} photographs"
    )


def tell_rows(rows: Rows, console: Console) -> None:
    """Say that the features lie in a file; that they lie in memory goes without saying.

    Args:
        rows: what is trained on.
        console: where to say it.
    """
    if rows.resident:
        return
    size = f"{features_bytes(*rows.shape) / MIB:,.0f} MB with their scaled copy"
    console.line(
        f"Features are trained on from a file beside the cache: {len(rows)} x {rows.shape[1]} are {size}, more than "
        "--feature_memory_mb gives (by default half of the memory available)"
    )


def tell_split(split: Split, console: Console) -> None:
    """Say how many photographs lie on each side.

    Args:
        split: the sides.
        console: where to say it.
    """
    training, validation, testing = (len(split.indices(side)) for side in (TRAINING, VALIDATION, TESTING))
    console.line(f"{training} photographs to train on, {validation} to validate, {testing} for the final test")
    if split.groups is not None and split.by:
        grouped = [group for group in split.groups if group]
        alone = len(split.groups) - len(grouped)
        console.line(f"{len(grouped)} photographs lie in {len(set(grouped))} groups, {alone} stand alone")
    if split.near:
        console.line(split.near)
    for note in split.notes:
        console.warn(note)


def tell_step(report: StepReport, console: Console) -> None:
    """Log a training step in the original's words.

    Args:
        report: what was measured.
        console: where to say it.
    """
    start = f"Step {report.step}"
    console.stamped(f"{start}: Train accuracy = {100 * report.train_accuracy:.1f}%")
    console.stamped(f"{start}: Cross entropy = {report.cross_entropy:.6f}")
    if report.validation_accuracy is not None:
        share = 100 * report.validation_accuracy
        console.stamped(f"{start}: Validation accuracy = {share:.1f}% (N={report.validation_count})")


def tell_label_results(test: LabelNumbers, crossed: LabelNumbers | None, sentence: str, console: Console) -> None:
    """Say how good a model of several labels a photograph is.

    Args:
        test: of the final test.
        crossed: cross-validated, or None when it was left out.
        sentence: what the numbers can and cannot tell.
        console: where to say it.
    """
    for name, numbers in (("Final test", test), ("Cross-validated", crossed)):
        if numbers is not None and numbers.exact.count:
            console.line(f"{name}: {labels_line(numbers)}")
    best = crossed or test
    for one, precision in zip(best.labels, best.average_precisions, strict=True) if best.exact.count else ():
        average = "none has it" if not one.count else f"average precision {precision.text()}"
        console.line(f"  {printable(one.label)} ({one.count}): {average}, F1 {_percent(one.f1)}")
    console.line(printable(sentence))


def _percent(value: Interval) -> str:
    return "none" if math.isnan(value.value) else value.text()


def tell_misclassified(catalog: Catalog, rows: Indices, probabilities: Floats, console: Console) -> None:
    """List the errors of the final test in the original's layout.

    Args:
        catalog: the photographs.
        rows: intp (M,), those of the final test.
        probabilities: float32 (M, C).
        console: where to say it.
    """
    console.line("=== MISCLASSIFIED TEST IMAGES ===")
    for row, guess in zip(rows, probabilities.argmax(axis=1), strict=True):
        record = catalog.records[row]
        if record.label != guess:
            console.line(f"{printable(catalog.full_path(record)):>70}  {printable(catalog.labels[guess])}")


def tell_results(
    test: Accuracy,
    crossed: Accuracy | None,
    console: Console,
    numbers: Numbers | None = None,
    growth: Growth | None = None,
) -> None:
    """Say how good the model is.

    Args:
        test: of the final test.
        crossed: cross-validated, or None when it was left out.
        console: where to say it.
        numbers: what else is said in a line: of cross-validation, or of the final test where that was left out.
        growth: what the learning curve says; None when it was left out.
    """
    if test.count:
        console.line(f"Final test accuracy = {100 * test.value:.1f}% (N={test.count}), {test.interval_text()}")
    if crossed is not None:
        share = f"{100 * crossed.value:.1f}% (N={crossed.count})"
        console.line(f"Cross-validated accuracy = {share}, {crossed.interval_text()}")
    if numbers is not None and numbers.accuracy.count:
        console.line(calibration_sentence(numbers))
    console.line(plain_sentence(test, crossed))
    if growth is not None:
        for sentence in growth.sentences:
            console.line(printable(sentence))


def tell_network(backbone: PreparedBackbone, yardstick: tuple[str, Accuracy], console: Console) -> None:
    """Say what a trained network has to be better than.

    Args:
        backbone: its trunk.
        yardstick: name of the frozen backbone, and what a new layer on it is worth in the final test.
        console: where to say it.
    """
    name, accuracy = yardstick
    console.line(f"Trained {backbone.spec.name}; its trunk, as --weights for other runs: {backbone.weights.path}")
    if accuracy.count:
        console.line(
            f"For comparison, a new layer on the frozen {name}: {100 * accuracy.value:.1f} % of the {accuracy.count} "
            "photographs of the final test"
        )
