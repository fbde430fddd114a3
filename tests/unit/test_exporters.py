import hashlib

import numpy as np
import pytest
from support import bundle_of, tiny_graph, tiny_tflite
from tensorboard.compat.proto import types_pb2
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.bundle import GRAPH_NODE, bundle_from_json
from retrain.classifier import Classifier
from retrain.errors import ModelError, WeightsError
from retrain.exporters import frozen_graph, tflite_model
from retrain.exporters.child.graph import _output_node
from retrain.graphs.checked import checked_nodes
from retrain.graphs.compat import ATTRIBUTES_OF_1_15, DECODING_OF_1_15, strip_for_1_15
from retrain.graphs.foreign import describe_graph, inference_graph
from retrain.head import Head
from retrain.litert import open_model
from retrain.modelfile import read_graph_bundle
from retrain.runtimes.litert import LiteRuntime

GENERATOR = np.random.default_rng(0)
HEAD = Head(GENERATOR.standard_normal((12, 2)).astype(np.float32), np.array([0.5, -0.25], np.float32), 7)
BUNDLE = bundle_of()


def nodes(data):
    return {node.name: node for node in GraphDef.FromString(data).node}


@pytest.fixture
def graph():
    return nodes(frozen_graph(tiny_graph(), HEAD, BUNDLE))


def test_the_graph_holds_the_backbone_and_the_heads_nodes_under_the_originals_names(graph):
    names = list(graph)
    assert names[names.index("input") :] == [
        "input",
        "bottleneck",
        "input_1/BottleneckInputPlaceholder",
        "final_training_ops/weights/final_weights",
        "final_training_ops/biases/final_biases",
        "final_training_ops/Wx_plus_b/MatMul",
        "final_training_ops/Wx_plus_b/add",
        "final_result",
        "retrain/bundle",
    ]


def test_before_the_input_stands_what_old_clients_feed_and_no_other_name_is_taken(graph):
    before = list(graph)[: list(graph).index("input")]
    assert {name for name in before if not name.startswith("DecodeJpeg/")} == {"DecodeJpeg", "ResizeBilinear", "Mul"}
    contents = graph["DecodeJpeg/contents"]
    assert (contents.op, contents.attr["dtype"].type) == ("Placeholder", types_pb2.DT_STRING)
    assert contents.attr["shape"].shape.dim == []
    assert not contents.attr["shape"].shape.unknown_rank


@pytest.mark.parametrize("name", ["input", "Mul"])
def test_scaled_pictures_may_be_fed_in_any_number(graph, name):
    assert graph[name].op == "PlaceholderWithDefault"
    assert graph[name].attr["dtype"].type == types_pb2.DT_FLOAT
    assert [dim.size for dim in graph[name].attr["shape"].shape.dim] == [-1, 2, 2, 3]


def test_pictures_are_decoded_at_each_ratio_and_scaled_as_the_bundle_says():
    graph = nodes(frozen_graph(tiny_graph(), HEAD, bundle_of(input_mean=100.0, input_std=50.0)))
    decoders = [node for node in graph.values() if node.op == "DecodeJpeg"]
    assert [node.attr["ratio"].i for node in decoders] == [8, 4, 2, 1]
    assert {(node.attr["channels"].i, node.attr["dct_method"].s) for node in decoders} == {(3, b"INTEGER_ACCURATE")}
    assert list(graph["DecodeJpeg"].input) == [node.name for node in decoders]
    for name, value in (("mean", 100), ("factor", 1 / 50)):
        content = graph[f"DecodeJpeg/{name}"].attr["value"].tensor.tensor_content
        assert np.frombuffer(content, "<f4").tolist() == pytest.approx([value])


def renamed_backbone(*names):
    """The tiny backbone with nodes between its ends that have names of their own."""
    graph = GraphDef.FromString(tiny_graph())
    for name in names:
        node = graph.node.add(name=name, op="Identity", input=[graph.node[-1].name if name != names[0] else "input"])
        node.attr["T"].type = types_pb2.DT_FLOAT
    graph.node[1].input[:] = [names[-1]]
    return graph.SerializeToString()


def test_a_backbone_that_has_our_names_gets_others():
    graph = nodes(frozen_graph(renamed_backbone("Mul", "DecodeJpeg/contents"), HEAD, BUNDLE))
    assert graph["backbone/Mul"].input == ["input"]
    assert graph["backbone/DecodeJpeg/contents"].input == ["backbone/Mul"]
    assert graph["bottleneck"].input == ["backbone/DecodeJpeg/contents"]
    assert graph["input"].input == ["Mul"]


def test_backbones_that_cannot_be_joined_are_refused():
    with pytest.raises(ModelError, match="has nodes Mul and backbone/Mul"):
        frozen_graph(renamed_backbone("Mul", "backbone/Mul"), HEAD, BUNDLE)
    with pytest.raises(ModelError, match="expected a backbone with a node input"):
        frozen_graph(GraphDef().SerializeToString(), HEAD, BUNDLE)


def test_as_a_backbone_the_graph_is_what_it_was_made_of():
    data = frozen_graph(tiny_graph(), HEAD, BUNDLE)
    assert set(checked_nodes(data)) == set(nodes(data))
    found = describe_graph(data)
    assert (found.kind, found.input_node, found.input_spec) == ("own", "input", BUNDLE.input_spec)
    plain = GraphDef.FromString(data)  # as it was written before there was any decoding in it
    plain.node[list(nodes(data)).index("input")].op = "Placeholder"
    del plain.node[list(nodes(data)).index("input")].input[:]
    del plain.node[: list(nodes(data)).index("input")]
    assert describe_graph(plain.SerializeToString()) == found
    assert inference_graph(data, found) == inference_graph(plain.SerializeToString(), found)
    assert [node.name for node in GraphDef.FromString(inference_graph(data, found)).node] == [
        "input",
        "bottleneck/shape",
        "bottleneck",
    ]


@pytest.mark.parametrize(
    ("name", "operation", "inputs"),
    [
        ("input", "PlaceholderWithDefault", ["Mul"]),
        ("Mul", "PlaceholderWithDefault", ["DecodeJpeg/scaled"]),
        ("input_1/BottleneckInputPlaceholder", "PlaceholderWithDefault", ["bottleneck"]),
        ("final_training_ops/weights/final_weights", "Const", []),
        ("final_training_ops/biases/final_biases", "Const", []),
        (
            "final_training_ops/Wx_plus_b/MatMul",
            "MatMul",
            ["input_1/BottleneckInputPlaceholder", "final_training_ops/weights/final_weights"],
        ),
        (
            "final_training_ops/Wx_plus_b/add",
            "Add",
            ["final_training_ops/Wx_plus_b/MatMul", "final_training_ops/biases/final_biases"],
        ),
        ("final_result", "Softmax", ["final_training_ops/Wx_plus_b/add"]),
        ("retrain/bundle", "Const", []),
    ],
)
def test_each_node_has_its_operation_and_inputs(graph, name, operation, inputs):
    assert (graph[name].op, list(graph[name].input)) == (operation, inputs)


def test_every_input_is_a_node_that_stands_before_it(graph):
    seen = set()
    for node in graph.values():
        assert {source.removesuffix(":1") for source in node.input} <= seen
        seen.add(node.name)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("final_training_ops/weights/final_weights", HEAD.weights),
        ("final_training_ops/biases/final_biases", HEAD.biases),
    ],
)
def test_constants_hold_the_heads_numbers_bit_for_bit(graph, name, values):
    tensor = graph[name].attr["value"].tensor
    assert graph[name].attr["dtype"].type == tensor.dtype == types_pb2.DT_FLOAT
    assert [dim.size for dim in tensor.tensor_shape.dim] == list(values.shape)
    assert tensor.tensor_content == values.astype("<f4").tobytes()


def test_attributes_say_what_tensorflow_needs(graph):
    product = graph["final_training_ops/Wx_plus_b/MatMul"].attr
    assert {name: product[name].b for name in ("transpose_a", "transpose_b")} == {
        "transpose_a": False,
        "transpose_b": False,
    }
    assert {product[name].WhichOneof("value") for name in ("transpose_a", "transpose_b")} == {"b"}
    for name in ("final_training_ops/Wx_plus_b/MatMul", "final_training_ops/Wx_plus_b/add", "final_result"):
        assert graph[name].attr["T"].type == types_pb2.DT_FLOAT
    placeholder = graph["input_1/BottleneckInputPlaceholder"].attr
    assert [dim.size for dim in placeholder["shape"].shape.dim] == [-1, 12]
    assert placeholder["dtype"].type == types_pb2.DT_FLOAT


def test_every_operation_and_attribute_is_one_that_tensorflow_1_15_knows(graph):
    known = {**ATTRIBUTES_OF_1_15, **DECODING_OF_1_15}
    for node in graph.values():
        assert node.op in known, node.name
        assert set(node.attr) <= known[node.op], node.name


def test_the_graph_describes_itself(graph, tmp_path):
    tensor = graph[GRAPH_NODE].attr["value"].tensor
    assert tensor.dtype == types_pb2.DT_STRING
    assert tensor.HasField("tensor_shape")
    assert bundle_from_json(tensor.string_val[0], "x") == BUNDLE
    (tmp_path / "x.pb").write_bytes(frozen_graph(tiny_graph(), HEAD, BUNDLE))
    assert read_graph_bundle(tmp_path / "x.pb") == BUNDLE


def test_the_softmax_bears_the_name_asked_for():
    graph = nodes(frozen_graph(tiny_graph(), HEAD, bundle_of(output_node="my_result")))
    assert graph["my_result"].op == "Softmax"
    assert "final_result" not in graph


def parsed(data):
    return GraphDef.FromString(data), data, "x.pb"


def test_what_runs_a_graph_finds_its_scores():
    assert _output_node(*parsed(frozen_graph(tiny_graph(), HEAD, bundle_of(output_node="my_result")))) == "my_result"
    assert _output_node(*parsed(tiny_graph())) == "bottleneck"
    two = GraphDef.FromString(tiny_graph())
    two.node.add(name="aside", op="Identity", input=["input"])
    with pytest.raises(ModelError, match=r"expected x\.pb to end in one operation, got bottleneck, aside"):
        _output_node(*parsed(two.SerializeToString()))


def test_a_scalar_is_not_a_tensor_of_unknown_shape(graph):
    for name in ("DecodeJpeg/one", "DecodeJpeg/magic", "DecodeJpeg/rows/half"):
        tensor = graph[name].attr["value"].tensor
        assert tensor.HasField("tensor_shape"), name
        assert list(tensor.tensor_shape.dim) == [], name


@pytest.mark.parametrize(("export", "base"), [(frozen_graph, tiny_graph), (tflite_model, tiny_tflite)])
def test_the_same_model_is_the_same_bytes(export, base):
    assert export(base(), HEAD, BUNDLE) == export(base(), HEAD, BUNDLE)


def test_the_producer_of_the_graph_stays_the_backbones():
    assert GraphDef.FromString(frozen_graph(tiny_graph(), HEAD, BUNDLE)).versions.producer == 134


def test_newer_attributes_devices_control_inputs_and_functions_are_taken_out():
    graph = GraphDef.FromString(tiny_graph())
    graph.node[1].attr["_new"].b = True
    graph.node[1].device = "/cpu:0"
    graph.node[1].input.append("^input")
    graph.library.function.add()
    stripped = strip_for_1_15(graph)
    assert set(stripped.node[1].attr) == {"T"}
    assert (stripped.node[1].device, list(stripped.node[1].input)) == ("", ["input"])
    assert not stripped.HasField("library")
    assert (stripped.versions.producer, stripped.versions.min_consumer) == (134, 0)


def test_an_operation_that_is_not_in_the_table_is_refused():
    graph = GraphDef()
    graph.node.add(name="x", op="ReadFile")
    with pytest.raises(WeightsError, match="ReadFile"):
        strip_for_1_15(graph)


@pytest.fixture
def pixels():
    return np.random.default_rng(1).random((1, 2, 2, 3)).astype(np.float32)


def test_the_litert_model_computes_the_heads_probabilities(pixels):
    model = open_model(tflite_model(tiny_tflite(), HEAD, BUNDLE))
    assert model.run(lambda out: np.copyto(out, pixels))[0].tolist() == pytest.approx(
        HEAD.probabilities(pixels.reshape(1, 12))[0].tolist(), abs=1e-6
    )


def test_the_litert_model_carries_its_description():
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(tflite_model(tiny_tflite(), HEAD, BUNDLE), 0)
    (entry,) = [entry for entry in model.metadata if entry.name == b"retrain.bundle"]
    assert bundle_from_json(bytes(model.buffers[entry.buffer].data), "x") == BUNDLE
    assert model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]].name == b"final_result"


@pytest.fixture
def exported(tmp_path):
    """A graph with its .tflite beside it, as publish.py writes them."""
    from dataclasses import replace

    tflite = tflite_model(tiny_tflite(), HEAD, BUNDLE)
    bundle = replace(BUNDLE, tflite_sha256=hashlib.sha256(tflite).hexdigest())
    (tmp_path / "model.tflite").write_bytes(tflite)
    (tmp_path / "model.pb").write_bytes(frozen_graph(tiny_graph(), HEAD, bundle))
    return tmp_path / "model.pb"


def png_of(pixels):
    from support import encode

    return encode(pixels)


def test_a_photograph_is_classified_with_nothing_but_the_model(exported):
    picture = np.random.default_rng(2).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    classifier = Classifier.open(exported)
    expected = HEAD.probabilities(((picture.reshape(1, 12) - 127.5) / 127.5).astype(np.float32))[0]
    assert classifier.scores(png_of(picture)).tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    guesses = classifier.classify(png_of(picture))
    assert [guess.score for guess in guesses] == sorted((guess.score for guess in guesses), reverse=True)
    assert {guess.label for guess in guesses} == set(BUNDLE.labels)


@pytest.mark.parametrize("mean", [0.0, 255.0])
def test_a_mean_of_nought_can_be_asked_for(exported, mean):
    # The original ignores --input_mean 0.
    black = np.zeros((2, 2, 3), np.uint8)
    expected = HEAD.probabilities(np.full((1, 12), -mean / 127.5, np.float32))[0]
    scores = Classifier.open(exported, input_mean=mean).scores(png_of(black))
    assert scores.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_tflite_of_another_run_is_refused(exported):
    other = exported.with_suffix(".tflite")
    other.write_bytes(other.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"is not the file that .* was written with"):
        Classifier.open(exported)


def test_a_missing_tflite_is_named(exported):
    exported.with_suffix(".tflite").unlink()
    with pytest.raises(ModelError, match=r"model\.tflite"):
        Classifier.open(exported)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff" * 100, "is not a frozen TensorFlow graph"),
        (b"just text", "is not a frozen TensorFlow graph"),
        (b"", "got one without a single node$"),
        (tiny_graph(), "expected input to say its size.* give --input_height and --input_width"),
    ],
)
def test_graphs_of_others_are_refused_unrun(tmp_path, content, said):
    (tmp_path / "x.pb").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        Classifier.open(tmp_path / "x.pb")


def test_a_model_with_too_few_scores_is_refused():
    content = tflite_model(tiny_tflite(), HEAD, BUNDLE)
    with pytest.raises(ModelError, match="expected 3 scores, one a label, the model gives 2"):
        Classifier(bundle_of(["a", "b", "c"]), LiteRuntime(content, 2, 2, feature_width=12))
