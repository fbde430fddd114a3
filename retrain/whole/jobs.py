"""From the flags to a training job: nothing is left to be settled behind it."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrain.backbones import BackboneSpec
from retrain.backbones.weights import WeightsFile
from retrain.bottlenecks import Features, labels_of
from retrain.config import RunConfig
from retrain.config.flag import AS_USUAL
from retrain.config.networks import FINETUNE, MULTI_WORKER
from retrain.config.training import USUAL
from retrain.dataset import TESTING, TRAINING
from retrain.head import Head
from retrain.images.sky import sky_of
from retrain.networks import Usual
from retrain.pixels import FOLDER
from retrain.trainer.job import Augmentation, Job, Photograph, Settings

Sides = npt.NDArray[np.uint8]
# Of fine-tuning; from scratch, each network has its own. On 273 photographs of flowers a rate of 1e-4 was worse than no
# tuning at all, 1e-3 much worse.
FINETUNED, WARMUP, WARMUP_SHARE = Usual(10, 32, 2e-5, "adam"), 100, 0.1
# Flags by the names that they have in Settings.
_AS_NAMED = (
    "label_smoothing", "class_weights", "unfreeze_from", "find_learning_rate", "mixed_precision", "strategy", "seed",
    "checkpoint_steps", "checkpoints_kept",
)  # fmt: skip


def job_of(config: RunConfig, spec: BackboneSpec, weights: WeightsFile | None, features: Features, sides: Sides) -> Job:
    """Make the job of the flags.

    Args:
        config: what to train.
        spec: the architecture.
        weights: of the backbone that is tuned; None from scratch.
        features: of the photographs that could be read; the vectors are not looked at.
        sides: uint8 (N,), the side of each; those of the final test are left out.

    Returns:
        The job, without a head to start from.
    """
    return Job(
        train=config.train,
        architecture=spec.handle,
        definition=spec.definition,
        channels=config.channels,
        input_spec=replace(spec.input_spec, sky=sky_of(config)),
        labels=features.catalog.labels,
        photographs=tuple(_photographs(features, sides)),
        settings=settings_of(config, spec, int((sides == TRAINING).sum())),
        augmentation=Augmentation(**{field.name: getattr(config, field.name) for field in fields(Augmentation)}),
        weights="" if weights is None else str(weights.path),
        weights_sha256="" if weights is None else weights.sha256,
        pixels=str(Path(config.bottleneck_dir) / FOLDER),
        pixel_cache_mb=config.pixel_cache_mb,
        summaries=config.summaries_dir,
        threads=config.threads,
    )


def settings_of(config: RunConfig, spec: BackboneSpec, count: int) -> Settings:
    """Settle how a network is trained.

    Args:
        config: the flags.
        spec: the architecture.
        count: photographs that are trained on.

    Returns:
        The settings.
    """
    tuned = config.train == FINETUNE
    epochs, batch, rate, optimizer = FINETUNED if tuned or spec.network is None else spec.network.usual
    epochs, batch = int(_settled(config.epochs, epochs)), int(_settled(config.train_batch_size, batch))
    warmup = min(WARMUP, int(WARMUP_SHARE * epochs * -(-count // batch))) if tuned else 0
    return Settings(
        epochs=epochs,
        batch_size=batch,
        learning_rate=_settled(config.learning_rate, rate),
        optimizer=optimizer if config.optimizer == USUAL else config.optimizer,
        schedule=("cosine" if tuned else "constant") if config.schedule == USUAL else config.schedule,
        warmup_steps=int(_settled(config.warmup_steps, warmup)),
        weight_decay=_settled(config.weight_decay, 0.0),
        early_stopping=int(_settled(config.early_stopping, 0)),
        eval_interval=config.eval_step_interval,
        # From scratch nothing is frozen, and all learns alike.
        freeze_layers=config.freeze_layers if tuned else 0,
        layer_decay=config.layer_decay if tuned else 1.0,
        **{name: getattr(config, name) for name in _AS_NAMED},
    )


def facts_of(config: RunConfig, job: Job) -> dict[str, float | str]:
    """Tell what decided a network, for the model's description.

    Args:
        config: the flags.
        job: what was trained.

    Returns:
        name -> value; of the settings and distortions those that are on.
    """
    settings = asdict(replace(job.settings, checkpoint_steps=0, checkpoints_kept=0, strategy=""))
    told = {name: value for name, value in {**settings, **asdict(job.augmentation)}.items() if value}
    return {"train": config.train, **{name: int(one) if isinstance(one, bool) else one for name, one in told.items()}}


def with_start(job: Job, start: Head) -> tuple[Job, bytes]:
    """Give a job the layer that fine-tuning starts from.

    Args:
        job: of job_of.
        start: one layer on the backbone as it is.

    Returns:
        The job, which names no file yet, and the file's contents.
    """
    file = io.BytesIO()
    np.savez(file, weights=start.weights, biases=start.biases)
    digest = hashlib.sha256(start.weights.tobytes() + start.biases.tobytes()).hexdigest()
    return replace(job, head_sha256=digest), file.getvalue()


def folder_of(config: RunConfig, spec: BackboneSpec, job: Job) -> Path:
    """Say where a job's checkpoints lie: the same job's always in the same place.

    Args:
        config: names the folder of all of them.
        spec: the architecture.
        job: whole, with the layer it starts from.

    Returns:
        A folder of its own for each worker of several.
    """
    worker = f"-worker{worker_index()}" if config.strategy == MULTI_WORKER else ""
    return Path(config.checkpoint_dir) / f"{spec.name}-{job.digest[:16]}{worker}"


def worker_index() -> int:
    """Read which of several workers this is.

    Returns:
        Its number, 0 where TF_CONFIG does not say.
    """
    try:
        return int(json.loads(os.environ.get("TF_CONFIG") or "{}")["task"]["index"])
    except (ValueError, KeyError, TypeError):
        return 0


def _photographs(features: Features, sides: Sides) -> Iterator[Photograph]:
    catalog, labels = features.catalog, labels_of(features)
    for row in np.flatnonzero(sides != TESTING).tolist():
        path, digest = catalog.full_path(catalog.records[row]), features.sha256s[row].hex()
        yield Photograph(path, digest, int(labels[row]), int(sides[row]))


def _settled(value: float, usual: float) -> float:
    return usual if value == AS_USUAL else value
