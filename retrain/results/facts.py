"""What a run found out, as the facts of its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from retrain import report
from retrain.bottlenecks import labels_of
from retrain.evaluate import Calibration, ClassNumbers, Growth, Numbers
from retrain.insight.gain import Insight
from retrain.judging import Judgement
from retrain.publish import Training
from retrain.publish.card import command_of
from retrain.results.heating import MADE
from retrain.results.history import history_of

# Points of the fitted curve, and how far past the photographs at hand it is drawn.
_CURVE, _BEYOND = 40, 8
_NO_CURVE = "Of a whole network it is not measured: it would have to be trained anew at every size."
_HEAT = (
    "Run it again with --heat_maps 6 to see what speaks for the six worst mistakes; of any photograph: "
    "python -m label_image --image PHOTOGRAPH --heat_map DIR"
)


def facts_of(
    training: Training,
    found: Judgement,
    insight: Insight,
    near: Sequence[tuple[int, int]],
    heat: tuple[report.Heat, ...] | None = None,
) -> report.ReportFacts:
    """Gather what the report says.

    Args:
        training: what the model is made of.
        found: how good it is.
        insight: what was found beyond that.
        near: pairs of photographs that are one picture, exact copies not among them.
        heat: of heat_of_mistakes.

    Returns:
        The facts.
    """
    features = training.features
    catalog = features.catalog
    numbers = found.cross_validated or found.test
    return report.ReportFacts(
        title=catalog.root.rstrip("/").rpartition("/")[2],
        sentence=found.sentence,
        classes=catalog.labels,
        photographs=report.Photographs(
            tuple(one.path for one in catalog.records), labels_of(features), training.split.sides
        ),
        origin=origin_of(training),
        figures=figures_of(found),
        notes=(*training.split.notes, *insight.notes),
        judged=judged_of(found),
        class_numbers=class_numbers_of(numbers.classes),
        calibration=calibration_of(numbers),
        learning=None if found.growth is None else learning_of(found.growth),
        suspects=suspects_of(training, insight),
        copies=copies_of(features.sha256s, near),
        copies_sentence="python -m retrain doctor finds mirrored ones, and says which property gives a class away.",
        vectors=features.rows,
        unknown=unknown_of(insight),
        heat=heat,
        heat_sentence=MADE if heat else "",
        missing={"heat": _HEAT, **({} if training.network is None else {"learning": _NO_CURVE})},
        history=history_of(training),
    )


def origin_of(training: Training) -> report.Origin:
    """Say where a model comes from.

    Args:
        training: what it is made of.

    Returns:
        Command, settings, hashes and versions.
    """
    config, bundle = training.config, training.bundle
    hashes = {
        f"weights of {bundle.architecture} ({bundle.weights_source})": bundle.weights_sha256,
        "photographs and labels": bundle.manifest_sha256,
        "split": bundle.split_sha256,
    }
    settings = tuple((field.name, str(getattr(config, field.name))) for field in fields(config))
    return report.Origin(command_of(config), settings, tuple(hashes.items()), tuple(bundle.versions.items()))


def figures_of(found: Judgement) -> tuple[report.Figure, ...]:
    """List the numbers at the top of the page.

    Args:
        found: how good the model is.

    Returns:
        Accuracies first.
    """
    made = []
    for name, one in (("Cross-validated accuracy", found.cross_validated), ("Final test accuracy", found.test)):
        if one is not None and one.accuracy.count:
            accuracy = one.accuracy
            interval = f"{100 * accuracy.low:.0f} to {100 * accuracy.high:.0f} %, N={accuracy.count}"
            made.append(report.Figure(name, f"{100 * accuracy.value:.1f} %", interval))
    return tuple(made) + _more_figures(found.cross_validated or found.test)


def _more_figures(numbers: Numbers) -> tuple[report.Figure, ...]:
    made = []
    if numbers.balanced_accuracy is not None:
        balanced = numbers.balanced_accuracy
        interval = f"{100 * balanced.low:.0f} to {100 * balanced.high:.0f} %"
        made.append(report.Figure("Balanced accuracy", f"{100 * balanced.value:.1f} %", interval))
    if not math.isnan(numbers.cooled.error):
        cooled = numbers.temperature != 1
        before = f"{numbers.calibration.error:.3f} before the temperature" if cooled else ""
        made.append(report.Figure("Calibration error", f"{numbers.cooled.error:.3f}", before))
        made.append(report.Figure("Log loss", f"{numbers.cooled.log_loss.value:.3f}"))
    return tuple(made)


def judged_of(found: Judgement) -> tuple[report.Judged, ...]:
    """Give the photographs with what heads said that had not seen them.

    Args:
        found: how good the model is.

    Returns:
        Cross-validation where it was done, then the final test.
    """
    made = []
    if found.cooled is not None:
        said = "Each photograph was classified by heads trained on the others."
        made.append(report.Judged("Cross-validation", said, np.arange(len(found.cooled)), found.cooled))
    rows, first = np.unique(found.test_rows, return_index=True)  # with --test_batch_size one may be drawn twice
    said = "Photographs that were kept from the model."
    made.append(report.Judged("Final test", said, rows, found.test_scores[first]))
    return tuple(made)


def class_numbers_of(classes: Sequence[ClassNumbers]) -> report.ClassNumbers:
    """Give recall, precision and F1 of each class with their intervals.

    Args:
        classes: the numbers of each.

    Returns:
        The same as arrays.
    """
    three = [[(i.value, i.low, i.high) for i in (one.recall, one.precision, one.f1)] for one in classes]
    recall, precision, f1 = np.moveaxis(np.array(three, np.float64), 1, 0)
    counts = np.array([one.count for one in classes], np.intp)
    return report.ClassNumbers("With 95 % intervals.", counts, recall, precision, f1)


def calibration_of(numbers: Numbers) -> report.Calibration | None:
    """Say whether scores are probabilities.

    Args:
        numbers: what scores come to.

    Returns:
        The reliability before and after the temperature; None without photographs.
    """
    if not numbers.accuracy.count:
        return None
    before, after = _reliability(numbers.calibration), _reliability(numbers.cooled)
    is_cooled = numbers.temperature != 1
    ending = f", {after.error:.3f} with the temperature." if is_cooled else "."
    said = f"Calibration error {before.error:.3f}{ending}"
    return report.Calibration(said, before, after if is_cooled else None, numbers.temperature)


def _reliability(one: Calibration) -> report.Reliability:
    return report.Reliability(
        np.array([b.confidence for b in one.bins]),
        np.array([b.accuracy for b in one.bins]),
        np.array([b.count for b in one.bins], np.intp),
        one.error,
    )


def learning_of(growth: Growth) -> report.LearningCurve:
    """Give the learning curve with what was fitted to it.

    Args:
        growth: what it says.

    Returns:
        The same as arrays.
    """
    fitted_sizes = fitted = np.zeros(0)
    if not math.isnan(growth.power):
        fitted_sizes = np.geomspace(growth.sizes[0], _BEYOND * growth.sizes[-1], _CURVE)
        fitted = np.clip(growth.limit - growth.scale * fitted_sizes**-growth.power, 0, 1)
    value, low, high = np.array([(one.value, one.low, one.high) for one in growth.accuracy]).T
    said = " ".join(growth.sentences)
    return report.LearningCurve(said, np.array(growth.sizes), value, low, high, fitted_sizes, fitted)


def suspects_of(training: Training, insight: Insight) -> report.Suspects | None:
    """Give the labels that may be wrong.

    Args:
        training: says where the model lies, and so the list of suspects.
        insight: what was found.

    Returns:
        The most suspect first; None where nobody looked.
    """
    if insight.doubts is None:
        return None
    found, graph = insight.doubts.suspects, training.config.output_graph
    table = f"{graph.rpartition('.')[0] or graph}.suspects.csv"
    return report.Suspects(
        "By confident learning on cross-validated scores and neighbours; how doubtful each label is stands beside it. "
        f"To mend some: write yes into their column accept in {table}, then:",
        np.array([one.photograph for one in found], np.intp),
        np.array([one.suggested for one in found], np.intp),
        np.array([one.score for one in found]),
        f"python -m retrain fix --apply {table} --graph {graph}" if found else "",
    )


def unknown_of(insight: Insight) -> report.Unknown | None:
    """Give the likeness below which a photograph is unknown.

    Args:
        insight: what was found.

    Returns:
        The threshold, and the likeness of the photographs at hand; None where there is no threshold.
    """
    if insight.unknown.min_cosine <= -1:
        return None
    near = insight.nearest.cosines[:, :3]
    known = near[(near > -2).all(axis=1)].mean(axis=1)
    rate = f"{100 * insight.unknown.false_alarms:g} %"
    said = f"A photograph below the threshold is called unknown; at most {rate} of photographs like yours are."
    measure = "mean cosine to the 3 nearest training photographs"
    return report.Unknown(said, measure, known, insight.unknown.min_cosine, is_likeness=True)


def copies_of(sha256s: Sequence[bytes], near: Sequence[tuple[int, int]]) -> tuple[report.Copies, ...]:
    """List photographs that are one picture.

    Args:
        sha256s: of each.
        near: pairs that are nearly the same.

    Returns:
        Exact copies, a group each, then near pairs.
    """
    exact = [report.Copies(np.array(rows), "exact") for rows in _same(sha256s).values() if len(rows) > 1]
    return (*exact, *(report.Copies(np.array(pair), "near") for pair in near))


def _same(sha256s: Sequence[bytes]) -> Mapping[bytes, list[int]]:
    rows: dict[bytes, list[int]] = {}
    for row, sha in enumerate(sha256s):
        rows.setdefault(sha, []).append(row)
    return rows
