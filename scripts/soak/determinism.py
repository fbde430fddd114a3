"""R22: the same bytes, twenty times: the fake backbone and the real one, 1, 2 and 4 threads, hash seeds at random."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

GOALS = ("R22",)
ABOUT_MINUTES = 8
RUNS = 20


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Train again and again.

    Args:
        place: where to work.
        seed: of the hash seeds.
        tell: shown how far it is.

    Returns:
        Runs, files that are compared, and names of those that differ: none.

    Raises:
        AssertionError: some differ.
    """
    determinism = import_module("determinism")
    shutil.rmtree(place / "runs", ignore_errors=True)
    figures: dict[str, Any] = {"threads": [1, 2, 4]}
    ways: dict[str, Callable[[Path, Any], dict[str, str]]] = {
        "fake": determinism.fake,
        "real": lambda folder, circumstances: determinism.real(folder, place / "models", circumstances),
    }
    for name, train in ways.items():
        runs: list[dict[str, str]] = []
        for number, circumstances in enumerate(determinism.in_other_circumstances(RUNS, seed)):
            runs.append(train(place / "runs" / f"{name}{number}", circumstances))
            tell(f"{name} backbone, run {number + 1} of {RUNS}: {len(runs[-1])} files")
            differing = determinism.differences(runs)
            if differing:
                raise AssertionError(f"seed {seed}, {circumstances}: {differing}")
        figures |= {f"{name}_runs": len(runs), f"{name}_files": len(runs[0]), f"{name}_differing": 0}
    shutil.rmtree(place / "runs")
    return figures
