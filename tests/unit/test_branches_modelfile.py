"""Model files read without being run: every way out of what reads them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from model_files import onnx_file
from support import bundle_of, tiny_graph, tiny_tflite
from tensorboard.compat.proto.graph_pb2 import GraphDef
from test_hub import usual

from retrain.bundle import GRAPH_NODE
from retrain.errors import ModelError
from retrain.exporters import tflite_model
from retrain.head import Head
from retrain.modelfile import files, kerasfile, onnxfile, savedmodel, tflite, wire
from retrain.modelfile.graph import read_graph_bundle


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "m.pb"
    path.write_bytes(b"1234")
    assert files.read_model_file(path, "a model", 4) == b"1234"
    with pytest.raises(ModelError, match="got 4 bytes, at most 3 are read"):
        files.read_model_file(path, "a model", 3)
    with pytest.raises(ModelError, match="File name too long"):
        files.read_model_file(tmp_path / ("n" * 300), "a model")


def test_models_of_other_tools_say_nothing_of_themselves(tmp_path):
    path = tmp_path / "m.pb"
    path.write_bytes(tiny_graph())
    with pytest.raises(ModelError, match="not written by this tool"):
        read_graph_bundle(path)
    with pytest.raises(ModelError, match="not written by this tool"):
        tflite.read_tflite_bundle(tiny_tflite(), "x")


def test_a_keras_file_that_is_a_folder_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read .*: Is a directory"):
        kerasfile.keras_facts(tmp_path)


def test_notes_of_others_are_passed_over(monkeypatch):
    model = onnx_file()
    model.metadata_props.add(key="author", value="somebody")
    data = model.SerializeToString()
    assert onnxfile.onnx_bundle(data, "x") is None
    monkeypatch.setattr(onnxfile, "MAX_OPERATIONS", 2)
    with pytest.raises(ModelError, match="has 3 operations, at most 2 are read"):
        onnxfile.onnx_facts(data, "x")


def test_only_so_many_notes_are_looked_through(monkeypatch):
    head = Head(np.ones((12, 2), np.float32), np.zeros(2, np.float32), 4)
    content = tflite_model(tiny_tflite(), head, bundle_of())
    assert tflite.tflite_bundle(content, "x") == bundle_of()
    monkeypatch.setattr(tflite, "_MAX_METADATA", 0)
    assert tflite.tflite_bundle(content, "x") is None


def test_a_constant_that_holds_no_tensor_is_no_text():
    graph = GraphDef()
    graph.node.add(name=GRAPH_NODE, op="Const").attr["value"].type = 1
    assert wire.find_text_constant(graph.SerializeToString(), GRAPH_NODE) is None


def test_an_output_that_is_made_of_itself_has_no_probabilities():
    circle = SimpleNamespace(integers=lambda field: [0])
    assert not tflite._gives_probabilities(0, [circle], ["RESHAPE"])
    assert tflite._gives_probabilities(0, [circle], ["SOFTMAX"])


def test_a_saved_model_tells_what_it_can_be_asked_and_why_not(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(usual().data)
    facts = savedmodel.saved_model_facts(tmp_path)
    assert (facts["input_height"], facts["input_width"], facts["output"]) == (8, 6, "features")
    module = usual()
    module.objects.concrete_functions["outer"].canonicalized_input_signature.Clear()
    (tmp_path / "saved_model.pb").write_bytes(module.data)
    assert savedmodel.saved_model_facts(tmp_path)["labels_with"].startswith("nothing: expected")
    (tmp_path / "saved_model.pb").write_bytes(b"\xff")
    with pytest.raises(ModelError, match="got bytes that are none"):
        savedmodel.saved_model_facts(tmp_path)
    damaged = usual()
    damaged.objects.nodes[0].children.add(local_name="__call__", node_id=99)
    (tmp_path / "saved_model.pb").write_bytes(damaged.data)
    with pytest.raises(ModelError, match="names number 99"):
        savedmodel.saved_model_facts(tmp_path)
