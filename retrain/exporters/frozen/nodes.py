"""Writes nodes into a GraphDef, with the protobuf classes that TensorBoard brings: no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Of TensorFlow's DataType enumeration.
_TYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 3, np.dtype(np.uint8): 4, np.dtype(np.bytes_): 7}

Attribute = bool | int | str | tuple[int, ...] | type[np.generic]


class Nodes:
    """Nodes that are appended to a graph, in the order in which they are added.

    Args:
        graph: a GraphDef.
    """

    def __init__(self, graph: Any) -> None:  # noqa: ANN401 - protobuf's classes have no types
        self._graph = graph

    def add(self, name: str, operation: str, inputs: Sequence[str] = (), **attributes: Attribute) -> str:
        """Add an operation.

        Args:
            name: of the node.
            operation: of TensorFlow 1.15.
            inputs: names of tensors.
            attributes: a tuple is a shape, a NumPy scalar type a type (np.bytes_: string).

        Returns:
            The name.
        """
        node = self._graph.node.add(name=name, op=operation, input=inputs)
        for attribute, value in attributes.items():
            _set(node.attr[attribute], value)
        return name

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add an array.

        Args:
            name: of the node.
            values: float32 or int32, of any shape.

        Returns:
            The name.
        """
        self.add(name, "Const", dtype=values.dtype.type)
        tensor = self._graph.node[-1].attr["value"].tensor
        tensor.dtype = _TYPES[values.dtype]
        tensor.tensor_shape.SetInParent()  # a scalar has an empty shape, which is not the same as none
        for size in values.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = values.astype(values.dtype.newbyteorder("<")).tobytes()
        return name

    def text(self, name: str, text: bytes) -> str:
        """Add a string.

        Args:
            name: of the node.
            text: any bytes.

        Returns:
            The name.
        """
        self.add(name, "Const", dtype=np.bytes_)
        tensor = self._graph.node[-1].attr["value"].tensor
        tensor.dtype = _TYPES[np.dtype(np.bytes_)]
        tensor.tensor_shape.SetInParent()
        tensor.string_val.append(text)
        return name


def _set(attribute: Any, value: Attribute) -> None:  # noqa: ANN401
    if isinstance(value, bool):  # Trap: a bool is an int, too
        attribute.b = value
    elif isinstance(value, int):
        attribute.i = value
    elif isinstance(value, str):
        attribute.s = value.encode()
    elif isinstance(value, tuple):
        attribute.shape.SetInParent()
        for size in value:
            attribute.shape.dim.add(size=size)
    else:
        attribute.type = _TYPES[np.dtype(value)]
