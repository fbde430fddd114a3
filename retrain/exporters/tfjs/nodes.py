"""Nodes of a graph that is rewritten for TensorFlow.js: made, and their numbers read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.exporters.frozen.nodes import Nodes
from retrain.graphs.checked import constant_shape, read_constant

ByName = dict[str, Any]

FLOAT, INT32, BOOL = 1, 3, 10


def values_of(node: Any) -> Any:  # noqa: ANN401
    """Read a constant.

    Args:
        node: a Const of float32 or int32.

    Returns:
        A read-only array.

    Raises:
        WeightsError: it is of another type, or damaged.
    """
    tensor = node.attr["value"].tensor
    if not (tensor.tensor_content or tensor.float_val or tensor.int_val) and tensor.dtype in (FLOAT, INT32):
        # Trap: TensorFlow's optimiser leaves out all numbers of a constant of noughts.
        return np.zeros(constant_shape(node), np.float32 if tensor.dtype == FLOAT else np.int32)
    return read_constant(node)


def constant(name: str, values: npt.NDArray[Any] | np.float32) -> Any:  # noqa: ANN401
    """Make a constant.

    Args:
        name: of the node.
        values: float32 or int32.

    Returns:
        A NodeDef.
    """
    return _made(lambda nodes: nodes.constant(name, np.asarray(values)))


def operation(name: str, kind: str, sources: Iterable[str]) -> Any:  # noqa: ANN401
    """Make an operation on float32.

    Args:
        name: of the node.
        kind: of operation.
        sources: names of what it takes.

    Returns:
        A NodeDef.
    """
    return _made(lambda nodes: nodes.add(name, kind, list(sources), T=np.float32))


def _made(write: Callable[[Nodes], str]) -> Any:  # noqa: ANN401
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = GraphDef()
    write(Nodes(graph))
    return graph.node[0]
