"""Small trainings for the tests: two classes of made-up pictures, a network of a few thousand weights, the process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from support import encode

from retrain.backbones.prepare import child_environment
from retrain.dataset import TRAINING, VALIDATION
from retrain.images import InputSpec
from retrain.trainer.job import Augmentation, Job, Photograph, Settings, write_job

SIDE = 16
# With all that has a state of its own: means and variances of a normalisation, the draws of a dropout.
_BLOCKS = (
    {"block": "convolution", "filters": 8},
    {"block": "normalise"},
    {"block": "pool"},
    {"block": "flatten"},
    {"block": "dense", "units": 16},
    {"block": "dropout", "share": 0.3},
)
WITH_STATE = json.dumps({"size": SIDE, "blocks": _BLOCKS})
STATELESS = json.dumps(
    {"size": SIDE, "blocks": [one for one in _BLOCKS if one["block"] not in ("normalise", "dropout")]}
)


def photographs(root: Path, training: int, validation: int) -> tuple[Photograph, ...]:
    """Noise; in one class its upper half is dark."""
    rng, found = np.random.default_rng(0), []
    root.mkdir(parents=True, exist_ok=True)
    for number in range(training + validation):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[: SIDE // 2] //= 1 + number % 2
        path, data = root / f"{number}.png", encode(pixels)
        path.write_bytes(data)
        side = TRAINING if number < training else VALIDATION
        found.append(Photograph(str(path), hashlib.sha256(data).hexdigest(), number % 2, side))
    return tuple(found)


def make_job(
    root: Path, *, definition: str = STATELESS, training: int = 45, validation: int = 12,
    augmentation: Augmentation | None = None, **settings: Any,
) -> Job:  # fmt: skip
    """A job whose photographs are below root."""
    usual = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "checkpoint_steps": 4, "eval_interval": 4}
    return Job(
        train="scratch", architecture="tiny.json", definition=definition, channels=3,
        input_spec=InputSpec(SIDE, SIDE, 127.5, 127.5), labels=("bright", "dark"),
        photographs=photographs(root / "photos", training, validation), settings=Settings(**{**usual, **settings}),
        augmentation=augmentation or Augmentation(), pixels=str(root / "pixels"), threads=1,
    )  # fmt: skip


def folder_of(job: Job, folder: Path) -> Path:
    """Write the job as parent.py does."""
    folder.mkdir(parents=True)
    write_job(job, folder)
    return folder


class Child:
    """The training process of a folder, which a test may hurt; its input stays open until it is left."""

    def __init__(
        self, folder: Path, module: tuple[str, ...] = ("-m", "retrain.trainer.child"), **environment: str
    ) -> None:
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        self.process = subprocess.Popen(
            [sys.executable, *module, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**child_environment(), **quiet, **environment},
        )  # fmt: skip

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def events(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout
        for line in self.process.stdout:
            yield json.loads(line)

    def rest(self) -> list[dict[str, Any]]:
        """All that is still said, until the process has ended."""
        found = list(self.events())
        self.process.wait(60)
        return found


def train(folder: Path, **environment: str) -> list[dict[str, Any]]:
    """Train to the end."""
    with Child(folder, **environment) as child:
        return child.rest()


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def workers(ports: tuple[int, ...], index: int) -> str:
    """TF_CONFIG of one of several workers on this machine."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
