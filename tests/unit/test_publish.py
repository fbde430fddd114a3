import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import tiny_graph, tiny_tflite

from retrain.backbones import PreparedBackbone, find_backbone
from retrain.backbones.weights import WeightsFile
from retrain.classifier import Classifier
from retrain.config import RunConfig
from retrain.console import Console
from retrain.evaluate import Accuracy, measure_accuracy
from retrain.head import Head, Recipe
from retrain.images import InputSpec
from retrain.modelfile import read_graph_bundle
from retrain.publish import (
    Record,
    Row,
    beside,
    describe,
    is_repetition,
    make_model,
    remove_old_exports,
    versions,
    write_metrics,
    write_model,
    write_record,
)
from retrain.publish.describing import dated, manifest_sha256

LABELS = ("globular cluster", "银河")
NOON = 1_763_812_800  # 2025-11-22T12:00:00Z
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


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(NOON))


def bundle(backbone, **flags):
    return describe(RunConfig(**flags), backbone, LABELS, RECIPE.facts(), TABLE)


def write(config, backbone, head=HEAD, table=TABLE):
    return write_model(config, make_model(config, backbone, head, bundle(backbone)), table, {".memory.npz": b"memory"})


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
    assert made.manifest_sha256 == manifest_sha256(TABLE)
    assert (made.unknown_threshold, made.temperature, made.date) == (0.0, 1.0, "")
    assert bundle(backbone, unknown_threshold=0.4).unknown_threshold == 0.4


def test_the_files_of_a_model_belong_together(backbone, config):
    files = write(config, backbone)
    assert sorted(Path(file).name for file in files) == [
        "labels.txt",
        "model.memory.npz",
        "model.pb",
        "model.split.csv",
        "model.tflite",
    ]
    assert files[-1] == config.output_graph  # last, so that a graph never stands beside an older .tflite for long
    written = read_graph_bundle(Path(config.output_graph))
    split, tflite = (Path(beside(config.output_graph, ending)).read_bytes() for ending in (".split.csv", ".tflite"))
    assert written.split_sha256 == hashlib.sha256(split).hexdigest()
    assert written.tflite_sha256 == hashlib.sha256(tflite).hexdigest()
    assert written.head_step == 4
    assert written.date == "2025-11-22T12:00:00Z"
    assert Path(config.output_labels).read_text(encoding="utf-8") == "globular cluster\n银河\n"
    assert b"\\udcff" in split
    assert Classifier.open(config.output_graph).bundle == written


def test_the_same_model_is_the_same_bytes(backbone, config):
    files = write(config, backbone)
    first = [Path(file).read_bytes() for file in files]
    write(config, backbone)
    assert [Path(file).read_bytes() for file in files] == first


def test_a_full_disk_leaves_the_old_model_whole(backbone, config, monkeypatch):
    files = write(config, backbone)
    old = [Path(file).read_bytes() for file in files]
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(config, backbone, replace(HEAD, step=9), TABLE + "more\n")
    assert [Path(file).read_bytes() for file in files] == old
    assert len(list(Path(config.output_graph).parent.iterdir())) == 5


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


def test_the_manifest_knows_photographs_by_contents_and_label_alone():
    table = "path,label,split,sha256\na/1.jpg,a,training,01\nb/2.jpg,b,testing,02\n"
    moved = "path,label,split,sha256\nb/x.jpg,b,training,02\na/y.jpg,a,validation,01\n"
    assert manifest_sha256(table) == manifest_sha256(moved)
    assert manifest_sha256(table) != manifest_sha256(table.replace(",a,", ",b,"))
    assert manifest_sha256(table) != manifest_sha256(table.replace(",02", ",03"))


def test_a_model_keeps_its_date_while_nothing_else_in_it_changes(backbone, config, tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    tflite = Path(beside(config.output_graph, ".tflite"))
    described = replace(bundle(backbone), head_step=HEAD.step)
    today = dated(described, tflite).date
    assert today.endswith("Z")
    assert today > "2026"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(NOON))
    write(config, backbone)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert dated(described, tflite).date == "2025-11-22T12:00:00Z"
    assert dated(replace(described, head_step=5), tflite).date >= today
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert dated(described, tflite).date == "1970-01-01T00:00:00Z"


def test_a_repetition_is_seen_before_it_is_trained(backbone, config):
    tflite = Path(beside(config.output_graph, ".tflite"))
    assert not is_repetition(bundle(backbone), tflite)
    write(config, backbone)
    assert is_repetition(bundle(backbone), tflite)
    assert not is_repetition(replace(bundle(backbone), manifest_sha256="other"), tflite)
    tflite.write_bytes(b"damaged")
    assert not is_repetition(bundle(backbone), tflite)


def test_what_comes_of_the_training_is_told_and_does_not_make_another_model_of_a_repetition(backbone, config):
    tflite, head = Path(beside(config.output_graph, ".tflite")), HEAD.cooled(2.5).cooled(0.5)
    model = make_model(config, backbone, head, replace(bundle(backbone), unknown={"scales": (0.5, 2.0)}))
    assert (model.bundle.temperature, model.bundle.head_step) == (1.25, 4)
    np.testing.assert_allclose(head.weights, HEAD.weights / np.float32(1.25), rtol=1e-6)
    write_model(config, model, TABLE, {})
    assert read_graph_bundle(Path(config.output_graph)).temperature == 1.25
    assert Classifier.open(config.output_graph).bundle.temperature == 1.25
    assert is_repetition(bundle(backbone), tflite)


def test_a_model_keeps_its_date_whatever_json_makes_of_tuples(backbone, config, monkeypatch):
    described = replace(bundle(backbone), unknown={"scales": (0.5, 2.0)})
    write_model(config, make_model(config, backbone, HEAD, described), TABLE, {})
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    again = make_model(config, backbone, HEAD, described)
    assert again.bundle.date == "2025-11-22T12:00:00Z"
    assert again.tflite == Path(beside(config.output_graph, ".tflite")).read_bytes()


def test_exports_of_a_replaced_model_are_taken_away_and_no_others(backbone, config, capsys):
    model = make_model(config, backbone, HEAD, bundle(backbone))
    remove_old_exports(config, model, Console())
    assert capsys.readouterr().out == ""
    names = ("_int8.tflite", ".onnx", ".keras")
    int8, onnx, keras = (Path(beside(config.output_graph, name)) for name in names)
    folder = Path(beside(config.output_graph, "_saved_model"))
    folder.mkdir(parents=True)
    for path in (int8, onnx, keras, folder / "saved_model.pb"):
        path.write_bytes(b"of the earlier model")
    row = Row("onnx", onnx.name, "", 1, 1.0, 1, 1, 1, 0, 0.0, 1.0, 1.0, 0, 0, 0, 0.0, "tflite", "", True)
    rows = (row, replace(row, format="saved_model"), replace(row, format="graph"))
    own = Record(hashlib.sha256(model.graph).hexdigest(), "", "", rows)
    write_record(beside(config.output_graph, ".exports.json"), own)
    remove_old_exports(config, model, Console())
    assert all(path.exists() for path in (int8, onnx, keras, folder))
    write_record(beside(config.output_graph, ".exports.json"), replace(own, graph_sha256="another"))
    remove_old_exports(config, model, Console())
    assert [path.exists() for path in (int8, onnx, keras, folder)] == [True, False, True, False]
    assert "model.onnx: it was of the model that is replaced now (--export onnx" in capsys.readouterr().out
    Path(beside(config.output_graph, ".exports.json")).unlink()  # as before there were records
    remove_old_exports(config, model, Console())
    assert [path.exists() for path in (int8, keras)] == [False, True]
