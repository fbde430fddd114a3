"""R30: the unit tests twenty times in random orders, each with its seed; a test that hangs on another shows here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from retrain import fsio

GOALS = ("R30",)
ABOUT_MINUTES = 60
ROUNDS = 20
# Processes at a time; nothing that a test makes is shared.
PROCESSES = 2
ROOT = Path(__file__).resolve().parents[2]
_LAST = re.compile(r"(?:(\d+) failed, )?(\d+) passed")


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run the unit tests in one random order after the other; needs pytest-randomly, of the extra soak.

    Args:
        place: what each round came to is kept there.
        seed: of the first order; the next ones follow it.
        tell: shown what each round came to.

    Returns:
        Rounds, tests of each, failures: none.

    Raises:
        AssertionError: a test failed, with the seed that shows it again.
    """
    kept = place / "rounds.json"
    done: dict[str, int] = json.loads(kept.read_text()) if kept.exists() else {}
    left = [number for number in range(seed * ROUNDS + 1, (seed + 1) * ROUNDS + 1) if str(number) not in done]
    lock = threading.Lock()

    def one(number: int) -> None:
        passed = _round(number, place)
        with lock:
            done[str(number)] = passed
            fsio.write_text(kept, json.dumps(done))
            tell(f"order {number}: {passed:,} passed, {len(done)} of {ROUNDS}")

    with ThreadPoolExecutor(PROCESSES) as pool:
        for waiting in [pool.submit(one, number) for number in left]:
            waiting.result()
    fsio.remove(kept)
    return {"rounds": len(done), "tests": min(done.values()), "failures": 0}


def _round(number: int, place: Path) -> int:
    """Run one order; gives how many tests passed."""
    log = place / f"order-{number}.log"
    words = [sys.executable, "-m", "pytest", "tests/unit", "-q", "-p", "no:cacheprovider", f"--randomly-seed={number}"]
    # Examples of hypothesis go to a folder of each process.
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(place / f"examples-{number}")}
    with log.open("w") as said:
        code = subprocess.run(words, stdout=said, stderr=subprocess.STDOUT, check=False, cwd=ROOT, env=environment)
    text = log.read_text(errors="replace")
    last = _LAST.search(text.strip().splitlines()[-1]) if text.strip() else None
    if code.returncode or last is None or last[1]:
        raise AssertionError(f"order {number} ended with {code.returncode}: {log}: {text[-2000:]}")
    return int(last[2])
