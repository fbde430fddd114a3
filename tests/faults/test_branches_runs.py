"""Whole runs in this process, on the fake backbone: what the story does with the flags that take another way.

Where tests/cli asks the same of the real backbone in minutes, these take a second each, and coverage sees them.
"""

from __future__ import annotations

import csv
import json

import fake_run
import numpy as np
import pytest
from fake_run import prepare, run_here
from PIL import Image

from retrain.errors import ImageError

# Flags of heads that are trained step by step; the others refuse them.
STEPWISE = ("--how_many_training_steps", "--train_batch_size")


@pytest.fixture(autouse=True)
def _more_operations(monkeypatch):
    monkeypatch.setitem(fake_run._OPERATIONS, "Relu", lambda given: np.maximum(given, 0))
    monkeypatch.setitem(fake_run._OPERATIONS, "Sigmoid", lambda given: 1 / (1 + np.exp(-given)))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Thirty photographs of three classes, and a cache that the first run fills."""
    folder = tmp_path_factory.mktemp("runs")
    return folder, prepare(folder / "run", photographs=30)


@pytest.fixture
def run(shared, tmp_path, capsys):
    """Run with further flags; outputs lie in the test's own folder."""

    def run(*more, code=0, stepwise=True):
        outputs = {
            "output_graph": tmp_path / "out" / "model.pb",
            "output_labels": tmp_path / "out" / "labels.txt",
            "summaries_dir": tmp_path / "summaries",
        }
        given = [word for word in shared[1] if stepwise or not word.startswith(STEPWISE)]
        words = [*given, *(f"--{name}={value}" for name, value in outputs.items()), *map(str, more)]
        assert run_here(words) == code
        said = capsys.readouterr()
        return said.out + said.err

    return run


def facts(tmp_path):
    return json.loads((tmp_path / "out" / "model.metrics.json").read_text())


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_run_with_all_that_can_be_told_tells_it(run, tmp_path):
    said = run(
        "--print_misclassified_test_images", "--learning_curve", "--verify_cache", "--heat_maps=1",
        "--intermediate_store_frequency=5", f"--intermediate_output_graphs_dir={tmp_path / 'steps'}",
    )  # fmt: skip
    told = facts(tmp_path)
    assert told["learning_curve"] is not None
    assert told["cross_validated"]["count"] == 30
    assert len(names(tmp_path / "steps")) >= 3
    assert "Cross-validated accuracy" in said
    assert "Final test accuracy" in said


def test_a_run_that_is_to_write_and_judge_as_little_as_can_be(run, tmp_path):
    run(
        "--no_report", "--cross_validation_folds=0", "--no_calibrate", "--coverage=0", "--unknown_false_alarms=0",
        "--near_duplicates=ignore",
    )  # fmt: skip
    told = facts(tmp_path)
    assert (told["cross_validated"], told["temperature"]) == (None, 1.0)
    assert "report.html" not in names(tmp_path / "out")


def test_distorted_views_are_trained_on_and_kept(run, tmp_path):
    flags = ("--flip_left_right", "--random_brightness=10", "--distorted_views=2")
    said = run(*flags)
    assert "60" in said
    first = (tmp_path / "out" / "model.tflite").read_bytes()
    run(*flags)
    assert (tmp_path / "out" / "model.tflite").read_bytes() == first


@pytest.mark.parametrize("head", ["logistic", "mlp", "auto"])
def test_every_head_gives_a_model_that_says_which_it_is(run, tmp_path, head):
    said = run(f"--head={head}", stepwise=head == "mlp")
    assert {"model.pb", "model.tflite", "labels.txt", "report.html"} <= names(tmp_path / "out")
    assert facts(tmp_path)["config"]["head"] == head
    assert "Final test accuracy" in said


def test_photographs_of_several_labels_are_judged_a_label_at_a_time(run, shared, tmp_path):
    photos = sorted((shared[0] / "run" / "photos").rglob("*.png"))
    rows = [(str(path.relative_to(shared[0] / "run" / "photos")), path.parent.name) for path in photos]
    rows += [(path, "odd" if number % 2 else "even") for number, (path, _) in enumerate(rows)]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    said = run("--multi_label", f"--image_list={tmp_path / 'list.csv'}", stepwise=False)
    assert (tmp_path / "out" / "labels.txt").read_text().split() == ["class_0", "class_1", "class_2", "even", "odd"]
    assert "mean average precision" in said.lower()
    run("--multi_label", f"--image_list={tmp_path / 'list.csv'}", "--cross_validation_folds=0", stepwise=False)
    assert facts(tmp_path)["cross_validated"] is None


def test_a_run_can_be_told_to_split_as_an_earlier_one_did(run, tmp_path):
    run("--testing_percentage=20")
    table = tmp_path / "split.csv"
    table.write_bytes((tmp_path / "out" / "model.split.csv").read_bytes())
    run(f"--split_file={table}")
    assert (tmp_path / "out" / "model.split.csv").read_bytes() == table.read_bytes()


def test_groups_lie_on_one_side_and_cross_validation_keeps_them_together(run, tmp_path):
    said = run("--group_by=regex:([0-9]{3})[0-9]", "--cross_validation_folds=3")
    sides = {}
    for row in csv.DictReader((tmp_path / "out" / "model.split.csv").read_text().splitlines()):
        sides.setdefault(row["path"].split("/")[-1][:3], set()).add(row["split"])
    assert all(len(found) == 1 for found in sides.values())
    assert "group" in said


def test_a_second_run_says_what_changed(run, tmp_path):
    first = run()
    second = run("--seed=3", "--how_many_training_steps=25")
    assert "Final test accuracy" in first
    assert "Final test accuracy" in second
    assert facts(tmp_path)["config"]["how_many_training_steps"] == 25


def test_a_picture_that_cannot_be_read_is_listed_and_too_many_stop_the_run(shared, tmp_path, capsys):
    words = prepare(tmp_path / "run", photographs=30, seed=1)
    (tmp_path / "run" / "photos" / "class_0" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run_here([*words, "--no_report", "--cross_validation_folds=0"]) == 0
    (listing,) = (tmp_path / "run").rglob("*skipped*.csv")
    assert "class_0/torn.png" in listing.read_text()
    for number in range(4):
        (tmp_path / "run" / "photos" / "class_1" / f"torn{number}.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + bytes([number])
        )
    assert run_here(words) == ImageError.exit_code
    assert "torn" in capsys.readouterr().err
    assert sum(1 for _ in csv.reader(listing.read_text().splitlines())) == 6


def test_photographs_in_memory_too_small_for_them_give_the_same_model(run, tmp_path):
    run("--no_report")
    first = (tmp_path / "out" / "model.tflite").read_bytes()
    run("--no_report", "--feature_memory_mb=1", "--threads=2")
    assert (tmp_path / "out" / "model.tflite").read_bytes() == first


def test_labels_that_are_likely_wrong_are_told_by_name(tmp_path, capsys):
    words = prepare(tmp_path / "run", photographs=60, seed=2)
    for kind, colour in enumerate(((250, 10, 10), (10, 250, 10), (10, 10, 250))):
        for number, path in enumerate(sorted((tmp_path / "run" / "photos" / f"class_{kind}").iterdir())):
            pixels = np.random.default_rng(number).integers(-9, 6, (24, 32, 3)) + np.array(colour)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    wrong = tmp_path / "run" / "photos" / "class_0" / "wrong.png"
    Image.fromarray(np.full((24, 32, 3), (12, 248, 12), np.uint8)).save(wrong)
    assert run_here([*words, "--how_many_training_steps=300", "--learning_rate=1"]) == 0
    assert "wrong.png" in (tmp_path / "run" / "out" / "model.suspects.csv").read_text()
    assert "labels are likely wrong" in capsys.readouterr().out
