"""The model on the disk, opened once and again when it changes; and what may be chosen for the next one."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from studio_runs import run_again, trained, untrained

from retrain.backbones.table import table
from retrain.config import RunConfig
from retrain.errors import ImageError, ModelError, UsageError
from retrain.studio import models as module
from retrain.studio.choices import architectures, own_backbone, with_architecture
from retrain.studio.model_routes import _with_settings
from retrain.studio.models import Models


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("left") / "run")


@pytest.fixture
def out(config, tmp_path):
    """The model, to be changed."""
    return Path(shutil.copytree(Path(config.output_graph).parent, tmp_path / "out")) / "model.pb"


def photograph(config):
    return (Path(config.image_dir) / "class_0" / "0000.png").read_bytes()


def test_a_model_is_opened_once(config, out, monkeypatch):
    opened, real = [], module.Classifier.open
    monkeypatch.setattr(module.Classifier, "open", lambda graph: opened.append(graph) or real(graph))
    models = Models(str(out))
    assert len(models.judge(photograph(config)).guesses) == 3
    assert models.facts()["labels"] == ["class_0", "class_1", "class_2"]
    assert len(opened) == 1
    with pytest.raises(ImageError):
        models.judge(b"no photograph")


def test_a_model_that_a_run_wrote_anew_is_picked_up(config, out):
    models = Models(str(out))
    before = models.facts()["tflite_sha256"]
    run_again(replace(config, how_many_training_steps=9), out.parent)
    assert models.facts()["tflite_sha256"] != before


def test_no_model_is_a_sentence_and_a_later_one_is_found(out, tmp_path):
    models = Models(str(tmp_path / "later" / "model.pb"))
    assert not models.is_there()
    assert not models.was_trained_on("00")
    with pytest.raises(ModelError, match="train first"):
        models.facts()
    shutil.copytree(out.parent, tmp_path / "later")
    assert models.facts()["labels"]


def test_a_damaged_model_is_looked_at_once_and_found_again_when_it_is_whole(out, monkeypatch):
    monkeypatch.setattr(module, "_BETWEEN_S", 0)
    whole, tries = out.read_bytes(), []
    out.write_bytes(b"no model")
    models, real = Models(str(out)), module.Classifier.open
    monkeypatch.setattr(module.Classifier, "open", lambda graph: tries.append(graph) or real(graph))
    for _ in range(5):
        with pytest.raises(ModelError):
            models.facts()
    assert len(tries) == module._PATIENCE
    out.write_bytes(whole)
    assert models.facts()["labels"]


def test_a_model_that_is_half_written_is_waited_for(out, monkeypatch):
    tflite = out.with_suffix(".tflite")
    whole = tflite.read_bytes()
    tflite.unlink()
    monkeypatch.setattr(module.time, "sleep", lambda seconds: tflite.write_bytes(whole))
    assert Models(str(out)).facts()["labels"]


def test_photographs_are_named_while_the_model_changes(config, out):
    models, found = Models(str(out)), []
    data = photograph(config)

    def ask():
        found.extend(models.judge(data).guesses[0].label for _ in range(30))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(5):
        out.write_bytes(out.read_bytes())
        assert models.facts()["labels"], number
    for thread in threads:
        thread.join()
    assert len(found) == 90


def test_a_network_of_ones_own_can_be_chosen_again(config):
    listed = architectures(config)
    assert listed[0]["name"] == config.architecture
    assert config.weights in listed[0]["weights"]
    assert len(listed) == len(table()) + 1
    assert with_architecture(config, config.architecture) == config
    usual = architectures(RunConfig())
    assert len(usual) == len(table())
    assert own_backbone(RunConfig()) == ""


@pytest.mark.parametrize("field", ["weights", "backbone_graph", "tfhub_module"])
def test_another_architecture_leaves_behind_what_belonged_to_the_one_before(field):
    config = replace(RunConfig(), **{field: "somewhere"})
    assert "somewhere" in own_backbone(config)
    assert len(architectures(config)) == len(table())
    other = next(name for name in table() if name != config.architecture)
    chosen = with_architecture(config, other)
    assert (chosen.architecture, getattr(chosen, field)) == (other, "")


@pytest.mark.parametrize(("facts", "words"), [
    ({"image_dir": "/etc"}, "expected settings among"),
    ({"learning_rate": "fast"}, "expected learning_rate to be float"),
    ({"how_many_training_steps": 1.5}, "expected how_many_training_steps to be int"),
    ({"how_many_training_steps": True}, "expected how_many_training_steps to be int"),
    ({"learning_curve": 1}, "expected learning_curve to be bool"),
    ({"architecture": None}, "expected architecture to be str"),
])  # fmt: skip
def test_strange_settings_are_refused(facts, words):
    with pytest.raises(UsageError, match=words):
        _with_settings(RunConfig(), facts)


def test_settings_are_taken(tmp_path):
    config = untrained(tmp_path / "run")
    found = _with_settings(config, {"learning_rate": 1, "head": "knn", "seed": 7})
    assert found == replace(config, learning_rate=1.0, head="knn", seed=7)
