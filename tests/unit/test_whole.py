import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from retrain.backbones import find_backbone
from retrain.backbones.weights import WeightsFile
from retrain.bottlenecks import Features, as_rows
from retrain.config import RunConfig
from retrain.dataset import TESTING, TRAINING, VALIDATION, Catalog, ImageRecord, Split
from retrain.errors import UsageError
from retrain.head import Head
from retrain.outset import find_problems, spec_of
from retrain.trainer.job import read_job, write_job
from retrain.whole import crossing, training
from retrain.whole.jobs import facts_of, folder_of, job_of, settings_of, with_start

SCRATCH = RunConfig(image_dir="photos", train="scratch", architecture="cnn3_32")
SIDES = np.array([TRAINING, VALIDATION, TESTING, TRAINING], np.uint8)


def features_of(names=("cats/a.jpg", "cats/b.jpg", "dogs/c.jpg", "dogs/d.jpg"), root="photos", width=2):
    rows = np.arange(len(names) * width, dtype=np.float32).reshape(len(names), width)
    classes = tuple(dict.fromkeys(name.partition("/")[0] for name in names))
    records = tuple(ImageRecord(name, classes.index(name.partition("/")[0]), 1, 1, 1) for name in names)
    digests = tuple(bytes([number]) * 32 for number in range(len(names)))
    return Features(Catalog(root, classes, records), digests, as_rows(rows), (), 0, 0)


def job(config=SCRATCH, features=None, sides=SIDES, weights=None):
    return job_of(config, spec_of(config), weights, features or features_of(), sides)


def test_photographs_of_the_final_test_never_come_to_the_training():
    made = job()
    assert [one.path.rpartition("/")[2] for one in made.photographs] == ["a.jpg", "b.jpg", "d.jpg"]
    assert [one.side for one in made.photographs] == [TRAINING, VALIDATION, TRAINING]
    assert [one.label for one in made.photographs] == [0, 0, 1]


def test_a_job_survives_being_written_down(tmp_path):
    made = job(replace(SCRATCH, mixup=0.2, random_rotation=10, sky_limits="zscale", label_smoothing=0.1))
    write_job(made, tmp_path)
    assert read_job(tmp_path) == made


def test_the_folder_of_a_job_follows_contents_and_settings_and_no_path():
    spec = spec_of(SCRATCH)
    here = folder_of(SCRATCH, spec, job())
    moved = features_of(("cats/x.jpg", "cats/b.jpg", "dogs/c.jpg", "dogs/d.jpg"), root="elsewhere")
    assert folder_of(SCRATCH, spec, job(features=moved)) == here
    often = replace(SCRATCH, checkpoint_steps=7, checkpoints_kept=9, threads=3, pixel_cache_mb=5)
    assert folder_of(often, spec, job(often)) == here
    for changes in ({"seed": 1}, {"epochs": 2}, {"flip_left_right": True}, {"mixed_precision": True}):
        other = replace(SCRATCH, **changes)
        assert folder_of(other, spec, job(other)) != here
    assert folder_of(SCRATCH, spec, job(sides=np.zeros(4, np.uint8))) != here


def test_each_of_several_workers_has_a_folder_of_its_own(monkeypatch):
    several = replace(SCRATCH, strategy="multi_worker")
    monkeypatch.setenv("TF_CONFIG", json.dumps({"task": {"type": "worker", "index": 1}}))
    assert folder_of(several, spec_of(several), job(several)).name.endswith("-worker1")
    monkeypatch.delenv("TF_CONFIG")
    assert folder_of(several, spec_of(several), job(several)).name.endswith("-worker0")


def test_what_flags_leave_open_is_settled_by_what_is_trained():
    usual = settings_of(SCRATCH, find_backbone("cnn3_128"), 100)
    assert (usual.batch_size, usual.learning_rate, usual.optimizer, usual.schedule) == (16, 1e-4, "adam", "constant")
    tuned = settings_of(replace(SCRATCH, train="finetune"), find_backbone("mobilenet_0.50_224"), 330)
    assert (tuned.epochs, tuned.warmup_steps, tuned.schedule, tuned.layer_decay) == (10, 11, "cosine", 0.9)
    asked = replace(SCRATCH, epochs=3, train_batch_size=5, learning_rate=0.5, optimizer="sgd", schedule="cosine")
    given = settings_of(replace(asked, weight_decay=0.1, warmup_steps=2), find_backbone("cnn3_128"), 100)
    assert (given.epochs, given.batch_size, given.learning_rate, given.optimizer) == (3, 5, 0.5, "sgd")
    assert (given.schedule, given.weight_decay, given.warmup_steps) == ("cosine", 0.1, 2)


def test_the_layer_that_tuning_starts_from_decides_the_folder_by_its_numbers():
    tuned = replace(SCRATCH, train="finetune", architecture="mobilenet_0.50_224")
    weights = WeightsFile("w.npz", "bundled", "ab" * 32)
    made = job(tuned, weights=weights)
    assert made.weights_sha256 == "ab" * 32
    one, data = with_start(made, Head(np.ones((2, 2), np.float32), np.zeros(2, np.float32), 5))
    same, again = with_start(made, Head(np.ones((2, 2), np.float32), np.zeros(2, np.float32), 9))
    other, _ = with_start(made, Head(np.ones((2, 2), np.float32), np.ones(2, np.float32), 5))
    assert (one.digest, data) == (same.digest, again)
    assert one.digest not in (other.digest, made.digest)


def test_the_model_is_told_what_is_on_and_nothing_else():
    told = facts_of(SCRATCH, job(replace(SCRATCH, random_crop=10, flip_left_right=True)))
    assert told["train"] == "scratch"
    assert (told["random_crop"], told["flip_left_right"], told["batch_size"]) == (10, 1, 16)
    assert not {"mixup", "random_scale", "checkpoint_steps", "mixed_precision"} & set(told)
    json.dumps(told)


def test_photographs_are_first_looked_at_by_a_backbone_that_is_there():
    looking = training.first_look(replace(SCRATCH, random_crop=10, learning_rate=0.5, mixup=0.1, epochs=4))
    assert (looking.architecture, looking.train, looking.folds) == ("mobilenet_0.50_224", "head", 0)
    assert looking.problems() == RunConfig(image_dir="photos").problems()
    tuned = replace(SCRATCH, train="finetune", architecture="inception_v3", how_many_training_steps=7)
    assert training.first_look(tuned).architecture == "inception_v3"
    assert training.first_look(tuned).how_many_training_steps == 7


REFUSED = [
    ({"architecture": "mobilenet_0.50_224"}, "expected --architecture to be a network for --train scratch"),
    ({"train": "head"}, "cnn3_32 has no weights that others trained; give --train scratch, or --weights with the"),
    ({"train": "finetune"}, "cnn3_32 has no weights that others trained"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED)
def test_what_cannot_be_trained_as_asked_is_refused_before_anything_is_read(changes, said):
    problems, _, _ = find_problems(replace(SCRATCH, **changes))
    assert any(said in problem for problem in problems), problems


def test_grey_pictures_make_another_network():
    grey = spec_of(replace(SCRATCH, channels=1))
    assert grey.name == "cnn3_32_grey"
    assert grey.definition != spec_of(SCRATCH).definition
    with pytest.raises(UsageError, match="did you mean"):
        spec_of(replace(SCRATCH, architecture="cnn3_"))


def test_a_fold_is_scored_by_a_network_that_saw_neither_it_nor_its_copies(monkeypatch):
    names = [f"{kind}/{number}.jpg" for kind in ("cats", "dogs") for number in range(10)]
    features = features_of(names)
    keys = tuple(bytes([number // 2]) * 32 for number in range(20))
    sides = np.array([VALIDATION if number % 5 == 4 else TRAINING for number in range(20)], np.uint8)
    split, trained_on = Split(sides, keys=keys), []

    def train_one(config, base, start, sides, console, *, shown):
        assert not shown
        trained_on.append(set(np.flatnonzero(sides != TESTING).tolist()))
        return "backbone", {}, SimpleNamespace(head=Fake())

    class Fake:
        def classify(self, rows, held):
            return np.full((len(held), 2), len(trained_on), np.float32)

    monkeypatch.setattr(crossing, "train_one", train_one)
    monkeypatch.setattr(crossing, "start_head", lambda *_: None)
    monkeypatch.setattr(crossing, "gather", lambda *_: features)
    base = SimpleNamespace(features=features)
    crossed = crossing.cross_networks(
        replace(SCRATCH, cross_validation_folds=5), base, split, crossing.Console(quiet=True)
    )
    assert len(trained_on) == 5
    for row, number in enumerate(crossed.scores[0, :, 0].astype(int)):
        seen = {keys[other] for other in trained_on[number - 1]}
        assert keys[row] not in seen
    assert crossing.cross_networks(SCRATCH, base, split, crossing.Console(quiet=True)) is None


def test_a_temperature_is_not_found_on_a_handful_of_validation_photographs():
    class Sure:
        def classify(self, rows, held):
            return np.eye(2, dtype=np.float32)[np.arange(len(held)) % 2]

    names = [f"{kind}/{number}.jpg" for kind in ("cats", "dogs") for number in range(30)]
    features = features_of(names)
    for count, found in ((0, False), (19, False), (20, True)):
        sides = np.full(60, TRAINING, np.uint8)
        sides[:count] = VALIDATION
        split = Split(sides, keys=features.sha256s)
        assert (crossing.validated(Sure(), features, split) is not None) == found
