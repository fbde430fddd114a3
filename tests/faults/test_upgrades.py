"""Files of every past version are read, or refused with a sentence that names the version."""

import hashlib
import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT

from retrain import bundle
from retrain.backbones.prepare import PreparedBackbone, _whole
from retrain.backbones.table import find_backbone
from retrain.backbones.weights import WeightsFile
from retrain.bottlenecks import BottleneckStore, store
from retrain.bottlenecks.maintain import check_cache, mend, stats_of
from retrain.bottlenecks.prune import prune
from retrain.bundle import bundle_from_json
from retrain.classifier import Classifier
from retrain.dataset import ImageRecord
from retrain.errors import CacheError, ModelError, RetrainError, UsageError
from retrain.images import InputSpec
from retrain.insight.corrections import Correction, read_journal
from retrain.insight.memory import read_memory
from retrain.label import remembered
from retrain.pixels import PixelStore, index
from retrain.trainer.checkpoints import Checkpoints

GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))

import make  # noqa: E402

SHAS = [hashlib.sha256(name.encode()).digest() for name in make.NAMES]
GOLDEN_SCORES = [0.31669825, 0.33287951, 0.35042217]
RECORDS = [ImageRecord(name, 0, 100, 10**18, 10**18) for name in make.NAMES]


def copied(name: str, folder: Path, new: str = "") -> Path:
    return Path(shutil.copyfile(GOLDEN / name, folder / (new or name)))


def test_there_is_a_file_of_each_version_and_of_none_that_is_to_come():
    expected = {
        "bundle-": bundle.FORMAT_VERSION,
        "cache-": store.FORMAT_VERSION,
        "pixels-": index.FORMAT_VERSION,
    }
    for start, latest in expected.items():
        found = {int(path.stem.rpartition("-")[2]) for path in GOLDEN.glob(f"{start}*")}
        assert found == set(range(1, latest + 1)), start


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_description_of_each_version_is_read(version):
    found = bundle_from_json((GOLDEN / f"bundle-{version}.json").read_bytes(), "model.pb")
    assert found.labels == ("cats", "dogs")
    assert found.training == {"steps": 10.0}
    assert found.format == bundle.FORMAT_VERSION
    # What a version did not have is what it meant without saying so.
    assert (found.temperature, found.unknown_threshold) == ((1.0, 0.0) if version == 1 else (1.5, 0.25))
    assert (found.unknown, found.sets, found.sky, found.thresholds) == ({}, {}, None, ())


@pytest.mark.parametrize("version", [0, 4, 99, -1])
def test_a_description_of_another_version_is_refused_by_its_number(version):
    told = {**json.loads((GOLDEN / "bundle-3.json").read_text()), "format": version}
    with pytest.raises(ModelError, match=rf"format 1 to 3, got {version}; update this package"):
        bundle_from_json(json.dumps(told).encode(), "model.pb")


def test_a_whole_model_gives_its_scores(tmp_path):
    for suffix in (".pb", ".tflite", ".memory.npz"):
        copied(f"model-3{suffix}", tmp_path)
    with Classifier.open(tmp_path / "model-3.pb") as model:
        scores = model.scores(np.full((2, 2, 3), 90, np.uint8))
        told = model.bundle
    assert told.labels == ("class_0", "class_1", "class_2")
    assert np.allclose(scores, GOLDEN_SCORES, atol=1e-6)
    sha256 = hashlib.sha256((GOLDEN / "model-3.memory.npz").read_bytes()).hexdigest()
    assert len(read_memory(tmp_path / "model-3.memory.npz", sha256, told.feature_width, 3).labels) > 0


@pytest.mark.parametrize("version", [1, 2])
def test_a_cache_of_each_version_gives_its_vectors_and_loses_none(tmp_path, version):
    path = copied(f"cache-{version}.sqlite", tmp_path)
    assert stats_of(path).vectors == 3
    assert check_cache(path).damage == ()
    for _ in range(2):
        with BottleneckStore(path, make.FINGERPRINT, make.WIDTH) as cache:
            matrix, bad = cache.read_matrix(SHAS)
            assert bad == []
            assert matrix.tobytes() == np.stack([make.vector_of(name) for name in make.NAMES]).tobytes()
            # Entries of format 1 have no checksum: the files are read once more, and then known again.
            assert cache.recognise(make.ROOT, RECORDS) == (SHAS if version == 2 else [None] * 3)
            assert mend(cache) == []
    assert check_cache(path).damage == ()
    with BottleneckStore(path, make.FINGERPRINT, make.WIDTH) as cache:
        cache.put([], make.ROOT, [(record, 2 * 10**18, sha) for record, sha in zip(RECORDS, SHAS, strict=True)])
        assert cache.recognise(make.ROOT, RECORDS) == SHAS
    assert check_cache(path).damage == ()


@pytest.mark.parametrize("version", ["0", "3", "11", ""])
def test_a_cache_of_another_version_is_refused_by_its_number_and_stays_as_it_is(tmp_path, version):
    path = copied("cache-2.sqlite", tmp_path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'format'", (version,))
    before = path.read_bytes()
    with pytest.raises(CacheError, match=rf"'format': '{version}'.*move it away"):
        BottleneckStore(path, make.FINGERPRINT, make.WIDTH)
    for look in (
        stats_of,
        check_cache,
        lambda place: prune(place, dry_run=True),
        lambda place: prune(place, dry_run=False),
    ):
        with pytest.raises(CacheError, match=rf"format 1 or 2, got '{version}'"):
            look(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM vectors").fetchone() == (3,)
        assert db.execute("SELECT count(*) FROM files").fetchone() == (3,)
    assert len(path.read_bytes()) == len(before)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM meta WHERE key = 'fingerprint'", "say its fingerprint"),
        ("UPDATE meta SET value = 'wide' WHERE key = 'width'", "say its fingerprint and width"),
        ("DROP TABLE meta", "another SQLite file"),
    ],
)
def test_a_cache_that_does_not_say_what_it_is_is_refused(tmp_path, statement, message):
    path = copied("cache-2.sqlite", tmp_path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    for look in (stats_of, check_cache):
        with pytest.raises(CacheError, match=message):
            look(path)


def test_an_upgrade_that_is_interrupted_leaves_the_old_one(tmp_path, monkeypatch):
    path = copied("cache-1.sqlite", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_UPGRADE_1", (*store._UPGRADE_1, "SELECT no_such_column FROM meta"))
        with pytest.raises(CacheError):
            BottleneckStore(path, make.FINGERPRINT, make.WIDTH)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone() == ("1",)
        assert len(db.execute("SELECT * FROM files").fetchone()) == 7
    with BottleneckStore(path, make.FINGERPRINT, make.WIDTH) as cache:
        assert cache.read_matrix(SHAS)[1] == []


def test_a_checkpoint_is_read_and_one_of_another_training_is_named(tmp_path):
    # The version of the training is part of the digest: another version's is another training's.
    copied("checkpoint-1.npz", tmp_path, "checkpoint-0000000003.npz")
    with Checkpoints(tmp_path, "d" * 64, 2, print) as checkpoints:
        found = checkpoints.read(3)
    assert found.progress.step == 3
    assert found.arrays[0].tobytes() == make.vector_of("weights").tobytes()
    with (
        Checkpoints(tmp_path, "e" * 64, 2, print) as checkpoints,
        pytest.raises(RetrainError, match="belongs to another"),
    ):
        checkpoints.read(3)


def test_decoded_photographs_are_read_and_those_of_another_version_not_looked_for(tmp_path, monkeypatch):
    spec, key = InputSpec(2, 2, 127.5, 127.5), hashlib.sha256(b"a photograph").digest()
    path = index.rows_path(tmp_path, spec)
    copied("pixels-1.rows", tmp_path, path.name)
    copied("pixels-1.index", tmp_path, path.with_suffix(".index").name)
    kept, out = PixelStore(tmp_path, spec, [key], 10**6), np.zeros((1, 2, 2, 3), np.uint8)
    assert kept.read([key], out) == []
    kept.close()
    assert out.ravel().tolist() == list(range(12))
    monkeypatch.setattr(index, "FORMAT_VERSION", 2)
    assert index.rows_path(tmp_path, spec) != path


def test_a_journal_of_watching_is_read_and_one_of_another_version_refused(tmp_path):
    output = copied("watched-1.csv", tmp_path)
    path = copied("watched-1.csv.journal", tmp_path)
    head = {"format": "csv", "columns": ["path", "label"]}
    journal = remembered.Journal(str(output), head)
    journal.close()
    assert journal.done == {"1.jpg": (100, 10**18)}
    assert output.read_bytes() == b"1.jpg,cats\n"
    path.write_text(path.read_text().replace('"journal": 1', '"journal": 2'))
    with pytest.raises(RetrainError, match="version"):
        remembered.Journal(str(output), head)


def test_a_journal_of_fixes_is_read_and_another_refused(tmp_path):
    path = copied("fixed-1.jsonl", tmp_path, "fixed.jsonl")
    assert read_journal(tmp_path) == [(Correction("cats/1.jpg", "dogs/1.jpg"),)]
    path.write_text(path.read_text().replace('"fix": 1', '"fix": 1, "version": 2'))
    with pytest.raises(UsageError, match=r"line 1 of .*fixed\.jsonl is not one that fix writes"):
        read_journal(tmp_path)


def test_a_list_of_what_was_converted_is_read(tmp_path):
    for suffix in (".json", ".pb", ".tflite"):
        copied(f"backbone-1{suffix}", tmp_path)
    spec, weights = find_backbone("mobilenet_0.50_224"), WeightsFile(Path("w"), "given", "0" * 64)
    prepared = PreparedBackbone(spec, weights, tmp_path / "backbone-1.tflite", tmp_path / "backbone-1.pb")
    assert _whole(prepared)
    (tmp_path / "backbone-1.json").write_text('{"another": "version"}')
    assert not _whole(prepared)
