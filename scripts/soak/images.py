"""R6 and R7: a million mutants of images in every way that reads bytes; all bombs, and what is slow but no bomb."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from retrain import fsio

GOALS = ("R6", "R7")
ABOUT_MINUTES = 30
MUTANTS, _TOGETHER = 1_000_000, 20_000
_MOST_BOMB_RSS, _MOST_RSS_MIB, _MOST_SECONDS = 512 << 20, 1024, 5.0
# CI draws the mutants of seed 0; these are others.
_SEED = 1000


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Read bombs, then mutants.

    Args:
        place: where to work; how far it got is kept there, and the mutants that broke something.
        seed: of the mutants.
        tell: shown how far it is.

    Returns:
        What became of the mutants, the largest resident memory, and the same of the bombs.

    Raises:
        AssertionError: a crash, a hang, another error than ImageError, or a limit of memory or time passed; the text
            says by which mutant.
    """
    bombs = read_bombs(place / "bombs", tell)
    mutants = read_mutants(place, _SEED + seed, MUTANTS, tell)
    return {"mutants": mutants, "bombs": bombs}


def read_bombs(folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Read all bombs in one process, and what is slow but no bomb in a process each.

    Args:
        folder: where they are written, and removed again.
        tell: shown what each took.

    Returns:
        Peak memory in MiB and seconds of the processor; by name for what is no bomb.

    Raises:
        AssertionError: a bomb was read, or the goals of memory and time were missed.
    """
    bombs = import_module("bombs")
    rows = _read(bombs.write(folder, bombs.BOMBS))
    for row in rows:
        way, expected = row["way"], bombs.BOMBS[row["name"]].reason
        _hold(way not in ("training", "sky") or row["reason"] == expected, row)
        _hold(row["rss"] < _MOST_BOMB_RSS and row["seconds"] < _MOST_SECONDS, row)
    found = {"files": len(bombs.BOMBS), **_most(rows)}
    tell(f"bombs: {found}")
    slow = {}
    for name, make in bombs.SLOW.items():
        path = folder / f"{name}.{'sky' if '16 bits' in name else 'bin'}"
        path.write_bytes(make())
        slow[name] = _most(_read([path]))
        tell(f"no bomb, {name}: {slow[name]}")
        _hold(slow[name]["seconds"] < _MOST_SECONDS and slow[name]["rss_mib"] < _MOST_RSS_MIB, (name, slow[name]))
    return {**found, "slow_but_read": slow}


def _hold(holds: bool, what: object) -> None:
    if not holds:
        raise AssertionError(str(what))


def _read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    files = list(paths)
    child, environment = (
        Path(import_module("bombs").__file__ or "").with_name("bombs_child.py"),
        import_module("commands"),
    )
    words = [sys.executable, str(child), *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment.environment())
    for path in files:
        fsio.remove(path)
    _hold(done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-2000:]))
    return [json.loads(line) for line in done.stdout.splitlines()]


def _most(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {"rss_mib": max(row["rss"] for row in rows) >> 20, "seconds": round(max(row["seconds"] for row in rows), 2)}


def read_mutants(place: Path, seed: int, count: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Read mutants on all cores, as many at a time as can be lost by a stop.

    Args:
        place: where to work.
        seed: of the mutants.
        count: how many.
        tell: shown how far it is.

    Returns:
        How often each answer came, and the largest resident memory in MiB.

    Raises:
        AssertionError: as of run; the mutant lies in place, and once it is mended the next run goes on from there.
    """
    runner, kept = import_module("mutants_run"), place / f"so_far-{seed}.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {"next": 0, "counts": {}, "rss_mib": 0}
    while found["next"] < count:
        first, many = found["next"], min(_TOGETHER, count - found["next"])
        try:
            reports = runner.run(seed, first, many, place)
        except runner.Ended as error:
            raise AssertionError(f"seed {seed}, mutants {first} to {first + many}: {error}") from error
        for report in reports:
            _check(report, place, seed)
            found["counts"] = dict(Counter(found["counts"]) + Counter(report["counts"]))
            found["rss_mib"] = max(found["rss_mib"], report["rss"] >> 20)
        found["next"] = first + many
        fsio.write_text(kept, json.dumps(found))
        tell(f"{found['next']:,} of {count:,} mutants: {found['counts']}, {found['rss_mib']} MiB at most")
    return {"seed": seed, "crashes": 0, "hangs": 0, "other_errors": 0, "rss_mib": found["rss_mib"], **found["counts"]}


def _check(report: dict[str, Any], place: Path, seed: int) -> None:
    """Keep what broke something as a file, and say so."""
    large = [int(at) for at, rss in report["rss_by"].items() if rss >> 20 >= _MOST_RSS_MIB]
    numbers = sorted({one["number"] for one in report["broken"]} | set(large))
    seeds = import_module("seeds_images")
    every = seeds.seeds() + seeds.finds() + seeds.awkward()
    for number in numbers:
        data = import_module("mutants").mutant(every, seed, number)
        fsio.write_bytes(place / f"found-{seed}-{number}.bin", data)
    _hold(not numbers, f"seed {seed}, mutants {numbers}: {report['broken'][:3]}, over 1 GiB: {large}; kept in {place}")
