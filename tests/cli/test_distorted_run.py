"""Distorted training as a person starts it: cold, warm, and what it leaves in the cache."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, Place, Trained

from retrain.backbones import FrozenBackbone
from retrain.bottlenecks.views import view_key
from retrain.classifier import Classifier
from retrain.distortions import Distortion
from retrain.images import InputSpec, decode_rgb

pytestmark = pytest.mark.tensorflow

SHORT = ("--how_many_training_steps=40", "--distorted_views=2")
ORIGINAL = ("--flip_left_right", "--random_crop=10", "--random_scale", "10", "--random_brightness=10")


def run(place: Place, *flags: str) -> str:
    done = place.retrain(*flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(output: str) -> tuple[int, int]:
    """How many bottlenecks, and how many distorted ones, were extracted."""
    plain, distorted = re.findall(r"^(\d+) (?:bottleneck files|distorted bottlenecks) created\.", output, re.M)
    return int(plain), int(distorted)


def model(place: Place) -> bytes:
    return (place.folder / "tf_files/retrained_graph.tflite").read_bytes()


def rows(place: Place, query: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(next(place.folder.glob("tf_files/bottlenecks/mobilenet*.sqlite")))) as db:
        return db.execute(query).fetchall()


def test_a_second_run_extracts_nothing_and_gives_the_same_model(place: Place) -> None:
    first = run(place, *SHORT, *ORIGINAL)
    assert made(first) == (84, 168)
    assert "168 distorted bottlenecks in use, 2 each of 84 photographs" in first
    cold = model(place)
    assert made(run(place, *SHORT, *ORIGINAL, "--threads=1")) == (0, 0)
    assert model(place) == cold
    run(place, *SHORT[:1])
    assert model(place) != cold


def test_another_view_or_seed_costs_only_itself(place: Place) -> None:
    flags = (*SHORT[:1], "--random_quarter_turns", "--random_colour=20")
    assert made(run(place, *flags, "--distorted_views=1")) == (84, 84)
    assert made(run(place, *flags, "--distorted_views=3")) == (0, 168)
    assert made(run(place, *flags, "--distorted_views=1", "--seed=1")) == (0, 84)
    assert made(run(place, *flags, "--distorted_views=2")) == (0, 0)


def test_without_cross_validation_only_the_training_photographs_get_views(place: Place) -> None:
    output = run(place, *SHORT, "--flip_left_right", "--cross_validation_folds=0")
    assert "71 photographs to train on, 6 to validate, 7 for the final test" in output
    assert made(output) == (84, 142)
    table = (place.folder / "tf_files/retrained_graph.split.csv").read_text().splitlines()
    sides = {row["sha256"]: row["split"] for row in csv.DictReader(table)}
    assert {sides[sha.hex()] for (sha,) in rows(place, "SELECT sha256 FROM views")} == {"training"}


def test_views_in_the_cache_change_nothing_of_an_undistorted_run(place: Place, trained: Trained) -> None:
    run(place, *SHORT, *ORIGINAL)
    run(place, "--architecture", "mobilenet_0.50_224")
    assert model(place) == trained.graph.with_suffix(".tflite").read_bytes()


def test_a_mirrored_view_is_the_vector_of_the_mirrored_photograph(place: Place) -> None:
    run(place, *SHORT, "--flip_left_right")
    (tflite,) = place.model_dir.glob("mobilenet_0.50_224-*.tflite")
    spec = InputSpec(224, 224, 127.5, 127.5)
    backbone, flips = FrozenBackbone(tflite, spec), Distortion(flip_left_right=True)
    vectors = dict(rows(place, "SELECT sha256, vector FROM vectors"))
    table = (place.folder / "tf_files/retrained_graph.split.csv").read_text().splitlines()
    seen = set()
    for row in list(csv.DictReader(table))[:10]:
        sha, pixels = bytes.fromhex(row["sha256"]), decode_rgb(Path(PHOTOS / row["path"]).read_bytes(), spec)
        for number in range(2):
            view = flips.draw(sha, number)
            expected = backbone.features(np.ascontiguousarray(pixels[:, ::-1]) if view.mirrored else pixels)
            found = np.frombuffer(vectors[view_key(sha, flips.fingerprint, number)], "<f4")
            assert np.abs(found - expected).max() <= 1e-5
            seen.add(view.mirrored)
    assert seen == {False, True}


def test_accuracy_with_the_distortions_of_the_original_is_not_lost(place: Place) -> None:
    run(place, *ORIGINAL)
    metrics = json.loads((place.folder / "tf_files/retrained_graph.metrics.json").read_text())
    assert metrics["config"]["random_crop"] == 10
    described = Classifier.open(place.folder / "tf_files/retrained_graph.pb").bundle.training
    assert {name: described[name] for name in ("flip_left_right", "random_scale", "distorted_views")} == {
        "flip_left_right": 1,
        "random_scale": 10,
        "distorted_views": 8,
    }
    assert metrics["cross_validated"]["count"] == 84
    assert metrics["cross_validated"]["accuracy"] >= 0.88
