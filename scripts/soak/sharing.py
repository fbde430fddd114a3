"""R5: four processes bring one cache of 2,000 photographs up to date, twenty times."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

GOALS = ("R5",)
ABOUT_MINUTES = 4
WRITERS, PHOTOGRAPHS, ROUNDS = 4, 2000, 20
MOST_TWICE = 0.05


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Share caches.

    Args:
        place: where to work.
        seed: of the photographs.
        tell: told how far it is.

    Returns:
        Figures by name.

    Raises:
        AssertionError: a vector is wrong or absent, a writer did not end, or too much was computed twice.
    """
    sharing = import_module("sharing")
    shutil.rmtree(place / "photographs", ignore_errors=True)
    sharing.make_photographs(place / "photographs", PHOTOGRAPHS, seed)
    rounds = []
    for number in range(ROUNDS):
        rounds.append(sharing.share(place / "photographs", place / "cache", WRITERS))
        tell(f"round {number + 1} of {ROUNDS}: {rounds[-1].computed} computed, {rounds[-1].took_s:.1f} s")
    twice = max(one.twice for one in rounds)
    if twice > MOST_TWICE:
        raise AssertionError(f"seed {seed}: {100 * twice:.1f} % of {PHOTOGRAPHS} were computed twice")
    return {
        "rounds": ROUNDS,
        "writers": WRITERS,
        "photographs": PHOTOGRAPHS,
        "corrupt": 0,
        "most_computed_twice_percent": round(100 * twice, 2),
        "longest_s": round(max(one.took_s for one in rounds), 1),
    }
