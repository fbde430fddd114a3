"""Writes what a person looks at after a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from retrain import fsio, report
from retrain.album import Album, album_of
from retrain.config import RunConfig
from retrain.console import Console, printable
from retrain.judging import Judgement
from retrain.publish import Training, beside
from retrain.report.thumbnails import ReadPhotograph
from retrain.results.board import outcome_of, write_board
from retrain.results.discovering import Discovery
from retrain.results.facts import facts_of
from retrain.results.heating import heat_of_mistakes
from retrain.summaries.results import Outcome

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

    def facts(read: ReadPhotograph) -> report.ReportFacts:
        return facts_of(training, found, discovery.insight, near, heat_of_mistakes(training, found, read, console))

    return lay_out(training, discovery, outcome_of(training, found), facts, console)


def lay_out(
    training: Training,
    discovery: Discovery,
    outcome: Outcome,
    facts: Callable[[ReadPhotograph], report.ReportFacts],
    console: Console,
) -> tuple[str, ...]:
    """Say what was found, write it for TensorBoard, and the report unless it is not wanted.

    Args:
        training: what the model is made of.
        discovery: what was found beyond how good it is.
        outcome: what TensorBoard shows.
        facts: gathers what the report says; called only where there is to be one.
        console: told what was found.

    Returns:
        The paths written.
    """
    features, config = training.features, training.config
    for note in discovery.insight.notes:
        console.line(printable(note))
    written = tuple(
        beside(config.output_graph, ending) for ending in (".metrics.json", ".predictions.csv", ".model_card.md")
    )
    album = album_of(features, config.bottleneck_dir, console, config.threads, training.backbone.spec.input_spec.sky)
    with ThreadPoolExecutor(1, thread_name_prefix="board") as pool:
        board = pool.submit(write_board, training, outcome, album)
        path = _write_report(config, facts, album) if config.report else None
        board.result()
    return written if path is None else (*written, path)


def _write_report(config: RunConfig, facts: Callable[[ReadPhotograph], report.ReportFacts], album: Album) -> str:
    path = report_path(config.output_graph)
    fsio.write_bytes(path, report.report_html(facts(album), album, config.threads))
    return str(path)
