"""Operations that move numbers about and change none: TensorFlow's in ONNX's words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrain.exporters.onnx.graph import Array, Operation, Tensor, Value, follows_batch
from retrain.exporters.onnx.sizes import shape_asked_for, slices_of
from retrain.exporters.onnx.writer import Writer


def concatenation(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """ConcatV2: one behind the other along an axis."""
    *parts, axis = values
    rank = len(parts[0].shape)
    along = int(as_known(operation, axis)) % rank
    first = writer.order_for([part for part in parts if isinstance(part, Tensor)], rank)
    names = [writer.operand(part, rank, f"{operation.name}/part", first=first) for part in parts]
    shape = list(parts[0].shape)
    shape[along] = sum(part.shape[along] for part in parts)
    return writer.emit(
        "Concat", names, Tensor(operation.name, tuple(shape)), first=first, axis=axis_place(along, first=first)
    )


def pack(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """Pack: one behind the other along a new axis."""
    axis = operation.attributes.get("axis", 0) % (len(values[0].shape) + 1)
    parts: list[Value] = []
    for number, value in enumerate(values):
        shape = (*value.shape[:axis], 1, *value.shape[axis:])
        name = f"{operation.name}/part_{number}"
        parts.append(writer.reshape(value, Tensor(name, shape)) if isinstance(value, Tensor) else value.reshape(shape))
    return concatenation(writer, operation, [*parts, np.array(axis)])


def reshape(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """Reshape, to sizes that are known but for the number of photographs."""
    source = as_tensor(operation, values[0])
    shape = shape_asked_for(operation, source.shape, as_known(operation, values[1]))
    return writer.reshape(source, Tensor(operation.name, shape))


def squeeze(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """Squeeze: axes of one place are left out."""
    source = as_tensor(operation, values[0])
    rank = len(source.shape)
    axes = [axis % rank for axis in operation.attributes.get("squeeze_dims", ())]
    axes = axes or [axis for axis, size in enumerate(source.shape) if size == 1]
    if any(source.shape[axis] != 1 for axis in axes):
        raise operation.unfit(f"it takes away axes {axes} that have more than one place")
    return writer.reshape(
        source, Tensor(operation.name, tuple(size for axis, size in enumerate(source.shape) if axis not in axes))
    )


def expand_dims(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """ExpandDims: a new axis of one place."""
    source = as_tensor(operation, values[0])
    axis = int(as_known(operation, values[1])) % (len(source.shape) + 1)
    return writer.reshape(source, Tensor(operation.name, (*source.shape[:axis], 1, *source.shape[axis:])))


def transpose(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """Transpose."""
    source = as_tensor(operation, values[0])
    order = as_known(operation, values[1]).tolist()
    result = Tensor(operation.name, tuple(source.shape[axis] for axis in order))
    return writer.emit("Transpose", [writer.in_order(source, first=False)], result, perm=order)


def cut(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """StridedSlice: a part of each axis, or one place of it."""
    source = as_tensor(operation, values[0])
    parts = slices_of(operation, len(source.shape), [as_known(operation, value) for value in values[1:]])
    ranges = [
        range(size)[part] if isinstance(part, slice) else range(size)[part : part + 1 or None]
        for part, size in zip(parts, source.shape, strict=True)
    ]
    cut = [axis for axis, size in enumerate(source.shape) if ranges[axis] != range(size)]
    if any(ranges[axis].step < 1 or follows_batch((source.shape[axis],)) for axis in cut):
        raise operation.unfit("it slices the photographs, or backwards")
    first = writer.order_for([source], len(source.shape))
    columns = {
        "begin": [ranges[axis].start for axis in cut],
        "end": [ranges[axis].stop for axis in cut],
        "axes": [axis_place(axis, first=first) for axis in cut],
        "steps": [ranges[axis].step for axis in cut],
    }
    bounds = [writer.integers(f"{operation.name}/{name}", column) for name, column in columns.items()]
    dropped = [axis for axis, part in enumerate(parts) if not isinstance(part, slice)]
    name = f"{operation.name}/whole" if dropped else operation.name
    whole = writer.emit(
        "Slice", [writer.in_order(source, first=first), *bounds], Tensor(name, tuple(map(len, ranges))), first=first
    )
    if not dropped:
        return whole
    shape = tuple(size for axis, size in enumerate(whole.shape) if axis not in dropped)
    return writer.reshape(whole, Tensor(operation.name, shape))


def gather(writer: Writer, operation: Operation, values: Sequence[Value]) -> Value:
    """GatherV2 at places that are known."""
    source, places = as_tensor(operation, values[0]), as_known(operation, values[1])
    axis = int(as_known(operation, values[2])) % len(source.shape)
    if operation.attributes.get("batch_dims", 0) or axis == 0:
        raise operation.unfit("it chooses among the photographs")
    shape = (*source.shape[:axis], *places.shape, *source.shape[axis + 1 :])
    inputs = [writer.in_order(source, first=False), writer.array(f"{operation.name}/places", places)]
    return writer.emit("Gather", inputs, Tensor(operation.name, shape), axis=axis)


def as_tensor(operation: Operation, value: Value) -> Tensor:
    """Take an operand as something that the model computes.

    Args:
        operation: that takes it.
        value: the operand.

    Returns:
        The operand.

    Raises:
        ModelError: it is known before the model runs.
    """
    if not isinstance(value, Tensor):
        raise operation.unfit("its first operand is known before the model runs")
    return value


def as_known(operation: Operation, value: Value) -> Array:
    """Take an operand as numbers that are known, such as sizes or axes.

    Args:
        operation: that takes it.
        value: the operand.

    Returns:
        The operand.

    Raises:
        ModelError: the model would have to compute it.
    """
    if isinstance(value, Tensor):
        raise operation.unfit("sizes or axes depend on what is in the photograph")
    return value


def axis_place(axis: int, *, first: bool) -> int:
    """Say where an axis is.

    Args:
        axis: as TensorFlow counts them.
        first: whether a picture's channels come first, not last.

    Returns:
        As ONNX counts them.
    """
    return (0, 2, 3, 1)[axis] if first else axis
