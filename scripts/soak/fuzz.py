"""R6: an hour of coverage-guided fuzzing (Atheris) of what reads image files; its corpus is kept and grows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from retrain import fsio

GOALS = ("R6",)
ABOUT_MINUTES = 61
SECONDS = 3600
# libFuzzer's own limits: seconds of the clock an input (a busy machine may take them: such an input is read again),
# MiB of the process (100 are its own), bytes of an input.
_HANG_S, _MOST_MIB, _MOST_BYTES = 15, 1200, 20_000
# Names of what libFuzzer keeps of inputs that took long by the clock.
_SLOW = ("found-timeout-", "found-slow-unit-")
_STATUS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)


def run(place: Path, seed: int, tell: Callable[[str], None], seconds: int = SECONDS) -> dict[str, Any]:
    """Fuzz for an hour.

    Args:
        place: holds the corpus, how far it is, and what was found as ``found-*``.
        seed: of the fuzzer.
        tell: shown its last line of status.
        seconds: how long.

    Returns:
        Inputs tried, places of the code reached, size of the corpus; starts, of which each after the first followed an
        input that the machine let wait.

    Raises:
        AssertionError: an input crashed, hung, took a gigabyte or raised another error than ImageError.
    """
    _sow(place / "corpus")
    note = place / "so_far.json"
    done: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {"seconds": 0.0, "inputs": 0, "starts": 0}
    while done["seconds"] < seconds - 1:
        begun = time.monotonic()
        text = _fuzzed(place, seed + 1 + done["starts"], int(seconds - done["seconds"]))
        tried, covered, features, kept = max((tuple(map(int, row)) for row in _STATUS.findall(text)), default=(0,) * 4)
        if not tried:
            raise AssertionError(f"no input was tried: {text[-2000:]}")
        done |= {"covered": covered, "features": features, "corpus": kept, "inputs": done["inputs"] + tried}
        done |= {"seconds": round(done["seconds"] + time.monotonic() - begun, 1), "starts": done["starts"] + 1}
        fsio.write_text(note, json.dumps(done))
        tell(f"{done['inputs']:,} inputs, {covered:,} places, corpus of {kept:,}, {done['seconds']:.0f} s")
    fsio.remove(note)
    return {**done, "finds": 0}


def _fuzzed(place: Path, seed: int, seconds: int) -> str:
    """Fuzz until the time is over, or an input took long by the clock but not of the processor; gives what was said."""
    target = Path(import_module("mutants").__file__ or "").with_name("fuzz_images.py")
    before = set(place.glob("found-*"))
    words = [
        sys.executable, str(target), f"-max_total_time={seconds}", f"-timeout={_HANG_S}", f"-rss_limit_mb={_MOST_MIB}",
        f"-max_len={_MOST_BYTES}", f"-seed={seed}", f"-artifact_prefix={place}{os.sep}found-",
        "-print_final_stats=1", str(place / "corpus"),
    ]  # fmt: skip
    log = place / f"fuzz-{seed}.log"
    with log.open("w") as said:
        environment = import_module("commands").environment()
        code = subprocess.run(words, stdout=said, stderr=subprocess.STDOUT, check=False, env=environment).returncode
    text = log.read_text(errors="replace")
    found = sorted(set(place.glob("found-*")) - before)
    if code and not (found and all(path.name.startswith(_SLOW) for path in found)):
        names = [path.name for path in found]
        raise AssertionError(f"libFuzzer ended with {code}, seed {seed}; {names} in {place}: {text[-3000:]}")
    for path in found:
        _read_again(path, place)
    return text


def _read_again(path: Path, place: Path) -> None:
    """Hold an input that libFuzzer took for a hang against the processor's time; where it is none, it is forgotten."""
    mutants_run, record = import_module("mutants_run"), place / "again"
    broken = mutants_run.finish(mutants_run.start("--files", path, record=record), record)["broken"]
    if broken:
        raise AssertionError(f"{path}: {broken}")
    fsio.remove(path)


def _sow(corpus: Path) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    if any(corpus.iterdir()):
        return
    seeds = import_module("seeds_images")
    for number, (_, data) in enumerate(seeds.seeds() + seeds.finds() + seeds.awkward(_MOST_BYTES)):
        if len(data) <= _MOST_BYTES:
            fsio.write_bytes(corpus / f"seed-{number:04}", data)
