"""Several processes on one cache, and locks of processes that are gone. More of it: python -m scripts.soak sharing"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from commands import ROOT, environment
from kills import is_alive
from sharing import FINGERPRINT, WIDTH, begin, check, make_photographs, share, vector_of

from retrain import fsio
from retrain.bottlenecks import BottleneckStore
from retrain.bottlenecks import turns as turns_module
from retrain.bottlenecks.turns import turn
from retrain.console import Console
from retrain.errors import RetrainError

PHOTOGRAPHS = 600
TAKEN_OVER_S = 5.0


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    make_photographs(folder, PHOTOGRAPHS)
    return folder


@pytest.mark.parametrize("writers", [2, 4])
def test_writers_share_a_cache_and_the_work(photographs, tmp_path, writers):
    for number in range(2):
        shared = share(photographs, tmp_path / str(number), writers)
        assert shared.photographs == PHOTOGRAPHS
        assert shared.twice <= 0.05
        assert [path.name for path in (tmp_path / str(number)).glob("*.lock")] == []


def test_a_killed_writer_gives_up_its_turn_and_keeps_what_it_had(photographs, tmp_path):
    cache, start = tmp_path / "shared.sqlite", tmp_path / "start"
    start.touch()
    first = begin(photographs, cache, tmp_path / "first", start)
    wait_for(lambda: cache.exists() and len(hashes(cache)) > 0)
    second = begin(photographs, cache, tmp_path / "second", start)
    assert second.stdout is not None
    assert second.stdout.readline() == "ready\n"
    time.sleep(0.1)
    first.kill()
    first.wait()
    since = time.monotonic()
    had = len(hashes(cache))
    said, _ = second.communicate(timeout=60)
    assert first.stdout is not None
    first.stdout.close()
    assert second.returncode == 0, said
    assert time.monotonic() - since < 60
    assert check(photographs, cache) == PHOTOGRAPHS
    assert int((tmp_path / "second").read_text()) <= PHOTOGRAPHS - had


def hashes(cache):
    try:
        with BottleneckStore(cache, FINGERPRINT, WIDTH) as store:
            return store.known_hashes()
    except RetrainError:  # it is being made
        return set()


def wait_for(condition, most_s=60.0):
    until = time.monotonic() + most_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def holder(lines):
    """A process that takes a lock, says so, and keeps it."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"import time\n{lines}"], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def end(child):
    child.kill()
    child.wait()
    child.stdout.close()
    assert not is_alive(child.pid)


@pytest.mark.parametrize("stays", [True, False])
def test_the_lock_of_a_dead_process_is_free_at_once(tmp_path, stays):
    target = tmp_path / "thing"
    child = holder(
        f"from retrain import fsio\nwith fsio.locked({str(target)!r}, stays={stays}):\n    print('held', flush=True)\n    time.sleep(600)"
    )
    with pytest.raises(RetrainError, match="another process has held"), fsio.locked(target, timeout_s=0.2):
        pass
    end(child)
    with fsio.locked(target, timeout_s=TAKEN_OVER_S, stays=stays):
        assert (tmp_path / "thing.lock").exists()
    assert (tmp_path / "thing.lock").exists() == stays


def test_who_waited_for_a_lock_that_was_removed_does_not_share_it_with_a_newcomer(tmp_path):
    """Whoever opened the old file finds that it is not the one any more."""
    target, log = tmp_path / "thing", tmp_path / "log"
    log.touch()
    lines = (
        f"from retrain import fsio\nprint('held', flush=True)\nfor _ in range(60):\n"
        f"    with fsio.locked({str(target)!r}, stays=False), open({str(log)!r}, 'a') as file:\n"
        "        file.write('in '); file.flush(); time.sleep(0.002); file.write('out '); file.flush()"
    )
    children = [holder(lines) for _ in range(3)]
    for child in children:
        assert child.wait(60) == 0
        child.stdout.close()
    assert log.read_text() == "in out " * 180


def test_sqlites_lock_of_a_dead_process_is_free_at_once(tmp_path):
    cache = tmp_path / "shared.sqlite"
    child = holder(
        "from pathlib import Path\nfrom retrain.bottlenecks import BottleneckStore\n"
        f"store = BottleneckStore(Path({str(cache)!r}), {FINGERPRINT!r}, {WIDTH})\n"
        "store._db.execute('BEGIN IMMEDIATE')\nstore._db.execute('CREATE TABLE half (done)')\n"
        "print('held', flush=True)\ntime.sleep(600)"
    )
    end(child)
    since = time.monotonic()
    with BottleneckStore(cache, FINGERPRINT, WIDTH) as store:
        store.put([(b"\1" * 32, vector_of(b"one"))], str(tmp_path), [])
        assert store.known_hashes() == {b"\1" * 32}
        assert store._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone() is None
    assert time.monotonic() - since < TAKEN_OVER_S


def test_a_cache_which_another_makes_at_the_same_moment_is_waited_for(tmp_path):
    """SQLite itself does not wait there: "database is locked", at once."""
    cache = tmp_path / "shared.sqlite"
    maker = sqlite3.connect(cache, isolation_level=None, check_same_thread=False)
    maker.execute("CREATE TABLE other (x)")
    maker.execute("BEGIN IMMEDIATE")
    later = threading.Timer(0.3, maker.execute, ("COMMIT",))
    later.start()
    with BottleneckStore(cache, FINGERPRINT, WIDTH) as store:
        assert store.known_hashes() == set()
    later.join()
    maker.close()


class Said(Console):
    def __init__(self):
        super().__init__()
        self.lines = []

    def line(self, text):
        self.lines.append(text)


def stopped_holder(tmp_path):
    """A process that has the turn and has been stopped."""
    child = holder(
        "from pathlib import Path\nfrom retrain.bottlenecks.turns import turn\nfrom retrain.console import Console\n"
        f"with turn(Path({str(tmp_path / 'c.sqlite')!r}), b'root', Console(quiet=True), int):\n"
        "    print('held', flush=True)\n    time.sleep(600)"
    )
    child.send_signal(signal.SIGSTOP)
    return child


def test_who_adds_nothing_loses_its_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(turns_module, "STALLED_S", 0.2)
    monkeypatch.setattr(turns_module, "_SILENT_S", 0.1)
    child, console = stopped_holder(tmp_path), Said()
    commits = iter([1, 2, 2])
    with turn(tmp_path / "c.sqlite", b"root", console, lambda: next(commits)) as waited:
        assert waited
    assert list(commits) == []
    assert ["Another process" in console.lines[0], "added nothing" in console.lines[1]] == [True, True]
    end(child)


def test_another_folder_needs_no_turn_of_this_one(tmp_path):
    child, console = stopped_holder(tmp_path), Said()
    with turn(tmp_path / "c.sqlite", b"another root", console, int) as waited:
        assert not waited
    assert console.lines == []
    end(child)


def test_what_fails_while_it_has_the_turn_is_not_taken_for_a_busy_lock(tmp_path):
    with pytest.raises(RetrainError, match="so"), turn(tmp_path / "c.sqlite", b"root", Said(), int):
        raise RetrainError("so")
    assert list(tmp_path.iterdir()) == []
