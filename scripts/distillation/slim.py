"""The teacher's weights, out of a frozen graph: Google's slim variable names as Const nodes. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from retrain.errors import WeightsError

Floats = npt.NDArray[np.float32]

_SCOPE = "MobilenetV1/"
_STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")
# Of TensorFlow's DataType enumeration.
_DT_FLOAT = 1


def read_slim_variables(path: Path) -> dict[str, Floats]:
    """Read the float variables of MobileNet V1 out of a frozen graph.

    Args:
        path: a serialised GraphDef, such as a retrained_graph.pb.

    Returns:
        Name ("MobilenetV1/Conv2d_0/weights") -> float32 array.

    Raises:
        WeightsError: the file is not a graph, or has no such variables.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import graph_pb2

    graph = graph_pb2.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise WeightsError(f"expected a frozen graph, but {path} cannot be read as one: {error}") from error
    found = {
        node.name: _array(node.attr["value"].tensor)
        for node in graph.node
        if node.op == "Const" and node.name.startswith(_SCOPE) and node.attr["value"].tensor.dtype == _DT_FLOAT
    }
    if not found:
        raise WeightsError(f"{path} has no constants named {_SCOPE}...: is it a MobileNet V1 of slim?")
    return found


def _array(tensor: object) -> Floats:
    shape = [dim.size for dim in tensor.tensor_shape.dim]  # type: ignore[attr-defined]
    content: bytes = tensor.tensor_content  # type: ignore[attr-defined]
    values = np.frombuffer(content, "<f4") if content else np.array(tensor.float_val, np.float32)  # type: ignore[attr-defined]
    # A constant that repeats one value may be stored as that one value.
    whole = values.reshape(shape) if values.size == np.prod(shape) else np.broadcast_to(values, shape)
    return np.array(whole, np.float32)  # a copy of its own: the buffer belongs to the graph


def layer_names() -> list[str]:
    """Name the 27 layers of MobileNet V1 as slim does, from the image on."""
    blocks = [f"Conv2d_{number}_{kind}" for number in range(1, 14) for kind in ("depthwise", "pointwise")]
    return ["Conv2d_0", *blocks]


def keras_arrays(variables: Mapping[str, Floats]) -> list[Floats]:
    """Put slim variables into the order of ``get_weights()`` of Keras' MobileNet without its top.

    Args:
        variables: of read_slim_variables.

    Returns:
        135 arrays: kernel (height, width, in, out), gamma, beta, mean, variance of each layer.

    Raises:
        WeightsError: one is missing.
    """
    arrays: list[Floats] = []
    for name in layer_names():
        kernel = "depthwise_weights" if name.endswith("depthwise") else "weights"
        arrays.append(_get(variables, f"{_SCOPE}{name}/{kernel}"))
        arrays.extend(_get(variables, f"{_SCOPE}{name}/BatchNorm/{part}") for part in _STATISTICS)
    return arrays


def classifier_arrays(variables: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Take the ImageNet classifier: kernel (1024, 1001), bias (1001,)."""
    kernel = _get(variables, f"{_SCOPE}Logits/Conv2d_1c_1x1/weights")
    bias = _get(variables, f"{_SCOPE}Logits/Conv2d_1c_1x1/biases")
    return kernel.reshape(kernel.shape[-2:]), bias


def _get(variables: Mapping[str, Floats], name: str) -> Floats:
    if name not in variables:
        raise WeightsError(f"the graph has no {name}: expected all variables of MobileNet V1 1.0, its classifier too")
    return variables[name]
