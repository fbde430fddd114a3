import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest
from support import FINGERPRINT, HOUR_NS, WIDTH, FakeEngine, digest, vouch, write_tree

from retrain.bottlenecks import BottleneckStore, collect_features, unverified
from retrain.bottlenecks.maintain import check_cache, find_caches, mend, stats_of
from retrain.bottlenecks.prune import delete_cache, prune
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.errors import CacheError, UsageError

NAMES = ("cats", "dogs")


class Place:
    """Two classes of three photographs, and their cache."""

    def __init__(self, folder):
        self.folder, self.bottlenecks = folder, folder / "bottlenecks"
        self.cache = self.bottlenecks / "fake-abababababab.sqlite"
        self.photos = write_tree(
            folder / "photos", {c: {f"{n}.jpg": f"{c} {n}".encode() for n in range(3)} for c in NAMES}
        )
        self.run()

    def run(self, **options):
        self.engine = FakeEngine()
        with self.opened() as store:
            return collect_features(
                scan_folder(str(self.photos), "folder"),
                store,
                self.engine,
                Console(quiet=True),
                5.0,
                str(self.folder / "skipped.csv"),
                **options,
            )

    def opened(self):
        return BottleneckStore(self.cache, FINGERPRINT, WIDTH)

    def change(self, statement, *values):
        with closing(sqlite3.connect(self.cache)) as db, db:
            count = db.execute(statement, values).rowcount
            vouch(db)
            return count

    def add_views(self, content, count):
        """What views.py does: vectors under keys of their own, and a table that says what they are of."""
        keys = [digest(content + bytes([n])) for n in range(count)]
        with self.opened() as store:
            store.put([(key, np.ones(WIDTH, np.float32)) for key in keys], str(self.photos), [])
            with store.writing() as db:
                db.execute(
                    "CREATE TABLE IF NOT EXISTS views (key BLOB PRIMARY KEY, sha256 BLOB NOT NULL, "
                    "recipe TEXT NOT NULL, number INTEGER NOT NULL) WITHOUT ROWID"
                )
                rows = [(key, digest(content), "flip", n) for n, key in enumerate(keys)]
                db.executemany("INSERT INTO views VALUES (?, ?, ?, ?)", rows)
        return keys

    def keys(self):
        with self.opened() as store:
            return store.known_hashes()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def swap_contents(place, name="cats/1.jpg"):
    """Other bytes of the same size, and an index that cannot know: size and dates are as it has them."""
    photo = place.photos / name
    photo.write_bytes(photo.read_bytes()[::-1])
    status = photo.stat()
    query = "UPDATE files SET mtime_ns = ?, ctime_ns = ? WHERE path = ?"
    assert place.change(query, status.st_mtime_ns, status.st_ctime_ns, name.encode()) == 1


def test_caches_are_found_by_name_and_unknown_names_are_listed_together(place):
    assert find_caches(str(place.bottlenecks)) == [place.cache]
    assert find_caches(str(place.bottlenecks), ["fake-abababababab"]) == [place.cache]
    assert find_caches(str(place.bottlenecks), ["fake-abababababab.sqlite"]) == [place.cache]
    with pytest.raises(UsageError) as refused:
        find_caches(str(place.bottlenecks), ["fake-abababababac", "x"])
    assert len(refused.value.problems) == 2
    assert "did you mean fake-abababababab" in refused.value.problems[0]


def test_the_counts_of_a_cache(place):
    place.add_views(b"cats 0", 4)
    with place.opened() as store:
        unverified.keep(store, [(digest(b"other"), np.ones(WIDTH, np.float32))], "texts")
    stats = stats_of(place.cache)
    assert (stats.architecture, stats.fingerprint, stats.width, stats.source) == ("fake", FINGERPRINT, WIDTH, "")
    assert (stats.vectors, stats.views, stats.unverified) == (6, 4, 1)
    assert stats.folders == {str(place.photos): 6}
    assert stats.size == place.cache.stat().st_size


def test_a_cache_of_an_earlier_version_without_the_newer_tables_is_counted_and_checked(place):
    stats = stats_of(place.cache)
    assert (stats.vectors, stats.views, stats.unverified) == (6, 0, 0)
    assert check_cache(place.cache).damage == ()
    assert prune(place.cache, dry_run=False).vectors == 0


def test_looking_changes_nothing(place):
    before = place.cache.read_bytes()
    stats_of(place.cache)
    check_cache(place.cache, str(place.photos))
    prune(place.cache, dry_run=True)
    assert place.cache.read_bytes() == before


def test_another_sqlite_file_is_no_cache(tmp_path):
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as db, db:
        db.execute("CREATE TABLE t (a)")
    with pytest.raises(CacheError, match="another SQLite file"):
        stats_of(tmp_path / "x.sqlite")


def test_a_sound_cache_has_nothing_wrong(place):
    found = check_cache(place.cache, str(place.photos))
    assert (found.rows, found.files, found.damage, found.outdated) == (6, 6, (), 0)


def test_a_damaged_vector_is_named_by_its_file(place):
    place.change("UPDATE vectors SET checksum = checksum + 1 WHERE sha256 = ?", digest(b"dogs 2"))
    assert check_cache(place.cache).damage == ("damaged vector of dogs/2.jpg",)


def test_damaged_views_and_vectors_of_no_file_are_named_too(place):
    (view,) = place.add_views(b"cats 1", 1)
    with place.opened() as store:
        store.put([(digest(b"gone"), np.ones(WIDTH, np.float32))], str(place.photos), [])
        unverified.keep(store, [(digest(b"text"), np.ones(WIDTH, np.float32))], "texts")
    place.change("UPDATE vectors SET vector = zeroblob(3) WHERE sha256 IN (?, ?)", view, digest(b"gone"))
    place.change("UPDATE unverified SET checksum = 0")
    assert sorted(check_cache(place.cache).damage) == [
        "damaged vector of a distorted view of cats/1.jpg",
        f"damaged vector of content {digest(b'gone').hex()}, which no file has now",
        f"damaged vector of content {digest(b'text').hex()}, which no file has now",
    ]


def test_contents_that_changed_behind_the_index_are_damage(place):
    swap_contents(place)
    found = check_cache(place.cache, str(place.photos))
    assert found.damage == ("cats/1.jpg: its contents changed while size and dates stayed the same",)
    assert check_cache(place.cache).damage == ()  # the photographs were not asked about


def test_a_file_that_changed_or_went_in_the_open_is_no_damage(place):
    (place.photos / "cats" / "1.jpg").write_bytes(b"longer than before")
    (place.photos / "cats" / "2.jpg").unlink()
    found = check_cache(place.cache, str(place.photos))
    assert (found.damage, found.outdated) == ((), 2)


def test_a_page_of_rubbish_is_found_by_sqlite_itself(place):
    content = bytearray(place.cache.read_bytes())
    page = 16384
    content[2 * page : 3 * page] = np.random.default_rng(0).bytes(page)
    place.cache.write_bytes(content)
    try:
        damage = check_cache(place.cache).damage
    except CacheError as error:
        damage = (str(error),)
    assert damage


def test_a_run_that_verifies_reads_everything_and_computes_only_what_is_wrong(place):
    swap_contents(place)
    assert place.run().changed == ()
    assert place.engine.read == []  # as planned by whoever did this
    features = place.run(verify=True)
    assert len(place.engine.read) == 6
    assert (features.changed, place.engine.extracted) == (("cats/1.jpg",), ["1.jpg"])
    assert features.sha256s[1] == digest(b"cats 1"[::-1])
    again = place.run(verify=True)
    assert (again.changed, place.engine.extracted) == ((), [])


def test_mending_takes_damaged_vectors_out_and_names_them(place):
    place.change("UPDATE vectors SET checksum = checksum + 1 WHERE sha256 = ?", digest(b"dogs 2"))
    place.change("UPDATE vectors SET vector = 'text' WHERE sha256 = ?", digest(b"cats 0"))
    with place.opened() as store:
        assert sorted(mend(store)) == ["damaged vector of cats/0.jpg", "damaged vector of dogs/2.jpg"]
        assert mend(store) == []
    features = place.run()
    assert sorted(place.engine.extracted) == ["0.jpg", "2.jpg"]
    assert features.damaged == 0


def test_mending_rebuilds_an_index_that_lost_entries(place):
    with closing(sqlite3.connect(place.cache)) as db:
        (number,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_vectors_1'"
        ).fetchone()
    content = bytearray(place.cache.read_bytes())
    start = (number - 1) * 16384
    content[start + 3 : start + 5] = (5).to_bytes(2, "big")  # the number of its cells, 6 before
    place.cache.write_bytes(content)
    assert check_cache(place.cache).damage
    connection = BottleneckStore.__new__(BottleneckStore)  # an ordinary opening would set the file aside
    connection.path, connection.width = place.cache, WIDTH
    connection._db = sqlite3.connect(place.cache, isolation_level=None)
    with connection:
        assert mend(connection)[0].startswith("SQLite: ")
    assert check_cache(place.cache).damage == ()
    assert len(place.keys()) == 6


def test_pruning_a_cache_in_use_takes_nothing_out(place):
    place.add_views(b"dogs 0", 2)
    before = place.keys()
    gone = prune(place.cache, dry_run=False)
    assert (gone.entries, gone.vectors, gone.views, gone.kept_folders) == (0, 0, 0, ())
    assert place.keys() == before
    assert place.run().extracted == 0


def test_pruning_takes_out_what_nothing_refers_to(place):
    kept, lost = place.add_views(b"dogs 0", 2), place.add_views(b"cats 0", 3)
    (place.photos / "cats" / "0.jpg").unlink()
    with place.opened() as store:
        unverified.keep(store, [(digest(b"gone"), np.ones(WIDTH, np.float32))], "texts")
    dry = prune(place.cache, dry_run=True)
    gone = prune(place.cache, dry_run=False)
    assert (gone.entries, gone.vectors, gone.views) == (1, 2, 3)
    assert (dry.entries, dry.vectors, dry.views) == (1, 2, 3)
    assert dry.freed > 0
    left = place.keys()
    assert len(left) == 5 + 2
    assert set(kept) <= left
    assert not set(lost) & left
    assert digest(b"cats 0") not in left
    assert stats_of(place.cache).views == 2
    assert place.change("DELETE FROM views") == 2
    assert place.run().extracted == 0


def test_a_copy_elsewhere_keeps_a_vector(place):
    (place.photos / "dogs" / "copy.jpg").write_bytes(b"cats 0")
    place.run()
    (place.photos / "cats" / "0.jpg").unlink()
    assert prune(place.cache, dry_run=False).vectors == 0
    assert place.run().extracted == 0


@pytest.mark.parametrize("empty", [True, False])
def test_what_is_known_of_a_folder_that_is_not_there_is_kept(place, empty):
    # A disk that is not plugged in: its mount point is gone, or is an empty folder.
    place.photos.rename(place.folder / "unplugged")
    if empty:
        place.photos.mkdir()
    gone = prune(place.cache, dry_run=False)
    assert (gone.entries, gone.vectors, gone.kept_folders) == (0, 0, (str(place.photos),))
    if empty:
        place.photos.rmdir()
    (place.folder / "unplugged").rename(place.photos)
    assert place.run().extracted == 0


def test_pruning_gives_the_room_back_and_repacks_an_old_file(tmp_path):
    old = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(old)) as db:
        db.execute("PRAGMA page_size = 4096")
        db.execute("PRAGMA journal_mode = WAL")
    photos = write_tree(tmp_path / "photos", {"a": {"1.jpg": b"1"}, "b": {"1.jpg": b"2"}})
    catalog = scan_folder(str(photos), "folder")
    later, shas = time.time_ns() + HOUR_NS, [digest(b"1"), digest(b"2")]
    with BottleneckStore(old, FINGERPRINT, 512) as store:
        store.put([(n.to_bytes(32, "big"), np.ones(512, np.float32)) for n in range(500)], str(photos), [])
        files = [(r, later, sha) for r, sha in zip(catalog.records, shas, strict=True)]
        store.put([(sha, np.ones(512, np.float32)) for sha in shas], str(photos), files)
    size = old.stat().st_size
    gone = prune(old, dry_run=False)
    assert gone.vectors == 500
    assert gone.freed == size - old.stat().st_size
    assert old.stat().st_size < 200_000
    with BottleneckStore(old, FINGERPRINT, 512) as store:
        assert store._db.execute("PRAGMA page_size").fetchone() == (16384,)
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store.read_matrix(shas)[1] == []


HOLDER = """
import sys
from pathlib import Path
from retrain.bottlenecks import BottleneckStore
with BottleneckStore(Path(sys.argv[1]), sys.argv[2], 8):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_nothing_is_taken_from_a_cache_that_another_process_has_open(place):
    (place.photos / "cats" / "0.jpg").unlink()
    command = [sys.executable, "-c", HOLDER, str(place.cache), FINGERPRINT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "open\n"
        for act in (lambda: prune(place.cache, dry_run=False), lambda: delete_cache(place.cache)):
            with pytest.raises(CacheError, match="in use by another process"):
                act()
        assert prune(place.cache, dry_run=True).vectors == 1
        assert len(place.keys()) == 6
        child.stdin.close()
        assert child.wait(30) == 0
    assert prune(place.cache, dry_run=False).vectors == 1


def test_a_whole_cache_is_deleted_with_what_lies_beside_it(place):
    size = place.cache.stat().st_size
    assert delete_cache(place.cache) == size
    assert list(place.bottlenecks.iterdir()) == []
