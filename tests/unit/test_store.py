import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import FINGERPRINT, WIDTH, digest

from retrain.bottlenecks import BottleneckStore, cache_path, store
from retrain.dataset import ImageRecord
from retrain.errors import CacheError

S = 10**9
RECORD = ImageRecord("cats/1.jpg", 0, 100, 1000 * S, 1001 * S)
LONG_AFTER = 2000 * S


def vector(seed, width=WIDTH):
    return np.random.default_rng(seed).standard_normal(width).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "cache.sqlite"


def opened(path, fingerprint=FINGERPRINT, width=WIDTH):
    return BottleneckStore(path, fingerprint, width)


def filled(path, count=3):
    hashes = [digest(n.to_bytes(2, "big")) for n in range(count)]
    with opened(path) as cache:
        cache.put([(sha, vector(n)) for n, sha in enumerate(hashes)], "photos", [])
    return hashes


def tamper(path, statement, *values):
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement, values).rowcount == 1


def test_the_cache_file_is_named_after_backbone_and_fingerprint():
    assert str(cache_path("b", "mobilenet_0.50_224", "0123456789abcdef")) == "b/mobilenet_0.50_224-0123456789ab.sqlite"


def test_vectors_come_back_bit_for_bit_in_any_order_and_repeated(path):
    hashes = filled(path)
    with opened(path) as cache:
        assert cache.known_hashes() == set(hashes)
        matrix, bad = cache.read_matrix([hashes[2], hashes[0], hashes[2]])
    assert bad == []
    assert (matrix.shape, matrix.dtype) == ((3, WIDTH), np.float32)
    assert matrix.tobytes() == np.stack([vector(2), vector(0), vector(2)]).tobytes()


@settings(max_examples=25)
@given(matrix=hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.just(WIDTH))))
def test_any_floats_make_the_round_trip(matrix, tmp_path_factory):
    hashes = [digest(bytes([n])) for n in range(len(matrix))]
    with opened(tmp_path_factory.mktemp("c") / "c.sqlite") as cache:
        cache.put(zip(hashes, matrix, strict=True), "photos", [])
        back, bad = cache.read_matrix(hashes)
    assert (back.tobytes(), bad) == (matrix.tobytes(), [])


def test_what_is_absent_is_said_and_its_row_is_zero(path):
    hashes = filled(path)
    with opened(path) as cache:
        matrix, bad = cache.read_matrix([digest(b"other"), hashes[0], digest(b"other")])
    assert bad == [0, 2]
    assert not matrix[[0, 2]].any()


def test_nothing_wanted_is_an_empty_matrix(path):
    with opened(path) as cache:
        matrix, bad = cache.read_matrix([])
        assert (matrix.shape, bad, cache.known_hashes()) == ((0, WIDTH), [], set())


@pytest.mark.parametrize("limit", [0, 10**6])
def test_looking_up_and_scanning_give_the_same(path, monkeypatch, limit):
    hashes = filled(path, 50)
    monkeypatch.setattr(store, "_LOOKUP_LIMIT", limit)
    with opened(path) as cache:
        asked = []
        cache._db.set_trace_callback(asked.append)
        matrix, bad = cache.read_matrix([*hashes[10:20], digest(b"absent"), hashes[10]])
    assert bad == [10]
    assert (matrix[:10] == np.stack([vector(n) for n in range(10, 20)])).all()
    assert (matrix[11] == vector(10)).all()
    assert len(asked) == (1 if limit == 0 else 11)


def test_a_vector_written_again_replaces_the_old_one(path):
    hashes = filled(path, 1)
    with opened(path) as cache:
        cache.put([(hashes[0], vector(9))], "photos", [])
        assert (cache.read_matrix(hashes)[0][0] == vector(9)).all()


def is_noticed(cache, sha, statement, *values):
    """Whether the vector counts as damaged while the row is as the statement makes it."""
    cache._db.execute("BEGIN")
    assert cache._db.execute(statement, values).rowcount == 1
    bad = cache.read_matrix([sha])[1]
    cache._db.execute("ROLLBACK")
    return bad == [0]


def test_every_flipped_bit_of_a_vector_is_noticed(path):
    (sha,) = filled(path, 1)
    whole = int.from_bytes(vector(0).tobytes(), "little")
    with opened(path) as cache:
        for bit in range(WIDTH * 32):
            blob = (whole ^ 1 << bit).to_bytes(WIDTH * 4, "little")
            assert is_noticed(cache, sha, "UPDATE vectors SET vector = ?", blob), bit
        assert not is_noticed(cache, sha, "UPDATE vectors SET vector = vector")


def test_every_flipped_bit_of_a_checksum_is_noticed(path):
    (sha,) = filled(path, 1)
    with opened(path) as cache:
        for bit in range(63):
            flip = "UPDATE vectors SET checksum = (checksum | ?1) - (checksum & ?1)"
            assert is_noticed(cache, sha, flip, 1 << bit), bit


def test_a_vector_that_belongs_to_another_photograph_is_noticed(path):
    hashes = filled(path, 1)
    tamper(path, "UPDATE vectors SET sha256 = ?", digest(b"other"))
    with opened(path) as cache:
        assert cache.read_matrix([digest(b"other"), hashes[0]])[1] == [0, 1]


@pytest.mark.parametrize("blob", [b"", bytes(4 * WIDTH - 4), bytes(4 * WIDTH + 4)])
def test_a_vector_of_the_wrong_length_is_noticed(path, blob):
    # The original's truncated text file parses as valid floats.
    (sha,) = filled(path, 1)
    tamper(path, "UPDATE vectors SET vector = ?, checksum = ?", blob, store.checksum_of(sha, blob))
    with opened(path) as cache:
        assert cache.read_matrix([sha])[1] == [0]


@pytest.mark.parametrize("value", ["x" * 4 * WIDTH, 7, 7.5])
def test_a_vector_that_has_become_another_type_is_noticed(path, value):
    # A flipped bit in a row's header makes text or a number of a blob.
    (sha,) = filled(path, 1)
    tamper(path, "UPDATE vectors SET vector = ?", value)
    with opened(path) as cache:
        assert cache.read_matrix([sha])[1] == [0]


def remembered(path, record=RECORD, read_ns=LONG_AFTER, root="photos"):
    with opened(path) as cache:
        cache.put([], root, [(record, read_ns, digest(b"1"))])


def recognised(path, record=RECORD, root="photos"):
    with opened(path) as cache:
        return cache.recognise(root, [record]) == [digest(b"1")]


def test_a_file_that_did_not_change_is_recognised(path):
    remembered(path)
    assert recognised(path)


@pytest.mark.parametrize(
    "record",
    [
        ImageRecord("cats/1.jpg", 0, 101, 1000 * S, 1001 * S),
        ImageRecord("cats/1.jpg", 0, 100, 1000 * S + 1, 1001 * S),
        ImageRecord("cats/1.jpg", 0, 100, 999 * S, 1001 * S),
        ImageRecord("cats/1.jpg", 0, 100, 1000 * S, 1001 * S + 1),  # its old date was restored
        ImageRecord("cats/2.jpg", 0, 100, 1000 * S, 1001 * S),
        ImageRecord("Cats/1.jpg", 0, 100, 1000 * S, 1001 * S),
    ],
)
def test_a_file_that_changed_in_size_date_inode_or_name_is_not_recognised(path, record):
    remembered(path)
    assert not recognised(path, record)


@pytest.mark.parametrize(
    ("mtime_s", "ctime_s", "read_s", "trusted"),
    [
        (1000, 1000, 1002, False),  # it may have been changed again within the same tick
        (1000, 1000, 1003, True),
        (1000, 1005, 1006, False),
        (1005, 1000, 1006, False),
        (3000, 1000, 2000, False),  # a date in the future
    ],
)
def test_a_file_changed_just_before_it_was_read_is_not_believed(path, mtime_s, ctime_s, read_s, trusted):
    record = ImageRecord("cats/1.jpg", 0, 100, mtime_s * S, ctime_s * S)
    remembered(path, record, read_s * S)
    assert recognised(path, record) is trusted


def test_a_date_that_no_database_holds_is_not_remembered(path):
    # ext4 dates files until 2446; in nanoseconds, the year 2262 is the end of 63 bits.
    for record in (
        ImageRecord("cats/1.jpg", 0, 100, 2**63, 1000 * S),
        ImageRecord("cats/1.jpg", 0, 100, 1000 * S, -(2**63) - 1),
    ):
        remembered(path, record)
        assert not recognised(path, record)
    remembered(path, ImageRecord("cats/1.jpg", 0, 100, 2**63 - 1, 1000 * S))
    assert not recognised(path, ImageRecord("cats/1.jpg", 0, 100, 2**63 - 1, 1000 * S))


def test_more_files_than_one_statement_takes_are_recognised(path, monkeypatch):
    monkeypatch.setattr(store, "_BATCH_FILES", 3)
    records = [ImageRecord(f"cats/{n}.jpg", 0, n, 1000 * S, 1001 * S) for n in range(10)]
    with opened(path) as cache:
        cache.put([], "photos", [(record, LONG_AFTER, digest(b"%d" % record.size)) for record in records[:8]])
        found = cache.recognise("photos", records)
    assert found == [*(digest(b"%d" % n) for n in range(8)), None, None]


def test_equal_names_in_two_image_folders_do_not_answer_for_each_other(path, tmp_path):
    remembered(path, root=str(tmp_path / "a"))
    assert recognised(path, root=str(tmp_path / "a"))
    assert not recognised(path, root=str(tmp_path / "b"))


def test_other_spellings_of_one_image_folder_are_one_folder(path, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    remembered(path, root=str(tmp_path / "a"))
    for spelling in (f"{tmp_path}/a/", f"{tmp_path}/./a", f"{tmp_path}/link", f"{tmp_path}/a/../a"):
        assert recognised(path, root=spelling)


def test_a_name_that_is_not_utf8_is_remembered(path):
    record = ImageRecord("cats/\udcff.jpg", 0, 100, 1000 * S, 1001 * S)
    remembered(path, record)
    assert recognised(path, record)


@pytest.mark.parametrize(("fingerprint", "width"), [("cd" * 32, WIDTH), (FINGERPRINT, WIDTH + 1)])
def test_the_cache_of_another_backbone_is_refused_and_kept(path, fingerprint, width):
    hashes = filled(path)
    with pytest.raises(CacheError, match="move it away and run again"):
        opened(path, fingerprint, width)
    with opened(path) as cache:
        assert cache.read_matrix(hashes)[1] == []


def test_the_cache_of_another_format_is_refused(path):
    filled(path)
    tamper(path, "UPDATE meta SET value = '3' WHERE key = 'format'")
    with pytest.raises(CacheError, match="expected"):
        opened(path)


@pytest.mark.parametrize("content", [b"this is not a database, and it is longer than a header" * 3, b"\0" * 4096])
def test_a_file_that_is_no_database_is_set_aside_and_not_deleted(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with opened(path) as cache:
        assert cache.set_aside.read_bytes() == content
        assert cache.set_aside.name.startswith("cache.sqlite.damaged-")
        assert cache.known_hashes() == set()
    with opened(path) as cache:
        assert cache.set_aside is None


@pytest.mark.parametrize(("width", "page"), [(512, 16384), (1280, 16384), (1281, 32768), (2048, 32768)])
def test_a_page_of_a_new_cache_holds_three_vectors_or_more(path, width, page):
    with opened(path, width=width) as cache:
        assert cache._db.execute("PRAGMA page_size").fetchone() == (page,)
        (before,) = cache._db.execute("PRAGMA page_count").fetchone()
        cache.put([(bytes([n]) * 32, np.ones(width, np.float32)) for n in range(240)], "photos", [])
        (after,) = cache._db.execute("PRAGMA page_count").fetchone()
    assert after - before <= 240 // 3 + 3  # and the index of their digests


def test_a_cache_of_small_pages_from_an_earlier_version_is_read_and_written(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA page_size = 4096")
        db.execute("VACUUM")
    hashes = filled(path)
    with opened(path) as cache:
        assert cache._db.execute("PRAGMA page_size").fetchone() == (4096,)
        assert cache.read_matrix(hashes)[1] == []


def test_facts_that_a_later_version_notes_do_not_hinder(path):
    hashes = filled(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO meta VALUES ('later', 'fact')")
    with opened(path) as cache:
        assert cache.read_matrix(hashes)[1] == []


def test_an_empty_file_is_a_new_cache(path):
    path.parent.mkdir()
    path.write_bytes(b"")
    with opened(path) as cache:
        assert cache.known_hashes() == set()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_database_is_set_aside_and_a_new_one_begun(path, share):
    hashes = filled(path, 2000)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with opened(path) as cache:
        assert cache.set_aside is not None
        assert cache.set_aside.exists()
        assert cache.read_matrix(hashes)[1] == list(range(2000))
        cache.put([(hashes[0], vector(0))], "photos", [])
        assert (cache.read_matrix(hashes[:1])[0][0] == vector(0)).all()


@pytest.mark.parametrize("page", range(1, 12))
def test_a_page_of_rubbish_costs_vectors_but_never_a_wrong_one(path, page):
    hashes = filled(path, 300)
    content = bytearray(path.read_bytes())
    assert len(content) > 12 * 4096
    content[page * 4096 : (page + 1) * 4096] = np.random.default_rng(page).bytes(4096)
    path.write_bytes(content)
    with opened(path) as cache:
        cache.known_hashes()
        matrix, bad = cache.read_matrix(hashes)
        good = np.setdiff1d(np.arange(300), bad)
        assert all((matrix[n] == vector(n)).all() for n in good)


def test_a_folder_where_the_cache_should_be_is_a_cache_error(path):
    path.mkdir(parents=True)
    with pytest.raises(CacheError, match=r"cache\.sqlite"):
        opened(path)


def test_a_batch_is_kept_whole_or_not_at_all(path):
    with opened(path) as cache:
        cache._db.execute("CREATE TRIGGER full BEFORE INSERT ON files BEGIN SELECT RAISE(ABORT, 'full'); END")
        with pytest.raises(CacheError, match="full"):
            cache.put([(digest(b"1"), vector(1))], "photos", [(RECORD, LONG_AFTER, digest(b"1"))])
        assert cache.known_hashes() == set()
        cache.put([(digest(b"1"), vector(1))], "photos", [])
        assert cache.known_hashes() == {digest(b"1")}


def test_a_second_connection_reads_while_the_first_writes(path):
    hashes = filled(path)
    with opened(path) as writer, opened(path) as reader:
        with writer._transaction():
            writer._db.execute("DELETE FROM vectors")
            assert reader.read_matrix(hashes)[1] == []
        assert reader.read_matrix(hashes)[1] == [0, 1, 2]


def test_a_writer_that_waits_too_long_is_a_cache_error(path, monkeypatch):
    filled(path)
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0.01)
    with opened(path) as first, opened(path) as second, first._transaction(), pytest.raises(CacheError, match="locked"):
        second.put([(digest(b"x"), vector(1))], "photos", [])


WRITER = """
import sys, time
import numpy as np
from pathlib import Path
from retrain.bottlenecks import BottleneckStore
with BottleneckStore(Path(sys.argv[1]), sys.argv[2], 8) as cache:
    for n in range(200):
        cache.put([(n.to_bytes(32, "big"), np.full(8, n, np.float32))], "photos", [])
        if n == 0:
            print("started", flush=True)
"""


def test_another_process_may_read_and_write_the_same_file(path):
    command = [sys.executable, "-c", WRITER, str(path), FINGERPRINT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "started\n"
        with opened(path) as cache:
            for n in range(1000, 1020):
                cache.put([(n.to_bytes(32, "big"), np.full(8, n, np.float32))], "photos", [])
                seen = sorted(cache.known_hashes())
                matrix, bad = cache.read_matrix(seen)
                assert bad == []
                assert (matrix[:, 0] == [int.from_bytes(sha, "big") for sha in seen]).all()
        assert child.wait(30) == 0
    with opened(path) as cache:
        assert len(cache.known_hashes()) == 220


def test_ten_thousand_vectors_are_a_matter_of_a_second(path):
    hashes = [n.to_bytes(32, "big") for n in range(10_000)]
    start = time.monotonic()
    with opened(path) as cache:
        cache.put(((sha, np.zeros(WIDTH, np.float32)) for sha in hashes), "photos", [])
        assert cache.read_matrix(hashes)[1] == []
    assert time.monotonic() - start < 5  # a second on a quiet machine
