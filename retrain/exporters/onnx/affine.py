"""Scales and shifts of channels, computed with what stands before them: into the weights of a convolution or a product.

What a batch normalisation leaves in a frozen graph, a Mul and an AddV2 or only one of them, costs a pass over memory
each, unless the runtime folds them itself: onnxruntime does, simpler ones do not.
"""

from __future__ import annotations

import numpy as np

from retrain.exporters.onnx.graph import Array, Operation, Tensor
from retrain.exporters.onnx.writer import Node, Writer

# ONNX's operation -> which axis of its weights gives the channels that come out.
_OUTPUT_AXIS = {"Conv": 0, "Gemm": 1, "BatchNormalization": 0}


def scaled(
    writer: Writer, operation: Operation, place: int, tensor: Tensor, factor: Array | None, shift: Array | None
) -> Tensor:
    """Multiply each channel by a factor and add to it.

    Args:
        writer: the graph in the making.
        operation: that asks for it.
        place: of the tensor among what it takes.
        tensor: whose channels.
        factor: float (C,) or a single number; None: 1.
        shift: float (C,) or a single number, added afterwards; None: 0.

    Returns:
        The result: the same tensor, where what made it could be given other weights.
    """
    node = writer.origin(tensor)
    if node is None or not _takes(writer, node, operation.sources[place]):
        tensor = _normalisation(writer, operation, tensor)
        node = writer.nodes[tensor.name]
    _fold(writer, node, factor, shift)
    return tensor


def can_fold(writer: Writer, operation: Operation, place: int, tensor: Tensor, numbers: Array) -> bool:
    """Say whether numbers are better folded than computed with when the model runs.

    Args:
        writer: the graph in the making.
        operation: that multiplies with them or adds them.
        place: of the tensor among what it takes.
        tensor: its other operand.
        numbers: float32, known.

    Returns:
        Whether they are one a channel, or one for all, and something before them or a normalisation can take them.
    """
    channels = tensor.shape[-1] if tensor.shape else 0
    each = numbers.size == channels and numbers.shape[-1:] == (channels,) and numbers.ndim <= len(tensor.shape)
    one = numbers.size == 1 and numbers.ndim <= len(tensor.shape)
    if not (each or one):
        return False
    node = writer.origin(tensor)
    if node is not None and _takes(writer, node, operation.sources[place]):
        return True
    # A normalisation of its own is one pass for a Mul and an Add, in the order that onnxruntime computes in.
    return each and channels > 1 and len(tensor.shape) == 4 and writer.is_first(tensor)


def _takes(writer: Writer, node: Node, source: str) -> bool:
    """Say whether an operation may be given other weights: nothing else takes its result as it is."""
    return node.kind in _OUTPUT_AXIS and writer.readers.get(source) == 1


def _normalisation(writer: Writer, operation: Operation, tensor: Tensor) -> Tensor:
    channels = tensor.shape[-1]
    numbers = {"scale": 1.0, "shift": 0.0, "mean": 0.0, "variance": 1.0}
    arrays = [
        writer.array(f"{operation.name}/{name}", np.full(channels, value, np.float32))
        for name, value in numbers.items()
    ]
    source = writer.in_order(tensor, first=True)
    result = Tensor(operation.name, tensor.shape)
    return writer.emit("BatchNormalization", [source, *arrays], result, first=True, epsilon=0.0)


def _fold(writer: Writer, node: Node, factor: Array | None, shift: Array | None) -> None:
    """Trap: in float64 until the model is written, so that two folds are not rounded twice."""
    weights, bias = (writer.arrays[name].astype(np.float64) for name in node.inputs[1:3])
    if factor is not None:
        factor = np.broadcast_to(factor.ravel().astype(np.float64), bias.shape)
        shape = [1] * weights.ndim
        shape[_OUTPUT_AXIS[node.kind]] = -1
        weights, bias = weights * factor.reshape(shape), bias * factor
    if shift is not None:
        bias = bias + shift.ravel().astype(np.float64)
    writer.arrays[node.inputs[1]], writer.arrays[node.inputs[2]] = weights, bias
