"""What the doctor says of the folder, told to a page as it goes."""

from __future__ import annotations

from functools import partial
from typing import Any

from retrain.config import RunConfig
from retrain.console import printable
from retrain.doctor import diagnose
from retrain.studio.events import Events
from retrain.studio.telling import PacedConsole
from retrain.survey.findings import COSTS, STOPS, Finding

_MARKS = {STOPS: "error", COSTS: "warning"}


def findings(config: RunConfig, events: Events) -> list[dict[str, Any]]:
    """Look at every photograph.

    Args:
        config: of the run folder.
        events: told how far it is, as "looking".

    Returns:
        What was found, the worst first; JSON's types only.
    """
    report = diagnose(config, PacedConsole(partial(events.tell, "looking"), ends=False), None, keep=True)
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
