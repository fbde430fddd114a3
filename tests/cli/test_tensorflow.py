"""What is written is what Keras computes, and TensorFlow reads it: the current one and, where there is one, 1.15."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, Trained, python
from PIL import Image

from retrain.backbones.extractor import FrozenBackbone
from retrain.backbones.table import find_backbone
from retrain.backbones.weights import bundled_weights
from retrain.classifier import Classifier
from retrain.images import decode_rgb, normalise

pytestmark = pytest.mark.tensorflow

KERAS_FEATURES = """
import sys, numpy as np
from pathlib import Path
from retrain.backbones.convert import build
from retrain.backbones.table import find_backbone
weights = Path("retrain/backbones/bundled/mobilenet_0.50_224.npz")
model = build(find_backbone("mobilenet_0.50_224"), weights)
np.save(sys.argv[2], model.predict(np.load(sys.argv[1]), verbose=0))
"""

# The layout of Keras Applications' published files: a group a layer, named in order.
LEGACY_WEIGHTS = """
import sys, h5py
from pathlib import Path
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from retrain.backbones.convert import build
from retrain.backbones.table import find_backbone
spec = find_backbone("mobilenet_0.50_224")
with h5py.File(sys.argv[1], "w") as file:
    save_weights_to_hdf5_group(file, build(spec, Path("retrain/backbones/bundled") / spec.bundled_file))
"""

# Valid Python 3.7: TensorFlow 1.15 runs it, too. Feeds every tensor that old clients feed.
RUN_GRAPH = """
import sys, numpy as np, tensorflow as tf
tf = tf.compat.v1
definition = tf.GraphDef()
with open(sys.argv[1], "rb") as file:
    definition.ParseFromString(file.read())
with tf.Graph().as_default() as graph:
    tf.import_graph_def(definition, name="import")
    images = np.load(sys.argv[2])
    files = [open(path, "rb").read() for path in sys.argv[4:]]
    with tf.Session() as session:
        def ask(what, fed, x):
            source = graph.get_operation_by_name("import/" + fed).outputs[0]
            return session.run("import/" + what + ":0", {source: x})
        many = ask("final_result", "input", images)
        single = ask("final_result", "input", images[:1])
        alias = ask("final_result", "Mul", images), ask("final_result", "Mul", images[:1])
        described = session.run("import/retrain/bundle:0")
        bottleneck = ask("bottleneck", "input", images)
        cached = ask("final_result", "input_1/BottleneckInputPlaceholder", bottleneck)
        decoded = np.concatenate([ask("final_result", "DecodeJpeg/contents", data) for data in files])
        picture = ask("DecodeJpeg", "DecodeJpeg/contents", files[0])
        small = ask("ResizeBilinear", "DecodeJpeg/contents", files[0])
        onwards = ask("final_result", "DecodeJpeg", picture), ask("final_result", "ResizeBilinear", small)
assert abs(cached - many).max() < 1e-5 and abs(single[0] - many[0]).max() < 1e-5
assert abs(alias[0] - many).max() < 1e-5 and abs(alias[1][0] - many[0]).max() < 1e-5
assert picture.dtype == np.uint8 and small.shape == images[:1].shape and (small == np.round(small)).all()
assert all(abs(one[0] - decoded[0]).max() < 1e-5 for one in onwards)
assert b'"globular cluster"' in described, described
np.savez(sys.argv[3], input=many, decoded=decoded)
print(tf.VERSION if hasattr(tf, "VERSION") else tf.version.VERSION)
"""

# As the process that checks exports calls it.
SCORE_GRAPH = """
import json, sys
from retrain.exporters.child import graph as graph_child
graph, pixels, scores, *files = sys.argv[1:]
size = {"height": 224, "width": 224, "mean": 127.5, "std": 127.5}
ms = [graph_child.score(place=graph, pixels=pixels, scores=scores + "/pixels.npy", **size)["ms"],
      graph_child.score_files(place=graph, files=files, scores=scores + "/files.npy")["ms"]]
print(json.dumps(ms))
"""

# One for each ratio that a JPEG is decoded at, and one that is smaller than the model's input.
SIZES = ((3000, 2000), (1000, 920), (1000, 700), (500, 375), (200, 150))


@pytest.fixture(scope="module")
def pictures() -> list[Path]:
    return sorted(PHOTOS.rglob("*.jpg"))[::12]


@pytest.fixture(scope="module")
def inputs(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = find_backbone("mobilenet_0.50_224").input_spec
    path = tmp_path_factory.mktemp("inputs") / "inputs.npy"
    np.save(path, np.concatenate([normalise(decode_rgb(p.read_bytes(), spec), spec) for p in pictures]))
    return path


def test_features_are_those_of_keras_on_the_same_pixels(
    trained: Trained, pictures: list[Path], inputs: Path, tmp_path: Path
) -> None:
    run = python("-c", KERAS_FEATURES, inputs, tmp_path / "keras.npy")
    assert run.returncode == 0, run.stderr
    spec = find_backbone("mobilenet_0.50_224")
    weights = bundled_weights(spec)  # other tests leave tuned ones in this folder
    assert weights is not None
    (converted,) = trained.place.model_dir.glob(f"mobilenet_0.50_224-{weights.sha256[:12]}-*.tflite")
    backbone = FrozenBackbone(converted, spec.input_spec)
    ours = np.stack([backbone(p.read_bytes()) for p in pictures])
    theirs = np.load(tmp_path / "keras.npy")
    assert ours.shape == theirs.shape == (len(pictures), 512)
    assert theirs.std() > 0.1
    assert np.abs(ours - theirs).max() <= 1e-4


@pytest.fixture(scope="module")
def files(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The photographs, and one of them at sizes that are decoded in different ways, as JPEG and as PNG."""
    place = tmp_path_factory.mktemp("files")
    with Image.open(pictures[1]) as whole:
        for width, height in SIZES:
            whole.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(place / f"{width}.jpg")
        whole.convert("RGB").save(place / "whole.png")
    return [*pictures, *sorted(place.iterdir())]


def check_graph(trained: Trained, pictures: list[Path], files: list[Path], answer: Path) -> None:
    classifier = Classifier.open(trained.graph)
    theirs = np.load(answer)
    for name, photographs, limit in (("input", pictures, 1e-5), ("decoded", files, 1e-2)):
        ours = np.stack([classifier.scores(p) for p in photographs])
        assert np.abs(ours - theirs[name]).max() <= limit
        assert (ours.argmax(axis=1) == theirs[name].argmax(axis=1)).all()


def test_the_graph_runs_in_today_s_tensorflow(
    trained: Trained, pictures: list[Path], files: list[Path], inputs: Path, tmp_path: Path
) -> None:
    run = python("-c", RUN_GRAPH, trained.graph, inputs, tmp_path / "scores.npz", *files)
    assert run.returncode == 0, run.stderr
    check_graph(trained, pictures, files, tmp_path / "scores.npz")


def test_the_graph_runs_in_tensorflow_1_15(
    trained: Trained, pictures: list[Path], files: list[Path], inputs: Path, tmp_path: Path
) -> None:
    old = os.environ.get("RETRAIN_TF115_PYTHON")
    if not old:
        pytest.skip("RETRAIN_TF115_PYTHON names no Python 3.7 with TensorFlow 1.15 (see .ci/run)")
    words = [old, "-c", RUN_GRAPH, trained.graph, inputs, tmp_path / "scores.npz", *files]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run([*map(str, words)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1].startswith("1.15")
    check_graph(trained, pictures, files, tmp_path / "scores.npz")


def test_the_graph_is_scored_as_numbers_and_as_files(trained: Trained, pictures: list[Path], tmp_path: Path) -> None:
    classifier = Classifier.open(trained.graph)
    spec = classifier.bundle.input_spec
    np.save(tmp_path / "pictures.npy", np.stack([decode_rgb(p.read_bytes(), spec) for p in pictures]))
    run = python("-c", SCORE_GRAPH, trained.graph, tmp_path / "pictures.npy", tmp_path, *pictures)
    assert run.returncode == 0, run.stderr
    assert all(ms > 0 for ms in json.loads(run.stdout.splitlines()[-1]))
    ours = np.stack([classifier.scores(p) for p in pictures])
    assert np.abs(np.load(tmp_path / "pixels.npy") - ours).max() <= 1e-5
    assert np.abs(np.load(tmp_path / "files.npy") - ours).max() <= 1e-2


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    weights = ROOT / "retrain/backbones/bundled/mobilenet_0.50_224.npz"
    run = python("-m", "retrain.backbones.convert", "mobilenet_0.25_224", weights, tmp_path / "x")
    assert run.returncode == 4
    assert "does not hold the weights of mobilenet_0.25_224" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_architecture_without_weights_names_the_file_to_fetch(trained: Trained, tmp_path: Path) -> None:
    words = ["-m", "retrain", "--image_dir", PHOTOS, "--architecture=mobilenet_1.0_128", "--offline"]
    run = python(*words, "--model_dir", tmp_path / "models", cwd=tmp_path)
    assert run.returncode == 4
    assert "no pretrained weights for mobilenet_1.0_128. Tried:" in run.stderr
    assert f"put it at {tmp_path}/models/mobilenet_1_0_128_tf_no_top.h5" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_weight_file_put_into_model_dir_by_hand_is_used(tmp_path: Path) -> None:
    """Keras' own .h5, as its publisher would serve it: here with the bundled weights in it."""
    file = tmp_path / "mobilenet_5_0_224_tf_no_top.h5"
    run = python("-c", LEGACY_WEIGHTS, file)
    assert run.returncode == 0, run.stderr
    words = [
        "--image_dir",
        PHOTOS,
        "--model_dir",
        tmp_path,
        "--how_many_training_steps=5",
        "--cross_validation_folds=0",
    ]
    run = python("-m", "retrain", *words, "--offline", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "Backbone mobilenet_0.50_224, official weights, SHA-256 " in run.stdout
