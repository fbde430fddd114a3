"""``python -m retrain export``: a trained model in further formats, without training it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrain.commands.common import command_parser, read_flags
from retrain.config import ALWAYS, FORMATS, format_problems, split_formats
from retrain.console import Console
from retrain.errors import UsageError
from retrain.exporters.keras_weights import find_weights_of
from retrain.exporters.making import problems_of_formats
from retrain.exporters.worker import TensorFlowWorker
from retrain.publish import Export, export_formats, raise_for_failures
from retrain.publish.earlier import EarlierRun, open_run

_TABLE = "\n".join(f"    {one.name:<12} {one.what}" for one in FORMATS.values() if one.name not in ALWAYS)
DESCRIPTION = f"""\
Write a trained model in further formats, beside it, without training it again:

    python -m retrain export tf_files/retrained_graph.pb --format saved_model,onnx

{_TABLE}

Each is run on the photographs of the run's final test (all of them where these are fewer than 50) and compared with the
.tflite: scores within 1e-5 and the same first label on all, 98 % for tflite_int8. One that does not keep to that is
deleted, and the exit code is 8. What is there already, and whole, is left as it is. The record of all exports is the
.exports.json beside the model."""


def export(words: Sequence[str], console: Console) -> int:
    """Write further formats."""
    parser = command_parser("export", DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="the model's .pb, or the folder that it lies in")
    parser.add_argument("--format", default="", metavar="FORMATS", help="formats, with commas between (required)")
    parser.add_argument(
        "--image_dir", default="", metavar="DIR", help="where the photographs lie now (default: where the run had them)"
    )
    parser.add_argument(
        "--weights", default="", metavar="PATH", help="the backbone's weights, for keras (default: found as by the run)"
    )
    given = read_flags(parser, words)
    problems = format_problems(given.format, "format")
    if not Path(given.run).exists():
        problems.append(f"expected RUN to be a model's .pb or its folder, but {given.run} is not there")
    if problems:
        raise UsageError(problems)
    run, formats = open_run(given.run, given.image_dir, console), split_formats(given.format)
    problems = problems_of_formats(formats, run.bundle.architecture)
    if problems:
        raise UsageError(problems)
    _export(run, formats, _weights_of(run, formats, given.weights), console)
    return 0


def _weights_of(run: EarlierRun, formats: Sequence[str], given: str) -> Path | None:
    if "keras" not in formats:
        return None
    chosen = given or run.weights
    return find_weights_of(run.bundle, Path(run.model_dir), Path(chosen) if chosen else None)


def _export(run: EarlierRun, formats: Sequence[str], weights: Path | None, console: Console) -> None:
    compared = run.compared()
    with TensorFlowWorker() as worker:
        tools = Export(str(run.graph), run.bundle.input_spec, compared, worker, console)
        record, written = export_formats(tools, formats, run.source(weights), run.record(compared))
    if written:
        console.line("Wrote " + ", ".join(map(str, written)))
    elif all(row.kept for row in record.rows if row.format in formats):
        console.line(f"Nothing to do: {', '.join(formats)}, as recorded in {run.graph.stem}.exports.json")
    raise_for_failures(record, formats)
