"""R29: the score of the unit tests by a sample of mutants of each room. All of them: ``python -m scripts.mutation``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.mutation.__main__ import ROOMS, score_room

GOALS = ("R29",)
ABOUT_MINUTES = 60
SAMPLE = 300


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Score the rooms; those that are done already are not done again.

    Args:
        place: where to work.
        seed: of the draw.
        tell: where to say how far it is.

    Returns:
        room -> share of the mutants that a test noticed, how many were run, and what became of them.
    """
    figures = {}
    for room in ROOMS:
        kept = place / f"{room}.{seed}.json"
        if not kept.exists():
            kept.write_text(json.dumps(score_room(room, place, SAMPLE, seed)))
        figures[room] = json.loads(kept.read_text())
        tell(f"{room}: {figures[room]['share']:.1%} of {figures[room]['run']}")
    return figures
