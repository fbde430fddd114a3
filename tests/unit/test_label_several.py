"""label_image with a model that gives several labels."""

import csv
import io
import json

import numpy as np
import pytest
from label_support import COLOURS, patch
from PIL import Image
from support import bundle_of, tiny_tflite

from retrain.bundle import NO_LABEL
from retrain.classifier import Classifier, Guess
from retrain.exporters import tflite_model
from retrain.head import Head
from retrain.head.layers import SIGMOID
from retrain.label import main
from retrain.label.annotate import annotated
from retrain.label.rows import UNKNOWN, Row
from retrain.label.writers import answer_lines

# Each colour by itself: the score rises with its brightness.
HEAD = Head(np.tile(np.eye(3, dtype=np.float32), (4, 1)) * 1.5, np.full(3, -0.5, np.float32), 3, after=SIGMOID)
THRESHOLDS = (0.5, 0.5, 0.999)


@pytest.fixture
def model(tmp_path):
    bundle = bundle_of(COLOURS, thresholds=THRESHOLDS)
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite_model(tiny_tflite(), HEAD, bundle))
    return path


@pytest.fixture
def yellow(tmp_path):
    path = tmp_path / "yellow.png"
    Image.fromarray(patch("red") | patch("green")).save(path)
    return path


@pytest.fixture
def blue(tmp_path):
    path = tmp_path / "blue.png"
    Image.fromarray(patch("blue")).save(path)
    return path


def said(capsys, *words):
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_every_label_over_its_threshold_is_printed(model, yellow, blue, capsys):
    lines = said(capsys, "--graph", model, "--image", yellow).splitlines()
    assert lines[3] == "labels: red 1.00, green 1.00"
    assert [line.split(" ")[0] for line in lines[4:]] == ["red", "green", "blue"]
    assert "labels: none over its threshold" in said(capsys, "--graph", model, "--image", blue)


def test_rows_have_all_of_them(model, yellow, blue, capsys):
    words = ("--graph", model, "--image", yellow, blue)
    rows = list(csv.DictReader(io.StringIO(said(capsys, *words, "--format", "csv"))))
    assert [row["label"] for row in rows] == ["red;green", NO_LABEL]
    facts = json.loads(said(capsys, *words, "--format", "json"))
    assert [[one["label"] for one in fact["labels"]] for fact in facts] == [["red", "green"], []]
    assert facts[1]["guesses"][0]["label"] == "blue"


def test_min_score_stands_in_for_all_thresholds(model, blue, capsys):
    (row,) = csv.DictReader(io.StringIO(said(capsys, "--graph", model, "--image", blue, "--format", "csv",
                                             "--min_score", "0.6")))  # fmt: skip
    assert row["label"] == "blue"


@pytest.mark.parametrize("words", [("--sort_into", "x"), ("--sets",)])
def test_what_needs_one_label_is_refused(model, blue, tmp_path, words, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--graph", str(model), "--image", str(blue), *words]) == 2
    assert words[0] in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_from_python(model, yellow, blue):
    with Classifier.open(model) as classifier:
        assert [one.label for one in classifier.give_labels(yellow)] == ["red", "green"]
        assert classifier.give_labels(blue) == []
        assert [one.label for one in classifier.labels_of(np.array([0.1, 0.9, 0.5], np.float32), (0.5,) * 3)] == [
            "green", "blue"
        ]  # fmt: skip


def test_a_photograph_that_is_unknown_has_none():
    guesses = (Guess("red", 0.9),)
    far = Row("x", UNKNOWN, 0.9, guesses, is_far=True, given=())
    assert answer_lines(far)[0] == "unknown"
    assert not any(line.startswith("labels") for line in answer_lines(far))
    near = Row("x", NO_LABEL, 0.9, guesses, given=())
    assert answer_lines(near)[0] == "labels: none over its threshold"
    picture = Image.new("RGB", (200, 60))
    assert annotated(picture, far).height > annotated(picture, near).height
