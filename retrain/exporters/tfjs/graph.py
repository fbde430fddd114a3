"""What of a frozen graph a browser gets: input to scores, in the operations that TensorFlow.js has, and few of them.

Cut at the input; without operations that pass on what they are given; batch normalisation folded into the convolution
before it; bias and ReLU done within the convolution, which is one pass over the pixels in place of three.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrain.bundle import Bundle
from retrain.errors import ModelError, WeightsError
from retrain.exporters.tfjs.fusing import ACTIVATIONS, ADDITIONS, FUSED, fold_scales, fuse
from retrain.exporters.tfjs.nodes import BOOL, FLOAT, INT32, ByName, constant, operation, values_of
from retrain.graphs.checked import BOTTLENECK_NODE, parse_graph, path_between
from retrain.graphs.compat import ATTRIBUTES_OF_1_15

# Of the operations that our graphs are made of, those in the lists of @tensorflow/tfjs-converter 4.22
# (src/operations/op_list); tests/cli/test_tfjs_browser.py asks the package.
MAPPED = frozenset({
    "Add", "AddV2", "AvgPool", "BatchMatMulV2", "BiasAdd", "Cast", "ConcatV2", "Const", "Conv2D",
    "DepthwiseConv2dNative", "Erf", "Exp", "ExpandDims", "FusedBatchNorm", "FusedBatchNormV3", "GatherV2",
    "Identity", "IdentityN", "LRN", "MatMul", "Max", "MaxPool", "Maximum", "Mean", "Min", "Minimum", "Mul", "Neg",
    "Pack", "Pad", "PadV2", "Placeholder", "PlaceholderWithDefault", "Pow", "Prod", "Range", "RealDiv", "Relu",
    "Relu6", "Reshape", "Rsqrt", "Shape", "Sigmoid", "Softmax", "Sqrt", "Square", "SquaredDifference", "Squeeze",
    "StopGradient", "StridedSlice", "Sub", "Sum", "Tanh", "Transpose",
})  # fmt: skip
# Written in other operations.
_REWRITTEN = frozenset({"Erfc"})
_PASSING = frozenset({"Identity", "IdentityN", "PlaceholderWithDefault", "StopGradient"})
_NORMALISATIONS = frozenset({"FusedBatchNorm", "FusedBatchNormV3"})
# How many things those take that are taken apart here.
_TAKEN_APART = {
    **dict.fromkeys(ACTIVATIONS, 1),
    **dict.fromkeys(FUSED, 2),
    **dict.fromkeys(_REWRITTEN, 1),
    **dict.fromkeys(_NORMALISATIONS, 5),
    **dict.fromkeys(ADDITIONS | {"Mul"}, 2),
}


def browser_graph(graph: bytes, bundle: Bundle) -> Any:  # noqa: ANN401 - protobuf's classes have no types
    """Rewrite a frozen graph for TensorFlow.js.

    Args:
        graph: serialised GraphDef; what stands before the bundle's input node is left out.
        bundle: names input and output, and gives the input's size.

    Returns:
        A GraphDef: input, float32 (N, H, W, 3) -> output. ``bottleneck``, where the graph has it, keeps its name.

    Raises:
        ModelError: it is no graph, or has an operation that TensorFlow.js does not.
    """
    try:
        parsed = parse_graph(graph)
        nodes = _between(parsed, bundle)
        for node in nodes.values():
            _check(node)
        nodes = _without_passing(nodes, {bundle.output_node, BOTTLENECK_NODE})
        nodes = _expanded(nodes)
        fold_scales(nodes)
        fuse(nodes)
        order = path_between(nodes, "", bundle.output_node)
    except WeightsError as error:  # what reads strangers' graphs was made for backbones
        raise ModelError(f"cannot be written for TensorFlow.js: {error}") from error
    result = type(parsed)()
    result.versions.producer = parsed.versions.producer
    result.node.extend(nodes[name] for name in order)
    return result


def _between(parsed: Any, bundle: Bundle) -> ByName:  # noqa: ANN401
    """Take input to output, in an order in which they can be calculated; the input becomes a plain placeholder."""
    given = {node.name: node for node in parsed.node}
    nodes = {}
    for name in path_between(given, bundle.input_node, bundle.output_node):
        node = type(given[name])()
        node.name, node.op = name, given[name].op
        node.input.extend(one.removesuffix(":0") for one in given[name].input if not one.startswith("^"))
        for attribute in set(given[name].attr) & ATTRIBUTES_OF_1_15.get(node.op, set()):
            node.attr[attribute].CopyFrom(given[name].attr[attribute])
        nodes[name] = node
    others = [name for name, node in nodes.items() if node.op == "Placeholder" and name != bundle.input_node]
    if others:
        raise ModelError(f"expected a model with one input, {bundle.input_node}; it has {others[0]}, too")
    source = nodes[bundle.input_node]
    source.Clear()
    source.name, source.op = bundle.input_node, "Placeholder"
    source.attr["dtype"].type = FLOAT
    for size in (-1, bundle.input_height, bundle.input_width, 3):
        source.attr["shape"].shape.dim.add(size=size)
    return nodes


def _check(node: Any) -> None:  # noqa: ANN401
    """Refuse what TensorFlow.js would refuse, or calculate otherwise without a word."""
    if node.op not in MAPPED | _REWRITTEN:
        raise ModelError(
            f"TensorFlow.js has no operation {node.op} ({node.name}), so this model cannot be written for a browser; "
            "export it in another format, or train on another --architecture"
        )
    for name, value in node.attr.items():
        if value.WhichOneof("value") == "type" and value.type not in (FLOAT, INT32, BOOL):
            raise ModelError(f"{node.name} ({node.op}) has {name} of type {value.type}; TensorFlow.js has float32 only")
    taken = _TAKEN_APART.get(node.op, len(node.input))
    if len(node.input) != taken:
        raise ModelError(f"expected {node.name} ({node.op}) to take {taken} things, got {len(node.input)}: damaged")
    problem = {
        "pixels after channels (NCHW)": _text(node, "data_format") not in (b"", b"NHWC"),
        "batch normalisation in training": "is_training" in node.attr and node.attr["is_training"].b,
        "pooling with paddings of its own": "Pool" in node.op and _text(node, "padding") == b"EXPLICIT",
    }
    for what, found in problem.items():
        if found:
            raise ModelError(f"{node.name} ({node.op}) is {what}, which TensorFlow.js does not calculate")
    if node.op == "Const":
        values_of(node)  # of a type that it has, and whole


def _text(node: Any, attribute: str) -> bytes:  # noqa: ANN401
    # Trap: asking for an attribute makes it.
    return bytes(node.attr[attribute].s) if attribute in node.attr else b""


def _without_passing(nodes: ByName, kept: set[str]) -> ByName:
    """Have everybody take what an Identity takes."""
    sources: dict[str, str] = {}
    left = {}
    for name, node in nodes.items():
        inputs = [sources.get(one, one) for one in node.input]
        if node.op in _PASSING and name not in kept:
            sources.update({f"{name}:{index}" if index else name: one for index, one in enumerate(inputs)})
            continue
        several = [one for one in inputs if ":" in one]
        if several:
            raise ModelError(f"{name} takes {several[0]}, a second result: TensorFlow.js is not given such operations")
        del node.input[:]
        node.input.extend(inputs)
        left[name] = node
    return left


def _expanded(nodes: ByName) -> ByName:
    """Say in simple operations what TensorFlow.js does not have, and what can be folded once it is simple."""
    result: ByName = {}
    for name, node in nodes.items():
        if node.op == "Erfc":
            _put(result, constant(f"{name}/one", np.float32(1)))
            _put(result, operation(f"{name}/erf", "Erf", node.input[:1]))
            _put(result, operation(name, "Sub", [f"{name}/one", f"{name}/erf"]))
        elif node.op in _NORMALISATIONS and all(nodes[one].op == "Const" for one in node.input[1:5]):
            gamma, beta, mean, variance = (values_of(nodes[one]).astype(np.float64) for one in node.input[1:5])
            scale = gamma / np.sqrt(variance + node.attr["epsilon"].f)
            _put(result, constant(f"{name}/scale", scale.astype(np.float32)))
            _put(result, constant(f"{name}/shift", (beta - mean * scale).astype(np.float32)))
            _put(result, operation(f"{name}/scaled", "Mul", [node.input[0], f"{name}/scale"]))
            _put(result, operation(name, "AddV2", [f"{name}/scaled", f"{name}/shift"]))
        else:
            _put(result, node)
    return result


def _put(nodes: ByName, node: Any) -> None:  # noqa: ANN401
    if node.name in nodes:
        raise ModelError(f"the graph has a node {node.name}, a name that is needed for TensorFlow.js; rename it")
    nodes[node.name] = node
