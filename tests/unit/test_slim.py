"""Slim's variables out of a frozen graph: by name, folded, damaged."""

from __future__ import annotations

import time
import zipfile

import numpy as np
import pytest

from retrain.backbones.slim import layer_names, read_slim_mobilenet, write_npz
from retrain.errors import WeightsError
from retrain.graphs.checked import MAX_ELEMENTS

FEATURES = 32
PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


def constant(graph, name, values):
    from tensorboard.compat.proto import types_pb2

    node = graph.node.add(name=name, op="Const")
    tensor = node.attr["value"].tensor
    node.attr["dtype"].type = tensor.dtype = types_pb2.DT_FLOAT
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = values.astype("<f4").tobytes()
    return node


def channels():
    """Layer -> incoming and outgoing channels of a MobileNet V1 with 32 features."""
    wide = [max(8, int(f * FEATURES / 1024)) for f in (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)]
    given = {"Conv2d_0": (3, wide[0])}
    for number in range(1, 14):
        given[f"Conv2d_{number}_depthwise"] = (wide[number - 1], wide[number - 1])
        given[f"Conv2d_{number}_pointwise"] = (wide[number - 1], wide[number])
    return given


def kernel_of(layer, random):
    incoming, outgoing = channels()[layer]
    side = 1 if layer.endswith("pointwise") else 3
    shape = (3, 3, incoming, 1) if layer.endswith("depthwise") else (side, side, incoming, outgoing)
    return random.normal(size=shape).astype(np.float32)


def kernel_name(layer):
    return f"MobilenetV1/{layer}/" + ("depthwise_weights" if layer.endswith("depthwise") else "weights")


def new_graph():
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    return GraphDef()


def slim_graph(head=True):
    """A graph of variables, and the arrays that Keras would have of it."""
    graph, random, wanted = new_graph(), np.random.default_rng(0), []
    for layer in layer_names():
        arrays = [kernel_of(layer, random)]
        arrays += [random.uniform(0.5, 2, channels()[layer][1]).astype(np.float32) for _ in PARTS]
        names = [kernel_name(layer), *(f"MobilenetV1/{layer}/BatchNorm/{part}" for part in PARTS)]
        for name, values in zip(names, arrays, strict=True):
            constant(graph, name, values)
            graph.node.add(name=f"{name}/read", op="Identity", input=[name])
        wanted += arrays
    if head:
        constant(graph, "MobilenetV1/Logits/Conv2d_1c_1x1/weights", random.normal(size=(1, 1, FEATURES, 1001)))
        constant(graph, "MobilenetV1/Logits/Conv2d_1c_1x1/biases", random.normal(size=1001))
    return graph, wanted


def folded_graph(way):
    """A graph without variables of batch normalisation; the scale and shift of each layer."""
    graph, random, wanted = new_graph(), np.random.default_rng(1), []
    for layer in layer_names():
        kernel, scope = kernel_of(layer, random), f"MobilenetV1/MobilenetV1/{layer}/"
        scale = random.uniform(0.5, 2, channels()[layer][1]).astype(np.float32)
        shift = random.normal(size=scale.shape).astype(np.float32)
        constant(graph, f"{scope}convolution_weights", kernel)
        operation = "DepthwiseConv2dNative" if layer.endswith("depthwise") else "Conv2D"
        graph.node.add(name=f"{scope}convolution", op=operation, input=["x", f"{scope}convolution_weights"])
        before = f"{scope}convolution"
        if way == "Mul and Add":
            constant(graph, f"{scope}scale", scale)
            graph.node.add(name=f"{scope}mul_1", op="Mul", input=[before, f"{scope}scale"])
            before = f"{scope}mul_1"
        constant(graph, f"{scope}convolution_bn_offset", shift)
        after = "BiasAdd" if way == "BiasAdd" else "Add"
        graph.node.add(name=f"{scope}add_1", op=after, input=[before, f"{scope}convolution_bn_offset"])
        graph.node.add(name=f"{scope}Relu6", op="Relu6", input=[f"{scope}add_1"])
        wanted.append((kernel, scale if way == "Mul and Add" else np.ones_like(scale), shift))
    return graph, wanted


def read(graph):
    return read_slim_mobilenet(graph.SerializeToString())


def node_of(graph, name):
    return next(node for node in graph.node if node.name == name)


def refused(graph, words):
    with pytest.raises(WeightsError, match=words):
        read(graph)


def test_arrays_come_in_the_order_of_keras():
    graph, wanted = slim_graph()
    weights = read(graph)
    assert len(weights.arrays) == len(wanted) == 135
    assert all(np.array_equal(got, want) for got, want in zip(weights.arrays, wanted, strict=True))
    assert all(array.dtype == np.float32 for array in weights.arrays)
    assert weights.width == FEATURES / 1024
    assert weights.head_kernel.shape == (FEATURES, 1001)
    assert weights.head_bias.shape == (1001,)


def test_a_graph_without_the_head_of_imagenet_has_none():
    weights = read(slim_graph(head=False)[0])
    assert weights.head_kernel is None
    assert weights.head_bias is None


@pytest.mark.parametrize(
    "name",
    [
        "MobilenetV1/Conv2d_0/weights",
        "MobilenetV1/Conv2d_7_depthwise/depthwise_weights",
        "MobilenetV1/Conv2d_13_pointwise/BatchNorm/moving_variance",
    ],
)
def test_a_missing_variable_is_named(name):
    graph = slim_graph()[0]
    graph.node.remove(node_of(graph, name))
    refused(graph, f"no constant {name}")


def test_a_graph_of_something_else_is_refused():
    graph = new_graph()
    graph.node.add(name="input", op="Placeholder")
    refused(graph, "no constant MobilenetV1/Conv2d_0/weights")
    refused(new_graph(), "without a single node")
    with pytest.raises(WeightsError, match="expected a frozen TensorFlow graph"):
        read_slim_mobilenet(b"\xff" * 40)


@pytest.mark.parametrize("way", ["BiasAdd", "Add", "Mul and Add"])
def test_folded_batch_normalisation_is_the_same_function(way):
    graph, wanted = folded_graph(way)
    arrays = read(graph).arrays
    for number, (kernel, scale, shift) in enumerate(wanted):
        got, gamma, beta, mean, variance = arrays[5 * number : 5 * number + 5]
        factor = gamma / np.sqrt(variance + np.float32(1e-3))
        assert np.array_equal(got, kernel)
        np.testing.assert_allclose(factor, scale, rtol=1e-6)
        np.testing.assert_allclose(beta - mean * factor, shift, rtol=1e-6)


def test_what_cannot_be_folded_back_is_named():
    graph, _ = folded_graph("Add")
    node_of(graph, "MobilenetV1/MobilenetV1/Conv2d_3_pointwise/add_1").op = "Sub"
    refused(graph, r"Conv2d_3_pointwise/add_1 \(Sub\)")


def test_a_quantised_graph_is_refused():
    graph = slim_graph()[0]
    graph.node.add(name="weights_quant", op="FakeQuantWithMinMaxVars")
    refused(graph, r"quantised \(FakeQuantWithMinMaxVars, weights_quant\)")


def test_another_epsilon_goes_into_the_variance():
    graph, wanted = slim_graph()
    constant(graph, "MobilenetV1/MobilenetV1/Conv2d_0/BatchNorm/batchnorm/add/y", np.float32(0.01))
    np.testing.assert_allclose(read(graph).arrays[4], wanted[4] + np.float32(0.009), rtol=1e-6)


def test_a_layer_of_another_width_is_refused():
    graph = slim_graph()[0]
    graph.node.remove(node_of(graph, "MobilenetV1/Conv2d_5_pointwise/weights"))
    constant(graph, "MobilenetV1/Conv2d_5_pointwise/weights", np.zeros((1, 1, 8, 9)))
    refused(graph, "expected MobilenetV1/Conv2d_5_pointwise at width 0.03125")


def test_damaged_constants_are_refused():
    graph = slim_graph()[0]
    tensor = node_of(graph, "MobilenetV1/Conv2d_0/weights").attr["value"].tensor
    whole = tensor.tensor_content
    tensor.tensor_content = whole[:-4]
    refused(graph, "to hold 216 numbers, got 215")
    tensor.tensor_content = whole[:-1]
    refused(graph, "damaged")
    tensor.tensor_content = np.full(216, np.nan, "<f4").tobytes()
    refused(graph, "finite")
    tensor.dtype = 2
    refused(graph, "type 2")


@pytest.mark.parametrize("sizes", [(MAX_ELEMENTS + 1,), (1 << 40, 1 << 40), (-1, 3), (1,) * 9])
def test_shapes_of_constants_are_bounded(sizes):
    graph = slim_graph()[0]
    shape = node_of(graph, "MobilenetV1/Conv2d_0/weights").attr["value"].tensor.tensor_shape
    del shape.dim[:]
    for size in sizes:
        shape.dim.add(size=size)
    refused(graph, "says that its shape is")


def test_a_constant_may_leave_out_its_repeated_end():
    graph = slim_graph()[0]
    tensor = node_of(graph, "MobilenetV1/Conv2d_0/BatchNorm/gamma").attr["value"].tensor
    tensor.tensor_content = b""
    tensor.float_val.extend([3, 2])
    assert read(graph).arrays[1].tolist() == [3] + [2] * 7


def test_identities_in_a_circle_end():
    graph = slim_graph()[0]
    graph.node.remove(node_of(graph, "MobilenetV1/Conv2d_0/weights"))
    graph.node.add(name="MobilenetV1/Conv2d_0/weights", op="Identity", input=["MobilenetV1/Conv2d_0/weights/read"])
    refused(graph, "no constant MobilenetV1/Conv2d_0/weights")


def test_equal_arrays_give_equal_bytes(tmp_path, monkeypatch):
    arrays = slim_graph()[1]
    write_npz(tmp_path / "a.npz", arrays)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    write_npz(tmp_path / "b.npz", [array.astype(np.float64) for array in arrays])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "a.npz") as archive:
        assert sorted(archive.files) == [f"{number:03d}" for number in range(135)]
        assert archive["134"].dtype == np.float32
        assert np.array_equal(archive["134"], arrays[134])
