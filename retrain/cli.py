"""The command line of ``python -m retrain``: flags become one RunConfig, errors become sentences and exit codes."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from retrain.commandline import Parser, exit_codes
from retrain.config import Flag, RunConfig
from retrain.config.flag import GROUPS
from retrain.console import Console
from retrain.errors import UsageError

# What may stand in place of flags; commands.py is imported when one does.
COMMANDS = (
    "backbones",
    "cache",
    "compare",
    "doctor",
    "export",
    "fetch",
    "fix",
    "separate",
    "show",
    "studio",
    "weights",
)

_METAVAR = {int: "N", float: "X", str: "TEXT"}

DESCRIPTION = """\
Train an image classifier on a folder of photographs, one sub-folder a class:

    tf_files/cluster_photos/globular cluster/m13.jpg ...
    tf_files/cluster_photos/open cluster/m45.jpg ...

    python -m retrain --image_dir tf_files/cluster_photos
    python -m label_image --image tf_files/test_photos/1.jpg
    tensorboard --logdir tf_files/training_summaries

    python -m retrain backbones                     lists the architectures
    python -m retrain weights fetch mobilenet_1.0_224
                                                    prepares a machine that has no network
    python -m retrain show tf_files/retrained_graph.pb
                                                    says what a model is
    python -m retrain export tf_files/retrained_graph.pb --format saved_model,onnx
                                                    writes it in further formats
    python -m retrain doctor --image_dir DIR        looks at the photographs before anything is trained on them
    python -m retrain cache stats                   looks after the cache: verify, prune, export, import
    python -m retrain fetch --csv list.csv --image_dir DIR
                                                    gets photographs from addresses
    python -m retrain separate DIR                  sorts cat.1.jpg, dog.1.jpg into class folders
    python -m retrain compare RUN_A RUN_B           says which photographs two runs name differently
    python -m retrain fix --apply moves.csv         moves wrongly labelled photographs, and trains again
    python -m retrain studio                        all of this in your browser

A frozen backbone turns each photograph into a vector, once; the vectors are cached, and a new softmax layer is
trained on them. Interrupting loses nothing that was cached: the same command goes on from there."""

EPILOG = """\
Flags may be written --image_dir or --image-dir, --flag value or --flag=value; a switch is on with --flag, off with
--no-flag. Exit codes: 0 done, 2 something asked for cannot be done, 3 images cannot be read, 4 no weights, 5 cache,
6 model file, 7 numbers that are not finite, 8 an export that answers otherwise, 9 some photographs could not be had,
130 Ctrl-C, 141 nobody reads the output any more, 143 SIGTERM."""


def flag_table() -> list[tuple[str, Any, Flag]]:
    """List the flags in the order of ``--help``.

    Returns:
        Name, default and description of each.
    """
    table = [(field.name, field.default, field.metadata["flag"]) for field in dataclasses.fields(RunConfig)]
    return sorted(table, key=lambda row: GROUPS.index(row[2].group))


def build_parser() -> Parser:
    """Make the parser from the table of flags.

    Returns:
        The parser; every value stays text, so that all problems can be listed at once.
    """
    parser = Parser(
        prog="retrain", usage="python -m retrain --image_dir DIR [flags]", description=DESCRIPTION, epilog=EPILOG
    )
    groups: dict[str, Any] = {}
    for name, default, flag in flag_table():
        if flag.group not in groups:
            groups[flag.group] = parser.add_argument_group(flag.group)
        group = groups[flag.group]
        text = f"{flag.help} (default: {_shown(default)})".replace("%", "%%")
        if isinstance(default, bool):
            group.add_argument(f"--{name}", action="store_true", default=argparse.SUPPRESS, help=text)
            off = {"dest": name, "action": "store_false", "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
            group.add_argument(f"--no_{name}", **off)
        else:
            metavar = flag.metavar or _METAVAR[type(default)]
            group.add_argument(f"--{name}", metavar=metavar, default=argparse.SUPPRESS, help=text)
    return parser


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default) if default != "" else "none"


def read_config(words: Sequence[str]) -> tuple[RunConfig, list[str]]:
    """Turn a command line into a RunConfig.

    Args:
        words: without the program's name.

    Returns:
        The config, its own values not checked yet, and one sentence for each flag that is unknown or whose value is
        not of its type; the config has the default there.
    """
    given, problems = build_parser().parse(words)
    values: dict[str, Any] = {}
    for name, default, _ in flag_table():
        if name in given:
            try:
                values[name] = _convert(given[name], default)
            except ValueError:
                kind = "a whole number" if isinstance(default, int) else "a number"
                problems.append(f"expected --{name} to be {kind}, got {given[name]!r}; its default is {default:g}")
    return RunConfig(**values), problems


def _convert(text: Any, default: object) -> object:  # noqa: ANN401
    if isinstance(default, bool | str):
        return text
    return int(text) if isinstance(default, int) else float(text)


def main(words: Sequence[str] | None = None) -> int:
    """Run ``python -m retrain``.

    Args:
        words: the command line; None takes the process's own.

    Returns:
        The exit code.
    """
    with exit_codes("retrain") as code:
        words = sys.argv[1:] if words is None else words
        if words and words[0] in COMMANDS:
            from retrain import commands

            code[0] = commands.main(words, Console())
        else:
            _train(words)
    return code[0]


def _train(words: Sequence[str]) -> None:
    config, problems = read_config(words)
    from retrain.outset import find_problems
    from retrain.run import run  # here, so that --help answers at once

    if problems:
        raise UsageError(problems + find_problems(config)[0])
    run(config, Console())
