"""A head on more features than memory should hold: peak memory and time of each stage, and the accuracy.

    python bench/large_head.py
    python bench/large_head.py --rows 100000 --feature_memory_mb 2000      the same in memory: the same head

A real bottleneck cache is filled with structured vectors (class means and noise), as if their photographs had been
extracted; then a child process goes the way of a run, by the same functions: catalog, cache -> rows, split, statistics
and training, final test. What is not done is listing a folder, which would need as many files. 2 million x 512 need
9 GB of disk, cleaned up afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from common import machine, print_table, run_child, save, say

from retrain.bottlenecks import BottleneckStore, Engine, Extraction, Features, Job, collect_features, labels_of
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, VALIDATION, Catalog, ImageRecord, SplitRequest, split_csv, split_images
from retrain.evaluate import Accuracy, measure_accuracy
from retrain.head import Indices, Recipe, cross_validate, train_softmax
from retrain.teaching import recipe_of

FINGERPRINT = "1a" * 32
NS = 10**9
BATCH = 4096
# The cache and the file of features, with SQLite's own.
DISK_FACTOR = 2.3
GOAL_MB = 2000

Result = TypeVar("Result")


def main() -> int:
    """Fill a cache, train in a child process, print and write what it took."""
    arguments = _parse()
    if arguments.child:
        print(json.dumps(Way(arguments).go()))
        return 0
    start, needed = machine(), DISK_FACTOR * 4 * arguments.rows * arguments.width
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.folder) as temp:
        free = shutil.disk_usage(temp).free
        if free < needed:
            raise SystemExit(f"expected {needed / 1e9:.1f} GB free in {temp}, got {free / 1e9:.1f}; try --folder")
        fill(arguments, Path(temp))
        say("training in a child process")
        words = [f"--{name}={getattr(arguments, name)}" for name in PASSED_ON]
        child = run_child([sys.executable, __file__, "--child", temp, *words])
    facts = json.loads(child.stdout)
    rows = [(s["stage"], f"{s['wall_s']:.1f} s", f"{s['rss_mb']:.0f}", f"{s['peak_mb']:.0f}") for s in facts["stages"]]
    print_table(("stage", "time", "memory after it, MB", "peak so far, MB"), rows)
    print(
        f"\n{arguments.rows:,} x {arguments.width} ({4 * arguments.rows * arguments.width / 2**20:,.0f} MB), "
        f"{'in memory' if facts['resident'] else 'in a file'}: peak {child.peak_mb:.0f} MB (goal < {GOAL_MB}), "
        f"{child.wall_s:.0f} s; {facts['accuracy']}; head {facts['head_sha256'][:16]}"
    )
    save("large_head", {"machine_at_start": start, "arguments": vars(arguments), "peak_mb": child.peak_mb, **facts})
    return 0


PASSED_ON = ("rows", "width", "classes", "steps", "feature_memory_mb", "cross_validation_folds")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="photographs (default: 2,000,000)")
    parser.add_argument("--width", type=int, default=512, help="numbers a photograph (default: 512)")
    parser.add_argument("--classes", type=int, default=10, help="(default: 10)")
    parser.add_argument("--steps", type=int, default=4000, help="(default: 4,000)")
    parser.add_argument("--feature_memory_mb", type=int, default=512, help="as the flag of a run (default: 512)")
    parser.add_argument("--cross_validation_folds", type=int, default=0, help="(default: 0, left out)")
    parser.add_argument("--folder", help="where the cache is made (default: the system's temporary folder)")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def fill(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the cache that extraction would have left."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 0.15, (arguments.classes, arguments.width)).astype(np.float32)
    root, start = str(folder / "photos"), time.perf_counter()
    records = (record_of(number, arguments) for number in range(arguments.rows))
    with store_of(arguments, folder) as store:
        for first in range(0, arguments.rows, BATCH):
            numbers = range(first, min(first + BATCH, arguments.rows))
            batch = [next(records) for _ in numbers]
            noise = generator.standard_normal((len(batch), arguments.width), np.float32)
            vectors = np.maximum(centres[[record.label for record in batch]] + noise, 0)
            shas = [hashlib.sha256(b"%d" % number).digest() for number in numbers]
            files = zip(batch, [3 * NS * 10**9] * len(batch), shas, strict=True)
            store.put(zip(shas, vectors, strict=True), root, files)
            if first // BATCH % 100 == 0:
                say(f"filling the cache: {first:,} of {arguments.rows:,}, {time.perf_counter() - start:.0f} s")


def record_of(number: int, arguments: argparse.Namespace) -> ImageRecord:
    """A photograph as a directory would list it."""
    label = number * arguments.classes // arguments.rows
    return ImageRecord(
        f"class {label:03}/photograph {number:08}.jpg", label, 10**5 + number, NS * 10**9 + number, number
    )


def store_of(arguments: argparse.Namespace, folder: Path) -> BottleneckStore:
    return BottleneckStore(folder / "cache.sqlite", FINGERPRINT, arguments.width)


class NoEngine(Engine):
    """Everything is cached."""

    def extract(self, jobs: Sequence[Job], known: object) -> Iterator[Extraction]:
        """Never asked to."""
        raise SystemExit(f"{len(jobs)} photographs were not recognised: the cache is not what was filled in")


class Way:
    """The way of a run, a stage at a time, each timed and weighed."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.folder = arguments, Path(arguments.child)
        self.stages: list[dict[str, Any]] = []
        self._stage("imports", lambda: None)

    def _stage(self, name: str, work: Callable[[], Result]) -> Result:
        start = time.perf_counter()
        result = work()
        rss, peak = memory_mb()
        self.stages.append({"stage": name, "wall_s": time.perf_counter() - start, "rss_mb": rss, "peak_mb": peak})
        return result

    def go(self) -> dict[str, Any]:
        """Do it all; what came of it."""
        arguments = self.arguments
        config = RunConfig(how_many_training_steps=arguments.steps)
        catalog = self._stage("catalog", self._catalog)
        features = self._stage("cache to rows", lambda: self._collect(catalog))
        request = SplitRequest("content", 10, 10)
        split = self._stage("split", lambda: split_images(features.catalog, features.sha256s, request))
        # Held until the model is written, as a run does; its hash is in the model.
        table = self._stage("split as a table", lambda: split_csv(features.catalog, features.sha256s, split))
        split_sha256 = self._stage("its hash", lambda: hashlib.sha256(table.encode()).hexdigest())
        labels = labels_of(features)
        sides = [split.indices(side) for side in (VALIDATION, TRAINING, TESTING)]
        recipe = recipe_of(config)
        head = self._stage(
            "statistics, training",
            lambda: train_softmax(features.rows, labels, sides[0], recipe, arguments.classes, (), sides[1]),
        )
        scores = self._stage("final test", lambda: head.classify(features.rows, sides[2]))
        test = measure_accuracy(scores, labels[sides[2]])
        written = self._stage("its bytes to be written", lambda: len(table.encode()))
        facts: dict[str, Any] = {"split_bytes": written, "split_sha256": split_sha256}
        facts["accuracy"] = f"test accuracy {100 * test.value:.2f} % of {test.count:,}, {test.interval_text()}"
        if arguments.cross_validation_folds:
            crossed = self._stage("cross-validation", lambda: self._cross_validate(features, labels, recipe))
            facts["accuracy"] += f"; cross-validated {100 * crossed.value:.2f} %"
        digest = hashlib.sha256(head.weights.tobytes() + head.biases.tobytes()).hexdigest()
        return {"stages": self.stages, "resident": features.rows.resident, "head_sha256": digest, **facts}

    def _cross_validate(self, features: Features, labels: Indices, recipe: Recipe) -> Accuracy:
        classes, folds = self.arguments.classes, self.arguments.cross_validation_folds
        scores = cross_validate(features.rows, labels, features.sha256s, recipe, classes, folds, lambda: None)
        return measure_accuracy(scores, labels)

    def _catalog(self) -> Catalog:
        names = tuple(f"class {label:03}" for label in range(self.arguments.classes))
        records = tuple(record_of(number, self.arguments) for number in range(self.arguments.rows))
        return Catalog(str(self.folder / "photos"), names, records)

    def _collect(self, catalog: Catalog) -> Features:
        with store_of(self.arguments, self.folder) as store:
            listing = str(self.folder / "skipped.csv")
            return collect_features(
                catalog, store, NoEngine(), Console(quiet=True), 5.0, listing, self.arguments.feature_memory_mb
            )


def memory_mb() -> tuple[float, float]:
    """What this process holds now and held at most, in MB of 2**20 bytes; Linux only."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    rss, peak = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return rss, peak


if __name__ == "__main__":
    sys.exit(main())
