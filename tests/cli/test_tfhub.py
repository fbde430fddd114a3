"""SavedModels as backbones and as weights: made here by TensorFlow and Keras, and one fetched over loopback."""

from __future__ import annotations

import functools
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, Place, python

from retrain.backbones.extractor import FrozenBackbone
from retrain.backbones.hub import HubRequest, hub_spec, prepare_hub
from retrain.console import Console
from retrain.errors import WeightsError

pytestmark = pytest.mark.tensorflow

SIZE = 32

# folder -> SavedModels in it, the photographs that they are asked about, and what they say themselves.
MAKE_MODULES = f"""
import os, sys
os.environ |= {{"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}}
import numpy as np, tensorflow as tf, keras
folder = sys.argv[1]
keras.utils.set_random_seed(7)
pixels = np.random.default_rng(0).integers(0, 256, (3, {SIZE}, {SIZE}, 3), dtype=np.uint8)
unit = tf.constant(pixels / 255, tf.float32)
answers = {{"pixels": pixels}}

class Hub(tf.Module):
    '''As hub's modules are: traces for training and for use, a captured constant, any size.'''
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(tf.random.normal((3, 3, 3, 12)), name="kernel")
        self.seen = tf.Variable(0, name="seen")
        self.scale = tf.constant([0.5, 1.0, 2.0])

    @tf.function
    def __call__(self, images, training=False, momentum=0.9):
        rows = self.pooled(tf.nn.conv2d(images * self.scale, self.kernel, 2, "SAME"))
        if training:
            self.seen.assign_add(1)
            rows = tf.nn.dropout(rows, 0.5)
        return rows

    @tf.function
    def pooled(self, values):
        return tf.reduce_mean(tf.nn.relu6(values), [1, 2])

module = Hub()
for training in (True, False):
    module.__call__.get_concrete_function(tf.TensorSpec([None, None, None, 3], tf.float32), training=training)
tf.saved_model.save(module, f"{{folder}}/hub")
answers["hub"] = module(unit).numpy()

layers = keras.layers
model = keras.Sequential([
    keras.Input(({SIZE}, {SIZE}, 3)), layers.Rescaling(2.0, -1.0), layers.Conv2D(8, 3, strides=2, activation="swish"),
    layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization(), layers.Dropout(0.3),
    layers.Flatten(), layers.Dense(10, activation="softmax"),
])
model.layers[3].moving_mean.assign(tf.random.normal((8,)))
model.export(f"{{folder}}/exported", verbose=False)
tf.saved_model.save(model, f"{{folder}}/saved")
answers["exported"] = answers["saved"] = model(unit, training=False).numpy()

class Files(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, {SIZE}, {SIZE}, 3], tf.float32)])
    def __call__(self, images):
        size = tf.strings.length(tf.io.read_file("/etc/hostname"))
        return tf.reduce_mean(images, [1, 2]) + tf.cast(size, tf.float32)

tf.saved_model.save(Files(), f"{{folder}}/files")

class Pictures(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, {SIZE}, {SIZE}, 3], tf.float32)])
    def __call__(self, images):
        return images * 2.0

tf.saved_model.save(Pictures(), f"{{folder}}/pictures")

with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    images = tf.compat.v1.placeholder(tf.float32, (None, {SIZE}, {SIZE}, 3))
    old = {{"inputs": {{"images": images}}, "outputs": {{"default": tf.reduce_mean(images, [1, 2])}}}}
    tf.compat.v1.saved_model.simple_save(session, f"{{folder}}/tf1", **old)
np.savez(f"{{folder}}/answers.npz", **answers)
"""

# folder, "architecture:way" ... -> saved in that way, read back into another model of it; the largest difference.
READ_BACK = """
import os, sys
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
from pathlib import Path
import numpy as np, tensorflow as tf, keras
from retrain.backbones.convert import build
from retrain.backbones.table import find_backbone
folder = Path(sys.argv[1])
random = np.random.default_rng(1)

def shaken(applications, spec, **options):
    size = spec.input_spec.height
    model = getattr(applications, spec.builder)(
        input_shape=(size, size, 3), weights=None, **{"include_top": False, "pooling": "avg", **spec.arguments, **options})
    model.set_weights([
        (random.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else random.normal(0, 0.1, w.shape)).astype(w.dtype)
        for w in model.get_weights()
    ])
    return model

for word in sys.argv[2:]:
    name, way = word.split(":")
    spec, target = find_backbone(name), folder / word.replace(":", "_")
    if way == "keras2":
        import tf_keras
        model = shaken(tf_keras.applications, spec)
        tf.saved_model.save(model, str(target))
    elif way == "save":
        model = shaken(keras.applications, spec)
        tf.saved_model.save(model, str(target))
    else:
        whole = shaken(keras.applications, spec, include_top=True)
        whole.export(str(target), verbose=False)
        (pooling,) = [layer for layer in whole.layers if type(layer).__name__ == "GlobalAveragePooling2D"]
        model = keras.Model(whole.input, pooling.output)
    images = random.uniform(-1, 1, (2, spec.input_spec.height, spec.input_spec.width, 3)).astype(np.float32)
    first = np.array(model(images, training=False)).reshape(2, -1)
    second = np.array(build(spec, target)(images, training=False))
    assert first.std() > 0 and first.shape == second.shape
    print("DIFFERENCE", word, np.abs(first - second).max() / np.abs(first).max())
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    done = python("-c", MAKE_MODULES, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def answers(modules: Path) -> dict[str, np.ndarray]:
    with np.load(modules / "answers.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def archive(modules: Path) -> Path:
    """As hub's server sends a module: with "./" before its names, and folders among them."""
    path = modules / "www" / "small" / "1.tar.gz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(modules / "hub", "./")
    return path


@pytest.fixture
def server(archive: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(archive.parents[1]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def features(request: HubRequest, pixels: np.ndarray) -> np.ndarray:
    prepared = prepare_hub(request, console=Console(quiet=True))
    backbone = FrozenBackbone(prepared.tflite, prepared.spec.input_spec)
    found = np.stack([backbone.features(image) for image in pixels])
    assert found.shape == (len(pixels), prepared.spec.feature_width)
    assert prepared.spec.feature_width == hub_spec(request).feature_width
    return found


@pytest.mark.parametrize("name", ["hub", "exported", "saved"])
def test_a_module_says_what_it_said(name: str, modules: Path, answers: dict[str, np.ndarray], tmp_path: Path) -> None:
    found = features(HubRequest(str(modules / name), tmp_path, input_size=SIZE), answers["pixels"])
    assert answers[name].std() > 0.01
    assert np.abs(found - answers[name]).max() <= 1e-5


def test_an_archive_is_the_folder_it_was_made_of(
    modules: Path, archive: Path, answers: dict[str, np.ndarray], tmp_path: Path
) -> None:
    request = HubRequest(str(archive), tmp_path, input_size=SIZE)
    assert np.abs(features(request, answers["pixels"]) - answers["hub"]).max() <= 1e-5
    assert not list(tmp_path.glob("*unpacked*"))
    folder, packed = (prepare_hub(HubRequest(str(path), tmp_path, input_size=SIZE), console=Console(quiet=True))
                      for path in (modules / "hub", archive))  # fmt: skip
    assert folder.weights.sha256 == packed.weights.sha256


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tf1", "expected .* to be a SavedModel of TensorFlow 2, got one of TensorFlow 1"),
        ("files", "operation ReadFile|operation StringLength"),
        ("pictures", r"gives .*float \(\?, 32, 32, 3\), which are not rows of features"),
    ],
)
def test_what_cannot_be_used_is_refused_before_the_disk_is_touched(
    name: str, words: str, modules: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=words):
        hub_spec(HubRequest(str(modules / name), tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_a_model_is_trained_on_a_module_that_is_fetched_once(
    server: tuple[str, list[str]], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    address, asked = server
    handle = f"{address}/small/1.tar.gz"
    words = ["--image_dir", PHOTOS, "--tfhub_module", handle, "--tfhub_input_size=32", "--how_many_training_steps=30",
             "--cross_validation_folds=0", "--model_dir", "models"]  # fmt: skip
    early = python("-m", "retrain", *words, "--offline", cwd=place.folder)
    assert early.returncode == 2
    assert "has not been fetched, and with --offline it is not" in early.stderr
    assert not (place.folder / "models").exists()
    first = python("-m", "retrain", *words, cwd=place.folder)
    assert first.returncode == 0, first.stderr
    assert asked == ["/small/1.tar.gz?tf-hub-format=compressed"]
    assert "Fetching http://127.0.0.1" in first.stdout
    assert "Backbone hub_small_1, hub weights, SHA-256 " in first.stdout
    again = python("-m", "retrain", *words, "--offline", cwd=place.folder)
    assert again.returncode == 0, again.stderr
    assert "Fetching" not in again.stdout
    assert "Converting" not in again.stdout
    assert len(asked) == 1
    named = place.label("--image", PHOTOS / "open cluster/m44.jpg")
    assert named.returncode == 0, named.stderr
    assert "(score=" in named.stdout


def test_what_a_server_has_not_is_said(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    request = HubRequest(f"{server[0]}/none/1.tar.gz", tmp_path)
    with pytest.raises(WeightsError, match=r"cannot fetch http://127.*404.*\nWithout a network, give a folder"):
        prepare_hub(request, console=Console(quiet=True))
    assert request.path is None


def test_weights_come_out_of_saved_models_as_they_went_in(tmp_path: Path) -> None:
    words = ["mobilenet_0.25_128:export", "mobilenet_v2_0.35_96:save", "mobilenet_v3_small:keras2"]
    done = python("-c", READ_BACK, tmp_path, *words, timeout_s=400)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("DIFFERENCE")]
    assert [word for _, word, _ in lines] == words
    assert max(float(value) for *_, value in lines) <= 1e-5


def test_weights_of_something_else_are_refused_and_none_is_left_as_it_was_drawn(modules: Path, place: Place) -> None:
    words = ["--weights", modules / "exported", "--architecture=mobilenet_0.25_128", "--how_many_training_steps=30"]
    run = place.retrain(*words)
    assert run.returncode == 4
    assert "expected the 135 weights of the architecture, each once" in run.stderr
