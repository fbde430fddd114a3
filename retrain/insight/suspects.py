"""Labels that may be wrong: photographs that neither the heads that had not seen them nor their neighbours agree with.

Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021, JAIR 70, rank by the
out-of-fold probability of the label given. Here that is multiplied with the share that this label has among the most
alike photographs: of labels flipped on purpose, more lie among the first (bench/suspects.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.dataset.tables import guarded, table_text
from retrain.insight.neighbours import Floats, Indices, Nearest

COLUMNS = ("path", "label", "suggested", "score", "likely", "accept")
# Photographs that are asked about a label.
NEIGHBOURS = 10
# So that a label with no probability, or without any neighbour, is still ranked by the other of the two.
_FLOOR_PROBABILITY, _FLOOR_SHARE = 1e-3, 0.05


@dataclass(frozen=True)
class Suspect:
    """A photograph that may have the wrong label.

    Args:
        photograph: its index.
        label: index of the label it has.
        suggested: index of the label that fits best.
        score: 0 to 1, how doubtful the label is; 1 minus the root of probability times share.
        margin: out-of-fold probability of the suggested label minus that of the one it has.
        likely: whether the suggested label reaches its class's threshold: confident learning counts such a photograph
            as mislabelled, the others as merely doubtful.
    """

    photograph: int
    label: int
    suggested: int
    score: float
    margin: float
    likely: bool


@dataclass(frozen=True)
class Doubts:
    """How well each label fits.

    Args:
        scores: float64 (N,), 0 to 1, high where the label is doubtful.
        suggested: intp (N,), the label that fits best.
        thresholds: float64 (C,), mean out-of-fold probability of a class among the photographs that have its label;
            NaN for a class without photographs.
        suspects: those whose suggested label is another than they have, most doubtful first.
    """

    scores: npt.NDArray[np.float64]
    suggested: Indices
    thresholds: npt.NDArray[np.float64]
    suspects: tuple[Suspect, ...]


def neighbour_shares(nearest: Nearest, pool_labels: Indices, class_count: int) -> npt.NDArray[np.float64]:
    """Say which labels the most alike photographs have.

    Args:
        nearest: (N, k).
        pool_labels: intp (M,), of the pool's rows.
        class_count: C.

    Returns:
        float64 (N, C), rows sum to 1: shares weighted by cosine; all alike where there was no neighbour.
    """
    weights = np.where(nearest.found, np.maximum(nearest.cosines, 0), 0).astype(np.float64)
    shares = np.zeros((len(weights), class_count))
    everyone = np.arange(len(weights))
    for column in range(weights.shape[1]):
        # Trap: row -1 stands for none; its weight is 0.
        np.add.at(shares, (everyone, pool_labels[nearest.rows[:, column]]), weights[:, column])
    sums = shares.sum(axis=1, keepdims=True)
    divided: npt.NDArray[np.float64] = np.where(sums > 0, shares / np.where(sums > 0, sums, 1), 1 / class_count)
    return divided


def find_suspects(probabilities: Floats, labels: Indices, shares: npt.NDArray[np.float64]) -> Doubts:
    """Rank the labels by how doubtful they are.

    Args:
        probabilities: float32 (N, C), out-of-fold; rows sum to 1.
        labels: intp (N,), as they were given.
        shares: float64 (N, C), of the labels among the neighbours (neighbour_shares).

    Returns:
        Scores of all, and the suspects.
    """
    wide = probabilities.astype(np.float64)
    everyone, classes = np.arange(len(labels)), wide.shape[1]
    fit = np.sqrt(np.maximum(wide, _FLOOR_PROBABILITY) * np.maximum(shares, _FLOOR_SHARE))
    own, suggested = fit[everyone, labels], fit.argmax(axis=1)
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, wide[everyone, labels], minlength=classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    order = np.argsort(own, kind="stable")
    listed = tuple(
        Suspect(
            int(i),
            int(labels[i]),
            int(suggested[i]),
            float(1 - own[i]),
            float(wide[i, suggested[i]] - wide[i, labels[i]]),
            bool(wide[i, suggested[i]] >= thresholds[suggested[i]]),
        )
        for i in order[suggested[order] != labels[order]]
    )
    return Doubts(1 - own, suggested, thresholds, listed)


def suspects_csv(doubts: Doubts, paths: Sequence[str], names: Sequence[str]) -> str:
    """Write the suspects as a table that ``python -m retrain fix --apply`` takes.

    Args:
        doubts: of find_suspects.
        paths: of the photographs, below the image folder.
        names: of the labels.

    Returns:
        CSV with the columns path, label, suggested, score, likely ("yes" or nothing), and accept, which is empty: a
        person writes "yes" there. Most doubtful first.
    """
    rows: list[Sequence[str]] = [COLUMNS]
    for one in doubts.suspects:
        likely = "yes" if one.likely else ""
        texts = (paths[one.photograph], names[one.label], names[one.suggested])
        rows.append((*map(guarded, texts), f"{one.score:.4f}", likely, ""))
    return table_text(rows)
