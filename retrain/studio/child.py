"""A run in a process of its own, for a page to watch: what it says, a line of JSON each, on standard output.

Started as ``python -m retrain.studio.child``; it reads what to do as JSON from standard input. SIGINT ends it as Ctrl-C
ends a run: what was cached is kept.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator

from retrain.commandline import exit_codes
from retrain.config import RunConfig
from retrain.console import Advance, Console
from retrain.errors import RetrainError, UsageError
from retrain.publish.further import write_further
from retrain.run import run

# How often a stage says how far it is.
_EVERY_S = 0.2


class TellingConsole(Console):
    """Says everything as JSON."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def tell(self, **facts: object) -> None:
        """Print one line of JSON."""
        with self._lock:
            print(json.dumps(facts), flush=True)

    def line(self, text: str) -> None:
        """Pass a line on.

        Args:
            text: the line, already safe to print.
        """
        self.tell(line=text)

    @contextlib.contextmanager
    def stage(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """Say how far one stage has come.

        Args:
            title: what is being done.
            total: how many items there are.
            unit: what an item is called, in the plural.

        Yields:
            A function to call with the number of items just done.
        """
        start = spoke = time.monotonic()
        done = 0
        self.tell(stage=title, done=0, total=total, unit=unit, left_s=None)

        def advance(count: int = 1, note: str = "") -> None:
            nonlocal done, spoke
            done += count
            now = time.monotonic()
            if now - spoke >= _EVERY_S or done >= total:
                spoke = now
                left_s = (total - done) * (now - start) / max(done, 1)
                self.tell(stage=title, done=done, total=total, unit=unit, left_s=round(left_s, 1), note=note)

        yield advance


def main() -> int:
    """Do what standard input says: ``{"config": ..., "formats": [...]}``; with formats, nothing is trained."""
    console = TellingConsole()
    with exit_codes("retrain") as code:
        order = json.load(sys.stdin)
        config, formats = RunConfig(**order["config"]), order["formats"]
        try:
            if formats:
                write_further(config.output_graph, config.image_dir, formats, "", console)
            else:
                run(config, console)
        except RetrainError as error:
            problems = error.problems if isinstance(error, UsageError) else (str(error),)
            console.tell(error="\n".join(problems))
            raise
    return code[0]


if __name__ == "__main__":
    raise SystemExit(main())
