"""The cache's tools where something is not as it was: files that go, disks that fail, texts of another kind."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support import FINGERPRINT, WIDTH, FakeEngine, digest, fake_features
from test_maintain import NAMES, Place

from retrain.bottlenecks import FileMatrix, MemoryMatrix, matrix, store, trial, unverified
from retrain.bottlenecks.export import Export, write_texts
from retrain.bottlenecks.maintain import check_cache, stats_of
from retrain.bottlenecks.opening import alone, reading, set_damaged_aside
from retrain.bottlenecks.transfer import (
    choose_suffix,
    find_texts,
    import_texts,
    imported_cache,
    read_text,
    usual_width,
)
from retrain.bottlenecks.trial import TOLERANCE, Trial, try_out
from retrain.dataset import scan_folder
from retrain.errors import CacheError, UsageError


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def refusing(number=errno.EIO):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    return refuse


# Opening


def as_on_a_read_only_disk(place):
    """SQLite cannot make its two files beside the cache: links that lead to no folder stand in their places."""
    with closing(sqlite3.connect(place.cache)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    for ending in ("-wal", "-shm"):
        (place.bottlenecks / f"{place.cache.name}{ending}").symlink_to(place.folder / "nowhere" / "x")


def test_a_cache_on_a_read_only_disk_is_read_all_the_same(place):
    as_on_a_read_only_disk(place)
    assert stats_of(place.cache).vectors == 6
    assert check_cache(place.cache).damage == ()


def test_a_cache_on_a_read_only_disk_that_was_not_closed_is_refused(place):
    as_on_a_read_only_disk(place)
    wal = place.bottlenecks / f"{place.cache.name}-wal"
    wal.unlink()
    wal.write_bytes(b"what is not in the file yet")
    with pytest.raises(CacheError, match="unable to open database file; "):
        stats_of(place.cache)


def test_a_cache_that_is_read_cannot_be_changed(place):
    with pytest.raises(CacheError, match="readonly"), reading(place.cache) as db:
        db.execute("DELETE FROM vectors")
    assert stats_of(place.cache).vectors == 6


def test_a_cache_that_another_has_open_is_not_had_alone(place):
    with closing(sqlite3.connect(place.cache)) as other:
        other.execute("SELECT count(*) FROM vectors").fetchone()
        with pytest.raises(CacheError, match="is in use by another process"), alone(place.cache):
            pass
    with alone(place.cache) as db:
        assert db.execute("SELECT count(*) FROM vectors").fetchone() == (6,)


def test_what_lies_beside_a_damaged_cache_goes_with_it(place):
    place.cache.write_bytes(b"no cache at all" * 1000)
    for ending in ("-wal", "-shm"):
        (place.bottlenecks / f"{place.cache.name}{ending}").write_bytes(b"x")
    aside = set_damaged_aside(place.cache, 1.0)
    assert aside is not None
    assert aside.name.startswith(f"{place.cache.name}.damaged-")
    assert [path.name for path in place.bottlenecks.iterdir()] == [aside.name]


def test_a_cache_that_is_a_folder_is_no_damage(tmp_path):
    (tmp_path / "x.sqlite").mkdir()
    with pytest.raises(CacheError, match=r"cannot open the bottleneck cache .*x\.sqlite: unable to open"):
        set_damaged_aside(tmp_path / "x.sqlite", 1.0)
    assert (tmp_path / "x.sqlite").is_dir()


# Rows in a file


def test_a_file_of_features_that_the_disk_does_not_give_back_is_said_to_be(tmp_path, monkeypatch):
    rows = FileMatrix(tmp_path, 3, 2)
    rows.write(np.array([1]), np.ones((1, 2), np.float32))
    monkeypatch.setattr(matrix, "_read_at", refusing())
    with pytest.raises(CacheError, match=f"cannot read features from a file in {tmp_path}: Input/output error"):
        rows.take(np.array([1]))


def test_a_file_of_features_that_the_disk_does_not_take_is_said_to_be(tmp_path, monkeypatch):
    rows = FileMatrix(tmp_path, 3, 2)
    monkeypatch.setattr(matrix, "_write_all", refusing(errno.ENOSPC))
    with pytest.raises(CacheError, match=f"cannot write features to a file in {tmp_path}: No space left on device"):
        rows.write(np.array([1]), np.ones((1, 2), np.float32))


def test_a_folder_in_which_no_file_of_features_can_be_made_is_named(tmp_path):
    with pytest.raises(CacheError, match=f"cannot make a file of features in {tmp_path}/nowhere"):
        FileMatrix(tmp_path / "nowhere", 3, 2)


# Vectors of others


def lent(place, contents, wrong=()):
    """Put unverified vectors of some contents into a cache of their own, and give the open cache."""
    opened = place.opened()
    unverified.keep(opened, [(digest(content), fake_features(content)) for content in contents], "texts")
    with opened.writing() as db:
        for content in wrong:
            db.execute("UPDATE unverified SET checksum = checksum + 1 WHERE sha256 = ?", (digest(content),))
    return opened


@pytest.mark.parametrize("fits", [True, False], ids=["in memory", "in a file"])
def test_unverified_vectors_are_lent_to_rows_wherever_these_lie(place, monkeypatch, fits):
    monkeypatch.setattr(store, "features_fit", lambda *_: fits)
    contents = [b"new", b"damaged", b"nowhere", b"cats 0"]
    with lent(place, contents[:2], wrong=[b"damaged"]) as opened:
        hashes = [digest(content) for content in contents]
        rows, bad = opened.read_rows(hashes, 0)
        assert (isinstance(rows, MemoryMatrix), bad) == (fits, [0, 1, 2])
        assert unverified.lend(opened, rows, hashes, bad) == [1, 2]
        found = rows.take(np.arange(4))
    assert (found == np.stack([fake_features(b"new"), *np.zeros((2, WIDTH)), fake_features(b"cats 0")])).all()


def test_rows_of_another_kind_are_not_lent_to(place):
    with lent(place, [b"new"]) as opened, pytest.raises(TypeError, match="cannot write to list"):
        unverified.lend(opened, [np.zeros(WIDTH)], [digest(b"new")], [0])


def test_a_content_that_has_a_vector_is_not_kept_again(place):
    with place.opened() as opened:
        vectors = [(digest(content), np.ones(WIDTH, np.float32)) for content in (b"cats 0", b"new", b"other")]
        assert unverified.keep(opened, vectors, "texts") == 2
        assert unverified.keep(opened, [], "texts") == 0
        assert unverified.known(opened) == {digest(b"new"), digest(b"other")}


class Changing(FakeEngine):
    """An engine to which the photographs are not what they were: one changed, one cannot be read any more."""

    def extract(self, jobs, known):
        for job, answer in zip(jobs, super().extract(jobs, known), strict=True):
            if job.path.endswith("0.jpg"):
                yield answer.__class__(job.index, answer.read_ns, digest(b"other"), answer.vector, None, answer.stamp)
            elif job.path.endswith("1.jpg"):
                yield answer.__class__(job.index, answer.read_ns, answer.sha256, None, None, answer.stamp)
            else:
                yield answer


def with_unverified(place):
    """All photographs recognised, none with a vector of our own, all with one of others."""
    contents = [f"{name} {number}".encode() for name in NAMES for number in range(3)]
    place.change("DELETE FROM vectors")
    return lent(place, contents)


def test_a_sample_counts_only_what_is_still_the_same_photograph(place):
    with with_unverified(place) as opened:
        found = try_out(opened, scan_folder(str(place.photos), "folder"), Changing(), -1)
        assert (found.tested, found.worst, found.promoted, found.dropped) == (2, 0.0, 4, 0)
        assert found.passed
        assert unverified.known(opened) == set()
        assert len(opened.known_hashes()) == 6


def test_a_sample_of_which_nothing_could_be_computed_decides_nothing(place):
    class Silent(FakeEngine):
        def extract(self, jobs, known):
            yield from (
                answer.__class__(answer.index, answer.read_ns, None, None, None, None)
                for answer in super().extract(jobs, known)
            )

    with with_unverified(place) as opened:
        assert try_out(opened, scan_folder(str(place.photos), "folder"), Silent(), 2) == Trial(0, 0.0, 0, 0)
        assert len(unverified.known(opened)) == 6


@pytest.mark.parametrize(("worst", "passed"), [(0.0, True), (TOLERANCE, True), (TOLERANCE * 1.01, False)])
def test_a_trial_passes_within_the_tolerance(worst, passed):
    assert Trial(1, worst, 0, 0).passed is passed


def test_the_distance_is_relative_to_our_own_vector():
    assert trial._distance(np.array([2.0]), np.array([1.0])) == 1.0
    assert trial._distance(np.array([0.0]), np.array([0.0])) == 0.0


# Texts of the original


def texts_of(place, suffix="_inception"):
    folder = place.folder / "texts" / "cats"
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"{number}.jpg{suffix}.txt").write_text(",".join(["0.5"] * WIDTH))
    return find_texts(place.folder / "texts", scan_folder(str(place.photos), "folder"))


def test_a_text_that_is_too_large_or_cannot_be_read_is_said_to_be(place, monkeypatch):
    (text, other) = texts_of(place)
    monkeypatch.setattr("retrain.bottlenecks.transfer._MAX_TEXT_BYTES", 10)
    assert read_text(text.path) == "too large for a bottleneck"
    other.path.unlink()
    other.path.mkdir()
    assert read_text(other.path) == "cannot be read: Is a directory"


def test_texts_that_none_can_be_read_of_say_what_the_first_is(place):
    texts = texts_of(place)
    for text in texts:
        text.path.write_text("0.5,half")
    with pytest.raises(UsageError, match=r"got something that is no number"):
        usual_width(texts)
    for text in texts:
        text.path.write_text("0.5,1e99")
    with pytest.raises(UsageError, match="got a number that is not finite"):
        usual_width(texts)


def test_no_texts_and_a_choice_of_texts_are_refused(place):
    with pytest.raises(UsageError, match="expected text bottlenecks such as"):
        choose_suffix([], "")
    texts = texts_of(place)
    assert choose_suffix(texts, "") == texts
    with pytest.raises(UsageError, match=r"got mobilenet; found inception \(2\)"):
        choose_suffix(texts, "mobilenet")


def test_a_photograph_that_is_gone_rejects_its_text(place):
    texts = texts_of(place)
    catalog = scan_folder(str(place.photos), "folder")
    (place.photos / "cats" / "0.jpg").unlink()
    with imported_cache(str(place.folder / "other"), "inception", WIDTH) as opened:
        found = import_texts(texts, catalog, opened, own_cache=True)
    assert found.rejected == (f"{texts[0].path}: its photograph cannot be read: No such file or directory",)
    assert (found.kept, found.known, found.absent, found.older) == (1, 0, 4, 0)


def test_a_photograph_newer_than_its_text_is_counted(place):
    texts = texts_of(place)
    os.utime(texts[0].path, ns=(0, 0))
    with imported_cache(str(place.folder / "other"), "inception", WIDTH) as opened:
        found = import_texts(texts, scan_folder(str(place.photos), "folder"), opened, own_cache=False)
    assert (found.kept, found.older, found.rejected) == (2, 1, ())


# Export


def exported():
    values = np.array([[0.1, 2.0]], np.float32)
    return Export(("cats/1.jpg",), ("00" * 32,), values, "inception")


@pytest.mark.parametrize("has_sync", [True, False])
def test_texts_are_written_on_systems_without_a_sync_of_all_too(tmp_path, monkeypatch, has_sync):
    if not has_sync:
        monkeypatch.delattr(os, "sync")
    write_texts(exported(), tmp_path / "out")
    assert Path(tmp_path, "out", "cats", "1.jpg_inception.txt").read_text() == "0.1,2.0"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_fingerprint_is_a_caches_own(place):
    with pytest.raises(CacheError, match=r"expected .* to be a cache of"):
        store.BottleneckStore(place.cache, FINGERPRINT[::-1], WIDTH)
