"""R2 and R9: every call that a run makes to the disk fails with every error it can have; and disks without room."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from retrain import fsio

GOALS = ("R2", "R9")
ABOUT_MINUTES = 60
# Processes at a time; each has a folder of its own.
PROCESSES = 2
# Beyond the last call of an undisturbed run: a run that fails and tidies up makes more.
_MORE = 10
_NOTE_EVERY = 100
# Bytes free on the small disk, and limits on the size of a file.
_FREE_STEP, _LIMIT_STEP = 10_000, 10_000


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Let each call fail once, and from there on for ever, on an empty disk and where a model is; then fill disks.

    Args:
        place: where to work; what is done is kept there.
        seed: of nothing: all cases are tried.
        tell: shown how far it is.

    Returns:
        Cases, how runs ended by exit code, those that did without what failed, and problems: none.

    Raises:
        AssertionError: a run ended otherwise than it has to, left half a file, or the next one did not heal it.
    """
    stopped = threading.Event()
    with ThreadPoolExecutor(PROCESSES) as pool:
        shares = [pool.submit(_share, place / str(one), one, tell, stopped) for one in range(PROCESSES)]
        try:
            found = sum((share.result() for share in shares), Counter[str]())
        finally:
            stopped.set()
    for done in (place / "counts.json", *place.glob("*/so_far.json")):
        fsio.remove(done)
    figures = {"R2": dict(sorted(found.items())), "seed_used": False, "seed": seed}
    return {**figures, "R9": _without_room(place / "room", tell)}


def _share(place: Path, share: int, tell: Callable[[str], None], stopped: threading.Event) -> Counter[str]:
    """Try every PROCESSES-th case, from where an earlier start stopped."""
    disk = import_module("failing_disk")
    place.mkdir(parents=True, exist_ok=True)
    library = disk.build(place)
    if library is None:
        raise AssertionError("expected a compiler named cc on Linux; install one")
    kept = place / "so_far.json"
    told: dict[str, int] = json.loads(kept.read_text()) if kept.exists() else {}
    found = Counter(told)
    problems: list[str] = []
    with disk.Trials(library, place) as trials:
        cases = list(_cases(disk, _counts(place.parent / "counts.json", disk, trials)))[share::PROCESSES]
        for number in range(found["cases"], len(cases)):
            if stopped.is_set():
                return found
            finding = trials.try_one(cases[number])
            found.update(_tally(finding))
            problems += [f"{finding}"] if finding.problems else []
            if number % _NOTE_EVERY == 0 or number + 1 == len(cases):
                fsio.write_text(kept, json.dumps(found))
                tell(f"share {share}: {number + 1:,} of {len(cases):,}, {len(problems)} problems {problems[-1:]}")
    if found["problems"]:
        fsio.remove(kept)  # all of it once more when they are mended
        raise AssertionError(f"{found['problems']} problems: " + "\n".join(problems[:20]))
    return found


def _counts(path: Path, disk: Any, trials: Any) -> dict[str, int]:  # noqa: ANN401 - modules of the tests
    """Count the calls of undisturbed runs, once for all shares and starts, whose cases are then the same."""
    with fsio.locked(path):
        if not path.exists():
            kinds = [(disk.CALLS, error) for error in disk.ERRORS] + [
                (disk.LOOKS, error) for error in ("EIO", "EACCES")
            ]
            counts = {
                f"{calls} {error} {start}": trials.try_one(disk.Case(0, error, False, start, calls)).counted
                for calls, error in kinds
                for start in disk.STARTS
            }
            fsio.write_text(path, json.dumps(counts))
    found: dict[str, int] = json.loads(path.read_text())
    return found


def _cases(disk: Any, counts: dict[str, int]) -> Iterator[Any]:  # noqa: ANN401 - a module of the tests
    for name, counted in counts.items():
        calls, error, start = name.split()
        for number in range(1, counted + _MORE):
            for for_ever in (False, True):
                yield disk.Case(number, error, for_ever, start, int(calls))


def _tally(finding: Any) -> dict[str, int]:  # noqa: ANN401 - a module of the tests
    if not finding.failed:
        return {"cases": 1, "no call failed": 1}
    ended = "did without" if finding.code == 0 else f"exit code {finding.code}"
    return {"cases": 1, ended: 1, f"{finding.case.error} failed": 1, "problems": len(finding.problems)}


def _without_room(place: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    room = import_module("failing_disk_room")
    shutil.rmtree(place, ignore_errors=True)
    whole = room.undisturbed(place / "undisturbed")
    problems: list[str] = []
    codes: Counter[str] = Counter()
    with room.small_disk(place / "disk") as is_mounted:
        for free in range(0, room.RUN_BYTES, _FREE_STEP) if is_mounted else ():
            outcome = room.on_full_disk(place / "disk", free, whole)
            codes[f"disk full, exit code {outcome.code}"] += 1
            problems += [f"{free} bytes free: {problem}" for problem in outcome.problems]
    tell(f"small disk mounted: {is_mounted}; {dict(codes)}")
    for limit in range(_LIMIT_STEP, room.LARGEST_FILE, _LIMIT_STEP):
        outcome = room.under_limit(place / "limited", limit, whole)
        codes[f"limit on files, exit code {outcome.code}"] += 1
        problems += [f"limit of {limit} bytes: {problem}" for problem in outcome.problems]
    tell(f"{dict(codes)}")
    if problems:
        raise AssertionError("\n".join(problems[:20]))
    return {"mounted": is_mounted, **codes}
