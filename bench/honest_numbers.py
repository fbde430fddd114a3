"""What honest numbers cost: cross-validation, learning curve and suspects of cached vectors, in a process of its own.

    python bench/honest_numbers.py                            3,670 made vectors of 512 in 5 classes: issue 7's goal
    python bench/honest_numbers.py --vectors flowers.npz      of a set: X, float32 (N, D), and y, (N,)

Made vectors are those of a backbone as far as it matters here: rectified, class means that overlap, about 90 % right.
The default recipe of a run is used, 4,000 steps. "alone" is one head trained as the run's own is: what each of the
heads would cost one by one. Suspects are found among the out-of-fold scores and cost next to nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from common import Row, cores, machine, print_table, save

from retrain.config import RunConfig
from retrain.evaluate import find_temperature, group_numbers, grow, measure, measure_repeated
from retrain.head import Crossed, cross_validate_again, train_softmax
from retrain.head.learning import LearningCurve, learning_curve
from retrain.head.together import NO_VALIDATION
from retrain.teaching import recipe_of

GOAL_S = 10.0
Result = TypeVar("Result")


def main() -> int:
    """Measure, print and write."""
    arguments = _parse()
    start = machine()
    features, labels = load(arguments.vectors) if arguments.vectors else make(arguments.photographs, arguments.classes)
    facts = Numbers(features, labels, arguments).measure()
    seconds = facts["seconds"]
    whole = sum(seconds[name] for name in ("cross-validation", "learning curve", "numbers"))
    rows = [Row(name, "", f"{value:.2f} s") for name, value in seconds.items()]
    rows.append(Row("cross-validation, learning curve, numbers", f"<= {GOAL_S:.0f} s", f"{whole:.2f} s"))
    print_table(("figure", "goal", "measured"), [(row.figure, row.goal, row.measured) for row in rows])
    print(
        f"\n{len(labels):,} x {features.shape[1]}, {facts['classes']} classes, {arguments.folds} folds x "
        f"{arguments.repeats}, {cores()} cores; accuracy {facts['accuracy']}\n" + "\n".join(facts["sentences"])
    )
    save(
        "numbers",
        {"machine_at_start": start, "arguments": vars(arguments) | {"vectors": str(arguments.vectors)}, **facts},
    )
    return 0


class Numbers:
    """One measurement: every stage timed once."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, arguments: argparse.Namespace) -> None:
        self.features, self.labels = features, labels
        self.classes = int(labels.max()) + 1
        self.keys = [hashlib.sha256(row.tobytes()).digest() for row in features]
        self.recipe = recipe_of(RunConfig(how_many_training_steps=arguments.steps))
        self.arguments = arguments
        self.seconds: dict[str, float] = {}

    def measure(self) -> dict[str, object]:
        """Go the way of a run."""
        count = len(self.labels)
        training = np.arange(count * 4 // 5)
        self._timed("alone", lambda: self._alone(training))
        crossed = self._timed("cross-validation", self._cross)
        curve = self._timed("learning curve", lambda: self._curve(crossed))
        accuracy, sentences = self._timed("numbers", lambda: self._numbers(crossed, curve))
        return {
            "seconds": self.seconds,
            "classes": self.classes,
            "accuracy": accuracy,
            "sentences": sentences,
            "sizes": curve.sizes.tolist(),
        }

    def _timed(self, name: str, do: Callable[[], Result]) -> Result:
        begin = time.perf_counter()
        result = do()
        self.seconds[name] = time.perf_counter() - begin
        return result

    def _alone(self, training: np.ndarray) -> object:
        return train_softmax(self.features, self.labels, NO_VALIDATION, self.recipe, self.classes, training=training)

    def _cross(self) -> Crossed:
        folds, repeats = self.arguments.folds, self.arguments.repeats
        args = (self.features, self.labels, self.keys, self.recipe, self.classes, folds)
        return cross_validate_again(*args, repeats, lambda: None)

    def _curve(self, crossed: Crossed) -> LearningCurve:
        args = (self.features, self.labels, self.keys, self.recipe, self.classes, self.arguments.folds)
        return learning_curve(*args, lambda: None, crossed.scores[0].argmax(axis=1))

    def _numbers(self, crossed: Crossed, curve: LearningCurve) -> tuple[str, list[str]]:
        names, groups = tuple(f"class {number}" for number in range(self.classes)), group_numbers(self.keys)
        scores = crossed.mean_scores
        accuracy = measure_repeated(crossed.scores, self.labels, groups)
        measure(scores, self.labels, names, groups, find_temperature(scores, self.labels), accuracy=accuracy)
        growth = grow(curve, names, groups)
        return f"{100 * accuracy.value:.1f} %, {accuracy.interval_text()}", list(growth.sentences)


def make(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Make vectors as a backbone gives them."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, count)
    centres = 0.14 * generator.standard_normal((classes, 512))
    vectors = centres[labels] + generator.standard_normal((count, 512))
    return np.maximum(vectors, 0).astype(np.float32), labels


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read vectors and labels."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["X"].astype(np.float32), arrays["y"].astype(np.intp)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, default=3670, help="how many are made (default: 3,670)")
    parser.add_argument("--classes", type=int, default=5, help="(default: 5)")
    parser.add_argument("--vectors", type=Path, help="an .npz with X and y in place of made ones")
    parser.add_argument("--folds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--repeats", type=int, default=5, help="(default: 5)")
    parser.add_argument("--steps", type=int, default=4000, help="(default: 4,000)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
