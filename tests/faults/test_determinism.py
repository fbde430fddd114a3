"""Runs of one command leave the same bytes, whatever the threads, the hash seed, the folder's name and the engine."""

import determinism
import pytest

from retrain.config.cluster import is_ray_installed

EXPECTED = {
    "out/labels.txt",
    "out/model.pb",
    "out/model.tflite",
    "out/model.memory.npz",
    "out/model.metrics.json",
    "out/model.model_card.md",
    "out/model.predictions.csv",
    "out/model.split.csv",
    "out/model.suspects.csv",
    "out/report.html",
    "summaries/results/bottlenecks.bytes",
    "summaries/results/sprite.jpg",
}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return determinism.fake(tmp_path_factory.mktemp("first") / "run", (1, "1", "local"))


def test_five_runs_are_equal_byte_for_byte(first, tmp_path):
    others = [
        determinism.fake(tmp_path / f"other{number}" / "run", circumstances)
        for number, circumstances in enumerate(determinism.in_other_circumstances(4, seed=0))
    ]
    assert set(first) >= EXPECTED
    assert determinism.differences([first, *others]) == []


@pytest.mark.ray
@pytest.mark.skipif(not is_ray_installed(), reason="Ray is not installed")
def test_ray_gives_the_same_bytes(first, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    assert determinism.differences([first, determinism.fake(tmp_path / "run", (2, "3", "ray"))]) == []


def test_a_difference_is_named():
    assert determinism.differences([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1"}]) == ["b"]
