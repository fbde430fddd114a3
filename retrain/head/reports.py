"""What is told of the training while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from retrain.head.layers import Head
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats


@dataclass(frozen=True)
class StepReport:
    """What is measured at a step.

    Args:
        step: counted from 0.
        train_accuracy: 0 to 1, on the batch just trained on.
        cross_entropy: mean loss of that batch, nats.
        validation_accuracy: 0 to 1, on the validation batch; None without validation photographs.
        validation_cross_entropy: mean loss of that batch, nats.
        validation_count: photographs in that batch.
        weights: float32 (E, C), of the last layer; on scaled features where there is no other.
        biases: float32 (C,).
        logits: float32 (B, C), of the training batch.
        head: makes the layers as they stand, scaling folded in.
    """

    step: int
    train_accuracy: float
    cross_entropy: float
    validation_accuracy: float | None
    validation_cross_entropy: float | None
    validation_count: int
    weights: Floats
    biases: Floats
    logits: Floats
    head: Callable[[], Head]


@dataclass(frozen=True)
class Observer:
    """Somebody who is told how training goes.

    Args:
        every: told at steps 0, every, 2 every ... and at the last.
        see: what to call.
    """

    every: int
    see: Callable[[StepReport], None]


def losses_of(logits: Floats, labels: Indices) -> Floats:
    """Cross-entropy of each row.

    Args:
        logits: float32 (N, C).
        labels: intp (N,).

    Returns:
        float32 (N,), nats.
    """
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, np.newaxis]).sum(axis=1)) + top
    losses: Floats = total - logits[np.arange(len(labels)), labels]
    return losses


def tell(observers: Sequence[Observer], step: int, last: bool, report: Callable[[], StepReport]) -> None:
    """Tell those observers whose turn it is.

    Args:
        observers: all of them.
        step: counted from 0.
        last: whether no step follows: then all are told.
        report: measures; called once, and only if somebody is told.
    """
    told = [observer for observer in observers if last or step % observer.every == 0]
    if told:
        made = report()
        for observer in told:
            observer.see(made)
