"""The parent of a training process, against one that does as it is told (speaking_child.py)."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from trainer_jobs import job_of

from retrain import console as console_module
from retrain import errors
from retrain.console import Console
from retrain.errors import ImageError, NumericalError, RetrainError, UsageError
from retrain.trainer import parent, process
from retrain.trainer.job import DONE_FILE, HEAD_FILE, NETWORK_FILE, read_job
from retrain.trainer.outcome import finished
from retrain.trainer.parent import train_network

TESTS = Path(__file__).resolve().parents[1]
JOB = job_of()
START = {
    "event": "start",
    "steps": 6,
    "steps_an_epoch": 3,
    "from_step": 0,
    "trained": 1234,
    "frozen": 0,
    "batch_size": 4,
}
DONE = {"event": "done", "step": 6, "network_sha256": "", "head_sha256": ""}


def step(number, **changes):
    told = {
        "step": number,
        "epoch": 1,
        "loss": 0.4123,
        "accuracy": 0.875,
        "learning_rate": 0.1,
        "images_a_second": 99.0,
    }
    return {"event": "step", **told, **changes}


def epoch(number, **changes):
    told = {
        "epoch": number,
        "step": 3 * number,
        "loss": 0.4123,
        "accuracy": 0.881,
        "validation_loss": 0.52,
        "validation_accuracy": 0.813,
    }
    return {"event": "epoch", **told, **changes}


class Kept(Console):
    """Keeps its lines; a Ctrl-C at the first that has these words."""

    def __init__(self, interrupted_at=(), reason=KeyboardInterrupt):
        super().__init__()
        self.lines, self.interrupted_at, self.reason = [], list(interrupted_at), reason

    def line(self, text):
        self.lines.append(text)
        if self.interrupted_at and self.interrupted_at[0] in text:
            self.interrupted_at.pop(0)
            raise self.reason

    @property
    def text(self):
        return "\n".join(self.lines)


@pytest.fixture(autouse=True)
def _made_up_child(monkeypatch):
    monkeypatch.setattr(process, "CHILD", "speaking_child")
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def script(folder, *actions):
    folder.mkdir(parents=True, exist_ok=True)
    said = [["say", one] if isinstance(one, dict) else list(one) for one in actions]
    (folder / "script.json").write_text(json.dumps(said))


def trained(folder, *actions, job=JOB, console=None):
    script(folder, *actions)
    console = console or Kept()
    return train_network(job, folder, console), console


def failure(folder, *actions, console=None):
    with pytest.raises(RetrainError) as caught:
        trained(folder, *actions, console=console)
    return caught.value


def test_a_training_to_its_end(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console_module, "PLAIN_INTERVAL_S", 0.0)
    result, console = trained(
        tmp_path / "new", START, step(2), {"event": "checkpoint", "step": 2, "file": "x"}, step(3), epoch(1),
        step(6), epoch(2), ["finish", {}], DONE,
    )  # fmt: skip
    assert console.lines == [
        "Training 1,234 parameters: 6 steps, 3 an epoch, 4 photographs a step",
        "epoch 1 of 2: loss 0.412, accuracy 88.1 %; validation 0.520, 81.3 %",
        "epoch 2 of 2: loss 0.412, accuracy 88.1 %; validation 0.520, 81.3 %",
        "Trained 6 steps, 2 of 2 epochs; the weights are those of epoch 2, 75.0 % of the validation photographs right",
    ]
    bars = capsys.readouterr().err.splitlines()
    # The last batch of an epoch of ten is of two.
    assert [
        re.match(r"Training: (\d+)/20 images, [\d.]+/s, \d+:\d\d left; loss 0.412, accuracy 87.5 %$", one)[1]
        for one in bars
    ] == ["8", "10", "20"]
    assert (result.network, result.step, result.best_epoch) == (tmp_path / "new" / NETWORK_FILE, 6, 2)
    assert (result.trained, result.frozen) == (10, 5)
    assert [one.step for one in result.history] == [3, 6]
    assert result.history[1].validation_loss == 1.0
    np.testing.assert_array_equal(result.head.weights, np.full((4, 2), 0.5, np.float32))
    assert result.head.biases.shape == (2,)
    assert read_job(tmp_path / "new") == JOB


def test_what_is_trained_is_not_trained_again(tmp_path):
    first, _ = trained(tmp_path, START, ["finish", {}], DONE)
    script(tmp_path, ["exit", 3])  # would be an error
    console = Kept()
    again = train_network(JOB, tmp_path, console)
    assert console.lines == [f"This network is trained already, 6 steps: {tmp_path}"]
    assert again.history == first.history


@pytest.mark.parametrize("file", [NETWORK_FILE, HEAD_FILE, DONE_FILE])
def test_a_damaged_result_is_made_again(tmp_path, file):
    trained(tmp_path, START, ["finish", {}], DONE)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-1] + b"?")
    assert finished(JOB, tmp_path) is None
    trained(tmp_path, ["touch", "again"], START, ["finish", {}], DONE)
    assert (tmp_path / "again").exists()
    assert finished(JOB, tmp_path) is not None


def test_the_result_of_another_job_is_not_taken(tmp_path):
    trained(tmp_path, START, ["finish", {}], DONE)
    assert finished(job_of(settings={"seed": 1}), tmp_path) is None
    assert finished(job_of(settings={"checkpoint_steps": 7}), tmp_path) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"history": [{"epoch": 1, "step": 3, "loss": float("nan"), "accuracy": 1.0, "validation_loss": None, "validation_accuracy": None}]},
        {"history": [{"epoch": 1, "step": 3, "loss": None, "accuracy": 1.0, "validation_loss": None, "validation_accuracy": None}]},
        {"history": None}, {"step": "x"}, {"head_sha256": "0" * 64}, {"trained": None},
    ],
)  # fmt: skip
def test_a_result_that_is_none_is_an_error(tmp_path, changes):
    assert "do not fit" in str(failure(tmp_path, START, ["finish", changes], DONE))


def test_an_epoch_without_validation(tmp_path):
    nothing = {"validation_loss": None, "validation_accuracy": None}
    history = [{"epoch": 1, "step": 3, "loss": 1.0, "accuracy": 0.5, **nothing}]
    result, console = trained(
        tmp_path, START, epoch(1, **nothing), ["finish", {"history": history, "best_epoch": 1}], DONE
    )
    assert "epoch 1 of 2: loss 0.412, accuracy 88.1 %" in console.lines
    assert console.lines[-1] == "Trained 6 steps, 1 of 2 epochs"
    assert result.history[0].validation_loss is None


def test_a_resumed_training_says_from_where(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console_module, "PLAIN_INTERVAL_S", 0.0)
    start = {**START, "from_step": 4, "frozen": 4321}
    _, console = trained(tmp_path, start, step(6), ["finish", {}], DONE)
    assert console.lines[:2] == [
        "Training 1,234 parameters (4,321 stay frozen): 6 steps, 3 an epoch, 4 photographs a step",
        "Going on from step 4 of 6",
    ]
    assert capsys.readouterr().err.startswith("Training: 6/6 images")


def test_warnings_and_the_rate_that_was_found_are_told(tmp_path):
    _, console = trained(
        tmp_path, {"event": "warning", "text": "checkpoint 5 is damaged\x1b[2J"},
        START, {"event": "rate", "learning_rate": 0.00321, "curve": [[1e-5, 2.0]]}, ["finish", {}], DONE,
    )  # fmt: skip
    assert r"WARNING: checkpoint 5 is damaged\x1b[2J" in console.lines
    assert "Learning rate found: 0.00321, where the loss fell fastest" in console.lines


def test_what_libraries_print_does_no_harm(tmp_path):
    noise = ["hello", "", "{", "[1]", '{"event": 3}', '{"no": "event"}', "7", "\u00e9\x1b[2J", "[" * 50000, '"event"']
    result, _ = trained(tmp_path, *(["print", one] for one in noise), START, ["print", "more"], ["finish", {}], DONE)
    assert result.step == 6


def test_a_network_that_another_command_trained_meanwhile_is_taken(tmp_path):
    result, _ = trained(tmp_path, {"event": "warning", "text": "waited for another command"}, ["finish", {}], DONE)
    assert result.step == 6


@pytest.mark.parametrize("kind", ["NumericalError", "WeightsError", "UsageError", "CacheError", "RetrainError"])
@pytest.mark.parametrize("before", [[], [START]])
def test_an_error_arrives_as_its_kind(tmp_path, kind, before):
    error = failure(tmp_path, *before, {"event": "error", "kind": kind, "text": "expected 1, got 2"}, ["exit", 1])
    assert type(error) is getattr(errors, kind)
    assert str(error) == "expected 1, got 2"


def test_an_error_of_a_photograph_keeps_its_reason(tmp_path):
    error = failure(tmp_path, START, {"event": "error", "kind": "ImageError", "text": "truncated: at 5: of 9"})
    assert isinstance(error, ImageError)
    assert (error.reason, error.detail) == ("truncated", "at 5: of 9")


@pytest.mark.parametrize("kind", ["ValueError", "EXIT_INTERRUPTED", "Sequence", ""])
def test_an_error_of_no_kind_of_ours_says_what_it_was(tmp_path, kind):
    error = failure(tmp_path, START, {"event": "error", "kind": kind, "text": "oh"})
    assert type(error) is RetrainError
    assert str(error) == f"{kind} in the training process: oh"


def test_a_process_that_is_killed_is_reported_with_its_last_words(tmp_path):
    error = failure(
        tmp_path, START, {"event": "checkpoint", "step": 3, "file": "x"}, step(5), ["print", "to\x1bo much"],
        ["complain", "cannot allocate"], ["kill", signal.SIGKILL],
    )  # fmt: skip
    first, *more = str(error).splitlines()
    assert first == "the training process ended by itself: SIGKILL, perhaps because memory ran out"
    assert more == [
        r"to\x1bo much", "cannot allocate",
        "the same command goes on from step 3; a smaller --train_batch_size needs less memory",
    ]  # fmt: skip


@pytest.mark.parametrize("before", [[], [START], [START, step(2)]])
def test_a_process_that_ends_before_any_checkpoint_starts_again(tmp_path, before):
    error = failure(tmp_path, *before, ["complain", "\n".join(map(str, range(100)))], ["exit", 7])
    assert "exit code 7\n95\n96\n97\n98\n99\n" in str(error)
    assert str(error).endswith("\nthe same command starts this training again")


@pytest.mark.parametrize(
    "said", ["MemoryError", "OOM when allocating tensor", "Resource exhausted: x", "std::bad_alloc"]
)
def test_a_lack_of_memory_is_advised_on(tmp_path, said):
    error = failure(tmp_path, START, ["complain", said], ["exit", 1])
    assert str(error).endswith("starts this training again; a smaller --train_batch_size needs less memory")


def test_the_process_may_end_in_peace(tmp_path):
    trained(tmp_path, START, ["finish", {}], DONE, ["sleep", 0.3], ["print", "bye"], ["touch", "ended"])
    assert (tmp_path / "ended").exists()


def test_a_process_that_does_not_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(parent, "ENDING_S", 0.5)
    result, _ = trained(tmp_path, START, ["finish", {}], DONE, ["sleep", 600], ["touch", "ended"])
    assert result.step == 6
    assert not (tmp_path / "ended").exists()


def test_done_is_not_believed_without_files(tmp_path):
    assert "expected a whole trained network" in str(failure(tmp_path, START, DONE))


def test_a_stranger_who_stops_the_process_is_told_of(tmp_path):
    error = failure(tmp_path, START, {"event": "interrupted", "step": 5}, ["exit", 130])
    assert "told to stop by others" in str(error)


class _Terminated(BaseException):
    """As that of retrain.commandline."""


@pytest.mark.parametrize(("reason", "number"), [(KeyboardInterrupt, signal.SIGINT), (_Terminated, signal.SIGTERM)])
def test_an_interrupt_waits_for_the_checkpoint(tmp_path, reason, number):
    console = Kept(["epoch 1"], reason)
    script(
        tmp_path, ["signal", number], START, step(3), epoch(1), ["stop", number], step(4),
        {"event": "checkpoint", "step": 4, "file": "x"}, {"event": "interrupted", "step": 4}, ["touch", "to the end"], ["exit", 130],
    )  # fmt: skip
    with pytest.raises(reason):
        train_network(JOB, tmp_path, console)
    assert console.lines[-2:] == [
        "Stopping: the step at hand is finished and a checkpoint written; once more ends it at once",
        "The same command goes on from step 4",
    ]
    assert (tmp_path / "to the end").exists()


def test_an_interrupt_at_the_very_end_keeps_the_network(tmp_path):
    console = Kept(["epoch 2"])
    script(tmp_path, ["signal", signal.SIGINT], START, epoch(2), ["stop", signal.SIGINT], ["finish", {}], DONE)
    with pytest.raises(KeyboardInterrupt):
        train_network(JOB, tmp_path, console)
    assert console.lines[-1] == "The same command takes the network, which is trained"
    assert finished(JOB, tmp_path) is not None


def test_a_second_interrupt_ends_at_once(tmp_path):
    console = Kept(["epoch 1", "Stopping"])
    script(tmp_path, START, epoch(1), ["sleep", 600])
    with pytest.raises(KeyboardInterrupt):
        train_network(JOB, tmp_path, console)
    assert "The same command" not in console.text


@pytest.mark.parametrize("end", [[], [["exit", 1]], [["sleep", 600]]])
def test_an_interrupt_without_an_answer_says_so(tmp_path, monkeypatch, end):
    monkeypatch.setattr(parent, "STOPPING_S", 3.0 if end == [["sleep", 600]] else 60.0)
    console = Kept(["epoch 1"])
    number = signal.SIGINT
    script(tmp_path, ["signal", number], {**START, "from_step": 2}, epoch(1), ["stop", number], *end)
    with pytest.raises(KeyboardInterrupt):
        train_network(JOB, tmp_path, console)
    assert console.lines[-2:] == [
        "WARNING: the training process ended, or was ended, without a checkpoint of its last steps",
        "The same command goes on from step 2",
    ]


def test_no_process_is_left_behind(tmp_path):
    # The signal is blocked in the made-up child: only its end can close the pipe that this test holds no end of.
    console = Kept(["epoch 1", "Stopping"])
    script(tmp_path, ["signal", signal.SIGTERM], START, epoch(1), ["orphan", None])
    with pytest.raises(KeyboardInterrupt):
        train_network(JOB, tmp_path, console)
    assert not (tmp_path / "orphaned").exists()  # it was killed before its standard input was closed


PROGRAM = """
import sys
from pathlib import Path
from trainer_jobs import job_of
from retrain.commandline import exit_codes
from retrain.console import Console
from retrain.trainer import process
from retrain.trainer.parent import train_network

process.CHILD = "speaking_child"
with exit_codes("retrain") as code:
    train_network(job_of(), Path(sys.argv[1]), Console())
sys.exit(code[0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_whole_command_ends_with_the_codes_of_the_shell(tmp_path, number, code):
    script(
        tmp_path, ["signal", number], START, step(3), epoch(1), ["stop", number], {"event": "interrupted", "step": 3},
    )  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    ) as command:  # fmt: skip
        said = ""
        while "epoch 1" not in said:
            line = command.stdout.readline()
            assert line, command.stderr.read()
            said += line
        os.killpg(command.pid, number)  # as a terminal does: all of its group, of which the training is none
        out, err = command.communicate(timeout=60)
    assert command.returncode == code
    assert "The same command goes on from step 3" in out
    assert "the same command goes on from there" in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_training_hears_when_its_parent_is_killed(tmp_path):
    script(tmp_path, START, epoch(1), ["orphan", None])
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as command:
        assert any("epoch 1" in line for line in command.stdout)
        command.kill()
    _until((tmp_path / "orphaned").exists)


def _until(happened):
    for _ in range(600):
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError("nothing happened in a minute")


def test_a_problem_of_several_lines_is_one_error(tmp_path):
    error = failure(tmp_path, {"event": "error", "kind": "UsageError", "text": "one\ntwo"})
    assert isinstance(error, UsageError)
    assert error.problems == ("one\ntwo",)


def test_a_number_that_is_none_is_the_trainings_error(tmp_path):
    error = failure(tmp_path, START, {"event": "error", "kind": "NumericalError", "text": "loss is NaN at step 3"})
    assert isinstance(error, NumericalError)
    assert not (tmp_path / NETWORK_FILE).exists()
