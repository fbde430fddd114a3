"""What the benchmarks of whole networks share: folders cut in two, our command, Keras beside it."""

from __future__ import annotations

import json
import math
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import BENCH, python_module, run_child, say

from retrain.trainer.job import JOB_FILE

TRAIN, TEST = "train", "test"
PHOTOGRAPHS = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
# Of scikit-learn's digits: values of a pixel, and what a PNG has.
DIGITS_WHITE, WHITE = 16, 255
_COUNTS = re.compile(r"^(\d+) photographs to train on, (\d+) to validate, (\d+) for the final test", re.MULTILINE)


@dataclass(frozen=True)
class Trained:
    """What one of our commands came to.

    Args:
        accuracy: on the photographs of the final test, 0 to 1.
        tested: how many those are.
        trained_on: how many were trained on.
        wall_s: of the whole command.
        folder: of the job, with its network.npz; None with --train head.
    """

    accuracy: float
    tested: int
    trained_on: int
    wall_s: float
    folder: Path | None


@dataclass(frozen=True)
class Paired:
    """Mean and standard error of values, in points of accuracy."""

    mean: float
    error: float
    values: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.error:.1f}"


def paired(shares: Sequence[float]) -> Paired:
    """Boil shares of 1, or differences of such, down to points; one of them has no standard error."""
    points = [100 * share for share in shares]
    error = statistics.stdev(points) / math.sqrt(len(points)) if len(points) > 1 else math.nan
    return Paired(statistics.mean(points), error, tuple(points))


def photographs_of(folder: Path) -> dict[str, list[Path]]:
    """List the photographs of class folders; stops the benchmark where there are fewer than two classes."""
    found = {
        one.name: sorted(path for path in one.rglob("*") if path.suffix.lower() in PHOTOGRAPHS)
        for one in sorted(folder.iterdir())
        if one.is_dir()
    }
    classes = {name: paths for name, paths in found.items() if paths}
    if len(classes) < 2:
        raise SystemExit(f"expected two or more folders with photographs in {folder}, got {len(classes)}")
    return classes


def cut_in_two(folder: Path, place: Path, seed: int, test_share: float) -> Path:
    """Copy a folder of class folders into train/ and test/, class by class at random; the same seed cuts alike."""
    shutil.rmtree(place, ignore_errors=True)
    generator = np.random.default_rng(seed)
    for name, paths in photographs_of(folder).items():
        order = generator.permutation(len(paths))
        tested = max(1, round(test_share * len(paths)))
        for side, numbers in ((TEST, order[:tested]), (TRAIN, order[tested:])):
            _copy([paths[number] for number in numbers], place / side / name)
    return place


def put_together(train: Path, test: Path, place: Path) -> Path:
    """Copy two folders of class folders into train/ and test/."""
    shutil.rmtree(place, ignore_errors=True)
    for side, folder in ((TRAIN, train), (TEST, test)):
        for name, paths in photographs_of(folder).items():
            _copy(paths, place / side / name)
    return place


def _copy(paths: Sequence[Path], place: Path) -> None:
    place.mkdir(parents=True)
    for number, path in enumerate(paths):
        shutil.copyfile(path, place / f"{number:06d}-{path.name}")


def write_digits(place: Path) -> Path:
    """Write the 1,797 digits that scikit-learn carries as PNG in class folders, 8 x 8 grey pixels each."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = place / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        grey = np.round(pixels * (WHITE / DIGITS_WHITE)).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{number:04d}.png")
    return place


def our_words(image_dir: Path, place: Path, flags: Sequence[str]) -> list[str | Path]:
    """Spell our command with all that it writes below a place; the caches are shared by the commands of a place."""
    paths = {
        "image_dir": image_dir,
        "model_dir": place / "models",
        "bottleneck_dir": place / "bottlenecks",
        "checkpoint_dir": place / "checkpoints",
        "summaries_dir": place / "summaries",
        "output_graph": place / "out" / "graph.pb",
        "output_labels": place / "out" / "labels.txt",
    }
    if "--train=head" in flags:
        del paths["checkpoint_dir"]
    # Near duplicates are found after the sides are given here, and would only be counted.
    fixed = ("--offline", "--no-report", "--near_duplicates=ignore", "--cross_validation_folds=0")
    return python_module("retrain", *fixed, *(f"--{name}={path}" for name, path in paths.items()), *flags)


def train_ours(image_dir: Path, place: Path, flags: Sequence[str]) -> Trained:
    """Run our command once, with checkpoints of its own, and read what it came to."""
    shutil.rmtree(place / "checkpoints", ignore_errors=True)
    child = run_child(our_words(image_dir, place, flags))
    counts = _COUNTS.search(child.stdout)
    if counts is None:
        raise SystemExit(
            f"expected a line '... photographs to train on, ...' in what retrain printed, got:\n{child.stdout[-2000:]}"
        )
    tested: dict[str, Any] = json.loads((place / "out" / "graph.metrics.json").read_text())["test"]
    return Trained(tested["accuracy"], tested["count"], int(counts[1]), child.wall_s, job_folder(place))


def job_folder(place: Path) -> Path | None:
    """Find the folder of the only job below a place; None where there is none."""
    found = [path.parent for path in (place / "checkpoints").glob(f"*/{JOB_FILE}")]
    if len(found) > 1:
        raise SystemExit(f"expected one job in {place / 'checkpoints'}, got {len(found)}; empty that folder")
    return found[0] if found else None


class KerasNetworks:
    """The same networks in plain Keras: a child process that stays."""

    def __init__(self) -> None:
        say("starting Keras")
        self._child = subprocess.Popen(
            [sys.executable, str(BENCH / "keras_network_peer.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def __enter__(self) -> KerasNetworks:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()

    def train(self, folder: Path, network: str, **settings: float) -> dict[str, Any]:
        """Train on a folder's train/, test on its test/; settings: epochs, batch, rate, seed, channels."""
        assert self._child.stdin is not None
        question = {"network": network, "train": str(folder / TRAIN), "test": str(folder / TEST), **settings}
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"bench/keras_network_peer.py ended with {self._child.wait()}; run it by hand to see why")
        answer: dict[str, Any] = json.loads(line)
        return answer
