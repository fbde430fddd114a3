import contextlib

import pytest
from support import FINGERPRINT, WIDTH, FakeEngine, digest, fake_features, write_tree

from retrain.bottlenecks import BottleneckStore, cache_path
from retrain.config import RunConfig
from retrain.dataset import scan_folder
from retrain.doctor import timing
from retrain.doctor.timing import SAMPLE, WARM_UP, Prediction, predict


class Spec:
    name, feature_width = "tiny", WIDTH


class Backbone:
    spec, fingerprint = Spec, FINGERPRINT


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(timing, "extractor_of", lambda config, backbone: contextlib.nullcontext(fake_features))
    monkeypatch.setattr(timing, "engine_of", lambda config, extract_one: fake)
    return fake


@pytest.fixture
def catalog(tmp_path):
    many = {name: {f"{i:03}.jpg": f"{name}{i}".encode() for i in range(100)} for name in ("cats", "dogs")}
    return scan_folder(str(write_tree(tmp_path / "photos", many)), "folder")


def config_in(tmp_path):
    return RunConfig(bottleneck_dir=str(tmp_path / "cache"))


def test_a_sample_of_all_classes_is_measured_and_no_cache_is_made(tmp_path, catalog, engine):
    prediction = predict(config_in(tmp_path), catalog, Backbone)
    assert (prediction.photographs, prediction.uncached) == (200, 200)
    assert prediction.seconds == pytest.approx(200 / prediction.rate)
    assert len(engine.extracted) == SAMPLE + WARM_UP
    assert sorted(set(engine.extracted))[-1] > "090.jpg"
    assert not (tmp_path / "cache").exists()


def test_what_the_cache_knows_is_not_counted(tmp_path, catalog, engine):
    path = cache_path(tmp_path / "cache", "tiny", FINGERPRINT)
    known = catalog.records[:199]
    shas = [digest(f"{record.path[:4]}{int(record.path[5:8])}".encode()) for record in known]
    with BottleneckStore(path, FINGERPRINT, WIDTH) as store:
        later = max(record.ctime_ns for record in known) + 10**10
        rows = [(record, later, sha) for record, sha in zip(known, shas, strict=True)]
        store.put([(sha, fake_features(sha)) for sha in shas], catalog.root, rows)
    assert predict(config_in(tmp_path), catalog, Backbone).uncached == 1
    assert engine.extracted == ["099.jpg"]


def test_nothing_is_measured_where_all_is_cached(tmp_path, catalog, engine, monkeypatch):
    monkeypatch.setattr(timing, "_uncached", lambda *given: [])
    assert predict(config_in(tmp_path), catalog, Backbone) == Prediction(200, 0, 0.0, 0.0)
    assert engine.extracted == []


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "about 1 s"), (89, "about 89 s"), (600, "about 10 min"), (7200, "about 2 h 0 min")]
)
def test_the_prediction_is_a_sentence(seconds, said):
    assert said in Prediction(200, 100, 50.0, seconds).sentence()
    assert "100 of 200 photographs are not cached yet" in Prediction(200, 100, 50.0, seconds).sentence()
    assert "were not cached before" in Prediction(200, 100, 50.0, seconds).sentence(is_past=True)
    assert Prediction(200, 0, 0.0, 0.0).sentence().startswith("All 200 photographs are cached")
