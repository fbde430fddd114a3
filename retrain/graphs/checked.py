"""Strangers' frozen graphs: parsed, bounded, and held against a list of what is allowed. No TensorFlow.

A graph is a program. Nothing is run here, and nothing that is not on the list passes: only operations that calculate,
with the attributes that they are known by; no functions, in the library or in an attribute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from retrain.errors import WeightsError
from retrain.graphs.compat import ATTRIBUTES_OF_1_15, DECODING_OF_1_15
from retrain.images import Floats

# What the two ends of every backbone of ours are called.
INPUT_NODE = "input"
BOTTLENECK_NODE = "bottleneck"
MAX_GRAPH_BYTES = 400_000_000
MAX_NODES = 20_000
# Numbers in all constants together: half a gigabyte.
MAX_ELEMENTS = 1 << 27
# Of TensorFlow's DataType enumeration.
_TYPES = {1: np.dtype("<f4"), 3: np.dtype("<i4")}

# Operation -> the attributes that it had in TensorFlow 1.15; on top of those of our own exports.
ATTRIBUTES = {
    "BatchNormWithGlobalNormalization": {"T", "scale_after_normalization", "variance_epsilon"},
    "CheckNumerics": {"T", "message"},
    "Concat": {"N", "T"},
    "FusedBatchNormV2": {"T", "U", "data_format", "epsilon", "is_training"},
    **ATTRIBUTES_OF_1_15,
}
# May stand before the input, where they are cut away.
DECODING = {"ResizeBilinear", *DECODING_OF_1_15}
_ELEMENTWISE = {"Add", "AddV2", "BiasAdd", "Maximum", "Minimum", "Mul", "RealDiv", "SquaredDifference", "Sub"}


def parse_graph(data: bytes) -> Any:  # noqa: ANN401 - protobuf's classes have no types
    """Parse a frozen graph; nothing in it is run.

    Args:
        data: a serialised GraphDef.

    Returns:
        A GraphDef of tensorboard.compat.proto, with at least one node, no two of one name.

    Raises:
        WeightsError: the bytes are none.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    try:
        graph = GraphDef.FromString(data)
    except DecodeError as error:
        raise WeightsError(f"expected a frozen TensorFlow graph (.pb), got bytes that are none: {error}") from error
    names = {node.name for node in graph.node}
    if not names:
        raise WeightsError("expected a frozen TensorFlow graph (.pb), got one without a single node")
    if len(names) != len(graph.node):
        raise WeightsError("expected a frozen TensorFlow graph, got one in which two nodes have the same name")
    return graph


def constant_shape(node: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Read the shape of a constant.

    Args:
        node: a Const.

    Returns:
        Its shape.

    Raises:
        WeightsError: it is no shape, or one of more than MAX_ELEMENTS numbers.
    """
    shape = tuple(int(dim.size) for dim in node.attr["value"].tensor.tensor_shape.dim)
    # Trap: NumPy multiplies the sizes beside one of 0, too, and cannot hold a product of more than 64 bits.
    if len(shape) > 8 or min(shape, default=1) < 0 or math.prod(max(size, 1) for size in shape) > MAX_ELEMENTS:
        raise WeightsError(f"constant {node.name} says that its shape is {shape}: at most {MAX_ELEMENTS} numbers")
    return shape


def read_constant(node: Any) -> Any:  # noqa: ANN401 - an array of the constant's type
    """Read a constant.

    Args:
        node: a Const of float32 or int32.

    Returns:
        A read-only array.

    Raises:
        WeightsError: it is of another type, or does not hold as many numbers as it says.
    """
    tensor, shape = node.attr["value"].tensor, constant_shape(node)
    if tensor.dtype not in _TYPES:
        raise WeightsError(f"expected {node.name} to hold float32, got TensorFlow's type {tensor.dtype}")
    dtype = _TYPES[tensor.dtype]
    content: bytes = tensor.tensor_content
    if len(content) % dtype.itemsize:
        raise WeightsError(f"expected {node.name} to hold whole numbers of {dtype.itemsize} bytes; it is damaged")
    typed = tensor.float_val if dtype.kind == "f" else tensor.int_val
    values = np.frombuffer(content, dtype) if content else np.array(typed, dtype)
    wanted = math.prod(shape)
    if values.size == wanted:
        return values.reshape(shape)
    # Trap: TensorFlow leaves out the end of a constant that repeats its last number, and all of one that is zero.
    if not content and not values.size:
        return np.zeros(shape, dtype)
    if content or not 0 < values.size < wanted:
        raise WeightsError(f"expected {node.name} to hold {wanted} numbers, got {values.size}; it is damaged")
    return np.pad(values, (0, wanted - values.size), mode="edge").reshape(shape)


def find_constant(nodes: Mapping[str, Any], name: str) -> Floats | None:
    """Read a float32 constant by name, behind any Identity.

    Args:
        nodes: of the graph, by name.
        name: of a node or a tensor.

    Returns:
        A read-only array, or None where there is no constant of that name.

    Raises:
        WeightsError: its numbers are not float32, not finite, or fewer than it says.
    """
    node = nodes.get(source_name(name))
    for _ in range(8):  # a graph may be a circle
        if node is None or node.op != "Identity" or not node.input:
            break
        node = nodes.get(source_name(node.input[0]))
    if node is None or node.op != "Const":
        return None
    values: Floats = read_constant(node)
    if values.dtype != np.float32 or not np.isfinite(values).all():
        raise WeightsError(f"expected {node.name} to hold finite float32 numbers")
    return values


def source_name(source: str) -> str:
    """Name the node that an input comes from.

    Args:
        source: "a", "a:1" or "^a".

    Returns:
        "a".
    """
    return source.removeprefix("^").split(":", 1)[0]


def path_between(nodes: dict[str, Any], source: str, target: str) -> list[str]:
    """Name all that a node is calculated from, each after what it needs.

    Args:
        nodes: of the graph, by name.
        source: what stands before it is left out; empty leaves out nothing.
        target: the node.

    Returns:
        Names, the target's last.

    Raises:
        WeightsError: something is missing, is calculated from itself, or the target does not need the source.
    """
    done: dict[str, None] = {}
    begun, stack = set(), [target]
    while stack:
        name = stack[-1]
        if name not in nodes:
            raise WeightsError(f"an operation takes {name}, which is not in the graph")
        needed = [] if name == source else [source_name(one) for one in nodes[name].input]
        waiting = [one for one in needed if one not in done]
        if not waiting:
            done[stack.pop()] = None
        elif name in begun:
            raise WeightsError(f"{name} is calculated from itself: a graph that goes in circles is not run")
        else:
            begun.add(name)
            stack.extend(waiting)
    if source and source not in done:
        raise WeightsError(f"{target} is not calculated from {source}")
    return list(done)


def channels(nodes: dict[str, Any], path: list[str], source: str) -> dict[str, int]:
    """Say how many numbers wide the result of each operation is.

    A guess for a sentence at the right time: TensorFlow's own inference has the last word, when it converts.

    Args:
        nodes: of the graph, by name.
        path: of path_between.
        source: the input, three channels wide.

    Returns:
        Name -> size of the last dimension.
    """
    widths: dict[str, int] = {}
    for name in path:
        given = [widths[source_name(one)] for one in nodes[name].input] if name != source else []
        widths[name] = 3 if name == source else min(_width(nodes, nodes[name], given), MAX_ELEMENTS)
    return widths


def _width(nodes: dict[str, Any], node: Any, given: list[int]) -> int:  # noqa: ANN401
    if node.op == "Const":
        return (constant_shape(node) or (1,))[-1]
    shape = row_shape(nodes, node)
    if shape:
        return shape[-1]
    if len(given) < 2:
        return given[0] if given else 0
    if node.op in ("Conv2D", "MatMul"):
        return given[1]
    if node.op == "DepthwiseConv2dNative":
        return given[0] * given[1]
    if node.op in ("Concat", "ConcatV2"):
        return sum(given[1:] if node.op == "Concat" else given[:-1])
    return max(given) if node.op in _ELEMENTWISE else given[0]


def row_shape(nodes: dict[str, Any], node: Any) -> list[int]:  # noqa: ANN401
    """Read what a Reshape makes, where that is rows: [-1, 1001] or [1, 2048].

    Args:
        nodes: of the graph, by name.
        node: one of them.

    Returns:
        Two sizes; empty for any other operation.
    """
    shape = nodes.get(source_name(node.input[1])) if node.op == "Reshape" and len(node.input) == 2 else None
    if shape is None or shape.op != "Const":
        return []
    values = read_constant(shape)
    sizes = [int(size) for size in values.ravel()[:3]] if values.dtype.kind == "i" else []
    return sizes if len(sizes) == 2 and sizes[0] in (-1, 1) and sizes[1] > 0 else []


def checked_nodes(graph: bytes) -> dict[str, Any]:
    """Parse a graph and hold all of it, its functions included, against the list and the bounds.

    Args:
        graph: a serialised GraphDef; not trusted.

    Returns:
        Its nodes by name.

    Raises:
        WeightsError: it is no graph, too large, or something in it is not allowed; the text names it.
    """
    if len(graph) > MAX_GRAPH_BYTES:
        raise WeightsError(f"the graph has {len(graph)} bytes, at most {MAX_GRAPH_BYTES} are read")
    definition = parse_graph(graph)
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    if len(nodes) > MAX_NODES:
        raise WeightsError(f"the graph has {len(nodes)} operations, at most {MAX_NODES} are read")
    for node in nodes:
        _check_operation(node)
    numbers = sum(math.prod(constant_shape(node)) for node in nodes if node.op == "Const")
    if numbers > MAX_ELEMENTS:
        raise WeightsError(f"the graph's constants are {numbers} numbers, at most {MAX_ELEMENTS} are read")
    return {node.name: node for node in definition.node}


def _check_operation(node: Any) -> None:  # noqa: ANN401
    if node.op not in ATTRIBUTES and node.op not in DECODING:
        raise WeightsError(f"the graph has an operation {node.op} ({node.name}), which is not on the list of those run")
    for name, value in node.attr.items():
        functions = [value.func] if value.HasField("func") else list(value.list.func)
        if functions or value.HasField("placeholder"):
            called = functions[0].name if functions else value.placeholder
            raise WeightsError(f"attribute {name} of {node.name} ({node.op}) holds a function, {called}: not allowed")


def kept_attributes(node: Any) -> list[str]:  # noqa: ANN401
    """Name the attributes of a node that TensorFlow 1.15 knows.

    Args:
        node: of a checked graph.

    Returns:
        Their names, sorted.

    Raises:
        WeightsError: another one says something, and is no mere note (``_class``); or pictures are not NHWC.
    """
    known = ATTRIBUTES[node.op]
    for name, value in node.attr.items():
        if (
            name not in known
            and not name.startswith("_")
            and name != "exponential_avg_factor"
            and _says_something(value)
        ):
            raise WeightsError(f"{node.name} ({node.op}) has an attribute {name} that is not on the list of those run")
    if "data_format" in node.attr and node.attr["data_format"].s != b"NHWC":
        raise WeightsError(f"{node.name} ({node.op}) is for channels before pixels, NCHW; only NHWC is run")
    return sorted(known & set(node.attr))


def _says_something(value: Any) -> bool:  # noqa: ANN401
    """Newer TensorFlows write attributes that older ones do not know; empty, they change nothing."""
    kind = value.WhichOneof("value")
    content: Any = getattr(value, kind) if kind else None
    if kind in ("list", "shape", "tensor"):
        return bool(content.ByteSize())
    return kind == "type" or bool(content)
