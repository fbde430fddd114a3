"""R6: an hour of coverage-guided fuzzing (Atheris) of what reads image files; its corpus is kept and grows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from retrain import fsio

GOALS = ("R6",)
ABOUT_MINUTES = 61
SECONDS = 3600
# libFuzzer's own limits: seconds of the clock an input, MiB of the process (100 are its own), bytes of an input.
_HANG_S, _MOST_MIB, _MOST_BYTES = 15, 1200, 20_000
_STATUS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)


def run(place: Path, seed: int, tell: Callable[[str], None], seconds: int = SECONDS) -> dict[str, Any]:
    """Fuzz for an hour.

    Args:
        place: holds the corpus, and what was found as ``found-*``.
        seed: of the fuzzer.
        tell: shown its last line of status.
        seconds: how long.

    Returns:
        Inputs tried, places of the code reached, size of the corpus.

    Raises:
        AssertionError: an input crashed, hung, took a gigabyte or raised another error than ImageError.
    """
    corpus = place / "corpus"
    _sow(corpus)
    before = set(place.glob("found-*"))
    log = place / "fuzz.log"
    target = Path(import_module("mutants").__file__ or "").with_name("fuzz_images.py")
    words = [
        sys.executable, str(target), f"-max_total_time={seconds}", f"-timeout={_HANG_S}", f"-rss_limit_mb={_MOST_MIB}",
        f"-max_len={_MOST_BYTES}", f"-seed={seed + 1}", f"-artifact_prefix={place}{os.sep}found-",
        "-print_final_stats=1", str(corpus),
    ]  # fmt: skip
    with log.open("w") as said:
        environment = import_module("commands").environment()
        code = subprocess.run(words, stdout=said, stderr=subprocess.STDOUT, check=False, env=environment).returncode
    text = log.read_text(errors="replace")
    found = sorted(path.name for path in set(place.glob("found-*")) - before)
    if code:
        raise AssertionError(f"libFuzzer ended with {code}, seed {seed + 1}; {found} in {place}: {text[-3000:]}")
    tried, covered, features, kept = max((tuple(map(int, row)) for row in _STATUS.findall(text)), default=(0, 0, 0, 0))
    if not tried:
        raise AssertionError(f"no input was tried: {text[-2000:]}")
    tell(f"{tried:,} inputs, {covered:,} places, corpus of {kept:,}")
    return {"seconds": seconds, "inputs": tried, "covered": covered, "features": features, "corpus": kept, "finds": 0}


def _sow(corpus: Path) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    if any(corpus.iterdir()):
        return
    seeds = import_module("seeds_images")
    for number, (_, data) in enumerate(seeds.seeds() + seeds.finds() + seeds.awkward(_MOST_BYTES)):
        if len(data) <= _MOST_BYTES:
            fsio.write_bytes(corpus / f"seed-{number:04}", data)
