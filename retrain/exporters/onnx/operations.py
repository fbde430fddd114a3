"""TensorFlow's operations in ONNX's words: the table of all, and those that calculate number by number or over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from retrain.exporters.onnx.affine import can_fold, scaled
from retrain.exporters.onnx.graph import Array, Operation, Tensor, Value
from retrain.exporters.onnx.moves import (
    as_known,
    as_tensor,
    axis_place,
    concatenation,
    cut,
    expand_dims,
    gather,
    pack,
    reshape,
    squeeze,
    transpose,
)
from retrain.exporters.onnx.sizes import compute
from retrain.exporters.onnx.windows import (
    convolution,
    depthwise,
    padding,
    picture,
    pooling,
    response_normalisation,
)
from retrain.exporters.onnx.writer import Writer

Handler = Callable[[Writer, Operation, Sequence[Value]], Value]

_FLOAT = 1
_MULTIPLYING = {"Mul", "RealDiv"}


def convert(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """Write one operation, or carry it out where all that it takes is known.

    Args:
        writer: the graph in the making; changed.
        operation: of the frozen graph.
        values: its operands.

    Returns:
        Its result.

    Raises:
        ModelError: ONNX has no words for it, or not for it with these settings; the text names it.
    """
    if operation.kind == "Shape":
        return np.array(values[0].shape, np.int64)
    known = [value for value in values if not isinstance(value, Tensor)]
    if len(known) == len(values):
        return compute(operation, known)
    handler = _HANDLERS.get(operation.kind)
    if handler is None:
        raise operation.unfit("this tool does not know how")
    try:
        return handler(writer, operation, values)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise operation.unfit(f"it is not as TensorFlow writes it ({error!r})") from error


def _binary(kind: str) -> Handler:
    def handler(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
        folded = _folded(writer, operation, values)
        if folded is not None:
            return folded
        tensors = [value for value in values if isinstance(value, Tensor)]
        if any(not isinstance(value, Tensor) and value.dtype.kind == "i" for value in values):
            raise operation.unfit("it calculates with a size while the model runs")
        shape = np.broadcast_shapes(*(value.shape for value in values))
        first = writer.order_for(tensors, len(shape))
        names = [writer.operand(value, len(shape), f"{operation.name}/number", first=first) for value in values]
        return writer.emit(kind, names, Tensor(operation.name, shape), first=first)

    return handler


def _folded(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value | None:
    """Fold what multiplies or shifts channels into what stands before it; None where that cannot be."""
    left, right = values
    tensor, numbers = (left, right) if isinstance(left, Tensor) else (right, left)
    if isinstance(numbers, Tensor) or not isinstance(tensor, Tensor):
        return None
    if operation.kind == "Mul":
        hard = _hard_sigmoid(writer, operation, tensor, numbers)
        if hard is not None:
            return hard
    inverted = operation.kind in ("Sub", "RealDiv") and numbers is left
    if operation.kind not in (*_MULTIPLYING, "Add", "AddV2", "BiasAdd", "Sub") or inverted:
        return None
    place = 0 if tensor is left else 1
    if not can_fold(writer, operation, place, tensor, numbers):
        return None
    if operation.kind in _MULTIPLYING:
        factor = numbers if operation.kind == "Mul" else 1 / numbers.astype(np.float64)
        return scaled(writer, operation, place, tensor, factor, None)
    return scaled(writer, operation, place, tensor, None, -numbers if operation.kind == "Sub" else numbers)


def _hard_sigmoid(writer: Writer, operation: Operation, tensor: Tensor, numbers: Array) -> Value | None:
    """Recognise relu6(x + 3) / 6, which is one operation in ONNX."""
    clip = writer.origin(tensor)
    if clip is None or clip.kind != "Clip" or numbers.size != 1 or abs(6 * float(numbers.ravel()[0]) - 1) > 1e-6:
        return None
    shift = writer.nodes.get(clip.inputs[0])
    limits = [float(writer.arrays[name]) for name in clip.inputs[1:]]
    if shift is None or shift.kind != "Add" or limits != [0, 6]:
        return None
    three = [name for name in shift.inputs if name in writer.arrays and writer.arrays[name].size == 1]
    if not three or float(writer.arrays[three[0]].ravel()[0]) != 3:
        return None
    source = next(name for name in shift.inputs if name != three[0])
    result = Tensor(operation.name, tensor.shape)
    return writer.emit("HardSigmoid", [source], result, first=writer.is_first(tensor), alpha=1 / 6, beta=0.5)


def _unary(kind: str) -> Handler:
    def handler(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
        source = as_tensor(operation, values[0])
        first = writer.order_for([source], len(source.shape))
        return writer.emit(
            kind, [writer.in_order(source, first=first)], Tensor(operation.name, source.shape), first=first
        )

    return handler


def _chain(*kinds: str) -> Handler:
    """Several operations on single numbers, one after the other."""

    def handler(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
        for kind in kinds[:-1]:
            step = Operation(operation.kind, f"{operation.name}/{kind}", (), {})
            values = [_unary(kind)(writer, step, values)]
        return _unary(kinds[-1])(writer, operation, values)

    return handler


def _relu6(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    source = as_tensor(operation, values[0])
    first = writer.order_for([source], len(source.shape))
    limits = [writer.array(f"{operation.name}/limit", np.array(limit, np.float32)) for limit in (0, 6)]
    inputs = [writer.in_order(source, first=first), *limits]
    return writer.emit("Clip", inputs, Tensor(operation.name, source.shape), first=first)


def _square(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    return _binary("Mul")(writer, operation, [values[0], values[0]])


def _squared_difference(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    step = Operation("SquaredDifference", f"{operation.name}/difference", operation.sources, {})
    return _square(writer, operation, [_binary("Sub")(writer, step, values)])


def _erfc(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    step = Operation("Erf", f"{operation.name}/erf", (), {})
    return _binary("Sub")(
        writer, operation, [np.float32(1) * np.ones((), np.float32), _unary("Erf")(writer, step, values)]
    )


def _softmax(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    source = as_tensor(operation, values[0])
    # Trap: before opset 13 the operation looks at all axes from this one on; it is the last.
    axis = len(source.shape) - 1
    return writer.emit(
        "Softmax", [writer.in_order(source, first=False)], Tensor(operation.name, source.shape), axis=axis
    )


def _product(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """MatMul and BatchMatMulV2; with known weights on rows it is a layer, whose bias of 0 takes what follows."""
    left, right = values
    turns = [operation.attributes.get(name, False) for name in ("transpose_a", "transpose_b", "adj_x", "adj_y")]
    turn_left, turn_right = turns[0] or turns[2], turns[1] or turns[3]
    rows = isinstance(left, Tensor) and not turn_left and len(left.shape) == 2
    if isinstance(left, Tensor) and rows and not isinstance(right, Tensor) and right.ndim == 2:
        return _layer(writer, operation, left, right.T if turn_right else right)
    names, shapes = [], []
    for side, value, turn in (("left", left, turn_left), ("right", right, turn_right)):
        name = writer.operand(value, 0, f"{operation.name}/{side}", first=False)
        names.append(_turned(writer, f"{operation.name}/{side}_turned", name, len(value.shape)) if turn else name)
        shapes.append((*value.shape[:-2], value.shape[-1], value.shape[-2]) if turn else value.shape)
    if shapes[0][-1] != shapes[1][-2]:
        raise operation.unfit(f"{shapes[0][-1]} columns do not go with {shapes[1][-2]} rows")
    shape = (*np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2]), shapes[0][-2], shapes[1][-1])
    return writer.emit("MatMul", names, Tensor(operation.name, shape))


def _turned(writer: Writer, name: str, source: str, rank: int) -> str:
    order = [*range(rank - 2), rank - 1, rank - 2]
    return writer.emit("Transpose", [source], Tensor(name, ()), perm=order).name


def _layer(writer: Writer, operation: Operation, source: Tensor, weights: Array) -> Tensor:
    inputs = [
        writer.in_order(source, first=False),
        writer.array(f"{operation.name}/weights", weights),
        writer.array(f"{operation.name}/bias", np.zeros(weights.shape[1], np.float32)),
    ]
    return writer.emit("Gemm", inputs, Tensor(operation.name, (source.shape[0], weights.shape[1])))


def _normalisation(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """FusedBatchNorm of a trained model: a factor and a shift a channel."""
    source = picture(operation, values)
    if operation.attributes.get("is_training", True):
        raise operation.unfit("it normalises by the photographs at hand, as in training")
    numbers = [value.astype(np.float64) for value in values[1:5] if not isinstance(value, Tensor)]
    if len(numbers) != 4:
        raise operation.unfit("its numbers are not known before the model runs")
    gamma, beta, mean, variance = numbers
    factor = gamma / np.sqrt(variance + operation.attributes.get("epsilon", 1e-4))
    return scaled(writer, operation, 0, source, factor, beta - mean * factor)


def _reduction(kind: str) -> Handler:
    def handler(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
        source, rank = as_tensor(operation, values[0]), len(values[0].shape)
        axes = sorted({axis % rank for axis in as_known(operation, values[1]).ravel().tolist()})
        keep = bool(operation.attributes.get("keep_dims", False))
        first = writer.order_for([source], rank)
        if kind == "ReduceMean" and first and axes == [1, 2]:
            return _global_average(writer, operation, source, keep=keep)
        # Of one channel's numbers all lie side by side with channels last; without its axes, the order is lost.
        first = first and keep and 3 not in axes
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(source.shape) if keep or axis not in axes)
        places = [axis_place(axis, first=first) for axis in axes]
        return writer.emit(
            kind, [writer.in_order(source, first=first)], Tensor(operation.name, shape), first=first,
            axes=places, keepdims=int(keep),
        )  # fmt: skip

    return handler


def _global_average(writer: Writer, operation: Operation, source: Tensor, *, keep: bool) -> Tensor:
    shape = (source.shape[0], 1, 1, source.shape[3])
    name = operation.name if keep else f"{operation.name}/pooled"
    pooled = writer.emit("GlobalAveragePool", [writer.in_order(source, first=True)], Tensor(name, shape), first=True)
    return pooled if keep else writer.flatten(pooled, operation.name)


def _cast(_writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    if operation.attributes["DstT"] != _FLOAT:
        raise operation.unfit("it makes something else of float32")
    return values[0]


_HANDLERS: dict[str, Handler] = {
    "Add": _binary("Add"),
    "AddV2": _binary("Add"),
    "AvgPool": pooling,
    "BatchMatMulV2": _product,
    "BiasAdd": _binary("Add"),
    "Cast": _cast,
    "ConcatV2": concatenation,
    "Conv2D": convolution,
    "DepthwiseConv2dNative": depthwise,
    "Erf": _unary("Erf"),
    "Erfc": _erfc,
    "Exp": _unary("Exp"),
    "ExpandDims": expand_dims,
    "FusedBatchNorm": _normalisation,
    "FusedBatchNormV2": _normalisation,
    "FusedBatchNormV3": _normalisation,
    "GatherV2": gather,
    "Identity": _unary("Identity"),
    "LRN": response_normalisation,
    "MatMul": _product,
    "Max": _reduction("ReduceMax"),
    "MaxPool": pooling,
    "Maximum": _binary("Max"),
    "Mean": _reduction("ReduceMean"),
    "Min": _reduction("ReduceMin"),
    "Minimum": _binary("Min"),
    "Mul": _binary("Mul"),
    "Neg": _unary("Neg"),
    "Pack": pack,
    "Pad": padding,
    "PadV2": padding,
    "Pow": _binary("Pow"),
    "Prod": _reduction("ReduceProd"),
    "RealDiv": _binary("Div"),
    "Relu": _unary("Relu"),
    "Relu6": _relu6,
    "Reshape": reshape,
    "Rsqrt": _chain("Sqrt", "Reciprocal"),
    "Sigmoid": _unary("Sigmoid"),
    "Softmax": _softmax,
    "Sqrt": _unary("Sqrt"),
    "Square": _square,
    "SquaredDifference": _squared_difference,
    "Squeeze": squeeze,
    "StridedSlice": cut,
    "Sub": _binary("Sub"),
    "Sum": _reduction("ReduceSum"),
    "Tanh": _unary("Tanh"),
    "Transpose": transpose,
}
# Those that convert() has words for.
KINDS = frozenset(_HANDLERS)
