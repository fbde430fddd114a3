"""How often a page is told how far something is: as often as an eye follows, however often it comes on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from retrain.console import Advance, Console

# Seconds between two tellings.
_EVERY_S = 0.2


class Pace:
    """Does something now and then, however often it is asked for; what was asked for last is always followed by it.

    Args:
        do: takes nothing; called in the thread that asks, or in one of its own where it had to wait.
        every_s: seconds between two calls.
    """

    def __init__(self, do: Callable[[], None], every_s: float = _EVERY_S) -> None:
        self._do, self._every_s = do, every_s
        self._lock, self._doing = threading.Lock(), threading.Lock()
        self._last = -every_s
        self._waiting: threading.Timer | None = None

    def ask(self) -> None:
        """Do it: at once, or when the time has come."""
        with self._lock:
            if self._waiting is not None:
                return
            wait_s = self._last + self._every_s - time.monotonic()
            if wait_s > 0:
                self._waiting = threading.Timer(wait_s, self.now)
                self._waiting.daemon = True
                self._waiting.start()
                return
        self.now()

    def now(self) -> None:
        """Do it at once, also in place of what waits."""
        with self._lock:
            waiting, self._waiting, self._last = self._waiting, None, time.monotonic()
        if waiting is not None:
            waiting.cancel()
        with self._doing:
            self._do()


class PacedConsole(Console):
    """Says nothing, but tells how far each stage has come.

    Args:
        tell: called with stage, done, total, unit, left_s (seconds; None: nobody knows yet) and note.
        ends: whether the beginning and the end of a stage are told as well; else one that is over in a moment is not.
    """

    def __init__(self, tell: Callable[..., None], *, ends: bool) -> None:
        super().__init__(quiet=True)
        self._tell, self._ends = tell, ends

    @contextlib.contextmanager
    def stage(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """Tell how far one stage has come.

        Args:
            title: what is being done.
            total: how many items there are.
            unit: what an item is called, in the plural.

        Yields:
            A function to call with the number of items just done.
        """
        start = spoke = time.monotonic()
        done = 0
        if self._ends:
            self._tell(stage=title, done=0, total=total, unit=unit, left_s=None, note="")

        def advance(count: int = 1, note: str = "") -> None:
            nonlocal done, spoke
            done += count
            now = time.monotonic()
            if now - spoke >= _EVERY_S or (self._ends and done >= total):
                spoke = now
                left_s = round((total - done) * (now - start) / max(done, 1), 1)
                self._tell(stage=title, done=done, total=total, unit=unit, left_s=left_s, note=note)

        yield advance
