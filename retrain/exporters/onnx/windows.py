"""Operations that look at windows of a picture: convolutions, pooling, padding. Channels come first in all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrain.exporters.onnx.graph import CHANNELS_FIRST, Array, Operation, Tensor, Value
from retrain.exporters.onnx.writer import Node, Writer

# (before, after) of height and of width.
_Pads = tuple[tuple[int, int], tuple[int, int]]


def convolution(writer: Writer, operation: Operation, values: Sequence[Value]) -> Tensor:
    """Conv2D; a kernel for fewer channels than there are means groups."""
    source, kernel = picture(operation, values), _kernel(operation, values)
    groups, left = divmod(source.shape[3], kernel.shape[2])
    if left:
        raise operation.unfit(f"{source.shape[3]} channels, and weights for {kernel.shape[2]}")
    return _convolve(writer, operation, source, kernel.transpose(3, 2, 0, 1), groups)


def depthwise(writer: Writer, operation: Operation, values: Sequence[Value]) -> Tensor:
    """DepthwiseConv2dNative: a group a channel."""
    source, kernel = picture(operation, values), _kernel(operation, values)
    height, width, channels, times = kernel.shape
    if channels != source.shape[3]:
        raise operation.unfit(f"{source.shape[3]} channels, and weights for {channels}")
    weights = kernel.transpose(2, 3, 0, 1).reshape(channels * times, 1, height, width)
    return _convolve(writer, operation, source, weights, channels)


def _convolve(writer: Writer, operation: Operation, source: Tensor, weights: Array, groups: int) -> Tensor:
    strides, dilations = _pair(operation, "strides"), _pair(operation, "dilations")
    spread = tuple((size - 1) * step + 1 for size, step in zip(weights.shape[2:], dilations, strict=True))
    pads, sizes = _window(operation, source, spread, strides)
    name = writer.in_order(source, first=True)
    if operation.attributes["padding"] != "SAME":
        name, pads = _with_pad_before(writer, name, pads)
    inputs = [
        name,
        writer.array(f"{operation.name}/weights", weights),
        writer.array(f"{operation.name}/bias", np.zeros(len(weights), np.float32)),
    ]
    result = Tensor(operation.name, (source.shape[0], *sizes, len(weights)))
    return writer.emit(
        "Conv", inputs, result, first=True, kernel_shape=list(weights.shape[2:]), strides=list(strides),
        dilations=list(dilations), group=groups, pads=_in_onnx_order(pads),
    )  # fmt: skip


def pooling(writer: Writer, operation: Operation, values: Sequence[Value]) -> Tensor:
    """MaxPool and AvgPool; their own padding counts in neither."""
    source = picture(operation, values)
    window, strides = _pair(operation, "ksize"), _pair(operation, "strides")
    pads, sizes = _window(operation, source, window, strides)
    result = Tensor(operation.name, (source.shape[0], *sizes, source.shape[3]))
    name = writer.in_order(source, first=True)
    settings = {"kernel_shape": list(window), "strides": list(strides)}
    node = writer.nodes.get(name)
    if operation.kind == "MaxPool" and node is not None and node.kind == "Pad":
        return _padded_maximum(writer, operation, source, node, pads, result, **settings)
    kind = "MaxPool" if operation.kind == "MaxPool" else "AveragePool"
    return writer.emit(kind, [name], result, first=True, pads=_in_onnx_order(pads), **settings)


def _padded_maximum(
    writer: Writer,
    operation: Operation,
    source: Tensor,
    before: Node,
    own: _Pads,
    result: Tensor,
    **settings: list[int],
) -> Tensor:
    """Let a MaxPool do the padding before it, and take its numbers into account afterwards.

    Trap: onnxruntime (1.17 to 1.31 at least) does the former on its own and leaves out the latter: where all of a
    window is below 0, the zeros around the picture are lost. It was 0.1 % of ResNet50 V2's features.
    """
    given, fill = _put_around(writer, before), float(writer.arrays[before.inputs[2]])
    reaches, strides = settings["kernel_shape"], settings["strides"]
    if given is None or any(max(_add(*pads)) >= reach for *pads, reach in zip(own, given, reaches, strict=True)):
        raise operation.unfit("what is put around the picture before it is as wide as its window, or not of pixels")
    maker = writer.nodes.get(before.inputs[0])
    plain = fill == 0 and maker is not None and maker.kind in ("Relu", "Clip")
    inner = result if plain else Tensor(f"{operation.name}/inside", result.shape)
    whole = (_add(own[0], given[0]), _add(own[1], given[1]))
    writer.emit("MaxPool", [before.inputs[0]], inner, first=True, pads=_in_onnx_order(whole), **settings)
    if plain:  # 0 is never more than what is there
        return inner
    seen = []
    for axis in (0, 1):
        starts = np.arange(result.shape[axis + 1]) * strides[axis] - own[axis][0]
        first, last = given[axis][0], source.shape[axis + 1] - given[axis][1]
        ends = starts + reaches[axis]
        seen.append(((starts < first) & (first > 0)) | ((ends > last) & (given[axis][1] > 0)))
    least = np.where(np.logical_or.outer(*seen), fill, np.finfo(np.float32).min).astype(np.float32)
    border = writer.array(f"{operation.name}/border", least[None, None])
    return writer.emit("Max", [writer.in_order(inner, first=True), border], result, first=True)


def padding(writer: Writer, operation: Operation, values: Sequence[Value]) -> Tensor:
    """Pad and PadV2: numbers around a tensor, 0 or the one given."""
    source, widths, *constant = values
    if not isinstance(source, Tensor) or isinstance(widths, Tensor) or any(isinstance(one, Tensor) for one in constant):
        raise operation.unfit("its widths are not known before the model runs")
    shape = tuple(
        size + sum(map(int, pair)) if sum(pair) else size for size, pair in zip(source.shape, widths, strict=True)
    )
    first = len(shape) == 4  # a convolution comes next, which can do the padding itself
    order = CHANNELS_FIRST if first else range(len(shape))
    pads = [int(widths[axis][side]) for side in (0, 1) for axis in order]
    fill = np.array(constant[0] if constant else 0, np.float32).reshape(())
    inputs = [
        writer.in_order(source, first=first),
        writer.integers(f"{operation.name}/pads", pads),
        writer.array(f"{operation.name}/value", fill),
    ]
    return writer.emit("Pad", inputs, Tensor(operation.name, shape), first=first, mode="constant")


def response_normalisation(writer: Writer, operation: Operation, values: Sequence[Value]) -> Tensor:
    """LRN: across channels."""
    source, settings = picture(operation, values), operation.attributes
    size = 2 * settings.get("depth_radius", 5) + 1
    return writer.emit(
        "LRN", [writer.in_order(source, first=True)], Tensor(operation.name, source.shape), first=True,
        size=size, alpha=settings.get("alpha", 1.0) * size, beta=settings.get("beta", 0.5),
        bias=settings.get("bias", 1.0),
    )  # fmt: skip


def picture(operation: Operation, values: Sequence[Value]) -> Tensor:
    """Take the first operand as pictures.

    Args:
        operation: that takes them.
        values: its operands.

    Returns:
        The tensor.

    Raises:
        ModelError: it is none, or has its channels first.
    """
    source = values[0]
    if not isinstance(source, Tensor) or len(source.shape) != 4:
        raise operation.unfit("it does not take pictures, (N, height, width, channels)")
    if operation.attributes.get("data_format", "NHWC") != "NHWC":
        raise operation.unfit("its channels come before pixels, NCHW, and only NHWC is read")
    return source


def _kernel(operation: Operation, values: Sequence[Value]) -> Array:
    kernel = values[1]
    if isinstance(kernel, Tensor) or kernel.ndim != 4:
        raise operation.unfit("its weights are not known before the model runs")
    return kernel


def _pair(operation: Operation, name: str) -> tuple[int, int]:
    """Read a setting that has a number for each axis of (N, height, width, channels)."""
    outer = operation.attributes.get(name, (1, 1, 1, 1))
    if len(outer) != 4 or (outer[0], outer[3]) != (1, 1):
        raise operation.unfit(f"its {name} are {outer}, and only (1, height, width, 1) are read")
    return outer[1], outer[2]


def _window(
    operation: Operation, source: Tensor, window: tuple[int, ...], strides: tuple[int, int]
) -> tuple[_Pads, tuple[int, int]]:
    """Compute what is put around a picture, and the size that comes out: SAME puts the odd pixel behind."""
    kind, sizes, pads = operation.attributes["padding"], [], []
    for axis, (reach, stride) in enumerate(zip(window, strides, strict=True)):
        size = source.shape[axis + 1]
        if kind == "SAME":
            missing = max((-(-size // stride) - 1) * stride + reach - size, 0)
            pair = (missing // 2, missing - missing // 2)
        elif kind == "EXPLICIT":
            pair = operation.attributes["explicit_paddings"][2 * axis + 2 : 2 * axis + 4]
        else:
            pair = (0, 0)
        pads.append(pair)
        sizes.append((size + sum(pair) - reach) // stride + 1)
    if min(sizes) < 1:
        raise operation.unfit(f"its window {window} is larger than what it is given, {source.shape[1:3]}")
    return (pads[0], pads[1]), (sizes[0], sizes[1])


def _in_onnx_order(pads: _Pads) -> list[int]:
    (top, bottom), (left, right) = pads
    return [top, left, bottom, right]


def _with_pad_before(writer: Writer, name: str, pads: _Pads) -> tuple[str, _Pads]:
    """Let a convolution do the padding with 0 that stands before it."""
    node = writer.nodes.get(name)
    if node is None or node.kind != "Pad" or writer.arrays[node.inputs[2]] != 0:
        return name, pads
    given = _put_around(writer, node)
    return (name, pads) if given is None else (node.inputs[0], (_add(pads[0], given[0]), _add(pads[1], given[1])))


def _put_around(writer: Writer, node: Node) -> _Pads | None:
    """Read a Pad of pictures; None if it is for more than pixels, or takes away."""
    numbers = writer.arrays[node.inputs[1]].tolist()
    if len(numbers) != 8 or any(numbers[0:2] + numbers[4:6]) or min(numbers) < 0:
        return None
    return (numbers[2], numbers[6]), (numbers[3], numbers[7])


def _add(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    return first[0] + second[0], first[1] + second[1]
