"""Whole runs on Ray in processes of their own: the command line, and drivers that are interrupted or killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from extractors import HERE, PYTHONPATH, ROOT, Slow, ended, logged
from support import FINGERPRINT, WIDTH, digest, fake_features, write_tree

from retrain.bottlenecks import BottleneckStore, collect_features
from retrain.bottlenecks.collect import COMMIT_EVERY
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.engines import LocalEngine
from retrain.engines.ray_engine import BLOCK

PHOTOS = ROOT / "tf_files" / "cluster_photos"
# 10 ms each: no driver comes to an end before its test ends it.
CONTENTS = [b"photo %04d" % number for number in range(6000)]
HAS_PROC = Path("/proc/self/environ").exists()
ENDINGS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}


def environment(home: Path) -> dict[str, str]:
    """This process's, without what its cluster needs, and with a home folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "PYTHONPATH": PYTHONPATH, "HOME": str(home)}


@dataclass
class Driver:
    """drive.py at work in a folder of its own."""

    folder: Path
    child: subprocess.Popen[str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    half = len(CONTENTS) // 2
    names = [f"{number}.jpg" for number in range(half)]
    sides = {"a": CONTENTS[:half], "b": CONTENTS[half:]}
    tree = {name: dict(zip(names, contents, strict=True)) for name, contents in sides.items()}
    return write_tree(tmp_path_factory.mktemp("long") / "photos", tree)


@pytest.fixture(scope="module")
def drivers(photos, tmp_path_factory):
    """One for each way to end, all started at once, since a Ray takes seconds to start."""
    started = {}
    for number in ENDINGS:
        folder = tmp_path_factory.mktemp("driver")
        (folder / "home").mkdir()
        words = [sys.executable, HERE / "drive.py", photos, folder / "cache.sqlite", folder / "log"]
        child = subprocess.Popen(
            [str(word) for word in words],
            env=environment(folder / "home"), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started[number] = Driver(folder, child)
    yield started
    for driver in started.values():
        driver.child.kill()
        driver.child.communicate()


def cached(folder: Path) -> dict[bytes, bytes]:
    if not (folder / "cache.sqlite").exists():
        return {}
    with contextlib.closing(sqlite3.connect(folder / "cache.sqlite", timeout=30)) as db:
        try:
            return dict(db.execute("SELECT sha256, vector FROM vectors"))
        except sqlite3.OperationalError:  # the table is not made yet
            return {}


def wait_for_a_commit(driver: Driver, within_s: float = 90.0) -> None:
    until = time.monotonic() + within_s
    while not cached(driver.folder):
        assert driver.child.poll() is None, driver.child.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)


def rays_children(folder: Path) -> dict[int, bytes]:
    """Processes that carry the home folder of this test in their environment: the driver, Ray's and the workers."""
    found, wanted = {}, f"HOME={folder / 'home'}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes()
    return found


@pytest.mark.skipif(not HAS_PROC, reason="looks for left processes in /proc")
@pytest.mark.parametrize("number", ENDINGS)
def test_however_a_driver_ends_what_came_back_is_kept_and_the_ray_that_it_started_ends(drivers, photos, number):
    driver = drivers[number]
    wait_for_a_commit(driver)
    processes = rays_children(driver.folder)
    assert len(processes) > 4
    driver.child.send_signal(number)
    _, said = driver.child.communicate(timeout=60)
    assert driver.child.returncode == ENDINGS[number]
    for process, words in processes.items():
        # After a kill, Ray's two agents try to report it for up to a minute, and then end.
        if number != signal.SIGKILL or b"Agent" not in words:
            assert ended(process), words
    if number == signal.SIGKILL:
        assert said == ""
    else:
        (line,) = said.strip().splitlines()
        assert line.endswith("what was cached is kept, the same command goes on from there")
    extracted, kept = len(logged(driver.folder / "log")), len(cached(driver.folder))
    # What was out with the two workers or had just come back; at a kill, what was not yet committed as well.
    in_flight = 6 * BLOCK + (COMMIT_EVERY if number == signal.SIGKILL else 0)
    assert extracted - in_flight <= kept <= extracted
    assert not (driver.folder / "home" / ".ray").exists()
    check_the_next_run_does_the_rest(driver.folder, photos)


def check_the_next_run_does_the_rest(folder: Path, photos: Path) -> None:
    kept, log = cached(folder), folder / "log of the next run"
    with BottleneckStore(folder / "cache.sqlite", FINGERPRINT, WIDTH) as store:
        catalog, engine = scan_folder(str(photos), "folder"), LocalEngine(Slow(log, 0.0))
        features = collect_features(catalog, store, engine, Console(quiet=True), 5.0, str(folder / "skipped.csv"))
    again = [content for _, content in logged(log)]
    assert len(again) == len(set(again)) == features.extracted == len(CONTENTS) - len(kept)
    assert not {digest(content) for content in again} & set(kept)
    assert sorted(cached(folder).values()) == sorted(fake_features(content).tobytes() for content in CONTENTS)


@pytest.mark.tensorflow
def test_the_command_on_two_nodes_writes_the_bytes_of_a_local_run(nodes, tmp_path):
    def retrain(engine, image_dir, *more):
        places = {name: tmp_path / engine / name for name in ("bottleneck_dir", "summaries_dir")}
        files = {"output_graph": tmp_path / engine / "model.pb", "output_labels": tmp_path / engine / "labels.txt"}
        flags = {"image_dir": image_dir, "model_dir": tmp_path / "models", **places, **files}
        words = [f"--{name}={value}" for name, value in flags.items()] + ["--offline", f"--engine={engine}", *more]
        return subprocess.run(
            [sys.executable, "-m", "retrain", *words, "--how_many_training_steps=20", "--cross_validation_folds=0"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "0"},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    here = retrain("local", PHOTOS)
    there = retrain("ray", PHOTOS.as_uri(), "--ray_address", nodes.address)
    assert (here.returncode, there.returncode) == (0, 0), here.stderr + there.stderr
    # Nothing of Ray's own; on a busy machine there may be a line of progress.
    assert [line for line in there.stderr.splitlines() if not line.startswith("Creating bottlenecks")] == []
    assert "84 bottleneck files created" in there.stdout
    assert not re.search(r"\b[Rr]aylet|Ray\b", there.stdout)
    for name in ("model.pb", "model.tflite", "model.split.csv", "labels.txt"):
        assert (tmp_path / "local" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()
    tables = [rows(tmp_path / engine / "bottleneck_dir") for engine in ("local", "ray")]
    assert len(tables[0]) == 84
    assert tables[0] == tables[1]


def rows(folder: Path) -> list[tuple[bytes, bytes, int]]:
    (path,) = folder.glob("mobilenet*.sqlite")
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT sha256, vector, checksum FROM vectors ORDER BY sha256").fetchall()
