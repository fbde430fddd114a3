"""The command line of label_image: name a photograph with a trained model."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain.classifier import Classifier
from retrain.commandline import Parser, exit_codes
from retrain.console import printable
from retrain.errors import UsageError

TOP_K = 5
EXAMPLE_IMAGE = "tf_files/test_photos/1.jpg"
EXAMPLE_GRAPH = "tf_files/retrained_graph.pb"

DESCRIPTION = """\
Name a photograph with a model that python -m retrain wrote:

    python -m label_image --image tf_files/test_photos/1.jpg

The model says itself what its labels, input size and scaling are; the other flags only override that."""


@dataclass(frozen=True)
class LabelFlag:
    """One flag of label_image.

    Args:
        help: what it means.
        default: its value when it is not given; empty: as the model says.
        read: turns its text into a value.
        low: smallest legal number.
        high: largest legal number.
    """

    help: str
    default: str = ""
    read: Callable[[str], Any] = str
    low: float = float("-inf")
    high: float = float("inf")


FLAGS = {
    "image": LabelFlag("photograph to name", EXAMPLE_IMAGE),
    "graph": LabelFlag("the model; its .tflite stands beside it", EXAMPLE_GRAPH),
    "labels": LabelFlag("file of labels, a line each, in place of the model's own"),
    "input_height": LabelFlag("pixels, in place of the model's own", read=int, low=32, high=4096),
    "input_width": LabelFlag("pixels, in place of the model's own", read=int, low=32, high=4096),
    "input_mean": LabelFlag("subtracted from each channel value (0 to 255), in place of the model's own", read=float),
    "input_std": LabelFlag("what the difference is divided by, in place of the model's own", read=float),
    "input_layer": LabelFlag("name of the model's input, checked against the model"),
    "output_layer": LabelFlag("name of the model's output, checked against the model"),
}


def build_parser() -> Parser:
    """Make the parser from the table of flags.

    Returns:
        The parser; every value stays text, so that all problems can be listed at once.
    """
    parser = Parser(prog="label_image", usage="python -m label_image --image FILE [flags]", description=DESCRIPTION)
    for name, flag in FLAGS.items():
        text = f"{flag.help} (default: {flag.default or 'as the model says'})"
        metavar = {int: "N", float: "X"}.get(flag.read, "TEXT") if isinstance(flag.read, type) else "TEXT"
        parser.add_argument(f"--{name}", metavar=metavar, default=argparse.SUPPRESS, help=text)
    return parser


def read_flags(words: Sequence[str]) -> dict[str, Any]:
    """Turn a command line into values.

    Args:
        words: without the program's name.

    Returns:
        Flag name -> value, of the flags given and of those with a default.

    Raises:
        UsageError: lists all that is wrong with them.
    """
    given, problems = build_parser().parse(words)
    values: dict[str, Any] = {name: flag.default for name, flag in FLAGS.items() if flag.default}
    for name, text in given.items():
        try:
            values[name] = FLAGS[name].read(text)
        except ValueError:
            problems.append(f"expected --{name} to be a number, got {text!r}; leave it away to use the model's own")
    problems += _value_problems(values)
    if problems:
        raise UsageError(problems)
    return values


def _value_problems(values: dict[str, Any]) -> list[str]:
    problems = [
        f"expected --{name} to be {FLAGS[name].low:g} to {FLAGS[name].high:g}, got {value}; "
        "leave it away to use the model's own"
        for name, value in values.items()
        if isinstance(value, int | float)
        and not (math.isfinite(value) and FLAGS[name].low <= value <= FLAGS[name].high)
    ]
    if values.get("input_std") == 0:
        problems.append("expected --input_std to be other than 0, got 0; leave it away to use the model's own")
    remedies = {
        "image": "check the spelling",
        "graph": "train one with python -m retrain",
        "labels": "leave it away",
    }
    for name, remedy in remedies.items():
        if name in values and not Path(values[name]).is_file():
            what = "is a folder" if Path(values[name]).is_dir() else "is not there"
            problems.append(f"expected --{name} to be a file, but {values[name]} {what}; {remedy}")
    return problems


def _open(values: dict[str, Any]) -> tuple[Classifier, tuple[str, ...]]:
    overrides = {
        name: values[name] for name in ("input_height", "input_width", "input_mean", "input_std") if name in values
    }
    classifier = Classifier.open(values["graph"], **overrides)
    bundle = classifier.bundle
    problems = [
        f"expected --{flag} to be {expected!r}, the name in {values['graph']}, got {values[flag]!r}; leave it away"
        for flag, expected in (("input_layer", bundle.input_node), ("output_layer", bundle.output_node))
        if flag in values and values[flag].removesuffix(":0").removeprefix("import/") != expected
    ]
    labels = bundle.labels
    if "labels" in values:
        labels = tuple(Path(values["labels"]).read_text(encoding="utf-8", errors="replace").splitlines())
        if len(labels) != len(bundle.labels):
            problems.append(
                f"expected --labels to have {len(bundle.labels)} lines, one a class of {values['graph']}, got "
                f"{len(labels)} in {values['labels']}; leave it away, the model knows its labels"
            )
    if problems:
        raise UsageError(problems)
    return classifier, labels


def main(words: Sequence[str] | None = None) -> int:
    """Run ``python -m label_image``.

    Args:
        words: the command line; None takes the process's own.

    Returns:
        The exit code.
    """
    with exit_codes("label_image") as code:
        values = read_flags(sys.argv[1:] if words is None else words)
        classifier, labels = _open(values)
        start = time.perf_counter()
        scores = classifier.scores(values["image"])
        print(f"\nEvaluation time (1-image): {time.perf_counter() - start:.3f}s\n")
        for index in (-scores).argsort(kind="stable")[:TOP_K]:
            print(f"{printable(labels[index])} (score={scores[index]:.5f})")
    return code[0]


if __name__ == "__main__":
    sys.exit(main())
