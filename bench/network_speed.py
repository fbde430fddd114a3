"""Images a second of training: our training process against Keras, in turn.

Both train the same network on the same files with the same batches. An epoch is timed from its first batch to its
last; the first one is cold: photographs are decoded, and the graph of a step is built. Keras decodes in every epoch,
ours takes decoded pixels from its cache from the second on.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from common import median, python_module, ratios, say, span
from network_runs import TRAIN, KerasNetworks, photographs_of

from retrain.trainer.job import Job, read_job, write_job


@dataclass(frozen=True)
class Pace:
    """Images a second of one training, in one round.

    Args:
        cold: of the first epoch.
        later: of the others, the median.
    """

    cold: float
    later: float


@dataclass(frozen=True)
class Paces:
    """All rounds of both sides."""

    photographs: int
    ours: list[Pace]
    keras: list[Pace]

    def ratio(self, name: str) -> float:
        """Median over rounds of ours, divided by what Keras reaches in its later epochs of the same round."""
        return median(ratios([getattr(one, name) for one in self.ours], [one.later for one in self.keras]))

    @property
    def cold_ratio(self) -> float:
        """Median over rounds of our first epoch's pace, divided by that of Keras' first."""
        return median(ratios([one.cold for one in self.ours], [one.cold for one in self.keras]))


def copies_of(folder: Path, place: Path, copies: int) -> Path:
    """Lay a folder's photographs out several times; each copy has bytes of its own behind the picture's end.

    Our cache knows a photograph by its bytes, and would decode equal copies once.
    """
    for name, paths in photographs_of(folder).items():
        (place / TRAIN / name).mkdir(parents=True)
        for copy in range(copies):
            for path in paths:
                end = f"copy {copy}".encode() if copy else b""
                (place / TRAIN / name / f"{copy}-{path.name}").write_bytes(path.read_bytes() + end)
    return place


def compare(job_folder: Path, laid_out: Path, place: Path, keras: KerasNetworks, rounds: int, epochs: int) -> Paces:
    """Train a job's network on both sides in turn; each round starts with nothing decoded."""
    job = read_job(job_folder)
    settings = replace(job.settings, epochs=epochs, eval_interval=1)
    ours, theirs = [], []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: ours")
        ours.append(_our_pace(replace(job, settings=settings, pixels=str(place / "pixels"), summaries=""), place))
        say(f"round {number + 1} of {rounds}: Keras")
        asked = {"epochs": epochs, "batch": settings.batch_size, "rate": settings.learning_rate, "seed": number}
        answer = keras.train(laid_out, job.architecture, channels=job.channels, **asked)
        if answer["photographs"] != len(job.training):
            raise SystemExit(
                f"expected both sides to train on as many photographs, got {len(job.training)} and "
                f"{answer['photographs']}; take a folder without exact copies or broken files"
            )
        theirs.append(_pace(answer["photographs"], answer["epoch_s"]))
    return Paces(len(job.training), ours, theirs)


def _our_pace(job: Job, place: Path) -> Pace:
    folder = place / "speed"
    for one in (folder, Path(job.pixels)):
        shutil.rmtree(one, ignore_errors=True)
        one.mkdir(parents=True)
    write_job(job, folder)
    with subprocess.Popen(
        python_module("retrain.trainer.child", folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        seconds = epoch_seconds((time.perf_counter(), json.loads(line)) for line in child.stdout)
    if child.returncode != 0:
        raise SystemExit(f"expected the training process to end well, got {child.returncode}; see {folder}")
    return _pace(len(job.training), seconds)


def epoch_seconds(events: Iterable[tuple[float, dict[str, object]]]) -> list[float]:
    """Time each epoch by the events of a training process, one a step.

    Args:
        events: the second at which each arrived, and the event.

    Returns:
        Seconds of each epoch: from the start of the training, or the end of the one before, to the last of its steps;
            what comes behind that, as validation and a checkpoint, counts as the next one's.
    """
    seconds: list[float] = []
    last, begun = 0.0, 0.0
    for moment, event in events:
        if event["event"] == "start":
            begun = moment
        elif event["event"] == "step":
            last = moment
        elif event["event"] == "epoch":
            seconds.append(last - begun)
            begun = last
    return seconds


def _pace(photographs: int, seconds: list[float]) -> Pace:
    if len(seconds) < 2:
        raise SystemExit(f"expected the seconds of two epochs or more, got {len(seconds)}")
    return Pace(photographs / seconds[0], median([photographs / one for one in seconds[1:]]))


def lines(paces: Paces) -> list[tuple[str, str, str]]:
    """Say what was measured: figure, goal, measured."""
    ours, keras = (
        {name: span([getattr(one, name) for one in side], "images/s", 0) for name in ("cold", "later")}
        for side in (paces.ours, paces.keras)
    )
    return [
        ("first epoch over Keras' first", ">= 1.2 x", f"{paces.cold_ratio:.2f} x"),
        ("first epoch over Keras' later ones", "", f"{paces.ratio('cold'):.2f} x"),
        ("later epochs, decoded before, over Keras'", ">= 2 x", f"{paces.ratio('later'):.2f} x"),
        ("ours, first epoch", "", ours["cold"]),
        ("ours, later epochs", "", ours["later"]),
        ("Keras, first epoch", "", keras["cold"]),
        ("Keras, later epochs", "", keras["later"]),
    ]


def facts_of(paces: Paces) -> dict[str, object]:
    """List what is written to disk."""
    names = {"cold": paces.cold_ratio, "cold_over_later": paces.ratio("cold"), "later": paces.ratio("later")}
    return {**asdict(paces), "ratios": names}
