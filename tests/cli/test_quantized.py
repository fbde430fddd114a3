"""--architecture ..._quantized: an int8 model beside the others, that answers as they do or is not kept."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, Place, Trained

from retrain.classifier import Classifier

pytestmark = pytest.mark.tensorflow
STEM = "tf_files/retrained_graph"
IMAGE = ROOT / "tf_files/test_photos/1.jpg"


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Trained:
    place = Place(tmp_path_factory.mktemp("quantized"), model_dir)
    output = place.retrain("--architecture", "MobileNet_0.5_224_quantized")
    assert output.returncode == 0, output.stderr
    return Trained(place, output)


def test_the_float_model_is_the_one_of_a_run_without_it(quantized: Trained, trained: Trained) -> None:
    for ending in (".pb", ".tflite", ".split.csv"):
        ours, theirs = quantized.graph.with_suffix(ending), trained.graph.with_suffix(ending)
        assert ours.read_bytes() == theirs.read_bytes(), ending


def test_the_run_says_and_records_how_the_int8_model_answers(quantized: Trained) -> None:
    lines = quantized.output.stdout.splitlines()
    assert lines[-1] == f"Wrote {STEM}_int8.tflite"
    assert re.fullmatch(r"  tflite_int8    [\d.]+ +[\d.]+ +[\d.]+%  \d\.\de-\d\d, 8\d/84", lines[-2])
    rows = json.loads((quantized.place.folder / f"{STEM}.exports.json").read_text())["exports"]
    assert [row["format"] for row in rows] == ["graph", "tflite", "tflite_int8"]
    assert rows[2]["photographs"] == 84
    assert rows[2]["agreeing"] / 84 >= 0.98 == rows[2]["min_agreement"]
    assert 0 < rows[2]["largest_difference"] < 0.25


def test_the_int8_model_is_small_of_builtin_integers_and_describes_itself(quantized: Trained) -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = (quantized.place.folder / f"{STEM}_int8.tflite").read_bytes()
    assert len(content) < quantized.graph.with_suffix(".tflite").stat().st_size / 2.5
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, custom = model.subgraphs[0], schema.BuiltinOperator.CUSTOM
    assert custom not in {code.builtinCode for code in model.operatorCodes}
    kinds = {tensor.type for tensor in graph.tensors}
    assert kinds == {schema.TensorType.FLOAT32, schema.TensorType.INT8, schema.TensorType.INT32}
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    floating = [tensor for tensor in graph.tensors if tensor.type == schema.TensorType.FLOAT32]
    assert {tensor.name for tensor in floating} == {tensor.name for tensor in ends}
    described = Classifier.open(quantized.place.folder / f"{STEM}_int8.tflite").bundle
    assert described.labels == ("globular cluster", "open cluster")


def test_label_image_reads_it_unchanged(quantized: Trained) -> None:
    run = quantized.place.label("--graph", f"{STEM}_int8.tflite", "--image", IMAGE)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[3].startswith("globular cluster (score=0.")
    assert run.stderr == ""


def test_it_agrees_on_the_photographs_themselves(quantized: Trained) -> None:
    ours = Classifier.open(quantized.place.folder / f"{STEM}_int8.tflite")
    theirs = Classifier.open(quantized.graph)
    paths = sorted(PHOTOS.glob("*/*"))[::4]
    same = [ours.scores(path).argmax() == theirs.scores(path).argmax() for path in paths]
    assert np.mean(same) >= 0.95


def test_an_int8_model_that_answers_otherwise_is_not_kept(
    quantized: Trained, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, with a head that is turned round on its way into the int8 model."""
    from retrain import RunConfig
    from retrain.errors import ParityError
    from retrain.exporters.litert import int8 as tflite_int8
    from retrain.head import Head
    from retrain.run import run

    monkeypatch.chdir(place.folder)
    monkeypatch.setattr(tflite_int8, "fitted_head", lambda head, *_: Head(-head.weights, -head.biases, head.step))
    config = RunConfig(
        image_dir=str(PHOTOS),
        model_dir=str(place.model_dir),
        offline=True,
        architecture="mobilenet_0.50_224_quantized",
        bottleneck_dir=str(quantized.place.folder / "tf_files/bottlenecks"),
        how_many_training_steps=100,
        cross_validation_folds=0,
    )
    left_over = place.folder / f"{STEM}_int8.tflite"
    left_over.parent.mkdir()
    left_over.write_bytes(b"an earlier run's")
    with pytest.raises(ParityError, match=r"tflite_int8 does not answer as the model does: .* of 84 photographs"):
        run(config)
    assert not left_over.exists()
    assert Classifier.open(place.folder / f"{STEM}.pb").classify(IMAGE)[0].label == "globular cluster"
    (row,) = json.loads((place.folder / f"{STEM}.exports.json").read_text())["exports"][2:]
    assert (row["format"], row["kept"]) == ("tflite_int8", False)
    assert row["agreeing"] < 42


def test_an_int8_path_that_cannot_be_written_is_found_before_anything_else(place: Place) -> None:
    run = place.retrain("--output_labels", f"{STEM}_int8.tflite", "--architecture", "mobilenet_0.50_224_quantized")
    assert run.returncode == 2
    assert "is the path of the _int8.tflite beside --output_graph, too" in run.stderr
    assert not (place.folder / "tf_files").exists()
