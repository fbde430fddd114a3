"""Writes what a person looks at after a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrain import fsio, report
from retrain.console import Console, printable
from retrain.judging import Judgement
from retrain.publish import Training, add_metrics, beside
from retrain.results.board import outcome_of, write_board
from retrain.results.discovering import Discovery
from retrain.results.facts import facts_of
from retrain.results.heating import heat_of_mistakes

REPORT = "report.html"


def report_path(output_graph: str) -> Path:
    """Say where the report lies.

    Args:
        output_graph: path of the model.

    Returns:
        report.html in the model's folder.
    """
    return Path(output_graph).parent / REPORT


def show(
    training: Training, found: Judgement, discovery: Discovery, near: Sequence[tuple[int, int]], console: Console
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
    features, config = training.features, training.config
    for note in discovery.insight.notes:
        console.line(printable(note))
    metrics = beside(config.output_graph, ".metrics.json")
    add_metrics(metrics, {"insight": discovery.insight.facts(features.catalog.labels)})
    written = (metrics, *(beside(config.output_graph, ending) for ending in (".predictions.csv", ".model_card.md")))
    read = report.reader([features.catalog.full_path(record) for record in features.catalog.records])
    write_board(training, outcome_of(training, found), read)
    if not config.report:
        return written
    heat = heat_of_mistakes(training, found, read, console)
    page = report.report_html(facts_of(training, found, discovery.insight, near, heat), read, config.threads)
    path = report_path(config.output_graph)
    fsio.write_bytes(path, page)
    return (*written, str(path))
