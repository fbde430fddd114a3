"""What the small commands share: a parser, and flags that are listed with all that is wrong with them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from retrain.commandline import Parser
from retrain.config import RunConfig
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
