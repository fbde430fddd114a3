import json
import math

import numpy as np
import pytest
from support import bundle_of
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.bundle import METADATA_ENTRY
from retrain.errors import ModelError
from retrain.exporters import frozen_graph
from retrain.exporters.frozen.nodes import Nodes
from retrain.exporters.tfjs import files as tfjs
from retrain.exporters.tfjs.files import graph_of, tfjs_files
from retrain.exporters.tfjs.graph import MAPPED
from retrain.graphs.compat import ATTRIBUTES_OF_1_15
from retrain.head import Head
from retrain.modelfile.kinds import TFJS_MODEL as MODEL
from retrain.modelfile.tfjs import read_tfjs, tfjs_bundle

SIZE = 4
LABELS = ("a", "b", "c")
BUNDLE = bundle_of(LABELS, input_height=SIZE, input_width=SIZE, feature_width=6, versions={"retrain-photos": "1.2"})
GENERATOR = np.random.default_rng(0)
HEAD = Head(GENERATOR.normal(size=(6, 3)).astype(np.float32), np.array([0.5, -0.25, 0.0], np.float32), 7)
PIXELS = GENERATOR.normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
FILTER = GENERATOR.normal(size=(1, 1, 3, 6)).astype(np.float32)
DEEP = GENERATOR.normal(size=(1, 1, 3, 2)).astype(np.float32)
SIX = GENERATOR.uniform(0.5, 2, 6).astype(np.float32)
SHIFT = GENERATOR.normal(size=6).astype(np.float32)


class Builder(Nodes):
    """A backbone: ``input`` to a node that gives (N, H, W, 6), of which the mean is ``bottleneck``."""

    def __init__(self):
        self.graph = GraphDef()
        self.graph.versions.producer = 134
        super().__init__(self.graph)
        self.add("input", "Placeholder", dtype=np.float32, shape=(-1, SIZE, SIZE, 3))

    def float(self, name, operation, *inputs, **attributes):
        return self.add(name, operation, inputs, T=np.float32, **attributes)

    def convolution(self, name="conv", source="input", deep=False):
        kernel = self.constant(f"{name}/filter", DEEP if deep else FILTER)
        self.float(
            name, "DepthwiseConv2dNative" if deep else "Conv2D", source, kernel, padding="SAME", data_format="NHWC"
        )
        self.graph.node[-1].attr["strides"].list.i.extend([1, 1, 1, 1])
        return name

    def backbone(self, last):
        axes = self.constant("axes", np.array([1, 2], np.int32))
        mean = self.float("mean", "Mean", last, axes, Tidx=np.int32, keep_dims=False)
        self.float("bottleneck", "Identity", mean)
        return self.graph.SerializeToString()

    def model(self, last):
        return frozen_graph(self.backbone(last), HEAD, BUNDLE)


def calculate(graph: bytes, tensor="final_result"):
    """A GraphDef in NumPy: convolutions of one pixel, and what else the tests are made of."""
    nodes = {node.name: node for node in GraphDef.FromString(graph).node}
    functions = {
        "Add": np.add, "AddV2": np.add, "BiasAdd": np.add, "Mul": np.multiply, "Sub": np.subtract, "MatMul": np.matmul,
        "Identity": lambda x: x, "StopGradient": lambda x: x, "PlaceholderWithDefault": lambda x: x,
        "Relu": lambda x: np.maximum(x, 0), "Relu6": lambda x: np.clip(x, 0, 6),
        "Erf": np.vectorize(math.erf), "Erfc": np.vectorize(math.erfc),
        "Mean": lambda x, axes: x.mean(tuple(axes)),
        "Softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
        "Conv2D": lambda x, kernel: np.einsum("nhwi,io->nhwo", x, kernel[0, 0]),
        "DepthwiseConv2dNative": lambda x, kernel: np.einsum("nhwi,im->nhwim", x, kernel[0, 0]).reshape(*x.shape[:3], -1),
        "FusedBatchNormV3": lambda x, gamma, beta, mean, variance: (x - mean) / np.sqrt(variance + 0.5) * gamma + beta,
    }  # fmt: skip

    def value(name):
        node = nodes[name]
        if name == "input":
            return PIXELS.astype(np.float64)
        if node.op == "Const":
            said = node.attr["value"].tensor
            shape = [dim.size for dim in said.tensor_shape.dim]
            return np.frombuffer(said.tensor_content, "<f4" if said.dtype == 1 else "<i4").reshape(shape)
        return functions[node.op](*map(value, node.input))

    return value(tensor)


def operations(files):
    """The operations of a model that give no constant, in order."""
    topology = json.loads(files[MODEL])["modelTopology"]
    return [node["op"] for node in topology["node"] if node["op"] != "Const"]


def plain():
    builder = Builder()
    return builder.model(builder.convolution())


REST = ["Mean", "Identity", "MatMul", "Add", "Softmax"]


def biased(builder):
    builder.float("add", "AddV2", builder.convolution(), builder.constant("shift", SHIFT))
    return builder.float("relu", "Relu6", "add")


def scaled(builder, deep=False):
    builder.float("mul", "Mul", builder.constant("scale", SIX), builder.convolution(deep=deep))
    builder.float("add", "BiasAdd", "mul", builder.constant("shift", SHIFT.reshape(6)))
    return builder.float("relu", "Relu", "add")


def scaled_deep(builder):
    return scaled(builder, deep=True)


def scaled_after_a_bias(builder):
    builder.float("bias", "BiasAdd", builder.convolution(), builder.constant("first", SHIFT))
    builder.float("mul", "Mul", "bias", builder.constant("scale", SIX))
    return builder.float("add", "AddV2", "mul", builder.constant("shift", SHIFT.reshape(1, 1, 1, 6)))


def normalised(builder):
    constants = [builder.constant(f"c{i}", values) for i, values in enumerate([SIX, SHIFT, SHIFT[::-1].copy(), SIX])]
    builder.float("norm", "FusedBatchNormV3", builder.convolution(), *constants, is_training=False, data_format="NHWC")
    builder.graph.node[-1].attr["epsilon"].f = 0.5
    return "norm"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Builder.convolution, ["Placeholder", "Conv2D"]),
        (biased, ["Placeholder", "_FusedConv2D"]),
        (scaled, ["Placeholder", "_FusedConv2D"]),
        (scaled_deep, ["Placeholder", "FusedDepthwiseConv2dNative"]),
        (scaled_after_a_bias, ["Placeholder", "_FusedConv2D"]),
        (normalised, ["Placeholder", "_FusedConv2D"]),
    ],
)
def test_convolutions_take_in_what_follows_them_and_the_scores_stay(make, expected):
    builder = Builder()
    graph = builder.model(make(builder))
    files = tfjs_files(graph, BUNDLE)
    assert operations(files) == expected + REST
    np.testing.assert_allclose(calculate(graph_of(files)), calculate(graph), atol=1e-6)


def used_twice(builder):
    builder.convolution()
    builder.float("relu", "Relu", "conv")
    return builder.float("sum", "AddV2", "relu", "conv")


def scaled_and_used_twice(builder):
    builder.float("mul", "Mul", builder.convolution(), builder.constant("scale", SIX))
    return builder.float("sum", "AddV2", "mul", "conv")


def one_filter_for_two(builder):
    builder.convolution()
    builder.float("other", "Conv2D", "input", "conv/filter", padding="SAME", data_format="NHWC")
    builder.float("mul", "Mul", "conv", builder.constant("scale", SIX))
    return builder.float("sum", "AddV2", "mul", "other")


def another_number_for_each_pixel(builder):
    numbers = builder.constant("numbers", GENERATOR.normal(size=(1, SIZE, SIZE, 1)).astype(np.float32))
    builder.float("mul", "Mul", builder.convolution(), numbers)
    return builder.float("add", "AddV2", "mul", numbers)


def activation_without_a_bias(builder):
    return builder.float("relu", "Relu", builder.convolution())


def filter_that_is_calculated(builder):
    builder.float("kernel", "Mul", builder.constant("one", FILTER), builder.constant("two", np.float32(2).reshape(())))
    builder.float("conv", "Conv2D", "input", "kernel", padding="SAME", data_format="NHWC")
    return builder.float("mul", "Mul", "conv", builder.constant("scale", np.array(3, np.float32)))


@pytest.mark.parametrize(
    "make",
    [
        used_twice, scaled_and_used_twice, one_filter_for_two, another_number_for_each_pixel, activation_without_a_bias,
        filter_that_is_calculated,
    ],
)  # fmt: skip
def test_what_somebody_else_needs_or_cannot_be_taken_in_is_left(make):
    builder = Builder()
    graph = builder.model(make(builder))
    files = tfjs_files(graph, BUNDLE)
    assert not {"_FusedConv2D", "FusedDepthwiseConv2dNative"} & set(operations(files))
    np.testing.assert_allclose(calculate(graph_of(files)), calculate(graph), atol=1e-6)


def test_what_passes_on_what_it_is_given_is_left_out_and_what_is_missing_is_put_otherwise():
    builder = Builder()
    builder.float("same", "Identity", "input")
    builder.convolution(source="same")
    builder.float("still", "StopGradient", "conv")
    graph = builder.model(builder.float("erfc", "Erfc", "still"))
    files = tfjs_files(graph, BUNDLE)
    assert operations(files) == ["Placeholder", "Conv2D", "Erf", "Sub", *REST]
    np.testing.assert_allclose(calculate(graph_of(files)), calculate(graph), atol=1e-6)


def test_a_constant_of_noughts_that_tensorflow_left_empty_is_written_in_full():
    builder = Builder()
    builder.float("add", "AddV2", builder.convolution(), builder.constant("shift", np.zeros(6, np.float32)))
    builder.graph.node[-2].attr["value"].tensor.ClearField("tensor_content")
    files = tfjs_files(builder.model("add"), BUNDLE)
    np.testing.assert_allclose(calculate(graph_of(files)), calculate(plain()), atol=1e-6)


def test_the_input_is_a_plain_placeholder_with_nothing_before_it():
    files = tfjs_files(plain(), BUNDLE)
    (node,) = [one for one in json.loads(files[MODEL])["modelTopology"]["node"] if one["op"].startswith("Placeholder")]
    sizes = [{"size": str(size)} for size in (-1, SIZE, SIZE, 3)]
    assert node == {
        "name": "input",
        "op": "Placeholder",
        "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": {"shape": {"dim": sizes}}},
    }
    assert "DecodeJpeg" not in files[MODEL].decode()


def test_the_model_says_what_it_is():
    model = json.loads(tfjs_files(plain(), BUNDLE)[MODEL])
    assert (model["format"], model["generatedBy"], model["convertedBy"]) == (
        "graph-model", "retrain-photos 1.2", "retrain-photos 1.2",
    )  # fmt: skip
    assert model["modelTopology"]["versions"] == {"producer": 134}
    assert model["signature"]["inputs"]["input"]["name"] == "input:0"
    assert model["signature"]["outputs"]["final_result"]["tensorShape"]["dim"] == [{"size": "-1"}, {"size": "3"}]
    assert model["userDefinedMetadata"][METADATA_ENTRY]["labels"] == list(LABELS)


def test_the_description_is_where_it_is_looked_for(tmp_path):
    for name, content in tfjs_files(plain(), BUNDLE).items():
        (tmp_path / name).write_bytes(content)
    assert tfjs_bundle(read_tfjs(tmp_path), "x") == BUNDLE


def test_the_same_model_is_the_same_bytes():
    assert tfjs_files(plain(), BUNDLE) == tfjs_files(plain(), BUNDLE)


def test_weights_are_cut_into_shards(monkeypatch):
    monkeypatch.setattr(tfjs, "SHARD_BYTES", 64)
    whole = calculate(plain())
    files = tfjs_files(plain(), BUNDLE)
    sizes = {name: len(content) for name, content in files.items() if name != MODEL}
    # 18 numbers of the filter, 2 axes, 18 of the head's weights, 3 biases: 164 bytes.
    assert sizes == {"group1-shard1of3.bin": 64, "group1-shard2of3.bin": 64, "group1-shard3of3.bin": 36}
    np.testing.assert_allclose(calculate(graph_of(files)), whole, atol=1e-6)


def test_every_operation_of_our_graphs_is_mapped_or_rewritten():
    assert set(ATTRIBUTES_OF_1_15) - MAPPED == {"Erfc"}


def change(builder, attribute, value, kind):
    setattr(builder.graph.node[-1].attr[attribute], kind, value)
    return builder.graph.node[-1].name


def not_mapped(builder):
    return builder.float("odd", "Betainc", builder.convolution())


def channels_first(builder):
    builder.convolution()
    return change(builder, "data_format", b"NCHW", "s")


def half_floats(builder):
    builder.convolution()
    return change(builder, "T", 19, "type")


def in_training(builder):
    normalised(builder)
    return change(builder, "is_training", True, "b")


def two_inputs(builder):
    builder.add("more", "Placeholder", dtype=np.float32, shape=())
    return builder.float("add", "AddV2", builder.convolution(), "more")


def too_few(builder):
    builder.convolution()
    return builder.float("sum", "AddV2", "conv")


def second_result(builder):
    builder.convolution()
    return builder.float("add", "AddV2", "conv:1", "conv")


def text_constant(builder):
    builder.text("words", b"abc")
    return builder.float("add", "AddV2", builder.convolution(), "words")


def name_that_is_needed(builder):
    builder.float("e", "Erfc", builder.convolution())
    return builder.float("e/erf", "Relu", "e")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (not_mapped, r"TensorFlow\.js has no operation Betainc \(odd\)"),
        (channels_first, "pixels after channels"),
        (half_floats, "T of type 19"),
        (in_training, "normalisation in training"),
        (two_inputs, "one input, input; it has more"),
        (too_few, r"sum \(AddV2\) to take 2 things, got 1"),
        (second_result, "second result"),
        (text_constant, r"words \(Const\) has dtype of type 7"),
        (name_that_is_needed, "e/erf"),
    ],
)
def test_what_tensorflow_js_would_not_calculate_is_refused_by_name(make, said):
    builder = Builder()
    last = make(builder)
    with pytest.raises(ModelError, match=said):
        tfjs_files(builder.model(last), BUNDLE)


@pytest.mark.parametrize("graph", [b"", b"\xff" * 40, b"text"])
def test_what_is_no_graph_is_refused(graph):
    with pytest.raises(ModelError, match="cannot be written for TensorFlow"):
        tfjs_files(graph, BUNDLE)


def edited(**changes):
    """A model whose model.json has been changed."""
    files = tfjs_files(plain(), BUNDLE)
    model = json.loads(files[MODEL])
    for name, value in changes.items():
        model[name] = value(model[name]) if callable(value) else value
    return {**files, MODEL: json.dumps(model).encode()}


def with_node(**fields):
    return edited(modelTopology=lambda topology: {**topology, "node": [*topology["node"], {"name": "new", **fields}]})


def with_group(**changes):
    return edited(weightsManifest=lambda groups: [{**groups[0], **{k: f(groups[0][k]) for k, f in changes.items()}}])


def with_weight(**changes):
    return with_group(weights=lambda weights: [{**weights[0], **changes}, *weights[1:]])


SHARD = "group1-shard1of1.bin"
FUSED = {"op": "_FusedConv2D", "input": ["a", "b", "c"]}
DAMAGED = {
    "nothing": ({}, "1 to .* bytes, got 0"),
    "no json": ({MODEL: b"{"}, "not readable"),
    "deep json": ({MODEL: b"[" * 100_000}, "not readable"),
    "a list": ({MODEL: b"[]"}, "to be a graph-model"),
    "a layers model": (edited(format="layers-model"), "to be a graph-model"),
    "a missing field": ({MODEL: b'{"format": "graph-model"}'}, "to be a graph-model"),
    "no graph": (edited(modelTopology=5), "is no graph"),
    "an unknown field": (with_node(op="Relu", surprise=1), "is no graph"),
    "a wrong type": (with_node(op=["Relu"]), "is no graph"),
    "a name twice": (with_node(name="input", op="Relu"), "each name once"),
    "a function": (
        edited(modelTopology=lambda t: {**t, "library": {"function": [{"signature": {"name": "f"}}]}}),
        "functions",
    ),
    "a file operation": (with_node(op="ReadFile"), r"operation ReadFile \(new\)"),
    "fused with what is unknown": (with_node(**FUSED, attr={"fused_ops": {"list": {"s": ["Tk9QRQ=="]}}}), "NOPE"),
    "fused with too little": (with_node(op="_FusedConv2D", input=["a"]), "1 inputs"),
    "a constant without weights": (with_node(op="Const"), "new is not in both"),
    "no manifest": (edited(weightsManifest=None), "weightsManifest"),
    "two groups": (edited(weightsManifest=lambda groups: groups * 2), "weightsManifest"),
    "a weight without a size": (with_weight(shape=None), "weightsManifest"),
    "a weight of less than nothing": (with_weight(shape=[-1]), "weightsManifest"),
    "a weight of True": (with_weight(shape=[True]), "weightsManifest"),
    "a weight of text": (with_weight(dtype="string"), "weightsManifest"),
    "a compressed weight": (with_weight(quantization={"dtype": "uint8"}), "weightsManifest"),
    "a weight twice": (with_group(weights=lambda weights: weights + weights[:1]), "weightsManifest"),
    "a huge weight": (with_weight(shape=[1 << 26, 1 << 26]), "expected weights of"),
    "a weight of another shape": (with_weight(shape=[1, 3]), "one type or shape"),
    "a weight of another type": (with_weight(dtype="int32"), "one type or shape"),
    "a shard twice": (with_group(paths=lambda paths: paths * 2), "got"),
    "a shard elsewhere": (with_group(paths=lambda _: ["../../secret"]), "secret"),
    "the model as a shard": (with_group(paths=lambda paths: [*paths, MODEL]), "got"),
    "a shard too many": ({**edited(), "more.bin": b""}, r"more\.bin"),
    "a short shard": ({**edited(), SHARD: b"1234"}, "expected weights of 164 bytes, got 4"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_models_are_refused(damage):
    files, said = DAMAGED[damage]
    with pytest.raises(ModelError, match=said):
        graph_of(files)
