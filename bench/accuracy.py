"""Accuracy of our heads on sets of photographs, against the original's recipe, Keras' idiom and logistic regression.

    python bench/accuracy.py SET [SET ...] --splits 20 --heads softmax,logistic,cosine,knn,mlp,auto

A SET is a folder with one sub-folder a class. Each split keeps 20 % for the test (stratified, seeded). From the rest
our heads take one photograph in eight as validation, by the content rule of a run; the original's recipe and Keras'
idiom train on what is left, as they would; scikit-learn's LogisticRegressionCV needs no validation part and trains on
the whole rest. Exact copies are left out, so that no photograph is on two sides. Differences are paired: of the same
split.

Splits of one set share photographs, so standard errors taken over splits are too small: the printed factor says by
how much (Nadeau and Bengio, "Inference for the Generalization Error", 2003, Machine Learning 52). Look at a second
--seed before believing a difference of one or two of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import add_backbone, parse_sets, print_table, save, say
from extraction import gather
from peers import keras_guesses, original_guesses, sklearn_guesses

from retrain.backbones import PreparedBackbone, find_backbone, prepare_backbone
from retrain.bottlenecks import Features, MemoryMatrix, labels_of
from retrain.config import RunConfig
from retrain.config.training import HEADS
from retrain.console import Console
from retrain.dataset import TRAINING, VALIDATION, Catalog, SplitRequest, scan_folder, split_images
from retrain.head import AUTO, Indices, fit_head
from retrain.head.choosing import Backbone, Photographs, choose_head
from retrain.head.recipe import Recipe
from retrain.teaching import recipe_of

TEST_SHARE = 0.2
PEERS = ("original", "keras", "sklearn")
DEFAULT, AUTO_SHARE = RunConfig().head, 0.8
Accuracies = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over splits with its standard error, in percent."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.error:.1f}"

    @property
    def at_least_equal(self) -> bool:
        """Of a difference: whether it is no more than a standard error below 0."""
        return self.mean >= -self.error


@dataclass(frozen=True)
class SetResult:
    """What came of one set: accuracy by head or peer, ours less theirs by head and peer, and split by split."""

    name: str
    photographs: int
    classes: int
    accuracy: dict[str, Estimate]
    difference: dict[str, dict[str, Estimate]]
    chosen: dict[str, int]
    by_split: dict[str, list[float]]

    def ahead(self, who: str, other: str) -> Estimate:
        """How far one head or peer is ahead of another, paired by split."""
        return estimate(np.array(self.by_split[who]) - np.array(self.by_split[other]))


def main() -> int:
    """Measure every set, print the table, write the results."""
    arguments = _parse()
    spec = find_backbone(arguments.architecture)
    backbone = prepare_backbone(spec, arguments.model_dir, offline=True, console=Console(quiet=True))
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        cache = arguments.cache or Path(temp)
        results = [measure_set(folder, backbone, cache, arguments) for folder in arguments.sets]
    _print(results, arguments)
    save("accuracy", facts_of(results, arguments))
    return 0


def facts_of(results: list[SetResult], arguments: argparse.Namespace) -> dict[str, Any]:
    """List what is written to disk; sets by name, not by path."""
    return {
        "splits": arguments.splits,
        "seed": arguments.seed,
        "heads": arguments.heads,
        "error_too_small_by": overlap_factor(arguments.splits),
        "sets": [asdict(result) for result in results],
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", metavar="SET", nargs="+", type=Path, help="folder of class folders")
    parser.add_argument("--splits", type=int, default=5, help="random splits a set (default: 5; 20 to be sure)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the splits and of training (default: 0)")
    parser.add_argument("--cache", type=Path, help="folder that keeps the features (default: a temporary one)")
    parser.add_argument(
        "--heads",
        type=_heads,
        default=["softmax"],
        help=f"of {', '.join(HEADS)}, with commas between (default: softmax)",
    )
    add_backbone(parser)
    return parse_sets(parser, good=20)


def _heads(text: str) -> list[str]:
    heads = text.split(",")
    if not set(heads) <= set(HEADS) or len(set(heads)) < len(heads):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(HEADS)}, with commas between, got {text!r}")
    return heads


def measure_set(folder: Path, backbone: PreparedBackbone, cache: Path, arguments: argparse.Namespace) -> SetResult:
    """Extract a set once, and measure our heads and the peers on each split."""
    features = set_features(folder, backbone, cache)
    accuracies, chosen = [], Counter[str]()
    for number, (rest, test) in enumerate(random_splits(labels_of(features), arguments.splits, arguments.seed)):
        say(f"{folder.name}: split {number + 1} of {arguments.splits}")
        accuracies.append(one_split(features, rest, test, arguments.seed + number, arguments.heads, chosen))
    return summarise(folder.name, features, np.array(accuracies), arguments.heads, chosen)


def set_features(folder: Path, backbone: PreparedBackbone, cache: Path) -> Features:
    """Extract a set, or read it from the cache; copies are left out."""
    say(f"{folder.name}: features")
    cache.mkdir(parents=True, exist_ok=True)
    store = cache / f"{backbone.spec.name}-{backbone.fingerprint[:12]}.sqlite"
    return without_copies(gather(scan_folder(str(folder), "folder"), backbone, store))


def without_copies(features: Features) -> Features:
    """Keep the first of each exact copy."""
    first = {sha: index for index, sha in reversed(list(enumerate(features.sha256s)))}
    return subset(features, np.array(sorted(first.values()), np.intp))


def subset(features: Features, rows: Indices) -> Features:
    """Take some photographs out as a set of their own."""
    catalog = features.catalog
    kept: Catalog = replace(catalog, records=tuple(catalog.records[i] for i in rows))
    return replace(
        features,
        catalog=kept,
        sha256s=tuple(features.sha256s[i] for i in rows),
        rows=MemoryMatrix(features.matrix[rows]),
    )


def random_splits(labels: Indices, splits: int, seed: int, test: float = TEST_SHARE) -> list[tuple[Indices, Indices]]:
    """Cut a set in two, class by class, several times; test: its share, or how many photographs."""
    from sklearn.model_selection import StratifiedShuffleSplit

    cutter = StratifiedShuffleSplit(splits, test_size=test, random_state=seed)
    return [(np.sort(rest), np.sort(test)) for rest, test in cutter.split(np.zeros(len(labels)), labels)]


def one_split(
    features: Features, rest: Indices, test: Indices, seed: int, heads: list[str], chosen: Counter[str]
) -> list[float]:
    """Train our heads and the peers on the rest; the accuracies are in the order of heads and PEERS."""
    labels, matrix = labels_of(features), features.matrix
    training, validation = hold_out(features, rest)
    guesses = [
        our_guesses(features, training, validation, test, RunConfig(head=head, seed=seed), chosen) for head in heads
    ]
    guesses += [
        original_guesses(matrix, labels, training, test, seed),
        keras_guesses(matrix, labels, training, test, seed),
        sklearn_guesses(matrix, labels, rest, test),
    ]
    return [float((guess == labels[test]).mean()) for guess in guesses]


def our_guesses(
    features: Features, training: Indices, validation: Indices, test: Indices, config: RunConfig, chosen: Counter[str]
) -> Indices:
    """Fit one of our heads as a run does, and classify the test photographs."""
    labels, matrix = labels_of(features), features.matrix
    recipe, classes = recipe_of(config), int(labels.max()) + 1
    if recipe.kind == AUTO:
        recipe = automatic(features, training, recipe)
        chosen[recipe.kind] += 1
    head = fit_head(matrix, labels, validation, recipe, classes, training=training)
    guesses: Indices = head.classify(matrix, test).argmax(axis=1)
    return guesses


def automatic(features: Features, training: Indices, recipe: Recipe) -> Recipe:
    """Let --head auto choose, on the training photographs alone."""
    labels = labels_of(features)
    photographs = Photographs(labels, features.sha256s, training, lambda rows: rows, int(labels.max()) + 1)
    return choose_head([Backbone("", features.rows)], photographs, recipe).winner.recipe


def hold_out(features: Features, rest: Indices) -> tuple[Indices, Indices]:
    """Take the validation part out of the rest by a run's own rule: the default share of all photographs."""
    config = RunConfig()
    share = round(config.validation_percentage / (1 - TEST_SHARE))
    part = subset(features, rest)
    split = split_images(part.catalog, part.sha256s, SplitRequest(config.split_rule, share, 0))
    return rest[split.indices(TRAINING)], rest[split.indices(VALIDATION)]


def summarise(
    name: str, features: Features, accuracies: Accuracies, heads: list[str], chosen: Counter[str]
) -> SetResult:
    """Boil the splits down; accuracies: float64 (splits, heads and PEERS)."""
    column = {who: accuracies[:, i] for i, who in enumerate((*heads, *PEERS))}
    return SetResult(
        name=name,
        photographs=len(features.matrix),
        classes=len(features.catalog.labels),
        accuracy={who: estimate(values) for who, values in column.items()},
        difference={head: {peer: estimate(column[head] - column[peer]) for peer in PEERS} for head in heads},
        chosen=dict(chosen),
        by_split={who: values.tolist() for who, values in column.items()},
    )


def estimate(values: Accuracies) -> Estimate:
    """Mean and standard error, shares turned into percent."""
    return Estimate(100 * float(values.mean()), 100 * float(values.std(ddof=1) / np.sqrt(len(values))))


def over_sets(estimates: list[Estimate]) -> Estimate:
    """Mean over sets, each set counting alike."""
    errors = np.array([item.error for item in estimates])
    return Estimate(float(np.mean([item.mean for item in estimates])), float(np.sqrt((errors**2).sum()) / len(errors)))


def overlap_factor(splits: int) -> float:
    """By how much errors over overlapping splits are too small."""
    return float(np.sqrt(1 + splits * TEST_SHARE / (1 - TEST_SHARE)))


def verdict(differences: dict[str, Estimate]) -> str:
    """Whether ours is at least equal to every peer within one standard error."""
    behind = [name for name, item in differences.items() if not item.at_least_equal]
    return f"behind {' and '.join(behind)}" if behind else "yes"


def against_best(result: SetResult, who: str, others: Sequence[str]) -> tuple[str, Estimate]:
    """Name the best of the others on a set, and give how far ``who`` is ahead of it."""
    best = max(others, key=lambda other: result.accuracy[other].mean)
    return best, result.ahead(who, best)


def goal_lines(results: list[SetResult], heads: list[str], splits: int) -> list[str]:
    """Say which goals are met: those of the default head, and those of auto where it was measured beside others."""
    lines = []
    if DEFAULT in heads:
        best = [(one.name, *against_best(one, DEFAULT, PEERS)) for one in results]
        lines += [_standing(DEFAULT, *line, splits) for line in best]
        behind = [name for name, _, ahead in best if not ahead.at_least_equal]
        lines.append(_goal(not behind, f"{DEFAULT} nowhere behind the best peer by more than a standard error", behind))
        means = {who: over_sets([one.accuracy[who] for one in results]).mean for who in (DEFAULT, *PEERS)}
        ahead_of = [peer for peer in PEERS if means[peer] >= means[DEFAULT]]
        lines.append(_goal(not ahead_of, f"{DEFAULT} better than every peer on average", ahead_of))
    others = [who for who in (*heads, *PEERS) if who != AUTO]
    if AUTO in heads and len(heads) > 1:
        best = [(one.name, *against_best(one, AUTO, others)) for one in results]
        lines += [_standing(AUTO, *line, splits) for line in best]
        tied = [name for name, _, ahead in best if ahead.at_least_equal]
        told = f"{AUTO} best or tied on at least 4 in 5 sets: {len(tied)} of {len(best)}"
        lines.append(_goal(len(tied) >= AUTO_SHARE * len(best), told, []))
    return lines


def _goal(met: bool, told: str, but: list[str]) -> str:
    return f"{'MET' if met else 'NOT MET'}: {told}{': ' if but else ''}{', '.join(but)}"


def _standing(who: str, name: str, best: str, ahead: Estimate, splits: int) -> str:
    """Say how far ahead of the best another is, by the error over splits and by the one that allows for overlap."""
    wide = Estimate(ahead.mean, ahead.error * overlap_factor(splits))
    verdicts = ["at least equal" if one.at_least_equal else "behind" for one in (ahead, wide)]
    return (
        f"{name}: {who} less the best, {best}: {ahead.mean:+.1f} ± {ahead.error:.1f}, {verdicts[0]}; "
        f"with the error that allows for overlap, {wide.error:.1f}: {verdicts[1]}"
    )


def _print(results: list[SetResult], arguments: argparse.Namespace) -> None:
    print(f"Accuracy in percent, mean ± standard error over {arguments.splits} splits; differences paired by split.")
    print("sklearn trains on the validation part, too: it needs none. At least equal: within one standard error.")
    print(
        f"As splits overlap, these errors are too small, by a factor of about {overlap_factor(arguments.splits):.1f}.\n"
    )
    whole = f"mean of {len(results)} sets"
    rows = [(r.name, str(r.photographs), str(r.classes), *map(str, r.accuracy.values())) for r in results]
    means = [str(over_sets([r.accuracy[who] for r in results])) for who in (*arguments.heads, *PEERS)]
    print_table(("set", "photographs", "classes", *arguments.heads, *PEERS), [*rows, (whole, "", "", *means)])
    for head in arguments.heads:
        print(f"\n{head} less the peers")
        mean = {peer: over_sets([r.difference[head][peer] for r in results]) for peer in PEERS}
        lines = [(r.name, *_cells(r.difference[head])) for r in results]
        print_table(("set", *PEERS, "at least equal"), [*lines, (whole, *_cells(mean))])
    for result in results if AUTO in arguments.heads else ():
        print(f"auto chose on {result.name}: {', '.join(f'{kind} {times}' for kind, times in result.chosen.items())}")
    print()
    for line in goal_lines(results, arguments.heads, arguments.splits):
        print(line)


def _cells(difference: dict[str, Estimate]) -> tuple[str, ...]:
    return (*(f"{item.mean:+.1f} ± {item.error:.1f}" for item in difference.values()), verdict(difference))


if __name__ == "__main__":
    sys.exit(main())
