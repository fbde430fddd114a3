"""The same command again, in other circumstances that must not matter: what it leaves is compared byte for byte.

Of all that a run leaves only this is not compared: TensorBoard's event files, which hold the time of each record and
the name of the machine; those of earlier runs, in folders named after the time; and the milliseconds that an export
took. Metrics, model card and report repeat the command: how many threads, which engine and which folders were asked for
are the only words in them that differ, and are taken for equal here.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import fake_run
from commands import PHOTOS, ROOT, environment

# Threads, hash seed, and the engine that extracts.
Circumstances = tuple[int, str, str]
_CLOCKS = ("events.out.tfevents.", "/earlier/", "/bottlenecks/")
# As JSON, as a command line, and as a row of the report.
_ASKED_FOR = re.compile(
    rb'"(?:threads|engine)": [^,]*,| ?--(?:threads|engine)=\w+|<th scope="row">(?:threads|engine)</th><td><code>\w+'
)


def in_other_circumstances(count: int, seed: int) -> list[Circumstances]:
    """Choose circumstances: 1, 2 and 4 threads in turn, hash seeds at random."""
    chance = random.Random(seed)
    return [((1, 2, 4)[number % 3], str(chance.randrange(1, 2**32)), "local") for number in range(count)]


def fake(folder: Path, circumstances: Circumstances) -> dict[str, str]:
    """Train on the fake backbone in a process of its own.

    Args:
        folder: where, made; its name is its own.
        circumstances: threads, hash seed and engine.

    Returns:
        Path of an artefact below the folder -> its SHA-256.
    """
    threads, hashes, engine = circumstances
    flags = [word for word in fake_run.prepare(folder, 24, 3) if not word.startswith("--threads=")]
    words = [str(ROOT / "tests" / "faults" / "fake_run.py"), *flags, f"--threads={threads}", f"--engine={engine}"]
    _run(words, hashes, ROOT)
    return {name: data for name, data in _artefacts(folder).items() if name.startswith(("out/", "summaries/"))}


def real(folder: Path, models: Path, circumstances: Circumstances) -> dict[str, str]:
    """Train on the photographs of the repository with default flags, in a process of its own.

    Args:
        folder: where, made.
        models: converted backbones, shared by runs.
        circumstances: threads, hash seed and engine.

    Returns:
        Path of an artefact below the folder -> its SHA-256.
    """
    threads, hashes, engine = circumstances
    folder.mkdir(parents=True)
    words = ["-m", "retrain", "--image_dir", str(PHOTOS), "--model_dir", str(models), "--offline"]
    _run([*words, f"--threads={threads}", f"--engine={engine}"], hashes, folder)
    return _artefacts(folder)


def _artefacts(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(mark in f"/{name}" for mark in _CLOCKS):
            found[name] = hashlib.sha256(_ASKED_FOR.sub(b"", fake_run._told(path, folder))).hexdigest()
    return found


def _run(words: Sequence[str], hashes: str, cwd: Path) -> None:
    run = subprocess.run(
        [sys.executable, *words], env={**environment(), **_quiet(), "PYTHONHASHSEED": hashes}, cwd=cwd,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]


def _quiet() -> Mapping[str, str]:
    return {name: os.environ[name] for name in ("RAY_USAGE_STATS_ENABLED",) if name in os.environ}


def differences(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """Name what is not the same in all runs."""
    names = sorted(set().union(*runs))
    return [name for name in names if len({run.get(name) for run in runs}) > 1]
