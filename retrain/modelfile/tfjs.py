"""TensorFlow.js models: what ours say of themselves, and what a stranger's model.json says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from retrain.bundle import METADATA_ENTRY, Bundle, bundle_from_json
from retrain.modelfile.files import MAX_TEXT_BYTES, read_model_file
from retrain.modelfile.jsonfile import found, read_object
from retrain.modelfile.kinds import TFJS_MODEL, folder_of


def read_tfjs(path: Path) -> dict[str, Any]:
    """Read the model.json of a TensorFlow.js model.

    Args:
        path: the folder, or its model.json; not trusted.

    Returns:
        What it holds.

    Raises:
        ModelError: it cannot be read, is too large or no JSON object.
    """
    file = folder_of(path) / TFJS_MODEL
    return read_object(read_model_file(file, "a TensorFlow.js model", MAX_TEXT_BYTES), str(file))


def tfjs_bundle(model: dict[str, Any], source: str) -> Bundle | None:
    """Read what a TensorFlow.js model says of itself.

    Args:
        model: of read_tfjs.
        source: its path, for messages.

    Returns:
        The description; None where it has none, and another tool wrote it.

    Raises:
        ModelError: its description is damaged.
    """
    said = found(model, "userDefinedMetadata", METADATA_ENTRY)
    if said is None:
        return None
    return bundle_from_json((said if isinstance(said, str) else json.dumps(said)).encode(), source)


def tfjs_facts(model: dict[str, Any]) -> dict[str, Any]:
    """Say what a stranger's TensorFlow.js model says of itself.

    Args:
        model: of read_tfjs.

    Returns:
        Facts by name.
    """
    nodes = found(model, "modelTopology", "node")
    operations = [str(found(node, "op")) for node in nodes] if isinstance(nodes, list) else []
    weights = found(model, "weightsManifest")
    shards = [found(group, "paths") for group in weights] if isinstance(weights, list) else []
    return {
        "format": model.get("format", "not said"),
        "generated_by": model.get("generatedBy", "not said"),
        "converted_by": model.get("convertedBy", "not said"),
        "inputs": _tensors(found(model, "signature", "inputs")),
        "outputs": _tensors(found(model, "signature", "outputs")),
        "operations": dict(sorted(Counter(operations).items())),
        "weight_files": [str(name) for paths in shards if isinstance(paths, list) for name in paths],
    }


def _tensors(said: object) -> list[str]:
    if not isinstance(said, dict):
        return []
    shapes = {name: found(one, "tensorShape", "dim") or [] for name, one in said.items()}
    return [
        f"{name} ({', '.join(str(found(dim, 'size')) for dim in dims) if isinstance(dims, list) else '?'})"
        for name, dims in shapes.items()
    ]
