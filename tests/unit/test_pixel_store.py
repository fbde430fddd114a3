"""Decoded photographs in a file: found again, damaged ones noticed, bounded, shared, killed at any moment."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import digest, noise

import retrain
from retrain import fsio
from retrain.errors import CacheError
from retrain.images import InputSpec, SkyStretch
from retrain.pixels import PixelStore, kept_pixels
from retrain.pixels.index import ENTRY_BYTES, Entry, checksum, pack, rows_path, unpack

SPEC = InputSpec(6, 5, 127.5, 127.5)
ROW = 6 * 5 * 3
KEYS = [digest(b"%d" % n) for n in range(12)]
PICTURES = [noise(6, 5, n) for n in range(12)]
ROOM = 10**6


def opened(folder, wanted=KEYS, limit=ROOM, spec=SPEC):
    return PixelStore(folder, spec, wanted, limit)


def read(store, keys=KEYS):
    """What the store has of each, and which it has not."""
    out = np.zeros((len(keys), 6, 5, 3), np.uint8)
    missing = store.read(keys, out)
    for place in set(range(len(keys))) - set(missing):
        assert (out[place] == PICTURES[KEYS.index(keys[place])]).all()
    return missing


def filled(folder, count=12, **how):
    store = opened(folder, **how)
    store.put(KEYS[:count], PICTURES[:count])
    return store


def test_what_was_kept_is_found_by_this_store_and_the_next(tmp_path):
    store = filled(tmp_path, 7)
    assert read(store) == list(range(7, 12))
    assert len(store) == 7
    store.close()
    assert read(opened(tmp_path)) == list(range(7, 12))


def test_what_is_kept_already_is_not_kept_twice(tmp_path):
    store, other = opened(tmp_path), opened(tmp_path)
    store.put(KEYS[:4], PICTURES[:4])
    other.put(KEYS[:6], PICTURES[:6])
    store.put(KEYS[:6], PICTURES[:6])
    assert rows_path(tmp_path, SPEC).stat().st_size == 6 * ROW
    assert read(store) == read(other) == list(range(6, 12))


def test_pictures_of_another_size_or_stretch_lie_elsewhere_and_scaling_does_not_matter():
    paths = {
        rows_path("x", spec).name
        for spec in (SPEC, replace(SPEC, height=7), replace(SPEC, width=6), replace(SPEC, sky=SkyStretch("zscale")))
    }
    assert len(paths) == 4
    assert rows_path("x", replace(SPEC, mean=0.0, std=1.0)) == rows_path("x", SPEC)


@pytest.mark.parametrize("name", ["rows", "index"])
def test_a_file_cut_at_any_byte_gives_what_is_whole_and_goes_on(tmp_path, name):
    filled(tmp_path, 4).close()
    path = rows_path(tmp_path, SPEC).with_suffix(f".{name}")
    both = {path: path.read_bytes() for path in (path.with_suffix(".rows"), path.with_suffix(".index"))}
    size = len(both[path])
    for cut in {0, 1, size // 4 - 1, size // 4, size // 4 + 1, *range(2, size, 17)}:
        for file, whole in both.items():
            file.write_bytes(whole[: cut if file == path else None])
        store = opened(tmp_path)
        kept = cut // (size // 4)
        assert read(store) == list(range(kept, 12))
        store.put(KEYS, PICTURES)
        assert read(store) == []
        store.close()


def test_a_flipped_bit_anywhere_never_gives_another_picture(tmp_path):
    filled(tmp_path, 3).close()
    for path in (rows_path(tmp_path, SPEC), rows_path(tmp_path, SPEC).with_suffix(".index")):
        whole = path.read_bytes()
        for place in range(0, len(whole), 7):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
            store = opened(tmp_path)
            assert read(store, KEYS[:3]) == [place // (len(whole) // 3)]
            store.close()
        fsio.write_bytes(path, whole)


def test_a_damaged_row_is_kept_anew_and_then_found(tmp_path):
    filled(tmp_path, 3).close()
    path = rows_path(tmp_path, SPEC)
    fsio.write_bytes(path, path.read_bytes()[:ROW] + bytes(ROW) + path.read_bytes()[2 * ROW :])
    store = opened(tmp_path)
    assert read(store, KEYS[:3]) == [1]
    store.put(KEYS[1:2], PICTURES[1:2])
    assert read(store, KEYS[:3]) == []
    store.close()
    assert read(opened(tmp_path), KEYS[:3]) == []


def test_rows_in_the_places_of_others_are_not_believed(tmp_path):
    filled(tmp_path, 3).close()
    path = rows_path(tmp_path, SPEC)
    data = path.read_bytes()
    fsio.write_bytes(path, data[ROW : 2 * ROW] + data[:ROW] + data[2 * ROW :])
    assert read(opened(tmp_path), KEYS[:3]) == [0, 1]


def test_a_file_that_is_none_of_ours_is_not_believed(tmp_path):
    fsio.write_bytes(rows_path(tmp_path, SPEC), b"x" * 10 * ROW)
    fsio.write_bytes(rows_path(tmp_path, SPEC).with_suffix(".index"), b"y" * 10 * ENTRY_BYTES)
    store = filled(tmp_path)
    assert read(store) == []


def test_no_more_is_kept_than_there_is_room_for(tmp_path):
    limit = 5 * (ROW + ENTRY_BYTES) + 3
    store = filled(tmp_path, limit=limit)
    assert store.is_full
    assert len(store) == 5
    assert read(store) == list(range(5, 12))
    (kept,) = kept_pixels(tmp_path)
    assert kept.size <= limit
    assert kept[2:5] == (6, 5, 5)
    store.put(KEYS, PICTURES)
    assert kept_pixels(tmp_path) == [kept]


def test_without_room_for_a_single_one_nothing_is_kept(tmp_path):
    store = filled(tmp_path, limit=ROW)
    assert len(store) == 0
    assert read(store) == list(range(12))


def test_others_give_way_where_the_wanted_would_not_fit(tmp_path):
    limit = 6 * (ROW + ENTRY_BYTES)
    filled(tmp_path, 6, limit=limit).close()
    store = opened(tmp_path, KEYS[4:8], limit)
    assert read(store, KEYS[4:8]) == [2, 3]
    store.put(KEYS[6:8], PICTURES[6:8])
    assert read(store, KEYS[4:8]) == []
    store.close()
    assert read(opened(tmp_path, limit=limit)) == [0, 1, 2, 3, 8, 9, 10, 11]


def test_others_stay_where_there_is_room(tmp_path):
    filled(tmp_path, 6).close()
    store = opened(tmp_path, KEYS[6:8])
    store.put(KEYS[6:8], PICTURES[6:8])
    assert read(opened(tmp_path)) == [8, 9, 10, 11]


def test_a_smaller_limit_makes_the_file_smaller(tmp_path):
    filled(tmp_path).close()
    store = opened(tmp_path, limit=3 * (ROW + ENTRY_BYTES))
    assert rows_path(tmp_path, SPEC).stat().st_size == 3 * ROW
    assert read(store) == list(range(3, 12))


def test_a_store_goes_on_while_another_makes_room(tmp_path):
    store = filled(tmp_path, 6)
    other = opened(tmp_path, KEYS[5:], 7 * (ROW + ENTRY_BYTES))
    store.put(KEYS, PICTURES)
    assert read(store) == []
    assert read(other, KEYS[5:]) == [1, 2, 3, 4, 5, 6]


def test_killed_between_the_two_renames_of_making_room(tmp_path):
    filled(tmp_path, 6).close()
    path = rows_path(tmp_path, SPEC)
    fsio.write_bytes(path, path.read_bytes()[4 * ROW : 6 * ROW])
    store = opened(tmp_path)
    assert read(store) == list(range(12))
    store.put(KEYS, PICTURES)
    assert read(store) == []


def test_a_full_disk_is_said_before_anything_is_decoded(tmp_path, monkeypatch):
    from retrain.pixels import store

    monkeypatch.setattr(store.shutil, "disk_usage", lambda folder: type("", (), {"free": 100}))
    with pytest.raises(CacheError, match=r"expected 0 MB free in .* for decoded photographs.*--pixel_cache_mb"):
        opened(tmp_path)
    assert len(opened(tmp_path, KEYS[:0])) == 0


def test_a_disk_that_fills_up_is_an_error_and_leaves_whole_rows(tmp_path, monkeypatch):
    from retrain.pixels import store as module

    store, write, written = filled(tmp_path, 2), os.write, []

    def fails_later(descriptor, data):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(write(descriptor, data[:50]))
        return written[-1]

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", fails_later)
        with pytest.raises(CacheError, match=r"No space left on device; make room, or give a smaller --pixel_cache_mb"):
            store.put(KEYS[2:5], PICTURES[2:5])
    store.put(KEYS[2:5], PICTURES[2:5])
    assert read(store) == list(range(5, 12))


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    fsio.write_text(tmp_path / "file", "")
    with pytest.raises(CacheError, match="cannot keep decoded photographs in"):
        opened(tmp_path / "file")


def test_many_threads_read_and_keep_at_once(tmp_path):
    store, failures = opened(tmp_path), []

    def work(seed):
        order = random.Random(seed).sample(range(12), 12)
        for n in order:
            if read(store, [KEYS[n]]):
                store.put([KEYS[n]], [PICTURES[n]])
            failures.extend(read(store, [KEYS[n]]))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows_path(tmp_path, SPEC).stat().st_size == 12 * ROW


WRITER = """
import signal, sys, numpy as np
from retrain.images import InputSpec
from retrain.pixels import PixelStore
keys = [n.to_bytes(32, "big") for n in range(4000)]
store = PixelStore(sys.argv[1], InputSpec(20, 20, 0.0, 1.0), keys, 10**9)
print("ready", flush=True)
for n, key in enumerate(keys[:3000]):  # never all, however late the signal comes
    store.put([key], [np.full((20, 20, 3), n % 251, np.uint8)])
signal.pause()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_processes_that_are_killed_leave_whole_rows_to_those_that_go_on(tmp_path):
    keys, spec = [n.to_bytes(32, "big") for n in range(4000)], InputSpec(20, 20, 0.0, 1.0)
    root = str(Path(retrain.__file__).parents[1])

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, cwd=root,
            env={**os.environ, "PYTHONPATH": root},
        )  # fmt: skip

    first, second = start(), start()
    for writer in (first, second):
        assert writer.stdout.readline() == b"ready\n"
        while sum(kept.rows for kept in kept_pixels(tmp_path)) < (80 if writer is second else 40):
            time.sleep(0.002)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    store = PixelStore(tmp_path, spec, keys, 10**9)
    out = np.empty((4000, 20, 20, 3), np.uint8)
    missing = set(store.read(keys, out))
    assert 0 < len(missing) < 4000
    assert all((out[n] == n % 251).all() for n in range(4000) if n not in missing)
    store.close()


@settings(max_examples=30)
@given(st.integers(0, 2**40), st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1))
def test_an_entry_is_read_as_it_was_written_and_only_as_its_own_rows(row, sha256, pixels):
    entry = Entry(row, sha256, pixels)
    assert list(unpack(pack(entry), row)) == [entry]
    assert list(unpack(pack(entry), row + 1)) == []


def test_a_checksum_is_of_content_and_pixels():
    one = checksum(KEYS[0], PICTURES[0])
    assert one != checksum(KEYS[1], PICTURES[0])
    assert one != checksum(KEYS[0], PICTURES[1])


def test_listing_passes_over_what_is_not_ours(tmp_path):
    assert kept_pixels(tmp_path / "none") == []
    fsio.write_text(tmp_path / "other.rows", "x")
    fsio.write_text(rows_path(tmp_path, SPEC), "x")
    (kept,) = kept_pixels(tmp_path)
    assert (kept.height, kept.width, kept.rows, kept.size) == (6, 5, 0, 1)
