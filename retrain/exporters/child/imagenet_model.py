"""In the TensorFlow child: a network with its ImageNet head as a LiteRT file that describes itself."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from retrain import fsio
from retrain.backbones.convert import as_trained, tflite_of
from retrain.backbones.imagenet import imagenet_labels
from retrain.backbones.imagenet_convert import build_with_head
from retrain.backbones.table import BackboneSpec, find_backbone
from retrain.bundle import METADATA_ENTRY, Bundle
from retrain.exporters.litert.appending import add_metadata, pack

_OUTPUT = "final_result"


def build(*, architecture: str, weights: str, source: str, sha256: str, stem: str) -> dict[str, Any]:
    """Write ``<stem>.tflite`` and, with its hash, ``<stem>.json``.

    Args:
        architecture: canonical name.
        weights: path of a file with the head of ImageNet.
        source: where it came from, see WeightsFile.
        sha256: its hash.
        stem: path of the files, without suffix.

    Returns:
        "classes": how many there are.

    Raises:
        WeightsError: the weights have no head of ImageNet, or do not fit.
    """
    # Trap: the worker has imported parts of TensorFlow by themselves; the rest must come before Keras asks for it.
    import tensorflow  # noqa: F401
    from ai_edge_litert import schema_py_generated as schema

    spec = find_backbone(architecture)
    network, classes = build_with_head(spec, Path(weights))
    converted = tflite_of(
        lambda images: network(as_trained(images, spec.preprocessing), training=False), spec.input_spec, _OUTPUT
    )
    model = schema.ModelT.InitFromPackedBuf(converted, 0)
    add_metadata(model, METADATA_ENTRY, _bundle(spec, classes, source, sha256).to_json())
    content = pack(model, len(converted))
    facts = {"tflite_sha256": hashlib.sha256(content).hexdigest(), "classes": classes}
    fsio.write_together({f"{stem}.tflite": content, f"{stem}.json": json.dumps(facts, indent=1).encode()})
    return {"classes": classes}


def _bundle(spec: BackboneSpec, classes: int, source: str, sha256: str) -> Bundle:
    return Bundle(
        labels=imagenet_labels(classes),
        input_height=spec.input_spec.height,
        input_width=spec.input_spec.width,
        input_mean=spec.input_spec.mean,
        input_std=spec.input_spec.std,
        input_node="input",
        output_node=_OUTPUT,
        architecture=spec.name,
        weights_source=source,
        weights_sha256=sha256,
        feature_width=spec.feature_width,
        head_step=0,
        split_sha256="",
        training={},
        versions={name: metadata.version(name) for name in ("keras", "tensorflow")},
    )
