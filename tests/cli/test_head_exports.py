"""Every kind of head, on a real backbone, in the formats that TensorFlow runs: today's and, where there is one, 1.15."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS
from head_samples import KINDS, sample_heads
from support import bundle_of

from retrain import fsio
from retrain.backbones import FrozenBackbone, PreparedBackbone, find_backbone, prepare_backbone
from retrain.classifier import Classifier
from retrain.config import FORMATS
from retrain.console import Console
from retrain.exporters import frozen_graph, tflite_model
from retrain.exporters.frozen.head import VECTORS_NODE
from retrain.exporters.making import Source, answers_of, make
from retrain.exporters.worker import TensorFlowWorker
from retrain.exporters.yardstick import Yardstick
from retrain.head import Head

pytestmark = pytest.mark.tensorflow

MAX_DIFFERENCE = 1e-5
LABELS = ("a", "b", "c")

# Valid Python 3.7: TensorFlow 1.15 runs it, too.
RUN_HEADS = """
import sys, numpy as np, tensorflow as tf
tf = tf.compat.v1
node, vectors, place = sys.argv[1], np.load(sys.argv[2]), sys.argv[3]
scores = {}
for path in sys.argv[4:]:
    definition = tf.GraphDef()
    with open(path, "rb") as file:
        definition.ParseFromString(file.read())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.Session() as session:
            scores[path] = session.run("final_result:0", {node + ":0": vectors})
            bottleneck = session.run("bottleneck:0", {"input:0": np.zeros((2, 224, 224, 3), np.float32)})
            again = session.run("final_result:0", {"input:0": np.zeros((2, 224, 224, 3), np.float32)})
            fed = session.run("final_result:0", {node + ":0": bottleneck})
            assert abs(fed - again).max() < 1e-5
np.savez(place, **scores)
print(tf.VERSION if hasattr(tf, "VERSION") else tf.version.VERSION)
"""

# As a stranger has it: neither this project nor its folder is there.
LOAD_ALONE = """
import sys
sys.modules["retrain"] = sys.modules["sklearn"] = None
import keras, numpy as np
model = keras.models.load_model(sys.argv[1], safe_mode=True)
np.save(sys.argv[3], model.predict((np.load(sys.argv[2]).astype("float32") - 127.5) / 127.5, verbose=0))
"""


@dataclass(frozen=True)
class Model:
    """A head on a backbone, on the disk."""

    head: Head
    source: Source


@pytest.fixture(scope="module")
def backbone(model_dir: Path) -> PreparedBackbone:
    spec = find_backbone("mobilenet_0.50_224")
    return prepare_backbone(spec, model_dir, offline=True, console=Console(quiet=True))


@pytest.fixture(scope="module")
def models(backbone: PreparedBackbone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder, side = tmp_path_factory.mktemp("heads"), backbone.spec.input_spec.width
    bundle = bundle_of(LABELS, input_height=side, input_width=side, feature_width=backbone.spec.feature_width,
                       architecture=backbone.spec.name, weights_sha256=backbone.weights.sha256)  # fmt: skip
    made = {}
    for kind, head in sample_heads(backbone.spec.feature_width, len(LABELS)).items():
        tflite, graph = folder / f"{kind}.tflite", folder / f"{kind}.pb"
        tflite.write_bytes(tflite_model(backbone.tflite.read_bytes(), head, bundle))
        whole = replace(bundle, tflite_sha256=fsio.sha256_file(tflite))
        graph.write_bytes(frozen_graph(backbone.graph.read_bytes(), head, whole))
        made[kind] = Model(head, Source(graph, tflite, whole, (), backbone.weights.path))
    return made


@pytest.fixture(scope="module")
def yardstick(backbone: PreparedBackbone, tmp_path_factory: pytest.TempPathFactory) -> Yardstick:
    paths = [str(path) for path in sorted(PHOTOS.rglob("*.jpg"))[::14]]
    folder = tmp_path_factory.mktemp("yardstick")
    return Yardstick(paths, np.zeros(len(paths), np.intp), backbone.spec.input_spec, folder)


@pytest.fixture(scope="module")
def vectors(backbone: PreparedBackbone, yardstick: Yardstick) -> np.ndarray:
    exact = FrozenBackbone(backbone.tflite, backbone.spec.input_spec)
    return np.stack([exact.features(picture) for picture in yardstick.pixels])


@pytest.fixture(scope="module")
def worker() -> Iterator[TensorFlowWorker]:
    with TensorFlowWorker() as started:
        yield started


@pytest.mark.parametrize("kind", KINDS)
def test_the_litert_file_gives_the_scores_and_the_backbones_own_vector(
    kind: str, models: dict[str, Model], yardstick: Yardstick, vectors: np.ndarray
) -> None:
    model = models[kind]
    with Classifier.open(model.source.graph) as opened:
        both = [opened.scores_and_bottleneck(path) for path in yardstick.paths]
    assert np.stack([vector for _, vector in both]).tobytes() == vectors.tobytes()
    scores = np.stack([one for one, _ in both])
    assert np.ptp(scores, axis=0).max() > 0.01
    assert np.abs(scores - model.head.probabilities(vectors)).max() <= MAX_DIFFERENCE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["graph", "saved_model", "tfjs", "keras"])
def test_each_format_gives_the_heads_scores(
    kind: str,
    name: str,
    models: dict[str, Model],
    yardstick: Yardstick,
    vectors: np.ndarray,
    worker: TensorFlowWorker,
    tmp_path: Path,
) -> None:
    model = models[kind]
    place = model.source.graph if name == "graph" else tmp_path / f"model{FORMATS[name].ending}"
    if name != "graph":
        make(name, model.source, worker, place)
    scores = answers_of(name, place, yardstick, worker).scores
    assert np.abs(scores - model.head.probabilities(vectors)).max() <= MAX_DIFFERENCE


def check_heads(interpreter: str, models: dict[str, Model], vectors: np.ndarray, folder: Path) -> str:
    """Run all graphs in a TensorFlow, on vectors among which is one of zeros; the version that it says it is."""
    rows = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])
    np.save(folder / "vectors.npy", rows)
    graphs = [str(model.source.graph) for model in models.values()]
    words = [interpreter, "-c", RUN_HEADS, VECTORS_NODE, folder / "vectors.npy", folder / "scores.npz", *graphs]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run([*map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with np.load(folder / "scores.npz") as scores:
        for model in models.values():
            difference = np.abs(scores[str(model.source.graph)] - model.head.probabilities(rows))
            assert difference.max() <= MAX_DIFFERENCE, model.source.graph.name
    return run.stdout.split()[-1]


def test_heads_take_cached_vectors_in_today_s_tensorflow(
    models: dict[str, Model], vectors: np.ndarray, tmp_path: Path
) -> None:
    assert check_heads(sys.executable, models, vectors, tmp_path).startswith("2.")


def test_heads_take_cached_vectors_in_tensorflow_1_15(
    models: dict[str, Model], vectors: np.ndarray, tmp_path: Path
) -> None:
    old = os.environ.get("RETRAIN_TF115_PYTHON")
    if not old:
        pytest.skip("RETRAIN_TF115_PYTHON names no Python 3.7 with TensorFlow 1.15 (see .ci/run)")
    assert check_heads(old, models, vectors, tmp_path).startswith("1.15")


def test_keras_alone_loads_a_head_of_every_layer_and_it_is_the_same_bytes_each_time(
    models: dict[str, Model], yardstick: Yardstick, vectors: np.ndarray, worker: TensorFlowWorker, tmp_path: Path
) -> None:
    model, files = models["mixed"], [tmp_path / f"{number}.keras" for number in range(3)]
    make("keras", model.source, worker, files[0])
    make("keras", model.source, worker, files[1])
    with TensorFlowWorker() as another:
        make("keras", model.source, another, files[2])
    assert len({fsio.sha256_file(file) for file in files}) == 1
    np.save(tmp_path / "pixels.npy", yardstick.pixels)
    words = [sys.executable, "-I", "-c", LOAD_ALONE, files[0], tmp_path / "pixels.npy", tmp_path / "scores.npy"]
    done = subprocess.run([*map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(tmp_path / "scores.npy") - model.head.probabilities(vectors)).max() <= MAX_DIFFERENCE


@pytest.mark.parametrize("kind", ["sigmoid", "knn"])
def test_in_integers_a_head_of_one_layer_is_converted_and_any_other_stays(
    kind: str,
    models: dict[str, Model],
    yardstick: Yardstick,
    vectors: np.ndarray,
    worker: TensorFlowWorker,
    tmp_path: Path,
) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model, place = models[kind], tmp_path / "model_int8.tflite"
    paths = tuple(str(path) for path in sorted(PHOTOS.rglob("*.jpg"))[::4])
    make("tflite_int8", replace(model.source, calibration=paths), worker, place)
    content = schema.ModelT.InitFromPackedBuf(place.read_bytes(), 0)
    (scores,) = content.subgraphs[0].outputs
    assert content.subgraphs[0].tensors[scores].name == b"final_result"
    kinds = {tensor.type for tensor in content.subgraphs[0].tensors if b"final_training_ops" in tensor.name}
    assert (schema.TensorType.FLOAT32 in kinds) == (kind == "knn")
    answers = answers_of("tflite_int8", place, yardstick, worker).scores
    expected = model.head.probabilities(vectors)
    assert 0 < np.abs(answers - expected).max() < 0.3
