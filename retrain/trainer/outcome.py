"""What a training came to: done.json, and the files whose hashes it names."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrain import fsio
from retrain.head import Head
from retrain.trainer.job import DONE_FILE, HEAD_FILE, NETWORK_FILE, Job


@dataclass(frozen=True)
class Epoch:
    """How good the network was at the end of an epoch.

    Args:
        epoch: counted from 1.
        step: steps done by then.
        loss: mean over the epoch's batches, as they were distorted.
        accuracy: likewise, 0 to 1.
        validation_loss: over the validation photographs; None where there are none.
        validation_accuracy: likewise.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network.

    Args:
        network: file of the trunk's weights, as --weights takes it.
        head: the last layer.
        step: steps that were taken.
        history: an epoch each.
        best_epoch: the one whose weights these are, counted from 1.
        trained: parameters that learnt.
        frozen: parameters that stayed as they were.
    """

    network: Path
    head: Head
    step: int
    history: tuple[Epoch, ...]
    best_epoch: int
    trained: int
    frozen: int


def finished(job: Job, folder: Path) -> Trained | None:
    """Read what a job came to.

    Args:
        job: what was to be done.
        folder: of its checkpoints.

    Returns:
        The trained network; None where this very job is not finished, or not all of its files are whole.
    """
    try:
        told: dict[str, Any] = json.loads((folder / DONE_FILE).read_text())
        if told["digest"] != job.digest or not _whole(told, folder):
            return None
        return Trained(
            network=folder / NETWORK_FILE,
            head=_read_head(folder / HEAD_FILE, int(told["step"]), len(job.labels)),
            step=int(told["step"]),
            history=tuple(_epoch(one) for one in told["history"]),
            best_epoch=int(told["best_epoch"]),
            trained=int(told["trained"]),
            frozen=int(told["frozen"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def history_sentence(trained: Trained) -> str:
    """Say in plain words how a network was trained.

    Args:
        trained: what the training came to.

    Returns:
        For how long, which epoch was best, what stayed as it was.
    """
    said = f"Trained for {_counted(len(trained.history), 'epoch')} ({_counted(trained.step, 'step')})"
    kept = f"the model has the weights of epoch {trained.best_epoch}"
    validated = [one for one in trained.history if one.validation_loss is not None]
    if validated:
        best = min(validated, key=lambda one: one.validation_loss or 0.0)
        where = "which has" if best.epoch == trained.best_epoch else f"while epoch {best.epoch} has"
        share = 100 * (best.validation_accuracy or 0.0)
        kept += f", {where} the lowest validation loss ({best.validation_loss:.3f}, {share:.1f} % right)"
    parameters = f"{_counted(trained.trained, 'parameter')} learnt"
    parameters += f", {trained.frozen:,} stayed as they were" if trained.frozen else ", none stayed as they were"
    return f"{said}; {kept}. {parameters}."


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _whole(told: dict[str, Any], folder: Path) -> bool:
    named = {NETWORK_FILE: told["network_sha256"], HEAD_FILE: told["head_sha256"]}
    return all(fsio.sha256_file(folder / file) == sha256 for file, sha256 in named.items())


def _read_head(path: Path, step: int, classes: int) -> Head:
    with np.load(path, allow_pickle=False) as arrays:
        weights, biases = arrays["weights"], arrays["biases"]
    kinds = (weights.dtype, biases.dtype)
    if kinds != (np.float32, np.float32) or weights.shape[1:] != (classes,) or biases.shape != (classes,):
        raise ValueError(f"expected float32 (D, {classes}) and ({classes},), got {weights.shape} and {biases.shape}")
    return Head(weights, biases, step)


def _epoch(told: dict[str, Any]) -> Epoch:
    loss, accuracy, *validation = (
        _number(told[key]) for key in ("loss", "accuracy", "validation_loss", "validation_accuracy")
    )
    if loss is None or accuracy is None:
        raise ValueError(f"expected a loss and an accuracy of each epoch, got {told}")
    return Epoch(int(told["epoch"]), int(told["step"]), loss, accuracy, *validation)


def _number(value: Any) -> float | None:  # noqa: ANN401 - of JSON
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {value}")
    return number
