"""R12: a million frozen graphs and SavedModels with changed bytes are understood or refused, and nothing else."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from retrain import fsio

GOALS = ("R12",)
ABOUT_MINUTES = 8
MUTANTS = 1_000_000
_AT_ONCE = 10_000


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Open mutants.

    Args:
        place: where to note how far it is.
        seed: of the first; each has a number of its own.
        tell: shown how far it is.

    Returns:
        Mutants, how many ways of opening them were refused and understood, and the slowest one's seconds.

    Raises:
        AssertionError: one came to anything but an answer or a refusal.
    """
    judge = import_module("graph_mutants").judge
    note = place / f"graphs-{seed}.json"
    done: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {"mutants": 0, "slowest_s": 0.0}
    found = Counter({name: done.get(name, 0) for name in ("refused", "understood")})
    while done["mutants"] < MUTANTS:
        for number in range(done["mutants"], done["mutants"] + _AT_ONCE):
            begun = time.perf_counter()
            try:
                found += judge(seed * MUTANTS + number)
            except Exception as error:
                raise AssertionError(f"mutant {seed * MUTANTS + number}: {error!r}") from error
            done["slowest_s"] = max(done["slowest_s"], time.perf_counter() - begun)
        done |= {"mutants": done["mutants"] + _AT_ONCE, **found}
        fsio.write_text(note, json.dumps(done))
        tell(f"{done['mutants']:,} of {MUTANTS:,} mutants of graphs")
    return {**done, "crashes": 0}
