"""Several processes that bring one cache up to date at once: what they compute, and what lies in it afterwards.

python tests/faults/sharing.py PHOTOS CACHE COUNTS START    one of them: real engine, real store, an extractor of a line
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from commands import ROOT, environment

from retrain.bottlenecks import BottleneckStore, collect_features
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.engines import LocalEngine

WIDTH = 8
FINGERPRINT = "f" * 64
DEADLOCK_S = 60.0
# As long as a small backbone takes; most of it without Python's lock, as there.
EXTRACTION_S = 0.0005


def vector_of(data: bytes) -> np.ndarray:
    """Make a vector that says from which bytes it is."""
    return np.frombuffer(hashlib.sha256(data).digest(), np.uint8)[:WIDTH].astype(np.float32)


def make_photographs(folder: Path, count: int, seed: int = 0) -> None:
    """Write files of different contents into two class folders; the extractor decodes nothing."""
    random = np.random.default_rng(seed)
    head = b"\xff\xd8\xff\xe0"
    for number in range(count):
        place = folder / f"class_{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:05d}.jpg").write_bytes(head + random.bytes(200))


@dataclass(frozen=True)
class Shared:
    """What came of a round.

    Args:
        computed: vectors, by all writers together.
        photographs: how many there are.
        took_s: until the last writer ended.
    """

    computed: int
    photographs: int
    took_s: float

    @property
    def twice(self) -> float:
        """The share that was computed more than once."""
        return self.computed / self.photographs - 1.0


def share(photographs: Path, place: Path, writers: int) -> Shared:
    """Have several processes fill one new cache, and hold it against what must be in it."""
    place.mkdir(parents=True, exist_ok=True)
    cache, start = place / "shared.sqlite", place / "start"
    counts = [place / f"{number}.count" for number in range(writers)]
    for path in (*counts, start, *place.glob("shared.sqlite*")):
        path.unlink(missing_ok=True)
    children = [begin(photographs, cache, count, start) for count in counts]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    since = time.monotonic()
    start.touch()
    try:
        for child in children:
            said, _ = child.communicate(timeout=DEADLOCK_S)
            assert child.returncode == 0, said
    finally:
        for child in children:
            child.kill()
            child.wait()
    took_s = time.monotonic() - since
    total = check(photographs, cache)
    return Shared(sum(int(path.read_text()) for path in counts), total, took_s)


def begin(photographs: Path, cache: Path, count: Path, start: Path) -> subprocess.Popen[str]:
    """Start a writer, which waits for the file ``start``."""
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, (photographs, cache, count, start))], text=True, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(),
    )  # fmt: skip


def check(photographs: Path, cache: Path) -> int:
    """Read the cache: every photograph has its own vector, and there is nothing else; how many there are."""
    expected = {
        hashlib.sha256(data).digest(): vector_of(data) for data in map(Path.read_bytes, photographs.rglob("*.jpg"))
    }
    with BottleneckStore(cache, FINGERPRINT, WIDTH) as store:
        assert store.set_aside is None
        assert store.known_hashes() == expected.keys()
        matrix, bad = store.read_matrix(list(expected))
    assert bad == []
    assert np.array_equal(matrix, np.stack(list(expected.values())))
    return len(expected)


class Counted:
    """The extractor, which counts."""

    def __init__(self) -> None:
        self.count, self._lock = 0, threading.Lock()

    def __call__(self, data: bytes) -> np.ndarray:
        """Extract."""
        time.sleep(EXTRACTION_S)
        with self._lock:
            self.count += 1
        return vector_of(data)


def main(words: Sequence[str]) -> None:
    """Be a writer."""
    photographs, cache, count, start = map(Path, words)
    extractor = Counted()
    catalog = scan_folder(str(photographs), "folder")
    print("ready", flush=True)
    while not start.exists():
        time.sleep(0.001)
    with BottleneckStore(cache, FINGERPRINT, WIDTH) as store:
        features = collect_features(
            catalog, store, LocalEngine(extractor, threads=2), Console(quiet=True), 0.0, str(count.with_suffix(".csv"))
        )
    assert len(features.sha256s) == len(catalog.records)
    count.write_text(str(extractor.count))


if __name__ == "__main__":
    main(sys.argv[1:])
