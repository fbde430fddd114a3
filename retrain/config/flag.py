"""What one flag is: how a field of RunConfig is given on the command line."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

# The headings of --help, in its order.
GROUPS = IN, SKY, BACK, TRAIN, WHOLE, CHECK, OUT, DISTORT = (
    "photographs",
    "pictures of the sky",
    "backbone and cache",
    "training",
    "whole networks",
    "honest numbers",
    "what is written",
    "distortions of training photographs",
)

# What a number says when it is left to what is trained.
AS_USUAL = -1

FlagValue = str | int | float | bool


@dataclass(frozen=True)
class Flag:
    """How one field of RunConfig is given on the command line.

    Args:
        help: what it means, for a person who has not read anything else.
        group: the heading it stands under in ``--help``.
        low: smallest legal number.
        high: largest legal number.
        choices: the legal words.
        metavar: what stands for its value in ``--help``.
    """

    help: str
    group: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    metavar: str = ""


def flag(default: FlagValue, meaning: Flag) -> Any:  # noqa: ANN401 - dataclasses.field is typed so
    """Make a field that is a flag.

    Args:
        default: its value when it is not given.
        meaning: how it is given.

    Returns:
        A dataclass field.
    """
    return dataclasses.field(default=default, metadata={"flag": meaning})
