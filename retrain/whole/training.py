"""The training of a whole network, before and after it.

The photographs are first looked at by a backbone that is there already: for fine-tuning the one that is to be tuned,
from scratch the bundled one. It says which can be read and which are near duplicates, and what a new layer on it
reaches, which is what a network has to be better than.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from retrain import fsio
from retrain.backbones import PreparedBackbone
from retrain.backbones.table import DEFAULT
from retrain.bottlenecks import labels_of
from retrain.config import DISTORTIONS, RunConfig
from retrain.config.networks import FINETUNE, HEAD, NetworkFlags
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, VALIDATION, Catalog, Split
from retrain.evaluate import Accuracy, measure_accuracy
from retrain.gather import gather
from retrain.head import Head, fit_head, groups_of
from retrain.outset import prepare, spec_of
from retrain.teaching import Contender, recipe_of
from retrain.trainer.parent import Trained, train_network
from retrain.whole.jobs import Sides, facts_of, folder_of, job_of, with_start

START_FILE = "start.npz"
# Flags that are about the network, which the first look takes as they usually are.
_OF_THE_NETWORK = (
    "learning_rate", "train_batch_size", "weight_decay", "label_smoothing", "schedule", "optimizer", "early_stopping",
    *DISTORTIONS,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Whole:
    """A trained network.

    Args:
        contender: its trunk as a backbone, and the vectors that it makes of the photographs.
        facts: what decided it, for the model's description.
        trained: its last layer, and how the training went.
        yardstick: name of the backbone that looked first, and what a new layer on it is worth on the test photographs.
    """

    contender: Contender
    facts: dict[str, float | str]
    trained: Trained
    yardstick: tuple[str, Accuracy]

    @property
    def head(self) -> Head:
        """The last layer."""
        return self.trained.head


def first_look(config: RunConfig) -> RunConfig:
    """Say by which backbone the photographs are looked at before the network is trained.

    Args:
        config: trains a whole network.

    Returns:
        The config of a run that trains a new layer on it, by the usual recipe.
    """
    own = {field.name: field.default for field in fields(NetworkFlags)}
    usual = {field.name: field.default for field in fields(RunConfig) if field.name in _OF_THE_NETWORK}
    # Whose weights are in the package: nobody asked for others to be fetched.
    base = {} if config.train == FINETUNE else {"architecture": DEFAULT, "weights": "", "offline": True}
    changes: dict[str, Any] = {**own, **usual, **base, "train": HEAD, "cross_validation_folds": 0}
    return replace(config, **changes)


def train_whole(config: RunConfig, catalog: Catalog, base: Contender, split: Split, console: Console) -> Whole:
    """Train the network of the flags, and let it look at all photographs.

    Args:
        config: what to train.
        catalog: the photographs.
        base: the backbone that looked at them first.
        split: the side of each.
        console: shown how far it is.

    Returns:
        The network, its trunk as a backbone.

    Raises:
        RetrainError: one of its kinds, see errors.py; the same command goes on from the last checkpoint.
    """
    start = start_head(base, split.keys, split.sides)
    labels, testing = labels_of(base.features), split.indices(TESTING)
    said = start.classify(base.features.rows, testing)
    yardstick = (base.backbone.spec.name, measure_accuracy(said, labels[testing]))
    backbone, facts, trained = train_one(config, base, start, split.sides, console)
    contender = Contender(config, backbone, gather(config, catalog, backbone, console))
    return Whole(contender, facts, trained, yardstick)


def start_head(base: Contender, keys: Sequence[bytes], sides: Sides) -> Head:
    """Train a new layer on the backbone as it is: where fine-tuning starts from, and what it is compared with.

    Args:
        base: the backbone, and its vectors.
        keys: of the split; photographs of one key are one.
        sides: uint8 (N,), the side of each photograph.

    Returns:
        The layer.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    features, training = base.features, np.flatnonzero(sides == TRAINING)
    return fit_head(
        features.rows,
        labels_of(features),
        np.flatnonzero(sides == VALIDATION),
        recipe_of(base.config),
        len(features.catalog.labels),
        training=training,
        groups=groups_of(keys, len(features.rows), lambda photographs: photographs, training),
    )


def train_one(
    config: RunConfig, base: Contender, start: Head, sides: Sides, console: Console, *, shown: bool = True
) -> tuple[PreparedBackbone, dict[str, float | str], Trained]:
    """Train a network on the photographs of one side.

    Args:
        config: what to train.
        base: the backbone that looked at the photographs first.
        start: the layer that fine-tuning starts from.
        sides: uint8 (N,), the side of each photograph.
        console: shown how far it is.
        shown: whether TensorBoard gets its curves.

    Returns:
        Its trunk, ready to run; what decided it; its last layer and how the training went.

    Raises:
        RetrainError: one of its kinds, see errors.py; the same command goes on from the last checkpoint.
    """
    spec, tuned = spec_of(config), config.train == FINETUNE
    job = job_of(config, spec, base.backbone.weights if tuned else None, base.features, sides)
    job, told = with_start(job, start) if tuned else (job, b"")
    job = job if shown else replace(job, summaries="")
    folder = folder_of(config, spec, job)
    if told:
        job = replace(job, head=str(folder / START_FILE))
        fsio.write_bytes(folder / START_FILE, told)
    trained = train_network(job, folder, console)
    backbone = prepare(replace(config, weights=str(trained.network)), spec, console)
    return backbone, facts_of(config, job), trained
