"""Training jobs, made up: a few photographs that nobody reads, in two classes."""

from __future__ import annotations

import hashlib
from typing import Any

from retrain.dataset import TRAINING, VALIDATION
from retrain.images import InputSpec
from retrain.trainer.job import Job, Photograph, Settings


def job_of(trained_on: int = 10, validated_on: int = 3, **changes: Any) -> Job:
    """Two epochs in steps of four photographs, unless a test wants something else."""
    settings = {"epochs": 2, "batch_size": 4, "learning_rate": 0.1} | changes.pop("settings", {})
    sides = [TRAINING] * trained_on + [VALIDATION] * validated_on
    photographs = tuple(
        Photograph(f"{n}.jpg", hashlib.sha256(b"%d" % n).hexdigest(), n % 2, side) for n, side in enumerate(sides)
    )
    told = {
        "train": "scratch", "architecture": "cnn3_32", "definition": "{}", "channels": 3,
        "input_spec": InputSpec(32, 32, 127.5, 127.5), "labels": ("globular", "open"), "photographs": photographs,
    }  # fmt: skip
    return Job(**{**told, "settings": Settings(**settings), **changes})
