"""Checks of --head: a flag that the chosen head has no use for is refused, so that nobody believes it did something."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from retrain.config.training import HEADS

if TYPE_CHECKING:
    from retrain.config.flags import RunConfig

_STEP_BY_STEP = ("softmax", "mlp", "auto")
# The heads that have a use for a flag; "auto" hands it on to those of the heads it compares that do.
_USED_BY = {
    "how_many_training_steps": _STEP_BY_STEP,
    "learning_rate": _STEP_BY_STEP,
    "train_batch_size": _STEP_BY_STEP,
    "weight_decay": _STEP_BY_STEP,
    "schedule": _STEP_BY_STEP,
    "optimizer": _STEP_BY_STEP,
    "early_stopping": _STEP_BY_STEP,
    "label_smoothing": ("softmax", "logistic", "mlp", "auto"),
    "hidden_units": ("mlp", "auto"),
    "dropout": ("mlp", "auto"),
    # With auto it is not known before the photographs are whether there will be steps to write graphs of.
    "intermediate_store_frequency": ("softmax", "mlp"),
}
_WHY = {
    "softmax": "is one layer and has no hidden one",
    "logistic": "is solved rather than trained step by step, and chooses its penalty by cross-validation",
    "cosine": "takes the mean of each class, without steps or penalty",
    "knn": "keeps the training photographs as they are, without steps or penalty",
    "auto": "may choose a head that is not trained step by step",
}


def head_problems(config: RunConfig) -> list[str]:
    """Say which flags the chosen head has no use for.

    Args:
        config: the run's.

    Returns:
        One sentence a problem; empty for a head that is none, which is a problem of its own.
    """
    if config.head not in HEADS or config.multi_label:  # which has checks of its own
        return []
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return [
        f"expected no --{name} with --head {config.head}, which {_WHY[config.head]}, got "
        f"--{name}={getattr(config, name)}; leave it away, or choose --head {' or --head '.join(_named(heads))}"
        for name, heads in _USED_BY.items()
        if config.head not in heads and getattr(config, name) != defaults[name]
    ]


def _named(heads: tuple[str, ...]) -> list[str]:
    return [head for head in heads if head != "auto"]
