"""How a whole network was trained, as the report shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from retrain import report
from retrain.publish import Training
from retrain.trainer.outcome import history_sentence


def history_of(training: Training) -> report.History | None:
    """Gather what the report says of the training of a network.

    Args:
        training: what the model is made of.

    Returns:
        The facts; None where only a layer was trained.
    """
    if training.network is None:
        return None
    trained = training.network.trained
    return report.History(
        sentence=history_sentence(trained),
        loss=_columns((one.loss, one.validation_loss) for one in trained.history),
        accuracy=_columns((one.accuracy, one.validation_accuracy) for one in trained.history),
        kept=trained.best_epoch,
    )


def _columns(pairs: Iterable[tuple[float, float | None]]) -> report.facts.Floats:
    rows = [(first, math.nan if second is None else second) for first, second in pairs]
    return np.array(rows, np.float64).reshape(-1, 2)
