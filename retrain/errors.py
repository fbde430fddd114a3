"""Every error this project raises on purpose, and the exit code that each one ends the process with.

    RetrainError          1  something failed that none of the names below fits
    ├── UsageError        2  a flag, folder or file given by the person cannot be used; lists all problems at once
    ├── ImageError        3  a file is not an image that this tool reads, or too many files are not
    ├── WeightsError      4  pretrained weights are missing, damaged or of the wrong shape
    ├── CacheError        5  the bottleneck cache cannot be read or written
    ├── ModelError        6  a model file is damaged, foreign, or does not fit its neighbour
    ├── NumericalError    7  a loss, feature or weight is not a finite number; nothing is exported
    ├── ParityError       8  an export does not answer as the model it was made from; it is not kept
    └── PartError         9  all was done but for some photographs, whose rows say why; what was written is whole

130 is Ctrl-C, 143 is SIGTERM, and 141 is a reader that went away before all was written, as the shell has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Self

EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
EXIT_TERMINATED = 143


class RetrainError(Exception):
    """The root of all errors raised on purpose; its text is one that a person can act on."""

    exit_code = 1


class UsageError(RetrainError):
    """What was asked for cannot be done as asked.

    Args:
        problems: one sentence each: what was expected, what came, what to do next.
    """

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ImageError(RetrainError):
    """A file is not an image that this tool reads.

    Args:
        reason: a short name that equal failures share, so that they can be counted ("truncated").
        detail: what exactly was found.
    """

    exit_code = 3

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        # Trap: Exception's own would give the one sentence back for two arguments, where a worker's answer is read.
        return type(self), (self.reason, self.detail)


class WeightsError(RetrainError):
    """Pretrained weights are missing, damaged or of the wrong shape."""

    exit_code = 4


class CacheError(RetrainError):
    """The bottleneck cache cannot be read or written."""

    exit_code = 5


class ModelError(RetrainError):
    """A model file is damaged, foreign, or does not fit its neighbour."""

    exit_code = 6


class NumericalError(RetrainError):
    """A loss, feature or weight is not a finite number."""

    exit_code = 7


class ParityError(RetrainError):
    """An export does not answer as the model that it was made from."""

    exit_code = 8


class PartError(RetrainError):
    """All was done but for some photographs, whose rows say why."""

    exit_code = 9


def did_you_mean(word: str, legal: Sequence[str]) -> str:
    """Name the nearest legal word.

    Args:
        word: what was given.
        legal: what could have been given.

    Returns:
        ``"; did you mean X?"``, or an empty string when nothing is near.
    """
    near = get_close_matches(word, legal, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def first_line(error: Exception) -> str:
    """Shorten what a library says of its own error.

    Args:
        error: of a library.

    Returns:
        Its first line; the name of its kind where it says nothing.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
