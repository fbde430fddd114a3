import json
import re

import numpy as np
import pytest
from model_files import GraphMaker, keras_file, onnx_file
from support import bundle_of, tiny_graph, tiny_tflite
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain import commands
from retrain.bundle import ASSET, METADATA_ENTRY
from retrain.console import Console
from retrain.errors import ModelError, UsageError
from retrain.exporters import frozen_graph, tflite_model
from retrain.head import Head

HEAD = Head(np.ones((12, 2), np.float32), np.zeros(2, np.float32), 4)
BUNDLE = bundle_of(labels=("globular cluster", "银河"))


@pytest.fixture
def models(tmp_path):
    (tmp_path / "m.pb").write_bytes(frozen_graph(tiny_graph(), HEAD, BUNDLE))
    (tmp_path / "m.tflite").write_bytes(tflite_model(tiny_tflite(), HEAD, BUNDLE))
    return tmp_path


def shown(capsys, *words):
    assert commands.main(["show", *map(str, words)], Console()) == 0
    return capsys.readouterr().out


def test_both_formats_say_the_same(models, capsys):
    answers = shown(capsys, models / "m.pb", models / "m.tflite", "--json").splitlines()
    of_graph, of_tflite = map(json.loads, answers)
    assert of_graph.pop("file").endswith("m.pb")
    assert of_tflite.pop("file").endswith("m.tflite")
    assert of_graph == of_tflite
    assert of_graph["labels"] == ["globular cluster", "银河"]
    assert of_graph["written_by"] == "this tool"


def test_a_page_names_labels_and_input(models, capsys):
    page = shown(capsys, models / "m.pb")
    assert "globular cluster, 银河" in page
    assert re.search(rf"^  input_height +{BUNDLE.input_height}$", page, flags=re.M)


def test_of_a_strangers_graph_what_can_be_inferred(tmp_path, capsys):
    graph = GraphDef.FromString(tiny_graph())
    (tmp_path / "old.pb").write_bytes(graph.SerializeToString())
    (answer,) = shown(capsys, tmp_path / "old.pb", "--json").splitlines()
    facts = json.loads(answer)
    assert facts["written_by"] == "another tool; inferred"
    assert facts["inputs"] == ["input"]
    assert facts["outputs"] == ["bottleneck"]
    assert facts["nodes"] == len(graph.node)
    assert facts["operations"] == {"Identity": 1, "Placeholder": 1}
    assert facts["scores"].startswith("not found: expected input to say its size")


def test_a_graph_with_an_operation_that_is_not_allowed_is_refused_by_its_name(tmp_path):
    graph = GraphDef.FromString(tiny_graph())
    graph.node.add(name="spy", op="ReadFile")
    (tmp_path / "old.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match="ReadFile"):
        commands.main(["show", str(tmp_path / "old.pb")], Console())


def test_a_strangers_graph_is_shown_with_what_labelling_needs(tmp_path, capsys):
    (tmp_path / "old.pb").write_bytes(GraphMaker().data)
    facts = json.loads(shown(capsys, tmp_path / "old.pb", "--json"))
    assert (facts["input_node"], facts["input_height"], facts["std"]) == ("input", 2, 127.5)
    assert (facts["output_node"], facts["classes"]) == ("final_result", 3)
    assert facts["labels"].startswith("not found: ")
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    facts = json.loads(shown(capsys, tmp_path / "old.pb", "--json"))
    assert (facts["labels"], facts["labels_of"]) == (["a", "b", "c"], str(tmp_path / "labels.txt"))


def others(folder):
    """A model of each other format, of ours and of a stranger's."""
    text = BUNDLE.to_json()
    own, foreign = onnx_file(), onnx_file()
    own.metadata_props.add(key=METADATA_ENTRY, value=text.decode())
    (folder / "own.onnx").write_bytes(own.SerializeToString())
    (folder / "foreign.onnx").write_bytes(foreign.SerializeToString())
    (folder / "foreign.tflite").write_bytes(tiny_tflite())
    keras_file(folder / "own.keras", **{ASSET: text})
    keras_file(folder / "foreign.keras", config__json={"class_name": "Functional"}, metadata__json={})
    for name, metadata in (("own_js", {METADATA_ENTRY: json.loads(text)}), ("foreign_js", None)):
        (folder / name).mkdir()
        (folder / name / "model.json").write_text(json.dumps({"format": "x", "userDefinedMetadata": metadata}))
    (folder / "own_saved/assets").mkdir(parents=True)
    (folder / "own_saved/saved_model.pb").write_bytes(b"")
    (folder / "own_saved/assets" / ASSET).write_bytes(text)


def test_every_other_format_says_what_it_is(tmp_path, capsys):
    others(tmp_path)
    own = ["own.onnx", "own.keras", "own_js", "own_js/model.json", "own_saved", "own_saved/saved_model.pb"]
    for line in shown(capsys, *(tmp_path / name for name in own), "--json").splitlines():
        assert json.loads(line)["labels"] == list(BUNDLE.labels), line
    pages = shown(
        capsys, *(tmp_path / f"foreign.{name}" for name in ("onnx", "tflite", "keras")), tmp_path / "foreign_js"
    )
    assert pages.count("another tool; inferred") == 4
    assert "input float32 (N, 2, 2, 3)" in pages
    assert "input float32 (1, 2, 2, 3)" in pages
    assert "class          Functional" in pages


def test_a_broken_file_does_not_hide_the_others(models, capsys):
    (models / "bad.tflite").write_bytes(b"xxxxTFL3" + bytes(50))
    with pytest.raises(ModelError, match=r"bad\.tflite"):
        commands.main(["show", str(models / "bad.tflite"), str(models / "m.pb")], Console())
    assert "globular cluster" in capsys.readouterr().out


def test_all_names_that_are_no_model_files_are_listed_at_once(models):
    (models / "x.txt").write_text("x")
    with pytest.raises(UsageError) as refusal:
        commands.main(["show", str(models / "x.txt"), str(models / "gone.pb"), str(models / "m.pb")], Console())
    assert len(refusal.value.problems) == 2
    assert "is none" in refusal.value.problems[0]
    assert "is not there" in refusal.value.problems[1]
