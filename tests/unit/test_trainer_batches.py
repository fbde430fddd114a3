"""Batches: in an order that a seed decides, the same whatever the threads, the cache and where they go on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import digest, encode, scene

from retrain.dataset import TESTING, TRAINING, VALIDATION
from retrain.errors import CacheError, ImageError, RetrainError
from retrain.images import InputSpec, decode_rgb
from retrain.pixels import kept_pixels, pictures
from retrain.trainer.augment import shuffled
from retrain.trainer.batches import Batches, class_weights
from retrain.trainer.job import Augmentation, Job, Photograph, Settings

SPEC = InputSpec(20, 16, 127.5, 127.5)
EVERYTHING = Augmentation(True, 10, 20, 30, True, 15, 45, 0.2, 1.0)
SOME = Augmentation(flip_left_right=True, random_crop=20, random_scale=20)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("photographs"), []
    for n in range(34):
        content = encode(scene(n, (40, 30)), "JPEG")
        (folder / f"{n}.jpg").write_bytes(content)
        side = VALIDATION if n % 3 == 2 else TRAINING
        found.append(Photograph(str(folder / f"{n}.jpg"), digest(content).hex(), n % 4 if n < 30 else 0, side))
    return tuple(found)


@pytest.fixture
def job(photographs, tmp_path):
    settings = Settings(epochs=3, batch_size=5, learning_rate=0.1, seed=7)
    return Job(
        "scratch", "tiny", "", 3, SPEC, ("a", "b", "c", "d"), photographs, settings, pixels=str(tmp_path / "pixels")
    )


def everything(batches):
    """The bytes of all batches, and their shapes."""
    return [[(part.tobytes(), part.shape, part.dtype) for part in batch] for batch in batches]


def test_an_epoch_has_each_photograph_once_as_the_project_decodes_it(job):
    expected = sorted(decode_rgb(open_bytes(one), SPEC).tobytes() for one in job.training)
    batches = Batches(job)
    assert batches.steps_an_epoch == 5
    for epoch in range(2):
        found = list(batches.arrays(epoch))
        assert [len(one.images) for one in found] == [5, 5, 5, 5, 3]
        assert sorted(picture.tobytes() for one in found for picture in one.images) == expected
        assert all(one.images.dtype == np.uint8 for one in found)


def open_bytes(photograph):
    with open(photograph.path, "rb") as file:  # noqa: PTH123
        return file.read()


def test_pictures_labels_and_weights_belong_together(job):
    order = shuffled("order 7 1", len(job.training))
    chosen = [job.training[n] for n in order]
    at = 0
    for images, targets, weights in Batches(job).arrays(1):
        for image, target, weight in zip(images, targets, weights, strict=True):
            assert (image == decode_rgb(open_bytes(chosen[at]), SPEC)).all()
            assert target.tolist() == [float(n == chosen[at].label) for n in range(4)]
            assert weight == class_weights(np.array([one.label for one in job.training]), job)[chosen[at].label]
            at += 1
    assert at == len(order)


def test_epochs_and_seeds_come_in_orders_of_their_own(job):
    def order(job, epoch):
        return [batch.images.tobytes() for batch in Batches(job).arrays(epoch)]

    other = replace(job, settings=replace(job.settings, seed=8))
    assert len({tuple(order(job, 0)), tuple(order(job, 1)), tuple(order(other, 0))}) == 3


@pytest.mark.parametrize("told", [Augmentation(), SOME, EVERYTHING], ids=["plain", "some", "everything"])
def test_batches_are_the_same_whatever_the_threads_the_cache_and_where_they_go_on(job, told):
    job = replace(job, augmentation=told)
    expected = everything(Batches(replace(job, pixels="", threads=1)).arrays(2))
    for threads in (1, 2, 5):
        batches = Batches(replace(job, threads=threads))
        assert everything(batches.arrays(2)) == expected
        assert everything(batches.arrays(2)) == expected
    assert everything(Batches(replace(job, pixel_cache_mb=1)).arrays(2)) == expected
    for skip in range(6):
        assert everything(Batches(job).arrays(2, skip)) == expected[skip:]


def test_a_photograph_is_distorted_anew_each_epoch(job):
    pictures_seen = [
        {
            picture.tobytes()
            for batch in Batches(replace(job, augmentation=SOME)).arrays(epoch)
            for picture in batch.images
        }
        for epoch in range(2)
    ]
    assert not pictures_seen[0] & pictures_seen[1]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (SOME, np.uint8), (Augmentation(random_rotation=5, cutmix=1.0), np.uint8), (EVERYTHING, np.float32),
        (Augmentation(random_brightness=1), np.float32), (Augmentation(random_colour=1), np.float32),
        (Augmentation(mixup=0.1), np.float32),
    ],
)  # fmt: skip
def test_pictures_are_whole_numbers_unless_something_makes_them_others(job, told, kind):
    batches = Batches(replace(job, augmentation=told))
    assert {batch.images.dtype for batch in batches.arrays(0)} == {np.dtype(kind)}
    assert batches.example(0).dtype == np.uint8
    assert batches.example(0).shape == (5, 20, 16, 3)


def test_the_example_is_the_first_batch_rounded_and_clipped(job):
    batches = Batches(replace(job, augmentation=Augmentation(random_brightness=90)))
    epoch = next(epoch for epoch in range(20) if next(batches.arrays(epoch)).images.max() > 256)
    first = next(batches.arrays(epoch)).images
    assert (batches.example(epoch) == np.rint(np.minimum(first, 255))).all()


def test_targets_of_mixed_pictures_sum_to_one(job):
    for batch in Batches(replace(job, augmentation=EVERYTHING)).arrays(0):
        assert np.allclose(batch.targets.sum(axis=1), 1)
        assert (batch.weights > 0).all()


def test_validation_is_undistorted_and_in_the_jobs_order(job):
    for told in (Augmentation(), EVERYTHING):
        batches = Batches(replace(job, augmentation=told))
        found = list(batches.validation_arrays())
        assert batches.validation_steps == len(found) == 3
        expected = np.stack([decode_rgb(open_bytes(one), SPEC) for one in job.validation])
        assert (np.concatenate([one.images for one in found]) == expected).all()
        assert np.concatenate([one.targets for one in found]).argmax(axis=1).tolist() == [
            x.label for x in job.validation
        ]
        assert np.concatenate([one.weights for one in found]).tolist() == [1.0] * 11


def test_there_may_be_nothing_to_validate_on(job):
    batches = Batches(replace(job, photographs=job.training))
    assert list(batches.validation_arrays()) == []
    assert batches.validation_steps == 0


def test_both_sides_share_a_file_where_they_are_of_one_size(job, tmp_path):
    batches = Batches(job)
    list(batches.arrays(0))
    list(batches.validation_arrays())
    (kept,) = kept_pixels(tmp_path / "pixels")
    assert (kept.rows, kept.height, kept.width) == (34, 20, 16)
    wide = Batches(replace(job, augmentation=SOME))
    list(wide.arrays(0))
    list(wide.validation_arrays())
    sizes = {(kept.height, kept.width): kept.rows for kept in kept_pixels(tmp_path / "pixels")}
    assert sizes == {(20, 16): 34, (28, 23): 23}


def test_once_kept_nothing_is_decoded(job, monkeypatch):
    expected = everything(Batches(job).arrays(0))
    monkeypatch.setattr(pictures, "decode_file", lambda *facts: pytest.fail(str(facts)))
    assert everything(Batches(job).arrays(0)) == expected


def test_room_is_what_the_job_says(job, tmp_path):
    large = replace(job, input_spec=replace(SPEC, height=160, width=160), pixel_cache_mb=1)
    list(Batches(large).arrays(0))
    (kept,) = kept_pixels(tmp_path / "pixels")
    assert kept.rows == 2**20 // (160 * 160 * 3 + 40)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50))
def test_each_class_weighs_alike(labels):
    job = Job("scratch", "", "", 3, SPEC, ("a", "b", "c", "d"), (), Settings(1, 1, 0.1))
    weights = class_weights(np.array(labels), job)
    totals = [weights[n] * labels.count(n) for n in range(4) if n in labels]
    assert np.allclose(totals, len(labels) / len(set(labels)), rtol=1e-5)
    unweighed = replace(job, settings=replace(job.settings, class_weights="none"))
    assert class_weights(np.array(labels), unweighed).tolist() == [1] * 4


def test_without_photographs_there_are_no_batches(job):
    batches = Batches(replace(job, photographs=()))
    assert batches.class_weights.shape == (4,)
    assert np.isfinite(batches.class_weights).all()
    assert list(batches.arrays(0)) == []


# Parts for several workers


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_workers_have_equally_many_batches_of_equal_size_and_every_photograph_once(job, count):
    whole = list(Batches(job).arrays(1))
    shards = [list(Batches(job).shard(index, count).arrays(1)) for index in range(count)]
    assert {len(shard) for shard in shards} == {len(whole)}
    for step, batch in enumerate(whole):
        parts = [shard[step] for shard in shards]
        assert len({part.images.shape for part in parts}) == 1
        real = sorted(picture.tobytes() for part in parts for picture in part.images[part.weights > 0])
        assert real == sorted(picture.tobytes() for picture in batch.images)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_mean_of_the_workers_means_is_the_mean_of_the_whole_batch(job, count):
    whole = list(Batches(job).arrays(0))
    shards = [list(Batches(job).shard(index, count).arrays(0)) for index in range(count)]
    for step, batch in enumerate(whole):
        means = [np.mean(s[step].weights * s[step].images.mean(axis=(1, 2, 3))) for s in shards]
        assert np.mean(means) == pytest.approx(np.mean(batch.weights * batch.images.mean(axis=(1, 2, 3))), rel=1e-5)


def test_workers_validate_each_photograph_once(job):
    weights = [
        np.concatenate([one.weights for one in Batches(job).shard(index, 3).validation_arrays()]) for index in range(3)
    ]
    assert sum(one.sum() for one in weights) == len(job.validation)


def test_a_workers_part_goes_on_where_it_stopped(job):
    shard = Batches(replace(job, augmentation=EVERYTHING)).shard(1, 2)
    assert everything(shard.arrays(2, 3)) == everything(shard.arrays(2))[3:]


# What goes wrong


def broken(job, tmp_path, content):
    """The job with a photograph that is other than it was."""
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    first = job.photographs[0]
    return path, replace(job, photographs=(replace(first, path=str(path)), *job.photographs[1:]))


@pytest.mark.parametrize("threads", [1, 4])
def test_a_photograph_that_changed_is_an_error_with_its_name(job, tmp_path, threads):
    _, job = broken(job, tmp_path, b"other")
    with pytest.raises(RetrainError, match=r"broken\.jpg to be the photograph that the run began with"):
        list(Batches(replace(job, threads=threads)).arrays(0))


def test_a_photograph_that_vanished_is_an_error_with_its_name(job, tmp_path):
    path, job = broken(job, tmp_path, b"")
    path.unlink()
    with pytest.raises(ImageError, match=r"unreadable: .*broken\.jpg"):
        list(Batches(job).arrays(0))


def test_what_is_not_ours_stays_what_it_is(job):
    with pytest.raises(ZeroDivisionError), Batches(job).errors():
        raise ZeroDivisionError
    with pytest.raises(CacheError, match="mine"), Batches(job).errors():
        raise CacheError("mine")


def test_a_folder_that_cannot_be_made_is_an_error(job, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot keep decoded photographs"):
        Batches(replace(job, pixels=str(tmp_path / "file")))


def test_closed_batches_leave_their_file_to_others(job, tmp_path):
    batches = Batches(job)
    list(batches.arrays(0))
    batches.close()
    again = Batches(job)
    assert len(list(again.arrays(0))) == 5


def test_photographs_of_the_final_test_are_never_shown(job):
    tested = replace(job, photographs=tuple(replace(one, side=TESTING) for one in job.photographs))
    assert list(Batches(tested).arrays(0)) == []
    assert list(Batches(tested).validation_arrays()) == []


def test_photographs_at_urls_make_the_same_batches(job):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    moved = []
    for number, one in enumerate(job.photographs):
        memory.pipe(f"/trainer_batches/{number}.jpg", open_bytes(one))
        moved.append(replace(one, path=f"memory://trainer_batches/{number}.jpg"))
    remote = replace(job, photographs=tuple(moved), pixels="", augmentation=EVERYTHING)
    assert everything(Batches(remote).arrays(1)) == everything(Batches(replace(job, augmentation=EVERYTHING)).arrays(1))
