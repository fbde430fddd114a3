"""A frozen GraphDef, readable by TensorFlow 1.15 and later, under the node names of the original.

``input`` -> backbone -> ``bottleneck`` -> ``input_1/BottleneckInputPlaceholder`` -> ``final_training_ops/...`` ->
``final_result``; the constant ``retrain/bundle`` describes the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.bundle import GRAPH_NODE, Bundle
from retrain.head import Head

BOTTLENECK_NODE = "bottleneck"
_SCOPE = "final_training_ops"


def frozen_graph(backbone: bytes, head: Head, bundle: Bundle) -> bytes:
    """Append a head to a backbone's frozen graph.

    Args:
        backbone: serialised GraphDef with the nodes ``input`` and ``bottleneck``.
        head: the layer, on raw bottleneck vectors.
        bundle: names the softmax node, and goes inside.

    Returns:
        Serialised GraphDef, the same bytes for the same arguments.
    """
    from tensorboard.compat.proto import types_pb2
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = GraphDef.FromString(backbone)
    width = head.weights.shape[0]
    float_type = {"T": types_pb2.DT_FLOAT}
    _add_placeholder(graph, "input_1/BottleneckInputPlaceholder", BOTTLENECK_NODE, width)
    _add_constant(graph, f"{_SCOPE}/weights/final_weights", head.weights)
    _add_constant(graph, f"{_SCOPE}/biases/final_biases", head.biases)
    product = _add(
        graph, f"{_SCOPE}/Wx_plus_b/MatMul", "MatMul",
        ["input_1/BottleneckInputPlaceholder", f"{_SCOPE}/weights/final_weights"], float_type,
    )  # fmt: skip
    product.attr["transpose_a"].b = False
    product.attr["transpose_b"].b = False
    _add(graph, f"{_SCOPE}/Wx_plus_b/add", "Add", [product.name, f"{_SCOPE}/biases/final_biases"], float_type)
    _add(graph, bundle.output_node, "Softmax", [f"{_SCOPE}/Wx_plus_b/add"], float_type)
    _add_text(graph, GRAPH_NODE, bundle.to_json())
    data: bytes = graph.SerializeToString(deterministic=True)
    return data


def _add(graph: Any, name: str, operation: str, inputs: list[str], types: dict[str, int]) -> Any:  # noqa: ANN401
    node = graph.node.add(name=name, op=operation, input=inputs)
    for attribute, value in types.items():
        node.attr[attribute].type = value
    return node


def _add_placeholder(graph: Any, name: str, source: str, width: int) -> None:  # noqa: ANN401
    # Cached bottleneck vectors may be fed here, as in the original's graphs.
    from tensorboard.compat.proto import types_pb2

    node = _add(graph, name, "PlaceholderWithDefault", [source], {"dtype": types_pb2.DT_FLOAT})
    for size in (-1, width):
        node.attr["shape"].shape.dim.add(size=size)


def _add_constant(graph: Any, name: str, values: npt.NDArray[np.float32]) -> None:  # noqa: ANN401
    from tensorboard.compat.proto import types_pb2

    node = _add(graph, name, "Const", [], {"dtype": types_pb2.DT_FLOAT})
    tensor = node.attr["value"].tensor
    tensor.dtype = types_pb2.DT_FLOAT
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = values.astype("<f4").tobytes()


def _add_text(graph: Any, name: str, text: bytes) -> None:  # noqa: ANN401
    from tensorboard.compat.proto import types_pb2

    node = _add(graph, name, "Const", [], {"dtype": types_pb2.DT_STRING})
    tensor = node.attr["value"].tensor
    tensor.dtype = types_pb2.DT_STRING
    tensor.tensor_shape.SetInParent()  # a scalar: an empty shape, which is not the same as none
    tensor.string_val.append(text)
