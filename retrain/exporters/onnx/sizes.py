"""Operations on what is known before the model runs: sizes, and constants of graphs that nobody has folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from retrain.exporters.onnx.graph import BATCH, Array, Operation, follows_batch

_FLOAT, _INTEGERS = 1, (3, 9)
# A graph's arithmetic on sizes is a few numbers; more would be an attempt to fill the memory.
_MOST_NUMBERS = 1 << 20


def compute(operation: Operation, values: Sequence[Array]) -> Array:
    """Carry out an operation now.

    Args:
        operation: any.
        values: its operands, float32 or int64.

    Returns:
        Its result, float32 or int64.

    Raises:
        ModelError: it is not one of those that are carried out, or does not do with these operands.
    """
    if operation.kind not in _NOW:
        raise operation.unfit("nothing of what it takes depends on the photograph")
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(_NOW[operation.kind](operation, *values))
    except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise operation.unfit(str(error)) from error
    whole = result.dtype.kind in "iu"
    if not whole and any(value.dtype.kind == "i" and follows_batch(value) for value in values):
        raise operation.unfit("it calculates with the number of photographs")
    return result.astype(np.int64 if whole else np.float32)


def slices_of(operation: Operation, rank: int, values: Sequence[Array]) -> list[slice | int]:
    """Read what a StridedSlice takes of each axis.

    Args:
        operation: the StridedSlice.
        rank: of what it slices.
        values: begin, end and strides.

    Returns:
        A slice an axis, or the one place that is taken, whose axis then goes.

    Raises:
        ModelError: it adds axes, or leaves some open.
    """
    masks = {name: operation.attributes.get(f"{name}_mask", 0) for name in ("begin", "end", "shrink_axis")}
    if operation.attributes.get("ellipsis_mask", 0) or operation.attributes.get("new_axis_mask", 0):
        raise operation.unfit("it adds axes or leaves some open (...)")
    found: list[slice | int] = []
    for axis, (begin, end, stride) in enumerate(zip(*(value.tolist() for value in values), strict=True)):
        open_begin, open_end, single = (bool(mask >> axis & 1) for mask in masks.values())
        part = slice(None if open_begin else begin, None if open_end else end, stride)
        found.append(begin if single else part)
    return found + [slice(None)] * (rank - len(found))


def _strided_slice(operation: Operation, values: Array, *bounds: Array) -> Array:
    sliced: Array = values[tuple(slices_of(operation, values.ndim, bounds))]
    return sliced


def _cast(operation: Operation, values: Array) -> Array:
    kind = operation.attributes["DstT"]
    if kind != _FLOAT and kind not in _INTEGERS:
        raise operation.unfit(f"TensorFlow's type {kind} is not read, only float32, int32 and int64 are")
    return values.astype(np.float32 if kind == _FLOAT else np.int64)


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(operation: Operation, values: Array, axes: Array) -> Any:  # noqa: ANN401
        return function(
            values, axis=tuple(axes.ravel().tolist()), keepdims=operation.attributes.get("keep_dims", False)
        )

    return reduce


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _operation, *values: function(*values)


def _range(operation: Operation, start: Array, stop: Array, step: Array) -> Array:
    places = range(int(start), int(stop), int(step))
    if len(places) > _MOST_NUMBERS:
        raise operation.unfit(f"it counts {len(places)} numbers")
    return np.array(places, np.int64)


def _reshape(_operation: Operation, values: Array, shape: Array) -> Array:
    return values.reshape(shape.tolist())


def _squeeze(operation: Operation, values: Array) -> Array:
    return np.squeeze(values, axis=operation.attributes.get("squeeze_dims") or None)


def _gather(operation: Operation, values: Array, places: Array, axis: Array | int = 0) -> Array:
    if operation.attributes.get("batch_dims", 0):
        raise operation.unfit("it gathers from each photograph its own (batch_dims)")
    taken: Array = np.take(values, places, axis=int(axis))
    return taken


_NOW: dict[str, Callable[..., Any]] = {
    "Add": _plain(np.add),
    "AddV2": _plain(np.add),
    "BiasAdd": _plain(np.add),
    "Cast": _cast,
    "ConcatV2": lambda _operation, *values: np.concatenate(values[:-1], axis=int(values[-1])),
    "ExpandDims": lambda _operation, values, axis: np.expand_dims(values, int(axis)),
    "Exp": _plain(np.exp),
    "GatherV2": _gather,
    "Max": _reduction(np.max),
    "Maximum": _plain(np.maximum),
    "Mean": _reduction(np.mean),
    "Min": _reduction(np.min),
    "Minimum": _plain(np.minimum),
    "Mul": _plain(np.multiply),
    "Neg": _plain(np.negative),
    "Pack": lambda operation, *values: np.stack(values, axis=operation.attributes.get("axis", 0)),
    "Pow": _plain(np.power),
    "Prod": _reduction(np.prod),
    "Range": _range,
    "RealDiv": _plain(np.divide),
    "Reshape": _reshape,
    "Rsqrt": _plain(lambda values: 1 / np.sqrt(values.astype(np.float64))),
    "Sqrt": _plain(np.sqrt),
    "Square": _plain(np.square),
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Sub": _plain(np.subtract),
    "Sum": _reduction(np.sum),
    "Transpose": _plain(lambda values, order: values.transpose(order.tolist())),
}

# Those that compute() carries out.
KINDS = frozenset(_NOW)


def shape_asked_for(operation: Operation, given: Sequence[int], wanted: Array) -> tuple[int, ...]:
    """Work out what a Reshape makes.

    Args:
        operation: the Reshape.
        given: shape of what it takes.
        wanted: the shape that it names; -1 stands for what is left.

    Returns:
        The shape; BATCH is a factor of at most one size.

    Raises:
        ModelError: the numbers do not fit, or the shape follows from the number of photographs in two places.
    """
    sizes = [int(size) for size in np.ravel(wanted)]
    # Python's integers: with BATCH in them, products are large.
    total = _product(given)
    if sizes.count(-1) == 1:
        known = _product([size for size in sizes if size != -1])
        sizes[sizes.index(-1)] = total // known if known else 0
    if _product(sizes) != total or sum(follows_batch((size,)) for size in sizes) > 1:
        raise operation.unfit(f"it makes {_words(sizes)} out of {_words(given)}")
    return tuple(sizes)


def _product(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _words(sizes: Sequence[int]) -> str:
    return str([f"{size // BATCH} x batch" if follows_batch((size,)) else size for size in sizes]).replace("'", "")
