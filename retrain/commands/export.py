"""``python -m retrain export``: a trained model in further formats, without training it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retrain.commands.common import command_parser, read_flags
from retrain.config import ALWAYS, FORMATS, format_problems, split_formats
from retrain.console import Console
from retrain.errors import UsageError
from retrain.publish.further import write_further

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
    write_further(given.run, given.image_dir, split_formats(given.format), given.weights, console)
    return 0
