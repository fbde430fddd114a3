"""What a run on photographs with several labels found out, put where a person looks: report and TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retrain import report
from retrain.bottlenecks import labels_of
from retrain.console import Console
from retrain.dataset.sides import SIDE_NAMES
from retrain.evaluate import LabelNumbers
from retrain.publish import Training, labels_text
from retrain.publish.card import escaped
from retrain.results import Discovery, lay_out
from retrain.results.board import settings_of
from retrain.results.facts import class_numbers_of, copies_of, origin_of, unknown_of
from retrain.several.judging import LabelJudgement
from retrain.summaries.results import Outcome, Several

_ONE_RIGHT = "A photograph may have several labels here, so that none is taken for another"
_MISSING = {
    "confusion": f"{_ONE_RIGHT}. Each label by itself is below; the photographs stand here by the rarest of theirs.",
    "suspects": "Wrong labels are looked for where each photograph has one.",
    "calibration": "Not measured where a photograph may have several labels.",
    "learning": "Not measured where a photograph may have several labels.",
    "heat": "To see what speaks for an answer: python -m label_image --image PHOTOGRAPH --heat_map DIR",
}


def show_labels(
    training: Training,
    found: LabelJudgement,
    discovery: Discovery,
    near: Sequence[tuple[int, int]],
    console: Console,
) -> tuple[str, ...]:
    """Write the report and what TensorBoard shows.

    Args:
        training: what the model is made of.
        found: how good it is.
        discovery: what was found beyond that.
        near: pairs of photographs that are one picture.
        console: told what was found.

    Returns:
        The paths written.
    """
    return lay_out(
        training,
        discovery,
        outcome_of_labels(training, found),
        lambda _: facts_of_labels(training, found, discovery, near),
        console,
    )


def outcome_of_labels(training: Training, found: LabelJudgement) -> Outcome:
    """Gather what TensorBoard shows.

    Args:
        training: what the model is made of.
        found: how good it is.

    Returns:
        The outcome.
    """
    catalog = training.features.catalog
    scores, guesses = _held_out(found, catalog.labels)
    return Outcome(
        names=catalog.labels,
        paths=[record.path for record in catalog.records],
        labels=labels_of(training.features),
        sides=[SIDE_NAMES[side] for side in training.split.sides],
        scores=scores,
        kind="final test" if found.crossed is None else "cross-validated",
        step=training.head.step,
        settings={**settings_of(training), "head": "logistic", "multi_label": True},
        metrics=_metrics(found),
        summary=_summary(found),
        several=Several(found.truth, [catalog.label_text(record) for record in catalog.records], guesses),
    )


def _held_out(
    found: LabelJudgement, names: tuple[str, ...]
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], list[str]]:
    """Scores of heads that had not seen the photograph, NaN where there are none, and the labels that follow."""
    if found.crossed is not None:
        scores, said = found.crossed
        return scores, [labels_text(row, names) for row in said]
    scores, guesses = np.full(found.scores.shape, np.nan, np.float32), [""] * len(found.scores)
    scores[found.test_rows] = found.scores[found.test_rows]
    for row in found.test_rows.tolist():
        guesses[row] = labels_text(found.said[row], names)
    return scores, guesses


def _metrics(found: LabelJudgement) -> dict[str, float]:
    told = {"test": found.test, "cross_validated": found.cross_validated}
    return {
        f"results/{name}_{what}": value
        for name, numbers in told.items()
        if numbers is not None and numbers.exact.count
        for what, value in (
            ("mean_average_precision", numbers.mean_average_precision.value),
            ("every_label_right", numbers.exact.value),
            ("hamming_loss", numbers.hamming_loss.value),
        )
    }


def _summary(found: LabelJudgement) -> str:
    rows = [_row("cross-validation", found.cross_validated), _row("final test", found.test)]
    table = "| | mean average precision | every label right | photographs |\n|---|---|---|---|\n"
    return f"{escaped(found.sentence)}\n\n{table}" + "".join(rows)


def _row(name: str, numbers: LabelNumbers | None) -> str:
    if numbers is None or not numbers.exact.count:
        return ""
    one = numbers.exact
    return f"| {name} | {numbers.mean_average_precision.text()} | {100 * one.value:.1f} % | {one.count} |\n"


def facts_of_labels(
    training: Training, found: LabelJudgement, discovery: Discovery, near: Sequence[tuple[int, int]]
) -> report.ReportFacts:
    """Gather what the report says.

    Args:
        training: what the model is made of.
        found: how good it is.
        discovery: what was found beyond that.
        near: pairs of photographs that are one picture, exact copies not among them.

    Returns:
        The facts; sections that are about one label a photograph say so.
    """
    features, insight = training.features, discovery.insight
    catalog, numbers = features.catalog, found.cross_validated or found.test
    return report.ReportFacts(
        title=catalog.root.rstrip("/").rpartition("/")[2],
        sentence=found.sentence,
        classes=catalog.labels,
        photographs=report.Photographs(
            tuple(one.path for one in catalog.records), labels_of(features), training.split.sides
        ),
        origin=origin_of(training),
        figures=_figures(found),
        notes=(*training.split.notes, *numbers.notes, *insight.notes),
        label_judged=judged_labels_of(found),
        class_numbers=label_numbers_of(numbers),
        copies=copies_of(features.sha256s, near),
        copies_sentence="python -m retrain doctor finds mirrored ones, and says which property gives a class away.",
        vectors=features.rows,
        unknown=unknown_of(insight),
        missing=_MISSING,
        shown_as="the rarest of their labels",
    )


def judged_labels_of(found: LabelJudgement) -> report.LabelJudged | None:
    """Give the photographs with what they were given by heads and thresholds that had not seen them.

    Args:
        found: how good the model is.

    Returns:
        Of cross-validation where it was done, else of the final test; None where that has no photograph.
    """
    if found.crossed is not None:
        scores, said = found.crossed
        words = "Each photograph was judged by heads and thresholds made of the others."
        return report.LabelJudged("Cross-validation", words, np.arange(len(scores)), scores, found.truth, said)
    rows = found.test_rows
    if not len(rows):
        return None
    words = "Photographs that were kept from the model."
    return report.LabelJudged("Final test", words, rows, found.scores[rows], found.truth[rows], found.said[rows])


def label_numbers_of(numbers: LabelNumbers) -> report.ClassNumbers:
    """Give what the bars a label show, and the average precisions with their intervals.

    Args:
        numbers: of cross-validation or of the final test.

    Returns:
        The same as arrays.
    """
    precisions = np.array([(one.value, one.low, one.high) for one in numbers.average_precisions], np.float64)
    return replace(class_numbers_of(numbers.labels), average_precision=precisions)


def _figures(found: LabelJudgement) -> tuple[report.Figure, ...]:
    made = []
    for name, one in (("Cross-validated", found.cross_validated), ("Final test", found.test)):
        if one is not None and one.exact.count:
            exact = one.exact
            interval = f"{100 * exact.low:.0f} to {100 * exact.high:.0f} %, N={exact.count}"
            mean = one.mean_average_precision
            span = f"{100 * mean.low:.0f} to {100 * mean.high:.0f} %"
            made.append(report.Figure(f"{name}: every label right", f"{100 * exact.value:.1f} %", interval))
            made.append(report.Figure(f"{name}: mean average precision", f"{100 * mean.value:.1f} %", span))
            wrong = one.hamming_loss
            span = f"{100 * wrong.low:.1f} to {100 * wrong.high:.1f} %"
            made.append(report.Figure(f"{name}: single answers wrong", f"{100 * wrong.value:.1f} %", span))
    return tuple(made)
