"""Convolutions of a browser's graph: what comes after them done within them, and taken apart again.

TensorFlow.js has convolutions with a bias and an activation, which go over the pixels once in place of three times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.exporters.tfjs.nodes import ByName, constant, operation, values_of
from retrain.graphs.checked import source_name
from retrain.graphs.compat import ATTRIBUTES_OF_1_15

# Ours -> TensorFlow.js's name of the same with bias and activation. Trap: without a bias it drops the activation.
FUSED = {"Conv2D": "_FusedConv2D", "DepthwiseConv2dNative": "FusedDepthwiseConv2dNative"}
UNFUSED = {fused: plain for plain, fused in FUSED.items()}
ACTIVATIONS = ("Relu", "Relu6")
ADDITIONS = frozenset({"Add", "AddV2", "BiasAdd"})


def fold_scales(nodes: ByName) -> None:
    """Multiply filters and biases in place of their results.

    Args:
        nodes: by name, each after what it takes; changed.
    """
    users = _users(nodes)
    for name, node in list(nodes.items()):
        source, factor = _split(nodes, node) if node.op == "Mul" else ("", "")
        biased, bias = nodes.get(source), ""
        if biased is not None and biased.op in ADDITIONS and users[source] == 1:
            source, bias = _split(nodes, biased)
        convolution = nodes.get(source)
        if convolution is None or not _is_alone(convolution, users) or users[bias] > 1:
            continue
        channels = _result_channels(nodes, convolution)
        scale = _a_channel(nodes[factor], channels)
        shift = _a_channel(nodes[bias], channels) if bias else None
        if scale is None or (bias and shift is None):
            continue
        _scale_filters(nodes, convolution, scale)
        if shift is not None:
            nodes[bias].CopyFrom(constant(bias, shift * scale))
        _take_the_place(nodes, biased if bias else convolution, name)


def _scale_filters(nodes: ByName, convolution: Any, scale: npt.NDArray[np.float32]) -> None:  # noqa: ANN401
    kernel = nodes[convolution.input[1]]
    filters = values_of(kernel)
    # A depthwise filter has (channel, multiplier) where the others have the channel of the result.
    wide = scale.reshape(filters.shape[2:]) if convolution.op == "DepthwiseConv2dNative" else scale
    kernel.CopyFrom(constant(kernel.name, (filters.astype(np.float64) * wide).astype(np.float32)))


def fuse(nodes: ByName) -> None:
    """Have convolutions add their bias and clip their result themselves.

    Args:
        nodes: by name, each after what it takes; changed.
    """
    users = _users(nodes)
    for name, node in list(nodes.items()):
        if node.op in ADDITIONS:
            source, bias = _split(nodes, node)
            convolution = nodes.get(source)
            if convolution is not None and users[bias] == 1 and _add_bias(nodes, convolution, bias, users):
                _take_the_place(nodes, convolution, name)
        elif node.op in ACTIVATIONS:
            fused = nodes[node.input[0]]
            if _takes_more(fused) and users[fused.name] == 1:
                fused.attr["fused_ops"].list.s.append(node.op.encode())
                _take_the_place(nodes, fused, name)


def _add_bias(nodes: ByName, convolution: Any, bias: str, users: Counter[str]) -> bool:  # noqa: ANN401
    """Give a convolution a bias, or a further one; say whether it could be done."""
    if not _is_alone(convolution, users) and not (_takes_more(convolution) and users[convolution.name] == 1):
        return False
    values = _a_channel(nodes[bias], _result_channels(nodes, convolution))
    if values is None:
        return False
    if convolution.op in UNFUSED:
        values = values + values_of(nodes[convolution.input[2]])
        del convolution.input[2]
    else:
        convolution.op = FUSED[convolution.op]
        convolution.attr["num_args"].i = 1
        convolution.attr["fused_ops"].list.s.append(b"BiasAdd")
    nodes[bias].CopyFrom(constant(bias, values))
    convolution.input.append(bias)
    return True


def _is_alone(node: Any, users: Counter[str]) -> bool:  # noqa: ANN401
    """Say whether a node is a convolution whose result and filter nobody else takes."""
    return node.op in FUSED and users[node.name] == 1 and users[node.input[1]] == 1


def _takes_more(node: Any) -> bool:  # noqa: ANN401
    return node.op in UNFUSED and len(node.attr["fused_ops"].list.s) == 1


def unfused(node: Any) -> Iterable[Any]:  # noqa: ANN401
    """Say a convolution with bias and activation as TensorFlow has it.

    Args:
        node: as browser_graph wrote it, checked to be one of UNFUSED.

    Returns:
        Convolution, BiasAdd and, where there is one, the activation; the last one has the node's name.
    """
    names = [f"{node.name}/{index}" for index in range(len(node.attr["fused_ops"].list.s))] + [node.name]
    plain = operation(names[0], UNFUSED[node.op], node.input[:2])
    for attribute in set(node.attr) & ATTRIBUTES_OF_1_15[plain.op]:
        plain.attr[attribute].CopyFrom(node.attr[attribute])
    yield plain
    for index, kind in enumerate(node.attr["fused_ops"].list.s):
        more = node.input[2:] if kind == b"BiasAdd" else []
        yield operation(names[index + 1], kind.decode(), [names[index], *more])


def _users(nodes: ByName) -> Counter[str]:
    return Counter(source_name(one) for node in nodes.values() for one in node.input)


def _split(nodes: ByName, node: Any) -> tuple[str, str]:  # noqa: ANN401
    """Name the two things that an operation takes, a constant second; twice nothing where none is one."""
    first, second = node.input
    if nodes[first].op == "Const":
        first, second = second, first
    return (first, second) if nodes[second].op == "Const" and nodes[first].op != "Const" else ("", "")


def _result_channels(nodes: ByName, convolution: Any) -> int:  # noqa: ANN401
    kernel = nodes[convolution.input[1]]
    if kernel.op != "Const":
        return 0
    shape = values_of(kernel).shape
    return int(shape[3] if convolution.op in ("Conv2D", FUSED["Conv2D"]) else shape[2] * shape[3])


def _a_channel(node: Any, channels: int) -> npt.NDArray[np.float32] | None:  # noqa: ANN401
    """Read a constant as a number a channel; None where it is something else."""
    values = values_of(node)
    # Only what is spread along the last dimension; a number for each pixel is no bias.
    last = values.shape[-1] if values.ndim else 1
    if (
        not channels
        or values.dtype != np.float32
        or values.ndim > 4
        or values.size != last
        or last not in (1, channels)
    ):
        return None
    return np.ascontiguousarray(np.broadcast_to(values.reshape(-1), (channels,)))


def _take_the_place(nodes: ByName, node: Any, name: str) -> None:  # noqa: ANN401
    del nodes[node.name]
    node.name = name
    nodes[name] = node
