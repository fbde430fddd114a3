"""R4: every bit and every prefix of a small cache file, read as runs and as those who look after caches read it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from retrain import fsio

GOALS = ("R4",)
ABOUT_MINUTES = 20
# Bits between two notes of how far it is.
_TOGETHER = 2000


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Turn every bit, cut at every byte.

    Args:
        place: where to work; how far it got is kept there.
        seed: of nothing: all cases are tried.
        tell: shown how far it is.

    Returns:
        How often each answer came, by who asked.

    Raises:
        AssertionError: an answer that was never written, or an error of another kind than this program's.
    """
    flips = import_module("flips")
    path = place / "cache.sqlite"
    data = flips.make_cache(path)
    folder = place / "set"
    collected, of_a_run = flips.make_set(folder)
    readers = {
        "bits, read": (path, data, flips.flipped, 8 * len(data), lambda: flips.read_cache(path)),
        "bits, looked after": (path, data, flips.flipped, 8 * len(data), lambda: flips.look_after(path)),
        "prefixes, read": (path, data, flips.cut, len(data), lambda: flips.read_cache(path)),
        "bits, run": (
            collected,
            of_a_run,
            flips.flipped,
            8 * len(of_a_run),
            lambda: flips.collected(folder, collected),
        ),
        "prefixes, run": (collected, of_a_run, flips.cut, len(of_a_run), lambda: flips.collected(folder, collected)),
    }
    kept = place / "so_far.json"
    found: dict[str, dict[str, int]] = json.loads(kept.read_text()) if kept.exists() else {}
    for name, (file, whole, change, total, read) in readers.items():
        done = sum(found.get(name, {}).values())
        for start in range(done, total, _TOGETHER):
            cases = change(whole, range(start, min(start + _TOGETHER, total)))
            answers = Counter(found.get(name, {})) + flips.outcomes(file, cases, read)
            found[name] = dict(answers)
            fsio.write_text(kept, json.dumps(found))
            tell(f"{name}: {answers.total():,} of {total:,}, {dict(answers)}")
    fsio.remove(kept)
    return {"cache_bytes": len(data), **found, "seed_used": False, "wrong_answers": 0, "tracebacks": 0, "seed": seed}
