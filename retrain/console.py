"""What a person sees while a run works: log lines, and one live progress bar a stage on a terminal.

Log lines go to standard output, so that they can be kept and searched; progress goes to standard error, as a
live bar on a terminal and otherwise as a plain line with an estimate every few seconds.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

PLAIN_INTERVAL_S = 5.0
# What a spreadsheet takes for the start of a formula (OWASP, "CSV injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class Advance(Protocol):
    """What a stage calls as it goes on."""

    def __call__(self, count: int = 1, note: str = "") -> None:
        """Say that so many more items are done, and in a few words how they are."""


def printable(text: str) -> str:
    """Make text from a file name or label safe to print on a terminal.

    Args:
        text: any text; control characters and lone surrogates may steer or break a terminal.

    Returns:
        The text with such characters as escapes.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def safe_cell(text: str) -> str:
    """Make a cell that no spreadsheet calculates.

    Args:
        text: any.

    Returns:
        The text, printable, behind an apostrophe where it would begin a formula.
    """
    shown = printable(text)
    return f"'{shown}" if text.startswith(FORMULA_STARTS) else shown


class Console:
    """Prints the lines of a run.

    Args:
        quiet: print nothing at all (for use from Python).
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def line(self, text: str) -> None:
        """Print one line as it is.

        Args:
            text: the line, already safe to print.
        """
        if not self.quiet:
            print(text, flush=True)

    def stamped(self, text: str) -> None:
        """Print one line behind the date and time, as the original's training lines are.

        Args:
            text: the line.
        """
        self.line(f"{datetime.now()}: {text}")

    def warn(self, text: str) -> None:
        """Print one warning.

        Args:
            text: what was found and what is done about it.
        """
        self.line(f"WARNING: {text}")

    @contextlib.contextmanager
    def stage(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """Show how far one stage has come.

        Args:
            title: what is being done, in two or three words.
            total: how many items there are.
            unit: what an item is called, in the plural.

        Yields:
            A function to call with the number of items just done.
        """
        if self.quiet or not total:
            yield _ignore
        elif sys.stderr.isatty():
            with _live_bar(title, total, unit) as advance:
                yield advance
        else:
            yield _PlainProgress(title, total, unit)


class HeldConsole(Console):
    """Keeps its lines until somebody else has said theirs; for what is done beside the main thing."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._held: list[str] = []
        self._released: Console | None = None

    def line(self, text: str) -> None:
        """Keep one line, or print it where the others have been printed.

        Args:
            text: the line, already safe to print.
        """
        if self._released is not None:
            self._released.line(text)
        else:
            self._held.append(text)

    def release(self, console: Console) -> None:
        """Print what was kept, and from now on whatever comes.

        Args:
            console: where.
        """
        self._released = console
        while self._held:
            console.line(self._held.pop(0))


def _ignore(count: int = 1, note: str = "") -> None:
    pass


@contextlib.contextmanager
def _live_bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    # Imported here: rich costs 50 ms, and most starts (help, pipes, label_image) never need it.
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[detail]}"))
    progress = _Progress(total, unit)
    with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, detail="")

        def advance(count: int = 1, note: str = "") -> None:
            progress.done += count
            bar.update(task, advance=count, detail=progress.text(note))

        yield advance


class _Progress:
    """How far a stage has come, and how long it will take at this rate."""

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit = total, unit
        self.done = 0
        self.start = time.monotonic()

    def text(self, note: str = "") -> str:
        rate = self.done / max(time.monotonic() - self.start, 1e-3)
        left_s = round((self.total - self.done) / rate) if rate else 0
        left = f"{left_s // 60}:{left_s % 60:02d} left"
        said = f"{self.done}/{self.total} {self.unit}, {rate:.{0 if rate >= 10 else 1}f}/s, {left}"
        return f"{said}; {note}" if note else said


class _PlainProgress:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title = title
        self.progress = _Progress(total, unit)
        self.spoke = time.monotonic()

    def __call__(self, count: int = 1, note: str = "") -> None:
        self.progress.done += count
        now = time.monotonic()
        if now - self.spoke >= PLAIN_INTERVAL_S:
            self.spoke = now
            print(f"{self.title}: {self.progress.text(note)}", file=sys.stderr, flush=True)
