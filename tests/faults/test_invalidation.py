"""Fourteen things that change between two runs, and how many of twelve vectors are computed again for each."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from unittest import mock

import fake_run
import numpy as np
import pytest
from PIL import Image
from support import FakeEngine, vouch

from retrain.backbones import find_backbone, prepare
from retrain.backbones.prepare import PreparedBackbone
from retrain.backbones.weights import WeightsFile
from retrain.bottlenecks import BottleneckStore, cache_path, collect_features
from retrain.bottlenecks.entries import NONE_YET
from retrain.bottlenecks.store import checked_row
from retrain.console import Console
from retrain.dataset import scan_folder

ALL = 12
COUNTS = re.compile(r"(\d+) bottleneck files created\. (\d+) bottlenecks in use")


class Place:
    """Twelve photographs that were trained on once."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.flags = fake_run.prepare(folder)
        self.photos = folder / "photos"
        # The codec of BMP keeps the size, whatever is in the picture.
        self.bitmap = self.photos / "class_0" / "0000.bmp"
        Image.open(self.photos / "class_0" / "0000.png").save(self.bitmap)
        (self.photos / "class_0" / "0000.png").unlink()
        assert self.made() == ALL
        assert self.made() == 0

    def made(self, *more, code=0):
        """Run; how many vectors were computed."""
        self.capsys.readouterr()
        assert fake_run.run_here([*self.flags, *more]) == code
        said = self.capsys.readouterr()
        if code:
            return said.err
        made, used = map(int, COUNTS.search(said.out).groups())
        assert used == sum(1 for path in self.image_dir(more).rglob("*") if path.suffix in (".png", ".bmp"))
        return made

    def image_dir(self, more):
        words = [word for word in (*self.flags, *more) if word.startswith("--image_dir=")]
        return Path(words[-1].removeprefix("--image_dir="))

    @property
    def caches(self):
        return sorted((self.folder / "bottlenecks").glob("network_*.sqlite"))

    def change(self, *statements, vouched=True):
        with closing(sqlite3.connect(self.caches[0])) as db, db:
            for statement, *values in statements:
                db.execute(statement, values)
            if vouched:
                vouch(db)

    def repaint(self):
        """Another picture in the same number of bytes, and the old date."""
        before = self.bitmap.stat()
        with Image.open(self.bitmap) as picture:
            changed = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM).point(lambda value: 255 - value)
        changed.save(self.bitmap)
        os.utime(self.bitmap, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = self.bitmap.stat()
        assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)

    def reword(self, **changes):
        """Other words of the flags."""
        for name, value in changes.items():
            self.flags = [word for word in self.flags if not word.startswith(f"--{name}=")] + [f"--{name}={value}"]


@pytest.fixture
def place(tmp_path, capsys):
    return Place(tmp_path / "run", capsys)


def test_01_other_bytes_of_the_same_size_and_date_are_one_vector_by_the_date_of_the_inode(place):
    place.repaint()
    assert place.made() == 1


def test_01_and_where_even_that_date_is_the_same_verify_cache_finds_it(place):
    place.repaint()
    status = place.bitmap.stat()
    name = b"class_0/0000.bmp"
    index = "UPDATE files SET mtime_ns = ?, ctime_ns = ?, read_ns = ? WHERE path = ?"
    place.change((index, status.st_mtime_ns, status.st_ctime_ns, status.st_ctime_ns + 10**13, name))
    assert place.made() == 0  # as no date tells; nobody but who sets the clock back comes here
    assert place.made("--verify_cache") == 1
    assert place.made("--verify_cache") == 0


def test_02_a_renamed_photograph_needs_no_vector(place):
    place.bitmap.rename(place.bitmap.with_name("renamed.bmp"))
    assert place.made() == 0


def test_03_a_moved_folder_needs_none(place):
    moved = place.folder / "elsewhere"
    place.photos.rename(moved)
    place.reword(image_dir=moved)
    assert place.made() == 0


def test_04_another_architecture_needs_all_and_leaves_the_others_alone(place):
    first = place.flags
    other = place.folder / "other.json"
    other.write_text(json.dumps({**fake_run.NETWORK, "name": "other"}))
    place.reword(architecture=other)
    fake_run._converted(place.flags)
    assert place.made() == ALL
    place.flags = first
    assert place.made() == 0
    assert len(place.caches) == 2


def collected(folder, spec):
    """How many vectors a cache of a backbone needs, named and opened as a run does."""
    weights = WeightsFile(Path("w"), "given", "0" * 64)
    fingerprint = PreparedBackbone(spec, weights, Path("t"), Path("g")).fingerprint
    path = cache_path(folder / "bottlenecks", spec.name, fingerprint)
    engine = FakeEngine()
    with BottleneckStore(path, fingerprint, 8) as store:
        catalog = scan_folder(str(folder / "photos"), "folder")
        features = collect_features(catalog, store, engine, Console(quiet=True), 5.0, str(folder / "skipped.csv"))
    return features.extracted


@pytest.mark.parametrize("other", ["mobilenet_0.75_224", "mobilenet_0.50_192"], ids=["05 width", "06 input size"])
def test_another_width_or_input_size_needs_all(place, other):
    first = find_backbone("mobilenet_0.50_224")
    for spec, expected in (
        (first, ALL),
        (first, 0),
        (find_backbone(other), ALL),
        (find_backbone(other), 0),
        (first, 0),
    ):
        assert collected(place.folder, spec) == expected


def test_06_and_an_input_size_of_one_architecture_alone_does_so(place):
    first = find_backbone("mobilenet_0.50_224")
    larger = replace(first, input_spec=replace(first.input_spec, height=256))
    for spec, expected in ((first, ALL), (larger, ALL), (first, 0)):
        assert collected(place.folder, spec) == expected


def test_07_another_weights_file_needs_all(place):
    np.savez(place.folder / "network.npz", np.eye(3, dtype=np.float32)[None, None], np.ones(3, np.float32))
    fake_run._converted(place.flags)
    assert place.made() == ALL


def test_08_another_version_of_the_preprocessing_needs_all(place):
    with mock.patch.object(prepare, "PREPROCESSING_VERSION", prepare.PREPROCESSING_VERSION + 1):
        assert place.made() == ALL
    assert place.made() == 0


def test_08_and_another_version_of_the_conversion_does(place):
    with mock.patch.object(prepare, "CONVERSION_VERSION", prepare.CONVERSION_VERSION + 1):
        fake_run._converted(place.flags)
        assert place.made() == ALL
    assert place.made() == 0


def views_of(place):
    with closing(sqlite3.connect(place.caches[0])) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'views'").fetchone():
            return 0
        return db.execute("SELECT count(*) FROM views").fetchone()[0]


def test_09_distortions_need_views_and_leave_the_photographs_vectors_alone(place):
    assert place.made("--random_brightness=10") == 0
    views = views_of(place)
    assert views > 0
    assert place.made("--random_brightness=10") == 0
    assert views_of(place) == views  # none was made again
    assert place.made("--random_brightness=20") == 0
    assert views_of(place) == 2 * views  # another strength is another recipe
    assert place.made() == 0


def test_10_a_renamed_label_needs_none(place):
    (place.photos / "class_1").rename(place.photos / "a new name")
    assert place.made() == 0


def test_11_another_version_of_tensorflow_needs_none(place):
    # Vectors come from LiteRT on a file that is there already, by its hash: TensorFlow is not asked again.
    real = metadata.version
    with mock.patch.object(metadata, "version", lambda name: "99.0" if name == "tensorflow" else real(name)):
        assert place.made() == 0


def test_12_the_order_of_bytes_is_the_same_everywhere_and_a_foreign_one_is_noticed(place):
    vector = np.random.default_rng(0).standard_normal(12).astype(np.float32)
    sha = hashlib.sha256(b"x").digest()
    assert checked_row(sha, vector) == checked_row(sha, vector.astype(">f4"))
    with closing(sqlite3.connect(place.caches[0])) as db, db:
        rows = [
            (np.frombuffer(blob, "<f4").astype(">f4").tobytes(), sha)
            for sha, blob in db.execute("SELECT sha256, vector FROM vectors")
        ]
        db.executemany("UPDATE vectors SET vector = ? WHERE sha256 = ?", rows)
    assert place.made() == ALL
    assert place.made() == 0


def test_13_a_later_version_of_the_cache_is_refused_by_name_and_left_as_it_is(place):
    place.change(("UPDATE meta SET value = '3' WHERE key = 'format'",))
    before = fake_run.artefacts(place.folder)
    said = place.made(code=5)
    assert "'format': '3'" in said
    assert "move it away" in said
    assert fake_run.artefacts(place.folder) == before
    place.change(("UPDATE meta SET value = '2' WHERE key = 'format'",))
    assert place.made() == 0


def test_13_and_an_earlier_one_is_read(place):
    place.change(
        ("ALTER TABLE files DROP COLUMN checksum",),
        ("UPDATE meta SET value = '1' WHERE key = 'format'",),
        vouched=False,
    )
    assert place.made() == 0
    with closing(sqlite3.connect(place.caches[0])) as db:
        assert dict(db.execute("SELECT key, value FROM meta"))["format"] == "2"
        assert db.execute("SELECT count(*) FROM files WHERE checksum IS ?", (NONE_YET,)).fetchone() == (0,)


def test_14_of_a_cache_that_lost_a_part_that_part_is_computed(place):
    place.change(("DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors LIMIT 5)",))
    assert place.made() == 5
    place.change(("DELETE FROM files",))
    assert place.made() == 0
    (place.photos / "class_1" / "0001.png").unlink()
    assert place.made() == 0
    shutil.rmtree(place.folder / "bottlenecks")
    assert place.made() == ALL - 1
