import csv
import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import digest

from retrain.backbones import PreparedBackbone, find_backbone
from retrain.backbones.weights import WeightsFile
from retrain.bottlenecks import Features, MemoryMatrix, labels_of, material_of
from retrain.bundle import Bundle
from retrain.config import RunConfig
from retrain.console import Console, HeldConsole, safe_cell
from retrain.dataset import TESTING, TRAINING, VALIDATION, Catalog, ImageRecord, Split
from retrain.evaluate import find_temperature, group_numbers, measure, measure_accuracy
from retrain.head import Crossed, Head, Recipe, train_softmax
from retrain.journal import tell_results
from retrain.judging import calibrated, cross, judge
from retrain.publish import Training, model_card, predictions_csv
from retrain.publish.card import command_of, escaped

QUIET = Console(quiet=True)
RECIPE = Recipe(steps=60, learning_rate=0.1, batch_size=20, weight_decay=0.03)
NAMES = ("=cmd|' /C calc'!A0", "](javascript:1)<b>`|\n")


def training_of(tmp_path, count=80, names=NAMES, keys=None, **flags):
    generator = np.random.default_rng(0)
    labels = np.arange(count) % len(names)
    vectors = (labels[:, None] * 1.5 + generator.standard_normal((count, 4))).astype(np.float32)
    records = [ImageRecord(f"{label}/-{n}.jpg", int(label), 1, 0, 0) for n, label in enumerate(labels)]
    shas = tuple(digest(b"%d" % n) for n in range(count))
    features = Features(Catalog("photos", names, tuple(records)), shas, MemoryMatrix(vectors), (), (), 0)
    sides = np.full(count, TRAINING, np.uint8)
    sides[::10], sides[1::10] = TESTING, VALIDATION
    sides[5::10] = TESTING
    split = Split(sides, (), shas if keys is None else keys)
    config = RunConfig(image_dir="photos", output_graph=str(tmp_path / "m.pb"), **flags)
    weights = WeightsFile(Path("w.npz"), "bundled", "a" * 64)
    backbone = PreparedBackbone(find_backbone("mobilenet_0.50_224"), weights, Path("t"), Path("g"))
    bundle = Bundle(
        names, 2, 2, 0, 1, "input", "final_result", "x", "bundled", "a", 4, -1, "s" * 64, {}, {"numpy": "2"}
    )
    head = train_softmax(
        features.rows, labels, np.zeros(0, np.intp), RECIPE, len(names), training=split.indices(TRAINING)
    )
    return Training(config, backbone, features, split, "", head, bundle)


def crossed_of(training):
    material = material_of(training.features, None)
    names = training.features.catalog.labels
    return material, cross(training.config, material, training.split, RECIPE, len(names), QUIET)


def test_a_run_is_judged_and_all_of_it_is_written(tmp_path):
    training = training_of(tmp_path, cross_validation_repeats=2, learning_curve=True)
    material, crossed = crossed_of(training)
    console = HeldConsole()
    found = judge(training, material, RECIPE, crossed, console)
    labels = labels_of(training.features)
    assert found.test.accuracy.count == 16
    assert found.test.accuracy.right == (found.scores[found.test_rows].argmax(axis=1) == labels[found.test_rows]).sum()
    assert crossed.scores.shape == (2, 80, 2)
    assert found.cross_validated.accuracy.count == 80
    assert found.growth is not None
    facts = json.loads((tmp_path / "m.metrics.json").read_text())
    assert facts["test"]["count"] == 16
    assert np.sum(facts["cross_validated_confusion"]) == 80
    assert facts["numbers"]["test"] == found.test.numbers_json()
    assert facts["numbers"]["cross_validated"]["accuracy"] == facts["cross_validated"]
    assert facts["learning_curve"]["sentences"] == list(found.growth.sentences)
    assert facts["sentence"] == found.sentence
    table = list(csv.DictReader((tmp_path / "m.predictions.csv").read_text().splitlines()))
    assert len(table) == 80
    assert [row["sha256"] for row in table] == [sha.hex() for sha in training.features.sha256s]
    assert (tmp_path / "m.model_card.md").read_text().startswith("# Model card\n")
    lines = []
    console.release(type("", (Console,), {"line": lambda self, text: lines.append(text)})())
    assert lines[0].startswith("Final test accuracy = ")
    assert lines[1].startswith("Cross-validated accuracy = ")
    assert lines[2].startswith("Balanced accuracy ")
    assert lines[3] == found.sentence
    assert lines[4:] == list(found.growth.sentences)


def test_the_numbers_say_before_and_after_the_temperature(tmp_path):
    training = training_of(tmp_path)
    material, crossed = crossed_of(training)
    labels = labels_of(training.features)
    before = judge(training, material, RECIPE, crossed, QUIET)
    cooled = replace(training, head=training.head.cooled(2.0))
    after = judge(cooled, material, RECIPE, crossed, QUIET)
    assert after.test.temperature == 2.0
    assert after.test.calibration.log_loss.value == pytest.approx(before.test.calibration.log_loss.value, rel=1e-4)
    assert after.test.cooled.log_loss.value > after.test.calibration.log_loss.value
    assert after.scores == pytest.approx(cooled.head.classify(training.features.rows, np.arange(80)))
    assert not np.allclose(after.scores, before.scores)
    assert before.cooled == pytest.approx(crossed.scores[0])
    assert (after.cooled.argmax(axis=1) == before.cooled.argmax(axis=1)).all()
    assert after.cross_validated.accuracy == measure_accuracy(crossed.scores[0], labels)


def test_a_head_too_sure_of_itself_is_cooled_and_one_without_logits_is_not(tmp_path):
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((400, 3)) * 2
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) < generator.random((400, 1))).sum(axis=1).clip(0, 2)
    sharp = np.exp(3 * logits - (3 * logits).max(axis=1, keepdims=True))
    scores = (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32)
    crossed = Crossed(scores[np.newaxis], (np.arange(400) % 5)[np.newaxis])
    head = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), 7)
    cooled = calibrated(head, crossed, labels)
    assert cooled.temperature == pytest.approx(find_temperature(scores, labels))
    assert cooled.temperature == pytest.approx(3, rel=0.2)
    shares = replace(head, after="nothing")
    assert calibrated(shares, crossed, labels) is shares
    assert calibrated(head, None, labels) is head


def test_cross_validation_that_is_off_is_left_out_everywhere(tmp_path):
    training = training_of(tmp_path, cross_validation_folds=0)
    material, crossed = crossed_of(training)
    assert crossed is None
    found = judge(training, material, RECIPE, crossed, QUIET)
    assert (found.cross_validated, found.growth, found.cooled) == (None, None, None)
    facts = json.loads((tmp_path / "m.metrics.json").read_text())
    assert facts["cross_validated"] is None
    assert facts["numbers"]["cross_validated"] is None
    row = next(csv.DictReader((tmp_path / "m.predictions.csv").read_text().splitlines()))
    assert (row["out_of_fold"], row["out_of_fold_score"]) == ("", "")
    assert "Cross-validation was left out" in (tmp_path / "m.model_card.md").read_text()


def test_a_photograph_drawn_twice_is_one_answer(tmp_path):
    training = training_of(tmp_path, test_batch_size=200, cross_validation_folds=0)
    found = judge(training, material_of(training.features, None), RECIPE, None, QUIET)
    assert found.test.accuracy.count == 200
    assert found.test.effective_count <= 16 * 2


def test_groups_make_intervals_wider(tmp_path):
    keys = tuple(digest(b"%d" % (n // 8)) for n in range(80))
    training = training_of(tmp_path, keys=keys)
    material, crossed = crossed_of(training)
    found = judge(training, material, RECIPE, crossed, QUIET)
    assert found.cross_validated.groups == 10
    groups = group_numbers(keys)
    assert found.cross_validated.accuracy == measure_accuracy(crossed.scores[0], labels_of(training.features), groups)


def test_no_cell_is_a_formula_and_no_name_breaks_the_table(tmp_path):
    training = training_of(tmp_path, names=(*NAMES, "plain"))
    catalog = training.features.catalog
    scores = np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (80, 1))
    text = predictions_csv(catalog, training.features.sha256s, training.split, scores, scores[:, ::-1])
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 81
    assert {len(row) for row in rows} == {11}
    assert rows[0][:8] == ["path", "label", "split", "sha256", "predicted", "score", "out_of_fold", "out_of_fold_score"]
    assert rows[1][1] == "'=cmd|' /C calc'!A0"
    assert rows[1][4:8] == [safe_cell(NAMES[0]), "0.700000", "plain", "0.700000"]
    assert all(cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n") for row in rows for cell in row)
    assert "\n" not in rows[2][1]


def test_a_table_too_large_has_first_guesses_only(tmp_path, monkeypatch):
    training = training_of(tmp_path)
    monkeypatch.setattr("retrain.publish.predictions.MOST_SCORES", 100)
    scores = np.tile(np.array([[0.7, 0.3]], np.float32), (80, 1))
    text = predictions_csv(training.features.catalog, training.features.sha256s, training.split, scores, None)
    assert text.splitlines()[0].endswith(",out_of_fold,out_of_fold_score")


def test_the_card_shows_names_as_they_are_and_has_every_section(tmp_path):
    training = training_of(tmp_path, learning_curve=True)
    material, crossed = crossed_of(training)
    found = judge(training, material, RECIPE, crossed, QUIET)
    card = (tmp_path / "m.model_card.md").read_text()
    assert re.findall(r"^## (.*)$", card, flags=re.M) == [
        "Model", "What it is for", "What it was trained on", "How good it is", "Where it ends", "How to make it again",
    ]  # fmt: skip
    assert found.sentence in card
    assert NAMES[1] not in card
    assert "<b>" not in card
    assert r"\]\(javascript\:1\)\<b\>\`\|\\n" in card
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert all(line.count("|") - line.count(r"\|") in (3, 4, 6) for line in tables)
    again = model_card(training, found.test, found.cross_validated, found.growth, found.sentence)
    assert again == card


def test_markdown_is_escaped():
    assert escaped("a*b_[c](d)<e>|`f`#g\x1b") == r"a\*b\_\[c\]\(d\)\<e\>\|\`f\`\#g\\x1b"
    assert escaped("globular cluster 1, 50 %") == "globular cluster 1, 50 %"


def test_the_command_is_quoted_for_a_shell():
    config = RunConfig(image_dir="my photos/$(rm -rf x)", calibrate=False, learning_curve=True)
    words = shlex.split(command_of(config))
    assert words[:3] == ["python", "-m", "retrain"]
    assert sorted(words[3:]) == ["--image_dir=my photos/$(rm -rf x)", "--learning_curve", "--no_calibrate"]


def test_results_of_no_test_photograph_are_said_without_the_line_of_numbers():
    nothing = measure(np.zeros((0, 2), np.float32), np.zeros(0, np.intp), ("a", "b"))
    lines = []
    console = type("", (Console,), {"line": lambda self, text: lines.append(text)})()
    tell_results(nothing.accuracy, None, console, nothing)
    assert lines == ["No photograph was kept for the final test; cross-validation was left out."]
