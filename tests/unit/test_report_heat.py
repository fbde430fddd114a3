from types import SimpleNamespace

import numpy as np
import pytest
from support import encode

from retrain.config import RunConfig
from retrain.console import Console
from retrain.head import Head
from retrain.images import InputSpec
from retrain.results import heating
from retrain.results.heating import heat_of_mistakes

QUIET, SIDE = Console(quiet=True), 56
# Taken for "bright" wrongly: photographs 1 and 3, the latter more surely; 2 is right.
SCORES = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9]], np.float32)
LABELS = np.array([0, 0, 1, 0], np.intp)


class LeftHalf:
    """A backbone whose one feature is the brightness of a photograph's left half."""

    def __init__(self, tflite, spec):
        pass

    def features(self, pixels):
        return np.array([pixels[:, : pixels.shape[1] // 2].mean() / 255], np.float32)


@pytest.fixture
def training(monkeypatch):
    monkeypatch.setattr(heating, "FrozenBackbone", LeftHalf)
    monkeypatch.setattr(heating, "labels_of", lambda features: LABELS)
    return SimpleNamespace(
        config=RunConfig(heat_maps=2),
        backbone=SimpleNamespace(tflite=None),
        bundle=SimpleNamespace(input_spec=InputSpec(SIDE, SIDE, 0, 1), labels=("dark", "bright")),
        head=Head(np.array([[-4.0, 4.0]], np.float32), np.array([2.0, -2.0], np.float32), 0),
        features=None,
    )


def read(row):
    """Both halves are spotted alike, so that only the model can tell them apart."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[20:36, 8:20] = picture[20:36, 36:48] = 255
    return encode(picture)


def found(cooled):
    return SimpleNamespace(cooled=cooled, test_rows=np.array([3, 1, 3]), test_scores=SCORES[[3, 1, 3]])


@pytest.mark.parametrize("cooled", [SCORES, None])
def test_the_surest_mistakes_are_shown_with_what_speaks_for_the_wrong_answer(training, cooled):
    first, second = heat_of_mistakes(training, found(cooled), read, QUIET)
    assert (first.row, second.row) == (3, 1)
    assert first.sentence == "what speaks for bright"
    half = first.weights.shape[1] // 2
    assert first.weights[:, : half - 1].max() > 0.1  # covering the bright spot on the left costs brightness there
    assert np.abs(first.weights[:, half + 2 :]).max() < 1e-6  # the right half is not looked at


def test_none_are_made_unasked_and_a_photograph_that_is_gone_is_left_out(training):
    training.config = RunConfig()
    assert heat_of_mistakes(training, found(SCORES), read, QUIET) is None
    training.config = RunConfig(heat_maps=9)
    rows = [
        one.row for one in heat_of_mistakes(training, found(SCORES), lambda row: read(row) if row == 1 else None, QUIET)
    ]
    assert rows == [1]
    assert heat_of_mistakes(training, found(SCORES), lambda row: b"no image", QUIET) == ()


def test_heat_maps_need_a_report_to_be_shown_in():
    problems = RunConfig(image_dir="x", heat_maps=3, report=False).problems()
    assert any("--heat_maps=3 and --no_report" in problem for problem in problems)
