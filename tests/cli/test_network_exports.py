"""Networks that are trained from nothing, with random weights: converted, and exported in every format there is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, python
from head_samples import sample_heads
from support import bundle_of

from retrain import fsio
from retrain.backbones import FrozenBackbone, PreparedBackbone, find_backbone, prepare_backbone
from retrain.classifier import Classifier
from retrain.config import FORMATS
from retrain.console import Console
from retrain.errors import WeightsError
from retrain.exporters import frozen_graph, tflite_model
from retrain.exporters.keras_weights import find_weights_of
from retrain.exporters.making import Source, answers_of, make, problems_of_formats
from retrain.exporters.worker import TensorFlowWorker
from retrain.exporters.yardstick import Yardstick
from retrain.head import Head
from retrain.modelfile import read_tflite_bundle
from retrain.networks import (
    Activation,
    Convolution,
    Dense,
    Dropout,
    GlobalPool,
    Inception,
    Network,
    Normalise,
    Pool,
    write_network,
)

pytestmark = pytest.mark.tensorflow

LABELS = ("a", "b", "c")
# Every block, and every way in which one may be had.
OWN = Network(
    "own",
    (
        Convolution(12, 5, 2, "valid", "linear", bias=False),
        Normalise(),
        Activation("relu6"),
        Pool(3, 2, "average", "same"),
        Inception(16, reduction=0.5, activation="tanh"),
        Pool(2, 1),
        GlobalPool("max"),
        Dense(24, "sigmoid", bias=False),
        Normalise(),
        Dropout(0.3),
        Activation("tanh"),
    ),
    size=40,
)
MEAN = Network("mean", (Convolution(8, activation="sigmoid"), Activation("linear"), GlobalPool()), size=9, channels=1)
NAMES = ("cnn3_24", "cnn3_24_grey", "cnn6_16_grey", "inception_cnn_16", "mnist_cnn_12", "own.json", "mean.json")

# Weights of usual size, biases and means other than 0: else nothing of a picture might be left at the end.
DRAW = """
import sys, numpy as np
from pathlib import Path
from retrain.backbones.convert import build_untrained
from retrain.backbones.slim import write_npz
from retrain.backbones.table import find_backbone
import keras
for name in sys.argv[2:]:
    keras.utils.set_random_seed(5)
    generator = np.random.default_rng(7)
    model = build_untrained(find_backbone(name))
    arrays = []
    for one in model.weights:
        values = one.numpy()
        if values.ndim == 1:
            values = values + generator.uniform(0, 0.3, values.shape)
        elif one.path != "grey/kernel":
            values = values * 2
        arrays.append(values)
    write_npz(Path(sys.argv[1]) / f"{Path(name).stem}.npz", arrays)
"""

# Valid Python 3.7: TensorFlow 1.15 runs it, too.
RUN_GRAPHS = """
import sys, numpy as np, tensorflow as tf
tf = tf.compat.v1
pixels, scores = np.load(sys.argv[1]), {}
for path in sys.argv[3:]:
    definition = tf.GraphDef()
    with open(path, "rb") as file:
        definition.ParseFromString(file.read())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.Session() as session:
            scores[path] = session.run("final_result:0", {"input:0": pixels[path]})
np.savez(sys.argv[2], **scores)
print(tf.VERSION if hasattr(tf, "VERSION") else tf.version.VERSION)
"""


@dataclass(frozen=True)
class Made:
    """A network with a head behind it, on the disk, and photographs to try it on."""

    backbone: PreparedBackbone
    head: Head
    source: Source
    yardstick: Yardstick


@pytest.fixture(scope="module")
def worker() -> Iterator[TensorFlowWorker]:
    with TensorFlowWorker() as started:
        yield started


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("networks")
    for network in (OWN, MEAN):
        write_network(network, folder / f"{network.name}.json")
    names = {name: str(folder / name) if name.endswith(".json") else name for name in NAMES}
    drawn = python("-c", DRAW, folder, *names.values())
    assert drawn.returncode == 0, drawn.stderr
    return {name: _made(named, folder / f"{Path(name).stem}.npz", folder) for name, named in names.items()}


def _made(named: str, weights: Path, folder: Path) -> Made:
    spec = find_backbone(named)
    backbone = prepare_backbone(spec, folder, offline=True, console=Console(quiet=True), weights=weights)
    paths = [str(path) for path in sorted(PHOTOS.rglob("*.jpg"))[::7]]
    (folder / spec.name).mkdir()
    yardstick = Yardstick(paths, np.zeros(len(paths), np.intp), spec.input_spec, folder / spec.name)
    features = _features(backbone, yardstick)
    head = _head_for(features)
    side = spec.input_spec.width
    bundle = bundle_of(LABELS, input_height=side, input_width=side, feature_width=spec.feature_width,
                       architecture=spec.name, weights_sha256=backbone.weights.sha256,
                       network=spec.definition)  # fmt: skip
    tflite, graph = folder / f"{spec.name}.model.tflite", folder / f"{spec.name}.model.pb"
    tflite.write_bytes(tflite_model(backbone.tflite.read_bytes(), head, bundle))
    whole = replace(bundle, tflite_sha256=fsio.sha256_file(tflite))
    graph.write_bytes(frozen_graph(backbone.graph.read_bytes(), head, whole))
    return Made(backbone, head, Source(graph, tflite, whole, tuple(paths), weights), yardstick)


def _features(backbone: PreparedBackbone, yardstick: Yardstick) -> np.ndarray:
    exact = FrozenBackbone(backbone.tflite, backbone.spec.input_spec)
    return np.stack([exact.features(picture) for picture in yardstick.pixels])


def _head_for(features: np.ndarray) -> Head:
    """Make a head that tells these pictures apart, as far as there is anything to tell."""
    plain = sample_heads(features.shape[1], len(LABELS))["softmax"]
    weights = plain.weights / features.std(axis=0).max()
    return replace(plain, weights=weights, biases=-features.mean(axis=0) @ weights)


@pytest.mark.parametrize("name", NAMES)
def test_every_format_answers_as_the_head_on_the_networks_vectors(
    name: str, made: dict[str, Made], worker: TensorFlowWorker, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    one = made[name]
    expected = one.head.probabilities(_features(one.backbone, one.yardstick))
    assert np.ptp(expected, axis=0).max() > 0.1
    assert problems_of_formats(FORMATS, one.backbone.spec.name) == []
    for kind, entry in FORMATS.items():
        place = {"graph": one.source.graph, "tflite": one.source.tflite}.get(kind, tmp_path / f"model{entry.ending}")
        if not place.exists():
            make(kind, one.source, worker, place)
        scores = answers_of(kind, place, one.yardstick, worker).scores
        limit = {"tflite_fp16": 2e-2, "tflite_int8": 0.3}.get(kind, 1e-5)
        assert np.abs(scores - expected).max() <= limit, kind


def test_the_model_opens_as_any_and_says_which_network_it_stands_on(made: dict[str, Made]) -> None:
    one = made["own.json"]
    with Classifier.open(one.source.graph) as opened:
        scores = np.stack([opened.scores(path) for path in one.yardstick.paths])
    assert np.abs(scores - one.head.probabilities(_features(one.backbone, one.yardstick))).max() <= 1e-5
    bundle = read_tflite_bundle(one.source.tflite.read_bytes(), "own")
    # What is needed to export it again, wherever the .json has gone.
    assert bundle.architecture == "network_own"
    again = find_backbone(bundle.architecture, bundle.network)
    assert (again.definition, again.builder) == (one.backbone.spec.definition, one.backbone.spec.builder)
    assert find_weights_of(bundle, one.source.graph.parent, one.source.weights) == one.source.weights


def test_grey_networks_do_not_see_colour(made: dict[str, Made]) -> None:
    grey, coloured = made["cnn3_24_grey"], made["cnn3_24"]
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    # Of the same luma, to a rounding: 0.299 * 114 is 0.114 * 299.
    other = pixels.astype(np.float32) + np.array([11.4, 0, -29.9], np.float32)
    for one, is_blind in ((grey, True), (coloured, False)):
        backbone = FrozenBackbone(one.backbone.tflite, one.backbone.spec.input_spec)
        first, second = backbone.features(pixels.astype(np.float32)), backbone.features(other)
        difference = np.abs(first - second).max() / np.abs(first).max()
        assert (difference < 1e-4) == is_blind, difference


def test_weights_of_another_network_are_refused(made: dict[str, Made], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold the weights of cnn3_32"):
        prepare_backbone(
            find_backbone("cnn3_32"), tmp_path, offline=True, console=Console(quiet=True),
            weights=made["cnn3_24"].source.weights,
        )  # fmt: skip
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".tflite", ".pb", ".json")]


def test_the_same_weights_in_a_network_that_calculates_something_else_are_another_backbone(
    made: dict[str, Made], tmp_path: Path
) -> None:
    one = made["mean.json"]
    other = replace(MEAN, blocks=(replace(MEAN.blocks[0], activation="tanh"), *MEAN.blocks[1:]))
    write_network(other, tmp_path / "mean.json")
    spec, folder = find_backbone(str(tmp_path / "mean.json")), one.source.graph.parent
    prepared = prepare_backbone(spec, folder, offline=True, console=Console(quiet=True), weights=one.source.weights)
    assert spec.name == one.backbone.spec.name
    assert prepared.fingerprint != one.backbone.fingerprint
    assert np.abs(_features(prepared, one.yardstick) - _features(one.backbone, one.yardstick)).max() > 0.01


def test_the_graphs_run_in_today_s_tensorflow(made: dict[str, Made], tmp_path: Path) -> None:
    assert check_graphs(sys.executable, made, tmp_path).startswith("2.")


def test_the_graphs_run_in_tensorflow_1_15(made: dict[str, Made], tmp_path: Path) -> None:
    old = os.environ.get("RETRAIN_TF115_PYTHON")
    if not old:
        pytest.skip("RETRAIN_TF115_PYTHON names no Python 3.7 with TensorFlow 1.15 (see .ci/run)")
    assert check_graphs(old, made, tmp_path).startswith("1.15")


def check_graphs(interpreter: str, made: dict[str, Made], folder: Path) -> str:
    """Run all graphs in a TensorFlow; the version that it says it is."""
    graphs = {str(one.source.graph): one for one in made.values()}
    pixels = {path: (one.yardstick.pixels.astype(np.float32) - 127.5) / 127.5 for path, one in graphs.items()}
    np.savez(folder / "pixels.npz", **pixels)  # type: ignore[arg-type]
    words = [interpreter, "-c", RUN_GRAPHS, folder / "pixels.npz", folder / "scores.npz", *graphs]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run([*map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with np.load(folder / "scores.npz") as scores:
        for path, one in graphs.items():
            expected = one.head.probabilities(_features(one.backbone, one.yardstick))
            assert np.abs(scores[path] - expected).max() <= 1e-5, path
    return run.stdout.split()[-1]
