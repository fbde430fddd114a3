"""Distorted views in the cache, and what a head is trained on with them."""

import copy
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support import FINGERPRINT, WIDTH, FakeEngine, digest, fake_features, write_tree

from retrain.bottlenecks import (
    BottleneckStore,
    FileMatrix,
    Job,
    collect_features,
    collect_views,
    labels_of,
    material_of,
    views,
)
from retrain.bottlenecks.views import view_key
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, VALIDATION, SplitRequest, scan_folder, split_images
from retrain.engines import LocalEngine
from retrain.engines.work import extract_job
from retrain.errors import ImageError, NumericalError
from retrain.head import Recipe, cross_validate, train_softmax
from retrain.head import folds as head_folds

CLASSES = {
    "cats": {f"{n}.jpg": b"cat %d" % n for n in range(6)},
    "dogs": {f"{n}.jpg": b"dog %d" % n for n in range(5)},
}
RECIPE = "distortion=1 flip_left_right=1"


def fake_view(data, number):
    return fake_features(data + b" view %d" % number)


class FakeExtractor:
    """An extractor that notes what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, data):
        return fake_features(data)

    def views(self, data, sha256, numbers):
        assert sha256 == digest(data)
        if data == b"stop":
            raise KeyboardInterrupt
        if data == b"bad":
            raise ImageError("damaged", "starts with bad")
        self.asked.append((data, tuple(numbers)))
        return np.stack([fake_view(data, number) for number in numbers])


class Place:
    """A folder of photographs with its cache."""

    def __init__(self, folder):
        self.photos = write_tree(folder / "photos", CLASSES)
        self.cache = folder / "cache.sqlite"
        self.features = self.collect()

    def collect(self):
        with self.open() as store:
            catalog, skipped = scan_folder(str(self.photos), "folder"), str(self.cache.parent / "skipped.csv")
            return collect_features(catalog, store, FakeEngine(), Console(quiet=True), 5.0, skipped)

    def open(self):
        return BottleneckStore(self.cache, FINGERPRINT, WIDTH)

    def views(self, photographs=None, recipe=RECIPE, each=3, limit_mb=0, engine=None):
        self.extractor = FakeExtractor()
        engine = engine or LocalEngine(self.extractor, threads=1)
        chosen = np.arange(len(self.features.sha256s)) if photographs is None else np.array(photographs)
        with self.open() as store:
            return collect_views(self.features, chosen, recipe, each, store, engine, Console(quiet=True), limit_mb)

    def sql(self, query, *values):
        with closing(sqlite3.connect(self.cache)) as db, db:
            return db.execute(query, values).fetchall()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def content(place, photograph):
    catalog = place.features.catalog
    return Path(catalog.full_path(catalog.records[photograph])).read_bytes()


def is_right(place, found):
    expected = [fake_view(content(place, p), n) for p in found.photographs for n in range(found.each)]
    return (found.rows.take(np.arange(len(found.rows))) == np.array(expected)).all()


def test_every_view_of_every_photograph_is_made_once(place):
    found = place.views()
    assert (found.extracted, found.damaged, found.each, found.rows.shape) == (33, 0, 3, (33, WIDTH))
    assert is_right(place, found)
    assert len(place.extractor.asked) == 11  # one decode a photograph


def test_a_second_run_makes_none(place):
    first = place.views()
    second = place.views()
    assert (place.extractor.asked, second.extracted, second.damaged) == ([], 0, 0)
    assert is_right(place, second)
    assert (first.rows.take(np.arange(33)) == second.rows.take(np.arange(33))).all()


def test_only_the_photographs_asked_for_get_views(place):
    found = place.views(photographs=[1, 4, 9])
    assert sorted(data for data, _ in place.extractor.asked) == [b"cat 1", b"cat 4", b"dog 3"]
    assert is_right(place, found)


def test_more_views_cost_only_the_new_ones(place):
    place.views(each=2)
    found = place.views(each=5)
    assert found.extracted == 33
    assert {numbers for _, numbers in place.extractor.asked} == {(2, 3, 4)}
    assert is_right(place, found)
    assert place.views(each=4).extracted == 0


def test_another_distortion_has_views_of_its_own(place):
    place.views()
    assert place.views(recipe=RECIPE + " seed=1").extracted == 33
    assert place.views().extracted == 0


def test_copies_share_their_views(place):
    (place.photos / "dogs" / "copy.jpg").write_bytes(b"cat 2")
    place.features = place.collect()
    found = place.views()
    assert (found.extracted, len(found.rows)) == (33, 36)
    assert is_right(place, found)


def test_a_renamed_photograph_keeps_its_views(place):
    place.views()
    (place.photos / "cats" / "0.jpg").rename(place.photos / "cats" / "zzz.jpg")
    place.features = place.collect()
    assert place.views().extracted == 0


def test_a_cache_file_from_before_there_were_views_goes_on(place):
    tables = {name for (name,) in place.sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "views" not in tables
    assert is_right(place, place.views())
    place.features = place.collect()
    assert place.features.extracted == 0


def test_the_table_of_views_says_what_each_was_made_from(place):
    place.views(each=2)
    rows = place.sql("SELECT key, sha256, recipe, number FROM views")
    assert len(rows) == 22
    for key, sha, recipe, number in rows:
        assert key == view_key(sha, recipe, number)
        assert recipe == RECIPE
        assert sha in place.features.sha256s
    vectors = {sha for (sha,) in place.sql("SELECT sha256 FROM vectors")}
    assert vectors == set(place.features.sha256s) | {row[0] for row in rows}


def test_keys_differ_in_content_recipe_and_number():
    shas = [hashlib.sha256(b"%d" % n).digest() for n in range(20)]
    keys = {view_key(sha, recipe, number) for sha in shas for recipe in ("a", "b", "ab") for number in range(300)}
    assert len(keys) == 20 * 3 * 300
    assert {len(key) for key in keys} == {32}


def test_a_damaged_view_is_made_again_and_counted(place):
    place.views()
    key = view_key(digest(b"dog 1"), RECIPE, 2)
    place.sql("UPDATE vectors SET vector = zeroblob(?) WHERE sha256 = ?", 4 * WIDTH, key)
    place.sql("DELETE FROM vectors WHERE sha256 = ?", view_key(digest(b"dog 1"), RECIPE, 0))
    found = place.views(each=4)
    assert (found.damaged, found.extracted) == (2, 11 + 2)
    assert (b"dog 1", (0, 2, 3)) in place.extractor.asked
    assert is_right(place, found)
    assert place.views(each=4).damaged == 0


def test_views_that_fail_even_when_written_anew_stop_the_run(place, monkeypatch):
    monkeypatch.setattr(views, "checked_row", lambda key, vector: (key, vector.tobytes(), 1 << 40))
    with pytest.raises(NumericalError, match="33 vectors of"):
        place.views()


class OneByOne:
    """An engine without threads, whose answers come in reverse order, as a cluster's may."""

    def __init__(self, extractor):
        self.extractor = extractor

    def extract(self, jobs, known):
        for job in reversed(jobs):
            yield extract_job(job, known, self.extractor)


def test_answers_may_come_in_any_order(place):
    assert is_right(place, place.views(engine=OneByOne(FakeExtractor())))


def test_jobs_and_answers_go_to_other_processes_and_back(tmp_path):
    # deepcopy goes by the same protocol as what Ray ships.
    (tmp_path / "1.jpg").write_bytes(b"cat")
    job = copy.deepcopy(Job(3, str(tmp_path / "1.jpg"), (1, 4)))
    answer = copy.deepcopy(extract_job(job, (), FakeExtractor()))
    assert (answer.index, answer.vector, answer.error) == (3, None, None)
    assert (answer.views == [fake_view(b"cat", 1), fake_view(b"cat", 4)]).all()


def test_an_extractor_that_cannot_distort_is_told_apart(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"cat")
    with pytest.raises(TypeError, match="expected an extractor with a method views, got function"):
        extract_job(Job(0, str(tmp_path / "1.jpg"), (0,)), (), lambda data: fake_features(data))


@pytest.mark.parametrize("batch", [1, 6, 256])
def test_an_interrupt_in_the_middle_keeps_what_was_done(place, monkeypatch, batch):
    monkeypatch.setattr(views, "COMMIT_EVERY", batch)
    stop = place.photos / "cats" / "4.jpg"
    stop.write_bytes(b"stop")
    extractor = FakeExtractor()
    with pytest.raises(KeyboardInterrupt):
        place.views(engine=OneByOne(extractor))
    assert len(extractor.asked) == 6  # in reverse order: five dogs and a cat
    stop.write_bytes(b"cat 4")
    found = place.views()
    assert found.extracted == 15
    assert is_right(place, found)


def test_work_is_committed_as_it_goes(place, monkeypatch):
    monkeypatch.setattr(views, "COMMIT_EVERY", 7)
    counts = []

    class Watching(OneByOne):
        def extract(self, jobs, known):
            for answer in super().extract(jobs, known):
                yield answer
                counts.append(place.sql("SELECT count(*) FROM views")[0][0])

    place.views(engine=Watching(FakeExtractor()))
    assert counts == [0, 0, 9, 9, 9, 18, 18, 18, 27, 27, 27]


@pytest.mark.parametrize(("now", "reason"), [(b"bad", "damaged"), (b"another", "changed"), (None, "unreadable")])
def test_photographs_that_changed_since_stop_the_run_after_the_others_are_done(place, now, reason):
    photo = place.photos / "dogs" / "0.jpg"
    photo.write_bytes(now) if now else photo.unlink()
    with pytest.raises(ImageError, match=rf"1 of 11 could not be read again .*dogs/0\.jpg \({reason}\).*run again"):
        place.views()
    assert place.sql("SELECT count(*) FROM views") == [(30,)]


def test_progress_counts_views(place, monkeypatch):
    told = []

    class Counting(Console):
        def stage(self, title, total, unit):
            told.append((title, total, unit))
            return super().stage(title, total, unit)

    with place.open() as store:
        arguments = (place.features, np.arange(11), RECIPE, 3, store, LocalEngine(FakeExtractor(), 1))
        collect_views(*arguments, Counting(quiet=True))
        collect_views(*arguments, Counting(quiet=True))
    assert told == [("Creating distorted bottlenecks", 33, "views")]


# What a head is trained on


def test_without_distortion_the_material_is_the_photographs(place):
    material = material_of(place.features, None)
    assert material.rows is place.features.rows
    assert (material.labels == labels_of(place.features)).all()
    assert material.training_rows(np.array([3, 1])).tolist() == [3, 1]


def test_views_stand_behind_the_photographs_with_their_labels(place):
    chosen = [0, 2, 7, 10]
    material = material_of(place.features, place.views(photographs=chosen, each=3))
    assert material.rows.shape == (11 + 12, WIDTH)
    assert material.labels.tolist() == [0] * 6 + [1] * 5 + [0] * 6 + [1] * 6
    assert (material.rows.take(np.arange(11)) == place.features.matrix).all()
    assert material.training_rows(np.array([7, 0])).tolist() == [17, 18, 19, 11, 12, 13]
    for photograph in chosen:
        rows = material.training_rows(np.array([photograph]))
        expected = [fake_view(content(place, photograph), number) for number in range(3)]
        assert (material.rows.take(rows) == np.array(expected)).all()


def test_a_photograph_without_views_is_never_trained_on_undistorted(place):
    material = material_of(place.features, place.views(photographs=[0, 2]))
    with pytest.raises(ValueError, match="1 photographs to train on have no distorted views"):
        material.training_rows(np.array([0, 1, 2]))


def test_rows_are_found_wherever_they_lie(place, monkeypatch):
    in_memory = material_of(place.features, place.views())
    monkeypatch.setattr("retrain.bottlenecks.memory.MIB", 64)  # so that 3 views of 11 photographs are too many
    filed = place.views(limit_mb=20)
    assert isinstance(filed.rows, FileMatrix)
    material = material_of(place.features, filed)
    assert (in_memory.rows.resident, material.rows.resident) == (True, False)
    mixed = np.array([40, 3, 11, 3, 0, 43])
    for indices in (mixed, mixed[mixed > 10], mixed[mixed < 11], mixed[:0]):
        assert (material.rows.take(indices) == in_memory.rows.take(indices)).all()
    whole = np.zeros(material.rows.shape, np.float32)
    for part, chunk in material.rows.chunks(4):
        whole[part] = chunk
    assert (whole == in_memory.rows.take(np.arange(44))).all()


def test_no_view_of_a_validation_or_test_photograph_is_trained_on(place):
    """Their views are in the matrix, as cross-validation needs them; spoilt, they change nothing."""
    split = split_images(place.features.catalog, place.features.sha256s, SplitRequest("content", 30, 30))
    assert min(len(split.indices(side)) for side in (TRAINING, VALIDATION, TESTING)) > 0
    material = material_of(place.features, place.views())
    training = material.training_rows(split.indices(TRAINING))
    assert sorted({int(row - 11) // 3 for row in training}) == split.indices(TRAINING).tolist()

    def head(spoilt):
        matrix = material.rows.take(np.arange(44))
        matrix[spoilt] += 1000
        recipe = Recipe(30, 0.1, 10, 0.03)
        return train_softmax(matrix, material.labels, split.indices(VALIDATION), recipe, 2, training=training)

    others = np.concatenate([split.indices(VALIDATION), split.indices(TESTING)])
    clean = head(np.zeros(0, np.intp))
    assert (head(material.training_rows(others)).weights == clean.weights).all()
    assert (head(np.sort(split.indices(TRAINING))).weights == clean.weights).all()  # nor themselves undistorted
    assert (head(training[:1]).weights != clean.weights).any()


def test_cross_validation_trains_on_views_of_the_other_folds_and_tests_undistorted(place, monkeypatch):
    material = material_of(place.features, place.views())
    trained, tested = [], []
    real = head_folds.train_together

    class Watched:
        def __init__(self, head):
            self.head = head

        def classify(self, rows, held_out):
            tested.append(set(held_out.tolist()))
            return self.head.classify(rows, held_out)

    def watch(rows, labels, trainings, recipe, class_count, fit, stop):
        trained.extend(set(training.tolist()) for training in trainings)
        return map(Watched, real(rows, labels, trainings, recipe, class_count, fit, stop))

    monkeypatch.setattr(head_folds, "train_together", watch)
    scores = cross_validate(
        material.rows, material.labels, place.features.sha256s, Recipe(5, 0.1, 10, 0.0), 2, 4, lambda: None,
        material.training_rows,
    )  # fmt: skip
    assert scores.shape == (11, 2)
    assert np.allclose(scores.sum(axis=1), 1)
    assert len(trained) == len(tested) == 4
    assert sorted(i for part in tested for i in part) == list(range(11))
    for rows, held_out in zip(trained, tested, strict=True):
        rest = set(range(11)) - held_out
        assert rows == {11 + 3 * photograph + number for photograph in rest for number in range(3)}
