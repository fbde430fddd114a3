"""Calibration error of our heads on test sets large enough to tell, before and after the temperature.

    python bench/calibration.py SET [SET ...] --splits 5 --test 300

A SET is a folder with one sub-folder a class. Of each split so many photographs are the test (stratified, seeded); a
set with fewer than half as many again is left out. From the rest a run's own steps follow: an eighth chooses the step,
the rest trains the head, and the temperature is found on out-of-fold scores of all but the test photographs, by heads
that were trained as far as the one that was kept. So the temperature has seen nothing of the test, which it has, as one
number, in a run.

The expected calibration error over 15 bins is never 0: beside it stands what scores exactly as sure as they should be
would show on so many photographs. Only what is above that says something against the scores; it is printed with its
standard error over splits. "pooled" puts the test photographs of all splits into the same bins, so that chance weighs
less; the same photograph, asked about by several heads, counts each time, so that chance there is a lower bound.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import Estimate, estimate, hold_out, random_splits, set_features
from common import add_backbone, parse_sets, print_table, save, say

from retrain.backbones import find_backbone, prepare_backbone
from retrain.bottlenecks import Features, labels_of
from retrain.config import RunConfig
from retrain.config.training import HEADS
from retrain.console import Console
from retrain.evaluate import cool, measure_calibration, useful_temperature
from retrain.head import AUTO, Floats, Indices, cross_validate_again, fit_head
from retrain.teaching import recipe_of

GOAL = 0.03
# A set must have so many times the test photographs.
LEAST_RATIO = 1.2


@dataclass(frozen=True)
class SetResult:
    """What came of one set with one head; errors in percent, as is what chance alone would show."""

    name: str
    head: str
    photographs: int
    tested: int
    accuracy: Estimate
    temperature: Estimate
    before: Estimate
    after: Estimate
    chance: Estimate
    above: Estimate
    pooled: float
    pooled_chance: float

    @property
    def verdict(self) -> str:
        """Whether the goal is met, and if not, whether chance alone would have missed it."""
        if self.after.mean <= 100 * GOAL:
            return "met"
        if self.chance.mean > 100 * GOAL:
            return "not met; nor would perfect scores"
        return "not met"


def main() -> int:
    """Measure every set that is large enough, print the table, write the results."""
    arguments = _parse()
    spec = find_backbone(arguments.architecture)
    backbone = prepare_backbone(spec, arguments.model_dir, offline=True, console=Console(quiet=True))
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        for folder in arguments.sets:
            features = set_features(folder, backbone, arguments.cache or Path(temp))
            if len(features.matrix) < LEAST_RATIO * arguments.test:
                say(f"{folder.name}: left out, {len(features.matrix)} photographs are too few")
                continue
            results += [measure_set(folder.name, features, head, arguments) for head in arguments.heads]
    _print(results, arguments)
    save("calibration", facts_of(results, arguments))
    return 0


def facts_of(results: list[SetResult], arguments: argparse.Namespace) -> dict[str, Any]:
    """List what is written to disk; sets by name, not by path."""
    return {"splits": arguments.splits, "seed": arguments.seed, "sets": [asdict(result) for result in results]}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", metavar="SET", nargs="+", type=Path, help="folder of class folders")
    parser.add_argument("--splits", type=int, default=5, help="random splits a set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the splits and of training (default: 0)")
    parser.add_argument("--test", type=int, default=300, help="test photographs a split (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder that keeps the features (default: a temporary one)")
    parser.add_argument(
        "--heads",
        type=lambda text: text.split(","),
        default=["softmax"],
        help="of softmax, logistic, cosine and mlp, with commas between (default: softmax)",
    )
    add_backbone(parser)
    arguments = parse_sets(parser, good=20)
    if not set(arguments.heads) <= set(HEADS) - {AUTO}:
        parser.error(f"expected heads of {', '.join(set(HEADS) - {AUTO})}, got {','.join(arguments.heads)}")
    return arguments


def measure_set(name: str, features: Features, head: str, arguments: argparse.Namespace) -> SetResult:
    """Measure a head on every split of a set."""
    labels = labels_of(features)
    splits = random_splits(labels, arguments.splits, arguments.seed, arguments.test)
    asked = []
    for number, (rest, test) in enumerate(splits):
        say(f"{name}, {head}: split {number + 1} of {arguments.splits}")
        config = RunConfig(head=head, seed=arguments.seed + number)
        asked.append((*one_split(features, rest, test, config), labels[test]))
    return summarise(name, head, len(labels), asked)


def one_split(features: Features, rest: Indices, test: Indices, config: RunConfig) -> tuple[Floats, float]:
    """Train on the rest as a run does, and ask about the test; the scores before cooling, and the temperature."""
    labels, recipe = labels_of(features), recipe_of(config)
    classes = int(labels.max()) + 1
    training, validation = hold_out(features, rest)
    head = fit_head(features.matrix, labels, validation, recipe, classes, training=training)
    crossed = cross_validate_again(
        features.matrix[rest],
        labels[rest],
        [features.sha256s[i] for i in rest.tolist()],
        recipe.ended_at(head.step),
        classes,
        config.cross_validation_folds,
        config.cross_validation_repeats,
        lambda: None,
    )
    temperature = useful_temperature(crossed.scores, labels[rest], crossed.folds)
    return head.classify(features.matrix, test), temperature


def summarise(name: str, head: str, photographs: int, asked: Sequence[tuple[Floats, float, Indices]]) -> SetResult:
    """Boil the splits down; of each the scores, the temperature and the right classes."""
    cooled = [(cool(scores, temperature), labels) for scores, temperature, labels in asked]
    before = np.array([measure_calibration(scores, labels).error for scores, _, labels in asked])
    after = [measure_calibration(scores, labels) for scores, labels in cooled]
    errors, chances = (np.array(values) for values in zip(*((one.error, one.chance) for one in after), strict=True))
    pooled = measure_calibration(*(np.concatenate(parts) for parts in zip(*cooled, strict=True)))
    right = np.array([float((scores.argmax(axis=1) == labels).mean()) for scores, labels in cooled])
    temperatures = estimate(np.array([temperature for _, temperature, _ in asked]) / 100)
    return SetResult(
        name=name,
        head=head,
        photographs=photographs,
        tested=len(asked[0][2]),
        accuracy=estimate(right),
        temperature=temperatures,
        before=estimate(before),
        after=estimate(errors),
        chance=estimate(chances),
        above=estimate(errors - chances),
        pooled=100 * pooled.error,
        pooled_chance=100 * pooled.chance,
    )


def _print(results: list[SetResult], arguments: argparse.Namespace) -> None:
    print(f"Calibration error over 15 bins in percent, mean ± standard error over {arguments.splits} splits.")
    print("chance: what perfect scores would show on so many photographs; above: error less chance.\n")
    titles = ("set", "head", "photographs", "test", "accuracy", "temperature", "before", "after", "chance", "above")
    rows = [
        (
            *(one.name, one.head, str(one.photographs), str(one.tested), str(one.accuracy)),
            f"{one.temperature.mean:.2f} ± {one.temperature.error:.2f}",
            *map(str, (one.before, one.after, one.chance)),
            f"{one.above.mean:+.1f} ± {one.above.error:.1f}",
            f"{one.pooled:.1f} (chance {one.pooled_chance:.1f})",
            one.verdict,
        )
        for one in results
    ]
    print_table((*titles, "pooled", f"at most {100 * GOAL:g}"), rows)


if __name__ == "__main__":
    sys.exit(main())
