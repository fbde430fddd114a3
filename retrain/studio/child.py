"""A run in a process of its own, for a page to watch: what it says, a line of JSON each, on standard output.

Started as ``python -m retrain.studio.child``; it reads what to do as JSON from standard input. SIGINT ends it as Ctrl-C
ends a run: what was cached is kept.
"""

from __future__ import annotations

import json
import sys
import threading

from retrain.commandline import exit_codes
from retrain.config import RunConfig
from retrain.errors import RetrainError, UsageError
from retrain.publish.further import write_further
from retrain.run import run
from retrain.studio.telling import PacedConsole


class TellingConsole(PacedConsole):
    """Says everything as JSON."""

    def __init__(self) -> None:
        super().__init__(self.tell, ends=True)
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
