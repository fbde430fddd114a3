"""Near duplicates in a run: found by vectors, decided by looks, remembered, and kept on one side."""

import dataclasses
import sqlite3

import fsspec
import numpy as np
import pytest
from support import FINGERPRINT, digest, encode, scene, write_tree

from retrain.alike import near
from retrain.alike.candidates import have_neighbours
from retrain.alike.near import near_duplicates
from retrain.bottlenecks import BottleneckStore, Features, FileMatrix, MemoryMatrix
from retrain.bottlenecks.prune import prune
from retrain.console import Console
from retrain.dataset import scan_folder, scan_photographs

WIDTH = 64


def jpeg(picture, quality=90):
    return encode(picture, "JPEG", quality=quality)


def vector(number):
    """What a backbone makes of one scene; all are somewhat alike, as photographs are."""
    rng = np.random.default_rng(number)
    return (np.full(WIDTH, 0.5) + rng.normal(size=WIDTH)).astype(np.float32)


# name -> (scene, its bytes): two scenes three times each, once under the same bytes, and six once.
PHOTOS = {f"{n}.jpg": (n, jpeg(scene(n))) for n in range(8)}
PHOTOS |= {
    "0 small.jpg": (0, jpeg(scene(0).resize((120, 96)))),
    "0 cut.jpg": (0, jpeg(scene(0).crop((3, 6, 193, 158)))),
    "1 poor.jpg": (1, jpeg(scene(1), 40)),
    "1 same.jpg": (1, jpeg(scene(1))),
}
GROUPS = {frozenset({"0.jpg", "0 small.jpg", "0 cut.jpg"}), frozenset({"1.jpg", "1 poor.jpg"})}


@pytest.fixture
def tree(tmp_path):
    names = sorted(PHOTOS)
    halves = {"a": names[::2], "b": names[1::2]}
    return write_tree(tmp_path / "photos", {c: {n: PHOTOS[n][1] for n in some} for c, some in halves.items()})


def features_of(catalog, rows=MemoryMatrix):
    names = [record.path.split("/")[1] for record in catalog.records]
    vectors = np.stack([vector(PHOTOS[name][0]) for name in names])
    shas = tuple(digest(PHOTOS[name][1]) for name in names)
    return Features(catalog, shas, rows(vectors), (), 0, 0)


@pytest.fixture
def features(tree):
    return features_of(scan_folder(str(tree), "folder"))


@pytest.fixture
def reads(monkeypatch):
    """Which files are read."""
    read, plain = [], near.read_image_file

    def counted(path):
        read.append(str(path).rsplit("/", 1)[1])
        return plain(path)

    monkeypatch.setattr(near, "read_image_file", counted)
    return read


def found(features, tmp_path, console=None):
    with BottleneckStore(tmp_path / "cache.sqlite", FINGERPRINT, WIDTH) as store:
        pairs = near_duplicates(features, store, console or Console(quiet=True))
    names = [record.path.split("/")[1] for record in features.catalog.records]
    groups = []
    for one, other in pairs:
        pair = {names[one], names[other]}
        joined = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair] + [pair.union(*joined)]
    return {frozenset(group) for group in groups}


def named(groups):
    """Whichever of two files of the same bytes stands for both."""
    return {frozenset("1.jpg" if name == "1 same.jpg" else name for name in group) for group in groups}


def test_copies_are_found_whatever_class_they_lie_in(features, tmp_path):
    assert named(found(features, tmp_path)) == GROUPS


def test_only_photographs_with_a_neighbour_are_read_and_none_the_second_time(features, tmp_path, reads):
    first = found(features, tmp_path)
    assert len(reads) == len(set(reads)) == 5
    assert {PHOTOS[name][0] for name in reads} == {0, 1}
    reads.clear()
    assert found(features, tmp_path) == first
    assert reads == []


def test_of_a_set_that_changed_only_what_is_new_is_read(tree, features, tmp_path, reads):
    some = tuple(r for r in features.catalog.records if not r.path.endswith("0 cut.jpg"))
    fewer = features_of(dataclasses.replace(features.catalog, records=some))
    assert len(max(found(fewer, tmp_path), key=len)) == 2
    reads.clear()
    assert named(found(features, tmp_path)) == GROUPS
    assert reads == ["0 cut.jpg"]


@pytest.fixture
def compared(monkeypatch):
    """How many pairs were laid upon each other, each time."""
    counts, plain = [], near.likenesses

    def counted(thumbnails, first, second, enough):
        counts.append(len(first))
        return plain(thumbnails, first, second, enough)

    monkeypatch.setattr(near, "likenesses", counted)
    return counts


def test_of_a_set_that_changed_only_pairs_with_a_new_photograph_are_compared(features, tmp_path, compared):
    some = tuple(r for r in features.catalog.records if not r.path.endswith("0 cut.jpg"))
    found(features_of(dataclasses.replace(features.catalog, records=some)), tmp_path)
    assert named(found(features, tmp_path)) == GROUPS
    named_anew = named(found(features, tmp_path / "other"))
    assert compared[0] + compared[1] == compared[2]
    assert 0 < compared[1] < compared[0] + compared[1]
    assert named_anew == GROUPS
    fewer = tuple(r for r in features.catalog.records if not r.path.endswith("0 small.jpg"))
    found(features_of(dataclasses.replace(features.catalog, records=fewer)), tmp_path)
    assert compared[3] == 0


def test_a_damaged_likeness_is_found_again(features, tmp_path, compared):
    found(features, tmp_path)
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        db.execute("UPDATE likenesses_1 SET likeness = ?", (np.float32(0).tobytes(),))
        db.execute("DELETE FROM comparisons_1")
    db.close()
    assert named(found(features, tmp_path)) == GROUPS
    assert compared[1] == compared[0]


def test_renaming_reads_nothing_and_finds_the_same(features, tmp_path, reads):
    before = found(features, tmp_path)
    reads.clear()
    order = np.random.default_rng(0).permutation(len(features.sha256s))
    mixed = dataclasses.replace(features.catalog, records=tuple(features.catalog.records[i] for i in order))
    assert named(found(features_of(mixed), tmp_path)) == named(before)
    assert reads == []


def test_photographs_under_a_url_are_read_there(tree, tmp_path, reads):
    files = fsspec.filesystem("memory")
    files.put(str(tree), "/near", recursive=True)
    try:
        catalog = scan_photographs("memory://near", "folder")
        assert named(found(features_of(catalog), tmp_path)) == GROUPS
    finally:
        files.rm("/near", recursive=True)
    assert len(reads) == 5


def test_what_has_been_looked_at_already_is_not_read(features, tmp_path, reads):
    seen = {}
    for name in ("0.jpg", "0 cut.jpg", "1.jpg", "5.jpg"):
        print_ = near.fingerprint(PHOTOS[name][1])
        seen[print_.sha256] = (print_.thumbnail, print_.bits)
    with BottleneckStore(tmp_path / "cache.sqlite", FINGERPRINT, WIDTH) as store:
        lent = near_duplicates(features, store, Console(quiet=True), seen=seen)
    assert sorted(reads) == ["0 small.jpg", "1 poor.jpg"]
    assert lent == near_pairs_of(features, tmp_path / "other")
    some = dataclasses.replace(features.catalog, records=features.catalog.records[1:])
    reads.clear()
    found(features_of(some), tmp_path)
    assert reads == []


def near_pairs_of(features, folder):
    with BottleneckStore(folder / "cache.sqlite", FINGERPRINT, WIDTH) as store:
        return near_duplicates(features, store, Console(quiet=True))


def test_looks_of_photographs_that_are_gone_are_pruned(tree, features, tmp_path):
    found(features, tmp_path)
    path = tmp_path / "cache.sqlite"
    with BottleneckStore(path, FINGERPRINT, WIDTH) as store:
        vectors = zip(features.sha256s, features.matrix, strict=True)
        files = zip(features.catalog.records, [2**62] * len(features.sha256s), features.sha256s, strict=True)
        store.put(vectors, str(tree), files)
    (gone,) = tree.glob("*/0 cut.jpg")
    gone.unlink()
    prune(path, dry_run=False)
    db = sqlite3.connect(path)
    left = {row[0] for row in db.execute("SELECT sha256 FROM looks_1")}
    db.close()
    assert len(left) == 4
    assert digest(PHOTOS["0 cut.jpg"][1]) not in left


def test_features_that_lie_in_a_file_do_as_well(features, tmp_path):
    def in_a_file(vectors):
        rows = FileMatrix(tmp_path, *vectors.shape)
        rows.write(np.arange(len(vectors)), vectors)
        return rows

    assert named(found(features_of(features.catalog, in_a_file), tmp_path)) == GROUPS


def test_a_photograph_that_changed_or_went_meanwhile_is_told_and_compared_again_by_the_next_run(
    tree, features, tmp_path, reads, capsys
):
    (small,) = tree.glob("*/0 small.jpg")
    (cut,) = tree.glob("*/0 cut.jpg")
    small.write_bytes(jpeg(scene(30)))
    cut.unlink()
    assert named(found(features, tmp_path, Console())) == {frozenset({"1.jpg", "1 poor.jpg"})}
    assert "WARNING: 2 photographs changed or could not be read again" in capsys.readouterr().out
    small.write_bytes(PHOTOS["0 small.jpg"][1])
    cut.write_bytes(PHOTOS["0 cut.jpg"][1])
    reads.clear()
    assert named(found(features, tmp_path)) == GROUPS
    assert sorted(reads) == ["0 cut.jpg", "0 small.jpg"]


@pytest.mark.parametrize("column", ["pairs", "checksum"])
def test_what_is_kept_and_damaged_is_found_anew(features, tmp_path, reads, column):
    before = found(features, tmp_path)
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        db.execute(f"UPDATE comparisons_1 SET {column} = x'00'")  # noqa: S608
        db.execute("UPDATE looks_1 SET look = substr(look, 1, 100) || x'ff' || substr(look, 102) WHERE rowid = 1")
        db.execute("UPDATE looks_1 SET look = 'text' WHERE rowid = 2")
    db.close()
    reads.clear()
    assert found(features, tmp_path) == before
    assert len(reads) == 2


def test_the_latest_comparisons_are_remembered(tmp_path):
    from retrain.alike import kept

    pair = (bytes(32), b"\1" * 32)
    with BottleneckStore(tmp_path / "cache.sqlite", FINGERPRINT, WIDTH) as store:
        for number in range(20):
            kept.remember(store, digest(b"%d" % number), [pair] * (number % 3))
        known = [kept.recall(store, digest(b"%d" % number)) for number in range(20)]
    assert known == [None] * 4 + [[pair] * (number % 3) for number in range(4, 20)]


def test_imported_vectors_are_a_comparison_of_their_own(features, tmp_path):
    apart = np.stack([vector(100 + n) for n in range(len(features.sha256s))])
    imported = dataclasses.replace(features, rows=MemoryMatrix(apart), unverified=3)
    assert found(imported, tmp_path) == set()
    assert named(found(features, tmp_path)) == GROUPS


def test_more_photographs_than_can_be_compared_are_told(features, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(near, "MOST_PHOTOGRAPHS", 5)
    assert found(features, tmp_path, Console()) == set()
    said = capsys.readouterr().out
    assert "not looked for among more than 5 different photographs, and there are 11" in said
    assert "--group_by" in said


@pytest.mark.parametrize("block", [3, 7, 100])
def test_blocks_find_the_neighbours_of_one_product(block, monkeypatch):
    monkeypatch.setattr("retrain.alike.candidates._BLOCK", block)
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    vectors[7] = 0
    which = np.random.default_rng(1).permutation(40)[:31]
    unit = vectors[which] / np.maximum(np.linalg.norm(vectors[which], axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    least = 0.9
    assert (np.abs(cosines - least) > 1e-4).all()
    answer = have_neighbours(MemoryMatrix(vectors), which, least)
    assert (answer == (cosines >= least).any(axis=1)).all()
    assert 0 < answer.sum() < 31
