"""A model that is on the disk, written in further formats: no head is trained, and what is there stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrain.console import Console
from retrain.errors import UsageError
from retrain.exporters.keras_weights import find_weights_of
from retrain.exporters.making import problems_of_formats
from retrain.exporters.worker import TensorFlowWorker
from retrain.publish.earlier import EarlierRun, open_run
from retrain.publish.exporting import Export, export_formats, raise_for_failures


def write_further(given: str, image_dir: str, formats: Sequence[str], weights: str, console: Console) -> None:
    """Write further formats of a model.

    Args:
        given: path of its .pb, or of the folder that this lies in.
        image_dir: where its photographs lie now; empty: where the run had them.
        formats: names.
        weights: of the backbone, for keras; empty: found as the run found them.
        console: told how it goes.

    Raises:
        UsageError: there is no model, its photographs are not there, or a format cannot be had of it.
        ParityError: one of them did not answer as the model does; the others are written.
        RetrainError: one of them cannot be made; those before it are written.
    """
    run = open_run(given, image_dir, console)
    problems = problems_of_formats(formats, run.bundle.architecture)
    if problems:
        raise UsageError(problems)
    source, compared = run.source(_weights_of(run, formats, weights)), run.compared()
    with TensorFlowWorker() as worker:
        tools = Export(str(run.graph), run.bundle.input_spec, compared, worker, console)
        record, written = export_formats(tools, formats, source, run.record(compared))
    if written:
        console.line("Wrote " + ", ".join(map(str, written)))
    elif all(row.kept for row in record.rows if row.format in formats):
        console.line(f"Nothing to do: {', '.join(formats)}, as recorded in {run.graph.stem}.exports.json")
    raise_for_failures(record, formats)


def _weights_of(run: EarlierRun, formats: Sequence[str], given: str) -> Path | None:
    if "keras" not in formats:
        return None
    chosen = given or run.weights
    return find_weights_of(run.bundle, Path(run.model_dir), Path(chosen) if chosen else None)
