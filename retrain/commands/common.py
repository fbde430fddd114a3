"""What the small commands share: a parser, and flags that are listed with all that is wrong with them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from retrain.commandline import Parser
from retrain.config import RunConfig
from retrain.config.inputs import input_problems
from retrain.console import Console
from retrain.dataset import Catalog, find_photographs, unpack_photographs
from retrain.errors import UsageError

MODEL_DIR = str(RunConfig().model_dir)


def command_parser(name: str, description: str) -> Parser:
    """Make the parser of a command.

    Args:
        name: what follows ``python -m retrain``.
        description: what it is for, for ``--help``.

    Returns:
        The parser, without a flag.
    """
    return Parser(prog=f"python -m retrain {name}", description=description)


def add_model_dir(parser: Parser) -> None:
    """Add ``--model_dir``.

    Args:
        parser: of a command that looks at weights.
    """
    parser.add_argument(
        "--model_dir", default=MODEL_DIR, metavar="DIR", help=f"folder of weights (default: {MODEL_DIR})"
    )


def add_photographs(parser: Parser, text: str) -> None:
    """Add the flags that name photographs, as a run has them.

    Args:
        parser: of a command that looks at photographs.
        text: help of ``--image_dir``.
    """
    usual = RunConfig()
    parser.add_argument("--image_dir", default="", metavar="DIR", help=text)
    parser.add_argument("--image_list", default="", metavar="FILE", help="CSV of path,label, as of a run")
    parser.add_argument("--recursive", action="store_true", default=False, help="as of a run")
    parser.add_argument("--multi_label", action="store_true", default=False, help="as of a run")
    for name in ("archive_max_files", "archive_max_mb"):
        default = getattr(usual, name)
        parser.add_argument(
            f"--{name}", type=_count, default=default, metavar="N", help=f"as of a run (default: {default})"
        )


def photographs_of(config: RunConfig, console: Console) -> Catalog:
    """List the photographs that a command is given, as a run does; an archive is unpacked.

    Args:
        config: what a run would be told.
        console: shown how far unpacking is.

    Returns:
        What was found; its problems are not judged.

    Raises:
        UsageError: there are none of that name, or their archive is not to be used.
    """
    problems, catalog = find_photographs(config)
    if catalog is None and not problems:
        problems = input_problems(config)
    if catalog is None and not problems:  # an archive that is not unpacked yet
        unpack_photographs(config, console)
        problems, catalog = find_photographs(config)
    if catalog is None:
        raise UsageError(problems)
    return catalog


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return value


def read_flags(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Read a command's flags.

    Args:
        parser: of the command.
        words: what follows its name.

    Returns:
        The flags.

    Raises:
        UsageError: all that is wrong with them.
    """
    given, problems = parser.parse(words)
    if problems:
        raise UsageError(problems)
    return argparse.Namespace(**given)
