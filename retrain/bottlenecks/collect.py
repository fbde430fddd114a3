"""Bring the cache up to date with the photographs, and read it as one matrix."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.bottlenecks import unverified
from retrain.bottlenecks.matrix import Floats, MemoryMatrix, Rows
from retrain.bottlenecks.skipped import Skipped, check_classes, check_skipped, skipped_csv
from retrain.bottlenecks.store import BottleneckStore, root_key
from retrain.bottlenecks.turns import turn
from retrain.console import Console
from retrain.dataset import Catalog, ImageRecord
from retrain.errors import CacheError, NumericalError
from retrain.extraction import Engine, Extraction, Job, Stamp

# A kill loses at most this many photographs' work, and not much more than so many seconds of it.
COMMIT_EVERY, COMMIT_S = 256, 10.0


@dataclass(frozen=True)
class Features:
    """The bottleneck vectors of a catalog.

    Args:
        catalog: the photographs that have a vector; the skipped ones are taken out.
        sha256s: digest of each photograph's bytes.
        rows: the vectors, (N, width), in memory or in a file.
        skipped: what was taken out.
        extracted: how many vectors were computed in this run.
        damaged: how many cached vectors failed their checksum and were computed again.
        changed: paths of files whose contents were not what the index said, though size and dates were.
        unverified: how many vectors were imported, not computed by this program.
    """

    catalog: Catalog
    sha256s: tuple[bytes, ...]
    rows: Rows
    skipped: tuple[Skipped, ...]
    extracted: int
    damaged: int
    changed: tuple[str, ...] = ()
    unverified: int = 0

    @property
    def matrix(self) -> Floats:
        """The vectors as one array, float32 (N, width); for tools that never meet more than memory holds."""
        if isinstance(self.rows, MemoryMatrix):
            return self.rows.array
        raise CacheError("expected features in memory, got a file; raise --feature_memory_mb, or use Features.rows")


def collect_features(
    catalog: Catalog,
    store: BottleneckStore,
    engine: Engine,
    console: Console,
    max_skipped_percentage: float,
    skipped_list: str,
    feature_memory_mb: int = 0,
    *,
    verify: bool = False,
    use_unverified: bool = False,
) -> Features:
    """Give every photograph its vector, computing only what the cache does not have.

    Args:
        catalog: the photographs.
        store: the cache.
        engine: what reads and extracts.
        console: shown how far it is.
        max_skipped_percentage: 0 to 100; more unreadable photographs than this (and than one) stop the run.
        skipped_list: path of the CSV that lists them; an earlier run's goes.
        feature_memory_mb: features that need more are kept in a file, see features_fit; 0: half of what is available.
        verify: read and hash every file, whatever the index says.
        use_unverified: take imported vectors where there are no others.

    Returns:
        The vectors of all readable photographs.

    Raises:
        ImageError: too many photographs could not be read.
        NumericalError: a vector is not finite.
    """
    update = _Update(catalog, store, engine, console, use_unverified=use_unverified)
    if verify:
        update.doubt()
    if _missing(update.hashes):
        with turn(store.path, root_key(catalog.root), console, store.commits_of_others) as waited:
            if waited and not verify:
                update.look_again()
            if missing := _missing(update.hashes):
                update.extract(missing, update.known())
    rows, bad = update.read(feature_memory_mb)
    damaged = update.count_known(bad)
    if bad:
        update.extract(bad, ())
        rows, still = update.read(feature_memory_mb)
        if still:
            raise NumericalError(f"{len(still)} vectors of {store.path} fail their checksum even when written anew")
    if update.skipped:
        fsio.write_text(skipped_list, skipped_csv(update.skipped))
    else:
        fsio.remove(skipped_list)
    check_skipped(update.skipped, len(catalog.records), max_skipped_percentage)
    kept = [i for i, sha in enumerate(update.hashes) if sha is not None]
    check_classes(catalog, kept, skipped_list)
    return Features(
        catalog=replace(catalog, records=tuple(catalog.records[i] for i in kept)),
        sha256s=tuple(sha for sha in update.hashes if sha is not None),
        rows=rows,
        skipped=tuple(update.skipped),
        extracted=update.extracted,
        damaged=damaged,
        changed=tuple(update.changed),
        unverified=update.lent,
    )


def _missing(hashes: Sequence[bytes | None]) -> list[int]:
    return [index for index, sha in enumerate(hashes) if sha is None]


class _Jobs(Sequence[Job]):
    """Jobs made when they are asked for: a list of them would take 250 bytes a photograph."""

    def __init__(self, catalog: Catalog, indices: Sequence[int]) -> None:
        self._catalog, self._indices = catalog, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, place: int) -> Job: ...
    @overload
    def __getitem__(self, place: slice) -> _Jobs: ...
    def __getitem__(self, place: int | slice) -> Job | _Jobs:
        if isinstance(place, slice):
            return _Jobs(self._catalog, self._indices[place])
        index = self._indices[place]
        return Job(index, self._catalog.full_path(self._catalog.records[index]))


class _Update:
    """One pass over a catalog: which digest each file has, and what could not be read."""

    def __init__(
        self, catalog: Catalog, store: BottleneckStore, engine: Engine, console: Console, *, use_unverified: bool
    ) -> None:
        self.catalog, self.store, self.engine, self.console = catalog, store, engine, console
        self.hashes = store.recognise(catalog.root, catalog.records)
        self.skipped: list[Skipped] = []
        self.extracted = 0
        self.use_unverified, self.lent = use_unverified, 0
        self.believed: Sequence[bytes | None] = ()
        self.changed: list[str] = []

    def doubt(self) -> None:
        """Believe nothing of the index; what it said is compared when the files are read."""
        self.believed = self.hashes
        self.hashes = [None] * len(self.believed)

    def look_again(self) -> None:
        """Take what other processes have found out meanwhile."""
        missing = _missing(self.hashes)
        found = self.store.recognise(self.catalog.root, [self.catalog.records[index] for index in missing])
        for index, sha in zip(missing, found, strict=True):
            self.hashes[index] = sha

    def known(self) -> Container[bytes]:
        """The contents that need no vector."""
        known = self.store.known_hashes()
        return known | unverified.known(self.store) if self.use_unverified else known

    def count_known(self, indices: Sequence[int]) -> int:
        """Count files whose vector is in the cache, whole or not; the others were pruned, or only imported."""
        known = self.store.known_hashes() if indices else ()
        return sum(self.hashes[i] in known for i in indices)

    def extract(self, indices: Sequence[int], known: Container[bytes]) -> None:
        """Have the engine do some files, committing as it goes, on an interrupt as well."""
        jobs = _Jobs(self.catalog, indices)
        batch: list[Extraction] = []
        answers, committed = self.engine.extract(jobs, known), time.monotonic()
        with self.console.stage("Creating bottlenecks", len(jobs), "photographs") as advance:
            try:
                for answer in answers:
                    self._take(answer, batch)
                    advance()
                    if len(batch) >= COMMIT_EVERY or time.monotonic() - committed > COMMIT_S:
                        self._commit(batch)
                        committed = time.monotonic()
            finally:
                self._commit(batch)

    def _take(self, answer: Extraction, batch: list[Extraction]) -> None:
        record = self.catalog.records[answer.index]
        self.hashes[answer.index] = answer.sha256 if answer.error is None else None
        if self.believed and self.believed[answer.index] not in (None, answer.sha256):
            self.changed.append(record.path)
        if answer.error is not None:
            self.skipped.append(Skipped(record.path, answer.error.reason, answer.error.detail))
        else:
            batch.append(answer)

    def _commit(self, batch: list[Extraction]) -> None:
        vectors = [(a.sha256, a.vector) for a in batch if a.sha256 is not None and a.vector is not None]
        files = [
            (_as_read(self.catalog.records[a.index], a.stamp), a.read_ns, a.sha256)
            for a in batch
            if a.sha256 is not None and a.stamp is not None
        ]
        self.store.put(vectors, self.catalog.root, files)
        self.extracted += len(vectors)
        batch.clear()

    def read(self, feature_memory_mb: int) -> tuple[Rows, list[int]]:
        """Read the rows of all files that have a digest; the second value lists catalog indices that failed."""
        hashes = [sha for sha in self.hashes if sha is not None]
        rows, bad = self.store.read_rows(hashes, feature_memory_mb)
        if not bad:
            return rows, []
        if self.use_unverified:
            still = unverified.lend(self.store, rows, hashes, bad)
            self.lent, bad = len(bad) - len(still), still
        kept = [i for i, sha in enumerate(self.hashes) if sha is not None]
        return rows, [kept[i] for i in bad]


def _as_read(record: ImageRecord, stamp: Stamp) -> ImageRecord:
    return replace(record, size=stamp.size, mtime_ns=stamp.mtime_ns, ctime_ns=stamp.ctime_ns)


def labels_of(features: Features) -> npt.NDArray[np.intp]:
    """Read off the class of each photograph.

    Args:
        features: what was collected.

    Returns:
        intp (N,), indices into the catalog's labels.
    """
    return np.array([record.label for record in features.catalog.records], np.intp)
