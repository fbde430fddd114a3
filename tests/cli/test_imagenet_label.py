"""label_image --architecture, with networks whose weights are random: it must say what the network itself says."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, Place, python

from retrain.backbones.imagenet import imagenet_labels
from retrain.classifier import Classifier
from retrain.images import InputSpec, decode_rgb, normalise

pytestmark = pytest.mark.tensorflow

ARCHITECTURE = "mobilenet_0.25_128"
SPEC = InputSpec(128, 128, 127.5, 127.5)

# In the layout of Keras Applications' published files, the head among them: a group a layer, named in order.
KERAS_NETWORK = """
import sys, h5py, keras, numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
keras.utils.set_random_seed(0)
model = keras.applications.MobileNet(input_shape=(128, 128, 3), alpha=0.25, weights=None)
random = np.random.default_rng(0)
model.set_weights([random.normal(w, 0.1).astype("float32") if w.ndim > 1 else random.uniform(0.5, 1.5, w.shape)
                   for w in model.get_weights()])
np.save(sys.argv[2], model.predict(np.load(sys.argv[1]), verbose=0))
with h5py.File(sys.argv[3], "w") as file:
    save_weights_to_hdf5_group(file, model)
keras.applications.MobileNet(input_shape=(128, 128, 3), alpha=0.25, weights=None, include_top=False).save_weights(
    sys.argv[4])
"""

# Google's MobileNet V1 as slim wrote it: its names, its padding, 1,001 classes.
SLIM_NETWORK = """
import sys, numpy as np, tensorflow as tf
tf = tf.compat.v1
tf.disable_eager_execution()
random = np.random.default_rng(1)
constant = lambda name, values: tf.constant(values.astype("float32"), name=name)
images = x = tf.placeholder(tf.float32, (None, 128, 128, 3), name="input")
filters = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
strides = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]

def layer(x, name, shape, stride, depthwise=False):
    scope = "MobilenetV1/" + name
    kernel = constant(scope + ("/depthwise_weights" if depthwise else "/weights"),
                      random.normal(0, (2 / (shape[0] * shape[1] * (1 if depthwise else shape[2]))) ** 0.5, shape))
    width = shape[2] if depthwise else shape[3]
    parts = [constant(scope + "/BatchNorm/" + part, random.uniform(low, high, width)) for part, low, high in
             (("gamma", .8, 1.2), ("beta", -.1, .3), ("moving_mean", -.1, .1), ("moving_variance", .8, 1.2))]
    convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
    x = convolve(x, kernel, [1, stride, stride, 1], "SAME", name="MobilenetV1/" + scope + "/convolution")
    gamma, beta, mean, variance = parts
    x, _, _ = tf.nn.fused_batch_norm(x, gamma, beta, mean, variance, 0.001, is_training=False,
                                     name="MobilenetV1/" + scope + "/BatchNorm/FusedBatchNorm")
    return tf.nn.relu6(x)

x = layer(x, "Conv2d_0", (3, 3, 3, filters[0]), strides[0])
for number in range(1, 14):
    x = layer(x, f"Conv2d_{number}_depthwise", (3, 3, filters[number - 1], 1), strides[number], depthwise=True)
    x = layer(x, f"Conv2d_{number}_pointwise", (1, 1, filters[number - 1], filters[number]), 1)
x = tf.reduce_mean(x, (1, 2), keepdims=True)
head = "MobilenetV1/Logits/Conv2d_1c_1x1"
x = tf.nn.conv2d(x, constant(head + "/weights", random.normal(0, 0.2, (1, 1, 256, 1001))), 1, "SAME")
x = tf.nn.softmax(tf.reshape(x + constant(head + "/biases", random.normal(0, 0.1, 1001)), (-1, 1001)), name="out")
with tf.Session() as session:
    np.save(sys.argv[2], session.run(x, {images: np.load(sys.argv[1])}))
with open(sys.argv[3], "wb") as file:
    file.write(tf.get_default_graph().as_graph_def().SerializeToString())
"""


@dataclass(frozen=True)
class Network:
    """Weights with a head, and what they say of photographs."""

    weights: Path
    scores: np.ndarray
    headless: Path


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    return sorted(PHOTOS.rglob("*.jpg"))[::20]


def network(code: str, name: str, photos: list[Path], folder: Path) -> Network:
    np.save(folder / "in.npy", np.concatenate([normalise(decode_rgb(p.read_bytes(), SPEC), SPEC) for p in photos]))
    headless = folder / "headless.weights.h5"
    done = python("-c", code, folder / "in.npy", folder / "out.npy", folder / name, headless)
    assert done.returncode == 0, done.stderr
    scores = np.load(folder / "out.npy")
    assert scores.max(axis=1).std() > 0  # the photographs are told apart
    return Network(folder / name, scores, headless)


@pytest.fixture(scope="module")
def keras_network(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Network:
    return network(KERAS_NETWORK, "mobilenet.h5", photos, tmp_path_factory.mktemp("keras"))


@pytest.fixture(scope="module")
def slim_network(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Network:
    return network(SLIM_NETWORK, "frozen.pb", photos, tmp_path_factory.mktemp("slim"))


def flags(place: Place, weights: Path) -> list[str | Path]:
    models = place.folder / "models"
    return ["--architecture", ARCHITECTURE, "--weights", weights, "--model_dir", models, "--offline"]


def labelled(place: Place, photos: list[Path], weights: Path, labels: tuple[str, ...]) -> np.ndarray:
    """Label photographs with every name: float32 (N, C)."""
    count = str(len(labels))
    done = place.label("--image", *photos, *flags(place, weights), "--top_k", count, "--output", "out.csv")
    assert done.returncode == 0, done.stderr
    with (place.folder / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(photo) for photo in photos]
    numbered = ["", *(f"_{rank}" for rank in range(2, len(labels) + 1))]
    scores = [{row[f"label{n}"]: float(row[f"score{n}"]) for n in numbered} for row in rows]
    return np.array([[one[label] for label in labels] for one in scores], np.float32)


def test_weights_of_keras_give_the_names_of_keras(place: Place, photos: list[Path], keras_network: Network) -> None:
    got = labelled(place, photos, keras_network.weights, imagenet_labels(1000))
    assert got.shape == keras_network.scores.shape == (5, 1000)
    assert np.abs(got - keras_network.scores).max() <= 1e-5


def test_a_frozen_graph_of_google_gives_its_1001_names(place: Place, photos: list[Path], slim_network: Network) -> None:
    got = labelled(place, photos, slim_network.weights, imagenet_labels(1001))
    assert got.shape == slim_network.scores.shape == (5, 1001)
    assert np.abs(got - slim_network.scores).max() <= 1e-5


def test_one_photograph_has_ten_names_and_the_second_time_takes_no_tensorflow(
    place: Place, photos: list[Path], slim_network: Network
) -> None:
    first = place.label("--image", photos[0], *flags(place, slim_network.weights))
    assert first.returncode == 0, first.stderr
    assert first.stderr.startswith(f"label_image: Converting {ARCHITECTURE} with its ImageNet head, once")
    best = np.argsort(-slim_network.scores[0])[:10]
    lines = [f"{imagenet_labels(1001)[i]} (score={slim_network.scores[0, i]:.5f})" for i in best]
    assert [line.rpartition(" ")[0] for line in first.stdout.splitlines()[3:]] == [
        line.rpartition(" ")[0] for line in lines
    ]
    # Neither this process nor a child of it may have TensorFlow now.
    code = (
        "import sys, subprocess; sys.modules['tensorflow'] = sys.modules['keras'] = None; subprocess.Popen = None\n"
        "from retrain.label import main; sys.exit(main(sys.argv[1:]))"
    )
    second = python("-c", code, "--image", photos[0], *flags(place, slim_network.weights), cwd=place.folder)
    assert second.returncode == 0, second.stderr
    assert second.stderr == ""
    assert second.stdout.splitlines()[3:] == first.stdout.splitlines()[3:]


def test_the_model_is_a_file_that_says_what_it_is(place: Place, photos: list[Path], slim_network: Network) -> None:
    done = place.label("--image", photos[0], *flags(place, slim_network.weights))
    assert done.returncode == 0, done.stderr
    (tflite,) = (place.folder / "models").glob("*.tflite")
    bundle = Classifier.open(tflite).bundle
    assert (bundle.architecture, bundle.weights_source, bundle.input_spec) == (ARCHITECTURE, "given", SPEC)
    assert bundle.labels[:2] == ("background", "tench")
    by_itself = place.label("--image", photos[0], "--graph", tflite, "--top_k", "10")
    assert by_itself.stdout.splitlines()[3:] == done.stdout.splitlines()[3:]


def test_an_imported_graph_needs_no_flag(place: Place, photos: list[Path], slim_network: Network) -> None:
    models = ["--model_dir", place.folder / "models"]
    imported = python(
        "-m", "retrain", "weights", "import", slim_network.weights, "--architecture", ARCHITECTURE, *models
    )
    assert imported.returncode == 0, imported.stderr
    done = place.label("--image", photos[0], "--architecture", ARCHITECTURE, "--offline", *models, "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["label"] == imagenet_labels(1001)[int(slim_network.scores[0].argmax())]


def test_weights_without_the_head_are_refused_in_words(
    place: Place, photos: list[Path], keras_network: Network
) -> None:
    done = place.label("--image", photos[0], *flags(place, keras_network.headless))
    assert done.returncode == 4
    assert f"does not hold the weights of {ARCHITECTURE} with a head of ImageNet" in done.stderr
    assert "expected biases of 1000 or 1001 classes, got none" in done.stderr
    assert not list((place.folder / "models").glob("*.tflite"))


def test_weights_of_another_width_are_refused(place: Place, photos: list[Path], slim_network: Network) -> None:
    words = flags(place, slim_network.weights)
    words[1] = "mobilenet_0.50_128"
    done = place.label("--image", photos[0], *words)
    assert done.returncode == 4
    assert "does not hold the weights of mobilenet_0.50_128" in done.stderr


def test_nothing_is_made_up_where_there_are_no_weights(place: Place, photos: list[Path]) -> None:
    words = ["--architecture", "mobilenet_0.50_224", "--model_dir", place.folder / "models", "--offline"]
    done = place.label("--image", photos[0], *words)
    assert done.returncode == 4
    assert done.stdout == ""
    assert "without that head" in done.stderr
    assert "mobilenet_5_0_224_tf.h5" in done.stderr
