"""Odd sets, trees and names through whole fake runs: each ends with a valid model or in sentences, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

GOALS = ("R13", "R18", "R19")
ABOUT_MINUTES = 40
# Drawn sets and trees each; classes of the one large run.
EXAMPLES, CLASSES = 1_000, 10_000
_BATCH = 50
# Of tests/hostile, which is not on the path where this is checked: a place for runs, and what hypothesis drew.
Runs = Any
Drawn = Any
_TESTS = Path(__file__).resolve().parents[2] / "tests"


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Draw and run until there are as many as promised.

    Args:
        place: kept between calls; a file in it says how far it is.
        seed: of the examples.
        tell: shown how it goes.

    Returns:
        Figures by name.

    Raises:
        AssertionError: a run ended in a way that it may not, with the example and its seed.
    """
    sys.path[:0] = [str(_TESTS), str(_TESTS / "faults"), str(_TESTS / "hostile")]
    place.mkdir(parents=True, exist_ok=True)
    runs = import_module("trees_runs").Runs(place / f"runs {os.getpid()}")
    progress = place / "progress.json"
    done: dict[str, Any] = json.loads(progress.read_text()) if progress.exists() else {}

    def keep(name: str, value: Any) -> None:  # noqa: ANN401
        done[name] = value
        progress.write_text(json.dumps(done))

    try:
        for kind in ("sets", "trees"):
            _draw(kind, runs, seed, done, keep, tell)
        if "names" not in done:
            keep("names", _names(runs, tell))
        if "classes" not in done:
            keep("classes", _many_classes(runs, tell))
    finally:
        shutil.rmtree(runs.place.parent, ignore_errors=True)
    progress.unlink()
    return _figures(done)


def _draw(
    kind: str,
    runs: Runs,
    seed: int,
    done: dict[str, Any],
    keep: Callable[[str, Any], None],
    tell: Callable[[str], None],
) -> None:
    codes = Counter({int(code): count for code, count in done.get(kind, {}).items()})
    while codes.total() < EXAMPLES:
        batch = seed * EXAMPLES + codes.total()
        codes += Counter(_batch(kind, runs, batch))
        keep(kind, codes)
        tell(f"{codes.total():,} of {EXAMPLES:,} {kind}: {dict(codes)}")


def _batch(kind: str, runs: Runs, seed: int) -> list[int]:
    """Draw some examples and run on each; their exit codes."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    drawn = import_module("trees_drawn")
    codes: list[int] = []

    def on_set(classes: Drawn, flags: Drawn) -> None:
        codes.append(drawn.run_on_set(runs, classes, flags))

    def on_tree(tree: Drawn, flags: Drawn, recursive: bool) -> None:
        codes.append(drawn.run_on_tree(runs, tree, flags, recursive=recursive))

    given_here = (
        given(classes=drawn.SETS, flags=drawn.FLAGS)(on_set)
        if kind == "sets"
        else given(tree=drawn.ANY_TREE, flags=drawn.FLAGS, recursive=st.booleans())(on_tree)
    )
    quiet = settings(
        max_examples=_BATCH, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip
    try:
        seeded(seed)(quiet(given_here))()
    except Exception as error:
        raise AssertionError(f"a run on one of the {kind} drawn with the seed {seed}: {error!r}") from error
    return codes


def _names(runs: Runs, tell: Callable[[str], None]) -> dict[str, int]:
    """Run on each hostile name by itself: as a class folder where it can be one, and for its photographs."""
    names = import_module("names_hostile")
    ended: Counter[str] = Counter()
    for what, name in names.NAMES.items():
        root = runs.fresh()
        chosen = [name, "plain"] if what in names.folders() else ["other", "plain"]
        names.pictures(root, chosen, each=4)
        more = [] if what in names.folders() else [f"--image_list={_list_of(root, name)}"]
        before = names.everything(runs.place.parent, without=(runs.place.name,))
        code = runs.run(*more).code
        after = names.everything(runs.place.parent, without=(runs.place.name,))
        trained = names.is_label(name) and (bool(name.strip()) or what in names.folders())
        _must(code == (0 if trained else 2), f"{what}: exit code {code}")
        _must(after == before, f"{what}: wrote elsewhere")
        ended["trained on" if code == 0 else "refused"] += 1
    tell(f"{ended.total()} names: {dict(ended)}")
    return dict(ended)


def _must(is_so: bool, words: str) -> None:
    if not is_so:
        raise AssertionError(words)


def _list_of(root: Path, name: str) -> Path:
    import csv

    path = root.parent / "list.csv"
    rows = [
        (str(photo.relative_to(root)), name if photo.parent.name == "other" else "plain")
        for photo in sorted(root.glob("*/*"))
    ]
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return path


def _many_classes(runs: Runs, tell: Callable[[str], None]) -> dict[str, float]:
    """Run on one photograph each of many classes."""
    photograph = import_module("trees_runs").photograph
    root = runs.fresh()
    for number in range(CLASSES):
        folder = root / f"{number:05}"
        folder.mkdir()
        (folder / "1.png").write_bytes(photograph(number, (4, 4)))
    begin = time.perf_counter()
    code = runs.run("--cross_validation_folds=0", seconds=3600).code
    took = time.perf_counter() - begin
    _must(code == 0, f"{CLASSES} classes: exit code {code}")
    tell(f"{CLASSES:,} classes: {took:.0f} s")
    return {"s": took}


def _figures(done: dict[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for kind in ("sets", "trees"):
        codes = {int(code): count for code, count in done[kind].items()}
        figures[f"{kind}: runs"] = sum(codes.values())
        figures[f"{kind}: models"] = codes.get(0, 0)
        figures[f"{kind}: refused in sentences"] = sum(codes.values()) - codes.get(0, 0)
        figures[f"{kind}: tracebacks or hangs"] = 0
    for what, count in done["names"].items():
        figures[f"names: {what}"] = count
    figures[f"{CLASSES} classes of one photograph, s"] = round(done["classes"]["s"], 1)
    return figures


if __name__ == "__main__":
    raise SystemExit("python -m scripts.soak trees")
