"""A backbone with its own ImageNet head as a model: made once, kept in model_dir, opened as any .tflite."""

from __future__ import annotations

import json
from pathlib import Path

from retrain import fsio
from retrain.backbones.imagenet_weights import TOP_SUFFIXES, find_top_weights
from retrain.backbones.prepare import LOCK_TIMEOUT_S
from retrain.backbones.table import find_backbone, is_quantized
from retrain.console import Console
from retrain.errors import UsageError
from retrain.exporters.worker import TensorFlowWorker

# Part of every name: raise it when child/imagenet_model.py comes to write something else.
_VERSION = 1


def problems(architecture: str, weights: str | None) -> list[str]:
    """Check what is asked for, before anything is opened.

    Args:
        architecture: as a person typed it.
        weights: path of a weight file, or None.

    Returns:
        One sentence a problem.
    """
    found: list[str] = []
    try:
        find_backbone(architecture)
    except UsageError as error:
        found += error.problems
    if is_quantized(architecture):
        found.append(f"expected --architecture to be in float32 here, got {architecture}; leave _quantized away")
    if weights is not None and not (Path(weights).is_file() and Path(weights).suffix in TOP_SUFFIXES):
        found.append(
            f"expected --weights to be a file ending in {', '.join(TOP_SUFFIXES)}, got {weights}; check the spelling"
        )
    return found


def prepare_imagenet(
    architecture: str, model_dir: Path, *, offline: bool, console: Console, weights: Path | None = None
) -> Path:
    """Open the model that names ImageNet's classes, or make it.

    Args:
        architecture: as a person typed it.
        model_dir: where weights and the model are kept.
        offline: never use the network.
        console: told what is done.
        weights: a file to use in place of every other source.

    Returns:
        A .tflite file: float32 (1, H, W, 3) -> float32 (1, C), probabilities; its bundle names the C classes.

    Raises:
        UsageError: there is no such architecture.
        WeightsError: no weights with that head are to be had, or they do not fit.
    """
    spec = find_backbone(architecture)
    with fsio.locked(model_dir / f"{spec.name}-imagenet", timeout_s=LOCK_TIMEOUT_S):
        found = find_top_weights(spec, model_dir, offline=offline, console=console, given=weights)
        stem = model_dir / f"{spec.name}-imagenet-{found.sha256[:12]}-v{_VERSION}"
        tflite = stem.with_name(f"{stem.name}.tflite")
        if not _is_whole(tflite):
            console.line(f"Converting {spec.name} with its ImageNet head, once (TensorFlow takes a few seconds).")
            with TensorFlowWorker() as worker:
                worker.call(
                    "imagenet_model:build", architecture=spec.name, weights=str(found.path), source=found.source,
                    sha256=found.sha256, stem=str(stem),
                )  # fmt: skip
    return tflite


def _is_whole(tflite: Path) -> bool:
    try:
        facts = json.loads(tflite.with_suffix(".json").read_text(encoding="utf-8"))
        return bool(facts["tflite_sha256"] == fsio.sha256_file(tflite))
    except (OSError, ValueError, KeyError, TypeError):
        return False
