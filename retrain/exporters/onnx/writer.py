"""Builds an ONNX graph, and keeps track of where channels are.

TensorFlow's pictures have their channels last, ONNX's convolutions want them first. Each tensor is kept in the order in
which it was made; the other is made when an operation asks for it, once. So a plain network is transposed at its input
and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrain.exporters.onnx.graph import (
    BATCH,
    CHANNELS_FIRST,
    CHANNELS_LAST,
    Array,
    Shape,
    Tensor,
    Value,
    follows_batch,
)

# The oldest in which everything here can be said (ONNX 1.6, 2019), so that old runtimes read it. Trap: later ones take
# the axes of a reduction as an input and no longer as a setting, and their Softmax looks at one axis alone.
OPSET, IR_VERSION = 11, 6


@dataclass
class Node:
    """An operation of ONNX with one result.

    Args:
        kind: ONNX's name of it.
        inputs: names of results and arrays.
        attributes: its settings.
    """

    kind: str
    inputs: list[str]
    attributes: dict[str, Any]


class Writer:
    """An ONNX graph in the making.

    Args:
        readers: how many operations of the frozen graph take what each one gives.
    """

    def __init__(self, readers: Mapping[str, int]) -> None:
        self.readers = readers
        self.nodes: dict[str, Node] = {}
        self.arrays: dict[str, Array] = {}
        # Tensor -> whether channels come first -> name in the ONNX graph.
        self._places: dict[str, dict[bool, str]] = {}
        # Rows -> the pictures of one pixel that they were made of, which some networks make of them again.
        self._pooled: dict[str, Tensor] = {}

    def add_input(self, tensor: Tensor) -> Tensor:
        """Take a tensor from outside, channels last.

        Args:
            tensor: what the model is given.

        Returns:
            The same.
        """
        self._places[tensor.name] = {False: tensor.name}
        return tensor

    def emit(
        self, kind: str, inputs: Sequence[str], result: Tensor, *, first: bool = False, **attributes: object
    ) -> Tensor:
        """Add an operation.

        Args:
            kind: ONNX's name of it.
            inputs: names of what it takes.
            result: what it gives.
            first: whether that has its channels first.
            attributes: its settings.

        Returns:
            The result.
        """
        self.nodes[result.name] = Node(kind, list(inputs), attributes)
        self._places[result.name] = {first: result.name}
        return result

    def array(self, name: str, values: Array) -> str:
        """Add numbers that are known.

        Args:
            name: wanted; a number is put behind it if it is taken.
            values: float32 or int64.

        Returns:
            Its name.
        """
        place, count = name, 1
        while place in self.arrays or place in self.nodes:
            count += 1
            place = f"{name}_{count}"
        self.arrays[place] = values
        return place

    def integers(self, name: str, values: Sequence[int]) -> str:
        """Add integers that are known.

        Args:
            name: wanted.
            values: the numbers.

        Returns:
            The array's name.
        """
        return self.array(name, np.array(values, np.int64))

    def is_first(self, tensor: Tensor) -> bool:
        """Say whether a tensor is there with its channels first."""
        return True in self._places[tensor.name]

    def in_order(self, tensor: Tensor, *, first: bool) -> str:
        """Have a tensor in one order of its axes.

        Args:
            tensor: of any rank if its channels stay last, else of rank 4.
            first: whether channels are to come first.

        Returns:
            Its name in the ONNX graph.
        """
        places = self._places[tensor.name]
        if first not in places:
            name = f"{tensor.name}/{'channels_first' if first else 'channels_last'}"
            order = CHANNELS_FIRST if first else CHANNELS_LAST
            self.nodes[name] = Node("Transpose", [places[not first]], {"perm": list(order)})
            places[first] = name
        return places[first]

    def order_for(self, tensors: Sequence[Tensor], rank: int) -> bool:
        """Choose an order of axes for an operation on single numbers.

        Args:
            tensors: what it takes.
            rank: of its result.

        Returns:
            Whether channels come first: where all tensors are there like that, or no other order suits all.
        """
        if rank != 4 or any(len(tensor.shape) != 4 for tensor in tensors):
            return False
        places = [self._places[tensor.name] for tensor in tensors]
        return all(True in place for place in places) or not all(False in place for place in places)

    def operand(self, value: Value, rank: int, name: str, *, first: bool) -> str:
        """Have a tensor or known numbers as an operand of an operation on single numbers.

        Args:
            value: the operand.
            rank: of the result.
            name: of the array, should it become one.
            first: whether the operation has its channels first.

        Returns:
            Its name in the ONNX graph.
        """
        if isinstance(value, Tensor):
            return self.in_order(value, first=first)
        if first and value.size > 1:
            value = value.reshape((1,) * (rank - value.ndim) + value.shape).transpose(CHANNELS_FIRST)
        return self.array(name, value)

    def origin(self, tensor: Tensor) -> Node | None:
        """Find the operation that made a tensor.

        Args:
            tensor: any.

        Returns:
            The operation; None for the input, and where the tensor is there in both orders.
        """
        places = self._places[tensor.name]
        return self.nodes.get(next(iter(places.values()))) if len(places) == 1 else None

    def reshape(self, tensor: Tensor, result: Tensor) -> Tensor:
        """Give a tensor another shape.

        Args:
            tensor: with as many numbers as the result has.
            result: the new shape and its name; at most one size may follow from the number of photographs.

        Returns:
            The result.
        """
        pooled = self._pooled.get(tensor.name)
        if pooled is not None and pooled.shape == result.shape:
            return pooled
        # A single pixel's numbers are in the same sequence in both orders.
        source = self.in_order(tensor, first=self.is_first(tensor) and _is_pixel(tensor.shape))
        first = _is_pixel(result.shape)
        shape = tuple(result.shape[axis] for axis in CHANNELS_FIRST) if first else result.shape
        sizes = [-1 if follows_batch((size,)) else size for size in shape]
        return self.emit("Reshape", [source, self.integers(f"{result.name}/shape", sizes)], result, first=first)

    def flatten(self, pooled: Tensor, name: str) -> Tensor:
        """Make rows of pictures of one pixel.

        Args:
            pooled: (N, 1, 1, C), channels first.
            name: of the result.

        Returns:
            (N, C).
        """
        rows = Tensor(name, (pooled.shape[0], pooled.shape[3]))
        self._pooled[name] = pooled
        return self.emit("Flatten", [self.in_order(pooled, first=True)], rows, axis=1)

    def used(self, output: str) -> tuple[dict[str, Node], dict[str, Array]]:
        """Leave out what the output is not calculated from.

        Args:
            output: a name in the ONNX graph.

        Returns:
            Operations, each after those that it takes from, and arrays.
        """
        wanted = {output}
        for name in reversed(self.nodes):  # an operation stands behind all that it takes from
            if name in wanted:
                wanted.update(self.nodes[name].inputs)
        nodes = {name: node for name, node in self.nodes.items() if name in wanted}
        return nodes, {name: values for name, values in self.arrays.items() if name in wanted}


def _is_pixel(shape: Shape) -> bool:
    return len(shape) == 4 and shape[1] == shape[2] == 1


def dimension(size: int) -> int | str:
    """Write a size as ONNX does.

    Args:
        size: of a Tensor's shape.

    Returns:
        The size, or "batch".
    """
    return "batch" if size == BATCH else size
