"""The int8 export without TensorFlow: what it is calibrated on, how its head is fitted, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support import bundle_of, encode, noise, tiny_graph, tiny_tflite

from retrain.backbones.table import find_backbone, is_quantized, table
from retrain.classifier import Classifier
from retrain.errors import ImageError, ModelError, UsageError
from retrain.exporters import frozen_graph, tflite_model
from retrain.exporters.drift import measure_drift
from retrain.exporters.litert import int8 as tflite_int8
from retrain.exporters.litert.fp16 import fp16_model
from retrain.exporters.litert.int8 import MOST_CALIBRATED, calibration_rows, fitted_head
from retrain.exporters.parity import (
    FEWEST,
    MOST,
    Parity,
    compare_scores,
    parity_rows,
    read_pixels,
    score_all,
    tflite_scorer,
)
from retrain.exporters.worker import TensorFlowWorker
from retrain.head import Head
from retrain.images import InputSpec
from retrain.modelfile import read_tflite_bundle
from retrain.runtimes.litert import LiteRuntime

GENERATOR = np.random.default_rng(0)
HEAD = Head(GENERATOR.standard_normal((12, 2)).astype(np.float32), np.array([0.5, -0.25], np.float32), 7)
SPEC = InputSpec(2, 2, 127.5, 127.5)


@pytest.mark.parametrize(
    "typed", ["mobilenet_0.50_224_quantized", "MobileNet-0.5-224-Quantized", " mobilenet 0.50 224 quantized "]
)
def test_a_quantized_architecture_is_the_same_backbone(typed):
    assert find_backbone(typed) is table()["mobilenet_0.50_224"]
    assert is_quantized(typed)


def test_every_architecture_has_a_quantized_spelling():
    assert len([name for name in table() if re.fullmatch(r"mobilenet_[\d.]+_\d+", name)]) == 16
    for name, spec in table().items():
        assert not is_quantized(name)
        assert find_backbone(f"{name}_quantized") is spec


@pytest.mark.parametrize(
    "typed", ["quantized", "_quantized", "mobilenet_0.55_224_quantized", "mobilenet_quantized_0.50_224"]
)
def test_quantized_does_not_make_a_name_of_what_is_none(typed):
    with pytest.raises(UsageError, match="expected --architecture to be a row"):
        find_backbone(typed)


def test_calibration_takes_training_photographs_class_by_class():
    labels = np.array([0] * 400 + [1] * 30 + [2] * 300)
    training = np.arange(0, 730, 2)
    rows = calibration_rows(labels, training, seed=0)
    assert len(rows) == len(set(rows)) == MOST_CALIBRATED
    assert set(rows) <= set(training)
    assert np.bincount(labels[rows]).tolist() == [93, 15, 92]


def test_calibration_is_the_seeds_and_takes_all_where_there_are_few():
    labels, training = np.arange(40) % 2, np.arange(30)
    assert sorted(calibration_rows(labels, training, 0)) == list(range(30))
    assert calibration_rows(labels, training, 0).tolist() == calibration_rows(labels, training, 0).tolist()
    assert calibration_rows(labels, training, 0).tolist() != calibration_rows(labels, training, 1).tolist()


def test_a_head_is_fitted_to_shifted_and_scaled_features():
    exact = GENERATOR.standard_normal((200, 12)).astype(np.float32)
    off = (exact * 0.9 + 0.3).astype(np.float32)
    logits = exact @ HEAD.weights + HEAD.biases
    fitted = fitted_head(HEAD, off, logits)
    before = np.abs(off @ HEAD.weights + HEAD.biases - logits).max()
    after = np.abs(off @ fitted.weights + fitted.biases - logits).max()
    assert after < before / 4
    assert fitted.weights.dtype == fitted.biases.dtype == np.float32
    assert fitted.step == HEAD.step


def test_a_head_stays_as_it_is_where_features_are_exact_or_say_nothing():
    exact = GENERATOR.standard_normal((50, 12)).astype(np.float32)
    same = fitted_head(HEAD, exact, exact @ HEAD.weights + HEAD.biases)
    assert same.weights == pytest.approx(HEAD.weights, abs=1e-5)
    assert same.biases == pytest.approx(HEAD.biases, abs=1e-5)
    one = fitted_head(HEAD, exact[:1], exact[:1] @ HEAD.weights + HEAD.biases)
    assert one.weights == pytest.approx(HEAD.weights, abs=1e-5)


def test_parity_counts_first_labels_and_the_largest_difference():
    reference = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]], np.float32)
    candidate = np.array([[0.8, 0.2], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5]], np.float32)
    parity = compare_scores(reference, candidate)
    assert (parity.photographs, parity.agreeing, parity.ties, parity.agreement) == (4, 3, 0, 0.75)
    assert parity.largest_difference == pytest.approx(0.2)
    tied = compare_scores(reference, candidate, tie=0.21)
    assert (tied.agreeing, tied.ties, tied.agreement) == (3, 1, 1.0)
    assert compare_scores(reference, candidate, tie=0.19).ties == 0


def test_an_answer_that_is_no_number_agrees_with_nothing():
    scores = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)
    parity = compare_scores(scores, np.array([[np.nan, np.nan], [0.1, 0.9]], np.float32))
    assert parity.agreeing == 1
    assert parity.largest_difference == float("inf")


def test_limits_are_held_against_both_figures():
    assert Parity(50, 49, 0, 0.3).passes(1.0, 0.98)
    assert not Parity(50, 48, 0, 0.3).passes(1.0, 0.98)
    assert Parity(50, 48, 2, 1e-5).passes(1e-5, 1.0)
    assert not Parity(50, 50, 0, 1.1e-5).passes(1e-5, 1.0)


def test_parity_is_measured_on_the_test_photographs_or_where_they_are_few_on_all():
    enough = np.arange(0, 4 * FEWEST, 2)
    assert parity_rows(enough, 1000, 0) is enough
    assert parity_rows(enough[: FEWEST - 1], 100, 0).tolist() == list(range(100))
    many = parity_rows(np.arange(3 * MOST), 10 * MOST, 0)
    assert len(set(many)) == MOST
    assert many.tolist() == sorted(many)


def test_models_are_compared_on_photographs(tmp_path):
    paths = []
    for number in range(6):
        paths.append(str(tmp_path / f"{number}.png"))
        (tmp_path / f"{number}.png").write_bytes(encode(noise(2, 2, number)))
    pixels, bundle = read_pixels(paths, SPEC), bundle_of()
    ours = score_all(tflite_scorer(tflite_model(tiny_tflite(), HEAD, bundle), SPEC), pixels)
    turned = Head(-HEAD.weights, -HEAD.biases, 7)
    theirs = score_all(tflite_scorer(tflite_model(tiny_tflite(), turned, bundle), SPEC), pixels)
    assert compare_scores(ours, ours) == Parity(6, 6, 0, 0.0)
    assert compare_scores(ours, theirs).agreeing == 0
    (tmp_path / "3.png").unlink()
    with pytest.raises(ImageError, match=r"3\.png, which was read before"):
        read_pixels(paths, SPEC)


def test_drift_is_relative_and_counts_first_labels():
    exact = GENERATOR.standard_normal((10, 12)).astype(np.float32)
    drift = measure_drift(exact, exact * np.float32(1.01), HEAD)
    assert drift.median == pytest.approx(0.01, rel=1e-3)
    assert drift.largest == pytest.approx(0.01, rel=1e-3)
    assert measure_drift(exact, exact, HEAD).agreeing == 10
    assert measure_drift(exact, -100 * exact, HEAD).agreeing < 10
    assert "Features in bfloat16 differ from float32 by 1.00 %" in drift.sentence("bfloat16")


def test_a_tflite_by_itself_is_a_model(tmp_path):
    path = tmp_path / "model_int8.tflite"
    path.write_bytes(tflite_model(tiny_tflite(), HEAD, bundle_of()))
    picture = noise(2, 2)
    expected = HEAD.probabilities(((picture.reshape(1, 12) - 127.5) / 127.5).astype(np.float32))[0]
    assert Classifier.open(path).scores(encode(picture)).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a LiteRT model"),
        (b"just text that is long enough", "is not a LiteRT model"),
        (b"\xff\xff\xff\x7fTFL3" + b"\xff" * 64, "is damaged"),
        (tiny_tflite(), "does not hold its 12 labels"),
    ],
)
def test_other_tflite_files_are_refused_unrun(tmp_path, content, said):
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        Classifier.open(tmp_path / "x.tflite")


def test_a_cut_tflite_is_refused():
    whole = tflite_model(tiny_tflite(), HEAD, bundle_of())
    assert read_tflite_bundle(whole, "x") == bundle_of()
    for length in range(0, len(whole) - 1, 37):
        with pytest.raises(ModelError):
            Classifier(read_tflite_bundle(whole[:length], "x"), LiteRuntime(whole[:length], 2, 2, feature_width=12))


def test_a_model_without_the_heads_integers_is_refused(tmp_path, monkeypatch):
    floating = tflite_model(tiny_tflite(), HEAD, bundle_of())
    (tmp_path / "m.pb").write_bytes(frozen_graph(tiny_graph(), HEAD, bundle_of()))
    facts = (tmp_path / "m.pb", floating, bundle_of(), noise(2, 2)[None], TensorFlowWorker())
    monkeypatch.setattr(tflite_int8, "_converted", lambda *_: floating)
    with pytest.raises(ModelError, match="takes floating-point numbers"):
        tflite_int8.int8_model(*facts)
    monkeypatch.setattr(tflite_int8, "_converted", lambda *_: tiny_tflite())
    with pytest.raises(ModelError, match="it has none"):
        tflite_int8.int8_model(*facts)


def test_a_float16_model_is_half_the_size_and_answers_alike():
    numbers = np.random.default_rng(1)
    head = Head(numbers.standard_normal((12, 400)).astype(np.float32), np.zeros(400, np.float32), 7)
    bundle = bundle_of([f"class {number}" for number in range(400)])
    whole = tflite_model(tiny_tflite(), head, bundle)
    narrow = fp16_model(whole)
    assert len(whole) - len(narrow) == pytest.approx(12 * 400 * 2, abs=400)
    assert read_tflite_bundle(narrow, "x") == bundle
    pixels = noise(2, 2)[None]
    ours, theirs = (score_all(tflite_scorer(one, SPEC), pixels) for one in (whole, narrow))
    assert 0 < np.abs(ours - theirs).max() < 1e-2
    assert fp16_model(whole) == narrow


def test_numbers_that_float16_cannot_hold_stay_as_they_are():
    weights = np.full((12, 400), 7e4, np.float32)
    whole = tflite_model(tiny_tflite(), Head(weights, np.zeros(400, np.float32), 7), bundle_of(["a"] * 400))
    assert len(fp16_model(whole)) >= len(whole) - 400
