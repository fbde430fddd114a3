"""A head as nodes of a frozen graph, written and read back.

The graph is the one place where the structure of a head is written down: exports that have to build it anew, now or
years later, follow its nodes from the scores back to the bottleneck. Only operations of TensorFlow 1.15 are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrain.bundle import Bundle
from retrain.errors import ModelError, WeightsError
from retrain.exporters.frozen.nodes import Nodes
from retrain.graphs.checked import find_constant, parse_graph, source_name
from retrain.head import Head
from retrain.head.layers import NORM_FLOOR, NOTHING, SIGMOID, SOFTMAX, Dense, Layer, Normalise, Relu, Softmax
from retrain.images import Floats

# Cached bottleneck vectors may be fed here, as in the original's graphs.
VECTORS_NODE = "input_1/BottleneckInputPlaceholder"
_SCOPE = "final_training_ops"
_WEIGHTS, _BIASES = f"{_SCOPE}/weights/final_weights", f"{_SCOPE}/biases/final_biases"
# What stands behind the last layer -> the operation that does it.
_ENDS = {SOFTMAX: "Softmax", SIGMOID: "Sigmoid", NOTHING: "Identity"}
_AFTER = {operation: after for after, operation in _ENDS.items()}
# More than any head has; a file that goes in circles is not followed for ever.
_MOST_LAYERS = 16


def add_head(nodes: Nodes, head: Head, source: str, output_node: str) -> None:
    """Append a head to a graph.

    Args:
        nodes: of the graph; appended to.
        head: the layers.
        source: name of the node that gives raw bottleneck vectors.
        output_node: name of the node that gives the scores.
    """
    first = next((layer.weights for layer in head.before if isinstance(layer, Dense)), head.weights)
    at = nodes.add(VECTORS_NODE, "PlaceholderWithDefault", [source], dtype=np.float32, shape=(-1, first.shape[0]))
    for number, layer in enumerate(head.before, 1):
        at = _add_layer(nodes, f"{_SCOPE}/layer_{number}", layer, at)
    weights = nodes.constant(_WEIGHTS, head.weights.astype(np.float32))
    biases = nodes.constant(_BIASES, head.biases.astype(np.float32))
    logits = _add_product(nodes, f"{_SCOPE}/Wx_plus_b", at, weights, biases)
    nodes.add(output_node, _ENDS[head.after], [logits], T=np.float32)


def _add_layer(nodes: Nodes, scope: str, layer: Layer, source: str) -> str:
    match layer:
        case Dense():
            weights = nodes.constant(f"{scope}/weights", layer.weights.astype(np.float32))
            biases = nodes.constant(f"{scope}/biases", layer.biases.astype(np.float32))
            return _add_product(nodes, scope, source, weights, biases)
        case Normalise():
            return _add_normalise(nodes, scope, source)
        case Relu():
            return nodes.add(f"{scope}/Relu", "Relu", [source], T=np.float32)
        case Softmax():
            return nodes.add(f"{scope}/Softmax", "Softmax", [source], T=np.float32)


def _add_product(nodes: Nodes, scope: str, source: str, weights: str, biases: str) -> str:
    product = nodes.add(
        f"{scope}/MatMul", "MatMul", [source, weights], T=np.float32, transpose_a=False, transpose_b=False
    )
    return nodes.add(f"{scope}/add", "Add", [product, biases], T=np.float32)


def _add_normalise(nodes: Nodes, scope: str, source: str) -> str:
    squares = nodes.add(f"{scope}/Square", "Square", [source], T=np.float32)
    axis = nodes.constant(f"{scope}/axis", np.array([1], np.int32))
    total = nodes.add(f"{scope}/Sum", "Sum", [squares, axis], T=np.float32, Tidx=np.int32, keep_dims=True)
    floor = nodes.constant(f"{scope}/floor", np.asarray(NORM_FLOOR))
    floored = nodes.add(f"{scope}/add", "Add", [total, floor], T=np.float32)
    length = nodes.add(f"{scope}/Sqrt", "Sqrt", [floored], T=np.float32)
    return nodes.add(f"{scope}/RealDiv", "RealDiv", [source, length], T=np.float32)


def read_head(graph: bytes, bundle: Bundle, source: str) -> Head:
    """Read the head of a graph that add_head wrote.

    Args:
        graph: serialised GraphDef.
        bundle: its description: names the scores, says how wide a bottleneck vector is.
        source: the graph's path, for messages.

    Returns:
        The head.

    Raises:
        ModelError: it holds none, or one that does not fit its description.
    """
    try:
        nodes = {node.name: node for node in parse_graph(graph).node}
        head = _head_of(nodes, bundle)
    except (WeightsError, KeyError, IndexError, ValueError) as error:
        names = f"{_WEIGHTS} and {_BIASES}"
        raise ModelError(f"expected {source} to hold a head, {names}; train the model again ({error})") from error
    width = bundle.feature_width
    for layer in (*head.before, Dense(head.weights, head.biases)):
        if isinstance(layer, Dense):
            if layer.weights.shape != (width, len(layer.biases)):
                raise ModelError(
                    f"expected a head on {width} features in {source}, got a layer of shape {layer.weights.shape}; "
                    "train the model again"
                )
            width = len(layer.biases)
    return head


def _head_of(nodes: Mapping[str, Any], bundle: Bundle) -> Head:
    end = nodes[bundle.output_node]
    last, at = _read_dense(nodes, nodes[source_name(end.input[0])])
    before: list[Layer] = []
    while at != VECTORS_NODE:
        if len(before) == _MOST_LAYERS:
            raise ValueError(f"more than {_MOST_LAYERS} layers")
        layer, at = _READERS[nodes[at].op](nodes, nodes[at])
        before.insert(0, layer)
    return Head(last.weights, last.biases, bundle.head_step, tuple(before), _AFTER[end.op], bundle.temperature)


def _read_dense(nodes: Mapping[str, Any], node: Any) -> tuple[Dense, str]:  # noqa: ANN401
    product = nodes[source_name(node.input[0])]
    if (node.op, product.op) != ("Add", "MatMul"):
        raise ValueError(f"{node.name} is no layer")
    weights, biases = _constant(nodes, product.input[1]), _constant(nodes, node.input[1])
    if weights.ndim != 2 or biases.ndim != 1:
        raise ValueError(f"{node.name} is of shape {weights.shape} and {biases.shape}")
    return Dense(weights, biases), source_name(product.input[0])


def _constant(nodes: Mapping[str, Any], name: str) -> Floats:
    values = find_constant(nodes, name)
    if values is None:
        raise ValueError(f"{name} is no constant")
    return values


def _read_simple(layer: Layer) -> Callable[[Mapping[str, Any], Any], tuple[Layer, str]]:
    return lambda _, node: (layer, source_name(node.input[0]))


_READERS: dict[str, Callable[[Mapping[str, Any], Any], tuple[Layer, str]]] = {
    "Add": _read_dense,
    "RealDiv": _read_simple(Normalise()),
    "Relu": _read_simple(Relu()),
    "Softmax": _read_simple(Softmax()),
}
