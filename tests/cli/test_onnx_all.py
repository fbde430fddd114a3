"""One architecture of each kind as ONNX, run by onnxruntime, against LiteRT; and a whole run's model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import PHOTOS, Trained

from retrain.exporters.onnx.model import onnx_model, onnx_scorer
from retrain.exporters.parity import compare_scores, read_pixels, score_all, tflite_scorer
from retrain.modelfile import read_graph_bundle

# At the input and nowhere else; ConvNeXt normalises over channels and multiplies pixels as rows.
TRANSPOSES = {"convnext_tiny": 43}


@pytest.mark.tensorflow
def test_every_kind_of_backbone_answers_as_ONNX_as_it_does_as_LiteRT(kinds: list[dict[str, Any]]) -> None:  # noqa: N802
    for row in kinds:
        assert row["spread"] > 0.01, row
        # Some of these networks blow up the rounding of each sum: TensorFlow itself then is as far from LiteRT.
        assert row["tensorflow"] <= 1e-3, row
        assert max(row["one"], row["seven"]) <= max(1e-5, 4 * row["tensorflow"]), row
        assert row["operations"]["Transpose"] == TRANSPOSES.get(row["name"], 1), row


def test_a_trained_model_answers_the_same_on_every_photograph(trained: Trained) -> None:
    bundle = read_graph_bundle(trained.graph)
    content = onnx_model(trained.graph.read_bytes(), bundle)
    spec = bundle.input_spec
    pixels = read_pixels(sorted(map(str, PHOTOS.rglob("*.jpg"))), spec)
    expected = score_all(tflite_scorer(trained.graph.with_suffix(".tflite").read_bytes(), spec), pixels)
    parity = compare_scores(expected, score_all(onnx_scorer(content, spec), pixels))
    assert (parity.photographs, parity.agreeing) == (84, 84)
    assert parity.largest_difference <= 1e-5
    assert expected.argmax(axis=1).tolist() != [0] * 84
    assert np.isfinite(expected).all()
