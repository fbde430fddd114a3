"""What the .keras export needs before TensorFlow is started: an architecture of Keras', and the weights of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from retrain.backbones.table import OWN_NETWORK, BackboneSpec, find_backbone, table
from retrain.backbones.weights import WeightsFile, bundled_weights, kept_weights, weights_at_hand
from retrain.bundle import Bundle
from retrain.errors import WeightsError
from retrain.networks import is_network


def problem(architecture: str) -> str:
    """Say why a model on this backbone cannot be written for Keras.

    Args:
        architecture: canonical name, as ``Bundle.architecture`` has it.

    Returns:
        A sentence, or nothing where it can.
    """
    if architecture in table() or is_network(architecture) or architecture.startswith(OWN_NETWORK):
        return ""
    return (
        f"expected a backbone of Keras Applications for the format keras, got {architecture}, a graph or module of "
        "somebody else's, which Keras has no layers for; leave keras away, saved_model and onnx hold any backbone"
    )


def find_weights_of(bundle: Bundle, model_dir: Path, given: Path | None = None) -> Path:
    """Find the very weights that a model was trained on, among those that need no network.

    Args:
        bundle: of the model; names the architecture and the hash.
        model_dir: where imported and official files lie.
        given: the file or SavedModel of ``--weights``; nothing else is looked at then.

    Returns:
        The file, or the folder of a SavedModel.

    Raises:
        WeightsError: there are none, or only others; the text names what was looked at.
        UsageError: the model's architecture is none of the table.
    """
    spec = find_backbone(bundle.architecture, bundle.network)
    looked_at = ""
    for one in _candidates(spec, model_dir, given):
        if one.sha256 == bundle.weights_sha256:
            return one.path
        looked_at += f"\n  {one.path}: {one.sha256}"
    raise WeightsError(
        f"expected the weights that the model was trained on ({bundle.weights_source}, {spec.name}, SHA-256 "
        f"{bundle.weights_sha256}), got:{looked_at or ' none'}\nName the file with --weights, or the folder that it "
        "is in with --model_dir"
    )


def _candidates(spec: BackboneSpec, model_dir: Path, given: Path | None) -> Iterator[WeightsFile]:
    # More than one kind may lie there: weights that were imported or fetched after the run must not hide those of it.
    found = weights_at_hand(spec, model_dir, given) if given is not None else bundled_weights(spec)
    if given is None:
        yield from kept_weights(spec, model_dir)
    if found is not None:
        yield found
