"""Scores of photographs that a network has not seen: of other networks, without them, or of the validation side."""

from __future__ import annotations

import numpy as np

from retrain.bottlenecks import Features, labels_of
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, VALIDATION, Split
from retrain.gather import gather
from retrain.head import Crossed, Floats, Head, Indices
from retrain.head.folds import assign_folds, deal_again
from retrain.teaching import Contender
from retrain.whole.training import start_head, train_one

# Parts of the validation side, by which a temperature is checked on photographs that it was not found on.
_CHECKED_BY = 5
# Validation photographs; fewer would set a temperature by chance.
_FEWEST = 20


def cross_networks(config: RunConfig, base: Contender, split: Split, console: Console) -> Crossed | None:
    """Cross-validate: train the network once more for each fold, on the photographs of the others.

    Args:
        config: what to train, and how many folds.
        base: the backbone that looked first.
        split: photographs with the same key are never told apart; its validation side validates every time.
        console: shown how far it is.

    Returns:
        Out-of-fold scores; None where cross-validation is off.

    Raises:
        RetrainError: one of its kinds, see errors.py; the same command goes on from the last checkpoint.
    """
    if not config.folds:
        return None
    labels, classes = labels_of(base.features), len(base.features.catalog.labels)
    repeats = range(config.cross_validation_repeats)
    deals = [
        assign_folds(labels, deal_again(split.keys, number), config.folds, by_size=split.is_grouped)
        for number in repeats
    ]
    scores = np.zeros((len(deals), len(labels), classes), np.float32)
    for repeat, folds in enumerate(deals):
        for fold in np.unique(folds):
            held = np.flatnonzero(folds == fold)
            console.line(f"Cross-validating: network {fold + 1} of {config.folds}, without {len(held)} photographs")
            scores[repeat, held] = _scores_without(config, base, split, held, console)
    return Crossed(scores, np.stack(deals))


def _scores_without(config: RunConfig, base: Contender, split: Split, held: Indices, console: Console) -> Floats:
    """Train on all photographs but some, and classify those."""
    sides = np.where(split.sides == VALIDATION, VALIDATION, TRAINING).astype(np.uint8)
    sides[held] = TESTING
    backbone, _, trained = train_one(config, base, start_head(base, split.keys, sides), sides, console, shown=False)
    features = gather(config, base.features.catalog, backbone, Console(quiet=True))
    scores: Floats = trained.head.classify(features.rows, held)
    return scores


def validated(head: Head, features: Features, split: Split) -> tuple[Crossed, Indices] | None:
    """Score the validation photographs, by which a network's temperature is found where it was not cross-validated.

    Guo et al., "On calibration of modern neural networks", 2017, ICML.

    Args:
        head: as trained.
        features: of all photographs, by the trained network.
        split: the side of each.

    Returns:
        Scores (1, V, C), dealt out to folds, and the labels, intp (V,); None where they are too few to be dealt out.
    """
    rows = split.indices(VALIDATION)
    if len(rows) < _FEWEST:
        return None
    labels, keys = labels_of(features)[rows], [split.keys[row] for row in rows]
    folds = assign_folds(labels, keys, _CHECKED_BY, by_size=split.is_grouped)
    return Crossed(head.classify(features.rows, rows)[None], folds[None]), labels
