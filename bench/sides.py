"""The sides of bench/run.py: ours, the codelab's scripts, the Keras idiom, torchvision. Each does what a case asks.

The codelab's label_image.py is there twice: where it was at home, and kept alive on today's TensorFlow. An answer
names its figures: "extract" of a cold extraction, "cold" and "warm" of whole runs, "label", "help". A figure that a
side cannot give is missing from the answer, and `lacks` says why.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from codelab_peer import ARCHITECTURE, Codelab, label_words, write_archive
from common import BENCH, Child, python_module, run_child
from extraction import KerasPeer, gather

from retrain.backbones import PreparedBackbone
from retrain.dataset import scan_folder

_OUR_COUNT = re.compile(r"^(\d+) bottleneck files created\.", re.MULTILINE)
# TensorFlow 1.15 logs each line twice, in two forms.
_CODELAB_COUNT = re.compile(r"^INFO:tensorflow:Creating bottleneck at ", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """What one thing took, once."""

    wall_s: float
    cpu_s: float
    peak_mb: float | None = None


Answer = Mapping[str, Sample]


@dataclass(frozen=True)
class Photographs:
    """A set of photographs: a folder of class folders, and how many there are."""

    folder: Path
    number: int


class Side(Protocol):
    """What every side can be asked."""

    lacks: Mapping[str, str]

    def extract(self, photographs: Photographs) -> Answer:
        """Extract the features of all photographs, with nothing cached."""

    def job(self, photographs: Photographs, steps: int) -> Answer:
        """Do the whole job with nothing cached, and again with all that was cached."""

    def label(self, image: Path) -> Answer:
        """Label one photograph with a model trained before."""

    def help(self) -> Answer:
        """Print the help."""


def sample_of(child: Child) -> Sample:
    """Keep the measurements of a child."""
    return Sample(child.wall_s, child.cpu_s, child.peak_mb)


def difference(long: Child, short: Child) -> Sample:
    """Say what one child took beyond another."""
    return Sample(long.wall_s - short.wall_s, long.cpu_s - short.cpu_s, long.peak_mb)


def expect_created(created: int, wanted: int, what: str) -> None:
    """See that a cold run was cold and a warm one warm; stops the benchmark otherwise."""
    if created != wanted:
        raise SystemExit(
            f"{what}: expected {wanted} bottlenecks to be created, got {created}; its figure means nothing"
        )


def our_count(text: str) -> int:
    """Read off what we printed how many bottlenecks were created."""
    found = _OUR_COUNT.search(text)
    if found is None:
        raise SystemExit(
            f"expected a line '... bottleneck files created.' in what retrain printed, got:\n{text[-2000:]}"
        )
    return int(found[1])


def codelab_count(text: str) -> int:
    """Read off the codelab's log how many bottlenecks were created."""
    return len(_CODELAB_COUNT.findall(text))


class Ours:
    """What this repository has."""

    lacks: Mapping[str, str] = {}

    def __init__(self, backbone: PreparedBackbone, place: Path) -> None:
        self._backbone, self._place = backbone, place

    def extract(self, photographs: Photographs) -> Answer:
        """Go from the folder to the matrix in memory, cached on disk; this process, all of it counted."""
        cache = self._place / "extraction.sqlite"
        wall, cpu = time.perf_counter(), time.process_time()
        features = gather(scan_folder(str(photographs.folder), "folder"), self._backbone, cache)
        sample = Sample(time.perf_counter() - wall, time.process_time() - cpu)
        expect_created(features.extracted, photographs.number, "our extraction")
        for path in self._place.glob(f"{cache.name}*"):
            path.unlink()
        return {"extract": sample}

    def job(self, photographs: Photographs, steps: int) -> Answer:
        """Run the command twice."""
        shutil.rmtree(self._place / "cache", ignore_errors=True)
        return {
            "cold": sample_of(self.train(photographs, steps, photographs.number)),
            "warm": sample_of(self.train(photographs, steps, 0)),
        }

    def train(self, photographs: Photographs, steps: int, created: int) -> Child:
        """Run the command; all but the paths and the steps at its defaults."""
        flags = {
            "image_dir": photographs.folder,
            "architecture": ARCHITECTURE,
            "how_many_training_steps": steps,
            "model_dir": self._backbone.tflite.parent,
            "bottleneck_dir": self._place / "cache",
            "summaries_dir": self._place / "summaries",
            "output_graph": self._place / "graph.pb",
            "output_labels": self._place / "labels.txt",
        }
        words = (f"--{name}={value}" for name, value in flags.items())
        child = run_child(python_module("retrain", "--offline", *words))
        expect_created(our_count(child.stdout + child.stderr), created, "our run")
        return child

    def label(self, image: Path) -> Answer:
        """Run label_image on the model of the last job."""
        words = ("--image", image, "--graph", self._place / "graph.pb")
        return {"label": sample_of(run_child(python_module("label_image", *words)))}

    def help(self) -> Answer:
        """Run --help."""
        return {"help": sample_of(run_child(python_module("retrain", "--help")))}


class CodelabSide:
    """The codelab's scripts under TensorFlow 1.15."""

    def __init__(self, codelab: Codelab, weights: Path, place: Path) -> None:
        self._codelab, self._place = codelab, place
        self.lacks: Mapping[str, str] = (
            {} if codelab.label else {"label": "not measured: --codelab_label was not given"}
        )
        write_archive(weights, place / "models")

    def extract(self, photographs: Photographs) -> Answer:
        """Take a run of one step with nothing cached, less the same run with all cached."""
        cold, warm = self._twice(photographs, 1)
        return {"extract": difference(cold, warm)}

    def job(self, photographs: Photographs, steps: int) -> Answer:
        """Run the script twice."""
        cold, warm = self._twice(photographs, steps)
        return {"cold": sample_of(cold), "warm": sample_of(warm)}

    def _twice(self, photographs: Photographs, steps: int) -> tuple[Child, Child]:
        shutil.rmtree(self._place / "cache", ignore_errors=True)
        children = []
        for created in (photographs.number, 0):
            child = self._codelab.train(photographs.folder, self._place, steps)
            expect_created(codelab_count(child.stderr), created, "the codelab's run")
            children.append(child)
        return children[0], children[1]

    def label(self, image: Path) -> Answer:
        """Run label_image.py on the graph of the last run."""
        return {"label": sample_of(self._codelab.label_one(image, self._place))} if self._codelab.label else {}

    def help(self) -> Answer:
        """Run retrain.py --help."""
        return {"help": sample_of(self._codelab.help())}


class CodelabKeptSide:
    """The codelab's label_image.py, kept alive on the TensorFlow that is installed here; it labels with our graph."""

    lacks: Mapping[str, str] = {}

    def __init__(self, script: Path, place: Path) -> None:
        self._script, self._place = script, place

    def extract(self, photographs: Photographs) -> Answer:
        """Have none."""
        del photographs
        return {}

    def job(self, photographs: Photographs, steps: int) -> Answer:
        """Have none: the graph is there once ours has done its job."""
        del photographs, steps
        return {}

    def label(self, image: Path) -> Answer:
        """Run the script through the launcher that gives it TensorFlow's old names."""
        words = [sys.executable, BENCH / "codelab_kept.py", self._script, *label_words(image, self._place)]
        return {"label": sample_of(run_child(words))}

    def help(self) -> Answer:
        """Have none."""
        return {}


class KerasSide:
    """The standard Keras idiom."""

    lacks: Mapping[str, str] = {"warm": "keeps no cache: as cold", "help": "has no command line"}

    def __init__(self, backbone: PreparedBackbone, place: Path) -> None:
        self._backbone, self._model = backbone, place / "model.keras"
        self._peer: KerasPeer | None = None

    def extract(self, photographs: Photographs) -> Answer:
        """Ask a process that stays: its start-up is not counted, nor a first round that warms it up."""
        if self._peer is None:
            self._peer = KerasPeer(self._backbone)
            self._ask(self._peer, photographs)
        return {"extract": self._ask(self._peer, photographs)}

    @staticmethod
    def _ask(peer: KerasPeer, photographs: Photographs) -> Sample:
        answer = peer.ask(folder=str(photographs.folder))
        expect_created(answer["photographs"], photographs.number, "the Keras idiom")
        return Sample(answer["wall_s"], answer["cpu_s"])

    def job(self, photographs: Photographs, steps: int) -> Answer:
        """Run a whole job in a process of its own."""
        words = ("job", self._backbone.spec.name, self._backbone.weights.path, photographs.folder, str(steps))
        return {"cold": sample_of(self._run(*words, self._model))}

    def label(self, image: Path) -> Answer:
        """Load the model of the last job and label, in a process of its own."""
        return {"label": sample_of(self._run("label", self._model, image, str(self._backbone.spec.input_spec.width)))}

    def help(self) -> Answer:
        """Have none."""
        return {}

    @staticmethod
    def _run(*words: str | Path) -> Child:
        return run_child([sys.executable, BENCH / "keras_peer.py", *words])

    def close(self) -> None:
        """End the process that stays."""
        if self._peer is not None:
            self._peer.close()


class TorchSide:
    """torchvision's features and scikit-learn's logistic regression."""

    lacks: Mapping[str, str] = {
        "warm": "keeps no cache: as cold",
        "label": "its job saves no model",
        "help": "has no command line",
    }

    def __init__(self, python: Path) -> None:
        self._python = python

    def extract(self, photographs: Photographs) -> Answer:
        """Have the job time its own extraction: start-up is not counted."""
        answer = json.loads(self._run(photographs).stdout)
        expect_created(answer["photographs"], photographs.number, "torchvision")
        return {"extract": Sample(answer["wall_s"], answer["cpu_s"])}

    def job(self, photographs: Photographs, steps: int) -> Answer:
        """Run the whole job; logistic regression to convergence stands for the steps."""
        del steps
        return {"cold": sample_of(self._run(photographs))}

    def label(self, image: Path) -> Answer:
        """Have none."""
        del image
        return {}

    def help(self) -> Answer:
        """Have none."""
        return {}

    def _run(self, photographs: Photographs) -> Child:
        return run_child([self._python, BENCH / "torch_peer.py", photographs.folder])
