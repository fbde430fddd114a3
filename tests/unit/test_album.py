"""Small pictures of photographs: made once, kept by content, made again where what is kept cannot be believed."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace

import fsspec
import numpy as np
import pytest
from support import digest, encode, scene, write_tree

from retrain import album
from retrain.album import SIDE, Album, album_of
from retrain.bottlenecks import Features, MemoryMatrix
from retrain.bottlenecks.maintain import check_cache, stats_of
from retrain.bottlenecks.prune import prune
from retrain.console import Console
from retrain.dataset import scan_folder, scan_photographs
from retrain.images import SkyStretch

COUNT = 6


class Told(Console):
    """A console that remembers what it warned of."""

    def __init__(self):
        super().__init__(quiet=True)
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


class Place:
    """Two classes of three photographs, and the folder of their album."""

    def __init__(self, folder):
        self.folder, self.caches = folder, folder / "bottlenecks"
        self.content = {f"{n}.jpg": encode(scene(n), "JPEG", quality=90) for n in range(COUNT)}
        names = sorted(self.content)
        halves = {"a": names[:3], "b": names[3:]}
        self.photos = write_tree(
            folder / "photos", {c: {n: self.content[n] for n in some} for c, some in halves.items()}
        )
        self.console, self.read = Told(), []

    def features(self, catalog=None):
        catalog = catalog or scan_folder(str(self.photos), "folder")
        shas = tuple(digest(self.content[record.path.split("/")[1]]) for record in catalog.records)
        return Features(catalog, shas, MemoryMatrix(np.ones((len(shas), 2), np.float32)), (), 0, 0)

    def album(self, features=None, **options):
        return album_of(features or self.features(), str(self.caches), self.console, threads=2, **options)

    @property
    def file(self):
        (path,) = self.caches.glob("album-*.sqlite")
        return path

    def change(self, statement, *values):
        with closing(sqlite3.connect(self.file)) as db, db:
            return db.execute(statement, values).rowcount


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def reads(monkeypatch):
    """Which files are read."""
    read, plain = [], album.read_image_file

    def counted(path):
        read.append(str(path).rsplit("/", 1)[1])
        return plain(path)

    monkeypatch.setattr(album, "read_image_file", counted)
    return read


ROWS = list(range(COUNT))


def test_a_square_is_the_middle_of_the_photograph(place):
    (square,) = place.album().squares([2], 64)
    photo = scene(2)
    edge = min(photo.size)
    left, top = (photo.width - edge) // 2, (photo.height - edge) // 2
    wanted = np.asarray(photo.crop((left, top, left + edge, top + edge)).resize((64, 64)), np.float64)
    assert square.shape == (64, 64, 3)
    assert np.abs(square - wanted).mean() < 6


@pytest.mark.parametrize("side", [64, 80, 112, SIDE])
def test_what_is_kept_is_what_was_made_and_no_photograph_is_read_again(place, reads, side):
    first = place.album().squares(ROWS, side)
    assert sorted(reads) == sorted(place.content)
    reads.clear()
    again = place.album().squares(ROWS, side)
    assert reads == []
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert place.console.warnings == []


def test_only_what_is_new_is_read(place, reads):
    place.album().squares([0, 1, 2, 1], 64)
    reads.clear()
    place.album().squares(ROWS, 80)
    assert sorted(reads) == ["3.jpg", "4.jpg", "5.jpg"]


def test_two_who_ask_for_the_same_size_share_one_decode(place, monkeypatch):
    one = place.album()
    one.squares(ROWS, 64)
    monkeypatch.setattr(album, "decode_upright", None)
    assert all(square is not None for square in one.squares([3, 3, 0], 64))


def test_the_same_content_under_another_name_or_folder_is_known(place, reads):
    place.album().squares(ROWS, 64)
    place.photos.rename(place.folder / "moved")
    place.photos = place.folder / "moved"
    (place.photos / "a" / "0.jpg").rename(place.photos / "b" / "0.jpg")
    reads.clear()
    place.album().squares(ROWS, 64)
    assert reads == []


def test_under_a_url_it_works_as_well(place, reads):
    files = fsspec.filesystem("memory")
    files.put(str(place.photos), "/album", recursive=True)
    try:
        features = place.features(scan_photographs("memory://album", "folder"))
        made = place.album(features).squares(ROWS, 64)
        reads.clear()
        again = place.album(features).squares(ROWS, 64)
    finally:
        files.rm("/album", recursive=True)
    assert reads == []
    assert all(np.array_equal(one, other) for one, other in zip(made, again, strict=True))


def test_a_damaged_row_is_made_again(place, reads):
    whole = place.album().squares(ROWS, 64)
    jpeg = b"\xff\xd8 no picture at all"
    assert place.change("UPDATE pictures SET picture = ? WHERE sha256 = ?", jpeg, digest(place.content["4.jpg"])) == 1
    (fault,) = check_cache(place.file).damage
    assert fault == "damaged picture of b/4.jpg"
    reads.clear()
    again = place.album().squares(ROWS, 64)
    assert reads == ["4.jpg"]
    assert all(np.array_equal(one, other) for one, other in zip(whole, again, strict=True))
    assert check_cache(place.file).damage == ()


def test_a_file_that_sqlite_cannot_read_is_moved_aside_and_made_anew(place, reads):
    place.album().squares(ROWS, 64)
    file = place.file
    file.write_bytes(b"not a database, of any kind" * 500)
    reads.clear()
    place.album().squares(ROWS, 64)
    assert len(reads) == COUNT
    assert list(place.caches.glob("album-*.sqlite.damaged-*"))
    assert "was damaged" in place.console.warnings[0]
    assert stats_of(file).pictures == COUNT


def test_where_nothing_can_be_kept_it_is_said_once_and_the_pictures_are_there(place):
    place.caches.write_bytes(b"a file in place of the folder")
    one = place.album()
    assert all(square is not None for square in [*one.squares(ROWS[:3], 64), *one.squares(ROWS, 80)])
    (warning,) = place.console.warnings
    assert warning.startswith("small pictures of the photographs are not kept: ")


def test_a_photograph_that_was_edited_since_is_shown_as_it_is_and_not_kept(place):
    features = place.features()
    (place.photos / "a" / "1.jpg").write_bytes(encode(scene(77), "JPEG"))
    (shown,) = place.album(features).squares([1], 64)
    (other,) = Album(lambda row: encode(scene(77), "JPEG")).squares([0], 64)
    assert np.array_equal(shown, other)
    place.album(features).squares([0], 64)
    assert stats_of(place.file).pictures == 1


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_what_cannot_be_read_any_more_is_nothing(place, content):
    target = place.photos / "a" / "1.jpg"
    features = place.features()
    if content is None:
        target.unlink()
    else:
        target.write_bytes(content)
    one = place.album(features)
    assert [square is None for square in one.squares([0, 1], 64)] == [False, True]
    assert one.upright(1, 64) is None
    assert one(0) == place.content["0.jpg"]


def test_the_oldest_go_where_there_are_too_many(place, monkeypatch, reads):
    monkeypatch.setattr(album, "MOST_PICTURES", 4)
    place.album().squares([0, 1, 2], 64)
    place.album().squares([3, 4], 64)
    assert stats_of(place.file).pictures == 4
    reads.clear()
    place.album().squares([3, 4, 1, 2], 64)
    assert reads == []
    place.album().squares([0], 64)
    assert reads == ["0.jpg"]


def test_of_several_files_the_latest_are_left(place, monkeypatch):
    monkeypatch.setattr(album, "MOST_FILES", 2)
    for version in (1, 2, 3):
        monkeypatch.setattr(album, "VERSION", version)
        place.album().squares([0], 64)
        for number, path in enumerate(sorted(place.caches.glob("album-*.sqlite"), key=os.path.getmtime)):
            os.utime(path, (number, number))
    assert len(list(place.caches.glob("album-*.sqlite"))) == 2


def test_another_version_believes_nothing_of_an_older_one(place, monkeypatch, reads):
    place.album().squares([0], 64)
    monkeypatch.setattr(album, "VERSION", album.VERSION + 1)
    place.album().squares([0], 64)
    assert reads == ["0.jpg", "0.jpg"]


def test_a_picture_of_the_sky_is_stretched_as_the_run_does_and_kept_apart(place):
    faint = np.zeros((40, 40), np.uint16)
    faint[10:30, 10:30] = 300
    data = encode(faint)
    place.content["0.jpg"] = data
    (place.photos / "a" / "0.jpg").write_bytes(data)
    features = place.features()
    (plain,) = place.album(features).squares([0], 64)
    (stretched,) = place.album(features, sky=SkyStretch("minmax", curve="linear")).squares([0], 64)
    assert plain.max() < 10
    assert stretched[32, 32].min() > 240
    assert len(list(place.caches.glob("album-*.sqlite"))) == 2


def test_pictures_of_photographs_that_are_gone_are_pruned(place, reads):
    place.album().squares(ROWS, 64)
    (place.photos / "b" / "5.jpg").unlink()
    would = prune(place.file, dry_run=True)
    assert (would.entries, would.vectors, would.pictures) == (1, 0, 1)
    assert would.freed > len(place.content["5.jpg"]) // 10
    assert stats_of(place.file).pictures == COUNT
    assert prune(place.file, dry_run=False).pictures == 1
    assert stats_of(place.file).pictures == COUNT - 1
    reads.clear()
    features = place.features()
    place.album(replace(features)).squares(ROWS[:-1], 64)
    assert reads == []
