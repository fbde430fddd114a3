"""The .keras export: loads with Keras alone, answers as the LiteRT file, and is the same bytes each time."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
from conftest import PHOTOS, Trained, python
from head_samples import sample_heads
from support import tiny_graph

from retrain import fsio
from retrain.bundle import ASSET, Bundle, bundle_from_json
from retrain.classifier import Classifier
from retrain.errors import ModelError, WeightsError
from retrain.exporters import frozen_graph
from retrain.exporters.keras_weights import find_weights_of
from retrain.exporters.worker import TensorFlowWorker
from retrain.images import decode_rgb

pytestmark = pytest.mark.tensorflow

MAX_DIFFERENCE = 1e-5

# As a stranger has it: neither this project nor its folder is there.
LOAD_ALONE = """
import sys
sys.modules["retrain"] = sys.modules["sklearn"] = None
import keras, numpy as np
model = keras.models.load_model(sys.argv[1], safe_mode=True)
assert [layer.trainable for layer in model.layers if isinstance(layer, keras.Model)] == [False]
assert model.input.name == "input" and model.layers[-1].name == "final_result"
pixels = np.load(sys.argv[2])
np.save(sys.argv[3], model.predict((pixels.astype("float32") - 127.5) / 127.5, verbose=0))
"""

# A backbone with random weights, whole: converted, with a head behind it, as a run writes it.
RANDOM_MODEL = """
import sys
import keras, numpy as np
from pathlib import Path
sys.path.insert(0, "tests")
from support import bundle_of
from retrain import fsio
from retrain.backbones import convert
from retrain.backbones.slim import write_npz
from retrain.backbones.table import find_backbone
from retrain.exporters.frozen.graph import frozen_graph
from retrain.exporters.litert.model import tflite_model
from retrain.head import Head
spec, folder = find_backbone(sys.argv[1]), Path(sys.argv[2])
keras.utils.set_random_seed(0)
write_npz(folder / "weights.npz", convert.build_untrained(spec).get_weights())
convert.convert(spec, folder / "weights.npz", folder / "backbone")
random = np.random.default_rng(0)
head = Head(random.normal(size=(spec.feature_width, 3)).astype("float32"), random.normal(size=3).astype("float32"), 1)
side = spec.input_spec.width
bundle = bundle_of(("a", "b", "c"), input_height=side, input_width=side, architecture=spec.name,
                   feature_width=spec.feature_width, weights_sha256=fsio.sha256_file(folder / "weights.npz"))
(folder / "model.tflite").write_bytes(tflite_model((folder / "backbone.tflite").read_bytes(), head, bundle))
(folder / "model.pb").write_bytes(frozen_graph((folder / "backbone.pb").read_bytes(), head, bundle))
"""


@dataclass(frozen=True)
class Model:
    """A model's graph, its description and the weights of its backbone."""

    graph: Path
    bundle: Bundle
    weights: Path

    def build(self, worker: TensorFlowWorker, place: Path, **changes: str) -> None:
        facts = {
            "graph": str(self.graph),
            "bundle": self.bundle.to_json().decode(),
            "place": str(place),
            "architecture": self.bundle.architecture,
            "weights": str(self.weights),
        }
        worker.call("keras_model:build", **{**facts, **changes})


@pytest.fixture(scope="module")
def worker() -> Iterator[TensorFlowWorker]:
    with TensorFlowWorker() as started:
        yield started


@pytest.fixture(scope="module")
def model(trained: Trained) -> Model:
    bundle = Classifier.open(trained.graph.with_suffix(".tflite")).bundle
    return Model(trained.graph, bundle, find_weights_of(bundle, trained.place.model_dir))


@pytest.fixture(scope="module")
def exported(model: Model, worker: TensorFlowWorker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("keras") / "model.keras"
    model.build(worker, place)
    return place


def photographs(bundle: Bundle, every: int) -> np.ndarray:
    """uint8 (N, H, W, 3)."""
    paths = sorted(PHOTOS.rglob("*.jpg"))[::every]
    return np.stack([decode_rgb(path.read_bytes(), bundle.input_spec) for path in paths])


def scores_of(worker: TensorFlowWorker, place: Path, pixels: np.ndarray, bundle: Bundle, folder: Path) -> np.ndarray:
    np.save(folder / "pixels.npy", pixels)
    spec = bundle.input_spec
    took = worker.call(
        "keras_model:score", place=str(place), pixels=str(folder / "pixels.npy"), scores=str(folder / "scores.npy"),
        height=spec.height, width=spec.width, mean=spec.mean, std=spec.std,
    )  # fmt: skip
    assert took["ms"] > 0
    return np.load(folder / "scores.npy")


def tflite_scores(graph: Path, pixels: np.ndarray) -> np.ndarray:
    classifier = Classifier.open(graph.with_suffix(".tflite"))
    return np.stack([classifier.scores(picture) for picture in pixels])


def test_every_photograph_gets_the_scores_of_the_litert_file(
    model: Model, exported: Path, worker: TensorFlowWorker, tmp_path: Path
) -> None:
    pixels = photographs(model.bundle, 1)
    assert len(pixels) == 84
    wanted = tflite_scores(model.graph, pixels)
    got = scores_of(worker, exported, pixels, model.bundle, tmp_path)
    assert got.shape == wanted.shape
    assert wanted.std() > 0.1
    assert np.abs(got - wanted).max() <= MAX_DIFFERENCE


def test_keras_alone_loads_it(model: Model, exported: Path, tmp_path: Path) -> None:
    pixels = photographs(model.bundle, 9)
    np.save(tmp_path / "pixels.npy", pixels)
    words = [sys.executable, "-I", "-c", LOAD_ALONE, exported, tmp_path / "pixels.npy", tmp_path / "scores.npy"]
    done = run([str(word) for word in words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(tmp_path / "scores.npy") - tflite_scores(model.graph, pixels)).max() <= MAX_DIFFERENCE


def test_it_describes_itself_and_holds_no_code(model: Model, exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        assert archive.namelist() == sorted(["config.json", "metadata.json", "model.weights.h5", ASSET])
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert bundle_from_json(archive.read(ASSET), "archive") == model.bundle
        config = archive.read("config.json").decode()
    assert "Lambda" not in config
    assert "retrain." not in config
    assert all(module.startswith("keras") for module in _modules(json.loads(config)))


def _modules(value: object) -> list[str]:
    if isinstance(value, list):
        return [module for item in value for module in _modules(item)]
    if not isinstance(value, dict):
        return []
    own = [value["module"]] if isinstance(value.get("module"), str) else []
    return own + [module for item in value.values() for module in _modules(item)]


def test_equal_models_are_equal_bytes_in_one_process_and_in_another(
    model: Model, exported: Path, worker: TensorFlowWorker, tmp_path: Path
) -> None:
    model.build(worker, tmp_path / "again.keras")
    with TensorFlowWorker() as another:
        model.build(another, tmp_path / "another.keras")
    assert fsio.sha256_file(tmp_path / "again.keras") == fsio.sha256_file(exported)
    assert fsio.sha256_file(tmp_path / "another.keras") == fsio.sha256_file(exported)
    dated = replace(model, bundle=replace(model.bundle, date="2026-11-22T10:00:00+00:00"))
    dated.build(worker, tmp_path / "dated.keras")
    with zipfile.ZipFile(tmp_path / "dated.keras") as archive:
        assert json.loads(archive.read("metadata.json"))["date_saved"] == "2026-11-22@10:00:00"


@pytest.mark.parametrize("architecture", ["convnext_tiny", "efficientnet_b0"])
def test_pixels_are_scaled_inside_and_patched_layers_are_plain_again(
    architecture: str, worker: TensorFlowWorker, tmp_path: Path
) -> None:
    made = python("-c", RANDOM_MODEL, architecture, tmp_path)
    assert made.returncode == 0, made.stderr
    bundle = Classifier.open(tmp_path / "model.tflite").bundle
    model = Model(tmp_path / "model.pb", bundle, tmp_path / "weights.npz")
    model.build(worker, tmp_path / "model.keras")
    pixels = photographs(bundle, 30)
    wanted = tflite_scores(model.graph, pixels)
    got = scores_of(worker, tmp_path / "model.keras", pixels, bundle, tmp_path)
    assert np.ptp(wanted) > 0.01
    assert np.abs(got - wanted).max() <= MAX_DIFFERENCE


def test_weights_or_a_head_that_do_not_fit_leave_nothing_behind(
    model: Model, worker: TensorFlowWorker, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"does not hold the weights of mobilenet_0\.25_224"):
        model.build(worker, tmp_path / "model.keras", architecture="mobilenet_0.25_224")
    narrow = replace(model.bundle, feature_width=12)
    graph = tmp_path / "narrow.pb"
    graph.write_bytes(frozen_graph(tiny_graph(), sample_heads(12, 2)["mlp"], narrow))
    with pytest.raises(ModelError, match=r"for mobilenet_0\.50_224, on 512 features, got one on 12; train"):
        model.build(worker, tmp_path / "model.keras", graph=str(graph), bundle=narrow.to_json().decode())
    graph.unlink()
    headless = tmp_path / "headless.pb"
    headless.write_bytes(tiny_graph())
    with pytest.raises(ModelError, match="to hold a head, final_training_ops/weights/final_weights"):
        model.build(worker, tmp_path / "model.keras", graph=str(headless))
    assert [path.name for path in tmp_path.iterdir()] == ["headless.pb"]
