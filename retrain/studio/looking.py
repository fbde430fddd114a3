"""What the doctor says of the folder, told to a page as it goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from retrain.config import RunConfig
from retrain.console import Advance, Console, printable
from retrain.doctor import diagnose
from retrain.studio.events import Events
from retrain.survey.findings import COSTS, STOPS, Finding

_EVERY_S = 0.2
_MARKS = {STOPS: "error", COSTS: "warning"}


class EventsConsole(Console):
    """Tells pages how far a stage has come, and says nothing else.

    Args:
        events: where it is told.
        kind: name of the event.
    """

    def __init__(self, events: Events, kind: str) -> None:
        super().__init__(quiet=True)
        self._events, self._kind = events, kind

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
        done, spoke = 0, time.monotonic()

        def advance(count: int = 1, note: str = "") -> None:
            nonlocal done, spoke
            done += count
            now = time.monotonic()
            if now - spoke >= _EVERY_S:
                spoke = now
                self._events.tell(self._kind, stage=title, done=done, total=total, unit=unit)

        yield advance


def findings(config: RunConfig, events: Events) -> list[dict[str, Any]]:
    """Look at every photograph.

    Args:
        config: of the run folder.
        events: told how far it is, as "looking".

    Returns:
        What was found, the worst first; JSON's types only.
    """
    report = diagnose(config, EventsConsole(events, "looking"), None, keep=True)
    order = sorted(report.findings, key=lambda one: (one.severity != STOPS, one.severity != COSTS))
    return [_facts(one) for one in order]


def _facts(one: Finding) -> dict[str, Any]:
    return {
        "severity": _MARKS.get(one.severity, "note"),
        "kind": one.kind,
        "title": f"{one.severity}: {one.count:,} ×" if one.count > 1 else one.severity,
        "text": printable(one.text),
        "fix": printable(one.fix),
        "examples": [printable(name) for name in one.examples],
    }
