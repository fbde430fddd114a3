"""Model files of every format, read without being run: what they say, what can be inferred, what is refused."""

import json

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from model_files import keras_file, onnx_file
from support import bundle_of, tiny_graph, tiny_tflite
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.bundle import ASSET, GRAPH_NODE, METADATA_ENTRY
from retrain.errors import ModelError, UsageError
from retrain.exporters import frozen_graph, tflite_model
from retrain.head import Head
from retrain.modelfile import files, kerasfile, kinds, labels, onnxfile, tfjs, tflite, wire
from retrain.modelfile.graph import graph_bundle
from retrain.modelfile.savedmodel import saved_model_bundle

HEAD = Head(np.ones((12, 2), np.float32), np.zeros(2, np.float32), 4)
BUNDLE = bundle_of(labels=("globular cluster", "银河"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("m.pb", "graph"), ("m.TFLITE", "tflite"), ("m.lite", "tflite"), ("m.onnx", "onnx"), ("m.keras", "keras"),
        ("model.json", "tfjs"), ("saved_model.pb", "saved_model"), ("m.txt", ""), ("other.json", ""),
    ],
)  # fmt: skip
def test_formats_are_told_apart_by_their_names(tmp_path, name, kind):
    assert kinds.kind_of(tmp_path / name) == ""
    (tmp_path / name).write_bytes(b"x")
    assert kinds.kind_of(tmp_path / name) == kind
    assert kinds.kind_of(tmp_path) == (kind if kind in ("tfjs", "saved_model") else "")


# Frozen graphs


def test_a_description_is_found_without_protobuf_as_protobuf_finds_it():
    graph = frozen_graph(tiny_graph(), HEAD, BUNDLE)
    assert wire.find_text_constant(graph, GRAPH_NODE) == BUNDLE.to_json()
    assert wire.find_text_constant(graph, "input") is None
    assert wire.find_text_constant(tiny_graph(), GRAPH_NODE) is None
    assert graph_bundle(graph, "x") == BUNDLE
    assert graph_bundle(tiny_graph(), "x") is None


@pytest.mark.parametrize("graph", [b"\x0a", b"\x0a\xff", b"\xff" * 30, b"\x0a\x05abc", b"\x0b", b"text"])
def test_what_is_no_graph_holds_no_description(graph):
    assert wire.find_text_constant(graph, "x") is None


def test_a_damaged_graph_never_ends_in_an_error_of_pythons():
    whole, random = frozen_graph(tiny_graph(), HEAD, BUNDLE), np.random.default_rng(0)
    for _ in range(500):
        graph = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            graph[place] = random.integers(256)
        found = wire.find_text_constant(bytes(graph), GRAPH_NODE)
        assert found is None or isinstance(found, bytes)


def test_a_description_that_holds_no_text_is_damage_and_no_strangers_graph():
    graph = GraphDef.FromString(tiny_graph())
    graph.node.add(name=GRAPH_NODE, op="Const")
    with pytest.raises(ModelError, match="holds no text"):
        graph_bundle(graph.SerializeToString(), "x")


# LiteRT


def changed(change):
    """A tiny LiteRT model with its schema's objects changed."""
    model = schema.ModelT.InitFromPackedBuf(tflite_model(tiny_tflite(), HEAD, BUNDLE), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_the_few_lines_that_read_flatbuffers_agree_with_the_generated_classes():
    content = tflite_model(tiny_tflite(), HEAD, BUNDLE)
    facts = tflite.tflite_facts(content, "x")
    assert facts.inputs == (tflite.Tensor("input", (1, 2, 2, 3), "float32"),)
    scores, vector = tflite.Tensor("final_result", (1, 2), "float32"), tflite.Tensor("bottleneck", (1, 12), "float32")
    assert facts.outputs == (scores, vector)
    assert facts.operations == {"FULLY_CONNECTED": 1, "RESHAPE": 1, "SOFTMAX": 1}
    assert facts.gives_probabilities
    assert not tflite.tflite_facts(tiny_tflite(), "x").gives_probabilities
    assert tflite.tflite_bundle(content, "x") == BUNDLE
    assert tflite.tflite_bundle(tiny_tflite(), "x") is None
    known = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert {number: known[number] for number in tflite.OPERATIONS} == tflite.OPERATIONS


def set_operation(number, custom=None):
    def change(model):
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = number, min(number, 127), custom

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_operation(schema.BuiltinOperator.CUSTOM, b"FlexWriteFile"), "operation 'FlexWriteFile', which is not"),
        (set_operation(schema.BuiltinOperator.WHILE), "operation 'number 119'"),
        (set_operation(schema.BuiltinOperator.ASSIGN_VARIABLE), "operation 'number 144'"),
        (lambda model: model.subgraphs.append(model.subgraphs[0]), "expected x to hold one graph, got 2"),
        (
            lambda model: setattr(model.subgraphs[0].tensors[0], "shape", [1, 1 << 20, 1 << 20, 3]),
            "too large at 'input'",
        ),
        (lambda model: setattr(model.subgraphs[0].tensors[0], "shape", [1] * 9), "array of 9 dimensions"),
        (lambda model: setattr(model.subgraphs[0].operators[0], "outputs", [1] * 2000), "more than 1024 inputs or out"),
        (lambda model: setattr(model.subgraphs[0], "inputs", [0] * 20_001), "a list of 20001 at"),
        (lambda model: setattr(model.subgraphs[0], "outputs", [99]), "is damaged"),
        (lambda model: setattr(model.subgraphs[0].operators[0], "opcodeIndex", 99), "is damaged"),
    ],
)
def test_a_litert_model_that_may_do_more_or_is_too_large_is_refused(change, said):
    with pytest.raises(ModelError, match=said):
        tflite.tflite_facts(changed(change), "x")


def test_a_damaged_litert_model_is_an_error_of_ours_or_a_model():
    whole, random = tflite_model(tiny_tflite(), HEAD, BUNDLE), np.random.default_rng(0)
    outcomes = set()
    for _ in range(500):
        content = bytearray(whole)
        for place in random.integers(8, len(whole), 3):
            content[place] = random.integers(256)
        for read in (tflite.tflite_facts, tflite.tflite_bundle):
            try:
                read(bytes(content), "x")
                outcomes.add("read")
            except ModelError:
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


# ONNX


def test_an_onnx_model_is_described_without_the_onnx_package():
    facts = onnxfile.onnx_facts(onnx_file().SerializeToString(), "x")
    assert facts.inputs == (onnxfile.Value("input", ("N", 2, 2, 3), "float32"),)
    assert facts.operations == {"Flatten": 1, "MatMul": 1, "Softmax": 1}
    assert facts.producer == "somebody"
    assert onnxfile.onnx_bundle(onnx_file().SerializeToString(), "x") is None


def test_an_onnx_model_of_ours_says_what_it_is():
    model = onnx_file()
    model.metadata_props.add(key=METADATA_ENTRY, value=BUNDLE.to_json().decode())
    assert onnxfile.onnx_bundle(model.SerializeToString(), "x") == BUNDLE
    model.metadata_props[0].value = "{}"
    with pytest.raises(ModelError, match="description of format"):
        onnxfile.onnx_bundle(model.SerializeToString(), "x")


def outside(model):
    model.graph.initializer[0].data_location = 1
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def hidden(model):
    node = model.graph.node[0]
    node.attribute.add(name="value").t.external_data.add(key="location", value="/etc/passwd")


def nested(model):
    model.graph.node[0].attribute.add(name="body").g.node.add(op_type="Loop")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda model: model.graph.node.add(op_type="Loop", name="l"),
            r"operation Loop \(l\), which is not on the list",
        ),
        (lambda model: model.graph.node.add(op_type="Add", domain="evil"), r"operation evil\.Add"),
        (lambda model: model.functions.add(name="Spy"), "holds a function, 'Spy'"),
        (nested, "attribute body of .* holds a graph"),
        (outside, "keeps the numbers of 'weights' in another file"),
        (hidden, "in another file"),
    ],
)
def test_an_onnx_model_that_may_do_more_is_refused(change, said):
    model = onnx_file()
    change(model)
    with pytest.raises(ModelError, match=said):
        onnxfile.onnx_facts(model.SerializeToString(), "x")


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"text"])
def test_what_is_no_onnx_model_is_refused(content):
    with pytest.raises(ModelError, match="expected x to be an ONNX model"):
        onnxfile.onnx_facts(content, "x")


# Keras, TensorFlow.js, SavedModels


def test_a_keras_archive_of_ours_and_of_others(tmp_path):
    own = keras_file(tmp_path / "a.keras", **{ASSET: BUNDLE.to_json()})
    assert kerasfile.keras_bundle(own) == BUNDLE
    layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 2, 2, 3]}}, {"class_name": "Lambda"}]
    config = {"class_name": "Functional", "config": {"name": "m", "layers": layers}}
    other = keras_file(tmp_path / "b.keras", config__json=config, metadata__json={"keras_version": "3.15.0"})
    assert kerasfile.keras_bundle(other) is None
    facts = kerasfile.keras_facts(other)
    assert facts["layers"] == {"InputLayer": 1, "Lambda": 1}
    assert (facts["keras_version"], facts["input_shape"], facts["name"]) == ("3.15.0", [None, 2, 2, 3], "m")


@pytest.mark.parametrize("layers", [None, 3, {"x": 1}, [1, None, "x"], [{"config": 5}]])
def test_a_keras_configuration_of_odd_shape_is_read_or_refused(tmp_path, layers):
    path = keras_file(tmp_path / "b.keras", config__json={"config": {"layers": layers}}, metadata__json={})
    assert kerasfile.keras_facts(path)["class"] == "not said"


def test_a_keras_archive_that_is_none_or_lies_is_refused(tmp_path, monkeypatch):
    (tmp_path / "x.keras").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(ModelError, match="to be a zip archive; it is none"):
        kerasfile.keras_bundle(tmp_path / "x.keras")
    with pytest.raises(ModelError, match=r"to hold config\.json and metadata\.json"):
        kerasfile.keras_facts(keras_file(tmp_path / "y.keras", other=b"x"))
    with pytest.raises(ModelError, match="to be JSON; it is not"):
        kerasfile.keras_facts(keras_file(tmp_path / "z.keras", config__json=b"[" * 100_000, metadata__json={}))
    monkeypatch.setattr(kerasfile, "MAX_TEXT_BYTES", 100)
    with pytest.raises(ModelError, match="at most 100 bytes"):
        kerasfile.keras_bundle(keras_file(tmp_path / "w.keras", **{ASSET: b"x" * 101}))


def test_a_tensorflow_js_model_of_ours_and_of_others(tmp_path):
    path = tmp_path / "model.json"
    for said in (json.loads(BUNDLE.to_json()), BUNDLE.to_json().decode()):
        path.write_text(json.dumps({"userDefinedMetadata": {METADATA_ENTRY: said}}))
        assert tfjs.tfjs_bundle(tfjs.read_tfjs(tmp_path), "x") == BUNDLE
    signature = {"inputs": {"input": {"tensorShape": {"dim": [{"size": "-1"}, {"size": "224"}]}}}, "outputs": 3}
    path.write_text(
        json.dumps({"format": "graph-model", "signature": signature, "modelTopology": {"node": [{"op": "Add"}, 5]}})
    )
    model = tfjs.read_tfjs(path)
    assert tfjs.tfjs_bundle(model, "x") is None
    facts = tfjs.tfjs_facts(model)
    assert facts["inputs"] == ["input (-1, 224)"]
    assert facts["outputs"] == []
    assert facts["operations"] == {"Add": 1, "None": 1}
    path.write_text("[]")
    with pytest.raises(ModelError, match="to be a JSON object, got a list"):
        tfjs.read_tfjs(path)


def test_a_saved_model_of_ours_says_so_in_its_assets(tmp_path):
    assert saved_model_bundle(tmp_path) is None
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / ASSET).write_bytes(BUNDLE.to_json())
    assert saved_model_bundle(tmp_path) == BUNDLE
    (tmp_path / "assets" / ASSET).write_bytes(b"{}")
    with pytest.raises(ModelError, match="description of format"):
        saved_model_bundle(tmp_path)


def test_files_are_bounded(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    with pytest.raises(ModelError, match="got 5 bytes, at most 4 are read"):
        files.read_model_file(tmp_path / "x", "a model", 4)
    with pytest.raises(ModelError, match="it is no file"):
        files.read_model_file(tmp_path, "a model")


# Labels


def test_labels_beside_a_model_are_found_where_their_number_fits(tmp_path):
    model = tmp_path / "retrained_graph.pb"
    with pytest.raises(
        ModelError, match=r"no retrained_graph_labels\.txt, .* lies beside it\); give a file with 3 lines"
    ):
        labels.labels_beside(model, 3)
    (tmp_path / "output_labels.txt").write_text("x\ny\n")
    with pytest.raises(ModelError, match=r"output_labels\.txt has 2 lines"):
        labels.labels_beside(model, 3)
    (tmp_path / "labels.txt").write_text("p\nq\nr\n")
    assert labels.labels_beside(model, 3).names == ("p", "q", "r")
    (tmp_path / "retrained_labels.txt").write_text("a \r\nb\nc")
    found = labels.labels_beside(model, 3)
    assert (found.names, found.source) == (("a", "b", "c"), str(tmp_path / "retrained_labels.txt"))
    assert labels.labels_beside(model, 2).names == ("x", "y")


def test_labels_of_a_folder_may_lie_in_it(tmp_path):
    (tmp_path / "m" / "assets").mkdir(parents=True)
    (tmp_path / "m" / "assets" / "labels.txt").write_text("a\nb\n")
    assert labels.labels_beside(tmp_path / "m", 2).names == ("a", "b")


def test_labels_that_were_given_must_fit(tmp_path):
    (tmp_path / "l.txt").write_text("a\nb\n")
    assert labels.given_labels(str(tmp_path / "l.txt")).names == ("a", "b")
    labels.check_count(labels.given_labels(["a", "b"]), 2, "m.pb")
    with pytest.raises(UsageError, match=r"to have 3 lines, one a class of m\.pb, got 2 in .*l\.txt"):
        labels.check_count(labels.given_labels(tmp_path / "l.txt"), 3, "m.pb")
    with pytest.raises(UsageError, match="got 1; give those"):
        labels.check_count(labels.given_labels(["a"]), 3, "m.pb")
