"""What both command lines share: a parser that never guesses, and the way from an error to an exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

from retrain.console import printable
from retrain.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, RetrainError, UsageError, did_you_mean


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises UsageError instead of ending the process, and never guesses abbreviations."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Report what argparse itself found wrong.

        Args:
            message: argparse's sentence.

        Raises:
            UsageError: always.
        """
        raise UsageError(message)

    def parse(self, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """Read a command line.

        Args:
            words: without the program's name.

        Returns:
            Flag name -> text (or bool) for the flags given, and one sentence a word that was not understood.
        """
        given, unknown = self.parse_known_args([canonical(word) for word in words])
        legal = [option for action in self._actions for option in action.option_strings]
        # The word behind an unknown flag is its value: one mistake is not reported twice.
        values = {i + 1 for i, word in enumerate(unknown) if word.startswith("-") and "=" not in word}
        own = [word for i, word in enumerate(unknown) if word.startswith("-") or i not in values]
        return vars(given), [_unknown_word(word, legal) for word in own]


def canonical(word: str) -> str:
    """Write a flag with underscores; ``--image-dir=x`` and ``--image_dir=x`` are the same.

    Args:
        word: a word of a command line.

    Returns:
        The word, unchanged where it is no long flag.
    """
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _unknown_word(word: str, legal: list[str]) -> str:
    name = word.split("=", 1)[0]
    if not word.startswith("-"):
        return f"got the word {word!r} that belongs to no flag (a path with spaces needs quotes); see --help"
    return f"unknown flag {name}{did_you_mean(name, legal) or '; see --help'}"


class _Terminated(BaseException):
    """SIGTERM arrived."""


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    raise _Terminated


CACHED = "what was cached is kept, the same command goes on from there"


@contextlib.contextmanager
def exit_codes(program: str, kept: str = CACHED) -> Iterator[list[int]]:
    """Turn what may end a command into one sentence on standard error and an exit code.

    Args:
        program: name to put before the sentence.
        kept: what is left when it is interrupted.

    Yields:
        A list that holds the exit code afterwards.
    """
    code = [0]
    with contextlib.suppress(ValueError):  # not in the main thread: signals are somebody else's there
        signal.signal(signal.SIGTERM, _raise_terminated)
    for stream in (sys.stdout, sys.stderr):
        # A pipe on Windows is cp1252, whatever the folders are called: escape what it lacks instead of ending the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield code
        sys.stdout.flush()
    except RetrainError as error:
        code[0] = error.exit_code
        _complain(program, error)
    except KeyboardInterrupt:
        code[0] = EXIT_INTERRUPTED
        print(f"\n{program}: interrupted; {kept}", file=sys.stderr)
    except _Terminated:
        code[0] = EXIT_TERMINATED
        print(f"{program}: terminated; {kept}", file=sys.stderr)
    except BrokenPipeError:
        # `| head` has read enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        code[0] = RetrainError.exit_code
        print(
            f"{program}: {error.filename or 'disk'}: {error.strerror or error}; nothing was half written",
            file=sys.stderr,
        )


def _complain(program: str, error: RetrainError) -> None:
    problems = error.problems if isinstance(error, UsageError) else (str(error),)
    if len(problems) > 1:
        print(f"{program}: {len(problems)} problems:", file=sys.stderr)
    for problem in problems:
        start = "  - " if len(problems) > 1 else f"{program}: "
        print(start + "\n".join(printable(line) for line in problem.split("\n")), file=sys.stderr)
