"""Frozen graphs of others as backbones: found out what they are, checked, cut down and converted.

Which are known: this tool's own, those that the original retrain.py wrote, Google's mobilenet_v1_*_frozen.pb, and the
Inception V3 of 2015 (classify_image_graph_def.pb). A graph is a program, and a stranger's: before TensorFlow sees it,
every operation must be on a list of those that only calculate, every attribute must be known, sizes are bounded, and
functions are refused. What TensorFlow then gets is not the file but a copy of input -> bottleneck, made here from what
was checked.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import WeightsError, did_you_mean
from retrain.graphs.checked import (
    BOTTLENECK_NODE,
    DECODING,
    INPUT_NODE,
    channels,
    checked_nodes,
    find_constant,
    kept_attributes,
    path_between,
    read_constant,
    row_shape,
    source_name,
)
from retrain.graphs.compat import strip_for_1_15
from retrain.images import Floats, InputSpec

MAX_INPUT_PIXELS = 1024
MAX_FEATURES = 1 << 16
# Numbers in what one operation gives for one picture: Inception V3 stays below 2 million.
MAX_ACTIVATIONS = 1 << 26

_FLOAT, _INT32 = 1, 3
_OUR_BUNDLE = "retrain/bundle"
_OURS = ("input", "bottleneck", "input_1/", "final_training_ops/", "final_result", "retrain/")
_PLACEHOLDERS = ("input_1/BottleneckInputPlaceholder", "input/BottleneckInputPlaceholder")
_RESULTS = {
    "MobilenetV1/Logits/AvgPool_1a/AvgPool": "mobilenet_v1",
    "MobilenetV1/Predictions/Reshape": "mobilenet_v1",
    "pool_3/_reshape": "inception_2015",
}
# Operations that others have taken the place of; the attributes that are left over are taken out in the end.
_TODAY = {
    "CheckNumerics": "Identity",
    "Concat": "ConcatV2",
    "FusedBatchNormV2": "FusedBatchNormV3",
    "PlaceholderWithDefault": "Identity",
}
# Input node -> mean, standard deviation. Hub's modules, "Placeholder", want 0 to 1.
SCALING = {"input": (127.5, 127.5), "Placeholder": (0.0, 255.0), "Mul": (128.0, 128.0)}
INCEPTION_SIZE = 299
# What an input node may be. Ours has a default, what the graph decodes by itself; Inception's of 2015 is a product.
INPUT_OPERATIONS = ("Placeholder", "PlaceholderWithDefault", "Mul")


@dataclass(frozen=True)
class ForeignGraph:
    """Where a graph's features begin and end.

    Args:
        kind: "own", "retrained" (by the original retrain.py), "mobilenet_v1", "inception_2015" or "named".
        input_node: takes float32 (N, input_height, input_width, 3).
        input_height: pixels.
        input_width: pixels.
        mean: subtracted from each channel value (0 to 255).
        std: what the difference is divided by.
        bottleneck_node: gives the features.
        feature_width: how many they are.
    """

    kind: str
    input_node: str
    input_height: int
    input_width: int
    mean: float
    std: float
    bottleneck_node: str
    feature_width: int

    @property
    def input_spec(self) -> InputSpec:
        """Size and scaling of the input."""
        return InputSpec(self.input_height, self.input_width, self.mean, self.std)


def describe_graph(graph: bytes, bottleneck_tensor: str = "") -> ForeignGraph:
    """Find out where a frozen graph's features begin and end, and refuse what does more than calculate them.

    Args:
        graph: a serialised GraphDef; not trusted.
        bottleneck_tensor: its node, with or without ":0", or empty to find it.

    Returns:
        The description.

    Raises:
        WeightsError: it is no graph, is not known, holds something that is not allowed, or is too large.
    """
    nodes = checked_nodes(graph)
    kind, bottleneck = _find_bottleneck(nodes, bottleneck_tensor)
    source = _find_input(nodes, bottleneck)
    path = path_between(nodes, source, bottleneck)
    height, width = _input_size(nodes[source])
    mean, std = _own_scaling(nodes[_OUR_BUNDLE]) if _OUR_BUNDLE in nodes else SCALING[source]
    features = _said_width(nodes, bottleneck) or channels(nodes, path, source)[bottleneck]
    if not 0 < features <= MAX_FEATURES:
        raise WeightsError(f"expected {bottleneck} to give 1 to {MAX_FEATURES} features, got {features}")
    return ForeignGraph(kind, source, height, width, mean, std, bottleneck, features)


def inference_graph(graph: bytes, description: ForeignGraph, batch: int = -1) -> bytes:
    """Make the graph input -> bottleneck, in operations and attributes of TensorFlow 1.15.

    Args:
        graph: what was described.
        description: of describe_graph.
        batch: how many pictures at once; -1 leaves it open.

    Returns:
        A serialised GraphDef: ``input``, float32 (batch, H, W, 3) -> ``bottleneck``, float32 (batch, feature_width).
        Between them the names are the graph's own.

    Raises:
        WeightsError: something between input and bottleneck is not allowed there.
    """
    nodes = checked_nodes(graph)
    result = _before_reshape(nodes, description.bottleneck_node)
    copy = _Copy(nodes, description.input_node)
    copy.add_input((batch, description.input_height, description.input_width, 3))
    for name in path_between(nodes, description.input_node, result):
        if name != description.input_node:
            copy.add(nodes[name])
    copy.add_result(result, description.feature_width)
    return bytes(strip_for_1_15(copy.graph).SerializeToString(deterministic=True))


def _find_bottleneck(nodes: dict[str, Any], tensor: str) -> tuple[str, str]:
    """Say what kind of graph it is, and which node gives the features."""
    if tensor:
        if source_name(tensor) not in nodes:
            near = did_you_mean(source_name(tensor), list(nodes))
            raise WeightsError(f"the graph has no node {source_name(tensor)}, given as --bottleneck_tensor{near}")
        return "named", source_name(tensor)
    if BOTTLENECK_NODE in nodes:
        return "own", BOTTLENECK_NODE
    for name in _PLACEHOLDERS:
        placeholder = nodes.get(name)
        if placeholder is not None and placeholder.input:
            return "retrained", source_name(placeholder.input[0])
    for name, kind in _RESULTS.items():
        if name in nodes:
            return kind, name
    raise WeightsError(f"expected a graph with {BOTTLENECK_NODE}, {', '.join(_RESULTS)}; name its --bottleneck_tensor")


def _find_input(nodes: dict[str, Any], bottleneck: str) -> str:
    before = set(path_between(nodes, "", bottleneck))
    for name in SCALING:
        if name in before and nodes[name].op in INPUT_OPERATIONS:
            return name
    raise WeightsError(f"expected {bottleneck} to be calculated from one of {', '.join(SCALING)}; it is not")


def _input_size(node: Any) -> tuple[int, int]:  # noqa: ANN401
    if node.op == "Mul":
        return INCEPTION_SIZE, INCEPTION_SIZE
    sizes = [int(dim.size) for dim in node.attr["shape"].shape.dim]
    if len(sizes) != 4 or sizes[3] != 3 or not all(1 <= size <= MAX_INPUT_PIXELS for size in sizes[1:3]):
        raise WeightsError(
            f"expected {node.name} to take (N, height, width, 3) up to {MAX_INPUT_PIXELS} pixels a side, got {sizes}"
        )
    return sizes[1], sizes[2]


def _said_width(nodes: dict[str, Any], bottleneck: str) -> int:
    """Read how many features the placeholder says that retrain.py put behind the bottleneck; 0 where there is none."""
    for scope in _PLACEHOLDERS:
        node = nodes.get(scope)
        if node is not None and [source_name(one) for one in node.input] == [bottleneck]:
            sizes = [int(dim.size) for dim in node.attr["shape"].shape.dim]
            return sizes[1] if len(sizes) == 2 else 0
    return 0


def _own_scaling(node: Any) -> tuple[float, float]:  # noqa: ANN401
    """Read mean and standard deviation from what a graph of ours says of itself; not trusted."""
    try:
        said = json.loads(node.attr["value"].tensor.string_val[0])
        mean, std = float(said["input_mean"]), float(said["input_std"])
    except (IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise WeightsError(f"{_OUR_BUNDLE} does not say how pictures are scaled: {error!r}") from error
    if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
        raise WeightsError(f"{_OUR_BUNDLE} says mean {mean}, standard deviation {std}: no such scaling")
    return mean, std


def _before_reshape(nodes: dict[str, Any], name: str) -> str:
    """Go back over what only makes rows: Inception's says [1, 2048], one picture at a time."""
    for _ in range(8):
        node = nodes[name]
        if not (row_shape(nodes, node) or (node.op == "Identity" and node.input)):
            break
        name = source_name(node.input[0])
    return name


class _Copy:
    """A graph that is made anew from checked operations of another."""

    def __init__(self, nodes: dict[str, Any], input_node: str) -> None:
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.graph: Any = GraphDef()
        self._nodes, self._input_node = nodes, input_node

    def add_input(self, shape: tuple[int, ...]) -> None:
        node = self._new(INPUT_NODE, "Placeholder", [])
        node.attr["dtype"].type = _FLOAT
        for size in shape:
            node.attr["shape"].shape.dim.add(size=size)

    def add_result(self, name: str, features: int) -> None:
        self.add_array(f"{BOTTLENECK_NODE}/shape", np.array([-1, features], np.int32))
        node = self._new(BOTTLENECK_NODE, "Reshape", [self._renamed(name), f"{BOTTLENECK_NODE}/shape"])
        node.attr["T"].type, node.attr["Tshape"].type = _FLOAT, _INT32

    def add(self, node: Any) -> None:  # noqa: ANN401
        """Copy an operation; those of 2015 in today's words."""
        if node.op == "Placeholder" or node.op in DECODING:
            raise WeightsError(f"{node.op} ({node.name}) stands between {self._input_node} and the bottleneck")
        if node.op == "BatchNormWithGlobalNormalization":
            self._add_old_normalisation(node)
            return
        sources = [self._renamed(one) for one in node.input if not one.startswith("^")]
        if node.op == "Concat":  # its axis came first
            sources = [*sources[1:], *sources[:1]]
        copy = self._new(self._renamed(node.name), _TODAY.get(node.op, node.op), sources)
        if node.op == "Const":
            read_constant(node)  # holds as much as it says
        for name in kept_attributes(node):
            copy.attr[name].CopyFrom(node.attr[name])
        if node.op in ("Concat", "PlaceholderWithDefault"):
            copy.attr["Tidx" if node.op == "Concat" else "T"].type = _INT32 if node.op == "Concat" else _FLOAT

    def add_array(self, name: str, values: npt.NDArray[Any]) -> None:
        node = self._new(name, "Const", [])
        tensor = node.attr["value"].tensor
        node.attr["dtype"].type = tensor.dtype = _FLOAT if values.dtype == np.float32 else _INT32
        for size in values.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = values.tobytes()

    def _add_old_normalisation(self, node: Any) -> None:  # noqa: ANN401
        """Trap: TensorFlow refuses this operation in graphs that say they are newer than version 8."""
        found = [find_constant(self._nodes, source) for source in node.input[1:5]]
        if len(found) != 4 or any(one is None for one in found):
            raise WeightsError(f"expected {node.name} ({node.op}) to take four constants")
        scale, shift = _folded(node, *(one.astype(np.float64) for one in found if one is not None))
        name = self._renamed(node.name)
        self.add_array(f"{name}/scale", scale)
        self.add_array(f"{name}/shift", shift)
        product = self._new(f"{name}/scaled", "Mul", [self._renamed(node.input[0]), f"{name}/scale"])
        product.attr["T"].type = _FLOAT
        self._new(name, "Add", [product.name, f"{name}/shift"]).attr["T"].type = _FLOAT

    def _renamed(self, tensor: str) -> str:
        """Names that we give ourselves must be free."""
        name = source_name(tensor)
        if name == self._input_node:
            return INPUT_NODE
        return f"backbone/{tensor}" if name.startswith(_OURS) else tensor

    def _new(self, name: str, operation: str, sources: list[str]) -> Any:  # noqa: ANN401
        return self.graph.node.add(name=name, op=operation, input=sources)


def _folded(node: Any, *given: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:  # noqa: ANN401
    """Make a scale and a shift, float32 (C,), of mean, variance, beta and gamma."""
    if len({one.shape for one in given}) > 1:
        raise WeightsError(f"expected the four constants of {node.name} ({node.op}) to be of one shape; it is damaged")
    mean, variance, beta, gamma = given
    with np.errstate(all="ignore"):  # what comes of it is looked at below
        scale = 1 / np.sqrt(variance + node.attr["variance_epsilon"].f)
        scale = scale * gamma if node.attr["scale_after_normalization"].b else scale
        made = scale.astype(np.float32), (beta - mean * scale).astype(np.float32)
    if not all(np.isfinite(one).all() for one in made):
        raise WeightsError(f"expected {node.name} ({node.op}) to come to finite float32 numbers; it is damaged")
    return made
