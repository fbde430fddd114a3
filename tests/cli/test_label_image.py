"""label_image: the model knows itself, flags only override, and TensorFlow stays out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import PHOTOS, ROOT, Trained, python

from retrain.classifier import Classifier
from retrain.errors import ModelError

pytestmark = pytest.mark.tensorflow
IMAGE = ROOT / "tf_files/test_photos/1.jpg"


def scores(output: str) -> dict[str, float]:
    lines = [line for line in output.splitlines() if "(score=" in line]
    return {line.rsplit(" (score=", 1)[0]: float(line.rsplit("=", 1)[1].rstrip(")")) for line in lines}


def test_labelling_does_not_import_tensorflow(trained: Trained) -> None:
    code = (
        "import sys; from retrain.label import main; "
        f"assert main(['--image', {str(IMAGE)!r}, '--graph', {str(trained.graph)!r}]) == 0; "
        "print([m for m in ('tensorflow', 'tensorflow.python', 'keras', 'onnxruntime', 'google.protobuf', 'retrain.head') "
        "if m in sys.modules])"
    )
    run = python("-c", code)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[]"


def test_naming_the_model_s_own_values_changes_nothing(trained: Trained) -> None:
    plain = trained.place.label("--image", IMAGE)
    words = ["--graph", trained.graph, "--labels", trained.graph.with_name("retrained_labels.txt")]
    words += ["--input_height=224", "--input_width=224", "--input_mean=127.5", "--input_std=127.5"]
    words += ["--input_layer=input", "--output_layer=final_result"]
    named = trained.place.label("--image", IMAGE, *words)
    assert named.returncode == 0, named.stderr
    assert scores(named.stdout) == scores(plain.stdout)
    assert list(scores(plain.stdout)) == ["globular cluster", "open cluster"]


@pytest.mark.parametrize("flag", ["--input_mean=0", "--input_std=255", "--input_height=160"])
def test_an_override_is_obeyed(trained: Trained, flag: str) -> None:
    """The original ignored --input_mean 0."""
    plain = trained.place.label("--image", IMAGE)
    other = trained.place.label("--image", IMAGE, flag)
    assert other.returncode == 0, other.stderr
    assert scores(other.stdout) != scores(plain.stdout)


def test_other_labels_are_used_when_they_fit_and_refused_when_not(trained: Trained, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("Kugelsternhaufen\noffener Haufen\n")
    run = trained.place.label("--image", IMAGE, "--labels", labels)
    assert list(scores(run.stdout)) == ["Kugelsternhaufen", "offener Haufen"]
    labels.write_text("one\ntwo\nthree\n")
    run = trained.place.label("--image", IMAGE, "--labels", labels, "--input_layer=Mul")
    assert run.returncode == 2
    assert "expected labels to have 2 lines" in run.stderr
    assert "expected --input_layer to be 'input'" in run.stderr


def test_a_broken_photograph_is_refused_with_its_reason(trained: Trained, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((PHOTOS / "open cluster/m44.jpg").read_bytes()[:1000])
    run = trained.place.label("--image", broken)
    assert run.returncode == 3
    assert run.stderr.startswith("label_image: damaged: JPEG: ")


def test_a_model_whose_halves_are_of_two_runs_is_refused(trained: Trained, tmp_path: Path) -> None:
    graph = tmp_path / "retrained_graph.pb"
    shutil.copy(trained.graph, graph)
    with pytest.raises(ModelError, match=r"to be the \.tflite that"):
        Classifier.open(graph)
    content = bytearray(trained.graph.with_suffix(".tflite").read_bytes())
    content[len(content) // 2] ^= 1
    graph.with_suffix(".tflite").write_bytes(content)
    with pytest.raises(ModelError, match="is not the file that"):
        Classifier.open(graph)


def test_a_graph_without_labels_and_a_file_that_is_none_are_refused_with_a_sentence(
    trained: Trained, tmp_path: Path
) -> None:
    base = next(trained.place.model_dir.glob("mobilenet_0.50_224-*.pb"))
    run = trained.place.label("--image", IMAGE, "--graph", base)
    assert run.returncode == 6
    assert "does not hold its 512 labels, and no file beside it does" in run.stderr
    garbage = tmp_path / "garbage.pb"
    garbage.write_bytes(b"\xff" * 100)
    run = trained.place.label("--image", IMAGE, "--graph", garbage)
    assert run.returncode == 6
    assert "is not a frozen TensorFlow graph" in run.stderr
