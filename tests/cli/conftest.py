"""Whole commands in processes of their own, as a person types them, on the real photographs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import PHOTOS, ROOT, python

__all__ = ["PHOTOS", "ROOT", "Place", "Trained", "python"]


@dataclass(frozen=True)
class Place:
    """A folder to work in, with a converted backbone that all tests share."""

    folder: Path
    model_dir: Path

    def flags(self, image_dir: Path | str = PHOTOS) -> list[str]:
        return ["--image_dir", str(image_dir), "--model_dir", str(self.model_dir), "--offline"]

    def retrain(self, *more: str | Path, image_dir: Path | str = PHOTOS) -> subprocess.CompletedProcess[str]:
        return python("-m", "retrain", *self.flags(image_dir), *more, cwd=self.folder)

    def label(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return python("-m", "label_image", *words, cwd=self.folder)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def place(tmp_path: Path, model_dir: Path) -> Place:
    return Place(tmp_path, model_dir)


@dataclass(frozen=True)
class Trained:
    """A finished run on the cluster photographs with every default."""

    place: Place
    output: subprocess.CompletedProcess[str]

    @property
    def graph(self) -> Path:
        return self.place.folder / "tf_files" / "retrained_graph.pb"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Trained:
    place = Place(tmp_path_factory.mktemp("trained"), model_dir)
    output = place.retrain("--architecture", "mobilenet_0.50_224")
    assert output.returncode == 0, output.stderr
    return Trained(place, output)


ONE_OF_EACH_KIND = (
    "mobilenet_1.0_224",
    "inception_v3",
    "vgg16",
    "resnet50",
    "resnet50_v2",
    "xception",
    "densenet121",
    "mobilenet_v2_0.35_224",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "convnext_tiny",
    "nasnet_mobile",
)


@pytest.fixture(scope="session")
def kinds() -> list[dict[str, Any]]:
    """One architecture of each kind, built with random weights, converted, and run as Keras, LiteRT and ONNX."""
    run = python(ROOT / "tests/cli/convert_all.py", *ONE_OF_EACH_KIND, timeout_s=1800)
    assert run.returncode == 0, run.stderr[-2000:]
    rows = [json.loads(line[4:]) for line in run.stdout.splitlines() if line.startswith("ROW ")]
    assert sorted(row["name"] for row in rows) == sorted(ONE_OF_EACH_KIND)
    assert [row for row in rows if "error" in row] == []
    return rows
