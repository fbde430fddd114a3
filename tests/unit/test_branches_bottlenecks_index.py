"""The cache's index and what a cache says of itself, forged value by value; and runs that take turns."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import struct
import threading
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import FINGERPRINT, HOUR_NS, WIDTH, digest, fake_features
from test_maintain import Place

from retrain import fsio
from retrain.bottlenecks import turns
from retrain.bottlenecks.entries import NONE_YET, checked_entry, is_whole_entry
from retrain.bottlenecks.export import load_export
from retrain.bottlenecks.maintain import check_cache, mend, stats_of
from retrain.bottlenecks.store import BottleneckStore, cache_path, checksum_of, is_whole, root_key
from retrain.bottlenecks.turns import turn
from retrain.console import Console
from retrain.dataset import ImageRecord
from retrain.errors import CacheError, RetrainError

QUIET = Console(quiet=True)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def forge(place, statement, *values):
    """Change a cache without giving its entries new checksums."""
    with closing(sqlite3.connect(place.cache)) as db, db:
        assert db.execute(statement, values).rowcount > 0


# Entries

NUMBERS = st.integers(-(2**63), 2**63 - 1)
ENTRIES = st.tuples(
    st.binary(max_size=9),
    st.binary(max_size=9),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.binary(min_size=32, max_size=32),
)
ANYTHING = st.one_of(st.none(), NUMBERS, st.floats(allow_nan=False), st.text(max_size=5), st.binary(max_size=33))


@given(entry=ENTRIES, column=st.integers(0, 7), value=ANYTHING)
def test_an_entry_is_whole_only_as_it_was_kept(entry, column, value):
    row = list(checked_entry(entry))
    assert is_whole_entry(row)
    kept, row[column] = row[column], value
    if type(value) is not type(kept) or value != kept:
        # A number of SQLite's may be equal to another of another type; nothing else passes.
        assert not is_whole_entry(row) or (column == 7 and value == kept)


@given(entry=ENTRIES, cut=st.integers(0, 9))
def test_a_name_cannot_go_over_into_the_folder_before_it(entry, cut):
    root, path, *rest = entry
    both = root + path
    other = (both[:cut], both[cut:], *rest)
    if other != entry:
        assert not is_whole_entry((*other, checked_entry(entry)[-1]))


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("path", "cats/1.jpg", "damaged name 'cats/1.jpg'"),
        ("path", b"cats/\x1b[2J", "cats/\\x1b[2J"),
        ("size", "many", "cats/1.jpg"),
        ("sha256", b"short", "cats/1.jpg"),
        ("mtime_ns", 1, "cats/1.jpg"),
        ("root", b"/elsewhere", "cats/1.jpg"),
    ],
)
def test_a_forged_entry_is_damage_by_name_and_its_file_read_again(place, column, value, name):
    forge(place, f"UPDATE files SET {column} = ? WHERE path = ?", value, b"cats/1.jpg")  # noqa: S608
    assert check_cache(place.cache, str(place.photos)).damage == (f"damaged entry of {name} in the index",)
    features = place.run()
    assert (place.engine.read, place.engine.extracted, len(features.rows)) == (["1.jpg"], [], 6)


def test_many_damaged_entries_are_counted(place):
    with place.opened() as store:
        records = [(ImageRecord(f"cats/{n}.jpg", 0, 1, 1, 1), HOUR_NS, digest(b"")) for n in range(120)]
        store.put([], str(place.photos), records)
    forge(place, "UPDATE files SET checksum = checksum + 1")
    found = check_cache(place.cache)
    assert len(found.damage) == 101
    assert found.damage[-1] == "and 23 more damaged entries"


def test_entries_from_before_they_had_checksums_are_not_believed_and_no_damage(place):
    forge(place, "UPDATE files SET checksum = ?", NONE_YET)
    assert check_cache(place.cache, str(place.photos)) == check_cache(place.cache)
    place.run()
    assert (len(place.engine.read), place.engine.extracted) == (6, [])


def test_a_file_of_a_date_that_sqlite_cannot_hold_is_read_each_time(place):
    far = ImageRecord("cats/far.jpg", 0, 3, 2**63, 1)
    with place.opened() as store:
        store.put([(digest(b"far"), np.ones(WIDTH, np.float32))], str(place.photos), [(far, 2**63 - 1, digest(b"far"))])
        assert store.recognise(str(place.photos), [far]) == [None]
        assert digest(b"far") in store.known_hashes()


# Rows


@given(blob=st.binary(max_size=40), value=ANYTHING, column=st.integers(0, 2))
def test_a_row_is_whole_only_as_it_was_kept(blob, value, column):
    row = [digest(blob), blob, checksum_of(digest(blob), blob)]
    assert is_whole(tuple(row), None)
    assert is_whole(tuple(row), len(blob))
    assert not is_whole(tuple(row), len(blob) + 1)
    kept, row[column] = row[column], value
    if type(value) is not type(kept) or value != kept:
        assert not is_whole(tuple(row), None) or (column == 2 and value == kept)


# What a cache says of itself


@pytest.mark.parametrize("look", [stats_of, check_cache, load_export])
@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("format", "99", r"to be a cache of format 1 or 2, got '99'; use the version of this program that wrote it"),
        ("fingerprint", b"ab", r"to say its fingerprint and width, got .*; it is damaged: move it away"),
        ("width", "8e3", r"to say its fingerprint and width, got .*; it is damaged: move it away"),
    ],
)
def test_a_cache_that_says_what_none_says_is_refused(place, look, key, value, words):
    forge(place, "UPDATE meta SET value = ? WHERE key = ?", value, key)
    with pytest.raises(CacheError, match=words):
        look(place.cache)


def test_a_cache_without_a_format_is_refused(place):
    forge(place, "DELETE FROM meta WHERE key = 'format'")
    with pytest.raises(CacheError, match="got None; use the version"):
        stats_of(place.cache)
    with pytest.raises(CacheError, match="move it away and run again"):
        place.opened()


def test_the_files_of_an_index_of_format_1_are_not_held_against_it(place):
    forge(place, "UPDATE meta SET value = '1' WHERE key = 'format'")
    forge(place, "UPDATE files SET checksum = 0")
    found = check_cache(place.cache, str(place.photos))
    assert (found.rows, found.files, found.damage, found.outdated) == (6, 0, (), 0)


def test_a_file_that_cannot_be_read_is_said_to_be_and_one_that_is_gone_is_outdated(place):
    (place.photos / "cats" / "0.jpg").unlink()
    loop = place.photos / "cats" / "1.jpg"
    loop.unlink()
    loop.symlink_to(loop)
    found = check_cache(place.cache, str(place.photos))
    assert found.damage == ("cats/1.jpg: cannot be read: Too many levels of symbolic links",)
    assert (found.files, found.outdated) == (6, 1)


def test_damage_that_new_indexes_do_not_mend_is_told(place):
    content = bytearray(place.cache.read_bytes())
    size = struct.unpack(">H", content[16:18])[0]
    (pages,) = struct.unpack(">I", content[28:32])
    assert size * pages == len(content)
    content[28:32] = struct.pack(">I", pages + 1)  # a page that nothing in the file leads to
    place.cache.write_bytes(content + bytes(size))
    connection = BottleneckStore.__new__(BottleneckStore)  # an ordinary opening would set the file aside
    connection.path, connection.width = place.cache, WIDTH
    connection._db = sqlite3.connect(place.cache, isolation_level=None)
    with connection, pytest.raises(CacheError, match="never used; move it away and run again"):
        mend(connection)


def test_a_cache_of_format_1_is_taken_over_with_its_vectors_and_each_file_read_once(place):
    forge(place, "UPDATE meta SET value = '1' WHERE key = 'format'")
    with closing(sqlite3.connect(place.cache)) as db, db:
        db.execute("ALTER TABLE files DROP COLUMN checksum")
    assert stats_of(place.cache).vectors == 6
    place.run()
    assert (len(place.engine.read), place.engine.extracted) == (6, [])
    place.run()
    assert place.engine.read == []
    assert check_cache(place.cache, str(place.photos)).files == 6


def test_a_schema_that_is_no_text_any_more_is_damage(place):
    content = (
        place.cache.read_bytes()
        .replace(b"TABLE vectors", b"TABLE vec\xff\xfers")
        .replace(b"NOT NULL", b"NOT \xfe\xffLL")
    )
    place.cache.write_bytes(content)
    with pytest.raises(CacheError, match=r"is damaged: 'utf-8' codec can't decode .*; move it away and run again"):
        stats_of(place.cache)
    assert len(place.run().rows) == 6
    assert len(list(place.bottlenecks.glob("*.damaged-*"))) == 1


# Turns


def taken(path, root=b"photos"):
    """Have the turn in another thread, until told to let go."""
    has, done = threading.Event(), threading.Event()

    def hold():
        with turn(path, root, QUIET, lambda: 0):
            has.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has.wait(20)

    def let_go():
        done.set()
        thread.join(20)
        assert not thread.is_alive()

    return let_go


def test_a_turn_that_nobody_has_is_had_at_once(tmp_path):
    with turn(tmp_path / "x.sqlite", b"photos", QUIET, lambda: 0) as waited:
        assert not waited
    assert list(tmp_path.iterdir()) == []


def test_runs_over_other_folders_do_not_wait(tmp_path):
    let_go = taken(tmp_path / "x.sqlite", b"others")
    with contextlib.ExitStack() as stack:
        stack.callback(let_go)
        assert not stack.enter_context(turn(tmp_path / "x.sqlite", b"photos", QUIET, lambda: 0))


def test_who_waits_says_so_and_goes_on_when_the_other_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(turns, "_SILENT_S", 0.01)
    monkeypatch.setattr(turns, "STALLED_S", 0.01)
    let_go, seen = taken(tmp_path / "x.sqlite"), iter(range(1000))

    def commits():
        number = next(seen)
        if number == 3:
            let_go()
        return number

    with turn(tmp_path / "x.sqlite", b"photos", Console(), commits) as waited:
        assert waited
        with pytest.raises(RetrainError), fsio.locked(lock_of(tmp_path), timeout_s=0):
            pass
    said = capsys.readouterr()
    assert "Another process extracts these photographs into" in said.out + said.err
    assert "going on beside it" not in said.out + said.err


def lock_of(folder):
    return folder / f"x.sqlite.{hashlib.sha256(b'photos').hexdigest()[:8]}"


def test_who_has_added_nothing_is_not_waited_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(turns, "_SILENT_S", 0.01)
    monkeypatch.setattr(turns, "STALLED_S", 0.01)
    let_go = taken(tmp_path / "x.sqlite")
    with contextlib.ExitStack() as stack:
        stack.callback(let_go)
        assert stack.enter_context(turn(tmp_path / "x.sqlite", b"photos", Console(), lambda: 7))
    said = capsys.readouterr()
    assert "it has added nothing to" in said.out + said.err


@pytest.mark.parametrize("verify", [False, True])
def test_a_run_computes_nothing_that_the_one_before_it_did(place, monkeypatch, verify):
    (place.photos / "cats" / "new.jpg").write_bytes(b"new")
    monkeypatch.setattr(turns, "_SILENT_S", 0.01)
    let_go = taken(place.cache, root_key(str(place.photos)))
    status = (place.photos / "cats" / "new.jpg").stat()
    record = ImageRecord("cats/new.jpg", 0, 3, status.st_mtime_ns, status.st_ctime_ns)

    def commits(self):
        entry = (record, status.st_mtime_ns + HOUR_NS, digest(b"new"))
        with place.opened() as other:
            other.put([(digest(b"new"), fake_features(b"new"))], str(place.photos), [entry])
        let_go()
        return real(self)

    real = BottleneckStore.commits_of_others
    monkeypatch.setattr(BottleneckStore, "commits_of_others", commits)
    features = place.run(verify=verify)
    assert (place.engine.extracted, len(features.rows)) == ([], 7)
    assert len(place.engine.read) == (7 if verify else 0)


def test_what_another_commits_is_seen(place):
    with place.opened() as one, place.opened() as other:
        before = one.commits_of_others()
        one.put([(digest(b"own"), np.ones(WIDTH, np.float32))], "", [])
        assert one.commits_of_others() == before
        other.put([(digest(b"other"), np.ones(WIDTH, np.float32))], "", [])
        assert one.commits_of_others() != before


def test_a_cache_is_named_by_architecture_and_fingerprint(tmp_path):
    assert cache_path(tmp_path, "a", FINGERPRINT) == tmp_path / "a-abababababab.sqlite"
    assert root_key(str(tmp_path / "." / "x")) == root_key(str(tmp_path / "x"))
