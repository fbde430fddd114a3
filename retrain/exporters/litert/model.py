"""A LiteRT file of backbone and head: the head's operations appended to the backbone's flatbuffer.

The file gives the scores first, for every client that asks for one answer, and the bottleneck vector second, so that a
photograph can be compared with those of the training in the same pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrain.bundle import METADATA_ENTRY, Bundle
from retrain.exporters.litert.appending import Appender, add_metadata, pack
from retrain.graphs.checked import BOTTLENECK_NODE
from retrain.head import Head
from retrain.head.layers import NORM_FLOOR, SIGMOID, SOFTMAX, Dense, Layer, Normalise, Relu, Softmax

_SCOPE = "final_training_ops"


def tflite_model(backbone: bytes, head: Head, bundle: Bundle) -> bytes:
    """Append a head to a backbone's LiteRT model.

    Args:
        backbone: a .tflite file: float32 (1, H, W, 3) -> float32 (1, D).
        head: its layers, on raw bottleneck vectors.
        bundle: goes inside as the metadata entry ``retrain.bundle``; names the scores.

    Returns:
        A .tflite file: float32 (1, H, W, 3) -> float32 (1, C), scores, and ``bottleneck``, float32 (1, D).
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(backbone, 0)
    graph = model.subgraphs[0]
    vector = graph.outputs[0]
    graph.tensors[vector].name = BOTTLENECK_NODE.encode()
    graph.outputs = [append_head(model, vector, head, bundle.output_node), vector]
    return described(model, bundle, len(backbone))


def described(model: Any, bundle: Bundle, size: int) -> bytes:  # noqa: ANN401
    """Write a model with its description inside.

    Args:
        model: the schema's ModelT; changed.
        bundle: the description.
        size: about how many bytes it will have.

    Returns:
        A .tflite file.
    """
    model.signatureDefs = None  # they name the outputs that it had before
    add_metadata(model, METADATA_ENTRY, bundle.to_json())
    return pack(model, size)


def append_head(model: Any, vector: int, head: Head, output_node: str) -> int:  # noqa: ANN401
    """Append a head's operations, all of them LiteRT's builtin ones.

    Args:
        model: the schema's ModelT; changed. Its outputs are still the old ones.
        vector: index of the tensor with the bottleneck vector, float32 (1, D).
        head: its layers.
        output_node: name of the scores.

    Returns:
        Index of the tensor with the scores, float32 (1, C).
    """
    made = Appender(model)
    at, width = vector, _width_before(head)
    for number, layer in enumerate(head.before, 1):
        at = _add_layer(made, f"{_SCOPE}/layer_{number}", layer, at, width)
        width = len(layer.biases) if isinstance(layer, Dense) else width
    weights = made.constant(f"{_SCOPE}/weights/final_weights", head.weights.T.astype(np.float32))
    biases = made.constant(f"{_SCOPE}/biases/final_biases", head.biases.astype(np.float32))
    classes, ends = len(head.biases), head.after in (SOFTMAX, SIGMOID)
    logits = made.result(f"{_SCOPE}/Wx_plus_b/add" if ends else output_node, classes)
    scores = made.result(output_node, classes) if ends else logits
    made.operation("FULLY_CONNECTED", [at, weights, biases], logits, options="FullyConnectedOptions")
    if head.after == SOFTMAX:
        made.operation("SOFTMAX", [logits], scores, options="SoftmaxOptions", beta=1.0)
    elif head.after == SIGMOID:
        made.operation("LOGISTIC", [logits], scores)
    return scores


def _width_before(head: Head) -> int:
    first = next((layer.weights for layer in head.before if isinstance(layer, Dense)), head.weights)
    return int(first.shape[0])


def _add_layer(made: Appender, scope: str, layer: Layer, at: int, width: int) -> int:
    match layer:
        case Dense():
            # FULLY_CONNECTED wants its weights as (E, D).
            weights = made.constant(f"{scope}/weights", layer.weights.T.astype(np.float32))
            biases = made.constant(f"{scope}/biases", layer.biases.astype(np.float32))
            result = made.result(f"{scope}/add", len(layer.biases))
            return made.operation("FULLY_CONNECTED", [at, weights, biases], result, options="FullyConnectedOptions")
        case Normalise():
            return _add_normalise(made, scope, at, width)
        case Relu():
            return made.operation("RELU", [at], made.result(f"{scope}/Relu", width))
        case Softmax():
            shares = made.result(f"{scope}/Softmax", width)
            return made.operation("SOFTMAX", [at], shares, options="SoftmaxOptions", beta=1.0)


def _add_normalise(made: Appender, scope: str, at: int, width: int) -> int:
    """Divide by the length; L2_NORMALIZATION has another floor, and would differ for vectors near 0."""
    axis = made.constant(f"{scope}/axis", np.array([1], np.int32))
    floor = made.constant(f"{scope}/floor", np.full((1, 1), NORM_FLOOR))
    squares = made.operation("MUL", [at, at], made.result(f"{scope}/Square", width), options="MulOptions")
    total = made.result(f"{scope}/Sum", 1)
    made.operation("SUM", [squares, axis], total, options="ReducerOptions", keepDims=True)
    floored = made.operation("ADD", [total, floor], made.result(f"{scope}/add", 1), options="AddOptions")
    length = made.operation("SQRT", [floored], made.result(f"{scope}/Sqrt", 1))
    return made.operation("DIV", [at, length], made.result(f"{scope}/RealDiv", width), options="DivOptions")
