"""The training process: killed, interrupted, left alone, given damaged checkpoints, it reaches the very same weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_jobs import STATELESS, WITH_STATE, Child, folder_of, make_job, of_kind, train, workers

from retrain import fsio
from retrain.trainer.job import Augmentation, write_job

pytestmark = pytest.mark.tensorflow

# All that has a state, draws or depends on the step: what a resumed training could get wrong.
EVERYTHING = {
    "definition": WITH_STATE,
    "augmentation": Augmentation(flip_left_right=True, random_rotation=10, mixup=0.2),
    "schedule": "cosine", "warmup_steps": 5, "weight_decay": 0.01, "label_smoothing": 0.1,
    "early_stopping": 100, "find_learning_rate": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A job, and what an undisturbed training of it came to."""
    root = tmp_path_factory.mktemp("undisturbed")
    job = make_job(root, **EVERYTHING)
    folder = folder_of(job, root / "job")
    events = train(folder)
    assert events[-1]["event"] == "done", events[-1]
    return job, folder, events


def done_of(folder):
    return json.loads((folder / "done.json").read_text())


def arrays_of(folder):
    found = {}
    for name in ("network.npz", "head.npz"):
        with np.load(folder / name) as members:
            found |= {f"{name}:{member}": members[member] for member in members.files}
    return found


def curves(events):
    """What was said of the training, but for the speed."""
    said = [event for event in events if event["event"] in ("step", "epoch", "rate")]
    return [{name: value for name, value in event.items() if name != "images_a_second"} for event in said]


def test_the_events_tell_the_whole_training(undisturbed):
    job, folder, events = undisturbed
    start = events[0]
    assert start["event"] == "start"
    assert (start["steps"], start["steps_an_epoch"], start["from_step"], start["batch_size"]) == (18, 6, 0, 8)
    assert start["trained"] == 8 * 27 + 8 + 16 + 8 * 64 * 16 + 16 + 16 * 2 + 2
    assert [event["step"] for event in of_kind(events, "step")] == [4, 8, 12, 16, 18]
    assert [event["epoch"] for event in of_kind(events, "epoch")] == [1, 2, 3]
    assert [event["step"] for event in of_kind(events, "checkpoint")] == [0, 4, 6, 8, 12, 16, 18]
    done = done_of(folder)
    assert done["digest"] == job.digest
    assert [epoch["step"] for epoch in done["history"]] == [6, 12, 18]
    assert done["learning_rate"] == of_kind(events, "rate")[0]["learning_rate"]
    assert of_kind(events, "done")[0]["network_sha256"] == done["network_sha256"]
    assert not of_kind(events, "warning")


@pytest.mark.parametrize("after", [2, 3, 7, 11, 13])
def test_kill_9_at_any_moment_and_again_reaches_the_same_weights(undisturbed, tmp_path, after):
    job, reference, events = undisturbed
    folder = folder_of(job, tmp_path / "job")
    with Child(folder) as child:
        # How many checkpoints are on the disk by then depends on the thread that writes them.
        seen = [event for _, event in zip(range(after), child.events(), strict=False)]
        child.process.kill()
    again = train(folder)
    assert done_of(folder) == done_of(reference)
    assert fsio.sha256_file(folder / "network.npz") == fsio.sha256_file(reference / "network.npz")
    kept = [event["step"] for event in seen if event["event"] == "checkpoint"]
    assert again[0]["from_step"] >= (kept[-1] if kept else 0)
    assert curves(again) == [one for one in curves(events) if one.get("step", -1) > again[0]["from_step"] or (
        "curve" in one and again[0]["from_step"] == 0 and of_kind(again, "rate")
    )]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_writes_a_checkpoint(undisturbed, tmp_path, number):
    job, reference, _ = undisturbed
    folder = folder_of(job, tmp_path / "job")
    with Child(folder) as child:
        for event in child.events():
            if event["event"] == "epoch":
                child.process.send_signal(number)
                child.process.send_signal(number)
                break
        *_, last = child.rest()
        assert child.process.returncode == 130
    assert last["event"] == "interrupted"
    assert (folder / f"checkpoint-{last['step']:010d}.npz").exists()
    assert train(folder)[0]["from_step"] == last["step"]
    assert done_of(folder) == done_of(reference)


def test_stopped_between_the_last_step_of_an_epoch_and_its_validation(undisturbed, tmp_path):
    job, reference, _ = undisturbed
    folder = folder_of(replace(job, settings=replace(job.settings, eval_interval=6)), tmp_path / "job")
    with Child(folder) as child:
        for event in child.events():
            if event["event"] == "step":  # the first validation is still to be compiled, which takes a while
                child.process.send_signal(signal.SIGINT)
                break
        *_, last = child.rest()
    again = train(folder)
    assert again[0]["from_step"] == last["step"]
    assert done_of(folder)["history"] == done_of(reference)["history"]
    assert done_of(folder)["network_sha256"] == done_of(reference)["network_sha256"]


def test_the_end_of_its_input_is_the_end_of_it(undisturbed, tmp_path):
    job, reference, _ = undisturbed
    folder = folder_of(job, tmp_path / "job")
    with Child(folder) as child:
        next(child.events())
        child.process.stdin.close()
        child.process.stdin = None
        *_, last = child.rest()
        assert (last["event"], child.process.returncode) == ("interrupted", 130)
    train(folder)
    assert done_of(folder) == done_of(reference)


def test_damaged_checkpoints_fall_back_with_a_warning(undisturbed, tmp_path):
    _, reference, _ = undisturbed
    folder = tmp_path / "job"
    shutil.copytree(reference, folder)
    (folder / "done.json").unlink()
    for step, share in ((18, 0.5), (16, 0.0)):
        path = folder / f"checkpoint-{step:010d}.npz"
        os.truncate(path, int(share * path.stat().st_size))
    events = train(folder)
    assert [event["text"][:26] for event in of_kind(events, "warning")] == [
        "checkpoint-0000000018.npz ", "checkpoint-0000000016.npz "
    ]  # fmt: skip
    assert of_kind(events, "start")[0]["from_step"] == 12
    assert done_of(folder) == done_of(reference)


def test_with_all_checkpoints_damaged_it_begins_again(undisturbed, tmp_path):
    _, reference, _ = undisturbed
    folder = tmp_path / "job"
    shutil.copytree(reference, folder)
    (folder / "network.npz").write_bytes(b"damaged")
    for path in folder.glob("checkpoint-*.npz"):
        path.write_bytes(b"damaged")
    events = train(folder)
    assert len(of_kind(events, "warning")) == 3
    assert of_kind(events, "start")[0]["from_step"] == 0
    assert done_of(folder) == done_of(reference)


def test_what_is_trained_is_not_trained_again(undisturbed):
    _, folder, events = undisturbed
    before = (folder / "network.npz").stat().st_mtime_ns
    assert train(folder) == events[-1:]
    assert (folder / "network.npz").stat().st_mtime_ns == before


def test_two_at_once_train_it_once(tmp_path):
    folder = folder_of(make_job(tmp_path), tmp_path / "job")
    with Child(folder) as first, Child(folder) as second, ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(Child.rest, (first, second)), key=len)
    assert [event["event"] for event in told[0]] == ["warning", "done"]
    assert told[1][-1] == told[0][-1]


def test_the_best_epoch_is_kept_and_waiting_ends(tmp_path):
    job = make_job(tmp_path, epochs=40, early_stopping=12, learning_rate=0.03, checkpoints_kept=1, label_smoothing=0.2)
    folder = folder_of(job, tmp_path / "job")
    train(folder)
    done = done_of(folder)
    losses = [epoch["validation_loss"] for epoch in done["history"]]
    assert done["best_epoch"] == 1 + int(np.argmin(losses))
    assert done["step"] == done["history"][done["best_epoch"] - 1]["step"] + 12
    assert len(losses) == done["best_epoch"] + 2 < 40
    with np.load(folder / f"checkpoint-{6 * done['best_epoch']:010d}.npz") as best:
        saved = arrays_of(folder)
        assert np.array_equal(best["arr_0"], saved["network.npz:000"])
        assert np.array_equal(best["arr_5"], saved["head.npz:biases"])


def test_few_validation_photographs_choose_nothing_and_that_is_said(tmp_path):
    folder = folder_of(make_job(tmp_path, validation=3, early_stopping=1, epochs=2), tmp_path / "job")
    events = train(folder)
    assert "too few to choose" in of_kind(events, "warning")[0]["text"]
    assert len(of_kind(events, "epoch")) == 2


def test_a_loss_that_is_no_number_ends_it_and_nothing_is_written(tmp_path):
    folder = folder_of(make_job(tmp_path, learning_rate=1e30, optimizer="sgd"), tmp_path / "job")
    with Child(folder) as child:
        *_, last = child.rest()
        assert child.process.returncode == 7
    assert (last["event"], last["kind"]) == ("error", "NumericalError")
    assert "--learning_rate" in last["text"]
    assert not list(folder.glob("*.npz")) + list(folder.glob("done.json"))


def test_a_photograph_that_is_gone_is_an_error_that_names_it(tmp_path):
    job = make_job(tmp_path)
    folder = folder_of(job, tmp_path / "job")
    gone = job.photographs[3].path
    Path(gone).unlink()
    last = train(folder)[-1]
    assert last["event"] == "error"
    assert gone in last["text"]


def test_a_job_that_is_none_is_an_error(tmp_path):
    (tmp_path / "job.json").write_text("{}")
    [event] = train(tmp_path)
    assert (event["event"], event["kind"]) == ("error", "RetrainError")


def test_bfloat16_products_learn_and_weights_stay_float32(tmp_path):
    folder = folder_of(make_job(tmp_path, mixed_precision=True), tmp_path / "job")
    events = train(folder)
    epochs = of_kind(events, "epoch")
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    assert {array.dtype for array in arrays_of(folder).values()} == {np.dtype(np.float32)}


@pytest.fixture(scope="module")
def alone_weights(tmp_path_factory):
    root = tmp_path_factory.mktemp("alone")
    folder = folder_of(make_job(root, definition=STATELESS), root / "job")
    train(folder)
    return root, arrays_of(folder), done_of(folder)


_LOGICAL = """
import sys, tensorflow as tf
[processor] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
from retrain.trainer import child
sys.exit(child.main())
"""


def test_two_devices_train_as_one_does(alone_weights, tmp_path):
    root, alone, done = alone_weights
    job = replace(make_job(root, definition=STATELESS, strategy="mirrored"), pixels=str(tmp_path / "pixels"))
    folder = folder_of(job, tmp_path / "job")
    with Child(folder, module=("-c", _LOGICAL)) as child:
        assert child.rest()[-1]["event"] == "done"
    assert_alike(folder, alone, done)


def test_two_workers_train_as_one_does_and_the_chief_writes(alone_weights, tmp_path):
    root, alone, done = alone_weights
    job = replace(make_job(root, definition=STATELESS, strategy="multi_worker"), pixels=str(tmp_path / "pixels"))
    shared = folder_of(job, tmp_path / "shared")
    chief, second = both(shared, shared)
    assert chief[-1] == second[-1]
    assert chief[-1]["event"] == "done"
    assert of_kind(chief, "checkpoint")
    assert not of_kind(second, "checkpoint")
    assert_alike(shared, alone, done)


def test_two_workers_on_disks_of_their_own_go_on_after_a_kill(tmp_path):
    job = make_job(tmp_path, definition=WITH_STATE, strategy="multi_worker")
    undisturbed = [folder_of(job, tmp_path / name) for name in ("a", "b")]
    told = both(*undisturbed)
    assert told[0][-1] == told[1][-1]
    assert done_of(undisturbed[0]) == done_of(undisturbed[1])
    killed = [folder_of(job, tmp_path / name) for name in ("c", "d")]
    # A checkpoint on the disk of the first one is all that is left of the training.
    shutil.copy(undisturbed[0] / "checkpoint-0000000012.npz", killed[0])
    told = both(*killed)
    assert [events[0]["from_step"] for events in told] == [12, 12]
    assert done_of(killed[0]) == done_of(killed[1]) == done_of(undisturbed[0])


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGINT, "interrupted"), (signal.SIGKILL, "error")])
def test_what_stops_one_worker_stops_the_other(tmp_path, number, ends):
    job = make_job(tmp_path, strategy="multi_worker", epochs=300)
    folders = [folder_of(job, tmp_path / name) for name in ("a", "b")]
    config = [workers(two_ports(), 0)]
    config.append(config[0].replace('"index": 0', '"index": 1'))
    with Child(folders[0], TF_CONFIG=config[0]) as first, Child(folders[1], TF_CONFIG=config[1]) as second:
        for event in second.events():
            if event["event"] == "epoch":
                second.process.send_signal(number)
                break
        with ThreadPoolExecutor(2) as pool:
            told = list(pool.map(Child.rest, (first, second)))
    last = told[0][-1]
    assert last["event"] == ends
    if ends == "interrupted":
        assert told[1][-1] == last
        assert (folders[0] / f"checkpoint-{last['step']:010d}.npz").exists()
    else:
        assert "start the same command on all of them" in last["text"]


def test_without_tf_config_several_workers_are_refused(tmp_path):
    folder = folder_of(make_job(tmp_path, strategy="multi_worker"), tmp_path / "job")
    [event] = train(folder, TF_CONFIG="")
    assert (event["event"], event["kind"]) == ("error", "UsageError")
    assert "TF_CONFIG" in event["text"]


def both(first, second):
    """Train with two workers, each with its folder."""
    ports = two_ports()
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda i: train((first, second)[i], TF_CONFIG=workers(ports, i)), range(2)))


def two_ports():
    """Two of this machine that are free."""
    with socket.socket() as one, socket.socket() as other:
        for one_of_them in (one, other):
            one_of_them.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def assert_alike(folder, arrays, done):
    found = arrays_of(folder)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.abs(found[name] - array).max() < 1e-4, name
    for one, other in zip(done_of(folder)["history"], done["history"], strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-4)


def test_job_can_be_written_again_over_itself(undisturbed):
    job, folder, events = undisturbed
    write_job(job, folder)
    assert train(folder) == events[-1:]
