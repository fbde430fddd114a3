"""What both command lines share: a parser that never guesses, and the way from an error to an exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TextIO

from retrain.console import printable
from retrain.errors import EXIT_PIPE, RetrainError, UsageError, did_you_mean
from retrain.interrupts import CODES, Interrupts, Terminated


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


CACHED = "what was cached is kept, the same command goes on from there"
_ENDED: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
# A terminal shows ^C where the cursor is.
_LINE_BREAK: dict[int, str] = {signal.SIGINT: "\n", signal.SIGTERM: ""}


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
    for stream in (sys.stdout, sys.stderr):
        # A pipe on Windows is cp1252, whatever the folders are called: escape what it lacks instead of ending the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with Interrupts(lambda number: f"{program}: {_ENDED[number]} at once; {kept}"):
        try:
            with _pipes(code), _sentences(program, code):
                yield code
        except (KeyboardInterrupt, Terminated) as reason:
            number = signal.SIGINT if isinstance(reason, KeyboardInterrupt) else signal.SIGTERM
            code[0] = CODES[number]
            with _pipes(code):
                print(f"{_LINE_BREAK[number]}{program}: {_ENDED[number]}; {kept}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _pipes(code: list[int]) -> Iterator[None]:
    """End quietly where the reader of a pipe has read enough, as `| head` has."""
    try:
        try:
            yield
        except SystemExit:  # of --help
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except BrokenPipeError:
        broken = [stream for stream in (sys.stdout, sys.stderr) if _is_broken(stream)]
        if not broken:
            raise  # a pipe of our own
        code[0] = code[0] or EXIT_PIPE
        for stream in broken:
            # Python would complain once more when it flushes at exit.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _is_broken(stream: TextIO) -> bool:
    try:
        stream.flush()
        broken = select.poll()
        broken.register(stream.fileno(), 0)  # nothing asked for: only what is wrong is told
        return bool(broken.poll(0))
    except BrokenPipeError:
        return True
    except (AttributeError, OSError, ValueError):  # Windows has no poll; a stream of Python's own has no number
        return False


@contextlib.contextmanager
def _sentences(program: str, code: list[int]) -> Iterator[None]:
    try:
        yield
    except RetrainError as error:
        code[0] = error.exit_code
        _complain(program, error)
    except BrokenPipeError:
        raise
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
