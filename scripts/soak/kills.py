"""R1: a thousand kills of runs on a fake backbone, fifty of the real command, a few while it converts its backbone."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from retrain import fsio

GOALS = ("R1", "R26")
ABOUT_MINUTES = 45
FAKE_KILLS, REAL_KILLS, CONVERSIONS = 1000, 50, 3
# Kept in a file after so many trials, so that a stopped soak goes on there.
_KEEP_EVERY = 10


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Kill runs until there are enough.

    Args:
        place: where to work; what was reached is kept there.
        seed: of all moments.
        tell: told how far it is.

    Returns:
        Figures by name.

    Raises:
        AssertionError: a goal is missed; with the seed of the case.
    """
    figures = {"fake": _fake(place, seed, tell), "real": _real(place, seed, tell)}
    return figures | {"conversions_killed": _conversions(place, tell)}


def _fake(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    kills = import_module("kills")
    done = _read(place / "fake.json")
    while done["kills"] < FAKE_KILLS:
        # A trial's seed is new for each block, so that a find is repeated from its block alone.
        block = seed * 10_000 + done["blocks"]
        server = kills.Server()
        try:
            trial = kills.fake_trial(place / "fake", server, block)
            for _ in range(_KEEP_EVERY):
                _one(trial, block)
        finally:
            server.close()
        _keep(place / "fake.json", done, trial.tally)
        tell(f"fake: {done['kills']} of {FAKE_KILLS} kills, {done['refused']} states refused")
    return done


def _real(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    kills = import_module("kills")
    done = _read(place / "real.json")
    while done["kills"] < REAL_KILLS:
        block = seed * 10_000 + done["blocks"]
        trial = kills.real_trial(place / "real", place / "models", block)
        for _ in range(_KEEP_EVERY // 2):
            _one(trial, block)
        _keep(place / "real.json", done, trial.tally)
        tell(f"real: {done['kills']} of {REAL_KILLS} kills")
    return done


def _conversions(place: Path, tell: Callable[[str], None]) -> int:
    """Kill the command while TensorFlow converts, a little later each time; then it converts again."""
    kills, signals = import_module("kills"), import_module("signals_")
    folder = place / "converting"
    for number in range(CONVERSIONS):
        shutil.rmtree(folder, ignore_errors=True)
        words = [*signals.REAL, *kills.real_flags(folder, folder / "models")]
        with signals.started(words, folder) as child:
            signals.wait_for_child(child.pid, "retrain.backbones.convert")
            time.sleep(0.5 + number)
            children = kills.children_of(child.pid)
            child.kill()
            kills.outlived_s(children)
        with signals.started(words, folder) as child:
            said, _ = child.communicate(timeout=signals.WAIT_S)
        if child.returncode or kills.temporaries(folder):
            raise AssertionError(f"conversion {number}: code {child.returncode}, {kills.temporaries(folder)}: {said}")
        tell(f"conversions: {number + 1} of {CONVERSIONS}")
    return CONVERSIONS


def _one(trial: Any, block: int) -> None:  # noqa: ANN401
    try:
        trial.kill()
    except AssertionError as error:
        raise AssertionError(f"seed {block}, after {trial.tally}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    return {"blocks": 0, "kills": 0, "ended_before": 0, "refused": 0, "repetitions_equal": 0, "orphans_s": 0.0}


def _keep(path: Path, done: dict[str, Any], tally: Any) -> None:  # noqa: ANN401
    seen = asdict(tally)
    done["blocks"] += 1
    done["kills"] += sum(seen["kills"].values())
    for phase, count in seen["kills"].items():
        done[f"kills_in_{phase}"] = done.get(f"kills_in_{phase}", 0) + count
    done["ended_before"] += seen["ended"]
    done["refused"] += seen["refused"]
    done["repetitions_equal"] += seen["repetitions"]
    done["orphans_s"] = max(done["orphans_s"], round(seen["orphans_s"], 3))
    fsio.write_text(path, json.dumps(done, indent=1) + "\n")
