"""The model's description: all that a client of it needs to know, and where it came from."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from retrain.backbones import PreparedBackbone
from retrain.bundle import Bundle
from retrain.config import RunConfig
from retrain.dataset.tables import read_own
from retrain.errors import ModelError
from retrain.modelfile import read_tflite_bundle

DISTRIBUTION = "retrain-photos"
# Of a description, what is known only after the training.
_LEARNED = ("date", "head_step", "temperature", "unknown", "sets", "thresholds")


def describe(
    config: RunConfig,
    backbone: PreparedBackbone,
    labels: tuple[str, ...],
    decided_by: Mapping[str, float | str],
    split_table: str,
) -> Bundle:
    """Say what a model is, before it is trained: all but the date and what its head will come to, see is_repetition.

    Args:
        config: names its softmax, and what is too uncertain to name.
        backbone: what it stands on.
        labels: class names in index order.
        decided_by: what shapes its head, or a whole network: recipe, distortions, what is to be known of features.
        split_table: the split as CSV.

    Returns:
        The description.
    """
    spec = backbone.spec
    return Bundle(
        labels=labels,
        input_height=spec.input_spec.height,
        input_width=spec.input_spec.width,
        input_mean=spec.input_spec.mean,
        input_std=spec.input_spec.std,
        input_node="input",
        output_node=config.final_tensor_name,
        architecture=spec.name,
        weights_source=backbone.weights.source,
        weights_sha256=backbone.weights.sha256,
        feature_width=spec.feature_width,
        head_step=-1,
        split_sha256=_sha256(split_table),
        training=dict(decided_by),
        versions=versions(*(("astropy",) if spec.input_spec.sky else ())),
        manifest_sha256=manifest_sha256(split_table),
        unknown_threshold=config.unknown_threshold,
        sky=spec.input_spec.sky,
        network=spec.definition,
    )


def manifest_sha256(split_table: str) -> str:
    """Hash what was learnt from: each photograph's contents and label, wherever it lies and whichever side it is on.

    Args:
        split_table: CSV with the columns path, label, split, sha256.

    Returns:
        64 hexadecimal digits; the same for the same photographs under other names or in another order.
    """
    return _sha256("".join(sorted(f"{row['sha256']} {row['label']}\n" for row in read_own(split_table))))


def dated(bundle: Bundle, tflite: Path) -> Bundle:
    """Say when a model was trained.

    The date is the only thing in a model that two runs of the same command must differ in. So that they write the same
    bytes all the same, the model that is already there keeps its date when the new one is the same but for it; and
    SOURCE_DATE_EPOCH (reproducible-builds.org) stands in for the clock where it is set.

    Args:
        bundle: all else is said.
        tflite: where the model will lie.

    Returns:
        The same, with its date.
    """
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(fixed), UTC) if fixed.isdecimal() else datetime.now(UTC)
    there = _bundle_at(tflite)
    # As JSON: what was read from a file has lists where what was calculated may have tuples.
    if there is not None and there.date and not fixed and replace(there, date="").to_json() == bundle.to_json():
        return there
    return replace(bundle, date=now.replace(microsecond=0, tzinfo=None).isoformat() + "Z")


def is_repetition(bundle: Bundle, tflite: Path) -> bool:
    """Guess, before it is trained, whether a model will be the one that is there.

    Args:
        bundle: the new one's description, before its training; what comes of that is not looked at.
        tflite: where the model will lie.

    Returns:
        Whether all that decides it is the same.
    """
    there = _bundle_at(tflite)
    if there is None:
        return False
    learned = {name: getattr(bundle, name) for name in _LEARNED}
    return replace(there, **learned).to_json() == bundle.to_json()


def _bundle_at(tflite: Path) -> Bundle | None:
    try:
        return read_tflite_bundle(tflite.read_bytes(), str(tflite))
    except (OSError, ModelError):
        return None


def _sha256(text: str) -> str:
    # A name that is no Unicode comes from the disk with lone surrogates.
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def versions(*more: str) -> dict[str, str]:
    """Name the versions that shape the numbers.

    Args:
        more: distributions beside those that shape every model.

    Returns:
        distribution name -> version.
    """
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in (DISTRIBUTION, "ai-edge-litert", "numpy", "pillow", *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a clone that was never installed
            found[name] = "not installed"
    return found
