import gc
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import FINGERPRINT, FakeEngine, digest, write_tree

from retrain.bottlenecks import (
    BottleneckStore,
    FileMatrix,
    MemoryMatrix,
    as_rows,
    collect_features,
    matrix,
    slices,
    store,
)
from retrain.bottlenecks.digests import Wanted
from retrain.bottlenecks.memory import ASSUMED_BYTES, MIB, available_bytes, features_bytes, features_fit
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.errors import CacheError
from retrain.journal import tell_features

COUNT, WIDTH = 50, 3
VALUES = np.random.default_rng(0).standard_normal((COUNT, WIDTH)).astype(np.float32)


def in_file(folder, values=VALUES):
    rows = FileMatrix(folder, *values.shape)
    rows.write(np.arange(len(values)), values)
    return rows


@pytest.fixture(params=["preadv", "seek and read"])
def reading(request, monkeypatch):
    if request.param == "seek and read":
        monkeypatch.setattr(matrix, "_HAS_PREADV", False)


@pytest.fixture(params=["memory", "file"])
def rows(request, tmp_path, reading):
    return MemoryMatrix(VALUES) if request.param == "memory" else in_file(tmp_path)


def test_rows_have_a_shape_and_a_length(rows):
    assert (rows.shape, len(rows)) == ((COUNT, WIDTH), COUNT)
    assert rows.resident is isinstance(rows, MemoryMatrix)


@pytest.mark.parametrize(
    "indices",
    [[], [0], [COUNT - 1], [3, 4, 5], [5, 4, 3], [7, 7, 7], [0, 49, 1, 48, 1], list(range(COUNT))[::-1]],
)
def test_rows_are_taken_in_the_order_asked_for(rows, indices):
    taken = rows.take(np.array(indices, np.intp))
    assert (taken.shape, taken.dtype) == ((len(indices), WIDTH), np.float32)
    assert taken.tobytes() == VALUES[np.array(indices, np.intp)].tobytes()


@settings(max_examples=50)
@given(st.lists(st.integers(0, COUNT - 1), max_size=80))
def test_both_kinds_give_the_same_bytes(tmp_path_factory, indices):
    file, wanted = in_file(tmp_path_factory.mktemp("rows")), np.array(indices, np.intp)
    assert file.take(wanted).tobytes() == MemoryMatrix(VALUES).take(wanted).tobytes()


def test_what_was_taken_is_the_callers_own(rows):
    rows.take(np.arange(5))[:] = 0
    assert (rows.take(np.arange(5)) == VALUES[:5]).all()


@pytest.mark.parametrize("size", [1, 7, COUNT, COUNT + 1])
def test_chunks_show_everything_once_in_order(rows, size):
    seen = [(part, chunk.copy()) for part, chunk in rows.chunks(size)]
    assert [part for part, _ in seen] == list(slices(COUNT, size))
    assert {len(chunk) for _, chunk in seen[:-1]} <= {size}
    assert np.concatenate([chunk for _, chunk in seen]).tobytes() == VALUES.tobytes()


@pytest.mark.parametrize("index", [-1, COUNT, 10**6])
def test_a_row_that_is_not_there_is_an_error(rows, index):
    with pytest.raises(IndexError, match=f"rows 0 to {COUNT - 1}"):
        rows.take(np.array([0, index]))


def test_an_array_is_wrapped_without_a_copy_and_rows_stay_what_they_are(tmp_path):
    assert as_rows(VALUES).array is VALUES
    file = in_file(tmp_path)
    assert as_rows(file) is file


def test_a_file_may_be_written_in_any_order_and_rows_left_out_are_zero(tmp_path):
    file = FileMatrix(tmp_path, 6, WIDTH)
    file.write(np.array([4, 1]), VALUES[[40, 10]])
    file.write(np.array([], np.intp), VALUES[:0])
    file.write(np.array([2, 0]), VALUES[[20, 0]])
    expected = np.zeros((6, WIDTH), np.float32)
    expected[[4, 1, 2, 0]] = VALUES[[40, 10, 20, 0]]
    assert file.take(np.arange(6)).tobytes() == expected.tobytes()


def test_rows_that_lie_together_are_read_at_once(tmp_path, monkeypatch):
    file, reads = in_file(tmp_path), []
    real = matrix._read_at
    monkeypatch.setattr(
        matrix, "_read_at", lambda file, into, offset: reads.append((offset, len(into))) or real(file, into, offset)
    )
    file.take(np.array([30, 8, 7, 9, 7, 31]))
    assert reads == [(7 * WIDTH * 4, 3 * WIDTH * 4), (30 * WIDTH * 4, 2 * WIDTH * 4)]


def test_short_reads_are_gone_on_with(tmp_path, monkeypatch):
    # One call reads 2 GB at most, and less over some networks.
    file, real = in_file(tmp_path), matrix._read_at
    monkeypatch.setattr(matrix, "_read_at", lambda file, into, offset: real(file, into[:5], offset))
    assert file.take(np.arange(COUNT)).tobytes() == VALUES.tobytes()


def test_short_writes_are_gone_on_with(tmp_path):
    file = FileMatrix(tmp_path, COUNT, WIDTH)
    real = file._file

    class Short:
        seek = real.seek
        write = staticmethod(lambda data: real.write(data[:5]))

    file._file = Short()
    file.write(np.arange(COUNT), VALUES)
    file._file = real
    assert file.take(np.arange(COUNT)).tobytes() == VALUES.tobytes()


def test_a_file_cut_short_is_an_error_and_not_old_numbers(tmp_path, reading):
    file = in_file(tmp_path)
    file._file.truncate(100)
    with pytest.raises(CacheError, match="cut it short"):
        file.take(np.array([COUNT - 1]))
    with pytest.raises(CacheError, match="byte 100"):
        list(file.chunks(COUNT))


def test_the_file_has_no_name_and_is_closed_with_its_rows(tmp_path):
    file = in_file(tmp_path)
    assert list(tmp_path.iterdir()) == []
    inner = file._file
    del file
    gc.collect()
    assert inner.closed


def test_the_file_can_be_closed_early(tmp_path):
    file = in_file(tmp_path)
    file.close()
    assert file._file.closed
    file.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there the system removes it, and there is no SIGKILL")
def test_a_killed_process_leaves_no_file(tmp_path):
    program = (
        "import os, signal, sys; import numpy as np; from pathlib import Path; "
        "from retrain.bottlenecks import FileMatrix; rows = FileMatrix(Path(sys.argv[1]), 1000, 8); "
        "rows.write(np.arange(1000), np.ones((1000, 8), np.float32)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True)
    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(CacheError, match="--feature_memory_mb"):
        FileMatrix(tmp_path, 2**40, 2**10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a file", "not there"])
def test_a_folder_that_cannot_be_written_to_is_an_error_on_purpose(tmp_path, name):
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(CacheError, match="cannot make a file of features"):
        FileMatrix(tmp_path / name, 1, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_an_error_on_purpose(tmp_path):
    file = FileMatrix(tmp_path, 2, WIDTH)
    real = file._file
    with Path("/dev/full").open("r+b", buffering=0) as full:
        file._file = full
        with pytest.raises(CacheError, match="cannot write features"):
            file.write(np.arange(2), VALUES[:2])
    file._file = real


@pytest.mark.parametrize("limit", [0, 10**6])
@pytest.mark.parametrize("limit_mb", [0, 1])
def test_the_cache_gives_the_same_rows_in_memory_and_in_a_file(tmp_path, monkeypatch, limit, limit_mb):
    monkeypatch.setattr(store, "_LOOKUP_LIMIT", limit)
    monkeypatch.setattr(store, "_BATCH_ROWS", 7)
    width = 1024
    values = np.random.default_rng(1).standard_normal((200, width)).astype(np.float32)
    shas = [digest(b"%d" % n) for n in range(200)]
    wanted = [shas[i] for i in np.random.default_rng(2).integers(0, 200, 300)] + [digest(b"absent")]
    with BottleneckStore(tmp_path / "c.sqlite", FINGERPRINT, width) as cache:
        cache.put(zip(shas, values, strict=True), "photos", [])
        rows, bad = cache.read_rows(wanted, limit_mb)
        array, also_bad = cache.read_matrix(wanted)
    assert rows.resident is (limit_mb == 0)
    assert bad == also_bad == [300]
    assert rows.take(np.arange(301)).tobytes() == array.tobytes()


@given(
    st.lists(st.integers(0, 20), max_size=40),
    st.lists(st.integers(0, 20), max_size=10, unique=True),
)
def test_digests_are_found_where_they_stand(present, asked):
    shas, questions = [digest(b"%d" % n) for n in present], [digest(b"%d" % n) for n in asked]
    places, indices = Wanted(shas).find(questions)
    pairs = list(zip(places.tolist(), indices.tolist(), strict=True))
    assert sorted(pairs) == [(p, i) for p, q in enumerate(asked) for i, n in enumerate(present) if n == q]


def test_digests_that_differ_in_one_byte_or_in_order_are_told_apart():
    base = bytes(range(32))
    others = [base[:n] + bytes([base[n] ^ 1]) + base[n + 1 :] for n in range(32)]
    swapped = base[8:16] + base[:8] + base[16:]  # the same words, so the same key
    places, indices = Wanted([swapped, *others, base, base]).find([base])
    assert (places.tolist(), indices.tolist()) == ([0, 0], [33, 34])


def test_features_fit_or_do_not(monkeypatch):
    assert features_bytes(1000, 512) == 2 * 4 * 1000 * 512
    assert features_fit(131072, 1, 1)
    assert not features_fit(131073, 1, 1)
    monkeypatch.setattr("retrain.bottlenecks.memory.available_bytes", lambda: 2 * MIB)
    assert features_fit(131072, 1, 0)
    assert not features_fit(131073, 1, 0)


def system(root, **files):
    names = {
        "meminfo": "proc/meminfo",
        "maximum": "sys/fs/cgroup/memory.max",
        "usage": "sys/fs/cgroup/memory.current",
        "stat": "sys/fs/cgroup/memory.stat",
        "maximum_1": "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "usage_1": "sys/fs/cgroup/memory/memory.usage_in_bytes",
        "stat_1": "sys/fs/cgroup/memory/memory.stat",
    }
    for name, text in files.items():
        path = root / names[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:       24000 kB\nMemFree:         100 kB\nMemAvailable:    9000 kB\n"


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({"meminfo": MEMINFO}, 9000 * 1024),
        ({"meminfo": MEMINFO, "maximum": "max\n", "usage": "5\n", "stat": ""}, 9000 * 1024),
        ({"meminfo": MEMINFO, "maximum": "7000\n", "usage": "5000\n", "stat": "anon 1\ninactive_file 300\n"}, 2300),
        ({"meminfo": MEMINFO, "maximum": "7000\n", "usage": "8000\n", "stat": ""}, 0),
        ({"meminfo": MEMINFO, "maximum_1": "7000\n", "usage_1": "6000\n", "stat_1": "total_inactive_file 20"}, 1020),
        ({"maximum": "99999999999\n", "usage": "0\n", "stat": ""}, 99999999999),
    ],
)
def test_the_memory_available_is_the_systems_or_the_containers(tmp_path, files, available):
    assert available_bytes(system(tmp_path, **files)) == available


def test_where_linux_says_nothing_half_of_the_machine_or_an_assumption_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert available_bytes(tmp_path) == 1000 * 4096 // 2
    monkeypatch.delattr(os, "sysconf")
    assert available_bytes(tmp_path) == ASSUMED_BYTES


def test_this_machines_memory_is_found():
    assert available_bytes() > 0


@pytest.fixture
def collected(tmp_path, monkeypatch):
    """Collects eight photographs, the features in a file or in memory; spoils a vector before when asked to."""
    classes = {name: {f"{n}.jpg": f"{name} {n}".encode() for n in range(4)} for name in "ab"}
    photos = write_tree(tmp_path / "photos", classes)

    def collect(fits, spoil=False):
        monkeypatch.setattr(store, "features_fit", lambda count, width, limit_mb: fits)
        cache_file = tmp_path / "cache" / "c.sqlite"
        if spoil:
            with closing(sqlite3.connect(cache_file)) as db, db:
                assert db.execute("UPDATE vectors SET checksum = 0 WHERE sha256 = ?", (digest(b"b 2"),)).rowcount == 1
        with BottleneckStore(cache_file, FINGERPRINT, 8) as cache:
            listing = str(tmp_path / "skipped.csv")
            catalog = scan_folder(str(photos), "folder")
            return collect_features(catalog, cache, FakeEngine(), Console(quiet=True), 5.0, listing), cache

    return collect


@pytest.mark.parametrize("spoil", [False, True])
def test_collected_features_are_the_same_bytes_in_memory_and_in_a_file(collected, spoil):
    memory, _ = collected(True)
    file, _ = collected(False, spoil)
    assert (memory.rows.resident, file.rows.resident) == (True, False)
    assert (file.extracted, file.damaged) == ((1, 1) if spoil else (0, 0))
    assert file.rows.take(np.arange(8)).tobytes() == memory.matrix.tobytes()
    assert file.sha256s == memory.sha256s


def test_features_in_a_file_are_no_array(collected):
    features, _ = collected(False)
    with pytest.raises(CacheError, match="--feature_memory_mb"):
        _ = features.matrix


@pytest.mark.parametrize("fits", [True, False])
def test_a_run_says_when_it_trains_from_a_file(collected, fits, capsys):
    features, cache = collected(fits)
    tell_features(features, cache, "skipped.csv", Console())
    assert ("from a file beside the cache: 8 x 8 are" in capsys.readouterr().out) is not fits
