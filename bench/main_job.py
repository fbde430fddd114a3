"""Speed of the main job: the whole command, --help, extraction against Keras, the head, label_image.

    python bench/main_job.py
    python bench/main_job.py --flowers DIR      also extraction against the Keras idiom, on these photographs

Every figure is a median; extraction is timed against Keras in turn within one invocation, so that a busy machine
slows both. Nothing fails when a goal is missed: read the table.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import ROOT, Child, Row, imports_tensorflow, machine, print_table, python_module, run_child, save, say, span

ARCHITECTURE = "mobilenet_0.50_224"
FIRST_ROUNDS = 3
LABEL_ROUNDS = 9
HEAD_VECTORS, HEAD_WIDTH, HEAD_CLASSES, HEAD_VALIDATION = 3000, 512, 5, 300


@dataclass
class Figures:
    """What is printed, and what is written."""

    rows: list[Row]
    facts: dict[str, Any]

    def add(self, figure: str, goal: str, measured: str, **facts: Any) -> None:
        """Take one figure in."""
        self.rows.append(Row(figure, goal, measured))
        self.facts[figure] = {"goal": goal, "measured": measured, **facts}


def main() -> int:
    """Measure all, print the table, write the results."""
    arguments = _parse()
    figures = Figures([], {})
    start = machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        place = Path(temp)
        measure_jobs(figures, arguments.image_dir, arguments.rounds, place)
        measure_help(figures, arguments.rounds)
        measure_label_image(figures, place / "out" / "graph.pb", max(LABEL_ROUNDS, arguments.rounds))
        measure_head(figures, arguments.rounds)
        measure_extraction(figures, arguments.flowers, arguments.rounds, place / "models")
    print_table(("figure", "goal", "measured"), [(row.figure, row.goal, row.measured) for row in figures.rows])
    save("main_job", {"machine_at_start": start, "rounds": arguments.rounds, "figures": figures.facts})
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--image_dir",
        type=lambda text: Path(text).resolve(),
        default=ROOT / "tf_files" / "cluster_photos",
        help="class folders for the whole job (default: tf_files/cluster_photos of this repository)",
    )
    parser.add_argument(
        "--flowers",
        type=lambda text: Path(text).resolve(),
        help="class folders for extraction against Keras, some hundred photographs or more; without it those rows "
        "are not measured",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement (default: 5)")
    return parser.parse_args()


def measure_jobs(figures: Figures, image_dir: Path, rounds: int, place: Path) -> None:
    """Time the whole command: first time ever, nothing new, photographs new."""
    first, warm, new = [], [], []
    for number in range(rounds):
        say(f"whole job, round {number + 1} of {rounds}")
        if number < FIRST_ROUNDS:
            _empty(place / "models", place / "cache", place / "out")
            first.append(_job(image_dir, place))
        warm.append(_job(image_dir, place))
        # A model that is there, and comes out the same, would not be measured again.
        _empty(place / "cache", place / "out")
        new.append(_job(image_dir, place))
    for name, goal, children in (
        ("whole job, first time ever (backbone converted, cache empty)", "< 10 s", first),
        ("whole job, cache warm", "< 3 s", warm),
        ("whole job, photographs new (cache empty, no model yet)", "< 3 s", new),
    ):
        figures.add(name, goal, _wall_cpu_peak(children), **_lists(children))


def _empty(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _job(image_dir: Path, place: Path) -> Child:
    flags: dict[str, str | Path] = {
        "image_dir": image_dir,
        "architecture": ARCHITECTURE,
        "model_dir": place / "models",
        "bottleneck_dir": place / "cache",
        "summaries_dir": place / "summaries",
        "output_graph": place / "out" / "graph.pb",
        "output_labels": place / "out" / "labels.txt",
    }
    return run_child(python_module("retrain", "--offline", *(f"--{name}={value}" for name, value in flags.items())))


def measure_help(figures: Figures, rounds: int) -> None:
    """Time --help, and see that it does not import TensorFlow."""
    say("--help")
    children = [run_child(python_module("retrain", "--help")) for _ in range(rounds)]
    figures.add("python -m retrain --help", "< 0.5 s", span([c.wall_s for c in children], "s"), **_lists(children))
    imported = imports_tensorflow("retrain", "--help")
    figures.add("  TensorFlow imported by it", "no", "yes" if imported else "no")


def measure_label_image(figures: Figures, graph: Path, rounds: int) -> None:
    """Time label_image on the model that the whole job left."""
    say("label_image")
    words = ("--image", ROOT / "tf_files" / "test_photos" / "1.jpg", "--graph", graph)
    children = [run_child(python_module("label_image", *words)) for _ in range(rounds)]
    lists = _lists(children)
    figures.add("label_image, whole process", "< 0.4 s", span(lists["wall_s"], "s"), **lists)
    figures.add("label_image, peak memory", "< 200 MB", span(lists["peak_mb"], "MB", 0))
    imported = imports_tensorflow("label_image", *words)
    figures.add("  TensorFlow imported by it", "no", "yes" if imported else "no")


def measure_head(figures: Figures, rounds: int) -> None:
    """Time 4,000 steps of the default recipe on seeded clusters."""
    import numpy as np

    from retrain.config import RunConfig
    from retrain.head import train_softmax
    from retrain.teaching import recipe_of

    say("head")
    generator = np.random.default_rng(0)
    labels = generator.integers(HEAD_CLASSES, size=HEAD_VECTORS).astype(np.intp)
    centres = generator.normal(0, 0.2, (HEAD_CLASSES, HEAD_WIDTH))
    features = np.maximum(centres[labels] + generator.normal(0, 1, (HEAD_VECTORS, HEAD_WIDTH)), 0).astype(np.float32)
    walls = []
    for _ in range(rounds):
        start = time.perf_counter()
        train_softmax(features, labels, np.arange(HEAD_VALIDATION), recipe_of(RunConfig()), HEAD_CLASSES)
        walls.append(time.perf_counter() - start)
    name = f"4,000 steps, batch 100, {HEAD_VECTORS:,} x {HEAD_WIDTH}, {HEAD_CLASSES} classes"
    figures.add(name, "< 2 s", span(walls, "s"), wall_s=walls)


# 375 photographs eight times over: half a minute a round, so that both sides reach their pace.
COPIES = 8


def measure_extraction(figures: Figures, flowers: Path | None, rounds: int, model_dir: Path) -> None:
    """Time extraction against the Keras idiom, and compare the features."""
    names = ("extraction, images/s over Keras'", "extraction, images/CPU-s over Keras'", "largest feature difference")
    goals = (">= 2.5 x", "", "<= 1e-4")
    if flowers is None:
        for name, goal in zip(names, goals, strict=True):
            figures.add(name, goal, "not measured: --flowers was not given")
        return
    from extraction import compare

    from retrain.backbones import find_backbone, prepare_backbone
    from retrain.console import Console

    say("extraction")
    backbone = prepare_backbone(find_backbone(ARCHITECTURE), model_dir, offline=True, console=Console(quiet=True))
    result = compare(flowers, backbone, rounds, COPIES)
    facts = asdict(result)
    for name, goal, field in zip(names[:2], goals[:2], ("per_s", "per_cpu_s"), strict=True):
        ours, keras = ([getattr(speed, field) for speed in side] for side in (result.ours, result.keras))
        text = f"{result.ratio(field):.1f} x; ours {span(ours, 'images/s', 0)}, Keras {span(keras, 'images/s', 0)}"
        figures.add(name, goal, text, ours=ours, keras=keras)
    text = f"{result.largest_difference:.1e}, same pixels of {result.compared} photographs"
    figures.add(names[2], goals[2], text, rounds=facts)


def _lists(children: list[Child]) -> dict[str, list[float]]:
    return {name: [getattr(child, name) for child in children] for name in ("wall_s", "cpu_s", "peak_mb")}


def _wall_cpu_peak(children: list[Child]) -> str:
    lists = _lists(children)
    return f"{span(lists['wall_s'], 's')}; CPU {max(lists['cpu_s']):.1f} s, peak {max(lists['peak_mb']):.0f} MB at most"


if __name__ == "__main__":
    sys.exit(main())
