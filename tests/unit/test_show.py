import json

import numpy as np
import pytest
from support import bundle_of, tiny_graph, tiny_tflite
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain import commands
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
    assert f"  input_height    {BUNDLE.input_height}\n" in page


def test_of_a_strangers_graph_what_can_be_inferred(tmp_path, capsys):
    graph = GraphDef.FromString(tiny_graph())
    (tmp_path / "old.pb").write_bytes(graph.SerializeToString())
    (answer,) = shown(capsys, tmp_path / "old.pb", "--json").splitlines()
    facts = json.loads(answer)
    assert facts["written_by"] == "another tool; inferred"
    assert facts["inputs"] == ["input"]
    assert facts["outputs"] == ["bottleneck"]
    assert facts["operations"] == len(graph.node)


def test_a_graph_with_an_operation_that_is_not_allowed_is_refused_by_its_name(tmp_path):
    graph = GraphDef.FromString(tiny_graph())
    graph.node.add(name="spy", op="ReadFile")
    (tmp_path / "old.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match="ReadFile"):
        commands.main(["show", str(tmp_path / "old.pb")], Console())


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
