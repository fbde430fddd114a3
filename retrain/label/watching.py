"""Waits for photographs that arrive in a folder, and names each once it is complete."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from retrain import fsio
from retrain.classifier import Classifier
from retrain.console import printable
from retrain.errors import EXIT_TERMINATED
from retrain.label.flags import LabelConfig
from retrain.label.handling import Handler, named
from retrain.label.judging import Judge
from retrain.label.remembered import SUFFIX, Journal, Stamp
from retrain.label.rows import Row, columns
from retrain.label.sources import Photograph, photographs, skipping
from retrain.label.writers import as_text, more_columns, text_rows

# What --output makes beside itself.
_BESIDE = ("", SUFFIX, ".lock", f"{SUFFIX}.lock")


def watch(classifier: Classifier, config: LabelConfig) -> int:
    """Name what lies in a folder and what arrives, until somebody stops it.

    Args:
        classifier: the model.
        config: watch, and what to write.

    Returns:
        0 after Ctrl-C, 143 after SIGTERM.

    Raises:
        PartError: it was stopped, and some photographs could not be named.
        RetrainError: another process writes to the same output.
    """
    stop, judge = Stop(), Judge(classifier, config)
    with stop.listening(), contextlib.ExitStack() as stack:
        journal = _journal(classifier, config, stack)
        handle = Handler(config, classifier, _row_writer(classifier, config, journal, stack))
        lookout = Lookout(config, journal, sky=classifier.bundle.sky is not None)
        print(f"label_image: watching {printable(str(config.watch))}, Ctrl-C ends", file=sys.stderr, flush=True)
        while not stop.wanted.is_set():
            _name_ready(judge, config, lookout, handle, stop)
            stop.wanted.wait(config.watch_interval_s)
    print(f"label_image: stopped after {handle.tally.rows} photographs", file=sys.stderr)
    if stop.terminated:
        return EXIT_TERMINATED
    handle.tally.raise_if_any_failed()
    return 0


class Stop:
    """Notes Ctrl-C and SIGTERM, so that no photograph is left between its row and the journal."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self.terminated = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.terminated = number == signal.SIGTERM
        self.wanted.set()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the two signals.

        Yields:
            Nothing; they are given back afterwards.
        """
        old = {}
        with contextlib.suppress(ValueError):  # not in the main thread: signals are somebody else's there
            for number in (signal.SIGINT, signal.SIGTERM):
                old[number] = signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


class Lookout:
    """Looks into a folder, again and again.

    Args:
        config: the folder, and what is written below it.
        journal: what is done already; None keeps that in memory only.
    """

    def __init__(self, config: LabelConfig, journal: Journal | None, *, sky: bool = False) -> None:
        self._folder, self._journal, self._sky = str(config.watch), journal, sky
        files = [f"{config.output}{ending}" for ending in _BESIDE] if config.output else []
        self._own = (*config.own_folders, *files)
        self._done: dict[str, Stamp] = dict(journal.done) if journal else {}
        self._seen: dict[str, Stamp] = {}

    def look(self) -> list[Photograph]:
        """Look once.

        Returns:
            Photographs that are not done and have the size and the date that they had at the last look, by path.
        """
        seen, ready = {}, []
        for photograph in photographs([self._folder], skipping(self._own, sky=self._sky)):
            name, now = self._name(photograph), stamp(photograph)
            if now is None or self._done.get(name) == now:
                continue
            seen[name] = now
            if self._seen.get(name) == now:
                ready.append(photograph)
        self._seen = seen
        return ready

    def is_unchanged(self, photograph: Photograph) -> bool:
        """Tell whether a photograph that was ready still is what it was.

        Args:
            photograph: as `look` gave it.

        Returns:
            False where it changed while it was named, or is gone.
        """
        return stamp(photograph) == self._seen[self._name(photograph)]

    def finish(self, photograph: Photograph) -> None:
        """Note that a photograph's row is written.

        Args:
            photograph: as `look` gave it.
        """
        name = self._name(photograph)
        self._done[name] = self._seen.pop(name)
        if self._journal is not None:
            self._journal.remember(name, self._done[name])

    def _name(self, photograph: Photograph) -> str:
        return os.path.relpath(photograph.path, self._folder)


def stamp(photograph: Photograph) -> Stamp | None:
    """Ask for size and time of the last change.

    Args:
        photograph: a file.

    Returns:
        Bytes and nanoseconds; None when it is gone.
    """
    try:
        status = os.stat(photograph.path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _name_ready(judge: Judge, config: LabelConfig, lookout: Lookout, handle: Handler, stop: Stop) -> None:
    for photograph, result in named(judge, lookout.look(), config):
        if lookout.is_unchanged(photograph):
            handle(photograph, result)
            lookout.finish(photograph)
        if stop.wanted.is_set():
            return


def _journal(classifier: Classifier, config: LabelConfig, stack: contextlib.ExitStack) -> Journal | None:
    if config.output is None:
        print("label_image: without --output nothing is remembered for the next start", file=sys.stderr)
        return None
    stack.enter_context(fsio.locked(config.output, timeout_s=0))
    top_k = min(config.top_k, len(classifier.bundle.labels))
    head = {"format": config.format, "columns": columns(top_k, more_columns(config))}
    journal = Journal(config.output, head)
    stack.callback(journal.close)
    return journal


def _row_writer(
    classifier: Classifier, config: LabelConfig, journal: Journal | None, stack: contextlib.ExitStack
) -> Callable[[Row], None]:
    stream = sys.stdout if journal is None else stack.enter_context(as_text(journal.output, line_by_line=True))
    head = journal is None or not Path(str(config.output)).stat().st_size
    top_k = min(config.top_k, len(classifier.bundle.labels))
    write = stack.enter_context(text_rows(config.format, stream, top_k, head=head, more=more_columns(config)))

    def write_and_flush(row: Row) -> None:
        write(row)
        stream.flush()

    return write_and_flush
