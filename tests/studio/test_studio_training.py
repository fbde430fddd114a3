"""A run from a page: told as it goes, ended at any moment, and ended with the studio."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from commands import environment
from studio_runs import PATIENCE_S, Heard, trained, untrained

from retrain.errors import UsageError
from retrain.modelfile import read_graph_bundle
from retrain.publish import read_record, record_path
from retrain.studio import training
from retrain.studio.training import EXPORT, RUN, Trainer

HERE = Path(__file__).parent


@pytest.fixture
def make(monkeypatch):
    """Makes trainers whose runs are studio_child.py, and sees to it that none is left."""
    made = []
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([environment()["PYTHONPATH"], str(HERE)]))

    def trainer(way="real", when_done=lambda config: None):
        monkeypatch.setenv("STUDIO_CHILD", way)
        made.append(Trainer(Heard(), when_done, "studio_child"))
        return made[-1]

    yield trainer
    for one in made:
        one.close()


def wait(trainer, ready=lambda trainer: not trainer.is_running):
    end = time.monotonic() + PATIENCE_S
    while not ready(trainer):
        assert time.monotonic() < end, trainer.progress
        time.sleep(0.01)
    return trainer.progress


def child_of(trainer):
    """Wait until the child has said its number."""
    progress = wait(trainer, lambda one: one.progress.lines)
    return int(progress.lines[0].removeprefix("pid "))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def files_of(config):
    out = Path(config.output_graph).parent
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_no_room_for_a_process_is_a_sentence_and_the_next_run_can_begin(make, monkeypatch, tmp_path):
    trainer, config = make(), untrained(tmp_path / "run")
    with monkeypatch.context() as full:
        full.setattr(subprocess, "Popen", lambda *words, **named: os.open("/proc/self/nothing", os.O_RDONLY))
        with pytest.raises(UsageError, match="no process could be started"):
            trainer.start(config)
    assert (trainer.progress.state, trainer.is_running) == ("idle", False)
    trainer.start(config)
    assert wait(trainer).state == "done"


def test_a_run_is_told_as_it_goes_and_leaves_a_model(make, tmp_path):
    done, config = [], untrained(tmp_path / "run")
    trainer = make(when_done=done.append)
    trainer.start(config)
    assert trainer.is_running
    with pytest.raises(UsageError, match="going on already"):
        trainer.start(config)
    progress = wait(trainer)
    assert (progress.state, progress.error, progress.job) == ("done", "", RUN)
    assert done == [config]
    assert Path(config.output_graph).is_file()
    assert any("Final test accuracy" in line for line in progress.lines)
    told = [facts for kind, facts in trainer._events.told if kind == "training"]
    assert told[0]["state"] == "running"
    assert told[-1]["state"] == "done"
    assert {"Creating bottlenecks", "Cross-validating"} <= {facts["stage"] for facts in told}


def test_a_run_that_fails_says_why_in_one_sentence(make, tmp_path):
    config, done = untrained(tmp_path / "run"), []
    trainer = make(when_done=done.append)
    trainer.start(replace(config, image_dir=str(tmp_path / "nowhere")))
    progress = wait(trainer)
    assert progress.state == "failed"
    assert "nowhere" in progress.error
    assert "Traceback" not in progress.error
    trainer.start(config)  # and the next one runs
    assert (wait(trainer).state, trainer.progress.error) == ("done", "")
    assert done == [config]


def test_a_folder_that_vanishes_when_a_run_has_ended_is_said(make, tmp_path):
    def gone(config):
        raise UsageError("the folder is gone")

    trainer = make("odd", when_done=gone)
    trainer.start(untrained(tmp_path / "run"))
    progress = wait(trainer)
    assert (progress.state, progress.error) == ("failed", "the run ended well; then the folder is gone")


@pytest.mark.parametrize("way", ["killed", "complaining", "deaf"])
def test_a_child_that_dies_is_a_run_that_failed(make, tmp_path, way):
    trainer = make(way)
    trainer.start(untrained(tmp_path / "run"))
    progress = wait(trainer)
    assert progress.state == "failed"
    words = {"killed": "SIGKILL", "complaining": "and its last line", "deaf": "exit code 9"}
    assert words[way] in progress.error


def test_what_libraries_print_among_the_lines_is_a_line(make, tmp_path):
    trainer = make("odd")
    trainer.start(untrained(tmp_path / "run"))
    progress = wait(trainer)
    assert progress.state == "done"
    assert {"5", "null", "Überall", '{"stage": 7}', '{"line": 3}', "the end", "\ufffd\ufffd"} <= set(progress.lines)
    assert (progress.stage, progress.done, progress.total, progress.unit) == ("Counting", 1, 2, "things")


def test_a_run_is_cancelled_and_leaves_the_model_as_it_was(make, tmp_path):
    config = trained(tmp_path / "run")
    before = files_of(config)
    trainer = make(when_done=lambda config: pytest.fail("it was cancelled"))
    trainer.start(replace(config, how_many_training_steps=2_000_000, train_batch_size=100))
    wait(trainer, lambda one: any("Step " in line for line in one.progress.lines))
    assert trainer.cancel()
    assert wait(trainer).state == "cancelled"
    assert files_of(config) == before
    assert not trainer.cancel()


def test_a_run_that_takes_no_notice_is_killed(make, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_GRACE_S", 0.2)
    trainer = make("stuck")
    trainer.start(untrained(tmp_path / "run"))
    pid = child_of(trainer)
    trainer.cancel()
    trainer.cancel()
    assert wait(trainer).state == "cancelled"
    assert not is_alive(pid)


def test_closing_ends_the_run(make, tmp_path):
    trainer = make("waiting")
    trainer.start(untrained(tmp_path / "run"))
    pid = child_of(trainer)
    trainer.close()
    assert not trainer.is_running
    assert not is_alive(pid)


def test_a_run_ends_with_a_studio_that_is_killed(tmp_path):
    code = (
        "import json, sys\n"
        "from retrain.config import RunConfig\n"
        "from retrain.studio.events import Events\n"
        "from retrain.studio.training import Trainer\n"
        "trainer = Trainer(Events(), print, 'studio_child')\n"
        "trainer.start(RunConfig())\n"
        "while not trainer.progress.lines: pass\n"
        "print(trainer.progress.lines[0], flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = os.pathsep.join([environment()["PYTHONPATH"], str(HERE)])
    studio = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**environment(), "PYTHONPATH": path, "STUDIO_CHILD": "stuck"},
    )  # fmt: skip
    with studio:
        pid = int(studio.stdout.readline().decode().removeprefix("pid "))
        assert is_alive(pid)
        studio.kill()
    end = time.monotonic() + PATIENCE_S
    while is_alive(pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_format_is_written_without_a_run(make, tmp_path):
    config = trained(tmp_path / "run")
    before = files_of(config)
    trainer = make(when_done=lambda config: pytest.fail("nothing was trained"))
    trainer.start(config, ("tflite_fp16",))
    progress = wait(trainer)
    assert (progress.state, progress.error, progress.job) == ("done", "", EXPORT)
    after = files_of(config)
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {"model_fp16.tflite", "model.exports.json"}
    assert read_graph_bundle(Path(config.output_graph)).labels == ("class_0", "class_1", "class_2")
    record = read_record(record_path(config.output_graph))
    assert [row.kept for row in record.rows if row.format == "tflite_fp16"] == [True]


def test_a_format_whose_photographs_are_gone_is_not_written_and_that_is_said(make, tmp_path):
    config = trained(tmp_path / "run")
    trainer = make()
    photographs = Path(config.image_dir)
    photographs.rename(photographs.with_name("elsewhere"))
    trainer.start(config, ("tflite_fp16",))
    progress = wait(trainer)
    assert progress.state == "failed"
    assert "are not there" in progress.error
