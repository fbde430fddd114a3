"""R3: what may be on the disk when the power goes, at every call of every way to write, and of whole runs."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

GOALS = ("R3",)
ABOUT_MINUTES = 5
SEEDS, CHOICES, RUNS = 40, 12, 6


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Let the power go.

    Args:
        place: where to work.
        seed: of what is left to chance.
        tell: shown how far it is.

    Returns:
        States by way to write, and what the model's reader made of those of runs.

    Raises:
        AssertionError: something was found that was never written.
    """
    cases = import_module("power_cases")
    shutil.rmtree(place, ignore_errors=True)
    states: dict[str, int] = {}
    for case in cases.CASES:
        states[case.name] = 0
        for more in range(SEEDS):
            count, _ = cases.examine(case, place / "disk", seed + more, CHOICES)
            states[case.name] += count
            lost = cases.after_the_end(case, place / "disk", seed + more) - {cases.NEW}
            if lost:
                raise AssertionError(f"{case.name}, seed {seed + more}: done, and gone after the power was")
        tell(f"{case.name}: {states[case.name]:,} states")
    read: Counter[str] = Counter()
    for number in range(RUNS):
        read += _run_over(place / f"run{number}", seed + number, cases)
        tell(f"{number + 1} of {RUNS} runs: {dict(read)}")
    return {"states_of_writes": states, "states_of_runs": read.pop("states"), "models_read": dict(read), "wrong": 0}


def _run_over(place: Path, seed: int, cases: Any) -> Counter[str]:  # noqa: ANN401 - a module of the tests
    """Let the power go in a run over another one; what the model's reader says of each state."""
    second, _ = cases.first_and_second(place)
    first = cases.read_model(place)
    states = cases.run_states(place, second, seed, CHOICES)
    last = cases.read_model(place)
    names = {first: cases.OLD, last: cases.NEW}
    read: Counter[str] = Counter({"states": len(states)})
    seen: set[frozenset[tuple[str, bytes]]] = set()
    for calls, tree in states:
        files = cases.model_files(tree)
        key = frozenset(files.items())
        if key in seen:
            continue
        seen.add(key)
        answer = cases.read_model(cases.lay(files, place.parent / "crashed"))
        name = names.get(answer, answer[0])
        if name not in (cases.OLD, cases.NEW, cases.REFUSED):
            raise AssertionError(f"seed {seed}, after {calls} calls: {answer}")
        read[name] += 1
    return read
