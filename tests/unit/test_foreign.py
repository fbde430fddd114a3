"""Strangers' graphs: recognised, cut down, and refused by name; TensorFlow is not there."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from support import bundle_of, tiny_graph

from retrain.errors import WeightsError
from retrain.graphs import checked as graphs
from retrain.graphs.foreign import ForeignGraph, describe_graph, inference_graph
from retrain.images import InputSpec

POOLED = "MobilenetV1/Logits/AvgPool_1a/AvgPool"


class Maker:
    """Makes small graphs."""

    def __init__(self):
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.graph = GraphDef()

    def add(self, name, operation, *sources):
        node = self.graph.node.add(name=name, op=operation, input=sources)
        node.attr["T"].type = 1
        return node

    def constant(self, name, values):
        values = np.asarray(values)
        node = self.graph.node.add(name=name, op="Const")
        tensor = node.attr["value"].tensor
        node.attr["dtype"].type = tensor.dtype = 3 if values.dtype.kind == "i" else 1
        for size in values.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = values.astype("<i4" if values.dtype.kind == "i" else "<f4").tobytes()
        return node

    def input(self, name, sizes=(1, 8, 6, 3)):
        node = self.graph.node.add(name=name, op="Placeholder")
        node.attr["dtype"].type = 1
        for size in sizes:
            node.attr["shape"].shape.dim.add(size=size)
        return node

    def convolution(self, source, name="conv", features=5):
        self.constant(f"{name}/weights", np.zeros((1, 1, 3, features)))
        self.add(f"{name}/weights/read", "Identity", f"{name}/weights").attr["_class"].list.s.append(b"loc:@x")
        return self.add(name, "Conv2D", source, f"{name}/weights/read")

    @property
    def data(self):
        return self.graph.SerializeToString()


def mobilenet(pooled=POOLED, source="input", sizes=(1, 8, 6, 3)):
    maker = Maker()
    maker.input(source, sizes)
    maker.convolution(source)
    maker.add("relu", "Relu6", "conv")
    maker.add(pooled, "AvgPool", "relu")
    return maker


def with_logits(maker):
    maker.add("squeezed", "Squeeze", POOLED)
    maker.constant("MobilenetV1/Predictions/Reshape/shape", np.array([1, 5]))
    maker.add("MobilenetV1/Predictions/Reshape", "Reshape", "squeezed", "MobilenetV1/Predictions/Reshape/shape")
    return maker


def inception():
    """The end and the beginning of the Inception of 2015."""
    maker = Maker()
    maker.graph.node.add(name="DecodeJpeg/contents", op="Const").attr["dtype"].type = 7
    maker.add("DecodeJpeg", "DecodeJpeg", "DecodeJpeg/contents")
    maker.constant("Mul/y", np.float32(1 / 128))
    maker.add("Mul", "Mul", "DecodeJpeg", "Mul/y")
    maker.convolution("Mul", "left", 4)
    maker.convolution("Mul", "right", 3)
    for name, values in zip(("m", "v", "b", "g"), ([1] * 4, [3] * 4, [5] * 4, [2] * 4), strict=True):
        maker.constant(name, np.array(values, np.float32))
    old = maker.add("left/norm", "BatchNormWithGlobalNormalization", "left", "m", "v", "b", "g")
    old.attr["variance_epsilon"].f, old.attr["scale_after_normalization"].b = 1.0, True
    maker.add("left/checked", "CheckNumerics", "left/norm").attr["message"].s = b"no"
    maker.constant("axis", np.int32(3))
    maker.add("join", "Concat", "axis", "left/checked", "right").attr["N"].i = 2
    maker.add("pool_3", "AvgPool", "join")
    maker.constant("pool_3/shape", np.array([1, 7]))
    maker.add("pool_3/_reshape", "Reshape", "pool_3", "pool_3/shape")
    return maker


def nodes(data):
    return {node.name: node for node in graphs.parse_graph(data).node}


def refused(maker, words, tensor=""):
    with pytest.raises(WeightsError, match=words):
        inference_graph(maker.data, describe_graph(maker.data, tensor))


def test_google_s_mobilenet_gives_pooled_features():
    assert describe_graph(with_logits(mobilenet()).data) == ForeignGraph(
        "mobilenet_v1", "input", 8, 6, 127.5, 127.5, POOLED, 5
    )


def test_logits_are_taken_where_a_graph_has_no_pooled_features():
    maker = with_logits(mobilenet(pooled="pooled"))
    maker.graph.node[-3].input[:] = ["pooled"]
    assert describe_graph(maker.data).bottleneck_node == "MobilenetV1/Predictions/Reshape"


@pytest.mark.parametrize("scope", ["input_1", "input"])
def test_what_the_original_wrote_is_cut_where_it_was_joined(scope):
    maker = with_logits(mobilenet())
    joint = maker.add(
        f"{scope}/BottleneckInputPlaceholder", "PlaceholderWithDefault", "MobilenetV1/Predictions/Reshape"
    )
    for size in (-1, 5):
        joint.attr["shape"].shape.dim.add(size=size)
    found = describe_graph(maker.data)
    assert (found.kind, found.bottleneck_node, found.feature_width) == (
        "retrained",
        "MobilenetV1/Predictions/Reshape",
        5,
    )
    assert describe_graph(maker.data, f"{POOLED}:0").bottleneck_node == POOLED


def test_hub_s_placeholder_wants_0_to_1():
    found = describe_graph(mobilenet(source="Placeholder").data)
    assert found.input_spec == InputSpec(8, 6, 0, 255)


def test_inception_of_2015():
    maker = inception()
    found = describe_graph(maker.data)
    assert found == ForeignGraph("inception_2015", "Mul", 299, 299, 128, 128, "pool_3/_reshape", 7)
    made = nodes(inference_graph(maker.data, found))
    assert not {"DecodeJpeg", "DecodeJpeg/contents", "Mul", "pool_3/_reshape"} & set(made)
    assert made["left/checked"].op == "Identity"
    assert set(made["left/checked"].attr) == {"T"}
    assert made["join"].op == "ConcatV2"
    assert list(made["join"].input) == ["left/checked", "right", "axis"]
    # (x - 1) / sqrt(3 + 1) * 2 + 5
    assert graphs.read_constant(made["left/norm/scale"]).tolist() == [1] * 4
    assert graphs.read_constant(made["left/norm/shift"]).tolist() == [4] * 4


def test_the_copy_has_our_names_and_an_open_batch():
    maker = mobilenet(source="Placeholder")
    maker.add("input", "Relu", "relu").name = "input_2"
    maker.graph.node[-2].input[:] = ["input_2"]
    made = nodes(inference_graph(maker.data, describe_graph(maker.data)))
    assert [dim.size for dim in made["input"].attr["shape"].shape.dim] == [-1, 8, 6, 3]
    assert list(made["conv"].input) == ["input", "conv/weights/read"]
    assert set(made["conv/weights/read"].attr) == {"T"}
    assert list(made[POOLED].input) == ["backbone/input_2"]
    assert list(made["bottleneck"].input) == [POOLED, "bottleneck/shape"]
    assert graphs.read_constant(made["bottleneck/shape"]).tolist() == [-1, 5]


def test_a_graph_of_ours_says_how_it_is_fed():
    maker = mobilenet(pooled="bottleneck")
    text = maker.graph.node.add(name="retrain/bundle", op="Const").attr["value"].tensor
    text.dtype = 7
    text.string_val.append(bundle_of(input_mean=0.0, input_std=255.0).to_json())
    found = describe_graph(maker.data)
    assert (found.kind, found.mean, found.std, found.bottleneck_node) == ("own", 0, 255, "bottleneck")
    for said in (
        b"{",
        b"[]",
        json.dumps({"input_mean": 0, "input_std": 0}).encode(),
        b'{"input_mean": "x"}',
        b"[" * 100_000,
        b"\xff",
    ):
        text.string_val[0] = said
        refused(maker, "retrain/bundle")


def test_conversion_of_a_converted_graph_changes_nothing():
    maker = with_logits(mobilenet())
    once = inference_graph(maker.data, describe_graph(maker.data))
    found = describe_graph(once)
    assert (found.kind, found.bottleneck_node, found.feature_width) == ("own", "bottleneck", 5)
    assert inference_graph(once, found) == once


def test_an_operation_that_is_not_on_the_list_is_refused_wherever_it_stands():
    maker = mobilenet()
    maker.add("aside", "WriteFile", "a", "b")
    refused(maker, r"operation WriteFile \(aside\)")


def test_a_function_in_the_library_is_looked_through():
    maker = mobilenet()
    function = maker.graph.library.function.add()
    function.signature.name = "harmless"
    function.node_def.add(name="inside", op="WriteFile")
    refused(maker, r"operation WriteFile \(inside\)")


def test_a_function_in_an_attribute_is_refused():
    maker = mobilenet()
    maker.graph.node[-1].attr["f"].func.name = "evil"
    refused(maker, r"attribute f of .*AvgPool \(AvgPool\) holds a function, evil")
    maker = mobilenet()
    maker.graph.node[-1].attr["branches"].list.func.add(name="evil")
    refused(maker, "holds a function, evil")
    maker = mobilenet()
    maker.graph.node[-1].attr["T"].placeholder = "outer"
    refused(maker, "holds a function, outer")


def test_a_graph_inside_an_attribute_is_refused():
    maker = mobilenet()
    maker.graph.node[-1].attr["graph"].s = tiny_graph()
    refused(maker, "attribute graph that is not on the list")


def test_unknown_attributes_may_be_there_when_they_say_nothing():
    maker = mobilenet()
    attributes = maker.graph.node[-1].attr
    attributes["grad_a"].b = False
    attributes["explicit_paddings"].list.SetInParent()
    attributes["_output_shapes"].list.s.append(b"note")
    made = nodes(inference_graph(maker.data, describe_graph(maker.data)))
    assert set(made[POOLED].attr) == {"T"}
    attributes["explicit_paddings"].list.i.append(1)
    refused(maker, "attribute explicit_paddings")


def test_channels_first_are_refused():
    maker = mobilenet()
    maker.graph.node[-1].attr["data_format"].s = b"NCHW"
    refused(maker, "NCHW")


@pytest.mark.parametrize("sizes", [(), (1, 8, 6), (1, 8, 6, 4), (1, -1, 6, 3), (1, 8, 100_000, 3)])
def test_the_input_must_be_a_picture_of_bounded_size(sizes):
    refused(mobilenet(sizes=sizes), r"expected input to take \(N, height, width, 3\)")


def test_sizes_are_bounded(monkeypatch):
    maker = mobilenet()
    aside = maker.constant("aside", np.float32(1))
    for _ in range(4):
        aside.attr["value"].tensor.tensor_shape.dim.add(size=1 << 20)
    refused(maker, "constant aside says that its shape is")
    maker = mobilenet()
    monkeypatch.setattr(graphs, "MAX_ELEMENTS", 14)
    refused(maker, "constant conv/weights|constants are 15 numbers")
    monkeypatch.setattr(graphs, "MAX_NODES", 3)
    refused(maker, "at most 3 are read")
    monkeypatch.setattr(graphs, "MAX_GRAPH_BYTES", 10)
    refused(maker, "at most 10 are read")


def test_a_bottleneck_of_too_many_features_is_refused():
    maker = Maker()
    maker.input("input")
    last = "input"
    for number in range(40):  # doubles each time
        last = maker.add(f"c{number}", "ConcatV2", last, last, "axis").name
    maker.constant("axis", np.int32(3))
    maker.add(POOLED, "AvgPool", last)
    refused(maker, "expected .* to give 1 to 65536 features")


def test_constants_that_hold_less_than_they_say_are_refused():
    maker = mobilenet()
    node = next(node for node in maker.graph.node if node.name == "conv/weights")
    node.attr["value"].tensor.tensor_content = b"\0" * 4
    refused(maker, "to hold 15 numbers, got 1")


def test_circles_and_gaps_are_refused():
    maker = mobilenet()
    maker.graph.node[-2].input.append(POOLED)
    refused(maker, "is calculated from itself")
    maker = mobilenet()
    maker.graph.node[-2].input[:] = ["nowhere"]
    refused(maker, "takes nowhere, which is not in the graph")


def test_two_nodes_of_one_name_are_refused():
    maker = mobilenet()
    maker.add("relu", "Relu6", "conv")
    refused(maker, "two nodes have the same name")


@pytest.mark.parametrize("operation", ["DecodeJpeg", "Merge", "ScaleAndTranslate", "Switch"])
def test_what_decodes_photographs_is_refused_behind_the_input(operation):
    maker = mobilenet()
    maker.add("aside", operation, "input")
    maker.graph.node[-2].input[:] = ["aside"]
    refused(maker, rf"{operation} \(aside\) stands between input and the bottleneck")


def test_an_input_may_have_a_default():
    maker = mobilenet()
    maker.constant("default", np.zeros((1, 8, 6, 3), np.float32))
    maker.graph.node[0].op = "PlaceholderWithDefault"
    maker.graph.node[0].input[:] = ["default"]
    found = describe_graph(maker.data)
    assert found == describe_graph(mobilenet().data)
    assert inference_graph(maker.data, found) == inference_graph(mobilenet().data, found)


def test_a_second_placeholder_is_refused():
    maker = mobilenet()
    maker.input("keep_prob")
    maker.graph.node[-2].input.append("keep_prob")
    refused(maker, r"Placeholder \(keep_prob\) stands between input and the bottleneck")


def test_an_unknown_graph_says_what_to_name():
    maker = mobilenet(pooled="features")
    refused(maker, "--bottleneck_tensor")
    refused(maker, "no node feature, given as --bottleneck_tensor; did you mean features", "feature")
    assert describe_graph(maker.data, "features:0").kind == "named"
    refused(mobilenet(source="x"), "expected .* to be calculated from one of input, Placeholder, Mul")


def test_what_is_no_graph_is_refused():
    for data in (b"", b"\xff" * 50, b"<html>"):
        with pytest.raises(WeightsError, match="expected a frozen TensorFlow graph"):
            describe_graph(data)


@pytest.mark.parametrize("make", [lambda: with_logits(mobilenet()), inception])
def test_a_damaged_graph_is_an_error_of_ours_or_a_graph(make):
    data, random = bytearray(make().data), np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), random.integers(1, 4)):
            damaged[place] = random.integers(0, 256)
        with contextlib.suppress(WeightsError):
            inference_graph(bytes(damaged), describe_graph(bytes(damaged)))
