"""Whole networks as a person trains them: from scratch, fine-tuned, interrupted, killed, gone on with, and used."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, Place
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from retrain.classifier import Classifier

pytestmark = pytest.mark.tensorflow

# 71 training photographs in batches of 16: five steps an epoch.
EPOCHS, STEPS = 20, 100
SCRATCH = ("--train=scratch", "--architecture=cnn3_32", f"--epochs={EPOCHS}", "--eval_step_interval=2")
# Without what has tests of its own and takes time.
QUICKLY = ("--heat_maps=0", "--unknown_false_alarms=0")
PHOTO = PHOTOS / "open cluster" / sorted(one.name for one in (PHOTOS / "open cluster").iterdir())[0]


class Network:
    """What a run left in its folder."""

    def __init__(self, place: Place, output: str) -> None:
        self.place, self.output = place, output

    @property
    def job(self) -> Path:
        (found,) = (self.place.folder / "tf_files" / "checkpoints").iterdir()
        return found

    @property
    def done(self) -> dict[str, Any]:
        return json.loads((self.job / "done.json").read_text())

    def bytes_of(self, ending: str) -> bytes:
        return (self.place.folder / f"tf_files/retrained_graph{ending}").read_bytes()

    def shown(self, run: str) -> EventAccumulator:
        """What TensorBoard reads of a run."""
        folder = self.place.folder / "tf_files" / "training_summaries" / run
        return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        return [(one.step, one.value) for one in self.shown(run).Scalars(tag)]


def run(place: Place, *flags: str, **options: Any) -> Network:
    done = place.retrain(*flags, *QUICKLY, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return Network(place, done.stdout)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Network:
    """A small network, trained from scratch without a disturbance."""
    return run(Place(tmp_path_factory.mktemp("network"), model_dir), *SCRATCH)


def test_a_run_says_what_is_trained_and_how_each_epoch_went(network: Network) -> None:
    lines = network.output.splitlines()
    (start,) = (line for line in lines if line.startswith("Training "))
    assert re.fullmatch(rf"Training [\d,]+ parameters: {STEPS} steps, 5 an epoch, 16 photographs a step", start)
    said = r"epoch (\d+) of 20: loss \d+\.\d{3}, accuracy [\d.]+ %; validation \d+\.\d{3}, [\d.]+ %"
    epochs = [re.fullmatch(said, line) for line in lines if line.startswith("epoch ")]
    assert [int(one[1]) for one in epochs if one] == list(range(1, EPOCHS + 1))
    assert any(line.startswith(f"Trained {STEPS} steps, {EPOCHS} of {EPOCHS} epochs") for line in lines)


def test_the_result_is_whole(network: Network) -> None:
    done = network.done
    assert done["step"] == STEPS
    assert [one["epoch"] for one in done["history"]] == list(range(1, EPOCHS + 1))
    # It learnt something: the first epoch is near ln 2, and a network of 84 photographs learns them by heart.
    assert done["history"][-1]["loss"] < done["history"][0]["loss"]
    with np.load(network.job / "head.npz", allow_pickle=False) as head:
        assert head["weights"].shape[1:] == head["biases"].shape == (2,)


def test_the_model_is_used_as_any_other(network: Network) -> None:
    graph = network.place.folder / "tf_files/retrained_graph.pb"
    labelled = network.place.label("--graph", graph, "--image", PHOTO)
    assert labelled.returncode == 0, labelled.stderr
    said = dict(re.findall(r"^(globular cluster|open cluster) \(score=([\d.]+)\)$", labelled.stdout, re.M))
    # Once more through TensorFlow's graph, by the class from Python.
    with Classifier.open(graph) as model:
        scores = {one.label: one.score for one in model.classify(PHOTO)}
    assert {label: float(score) for label, score in said.items()} == pytest.approx(scores, abs=1e-4)
    assert sum(scores.values()) == pytest.approx(1, abs=1e-5)


def test_the_report_tells_of_the_training(network: Network) -> None:
    page = (network.place.folder / "tf_files/report.html").read_text()
    section = page.split('<section id="history"')[1].split("</section>")[0]
    assert f"Trained for {EPOCHS} epochs ({STEPS} steps)" in section
    assert section.count("<polyline") == 4
    assert "none stayed as they were" in section


def test_tensorboard_has_the_curves(network: Network) -> None:
    steps = [step for step, _ in network.scalars("train", "loss")]
    assert steps == sorted({*range(2, STEPS + 1, 2), STEPS})
    for run_of, tag in (("train", "epoch/loss"), ("validation", "epoch/loss"), ("validation", "accuracy")):
        assert [step for step, _ in network.scalars(run_of, tag)] == list(range(5, STEPS + 1, 5))
    told = [one["validation_accuracy"] for one in network.done["history"]]
    assert [value for _, value in network.scalars("validation", "accuracy")] == pytest.approx(told)


def test_tensorboard_has_the_network_its_weights_and_a_batch(network: Network) -> None:
    tags = network.shown("train").Tags()
    assert tags["graph"] is True
    assert any(node.op == "Softmax" or "last" in node.name for node in network.shown("train").Graph().node)
    assert [tag for tag in tags["histograms"] if tag.endswith("last/kernel")]
    assert "batch" in tags["tensors"]


def test_the_same_command_trains_nothing_again(network: Network, tmp_path: Path) -> None:
    shutil.copytree(network.place.folder, tmp_path / "again")
    before = (network.bytes_of(".tflite"), network.bytes_of(".pb"))
    again = run(Place(tmp_path / "again", network.place.model_dir), *SCRATCH)
    assert "This network is trained already" in again.output
    assert "epoch 1 of" not in again.output
    assert (again.bytes_of(".tflite"), again.bytes_of(".pb")) == before
    assert again.scalars("train", "loss") == network.scalars("train", "loss")


class Started:
    """A command whose output is read as it comes."""

    def __init__(self, place: Place, *flags: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "retrain", *place.flags(), *flags, *QUICKLY],
            cwd=place.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def until(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if words in line:
                return
        raise AssertionError(f"{words!r} was never said: {self.lines[-5:]} {self.process.stderr.read()[-2000:]}")

    def end(self) -> tuple[int, str]:
        """Exit code, and what was said on standard error."""
        out, err = self.process.communicate(timeout=120)
        self.lines += out.splitlines()
        return self.process.returncode, err

    def training(self) -> int:
        """The process that trains."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                words = _words(entry)
                if b"retrain.trainer.child" in words and _parent(entry) == self.process.pid:
                    return int(entry.name)
        raise AssertionError("no process is training")


def _words(entry: Path) -> list[bytes]:
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile
        return []


def _parent(entry: Path) -> int:
    try:
        return int(re.findall(r"^PPid:\s*(\d+)", (entry / "status").read_text(), re.M)[0])
    except OSError:
        return 0


@pytest.fixture
def start(place: Place) -> Iterator[Callable[..., Started]]:
    begun: list[Started] = []

    def one(*flags: str) -> Started:
        begun.append(Started(place, *flags))
        return begun[-1]

    yield one
    for each in begun:
        each.process.kill()
        each.process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupted_training_goes_on_and_comes_to_the_same(
    place: Place, start: Callable[..., Started], network: Network
) -> None:
    command = start(*SCRATCH)
    command.until("epoch 2 of")
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal does
    returned, err = command.end()
    assert returned == 130, err
    assert "the same command goes on from there" in err
    (step,) = re.findall(r"^The same command goes on from step (\d+)$", "\n".join(command.lines), re.M)
    assert 10 <= int(step) < STEPS
    resumed = run(place, *SCRATCH)
    assert f"Going on from step {step} of {STEPS}" in resumed.output
    assert resumed.done["network_sha256"] == network.done["network_sha256"]
    assert resumed.done["history"] == network.done["history"]
    assert resumed.bytes_of(".tflite") == network.bytes_of(".tflite")
    for folder, tag in (("train", "loss"), ("train", "epoch/loss"), ("validation", "loss")):
        assert resumed.scalars(folder, tag) == network.scalars(folder, tag)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds the process in /proc")
def test_a_killed_training_is_reported_and_goes_on(
    place: Place, start: Callable[..., Started], network: Network
) -> None:
    command = start(*SCRATCH)
    command.until("epoch 3 of")
    os.kill(command.training(), signal.SIGKILL)
    returned, err = command.end()
    assert returned == 1
    assert "the training process ended by itself: SIGKILL, perhaps because memory ran out" in err
    (step,) = re.findall(r"the same command goes on from step (\d+)", err)
    resumed = run(place, *SCRATCH)
    # A checkpoint may have been on the disk before it could be told of.
    begun = re.findall(rf"^Going on from step (\d+) of {STEPS}$", resumed.output, re.M)
    assert begun, resumed.output
    assert int(begun[0]) >= int(step) >= 10
    assert resumed.done["network_sha256"] == network.done["network_sha256"]
    assert resumed.scalars("train", "loss") == network.scalars("train", "loss")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds the process in /proc")
def test_a_killed_command_leaves_no_training_behind(
    place: Place, start: Callable[..., Started], network: Network
) -> None:
    command = start(*SCRATCH)
    command.until("epoch 2 of")
    training = Path("/proc") / str(command.training())
    command.process.kill()
    resumed = run(place, *SCRATCH)  # which waits for the other to end, where it has not
    assert b"retrain.trainer.child" not in _words(training)
    assert resumed.done["network_sha256"] == network.done["network_sha256"]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen photographs of each class."""
    folder = tmp_path_factory.mktemp("few")
    for of_class in PHOTOS.iterdir():
        for photograph in sorted(of_class.iterdir())[:15] if of_class.is_dir() else []:
            (folder / of_class.name).mkdir(exist_ok=True)
            shutil.copy(photograph, folder / of_class.name)
    return folder


def test_a_fine_tuned_backbone_is_used_as_any_other(tmp_path: Path, model_dir: Path, few: Path) -> None:
    place = Place(tmp_path, model_dir)
    tuned = run(
        place, "--train=finetune", "--architecture=mobilenet_0.50_224", "--epochs=1", "--train_batch_size=8",
        "--warmup_steps=2", "--how_many_training_steps=50", image_dir=few,
    )  # fmt: skip
    assert re.search(r"^Training [\d,]+ parameters \([\d,]+ stay frozen\): \d steps", tuned.output, re.M)
    assert "epoch 1 of 1: loss " in tuned.output
    assert tuned.done["frozen"] > 0
    section = (tmp_path / "tf_files/report.html").read_text().split('<section id="history"')[1].split("</section>")[0]
    assert f"{tuned.done['frozen']:,} stayed as they were" in section
    labelled = place.label("--graph", "tf_files/retrained_graph.pb", "--image", PHOTO)
    assert labelled.returncode == 0, labelled.stderr
    assert len(re.findall(r"\(score=[\d.]+\)", labelled.stdout)) == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--train=scratch", "--architecture=mobilenet_0.50_224"), "scratch"),
        (("--architecture=cnn3_32",), "cnn3_32"),
        (("--train=finetune", "--freeze_layers=3", "--unfreeze_from=conv_pw_9"), "--unfreeze_from"),
        (("--train=finetune", "--architecture=mobilenet_0.50_224", "--unfreeze_from=conv_pw_99"), "conv_pw_99"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_written(
    place: Place, flags: tuple[str, ...], said: str
) -> None:
    done = place.retrain(*flags)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not (place.folder / "tf_files" / "retrained_graph.pb").exists()
