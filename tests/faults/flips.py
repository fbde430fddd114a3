"""Files with one bit turned, or cut at one byte, and what the code that reads them makes of that.

Each reader answers with what was written, says that it is not there, or raises an error of this program: never
anything else, and never something that was not written. The tests take some of all places, scripts/soak/flips.py all.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
from support import FINGERPRINT, HOUR_NS, FakeEngine, fake_features, write_tree

from retrain.bottlenecks import BottleneckStore, collect_features, unverified
from retrain.bottlenecks.maintain import check_cache, mend, stats_of
from retrain.bottlenecks.prune import prune
from retrain.console import Console
from retrain.dataset import ImageRecord, scan_folder
from retrain.errors import RetrainError

WIDTH = 8
ROOT = "/photographs"
WHOLE, ABSENT, REFUSED, ASIDE, NEW = "as written", "in part", "refused", "set aside", "made anew"
NAMES = [f"{kind}/{number}.jpg" for kind in ("cats", "dogs") for number in range(3)]
# Equal in size and dates, as what is unpacked within one tick of the clock is: only the names tell them apart.
RECORDS = [ImageRecord(name, 0, 100, 1_000_000_000, 1_000_000_000) for name in NAMES]
CONTENTS = [hashlib.sha256(name.encode()).digest() for name in NAMES]
VECTORS = [fake_features(name.encode()) for name in NAMES]

Read = Callable[[], str]


def flipped(data: bytes, bits: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Turn bits, one at a time: each with all of the data."""
    for bit in bits:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def cut(data: bytes, lengths: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Cut the data, at one place at a time."""
    for length in lengths:
        yield length, data[:length]


def outcomes(path: Path, cases: Iterator[tuple[int, bytes]], read: Read) -> Counter[str]:
    """Put each case in the place of a file and read it.

    Args:
        path: the file; as the last case left it.
        cases: a number, for the message, and the bytes.
        read: says what it found; raises AssertionError where that was never written.

    Returns:
        How often each answer came.
    """
    found: Counter[str] = Counter()
    for number, data in cases:
        path.write_bytes(data)
        try:
            found[read()] += 1
        except RetrainError:
            found[REFUSED] += 1
        except Exception as error:
            raise AssertionError(f"{path.name}, case {number}: {type(error).__name__}: {error}") from error
    return found


def make_cache(path: Path, page_bytes: int = 512) -> bytes:
    """Write a small cache: vectors, an index, and vectors that were imported.

    Args:
        path: the SQLite file.
        page_bytes: of SQLite; small ones leave less of the file empty.

    Returns:
        Its bytes.
    """
    _begin(path, page_bytes)
    files = [(record, HOUR_NS, sha) for record, sha in zip(RECORDS, CONTENTS, strict=True)]
    with BottleneckStore(path, FINGERPRINT, WIDTH) as store:
        store.put(zip(CONTENTS[:-1], VECTORS, strict=False), ROOT, files)
        unverified.keep(store, [(CONTENTS[-1], VECTORS[-1])], "a test")
    return path.read_bytes()


def _begin(path: Path, page_bytes: int) -> None:
    """An empty cache, whatever an earlier case left there."""
    forget_asides(path)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA page_size = {page_bytes}")
        db.execute("VACUUM")


def forget_asides(path: Path) -> bool:
    """Remove what was set aside beside a file; says whether there was something."""
    asides = list(path.parent.glob(f"{path.name}.damaged-*"))
    for aside in asides:
        aside.unlink()
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return bool(asides)


def read_cache(path: Path) -> str:
    """Open a cache as a run does, and hold every answer against what was written."""
    forget_asides(path)
    try:
        with BottleneckStore(path, FINGERPRINT, WIDTH) as store:
            answer = _read_store(store)
            _write_and_read(store)
    finally:
        was_aside = forget_asides(path)
    return ASIDE if was_aside else answer


def _read_store(store: BottleneckStore) -> str:
    named = store.recognise(ROOT, RECORDS)
    for name, sha, right in zip(NAMES, named, CONTENTS, strict=True):
        assert sha in (None, right), f"the index takes {name} for another content"
    store.known_hashes()
    rows, bad = store.read_rows(CONTENTS, 1)
    still = unverified.lend(store, rows, CONTENTS, bad) if bad else []
    matrix = rows.take(np.arange(len(CONTENTS)))
    good = [index for index in range(len(CONTENTS)) if index not in still]
    for index in good:
        assert matrix[index].tobytes() == VECTORS[index].tobytes(), f"another vector for {NAMES[index]}"
    return WHOLE if len(good) == len(NAMES) and None not in named else ABSENT


def _write_and_read(store: BottleneckStore) -> None:
    """What is written into a cache after it was damaged is read as it was written, or refused."""
    store.put(zip(CONTENTS, VECTORS, strict=True), ROOT, [])
    matrix, bad = store.read_matrix(CONTENTS)
    for index in set(range(len(CONTENTS))) - set(bad):
        assert matrix[index].tobytes() == VECTORS[index].tobytes(), f"another vector for {NAMES[index]}, written anew"


def look_after(path: Path) -> str:
    """Open a cache as ``cache stats``, ``verify``, ``prune`` and a run with --verify_cache do."""
    forget_asides(path)
    try:
        stats_of(path)
        damage = check_cache(path).damage
        prune(path, dry_run=True)
        with BottleneckStore(path, FINGERPRINT, WIDTH) as store:
            mend(store)
            return ABSENT if damage or _read_store(store) != WHOLE else WHOLE
    finally:
        forget_asides(path)


def make_set(folder: Path) -> tuple[Path, bytes]:
    """Write photographs and their cache; the cache's path and its bytes."""
    contents = {kind: {f"{n}.jpg": f"{kind} {n}".encode() for n in range(3)} for kind in ("cats", "dogs")}
    write_tree(folder / "photographs", contents)
    path = folder / "small.sqlite"
    _begin(path, 512)
    collect(folder, path)
    return path, path.read_bytes()


def collect(folder: Path, path: Path) -> tuple[FakeEngine, bool]:
    """Bring a cache up to date as a run does; fails where a vector is not its photograph's.

    Returns:
        The engine, and whether the cache was set aside.
    """
    engine = FakeEngine()
    with BottleneckStore(path, FINGERPRINT, WIDTH) as store:
        catalog = scan_folder(str(folder / "photographs"), "folder")
        features = collect_features(catalog, store, engine, Console(quiet=True), 5.0, str(folder / "skipped.csv"))
        aside = store.set_aside is not None
    for record, vector in zip(features.catalog.records, features.matrix, strict=True):
        data = Path(features.catalog.full_path(record)).read_bytes()
        assert vector.tobytes() == fake_features(data).tobytes(), record.path
    return engine, aside


def collected(folder: Path, path: Path) -> str:
    """Run over a cache that may be damaged, and then again over what that left: it must be whole by then."""
    forget_asides(path)
    try:
        engine, aside = collect(folder, path)
        again, _ = collect(folder, path)
        assert not again.extracted, "a vector was computed a second time"
    finally:
        forget_asides(path)
    return ASIDE if aside else NEW if engine.extracted else ABSENT if engine.read else WHOLE


def opened_beside(place: Path, path: Path, wal: bytes) -> tuple[Path, Path]:
    """Copy a cache and its write-ahead log, as a killed process leaves both; paths of the copies."""
    copy = place / "copy.sqlite"
    shutil.copyfile(path, copy)
    log = copy.with_name(copy.name + "-wal")
    log.write_bytes(wal)
    return copy, log


def spread(total: int, count: int, seed: int) -> list[int]:
    """Choose places: one in each of so many equal parts, or all."""
    if count >= total:
        return list(range(total))
    edges = np.linspace(0, total, count + 1).astype(int)
    random = np.random.default_rng(seed)
    return [int(random.integers(low, high)) for low, high in pairwise(edges)]
