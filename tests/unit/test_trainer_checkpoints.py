"""Checkpoints: what is written is read, what is damaged is set aside, and only as many as are asked for stay."""

from __future__ import annotations

import errno
import threading

import numpy as np
import pytest

from retrain import fsio
from retrain.errors import RetrainError
from retrain.trainer.checkpoints import Checkpoints, alone
from retrain.trainer.progress import Progress

DIGEST = "d" * 64


def arrays_of(step):
    rng = np.random.default_rng(step)
    return [
        rng.normal(size=(3, 4)).astype(np.float32),
        np.float32(-0.0) * np.ones(2, np.float32),
        np.array([step, 7], np.uint32),
    ]


def progress_at(step, best_step=0):
    return Progress(step=step, best_step=best_step, rate=0.1)


def written(folder, *steps, kept=3, best=0):
    told = []
    with Checkpoints(folder, DIGEST, kept, lambda step, path: told.append((step, path.exists()))) as checkpoints:
        for step in steps:
            checkpoints.write(progress_at(step, best if step >= best else 0), arrays_of(step))
    return told


def latest(folder, digest=DIGEST, misfit=""):
    warnings = []
    with Checkpoints(folder, digest, 3, lambda step, path: None) as checkpoints:
        return checkpoints.latest(lambda arrays: misfit, warnings.append), warnings


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def path_of(folder, step):
    return folder / f"checkpoint-{step:010d}.npz"


def test_the_last_one_comes_back_to_the_bit(tmp_path):
    assert written(tmp_path, 1, 2) == [(1, True), (2, True)]
    found, warnings = latest(tmp_path)
    assert not warnings
    assert found.progress == progress_at(2)
    assert [(a.dtype, a.tobytes()) for a in found.arrays] == [(a.dtype, a.tobytes()) for a in arrays_of(2)]


def test_where_none_is_there_is_none(tmp_path):
    assert latest(tmp_path) == (None, [])


def test_the_last_few_are_kept_and_the_best_that_they_name(tmp_path):
    written(tmp_path, 1, 2, 3, 4, 5, kept=2, best=2)
    assert names(tmp_path) == [path_of(tmp_path, step).name for step in (2, 4, 5)]


def test_a_process_that_goes_on_keeps_the_best_of_earlier_ones(tmp_path):
    written(tmp_path, 1, 2, 3, kept=1, best=1)
    written(tmp_path, 4, kept=2, best=1)
    assert names(tmp_path) == [path_of(tmp_path, step).name for step in (1, 3, 4)]


@pytest.mark.parametrize("place", np.linspace(0, 0.999, 23))
def test_a_bit_that_turned_is_noticed_or_harmless(tmp_path, place):
    written(tmp_path, 1, 2)
    path = path_of(tmp_path, 2)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 0x10
    path.write_bytes(data)
    found, warnings = latest(tmp_path)
    if warnings:  # dates of a zip's entries may turn without harm
        assert found.progress.step == 1
        assert names(tmp_path) == [path_of(tmp_path, 1).name, f"{path.name}.damaged"]
    else:
        assert [a.tobytes() for a in found.arrays] == [a.tobytes() for a in arrays_of(2)]
        assert found.progress == progress_at(2)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_torn_one_falls_back_to_the_one_before(tmp_path, share):
    written(tmp_path, 1, 2)
    path = path_of(tmp_path, 2)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    found, [warning] = latest(tmp_path)
    assert found.progress.step == 1
    assert path.name in warning


def test_a_changed_number_with_a_right_crc_is_noticed(tmp_path):
    written(tmp_path, 1, 2)
    path = path_of(tmp_path, 2)
    with np.load(path) as members:
        changed = dict(members)
    changed["arr_0"] = changed["arr_0"] + 1
    with path.open("wb") as file:
        np.savez(file, **changed)
    found, [warning] = latest(tmp_path)
    assert found.progress.step == 1
    assert "checksum" in warning


def test_one_of_another_training_is_not_taken_up(tmp_path):
    written(tmp_path, 5)
    found, [warning] = latest(tmp_path, digest="e" * 64)
    assert found is None
    assert "another training" in warning


def test_one_that_was_renamed_is_not_taken_up(tmp_path):
    written(tmp_path, 5)
    path_of(tmp_path, 5).rename(path_of(tmp_path, 9))
    found, [warning] = latest(tmp_path)
    assert found is None
    assert "step 5" in warning


def test_one_that_does_not_fit_the_network_is_not_taken_up(tmp_path):
    written(tmp_path, 5)
    found, [warning] = latest(tmp_path, misfit="expected other shapes")
    assert found is None
    assert "expected other shapes" in warning


def test_one_whose_best_epoch_is_lost_cannot_be_gone_on_from(tmp_path):
    written(tmp_path, 1, 2, 3, best=2)
    path_of(tmp_path, 2).write_bytes(b"torn")
    found, warnings = latest(tmp_path)
    assert found.progress.step == 1
    assert len(warnings) == 2


def test_none_left_is_said_of_each(tmp_path):
    written(tmp_path, 1, 2)
    for step in (1, 2):
        path_of(tmp_path, step).write_bytes(b"")
    found, warnings = latest(tmp_path)
    assert found is None
    assert len(warnings) == 2


def test_a_full_disk_is_an_error_and_leaves_the_one_before(tmp_path, monkeypatch):
    written(tmp_path, 1)

    def full(target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fsio, "replacing", full)
    with Checkpoints(tmp_path, DIGEST, 3, lambda step, path: None) as checkpoints:
        checkpoints.write(progress_at(2), arrays_of(2))
        with pytest.raises(RetrainError, match="No space left"):
            checkpoints.settle()
        with pytest.raises(RetrainError, match="make room"):
            checkpoints.write(progress_at(3), arrays_of(3))
        checkpoints._failure = None
    assert names(tmp_path) == [path_of(tmp_path, 1).name]


def test_a_failure_of_the_last_one_is_not_swallowed(tmp_path, monkeypatch):
    def full(target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fsio, "replacing", full)
    with pytest.raises(RetrainError, match="No space left"):
        written(tmp_path, 1)


def test_what_was_given_is_written_though_its_progress_goes_on(tmp_path):
    progress = progress_at(4)
    progress.history.append({"epoch": 1})
    with Checkpoints(tmp_path, DIGEST, 3, lambda step, path: None) as checkpoints:
        checkpoints.write(progress, arrays_of(4))
        progress.history[0]["epoch"] = 2
        progress.take(1.0, 1, 1)
    found, _ = latest(tmp_path)
    assert found.progress.history == [{"epoch": 1}]


def test_nothing_in_a_checkpoint_is_code(tmp_path):
    path = path_of(tmp_path, 3)
    with path.open("wb") as file:
        np.savez(file, facts=np.array([{"code": 1}], dtype=object), sha256=np.zeros(32, np.uint8))
    found, [warning] = latest(tmp_path)
    assert found is None
    assert "allow_pickle" in warning


def test_a_second_process_waits_and_says_so(tmp_path):
    told, entered, leave = [], threading.Event(), threading.Event()

    def first():
        with alone(tmp_path, lambda: told.append("first"), lambda: False):
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(30)

    def waiting():
        told.append("second")
        leave.set()

    with alone(tmp_path, waiting, lambda: False) as mine:
        assert mine
    thread.join()
    assert told == ["second"]


def test_waiting_ends_when_it_is_told_to(tmp_path):
    asked = []
    with (
        alone(tmp_path, lambda: None, lambda: False),
        alone(tmp_path, lambda: asked.append(1), lambda: bool(asked)) as mine,
    ):
        assert not mine


def test_an_error_of_the_training_is_not_taken_for_a_lock(tmp_path):
    with pytest.raises(RetrainError, match="of the training"), alone(tmp_path, lambda: None, lambda: False):
        raise RetrainError("of the training")
