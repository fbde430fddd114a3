"""What the training process is told: one record, kept as JSON beside the checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from retrain import fsio
from retrain.dataset import TRAINING, VALIDATION
from retrain.errors import RetrainError
from retrain.images import PREPROCESSING_VERSION, InputSpec, SkyStretch

JOB_FILE, NETWORK_FILE, HEAD_FILE, DONE_FILE = "job.json", "network.npz", "head.npz", "done.json"
# Part of every job's name: raise it when the same job comes to train other weights.
TRAINING_VERSION = 1


@dataclass(frozen=True)
class Augmentation:
    """How pictures are distorted, anew each time they are trained on; units as the flags of the same names.

    Args:
        flip_left_right: mirror half of them.
        random_crop: percent of the input size by which a picture is larger than what is cut from it.
        random_scale: percent by which it is enlarged at most before that.
        random_brightness: percent around 1 of a factor of all values.
        random_quarter_turns: turn by 0, 90, 180 or 270 degrees.
        random_colour: percent around 1 of a factor of each channel.
        random_rotation: degrees either way.
        mixup: a of Beta(a, a); 0: none. Zhang et al., "mixup: beyond empirical risk minimization", 2018, ICLR.
        cutmix: a of Beta(a, a); 0: none. Yun et al., "CutMix", 2019, ICCV. With both, a batch gets one or the other.
    """

    flip_left_right: bool = False
    random_crop: int = 0
    random_scale: int = 0
    random_brightness: int = 0
    random_quarter_turns: bool = False
    random_colour: int = 0
    random_rotation: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def is_on(self) -> bool:
        """Whether anything is distorted."""
        return self != Augmentation()


@dataclass(frozen=True)
class Settings:
    """How a network is trained; nothing is left to be settled.

    Args:
        epochs: times that each training photograph is gone through.
        batch_size: photographs a step; the last batch of an epoch may be smaller.
        learning_rate: of the last layer, after the warm-up.
        optimizer: "sgd", "momentum" (0.9) or "adam".
        schedule: "constant", or "cosine" down to 0 at the last step.
        warmup_steps: in which the rate rises from 0.
        weight_decay: decoupled: weights shrink by rate times this each step; biases and normalisations do not.
        label_smoothing: share of each label spread over all classes.
        class_weights: "balanced", every class counts alike in the loss, or "none".
        early_stopping: stop after so many steps without a lower validation loss, and keep the best epoch's weights;
            0: never, and keep the last.
        freeze_layers: of the backbone that stay frozen, from the picture up; -1: those below the top third.
        unfreeze_from: name of the first layer that is trained; empty: by freeze_layers.
        layer_decay: rate of a block of the backbone as a share of the one above it.
        find_learning_rate: look for one first.
        mixed_precision: bfloat16 products.
        strategy: "none", "mirrored" or "multi_worker".
        seed: of all draws.
        eval_interval: report every so many steps.
        checkpoint_steps: write a checkpoint every so many steps; not part of what decides the result.
        checkpoints_kept: likewise.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str = "adam"
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    class_weights: str = "balanced"
    early_stopping: int = 0
    freeze_layers: int = -1
    unfreeze_from: str = ""
    layer_decay: float = 1.0
    find_learning_rate: bool = False
    mixed_precision: bool = False
    strategy: str = "none"
    seed: int = 0
    eval_interval: int = 10
    checkpoint_steps: int = 100
    checkpoints_kept: int = 3


@dataclass(frozen=True)
class Photograph:
    """A photograph of the training or validation side.

    Args:
        path: full path, or URL.
        sha256: of its bytes, hexadecimal.
        label: index of its class.
        side: TRAINING or VALIDATION of retrain.dataset.
    """

    path: str
    sha256: str
    label: int
    side: int


@dataclass(frozen=True)
class Job:
    """A network to train.

    Args:
        train: "scratch" or "finetune".
        architecture: what find_backbone takes.
        definition: the network's blocks as JSON, which decide what it is; empty for a backbone of Keras Applications.
        channels: 3, or 1 for pictures turned grey.
        input_spec: size, scaling and stretch of the pictures.
        labels: class names.
        photographs: those trained on and validated on; those of the final test never come here.
        settings: how.
        augmentation: how pictures are distorted.
        weights: path of the backbone's weights; empty from scratch.
        weights_sha256: of that file.
        head: path of a .npz with ``weights`` float32 (D, C) and ``biases`` (C,) to start from; empty: drawn.
        head_sha256: of that file.
        pixels: folder of the decoded photographs.
        pixel_cache_mb: room for them; 0: half of the available memory.
        summaries: folder of TensorBoard's files.
        threads: that decode; 0: one a core.
    """

    train: str
    architecture: str
    definition: str
    channels: int
    input_spec: InputSpec
    labels: tuple[str, ...]
    photographs: tuple[Photograph, ...]
    settings: Settings
    augmentation: Augmentation = Augmentation()
    weights: str = ""
    weights_sha256: str = ""
    head: str = ""
    head_sha256: str = ""
    pixels: str = ""
    pixel_cache_mb: int = 0
    summaries: str = ""
    threads: int = 0

    @property
    def training(self) -> tuple[Photograph, ...]:
        """Those trained on."""
        return tuple(one for one in self.photographs if one.side == TRAINING)

    @property
    def validation(self) -> tuple[Photograph, ...]:
        """Those validated on."""
        return tuple(one for one in self.photographs if one.side == VALIDATION)

    @property
    def steps_an_epoch(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.training) // self.settings.batch_size)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.settings.epochs * self.steps_an_epoch

    @property
    def digest(self) -> str:
        """Hash of all that decides the trained weights on one machine, 64 hexadecimal digits: no path is part of it."""
        settings = replace(self.settings, checkpoint_steps=1, checkpoints_kept=1)
        facts = {
            "version": TRAINING_VERSION,
            "train": self.train,
            "definition": self.definition or self.architecture,
            "channels": self.channels,
            "input": self.input_spec.numbers,
            "sky": "" if self.input_spec.sky is None else self.input_spec.sky.fingerprint,
            "preprocessing": PREPROCESSING_VERSION,
            "labels": self.labels,
            "photographs": [(one.sha256, one.label, one.side) for one in self.photographs],
            "settings": asdict(settings),
            "augmentation": asdict(self.augmentation),
            "weights": self.weights_sha256,
            "head": self.head_sha256,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_job(job: Job, folder: Path) -> None:
    """Write a job where the training process looks for it.

    Args:
        job: what to do.
        folder: of its checkpoints.
    """
    # Names that are no Unicode come from the disk with lone surrogates, which JSON's escapes keep.
    fsio.write_text(folder / JOB_FILE, json.dumps(asdict(job), sort_keys=True))


def read_job(folder: Path) -> Job:
    """Read a job.

    Args:
        folder: of its checkpoints.

    Returns:
        The job.

    Raises:
        RetrainError: it cannot be read, or is none.
    """
    try:
        told: dict[str, Any] = json.loads((folder / JOB_FILE).read_text())
        return Job(
            **{
                **told,
                "input_spec": _input_spec(told["input_spec"]),
                "labels": tuple(told["labels"]),
                "photographs": _photographs(told["photographs"]),
                "settings": Settings(**told["settings"]),
                "augmentation": Augmentation(**told["augmentation"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RetrainError(
            f"cannot read the training job {folder / JOB_FILE}: {error}; run the command again"
        ) from error


def _input_spec(told: dict[str, Any]) -> InputSpec:
    sky = told["sky"]
    return InputSpec(**{**told, "sky": None if sky is None else SkyStretch(**sky)})


def _photographs(told: Sequence[dict[str, Any]]) -> tuple[Photograph, ...]:
    return tuple(Photograph(**one) for one in told)
