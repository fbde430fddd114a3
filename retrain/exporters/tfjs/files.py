"""A TensorFlow.js graph model: ``model.json`` and its weights in shards, for ``tf.loadGraphModel`` on a web page.

Written without the ``tensorflowjs`` package, which takes TensorFlow two versions back: the format is the GraphDef as
protobuf's JSON, a list of weights, and their bytes one after another. docs/browser.md shows how to use the folder.
graph.py cuts and checks the graph, fusing.py has convolutions take in what follows them, nodes.py makes
the nodes for both. Read off @tensorflow/tfjs-converter 4.22 and tfjs-core's io/types.ts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from retrain.bundle import METADATA_ENTRY, Bundle
from retrain.errors import ModelError
from retrain.exporters.tfjs.fusing import ACTIVATIONS, UNFUSED, unfused
from retrain.exporters.tfjs.graph import MAPPED, browser_graph
from retrain.exporters.tfjs.nodes import constant, values_of
from retrain.graphs.checked import MAX_ELEMENTS, MAX_NODES
from retrain.modelfile.kinds import TFJS_MODEL

# What the official converter cuts at, so that browsers and content networks keep the files.
SHARD_BYTES = 4 << 20
MAX_JSON_BYTES = 64 << 20
_DTYPES = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}
_KEYS = {
    "convertedBy", "format", "generatedBy", "modelTopology", "signature", "userDefinedMetadata", "weightsManifest",
}  # fmt: skip


def tfjs_files(graph: bytes, bundle: Bundle) -> dict[str, bytes]:
    """Write a model for TensorFlow.js.

    Args:
        graph: serialised GraphDef of backbone and head; what stands before the bundle's input node is left out.
        bundle: names input and output, and goes inside, as ``model.metadata["retrain.bundle"]``.

    Returns:
        File name -> content: ``model.json`` and ``group1-shard1ofN.bin`` to N of at most SHARD_BYTES each; the same
        bytes for the same arguments. The model takes float32 (N, H, W, 3), scaled, and gives float32 (N, C).

    Raises:
        ModelError: the graph has something that TensorFlow.js does not.
    """
    from google.protobuf import json_format

    rewritten = browser_graph(graph, bundle)
    weights, contents = [], []
    for node in rewritten.node:
        if node.op == "Const":
            values = values_of(node)
            dtype = next(name for name, one in _DTYPES.items() if one == values.dtype)
            weights.append({"name": node.name, "shape": list(values.shape), "dtype": dtype})
            contents.append(values.tobytes())
            _empty(node.attr["value"].tensor)
    shards = _shards(b"".join(contents))
    topology = json_format.MessageToDict(rewritten)
    topology["versions"] = {"producer": rewritten.versions.producer}  # Trap: without it the loader stops
    written_by = f"retrain-photos {bundle.versions.get('retrain-photos', '')}".strip()
    model = {
        "format": "graph-model",
        "generatedBy": written_by,
        "convertedBy": written_by,
        "signature": _signature(bundle),
        "modelTopology": topology,
        "weightsManifest": [{"paths": list(shards), "weights": weights}],
        "userDefinedMetadata": {METADATA_ENTRY: json.loads(bundle.to_json())},
    }
    try:
        text = json.dumps(model, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise ModelError(f"an attribute of the graph is not finite, which JSON cannot hold: {error}") from error
    return {TFJS_MODEL: text.encode(), **shards}


def graph_of(files: Mapping[str, bytes]) -> bytes:
    """Read a model back into what TensorFlow runs, to measure what was written; nothing in it is run here.

    Args:
        files: name -> content, as of tfjs_files; not trusted.

    Returns:
        A serialised GraphDef with the nodes and the numbers of the files; convolutions with bias and activation, which
        TensorFlow has not, as their parts. It has no description inside.

    Raises:
        ModelError: a file is missing, left over or damaged, or holds an operation that tfjs_files does not write.
    """
    model = _model(files)
    graph = _topology(model["modelTopology"])
    arrays = _arrays(_group(model["weightsManifest"]), files)
    constants = {node.name for node in graph.node if node.op == "Const"}
    if constants != set(arrays):
        odd = sorted(constants ^ set(arrays))[0]
        raise ModelError(
            f"expected {TFJS_MODEL} to have weights for each constant, {odd} is not in both; export it again"
        )
    result = type(graph)()
    result.versions.CopyFrom(graph.versions)
    for node in graph.node:
        if node.op == "Const":
            result.node.append(_filled(node, arrays[node.name]))
        elif node.op in UNFUSED:
            result.node.extend(unfused(node))
        else:
            result.node.append(node)
    if len({node.name for node in result.node}) != len(result.node):
        raise ModelError(f"{TFJS_MODEL} has operations named as the parts of others; export the model again")
    data: bytes = result.SerializeToString(deterministic=True)
    return data


def _empty(tensor: Any) -> None:  # noqa: ANN401
    """Leave a constant its type and shape; its numbers are in the shards."""
    kept = type(tensor)(dtype=tensor.dtype, tensor_shape=tensor.tensor_shape)
    tensor.CopyFrom(kept)


def _shards(data: bytes) -> dict[str, bytes]:
    total = max(1, math.ceil(len(data) / SHARD_BYTES))
    return {
        f"group1-shard{index + 1}of{total}.bin": data[index * SHARD_BYTES : (index + 1) * SHARD_BYTES]
        for index in range(total)
    }


def _signature(bundle: Bundle) -> dict[str, Any]:
    def tensor(name: str, *sizes: int) -> dict[str, Any]:
        shape = {"dim": [{"size": str(size)} for size in sizes]}
        return {name: {"name": f"{name}:0", "dtype": "DT_FLOAT", "tensorShape": shape}}

    return {
        "inputs": tensor(bundle.input_node, -1, bundle.input_height, bundle.input_width, 3),
        "outputs": tensor(bundle.output_node, -1, len(bundle.labels)),
    }


def _model(files: Mapping[str, bytes]) -> dict[str, Any]:
    text = files.get(TFJS_MODEL, b"")
    if not 0 < len(text) <= MAX_JSON_BYTES:
        raise ModelError(
            f"expected a {TFJS_MODEL} of 1 to {MAX_JSON_BYTES} bytes, got {len(text)}; export the model again"
        )
    try:
        model = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{TFJS_MODEL} is not readable ({error}); export the model again") from error
    if not isinstance(model, dict) or set(model) != _KEYS or model["format"] != "graph-model":
        raise ModelError(
            f"expected {TFJS_MODEL} to be a graph-model of the fields {sorted(_KEYS)}; export the model again"
        )
    return model


def _topology(topology: Any) -> Any:  # noqa: ANN401
    from google.protobuf import json_format
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = GraphDef()
    try:
        json_format.ParseDict(topology, graph)
    except (json_format.ParseError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"modelTopology of {TFJS_MODEL} is no graph ({error}); export the model again") from error
    names = {node.name for node in graph.node}
    if len(names) != len(graph.node) or not 0 < len(names) <= MAX_NODES or graph.library.ByteSize():
        raise ModelError(f"expected {TFJS_MODEL} to hold 1 to {MAX_NODES} operations, each name once, and no functions")
    for node in graph.node:
        _check(node)
    return graph


def _check(node: Any) -> None:  # noqa: ANN401
    if node.op not in MAPPED and node.op not in UNFUSED:
        raise ModelError(f"{TFJS_MODEL} has an operation {node.op} ({node.name}), which this tool does not write")
    if node.op in UNFUSED:
        parts = [part.decode(errors="replace") for part in node.attr["fused_ops"].list.s]
        if len(node.input) != 3 or parts[:1] != ["BiasAdd"] or len(parts) > 2 or not set(parts[1:]) <= {*ACTIVATIONS}:
            raise ModelError(f"{node.name} ({node.op}) is of {len(node.input)} inputs and {parts}; export it again")


def _filled(node: Any, values: Any) -> Any:  # noqa: ANN401
    filled, said = constant(node.name, values), node.attr["value"].tensor
    tensor = filled.attr["value"].tensor
    if (tensor.dtype, tensor.tensor_shape) != (said.dtype, said.tensor_shape):
        raise ModelError(f"{node.name} is of one type or shape in modelTopology and of another in weightsManifest")
    return filled


def _group(manifest: Any) -> tuple[list[str], list[dict[str, Any]]]:  # noqa: ANN401
    """Take a manifest of one group apart, and check its types."""
    try:
        (group,) = manifest
        paths, weights = list(group["paths"]), list(group["weights"])
        sound = all(isinstance(path, str) for path in paths) and all(
            isinstance(one["name"], str)
            and one["dtype"] in _DTYPES
            and set(one) == {"name", "shape", "dtype"}
            and len(one["shape"]) <= 8
            and all(type(size) is int and 0 <= size <= MAX_ELEMENTS for size in one["shape"])
            for one in weights
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"weightsManifest of {TFJS_MODEL} is damaged ({error!r}); export the model again") from error
    if not sound or len({one["name"] for one in weights}) != len(weights):
        raise ModelError(f"weightsManifest of {TFJS_MODEL} is damaged; export the model again")
    return paths, weights


def _arrays(group: tuple[list[str], list[dict[str, Any]]], files: Mapping[str, bytes]) -> dict[str, Any]:
    """Cut the shards into arrays; every byte belongs to one."""
    paths, weights = group
    if len(set(paths)) != len(paths) or {TFJS_MODEL, *paths} != set(files) or TFJS_MODEL in paths:
        raise ModelError(f"expected {TFJS_MODEL} and {paths}, got {sorted(files)}; export the model again")
    counts = [math.prod(one["shape"]) for one in weights]
    data = b"".join(files[path] for path in paths)
    if sum(counts) > MAX_ELEMENTS or 4 * sum(counts) != len(data):
        raise ModelError(f"expected weights of {4 * sum(counts)} bytes, got {len(data)}; export the model again")
    arrays, start = {}, 0
    for one, count in zip(weights, counts, strict=True):
        values = np.frombuffer(data, _DTYPES[one["dtype"]], count, start)
        arrays[one["name"]] = values.reshape(one["shape"])
        start += values.nbytes
    return arrays
