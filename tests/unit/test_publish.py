import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import tiny_graph, tiny_tflite

from retrain import fsio
from retrain.backbones import PreparedBackbone, find_backbone
from retrain.backbones.weights import WeightsFile
from retrain.classifier import Classifier
from retrain.config import RunConfig
from retrain.console import Console
from retrain.evaluate import Accuracy, measure_accuracy
from retrain.head import Head, Recipe
from retrain.images import InputSpec
from retrain.modelfile import read_graph_bundle
from retrain.publish import beside, describe, remove_old_int8, versions, write_metrics, write_model

LABELS = ("globular cluster", "银河")
RECIPE = Recipe(steps=10, learning_rate=0.01, batch_size=5, weight_decay=0.03)
HEAD = Head(np.ones((12, 2), np.float32), np.array([0.0, 1.0], np.float32), 4)
TABLE = "path,label,split,sha256\na/\udcff.jpg,a,training,00\n"


@pytest.mark.parametrize(
    ("graph", "ending", "path"),
    [
        ("tf_files/retrained_graph.pb", ".tflite", "tf_files/retrained_graph.tflite"),
        ("a.b.pb", ".split.csv", "a.b.split.csv"),
        ("./x.d/m.pb", ".metrics.json", "x.d/m.metrics.json"),
    ],
)
def test_files_of_a_model_stand_beside_it(graph, ending, path):
    assert beside(graph, ending) == path


@pytest.fixture
def backbone(tmp_path):
    (tmp_path / "base.tflite").write_bytes(tiny_tflite())
    (tmp_path / "base.pb").write_bytes(tiny_graph())
    spec = replace(find_backbone("mobilenet_0.50_224"), input_spec=InputSpec(2, 2, 127.5, 127.5), feature_width=12)
    weights = WeightsFile(tmp_path / "w.npz", "bundled", "a" * 64)
    return PreparedBackbone(spec, weights, tmp_path / "base.tflite", tmp_path / "base.pb")


@pytest.fixture
def config(tmp_path):
    return RunConfig(
        output_graph=str(tmp_path / "out" / "model.pb"), output_labels=str(tmp_path / "out" / "labels.txt")
    )


def bundle(backbone):
    return describe(backbone, LABELS, "final_result", RECIPE, TABLE, {})


def test_a_model_is_described_by_what_made_it(backbone):
    made = bundle(backbone)
    assert made.labels == LABELS
    assert made.input_spec == InputSpec(2, 2, 127.5, 127.5)
    assert (made.architecture, made.weights_source, made.weights_sha256) == ("mobilenet_0.50_224", "bundled", "a" * 64)
    assert (made.input_node, made.output_node, made.feature_width) == ("input", "final_result", 12)
    assert made.training["steps"] == 10
    assert made.training["seed"] == 0
    assert made.versions == versions()
    assert made.tflite_sha256 == ""


def test_the_files_of_a_model_belong_together(backbone, config):
    files = write_model(config, backbone, HEAD, bundle(backbone), TABLE)
    assert sorted(Path(file).name for file in files) == ["labels.txt", "model.pb", "model.split.csv", "model.tflite"]
    assert files[-1] == config.output_graph  # last, so that a graph never stands beside an older .tflite for long
    written = read_graph_bundle(Path(config.output_graph))
    split, tflite = (Path(beside(config.output_graph, ending)).read_bytes() for ending in (".split.csv", ".tflite"))
    assert written.split_sha256 == hashlib.sha256(split).hexdigest()
    assert written.tflite_sha256 == hashlib.sha256(tflite).hexdigest()
    assert written.head_step == 4
    assert Path(config.output_labels).read_text(encoding="utf-8") == "globular cluster\n银河\n"
    assert b"\\udcff" in split
    assert Classifier.open(config.output_graph).bundle == written


def test_the_same_model_is_the_same_bytes(backbone, config):
    files = write_model(config, backbone, HEAD, bundle(backbone), TABLE)
    first = [Path(file).read_bytes() for file in files]
    write_model(config, backbone, HEAD, bundle(backbone), TABLE)
    assert [Path(file).read_bytes() for file in files] == first


def test_a_full_disk_leaves_the_old_model_whole(backbone, config, monkeypatch):
    files = write_model(config, backbone, HEAD, bundle(backbone), TABLE)
    old = [Path(file).read_bytes() for file in files]
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(fsio.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_model(config, backbone, replace(HEAD, step=9), bundle(backbone), TABLE + "more\n")
    assert [Path(file).read_bytes() for file in files] == old
    assert len(list(Path(config.output_graph).parent.iterdir())) == 4


def test_versions_that_shape_the_numbers_are_named():
    found = versions()
    assert set(found) == {"python", "retrain-photos", "ai-edge-litert", "numpy", "pillow"}
    assert found["numpy"] == np.__version__


def test_metrics_are_json_that_any_reader_takes(tmp_path):
    facts = {
        "test": Accuracy(9, 10, 0.5, 1.0),
        "none": measure_accuracy(np.zeros((0, 2), np.float32), np.zeros(0, np.intp)),
        "confusion": np.eye(2, dtype=np.int64),
        "number": np.float32(0.5),
        "labels": LABELS,
        "nothing": None,
    }
    write_metrics(str(tmp_path / "m.json"), facts)

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    read = json.loads((tmp_path / "m.json").read_text(), parse_constant=refuse)
    assert read["test"] == {"accuracy": 0.9, "right": 9, "count": 10, "low_95": 0.5, "high_95": 1.0}
    assert (read["none"]["accuracy"], read["none"]["count"]) == (None, 0)
    assert (read["confusion"], read["number"], read["labels"]) == ([[1, 0], [0, 1]], 0.5, list(LABELS))


def test_what_has_no_json_form_is_not_guessed(tmp_path):
    with pytest.raises(TypeError, match="set has no JSON form"):
        write_metrics(str(tmp_path / "m.json"), {"x": {1}})
    assert list(tmp_path.iterdir()) == []


def test_the_int8_model_of_a_replaced_model_is_taken_away(tmp_path, capsys):
    config = RunConfig(output_graph=str(tmp_path / "g.pb"))
    remove_old_int8(config, Console())
    assert capsys.readouterr().out == ""
    (tmp_path / "g_int8.tflite").write_bytes(b"of the earlier model")
    remove_old_int8(config, Console())
    assert not (tmp_path / "g_int8.tflite").exists()
    assert "g_int8.tflite: it was of the model that is replaced now" in capsys.readouterr().out
