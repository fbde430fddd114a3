"""Labels flipped on purpose in sets of photographs: how many are among the first suspects, and how fast.

    python bench/suspects.py SET [SET ...] --splits 8

A SET is a folder with one sub-folder a class. In each round 5 % of the labels are given another class, drawn at random;
then all photographs are ranked by how doubtful their label is. Printed is the share of the flipped ones among the first
10 %, for the ranking of a run and for the others it was chosen from: the out-of-fold probability of the label alone
(confident learning's self-confidence), its margin to the best other label (normalised margin), the same less each
class's threshold, and the share of the label among the ten nearest photographs alone. As in a run, these are looked
for among the photographs that are trained on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import parse_sets, print_table, save, say
from insight_cases import Photographs, add_sets, open_sets, out_of_fold

from retrain.config import RunConfig
from retrain.dataset.split import content_percentage
from retrain.head import Indices
from retrain.insight.gain import Insight, gain_insight
from retrain.insight.suspects import neighbour_shares

FLIPPED, FIRST = 0.05, 0.1
GOAL = 0.7
OURS = "both (ours)"
Scores = dict[str, npt.NDArray[np.float64]]


def main() -> int:
    """Measure every set, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET", help="folder with one sub-folder a class")
    parser.add_argument("--splits", type=int, default=8, help="rounds of flipping (default: %(default)s)")
    add_sets(parser)
    arguments = parse_sets(parser, 8)
    results = [measure_set(photographs, arguments.splits) for photographs in open_sets(arguments.sets, arguments)]
    rankings = list(results[0]["found"])
    rows = [
        (one["set"], str(one["photographs"]), *(f"{one['found'][name]:.1%}" for name in rankings),
         f"{one['insight_s']:.2f} s", "yes" if one["found"][OURS] >= GOAL else "no")
        for one in results
    ]  # fmt: skip
    print(f"Share of flipped labels ({FLIPPED:.0%}) among the first {FIRST:.0%}, mean of {arguments.splits} rounds")
    print_table(("set", "photographs", *rankings, "insight takes", f">= {GOAL:.0%}"), rows)
    save("suspects", {"architecture": arguments.architecture, "rounds": arguments.splits, "sets": results})
    return 0


def measure_set(photographs: Photographs, rounds: int) -> dict[str, Any]:
    """Flip and rank, several times over."""
    found: dict[str, list[float]] = {}
    took = []
    held_out = RunConfig().validation_percentage + RunConfig().testing_percentage
    trained_on = np.flatnonzero([content_percentage(key) >= held_out for key in photographs.keys])
    for seed in range(rounds):
        say(f"{photographs.name}: round {seed + 1} of {rounds}")
        flipped, told = flip(photographs.labels, seed)
        probabilities = out_of_fold(photographs.rows, told, photographs.keys, seed)
        start = time.perf_counter()
        insight = gain_insight(photographs.material(told, trained_on), probabilities)
        took.append(time.perf_counter() - start)
        for name, scores in rankings_of(insight, told, probabilities, photographs).items():
            first = np.argsort(-scores, kind="stable")[: round(FIRST * len(told))]
            found.setdefault(name, []).append(float(np.isin(flipped, first).mean()))
    means = {name: float(np.mean(shares)) for name, shares in found.items()}
    errors = {name: float(np.std(shares, ddof=1) / np.sqrt(rounds)) for name, shares in found.items()}
    return {
        "set": photographs.name, "photographs": len(photographs.labels), "found": means, "standard_error": errors,
        "insight_s": float(np.median(took)),
    }  # fmt: skip


def flip(labels: Indices, seed: int) -> tuple[Indices, Indices]:
    """Give some photographs another class: which, and all labels after it."""
    random, classes = np.random.default_rng(seed), int(labels.max()) + 1
    flipped = random.choice(len(labels), round(FLIPPED * len(labels)), replace=False)
    told = labels.copy()
    told[flipped] = (labels[flipped] + random.integers(1, classes, len(flipped))) % classes
    return flipped, told


def rankings_of(insight: Insight, told: Indices, probabilities: npt.NDArray[np.float32], of: Photographs) -> Scores:
    """Rank by each rule: float64 (N,), high where the label is doubtful."""
    everyone, wide = np.arange(len(told)), probabilities.astype(np.float64)
    shares = neighbour_shares(insight.nearest, told[insight.remembered], len(of.names))
    assert insight.doubts is not None
    thresholds = insight.doubts.thresholds
    return {
        OURS: insight.doubts.scores,
        "probability": -wide[everyone, told],
        "margin": -_margin(wide, told),
        "margin less thresholds": -_margin(wide - thresholds, told),
        "neighbours": -shares[everyone, told],
    }


def _margin(scores: npt.NDArray[np.float64], told: Indices) -> npt.NDArray[np.float64]:
    everyone, others = np.arange(len(told)), scores.copy()
    others[everyone, told] = -np.inf
    margin: npt.NDArray[np.float64] = scores[everyone, told] - others.max(axis=1)
    return margin


if __name__ == "__main__":
    raise SystemExit(main())
