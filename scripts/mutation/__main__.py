"""``python -m scripts.mutation``: score the rooms, name what survived."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# What the goal asks for, of the mutants that were run.
GOAL = 0.80

# What is mutated.
ROOMS = {
    "errors": ["retrain/errors.py"],
    "fsio": ["retrain/fsio/*.py"],
    "config": ["retrain/config/*.py"],
    "dataset": ["retrain/dataset/*.py"],
    "images": ["retrain/images/*.py"],
    "bottlenecks": ["retrain/bottlenecks/*.py"],
    "graphs": [f"retrain/graphs/{name}.py" for name in ("checked", "foreign", "inline", "labelling")],
    "modelfile": ["retrain/modelfile/*.py"],
}
# The tests that are about a room; others run it, too, but say little of it for the time that they take.
TESTS = {
    "errors": "errors* branches_errors* commandline",
    "fsio": "fsio* folders room branches_fsio*",
    "config": "config branches_config* hub formats groups cli several_labels sky dividing unpacking storage listing "
    "split_file imagenet",
    "dataset": "scan labels layout listing nested groups split* remote_scan unpacking several_labels dividing "
    "odd_trees branches_dataset*",
    "images": "images branches_images* sky* tf1_resize dates image_reading",
    "bottlenecks": "store collect maintain matrix memory views choosing storage cache_command branches_bottlenecks*",
    "graphs": "branches_graphs* foreign labelling hub slim exporters",
    "modelfile": "modelfile* branches_modelfile* onnx_export exporters",
}
COPIED = ("retrain", "tests", "tf_files", "docs", "scripts", "bench")
COPIED_FILES = ("label_image.py", "pyproject.toml", "README.md", "CHANGELOG.md", "constraints.txt")
# Mutants that were no other programs, or whose function no test had loaded: they count for nothing.
NOT_RUN = ("invalid", "lost")
SURVIVED = ("survived", "no tests")


def main(words: Sequence[str] | None = None) -> int:
    """Score the rooms.

    Args:
        words: the command line; None: this process's.

    Returns:
        0, or 1 where a room is below the goal or could not be scored.
    """
    given = _read(words)
    place = Path(given.place).absolute()
    scores = [score_room(room, place, given.sample, given.seed) for room in given.rooms]
    print(*(f"{room:12} {_told(score)}" for room, score in zip(given.rooms, scores, strict=True)), sep="\n")
    return int(any(score["share"] < GOAL for score in scores))


def score_room(room: str, place: Path, sample: int, seed: int) -> dict[str, Any]:
    """Run a room's mutants.

    Args:
        room: one of ROOMS.
        place: where to work; what survived is written beside the room's copy.
        sample: at most so many mutants; 0: all.
        seed: of the draw.

    Returns:
        share: killed of those that were run, 0 to 1; run: how many; fates: how many of each; seconds.
    """
    start = time.monotonic()
    fates = _fates(room, place / room, sample, seed)
    counts = Counter(one["fate"] for one in fates)
    survived = sum(counts[name] for name in SURVIVED)
    run = len(fates) - sum(counts[name] for name in NOT_RUN)
    _keep_survivors(room, fates, place)
    seconds = round(time.monotonic() - start)
    return {"share": 1 - survived / run if run else 0.0, "run": run, "fates": dict(counts), "seconds": seconds}


def _told(score: dict[str, Any]) -> str:
    return f"{score['share']:6.1%} of {score['run']:5}, {score['seconds']:5} s  {score['fates']}"


def _read(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutation", description="Score the unit tests by mutants.")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {' '.join(ROOMS)} (default: all)")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="at most so many a room; 0: all (default)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--place", default="mutation", metavar="DIR", help="where to work (default: mutation)")
    given = parser.parse_args(words)
    unknown = [room for room in given.rooms if room not in ROOMS]
    if unknown:
        parser.error(f"expected rooms among {' '.join(ROOMS)}, got {' '.join(unknown)}")
    given.rooms = given.rooms or list(ROOMS)
    return given


def _fates(room: str, place: Path, sample: int, seed: int) -> list[dict[str, Any]]:
    """Run a room's mutants; give what the worker wrote of each."""
    _copy_tree(place)
    modules = [path for pattern in ROOMS[room] for path in sorted(place.glob(pattern))]
    results = place / "results.jsonl"
    order = {
        "modules": [str(path) for path in modules], "tests": _tests_of(room, place),
        "sample": sample, "seed": f"{seed} {room}", "results": str(results),
    }  # fmt: skip
    (place / "order.json").write_text(json.dumps(order))
    for name in ("tmp", "home"):
        (place / name).mkdir()
    environment = dict(os.environ) | {"TMPDIR": str(place / "tmp"), "HOME": str(place / "home")}
    with (place / "worker.log").open("wb") as log:
        subprocess.run(  # its exit code is that of the tests; what counts is what it wrote
            [sys.executable, "-m", "scripts.mutation.worker", "order.json"],
            cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False, start_new_session=True,
        )  # fmt: skip
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def _keep_survivors(room: str, fates: Sequence[dict[str, Any]], place: Path) -> None:
    lines = [
        f"{one['module']}:{one['line']} {one['function']}: {one['change']}  ({one['fate']})"
        for one in fates
        if one["fate"] in SURVIVED
    ]
    (place / f"{room}.survivors.txt").write_text("\n".join(lines) + "\n")
    print(f"{room}: {len(lines)} survivors in {place / room}.survivors.txt; how its tests went: worker.log", flush=True)


def _copy_tree(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in COPIED:
        passed_over = ("__pycache__", "*.tmp", *(("results",) if name == "bench" else ()))
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns(*passed_over))
    for name in COPIED_FILES:
        shutil.copy2(ROOT / name, place / name)


def _tests_of(room: str, place: Path) -> list[str]:
    unit = place / "tests" / "unit"
    found = {path for pattern in TESTS[room].split() for path in unit.glob(f"test_{pattern}.py")}
    return sorted(path.relative_to(place).as_posix() for path in found)


if __name__ == "__main__":
    raise SystemExit(main())
