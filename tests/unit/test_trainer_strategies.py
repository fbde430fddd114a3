"""Who works together, and what the training process says: the parts that need no TensorFlow."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from retrain.errors import UsageError
from retrain.trainer.child import Speaker, Stopping, serve
from retrain.trainer.strategies import Alone, is_chief, worker_of


def environment(task, **cluster):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def test_workers_are_counted_from_the_chief():
    cluster = {"worker": ["a:1", "b:1"], "chief": ["c:1"]}
    assert worker_of(environment({"type": "chief", "index": 0}, **cluster)) == (0, 3)
    assert worker_of(environment({"type": "worker", "index": 1}, **cluster)) == (2, 3)
    assert worker_of(environment({"type": "worker", "index": "0"}, worker=["a:1"])) == (0, 1)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"TF_CONFIG": ""},
        {"TF_CONFIG": "{}"},
        {"TF_CONFIG": "[]"},
        environment({"type": "worker", "index": 2}, worker=["a:1", "b:1"]),
        environment({"type": "evaluator", "index": 0}, worker=["a:1"]),
        environment({"type": "worker"}, worker=["a:1"]),
    ],
)
def test_what_does_not_say_who_works_is_refused(told):
    with pytest.raises(UsageError, match="expected TF_CONFIG"):
        worker_of(told)


def test_whoever_trains_alone_is_the_chief(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert is_chief("none")
    assert is_chief("mirrored")
    with pytest.raises(UsageError):
        is_chief("multi_worker")
    monkeypatch.setenv("TF_CONFIG", environment({"type": "worker", "index": 1}, worker=["a:1", "b:1"])["TF_CONFIG"])
    assert not is_chief("multi_worker")


def test_alone_nothing_is_divided_or_summed():
    one, array = Alone(), np.arange(3)
    assert one.part([1, 2]) == [1, 2]
    assert one.total([1, 2]) == [1, 2]
    assert one.share(array) is array
    with one.scope():
        assert (one.index, one.workers, one.replicas) == (0, 1, 1)


def test_events_are_lines_of_json_whoever_speaks():
    stream = io.BytesIO()
    speaker = Speaker(stream)
    threads = [threading.Thread(target=speaker.tell, args=("step",), kwargs={"step": n}) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sorted(event["step"] for event in told) == list(range(20))


def test_nobody_listening_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream:
        Speaker(stream).tell("step", step=1)


def until(asked):
    deadline = time.monotonic() + 30
    while not asked() and time.monotonic() < deadline:
        time.sleep(0.01)
    return asked()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop(number):
    reading, _ = os.pipe()
    stopping = Stopping()
    stopping.listen(reading)
    assert not stopping()
    os.kill(os.getpid(), number)
    assert until(stopping)
    # The pipe stays open: the thread that reads it would else ask as well, and in time end the process.


def test_the_end_of_the_input_asks_to_stop(monkeypatch):
    monkeypatch.setattr(threading, "Timer", lambda *arguments: threading.Thread(target=lambda: None))
    reading, writing = os.pipe()
    stopping = Stopping()
    stopping.listen(reading)
    os.write(writing, b"x")
    assert not stopping()
    os.close(writing)
    assert until(stopping)
    os.close(reading)


def test_a_folder_without_a_job_is_an_error_and_its_exit_code(tmp_path):
    told = []
    assert serve(tmp_path, lambda event, **facts: told.append((event, facts["kind"])), Stopping()) == 1
    assert told == [("error", "RetrainError")]
