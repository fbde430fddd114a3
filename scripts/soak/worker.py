"""R26: a thousand processes that decode ended by what they decode, killed from outside, and orphaned."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from retrain.engines import LocalEngine, SeparateEngine
from retrain.extraction import Extraction, Job

GOALS = ("R26",)
ABOUT_MINUTES = 30
ROUNDS, ORPHANS, FILES = 250, 50, 200
# Share of the files that end their process, percent.
_SPOILT = 1
_DEADLY = (b"ABORT", b"SEGV", b"KILL", b"EXIT", b"MEMORY")
_GONE_S = 5.0


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """End decoding processes in all ways until there are enough.

    Args:
        place: where to work.
        seed: of all choices.
        tell: told how far it is.

    Returns:
        Figures by name.

    Raises:
        AssertionError: a goal is missed; with the seed of the case.
    """
    workers = import_module("worker_extractors")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(workers.HERE), os.environ.get("PYTHONPATH")]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    aside = 0
    for number in range(ROUNDS):
        aside += _round(place / "files", workers, seed * 10_000 + number)
        if number % 25 == 24:
            tell(f"{number + 1} of {ROUNDS} extractions, {aside} files put aside")
    slowest = 0.0
    for number in range(ORPHANS):
        slowest = max(slowest, _orphaned(place / f"run-{number % 2}", workers, seed * 10_000 + number))
        if number % 10 == 9:
            tell(f"{number + 1} of {ORPHANS} killed parents; the last process was gone after {slowest:.2f} s at most")
    return {
        "extractions": ROUNDS, "files": ROUNDS * FILES, "put_aside": aside, "lost": 0,
        "parents_killed": ORPHANS, "orphans": 0, "slowest_end_s": round(slowest, 2),
    }  # fmt: skip


def _round(folder: Path, workers: Any, seed: int) -> int:  # noqa: ANN401
    """Spoil some files; all others must have the vectors that they have in this process."""
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    spoilt = {number for number in range(FILES) if draw.random() * 100 < _SPOILT}
    for number in range(FILES):
        ending = draw.choice(_DEADLY) if number in spoilt else b""
        (folder / f"{number}.jpg").write_bytes(b"photo %d of %d " % (number, seed) + ending)
    jobs = [Job(number, str(folder / f"{number}.jpg")) for number in range(FILES)]
    answers = list(SeparateEngine(workers.Obedient(), draw.randint(1, 4)).extract(jobs, set()))
    found = {answer.index for answer in answers if answer.vector is None}
    _require([answer.index for answer in answers] == list(range(FILES)), seed, "the order is another")
    _require(found == spoilt, seed, f"expected {sorted(spoilt)} put aside, got {sorted(found)}")
    sound = [job for job in jobs if job.index not in spoilt]
    here = {answer.index: _bytes(answer) for answer in LocalEngine(workers.Obedient()).extract(sound, set())}
    there = {answer.index: _bytes(answer) for answer in answers if answer.vector is not None}
    _require(here == there, seed, "a vector differs from what this process extracts")
    return len(spoilt)


def _orphaned(folder: Path, workers: Any, seed: int) -> float:  # noqa: ANN401
    """Kill a run at some moment of its extraction; seconds until the last of its processes was gone."""
    draw, log = random.Random(seed), folder / "log"
    flags = _flags(folder)
    log.unlink(missing_ok=True)
    words = [sys.executable, str(workers.HERE / "worker_extractors.py"), str(log), *flags]
    cache = f"--bottleneck_dir={folder / f'cache-{seed}'}"
    child = subprocess.Popen(
        [*words, cache], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not log.exists() and child.poll() is None:
        time.sleep(0.01)
    time.sleep(draw.random())
    child.send_signal(signal.SIGKILL)
    child.wait()
    _require(log.exists(), seed, f"the run ended with {child.returncode} before it extracted")
    start, pids = time.monotonic(), set(log.read_text().split())
    while any(map(_is_alive, pids)):
        took = time.monotonic() - start
        _require(took < _GONE_S, seed, f"a process is left {took:.1f} s after its parent was killed")
        time.sleep(0.01)
    return time.monotonic() - start


def _flags(folder: Path) -> list[str]:
    """How a run over slow photographs is started; they are made the first time."""
    listing = folder / "flags.txt"
    if not listing.exists():
        flags = import_module("fake_run").prepare(folder, 60)
        for path in (folder / "photos").rglob("*.png"):
            path.write_bytes(path.read_bytes() + b"SLOW")
        listing.write_text("\n".join(flags))
    return listing.read_text().splitlines()


def _bytes(answer: Extraction) -> bytes:
    return b"" if answer.vector is None else answer.vector.tobytes()


def _require(holds: bool, seed: int, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"seed {seed}: {otherwise}")


def _is_alive(pid: str) -> bool:
    with contextlib.suppress(OSError):
        return Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
