"""What a frozen graph computes, as a plain list for ONNX: cut at its input, without what only passes numbers on.

ONNX has no arithmetic on sizes while it runs that would be worth having. So the number of photographs is stood for by
a number that occurs nowhere else, BATCH: what Keras calculates with sizes (Shape, StridedSlice, Prod, Pack, Reshape)
is calculated here, and a size that BATCH divides is one that follows from the number of photographs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import ModelError, WeightsError
from retrain.graphs.checked import constant_shape, parse_graph, path_between, read_constant, source_name

# A prime, so that no size of a picture, a window or a layer has it as a factor; and not INT_MAX, which slices end at.
BATCH = 2**31 - 19
# An axis that TensorFlow has last, channels, comes second in ONNX.
CHANNELS_FIRST = (0, 3, 1, 2)
CHANNELS_LAST = (0, 2, 3, 1)

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

# Of TensorFlow's DataType enumeration: float32, and int32, which is calculated with as int64.
_TYPES: dict[int, type[np.generic]] = {1: np.float32, 3: np.int64}
_PASSING = {"CheckNumerics", "Identity", "IdentityN", "PlaceholderWithDefault", "StopGradient"}


@dataclass(frozen=True)
class Tensor:
    """What an operation gives when the model runs; float32.

    Args:
        name: of the operation.
        shape: as TensorFlow has it, channels last; BATCH stands for the number of photographs.
    """

    name: str
    shape: Shape


# Arrays are known now: weights, and sizes as int64.
Value = Tensor | Array


@dataclass(frozen=True)
class Operation:
    """One operation of the graph.

    Args:
        kind: TensorFlow's name of it.
        name: its own.
        sources: names of the operations whose results it takes.
        attributes: its settings as Python's own values.
    """

    kind: str
    name: str
    sources: tuple[str, ...]
    attributes: Mapping[str, Any]

    def unfit(self, why: str) -> ModelError:
        """Make the error that says why this operation cannot be exported.

        Args:
            why: what about it.

        Returns:
            The error.
        """
        return ModelError(f"{self.kind} ({self.name}) cannot be written as ONNX: {why}; leave the format onnx away")


@dataclass(frozen=True)
class PlainGraph:
    """What is calculated between input and output.

    Args:
        operations: each after those it takes from; the last gives the output.
        constants: their values by name, float32 and int64.
        readers: how many operations take what each one gives.
        input_shape: (height, width), where the graph says so.
    """

    operations: tuple[Operation, ...]
    constants: Mapping[str, Array]
    readers: Mapping[str, int]
    input_shape: tuple[int, int] | None


def read_plain_graph(graph: bytes, input_node: str, output_node: str) -> PlainGraph:
    """Read a frozen graph from its input on; what stands before the input, such as decoding, is left out.

    Args:
        graph: a serialised GraphDef.
        input_node: where photographs come in.
        output_node: what is wanted.

    Returns:
        What is calculated.

    Raises:
        ModelError: the graph is damaged, or does not lead from the one to the other.
    """
    try:
        nodes = {node.name: node for node in parse_graph(graph).node}
        path = path_between(nodes, input_node, output_node)
        constants = {name: _constant(nodes[name]) for name in path if nodes[name].op == "Const"}
    except WeightsError as error:
        raise ModelError(f"the graph cannot be written as ONNX: {error}") from error
    skipped = _PASSING - {nodes[output_node].op}
    operations = tuple(
        _operation(nodes, nodes[name], skipped, input_node)
        for name in path
        if name != input_node and nodes[name].op not in skipped | {"Const"}
    )
    readers = Counter(source for operation in operations for source in operation.sources)
    return PlainGraph(operations, constants, readers, _input_size(nodes[input_node]))


def _constant(node: Any) -> Array:  # noqa: ANN401
    tensor = node.attr["value"].tensor
    # Trap: of nothing but zeros TensorFlow's folding writes none at all.
    if tensor.dtype in _TYPES and not (tensor.tensor_content or tensor.float_val or tensor.int_val):
        return np.zeros(constant_shape(node), _TYPES[tensor.dtype])
    values: Array = read_constant(node)
    return values.astype(_TYPES[tensor.dtype], copy=False)


def _operation(nodes: Mapping[str, Any], node: Any, skipped: set[str], input_node: str) -> Operation:  # noqa: ANN401
    attributes = {name: _python_value(value) for name, value in node.attr.items()}
    sources = [_behind(nodes, one, skipped, input_node) for one in node.input if not one.startswith("^")]
    operation = Operation(node.op, node.name, tuple(map(source_name, sources)), attributes)
    for source in sources:
        if source.partition(":")[2] not in ("", "0"):
            raise operation.unfit(f"it takes {source}, and only first results are")
    return operation


def _behind(nodes: Mapping[str, Any], tensor: str, skipped: set[str], input_node: str) -> str:
    """Go back over what only passes numbers on; path_between has made sure that there are no circles."""
    name = source_name(tensor)
    while name != input_node and nodes[name].op in skipped:
        index = int(tensor.partition(":")[2] or 0)
        tensor = nodes[name].input[index]
        name = source_name(tensor)
    return tensor


def _python_value(value: Any) -> Any:  # noqa: ANN401 - an AttrValue
    kind = value.WhichOneof("value")
    if kind == "list":
        return tuple(value.list.i)
    if kind == "s":
        return value.s.decode()
    return getattr(value, kind) if kind in ("i", "f", "b", "type") else None


def _input_size(node: Any) -> tuple[int, int] | None:  # noqa: ANN401
    sizes = [int(dim.size) for dim in node.attr["shape"].shape.dim]
    return (sizes[1], sizes[2]) if len(sizes) == 4 and min(sizes[1:3]) > 0 else None


def follows_batch(values: Array | Shape) -> bool:
    """Say whether numbers depend on how many photographs there are.

    Args:
        values: integers.

    Returns:
        Whether one of them is a multiple of BATCH, but not 0.
    """
    return any(int(value) and int(value) % BATCH == 0 for value in np.ravel(values))
