"""Photographs of other things: how many are refused at 5 % false alarms, by each way to tell.

    python bench/unknown.py flower_photos:cluster_photos cats_dogs:flower_photos ... --sets_dir DIR

Each PAIR names two folders in --sets_dir, or two paths: a model of the first is shown the photographs of the second
and, with = between them, the other way round, too. The threshold of each way is found with the photographs of the first
alone, out of fold, as a run does. The ways: the mean cosine to the three nearest training photographs (a run's own,
with its memory of one byte a number), the cosine to one, Mahalanobis' distance with a shared covariance and the
shrinkage of Ledoit and Wolf, the energy of the logits, and the largest probability.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import ROOT, print_table, save, say
from insight_cases import FOLDS, Photographs, add_sets, open_sets

from retrain.config import RunConfig
from retrain.head import Head, Indices, train_softmax
from retrain.head.folds import assign_folds
from retrain.insight.gain import gain_insight
from retrain.insight.memory import make_memory
from retrain.insight.neighbours import find_nearest, mean_cosine
from retrain.insight.unknown import NEIGHBOURS, min_cosine_at
from retrain.teaching import recipe_of

Floats = npt.NDArray[np.float32]
Scores = dict[str, npt.NDArray[np.float64]]
OURS = "3 nearest (ours)"
WAYS = (OURS, "nearest", "Mahalanobis", "energy", "probability")
GOAL = 0.95


def main() -> int:
    """Measure every pair, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="PAIR", help="KNOWN:UNKNOWN, or KNOWN=UNKNOWN for both ways")
    parser.add_argument("--sets_dir", type=Path, default=ROOT / "tf_files", help="folder of sets (default: tf_files)")
    parser.add_argument("--false_alarms", type=float, default=RunConfig().unknown_false_alarms)
    add_sets(parser)
    arguments = parser.parse_args()
    pairs = pairs_of(arguments.pairs)
    folders = {name: arguments.sets_dir / name for pair in pairs for name in pair}
    missing = [str(folder) for folder in folders.values() if not folder.is_dir()]
    if missing:
        parser.error(f"expected folders of class folders, but there is no folder {', '.join(missing)}")
    sets = dict(zip(folders, open_sets(list(folders.values()), arguments), strict=True))
    results = []
    for known, other in pairs:
        say(f"{known} shown {other}")
        results.append(measure_pair(sets[known], sets[other], arguments.false_alarms))
    rows = [
        (one["known"], one["shown"], *(f"{one['refused'][way]:.1%}" for way in WAYS),
         "yes" if one["refused"][OURS] >= GOAL else "no")
        for one in results
    ]  # fmt: skip
    print(f"Share refused at {arguments.false_alarms:.0%} false alarms")
    print_table(("model of", "shown", *WAYS, f">= {GOAL:.0%}"), rows)
    save("unknown", {"architecture": arguments.architecture, "pairs": results})
    return 0


def pairs_of(words: list[str]) -> list[tuple[str, str]]:
    """Read the pairs."""
    pairs = []
    for word in words:
        for mark in ("=", ":"):
            first, found, second = word.partition(mark)
            if found:
                pairs += [(first, second), (second, first)] if mark == "=" else [(first, second)]
                break
        else:
            raise SystemExit(f"expected KNOWN:UNKNOWN or KNOWN=UNKNOWN, got {word}")
    return list(dict.fromkeys(pairs))


def measure_pair(known: Photographs, other: Photographs, false_alarms: float) -> dict[str, Any]:
    """Find thresholds with the one, and count how many of the other are refused: high scores are known."""
    inside, outside = (
        out_of_fold_scores(known),
        scores_of(known, np.arange(len(known.labels)), other.rows.take(_all(other))),
    )
    inside[OURS], outside[OURS] = own_scores(known, other)
    refused = {}
    for way in WAYS:
        threshold = min_cosine_at(inside[way], false_alarms)
        if threshold is None:
            raise SystemExit(f"{known.name}: {len(inside[way])} photographs are too few for {false_alarms:.0%}")
        refused[way] = float((outside[way] < threshold).mean())
    return {"known": known.name, "shown": other.name, "refused": refused}


def own_scores(known: Photographs, other: Photographs) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What a run does: every photograph to all others; and the strangers to all."""
    insight = gain_insight(known.material(known.labels), None)
    memory = make_memory(known.rows, known.labels, known.paths, insight.remembered)
    nobody = np.full(len(memory.names), -1, np.intp)
    strangers = find_nearest(other.rows, _all(other), memory.units, nobody, NEIGHBOURS)
    return mean_cosine(insight.nearest, NEIGHBOURS), mean_cosine(strangers, NEIGHBOURS)


def _all(photographs: Photographs) -> Indices:
    return np.arange(len(photographs.labels))


def out_of_fold_scores(known: Photographs) -> Scores:
    """Score each photograph with what was made of the other folds."""
    fold = assign_folds(known.labels, known.keys, FOLDS)
    scores = {way: np.zeros(len(fold)) for way in WAYS}
    for number in range(FOLDS):
        held_out = np.flatnonzero(fold == number)
        found = scores_of(known, np.flatnonzero(fold != number), known.rows.take(held_out))
        for way, values in found.items():
            scores[way][held_out] = values
    return scores


def scores_of(known: Photographs, training: Indices, asked: Floats) -> Scores:
    """Score vectors by each way but ours."""
    features, labels = known.rows.take(training), known.labels[training]
    nobody = np.zeros(0, np.intp)
    head: Head = train_softmax(features, labels, nobody, recipe_of(RunConfig()), len(known.names))
    logits = head.logits(asked).astype(np.float64)
    largest = logits.max(axis=1)
    return {
        "nearest": (unit(asked) @ unit(features).T).max(axis=1).astype(np.float64),
        "Mahalanobis": -mahalanobis(features.astype(np.float64), labels, asked.astype(np.float64)),
        "energy": largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)),
        "probability": head.probabilities(asked).max(axis=1).astype(np.float64),
    }


def unit(vectors: Floats) -> Floats:
    """Rows of length 1."""
    return vectors / np.sqrt(np.square(vectors).sum(axis=1, keepdims=True) + np.float32(1e-12))


def mahalanobis(
    features: npt.NDArray[np.float64], labels: Indices, asked: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Squared distance to the nearest class mean, by the covariance that all classes share (Lee et al., 2018)."""
    from sklearn.covariance import ledoit_wolf

    present = np.unique(labels)
    means = np.stack([features[labels == label].mean(axis=0) for label in present])
    residues = features - means[np.searchsorted(present, labels)]
    covariance, _ = ledoit_wolf(residues, assume_centered=True)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    left, right = asked @ whiten.T, means @ whiten.T
    squares = np.square(left).sum(axis=1)[:, None] - 2 * left @ right.T + np.square(right).sum(axis=1)
    nearest: npt.NDArray[np.float64] = squares.min(axis=1)
    return nearest


if __name__ == "__main__":
    raise SystemExit(main())
