"""A head fitted after a correction is that of a fresh run over the same folder, to the last bit, by the same flags."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import numpy as np
import pytest
from studio_runs import AS_STUDIO, add, move, run_again, trained
from support import FakeEngine

from retrain.console import Console
from retrain.dataset import find_photographs
from retrain.exporters.frozen.head import read_head
from retrain.extraction import Job
from retrain.head import Stopped, cross_validate_again
from retrain.head.recipe import Recipe
from retrain.modelfile import read_graph_bundle
from retrain.publish import beside
from retrain.studio.recognising import MOST_MOVED, Recognising
from retrain.studio.refitting import Overtaken, examine, fit, flips
from retrain.studio.settling import settle

# Heads that are solved take none of these.
AS_USUAL = ("--how_many_training_steps=-1", "--train_batch_size=-1")
WAYS = {
    "softmax": (),
    "logistic": ("--head=logistic", *AS_USUAL),
    "cosine": ("--head=cosine", *AS_USUAL),
    "knn": ("--head=knn", *AS_USUAL),
    "mlp": ("--head=mlp", "--hidden_units=8"),
    "auto": ("--head=auto",),
    "mirrored": ("--flip_left_right", "--distorted_views=2"),
    "uncalibrated": ("--no-calibrate",),
    "drawn_test": ("--test_batch_size=20",),
    "other_recipe": ("--optimizer=adam", "--schedule=cosine", "--label_smoothing=0.1", "--class_weights=none"),
    "grouped": (r"--group_by=regex:/(\d\d\d)",),
    "sides": ("--testing_percentage=30", "--validation_percentage=0", "--seed=5"),
    "near_ignored": ("--near_duplicates=ignore",),
}


@pytest.mark.parametrize("way", WAYS)
def test_after_a_correction_the_numbers_are_those_of_a_fresh_run(way, tmp_path):
    config = trained(tmp_path / "run", *AS_STUDIO, *WAYS[way])
    for number in range(0, 12, 3):
        move(config, f"{number:04d}.png", "class_0", "class_1")
    add(config, "class_2/new.png", 5)
    fitted, told = fitted_on(config), fresh_run(config, tmp_path / "again")
    settled = settle(config, Console(quiet=True))
    if way == "auto" and told["kind"] != settled.recipe.kind:
        config = replace(config, head=settled.recipe.kind)  # the heads compare otherwise now; the studio keeps its one
        told = fresh_run(config, tmp_path / "the same kind")
    examined = examine(fitted)
    assert accuracy_of(fitted.test.accuracy) == told["test"]
    assert fitted.test.confusion.tolist() == told["test_confusion"]
    assert accuracy_of(examined.numbers.accuracy) == told["cross_validated"]
    assert examined.numbers.confusion.tolist() == told["cross_validated_confusion"]
    assert examined.head.temperature == told["temperature"]
    assert fitted.manifest == told["manifest"]
    np.testing.assert_array_equal(examined.head.weights, told["head"].weights)
    np.testing.assert_array_equal(examined.head.biases, told["head"].biases)


def fitted_on(config):
    settled = settle(config, Console(quiet=True))
    problems, catalog = find_photographs(config)
    assert not problems
    return fit(settled.config, catalog, settled.backbone, settled.recipe)


def fresh_run(config, place):
    graph = run_again(config, place)
    told = json.loads(Path(beside(graph, ".metrics.json")).read_text())
    bundle = read_graph_bundle(graph)
    kind = bundle.training.get("kind", "softmax")
    return told | {
        "manifest": bundle.manifest_sha256,
        "kind": kind,
        "head": read_head(graph.read_bytes(), bundle, "it"),
    }


def accuracy_of(accuracy):
    """As metrics.json spells it."""
    share, low, high = accuracy.right / accuracy.count, accuracy.low, accuracy.high
    return {"accuracy": share, "right": accuracy.right, "count": accuracy.count, "low_95": low, "high_95": high}


def test_several_architectures_are_refitted_on_the_one_that_was_chosen(tmp_path):
    config = trained(tmp_path / "run", *AS_STUDIO)
    other = tmp_path / "run" / "other.json"
    shutil.copy(config.architecture, other)
    several = replace(config, architecture=f"{other},{config.architecture}")
    settled = settle(several, Console(quiet=True))
    assert settled.config.architecture in (str(other), config.architecture)
    assert settled.given is several


def test_flips_are_of_the_same_photograph_wherever_it_lies(tmp_path):
    config = trained(tmp_path / "run")
    before = fitted_on(config)
    for number in range(0, 39, 3):
        move(config, f"{number:04d}.png", "class_0", "class_1")
        move(config, f"{number + 1:04d}.png", "class_1", "class_0")
    now = fitted_on(config)
    found = flips(before, now)
    assert found
    names = before.catalog.labels
    guesses = {sha: names[g] for sha, g in zip(before.features.sha256s, before.scores.argmax(axis=1), strict=True)}
    rows = {record.path: row for row, record in enumerate(now.catalog.records)}
    for flip in found:
        row = rows[flip.path]
        assert flip.before == guesses[now.features.sha256s[row]]
        assert flip.now == names[now.scores[row].argmax()]
        assert flip.truth == flip.path.split("/")[0]
    assert flips(now, now) == []


def test_a_fit_that_is_not_wanted_any_more_ends(tmp_path):
    config = trained(tmp_path / "run")
    settled = settle(config, Console(quiet=True))
    _, catalog = find_photographs(config)
    stop = Event()
    stop.set()
    with pytest.raises(Overtaken):
        fit(settled.config, catalog, settled.backbone, settled.recipe, stop=stop)
    fitted = fitted_on(config)
    with pytest.raises(Overtaken):
        examine(fitted, stop)


def test_folds_that_are_being_trained_end_within_a_step():
    random = np.random.default_rng(0)
    features, labels = random.random((400, 16), np.float32), np.arange(400) % 4
    endless = Recipe(steps=10**9, learning_rate=0.01, batch_size=100, weight_decay=0.03).settled("softmax")
    stop = Event()
    timer = Timer(0.3, stop.set)
    timer.start()
    try:
        with pytest.raises(Stopped):
            cross_validate_again(
                features, labels, [n.to_bytes(32, "big") for n in range(400)], endless, 4, 5, 1, lambda: None, stop=stop
            )
    finally:
        timer.cancel()


def test_known_contents_never_reach_the_engine(tmp_path):
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(b"photograph %d" % number)
    jobs = [Job(index, str(path)) for index, path in enumerate([*paths, tmp_path / "gone.jpg"])]
    engine = FakeEngine()
    known = {answer.sha256 for answer in FakeEngine().extract([jobs[0], jobs[2]], ())}
    answers = list(Recognising(engine).extract(jobs[:4], known))
    assert [answer.index for answer in answers] == [0, 1, 2, 3]
    assert engine.read == ["1.jpg", "3.jpg"]
    assert [answer.vector is None for answer in answers] == [True, False, True, False]
    assert all(answer.stamp is not None for answer in answers)
    assert list(Recognising(engine).extract([], known)) == []


def test_a_folder_full_of_photographs_goes_to_the_engine_at_once(tmp_path):
    jobs = []
    for number in range(MOST_MOVED + 1):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"photograph %d" % number)
        jobs.append(Job(number, str(path)))
    engine = FakeEngine()
    assert len(list(Recognising(engine).extract(jobs, set()))) == len(jobs)
    assert len(engine.read) == len(jobs)
