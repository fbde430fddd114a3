"""ONNX from graphs made by hand, run by onnxruntime, against NumPy."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from support import bundle_of, noise, tiny_graph
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.bundle import METADATA_ENTRY, bundle_from_json
from retrain.errors import ModelError, UsageError
from retrain.exporters import frozen_graph
from retrain.exporters.onnx import model as onnx_model
from retrain.exporters.onnx import operations as onnx_operations
from retrain.exporters.onnx import sizes as onnx_sizes
from retrain.graphs.compat import ATTRIBUTES_OF_1_15
from retrain.head import Head
from retrain.images import InputSpec, normalise
from retrain.modelfile.onnxfile import OPERATIONS
from retrain.onnx_runtime import open_session

GENERATOR = np.random.default_rng(0)
FLOAT, INT32 = 1, 3
SIDE = 6
KERNEL = GENERATOR.standard_normal((3, 3, 3, 4)).astype(np.float32)
DEEP = GENERATOR.standard_normal((3, 3, 3, 2)).astype(np.float32)
ROW = np.array([0.5, -2.0, 3.0], np.float32)
WIDE = GENERATOR.standard_normal(4).astype(np.float32)


class Graph:
    """A frozen graph in the making; every method gives the name of the node it adds."""

    def __init__(self, side=SIDE):
        self.definition = GraphDef()
        self.side = side
        source = self.definition.node.add(name="input", op="Placeholder")
        source.attr["dtype"].type = FLOAT
        for size in (-1, side, side, 3):
            source.attr["shape"].shape.dim.add(size=size)

    def constant(self, values):
        values = np.asarray(values)
        values = values.astype("<i4" if values.dtype.kind == "i" else "<f4")
        node = self.definition.node.add(name=f"constant_{len(self.definition.node)}", op="Const")
        tensor = node.attr["value"].tensor
        tensor.dtype = INT32 if values.dtype.kind == "i" else FLOAT
        for size in values.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = values.tobytes()
        return node.name

    def add(self, operation, *sources, name="", **settings):
        names = [one if isinstance(one, str) else self.constant(one) for one in sources]
        name = name or f"{operation}_{len(self.definition.node)}"
        node = self.definition.node.add(name=name, op=operation, input=names)
        for key, value in settings.items():
            attribute = node.attr[key]
            if isinstance(value, bool):
                attribute.b = value
            elif isinstance(value, str):
                attribute.s = value.encode()
            elif isinstance(value, float):
                attribute.f = value
            elif isinstance(value, tuple):
                attribute.list.i.extend(value)
            elif key in ("DstT", "T"):
                attribute.type = value
            else:
                attribute.i = value
        return name

    def model(self, last, width):
        """The ONNX file of what ``last`` gives, as rows of ``width`` numbers."""
        self.add("Reshape", last, np.array([-1, width]), name="final_result")
        return onnx_model.onnx_model(self.definition.SerializeToString(), self.bundle(width))

    def bundle(self, width):
        return bundle_of([str(place) for place in range(width)], input_height=self.side, input_width=self.side)


def pictures(count=7, side=SIDE):
    return np.random.default_rng(3).uniform(-2, 2, (count, side, side, 3)).astype(np.float32)


def answers(content, images):
    return open_session(content).run(["final_result"], {"input": images})[0]


def kinds(content):
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def check(graph, last, expected, tolerance=1e-5):
    """Compare with what NumPy says, one picture and seven at a time; give the operations of the file."""
    images = pictures(side=graph.side)
    expected = np.asarray(expected, np.float32).reshape(len(images), -1)
    content = graph.model(last, expected.shape[1])
    np.testing.assert_allclose(answers(content, images), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(answers(content, images[:1]), expected[:1], rtol=tolerance, atol=tolerance)
    done = kinds(content)
    assert set(done) <= OPERATIONS  # those that label_image runs
    return done


def windows(images, reach, stride, pads, fill):
    """(N, rows, columns, reach, reach, C): each window of pictures, with ``fill`` around them."""
    padded = np.pad(images, ((0, 0), *pads, (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, (reach, reach), axis=(1, 2))[:, ::stride, ::stride]
    return view.transpose(0, 1, 2, 4, 5, 3)


def same(size, reach, stride):
    missing = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return (missing // 2, missing - missing // 2)


def convolved(images, kernel, stride=1, pads=((0, 0), (0, 0))):
    return np.einsum("nrcijk,ijko->nrco", windows(images, kernel.shape[0], stride, pads, 0), kernel)


def convolved_apart(images, kernel, stride=1, pads=((0, 0), (0, 0))):
    result = np.einsum("nrcijk,ijkm->nrckm", windows(images, kernel.shape[0], stride, pads, 0), kernel)
    return result.reshape(*result.shape[:3], -1)


def erf(values):
    from math import erf as of_one

    return np.vectorize(of_one)(values)


X = pictures()
ONE_AT_A_TIME = {
    "Relu": ((), np.maximum(X, 0)),
    "Relu6": ((), np.clip(X, 0, 6)),
    "Sigmoid": ((), 1 / (1 + np.exp(-X))),
    "Tanh": ((), np.tanh(X)),
    "Exp": ((), np.exp(X)),
    "Neg": ((), -X),
    "Square": ((), X * X),
    "Erf": ((), erf(X)),
    "Erfc": ((), 1 - erf(X)),
    "Add": ((ROW,), X + ROW),
    "AddV2": ((np.float32(2),), X + 2),
    "BiasAdd": ((ROW,), X + ROW),
    "Sub": ((ROW,), X - ROW),
    "Mul": ((ROW,), X * ROW),
    "RealDiv": ((ROW,), X / ROW),
    "Maximum": ((ROW,), np.maximum(X, ROW)),
    "Minimum": ((np.float32(0.5),), np.minimum(X, 0.5)),
    "SquaredDifference": ((ROW,), (X - ROW) ** 2),
    "Pow": ((np.float32(2),), X**2),
}


@pytest.mark.parametrize("after", ["the input", "a convolution"])
@pytest.mark.parametrize("kind", ONE_AT_A_TIME)
def test_operations_on_single_numbers(kind, after):
    others, expected = ONE_AT_A_TIME[kind]
    graph = Graph()
    source = "input"
    if after == "a convolution":  # channels first from here on; the kernel passes the picture on
        graph.add("Conv2D", "input", np.eye(3, dtype=np.float32)[None, None], padding="VALID", name="copy")
        source = graph.add("Identity", "copy")
        graph.add("Relu", "copy")  # a second reader, so that nothing is folded
        graph.definition.node[-1].name = "reader"
        source = graph.add("Maximum", source, np.float32(-100))
    check(graph, graph.add(kind, source, *others), expected)


@pytest.mark.parametrize("kind", ["Sub", "RealDiv"])
def test_the_order_of_operands_counts(kind):
    graph = Graph()
    shifted = graph.add("Add", graph.add("Square", "input"), np.float32(1))
    positive = X.astype(np.float64) ** 2 + 1
    check(graph, graph.add(kind, ROW, shifted), ROW - positive if kind == "Sub" else ROW / positive)


def test_roots():
    graph = Graph()
    positive = graph.add("Add", graph.add("Square", "input"), np.float32(1))
    both = graph.add("Mul", graph.add("Sqrt", positive), graph.add("Rsqrt", positive))
    check(graph, graph.add("Mul", both, graph.add("Rsqrt", positive)), 1 / np.sqrt(X * X + 1))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [6, 7])
def test_convolutions_and_pools_pad_as_tensorflow_does(padding, stride, side):
    images = pictures(side=side)
    pads = (same(side, 3, stride),) * 2 if padding == "SAME" else ((0, 0), (0, 0))
    settings = {"padding": padding, "strides": (1, stride, stride, 1)}
    for kind, expected in (
        ("Conv2D", convolved(images, KERNEL, stride, pads)),
        ("DepthwiseConv2dNative", convolved_apart(images, DEEP, stride, pads)),
        ("MaxPool", windows(images, 3, stride, pads, -np.inf).max(axis=(3, 4))),
        ("AvgPool", np.nanmean(windows(images, 3, stride, pads, np.nan), axis=(3, 4))),
    ):
        graph = Graph(side)
        if kind.endswith("Pool"):
            last = graph.add(kind, "input", ksize=(1, 3, 3, 1), **settings)
        else:
            last = graph.add(kind, "input", KERNEL if kind == "Conv2D" else DEEP, **settings)
        check(graph, last, expected)


def test_dilations_and_explicit_padding():
    graph = Graph()
    pads = ((2, 1), (0, 3))
    last = graph.add(
        "Conv2D", "input", KERNEL, padding="EXPLICIT", explicit_paddings=(0, 0, 2, 1, 0, 3, 0, 0),
        dilations=(1, 2, 2, 1), strides=(1, 1, 1, 1),
    )  # fmt: skip
    spread = np.zeros((5, 5, 3, 4), np.float32)
    spread[::2, ::2] = KERNEL
    check(graph, last, convolved(X, spread, 1, pads))


def test_groups():
    graph = Graph()
    grouped = GENERATOR.standard_normal((1, 1, 1, 6)).astype(np.float32)
    last = graph.add("Conv2D", "input", grouped, padding="VALID", strides=(1, 1, 1, 1))
    check(graph, last, np.repeat(X, 2, axis=3) * grouped.ravel())


def test_what_follows_a_convolution_is_folded_into_it():
    graph = Graph()
    last = graph.add("Conv2D", "input", KERNEL, padding="SAME", strides=(1, 1, 1, 1))
    last = graph.add("AddV2", graph.add("Mul", last, WIDE), WIDE)
    last = graph.add("BiasAdd", graph.add("RealDiv", last, np.float32(3)), WIDE)
    last = graph.add("Sub", graph.add("Identity", last), WIDE[None, None, None])
    expected = (convolved(X, KERNEL, 1, (same(6, 3, 1),) * 2) * WIDE + WIDE) / 3
    assert check(graph, last, expected) == ["Transpose", "Conv", "Transpose", "Reshape"]


@pytest.mark.parametrize("version", ["", "V2", "V3"])
def test_a_batch_normalisation_is_folded_and_its_numbers_may_be_calculated(version):
    graph = Graph()
    product = graph.add("DepthwiseConv2dNative", "input", DEEP, padding="VALID", strides=(1, 1, 1, 1))
    gamma, beta, mean, variance = np.random.default_rng(5).uniform(0.5, 2, (4, 6)).astype(np.float32)
    root = graph.add("Sqrt", variance**2)
    last = graph.add(f"FusedBatchNorm{version}", product, gamma, beta, mean, root, is_training=False, epsilon=0.001)
    expected = (convolved_apart(X, DEEP) - mean) / np.sqrt(variance + 0.001) * gamma + beta
    assert check(graph, last, expected) == ["Transpose", "Conv", "Transpose", "Reshape"]


def test_what_two_read_is_not_changed_for_one():
    graph = Graph()
    product = graph.add("Conv2D", "input", KERNEL, padding="VALID", strides=(1, 1, 1, 1))
    scaled = graph.add("AddV2", graph.add("Mul", product, WIDE), WIDE)
    last = graph.add("AddV2", product, graph.add("Relu", scaled))
    plain = convolved(X, KERNEL)
    done = check(graph, last, plain + np.maximum(plain * WIDE + WIDE, 0))
    # One pass for the factor and the shift.
    assert done == ["Transpose", "Conv", "BatchNormalization", "Relu", "Add", "Transpose", "Reshape"]


def test_padding_before_a_convolution_becomes_its_own():
    graph = Graph()
    around = np.array([[0, 0], [1, 2], [0, 1], [0, 0]])
    padded = graph.add("Pad", "input", around)
    last = graph.add("Conv2D", padded, KERNEL, padding="VALID", strides=(1, 2, 2, 1))
    done = check(graph, last, convolved(X, KERNEL, 2, ((1, 2), (0, 1))))
    assert done == ["Transpose", "Conv", "Transpose", "Reshape"]


def test_padding_with_another_number_stays():
    graph = Graph()
    around = np.array([[0, 0], [1, 1], [1, 1], [0, 0]])
    padded = graph.add("PadV2", "input", around, np.float32(0.25))
    last = graph.add("Conv2D", padded, KERNEL, padding="VALID", strides=(1, 1, 1, 1))
    expected = convolved(np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=0.25), KERNEL)
    assert "Pad" in check(graph, last, expected)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("fill", [0.0, -0.5])
@pytest.mark.parametrize("positive", [False, True])
def test_padding_before_a_maximum_is_not_forgotten(padding, fill, positive):
    # onnxruntime by itself makes such a Pad the MaxPool's own, whose padding never wins.
    graph = Graph()
    source = graph.add("Relu", "input") if positive else graph.add("Sub", "input", np.float32(3))
    below = np.maximum(X, 0) if positive else X - 3
    around = ((1, 0), (0, 1))
    padded = graph.add("PadV2", source, np.array([[0, 0], *around, [0, 0]]), np.float32(fill))
    last = graph.add("MaxPool", padded, ksize=(1, 4, 4, 1), strides=(1, 2, 2, 1), padding=padding)
    whole = np.pad(below, ((0, 0), *around, (0, 0)), constant_values=fill)
    own = (same(7, 4, 2),) * 2 if padding == "SAME" else ((0, 0), (0, 0))
    check(graph, last, windows(whole, 4, 2, own, -np.inf).max(axis=(3, 4)))


def test_padding_as_wide_as_the_window_of_a_maximum_is_refused():
    graph = Graph()
    padded = graph.add("Pad", "input", np.array([[0, 0], [2, 2], [2, 2], [0, 0]]))
    last = graph.add("MaxPool", padded, ksize=(1, 2, 2, 1), strides=(1, 2, 2, 1), padding="VALID")
    with pytest.raises(ModelError, match=r"MaxPool.*as wide as its window"):
        graph.model(last, 75)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", [(1, 2), (3,), (-1,), (1,), (1, 2, 3)])
@pytest.mark.parametrize("kind", ["Mean", "Sum", "Max", "Min"])
def test_reductions(kind, axes, keep, first):
    graph = Graph()
    ones = np.ones((1, 1, 3, 1), np.float32)
    source = graph.add("DepthwiseConv2dNative", "input", ones, padding="VALID") if first else "input"
    last = graph.add(kind, source, np.array(axes), keep_dims=keep)
    function = {"Mean": np.mean, "Sum": np.sum, "Max": np.max, "Min": np.min}[kind]
    check(graph, last, function(X, axis=axes), 2e-5)


def test_hard_swish_is_one_operation_and_a_product():
    graph = Graph()
    source = graph.add("Conv2D", "input", KERNEL, padding="VALID", strides=(1, 1, 1, 1))
    three = graph.add("AddV2", source, np.float32(3))
    last = graph.add("Mul", source, graph.add("Mul", graph.add("Relu6", three), np.float32(1 / 6)))
    plain = convolved(X, KERNEL)
    done = check(graph, last, plain * np.clip(plain + 3, 0, 6) / 6)
    assert done == ["Transpose", "Conv", "HardSigmoid", "Mul", "Transpose", "Reshape"]


def test_squeeze_and_excite_stays_channels_first():
    """EfficientNet's: the mean as rows, made pictures of one pixel again by a size read off the input."""
    graph = Graph()
    source = graph.add("Conv2D", "input", KERNEL, padding="VALID", strides=(1, 1, 1, 1))
    mean = graph.add("Mean", source, np.array([1, 2]), keep_dims=False)
    count = graph.add("StridedSlice", graph.add("Shape", mean), np.array([0]), np.array([1]), np.array([1]),
                      shrink_axis_mask=1)  # fmt: skip
    sizes = graph.add("Pack", count, np.array(1), np.array(1), np.array(4), axis=0)
    pixel = graph.add("Reshape", mean, sizes)
    last = graph.add("Mul", source, graph.add("Sigmoid", pixel))
    plain = convolved(X, KERNEL)
    expected = plain / (1 + np.exp(-plain.mean(axis=(1, 2), keepdims=True)))
    done = check(graph, last, expected)
    assert done == ["Transpose", "Conv", "GlobalAveragePool", "Sigmoid", "Mul", "Transpose", "Reshape"]


def test_a_layer_on_pixels_takes_its_sizes_from_the_graph():
    """ConvNeXt's Tensordot: rows of pixels, as many as there are photographs times pixels."""
    graph = Graph()
    weights = GENERATOR.standard_normal((3, 4)).astype(np.float32)
    shape = graph.add("Shape", "input")
    outer = graph.add("GatherV2", shape, np.array([0, 1, 2]), np.array(0))
    rows = graph.add("Pack", graph.add("Prod", outer, np.array([0])), np.array(3), axis=0)
    product = graph.add("MatMul", graph.add("Reshape", "input", rows), weights)
    back = graph.add("Reshape", product, graph.add("ConcatV2", outer, np.array([4]), np.array(0)))
    last = graph.add("BiasAdd", back, WIDE)
    check(graph, last, X @ weights + WIDE)


MOVES = {
    "ConcatV2": (lambda graph, x: graph.add("ConcatV2", x, graph.add("Neg", x), x, np.array(3)), np.concatenate([X, -X, X], 3)),
    "ConcatV2 of rows": (lambda graph, x: graph.add("ConcatV2", x, x, np.array(-3)), np.concatenate([X, X], 1)),
    "Pack": (lambda graph, x: graph.add("Pack", x, x, axis=1), np.stack([X, X], 1)),
    "Transpose": (lambda graph, x: graph.add("Transpose", x, np.array([0, 3, 1, 2])), X.transpose(0, 3, 1, 2)),
    "ExpandDims": (lambda graph, x: graph.add("ExpandDims", x, np.array(-1)), X[..., None]),
    "Squeeze": (lambda graph, x: graph.add("Squeeze", graph.add("ExpandDims", x, np.array(2)), squeeze_dims=(2,)), X),
    "GatherV2": (lambda graph, x: graph.add("GatherV2", x, np.array([2, 0]), np.array(3)), X[..., [2, 0]]),
    "Pad": (lambda graph, x: graph.add("Pad", x, np.array([[0, 0], [1, 0], [0, 2], [0, 1]])), np.pad(X, ((0, 0), (1, 0), (0, 2), (0, 1)))),
    "StridedSlice": (
        lambda graph, x: graph.add("StridedSlice", x, np.array([0, 1, 1, 0]), np.array([0, 2**31 - 1, 5, 0]),
                                   np.array([1, 2, 1, 1]), begin_mask=9, end_mask=9),
        X[:, 1::2, 1:5],
    ),
    "StridedSlice of one channel": (
        lambda graph, x: graph.add("StridedSlice", x, np.array([0, 0, 0, -1]), np.array([0, 0, 0, 0]),
                                   np.array([1, 1, 1, 1]), begin_mask=7, end_mask=7, shrink_axis_mask=8),
        X[..., -1],
    ),
    "StridedSlice of fewer axes": (
        lambda graph, x: graph.add("StridedSlice", x, np.array([0, 2]), np.array([0, 4]), np.array([1, 1]),
                                   begin_mask=1, end_mask=1),
        X[:, 2:4],
    ),
    "Reshape": (lambda graph, x: graph.add("Reshape", x, np.array([-1, 9, 12])), X.reshape(7, 9, 12)),
    "Cast": (lambda graph, x: graph.add("Cast", x, DstT=FLOAT), X),
}  # fmt: skip


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("name", MOVES)
def test_operations_that_move_numbers(name, first):
    build, expected = MOVES[name]
    graph = Graph()
    ones = np.ones((1, 1, 3, 1), np.float32)
    source = graph.add("DepthwiseConv2dNative", "input", ones, padding="VALID") if first else "input"
    check(graph, build(graph, source), expected)


def test_response_normalisation():
    graph = Graph()
    last = graph.add("LRN", "input", depth_radius=1, alpha=0.5, beta=0.75, bias=2.0)
    squares = np.pad(X.astype(np.float64) ** 2, ((0, 0), (0, 0), (0, 0), (1, 1)))
    expected = X / (2 + 0.5 * (squares[..., :-2] + squares[..., 1:-1] + squares[..., 2:])) ** 0.75
    check(graph, last, expected)


@pytest.mark.parametrize(("turn_left", "turn_right"), [(False, False), (True, False), (False, True), (True, True)])
def test_products_of_matrices(turn_left, turn_right):
    graph = Graph()
    left, right = "input", graph.add("Square", "input")
    last = graph.add("BatchMatMulV2", left, right, adj_x=turn_left, adj_y=turn_right)
    turned = X.swapaxes(2, 3)
    expected_left, expected_right = turned if turn_left else X, (turned if turn_right else X) ** 2
    if expected_left.shape[3] != expected_right.shape[2]:
        with pytest.raises(ModelError, match=r"BatchMatMulV2.*columns do not go with"):
            graph.model(last, 1)
        return
    check(graph, last, expected_left @ expected_right, 1e-4)


@pytest.mark.parametrize("turned", [False, True])
def test_a_layer_holds_its_bias(turned):
    graph = Graph()
    weights = GENERATOR.standard_normal((108, 5)).astype(np.float32)
    rows = graph.add("Reshape", "input", np.array([-1, 108]))
    product = graph.add("MatMul", rows, weights.T if turned else weights, transpose_b=turned)
    last = graph.add("Softmax", graph.add("Add", product, np.arange(5, dtype=np.float32)))
    logits = X.reshape(7, -1) @ weights + np.arange(5)
    scores = np.exp(logits - logits.max(1, keepdims=True))
    done = check(graph, last, scores / scores.sum(1, keepdims=True))
    assert done == ["Reshape", "Gemm", "Softmax", "Reshape"]


def test_constants_of_nothing_but_zeros_are_written_without_numbers():
    graph = Graph()
    name = graph.constant(np.zeros(3, np.float32))
    graph.definition.node[-1].attr["value"].tensor.tensor_content = b""
    check(graph, graph.add("Maximum", "input", name), np.maximum(X, 0))


HEAD = Head(GENERATOR.standard_normal((12, 2)).astype(np.float32), np.array([0.5, -0.25], np.float32), 7)
BUNDLE = bundle_of(versions={"retrain-photos": "1.2.3"}, date="2026-01-02T03:04:05Z")


def whole_graph():
    """The tiny backbone, which passes twelve numbers on, and a head on it."""
    graph = GraphDef.FromString(tiny_graph())
    del graph.node[1]
    shape = graph.node.add(name="rows", op="Const").attr["value"].tensor
    shape.dtype = INT32
    shape.tensor_shape.dim.add(size=2)
    shape.int_val.extend([-1, 12])
    graph.node.add(name="bottleneck", op="Reshape", input=["input", "rows"])
    return frozen_graph(graph.SerializeToString(), HEAD, BUNDLE)


@pytest.fixture
def content():
    return onnx_model.onnx_model(whole_graph(), BUNDLE)


def test_the_model_scores_pixels_as_the_head_does(content):
    spec = BUNDLE.input_spec
    picture = noise(2, 2)
    scores = onnx_model.onnx_scorer(content, spec)(picture)
    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx(
        HEAD.probabilities(normalise(picture, spec).reshape(1, 12))[0].tolist(), abs=1e-6
    )


def test_the_model_describes_itself(content):
    model = onnx.load_from_string(content)
    facts = {one.key: one.value for one in model.metadata_props}
    assert bundle_from_json(facts[METADATA_ENTRY].encode(), "x") == BUNDLE
    assert facts["labels"].splitlines() == list(BUNDLE.labels)
    assert facts["input"] == "input: float32 (batch, 2, 2, 3), RGB, (value - 127.5) / 127.5 of values from 0 to 255"
    assert (model.producer_name, model.producer_version) == ("retrain-photos", "1.2.3")
    assert (model.ir_version, model.opset_import[0].version) == (6, 11)


def test_input_and_output_have_the_names_and_shapes_promised(content):
    graph = onnx.load_from_string(content).graph
    shapes = {
        one.name: [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in (*graph.input, *graph.output)
    }
    assert shapes == {"input": ["batch", 2, 2, 3], "final_result": ["batch", 2]}


def test_the_same_model_is_the_same_bytes(content):
    assert onnx_model.onnx_model(whole_graph(), BUNDLE) == content


def test_what_stands_before_the_input_is_left_out(content):
    graph = GraphDef.FromString(whole_graph())
    graph.node.add(name="my/contents", op="Placeholder")
    graph.node.add(name="my/picture", op="DecodeJpeg", input=["my/contents"])
    (source,) = (node for node in graph.node if node.name == "input")
    source.op = "PlaceholderWithDefault"
    source.input[:] = ["my/picture"]
    assert onnx_model.onnx_model(graph.SerializeToString(), BUNDLE) == content


def test_there_is_a_word_for_every_operation_of_our_graphs():
    decoded_or_passed_on = {"Const", "Identity", "IdentityN", "Placeholder", "PlaceholderWithDefault", "StopGradient"}
    known = set(onnx_operations.KINDS) | set(onnx_sizes.KINDS) | decoded_or_passed_on | {"Shape"}
    assert set(ATTRIBUTES_OF_1_15) - known == set()


@pytest.mark.parametrize(
    ("operation", "sources", "settings", "said"),
    [
        ("DepthToSpace", ("input",), {}, r"DepthToSpace \(odd\).*does not know how"),
        ("Conv2D", ("input", "input"), {"padding": "SAME"}, "weights are not known"),
        ("Conv2D", ("input", KERNEL), {"padding": "SAME", "data_format": "NCHW"}, "NCHW"),
        ("Conv2D", ("input", KERNEL[:, :, :2]), {"padding": "SAME"}, "3 channels, and weights for 2"),
        ("Conv2D", ("input", KERNEL), {"padding": "SAME", "strides": (2, 1, 1, 1)}, "strides"),
        ("MaxPool", ("input",), {"padding": "VALID", "ksize": (1, 9, 9, 1)}, "larger than what it is given"),
        ("Reshape", ("input", np.array([5, 5])), {}, "it makes"),
        ("Cast", ("input",), {"DstT": INT32}, "something else of float32"),
        ("FusedBatchNorm", ("input", ROW, ROW, ROW, ROW), {}, "as in training"),
        ("Add", ("input", WIDE), {}, "not as TensorFlow writes it"),
        ("Softmax", ("input:1",), {}, "only first results"),
        ("GatherV2", ("input", np.array([0]), np.array(0)), {}, "among the photographs"),
        ("Transpose", ("input", "input"), {}, "depend on what is in the photograph"),
        ("Relu", (ROW,), {}, "nothing of what it takes"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_in_onnx_is_named(operation, sources, settings, said):
    graph = Graph()
    graph.add(operation, *sources, name="odd", **settings)
    last = graph.add("Add", "input", "odd")  # so that the path leads through it and from the input
    with pytest.raises(ModelError, match=said):
        graph.model(last, 108)


def test_arithmetic_on_the_number_of_photographs_is_refused():
    graph = Graph()
    count = graph.add("Cast", graph.add("Shape", "input"), DstT=FLOAT)
    with pytest.raises(ModelError, match="number of photographs"):
        graph.model(graph.add("Mul", "input", count), 108)


@pytest.mark.parametrize(
    ("graph", "said"),
    [(b"\xff" * 9, "cannot be written as ONNX"), (tiny_graph(), "not in the graph"), (b"", "without a single node")],
)
def test_damaged_graphs_are_refused(graph, said):
    with pytest.raises(ModelError, match=said):
        onnx_model.onnx_model(graph, BUNDLE)


def test_a_description_that_does_not_fit_is_refused():
    graph = Graph()
    graph.side = 5
    with pytest.raises(ModelError, match="5 x 5 pixels"):
        graph.model("input", 108)
    with pytest.raises(ModelError, match="3 scores"):
        onnx_model.onnx_model(whole_graph(), replace(BUNDLE, labels=("a", "b", "c")))


def test_a_missing_package_is_named_with_what_to_do(monkeypatch):
    assert onnx_model.problem() == ""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxruntime" else sys)
    assert "found no onnxruntime" in onnx_model.problem()
    assert "pip install 'retrain-photos[onnx]'" in onnx_model.problem()
    assert onnx_model.problem(("onnx",)) == ""
    with pytest.raises(UsageError, match=r"retrain-photos\[onnx\]"):
        onnx_model.onnx_scorer(b"", InputSpec(2, 2, 0, 1))


def test_a_file_that_is_none_is_refused():
    with pytest.raises(ModelError, match="cannot open the model"):
        onnx_model.onnx_scorer(b"none", InputSpec(2, 2, 0, 1))
