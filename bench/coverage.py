"""Sets of labels with a promised coverage: how often they hold the right one, and how large they are.

    python bench/coverage.py SET [SET ...] --splits 20

A SET is a folder with one sub-folder a class. Each split keeps 20 % for the test (stratified, seeded). The rest is the
photographs of a run: cross-validated, which gives the threshold, and split by content into training, validation and a
final test of its own. The head of that run makes a set for each photograph of the test, which nothing has seen. The
mean over splits is held against the promise; a single split of 75 photographs is off by 3.5 % by chance alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import random_splits
from common import parse_sets, print_table, save, say
from insight_cases import Photographs, add_sets, open_sets, out_of_fold

from retrain.config import RunConfig
from retrain.dataset.split import content_percentage
from retrain.head import Indices, train_softmax
from retrain.insight.sets import METHODS, find_rule
from retrain.teaching import recipe_of

LOW, HIGH = 0.88, 0.92


def main() -> int:
    """Measure every set, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET", help="folder with one sub-folder a class")
    parser.add_argument("--splits", type=int, default=20, help="random splits (default: %(default)s)")
    parser.add_argument("--coverage", type=float, default=0.9, help="what is promised (default: %(default)s)")
    add_sets(parser)
    arguments = parse_sets(parser, 20)
    results = [
        row
        for photographs in open_sets(arguments.sets, arguments)
        for row in measure_set(photographs, arguments.splits, arguments.coverage)
    ]
    rows = [
        (one["set"], str(one["tested"]), one["method"], f"{one['coverage']:.1%} ± {one['standard_error']:.1%}",
         f"{one['size']:.2f}", f"{one['accuracy']:.1%}", "yes" if LOW <= one["coverage"] <= HIGH else "no")
        for one in results
    ]  # fmt: skip
    print(f"Sets that promise {arguments.coverage:.0%}, mean of {arguments.splits} splits")
    print_table(("set", "tested", "method", "coverage", "labels a set", "accuracy", f"{LOW:.0%} to {HIGH:.0%}"), rows)
    save("coverage", {"architecture": arguments.architecture, "splits": arguments.splits, "sets": results})
    return 0


def measure_set(photographs: Photographs, splits: int, coverage: float) -> list[dict[str, Any]]:
    """Measure both methods on the same splits."""
    held: dict[str, list[tuple[float, float, float]]] = {method: [] for method in METHODS}
    tested = 0
    for seed, (rest, test) in enumerate(random_splits(photographs.labels, splits, 0)):
        say(f"{photographs.name}: split {seed + 1} of {splits}")
        tested = len(test)
        for method, figures in one_split(photographs, rest, test, seed, coverage).items():
            held[method].append(figures)
    return [
        {
            "set": photographs.name, "tested": tested, "method": method,
            "coverage": float(np.mean([one[0] for one in figures])),
            "standard_error": float(np.std([one[0] for one in figures], ddof=1) / np.sqrt(splits)),
            "size": float(np.mean([one[1] for one in figures])),
            "accuracy": float(np.mean([one[2] for one in figures])),
        }
        for method, figures in held.items()
    ]  # fmt: skip


def one_split(
    photographs: Photographs, rest: Indices, test: Indices, seed: int, coverage: float
) -> dict[str, tuple[float, float, float]]:
    """Coverage, labels a set, and accuracy of each method."""
    matrix, labels = photographs.rows.take(rest), photographs.labels[rest]
    calibration = out_of_fold(matrix, labels, tuple(photographs.keys[i] for i in rest), seed)
    config = RunConfig(seed=seed)
    places = np.array([content_percentage(photographs.keys[i]) for i in rest])
    validation = np.flatnonzero(places < config.validation_percentage)
    training = np.flatnonzero(places >= config.validation_percentage + config.testing_percentage)
    head = train_softmax(matrix, labels, validation, recipe_of(config), len(photographs.names), training=training)
    scores, truth = head.probabilities(photographs.rows.take(test)), photographs.labels[test]
    right = float((scores.argmax(axis=1) == truth).mean())
    found = {}
    for method in METHODS:
        rule = find_rule(calibration, labels, coverage, method)
        if rule is None:
            raise SystemExit(f"{photographs.name}: {len(labels)} photographs are too few for {coverage:.0%}")
        chosen = rule.sets(scores)
        found[method] = (float(chosen[np.arange(len(truth)), truth].mean()), float(chosen.sum(axis=1).mean()), right)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
