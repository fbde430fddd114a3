"""Distorted training: what it does for accuracy, and what it costs beside the original's way.

    python bench/distortions.py SET [SET ...] --splits 10

A SET is a folder with one sub-folder a class. Splits, test and validation parts are those of bench/accuracy.py; the
head trains on distorted views of the training photographs, and is tested on undistorted ones. Differences to training
without distortion are paired: of the same split. The row "+ undistorted" adds each training photograph itself to its
views, which the original never does.

The original distorts anew and runs the backbone for each photograph of each step: 4,000 steps of 100. Its time is
counted at the pace of our own extraction on the same cores, though it feeds photographs one by one and has a slower
engine: the factor printed is that of the way of working alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from accuracy import Estimate, estimate, hold_out, overlap_factor, random_splits, without_copies
from common import add_backbone, parse_sets, print_table, save, say
from extraction import gather

from retrain.backbones import FrozenBackbone, PreparedBackbone, find_backbone, prepare_backbone
from retrain.bottlenecks import BottleneckStore, Features, Material, Views, collect_views, labels_of, material_of
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.distortions import Distortion
from retrain.engines import LocalEngine
from retrain.head import Indices, train_softmax
from retrain.teaching import recipe_of

ORIGINAL = Distortion(flip_left_right=True, random_crop=10, random_scale=10, random_brightness=10)
WAYS = {
    "as the original: flip, crop, scale, brightness 10": ORIGINAL,
    "the same and quarter turns": replace(ORIGINAL, random_quarter_turns=True),
    "flip and quarter turns": Distortion(flip_left_right=True, random_quarter_turns=True),
    "as the original and colour 10": replace(ORIGINAL, random_colour=10),
}
WITH_ITSELF = "as the original + undistorted"
ORIGINAL_PASSES = 4000 * 100


@dataclass(frozen=True)
class Cost:
    """What one way of distorting took."""

    views: int
    cold_s: float
    warm_s: float

    @property
    def original_s(self) -> float:
        """What the original's passes would take at this pace."""
        return ORIGINAL_PASSES * self.cold_s / self.views


@dataclass(frozen=True)
class Row:
    """One way on one set."""

    set_name: str
    way: str
    accuracy: Estimate
    difference: Estimate | None
    cost: Cost | None


def main() -> int:
    """Measure every way on every set, print the table, write the results."""
    arguments = _parse()
    backbone = prepare_backbone(
        find_backbone(arguments.architecture), arguments.model_dir, offline=True, console=Console(quiet=True)
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        rows = [row for folder in arguments.sets for row in measure_set(folder, backbone, Path(temp), arguments)]
    _print(rows, arguments)
    facts = {"splits": arguments.splits, "seed": arguments.seed, "views": arguments.views}
    save("distortions", {**facts, "rows": [{**asdict(r), "original_s": r.cost and r.cost.original_s} for r in rows]})
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", metavar="SET", nargs="+", type=Path, help="folder of class folders")
    parser.add_argument("--splits", type=int, default=10, help="random splits a set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of splits, views and training (default: 0)")
    parser.add_argument("--views", type=int, default=RunConfig.distorted_views, help="a photograph (default: 8)")
    parser.add_argument("--ways", type=int, default=len(WAYS), help="how many of the ways, from the first on")
    add_backbone(parser)
    return parse_sets(parser, good=10)


def measure_set(folder: Path, backbone: PreparedBackbone, temp: Path, arguments: argparse.Namespace) -> list[Row]:
    """Extract a set and its views once, and train on each split in each way."""
    say(f"{folder.name}: features")
    cache = temp / f"{folder.name}.sqlite"
    features = without_copies(gather(scan_folder(str(folder), "folder"), backbone, cache))
    splits = random_splits(labels_of(features), arguments.splits, arguments.seed)
    plain = _accuracies(features, material_of(features, None), splits, arguments.seed)
    rows = [Row(folder.name, "undistorted", estimate(plain), None, None)]

    def add(way: str, values: np.ndarray, cost: Cost | None) -> None:
        rows.append(Row(folder.name, way, estimate(values), estimate(values - plain), cost))

    for way, distortion in list(WAYS.items())[: arguments.ways]:
        say(f"{folder.name}: {way}")
        views, cost = _views(features, backbone, cache, replace(distortion, seed=arguments.seed), arguments.views)
        material = material_of(features, views)
        add(way, _accuracies(features, material, splits, arguments.seed), cost)
        if distortion == ORIGINAL:
            add(WITH_ITSELF, _accuracies(features, material, splits, arguments.seed, with_itself=True), None)
    return rows


def _views(
    features: Features, backbone: PreparedBackbone, cache: Path, distortion: Distortion, each: int
) -> tuple[Views, Cost]:
    """Make all views, then once more from the cache."""
    times = []
    with BottleneckStore(cache, backbone.fingerprint, backbone.spec.feature_width) as store:
        for _ in range(2):
            start = time.perf_counter()
            engine = LocalEngine(FrozenBackbone(backbone.tflite, backbone.spec.input_spec, distortion))
            chosen = np.arange(len(features.sha256s))
            views = collect_views(features, chosen, distortion.fingerprint, each, store, engine, Console(quiet=True))
            times.append(time.perf_counter() - start)
    return views, Cost(len(views.rows), times[0], times[1])


def _accuracies(
    features: Features,
    material: Material,
    splits: list[tuple[Indices, Indices]],
    seed: int,
    with_itself: bool = False,
) -> np.ndarray:
    """Accuracy of each split, on undistorted test photographs: float64 (splits,), 0 to 1."""
    found = []
    for number, (rest, test) in enumerate(splits):
        training, validation = hold_out(features, rest)
        rows = material.training_rows(training)
        recipe = recipe_of(RunConfig(seed=seed + number))
        head = train_softmax(
            material.rows,
            material.labels,
            validation,
            recipe,
            len(features.catalog.labels),
            training=np.concatenate([rows, training]) if with_itself else rows,
        )
        guesses = head.classify(features.rows, test).argmax(axis=1)
        found.append((guesses == material.labels[test]).mean())
    return np.array(found)


def _print(rows: list[Row], arguments: argparse.Namespace) -> None:
    print(f"Accuracy in percent, mean ± standard error over {arguments.splits} splits; differences paired by split.")
    print(f"As splits overlap, these errors are too small, by about {overlap_factor(arguments.splits):.1f}.")
    print(f"Cold: {arguments.views} views of every photograph extracted; warm: read from the cache.\n")
    head = ("set", "training", "accuracy", "- undistorted", "views", "cold", "warm", "the original's way", "factor")
    print_table(head, [(row.set_name, row.way, str(row.accuracy), *_cells(row)) for row in rows])


def _cells(row: Row) -> tuple[str, ...]:
    difference = f"{row.difference.mean:+.1f} ± {row.difference.error:.1f}" if row.difference else ""
    if row.cost is None:
        return (difference, *[""] * 5)
    cost = row.cost
    times = (f"{cost.cold_s:.1f} s", f"{cost.warm_s:.2f} s", f"{cost.original_s:.0f} s")
    return (difference, str(cost.views), *times, f"{cost.original_s / cost.cold_s:.0f}")


if __name__ == "__main__":
    sys.exit(main())
