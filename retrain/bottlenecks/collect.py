"""Bring the cache up to date with the photographs, and read it as one matrix."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.bottlenecks.store import BottleneckStore, Floats
from retrain.console import Console, printable
from retrain.dataset import Catalog, ImageRecord
from retrain.errors import ImageError, NumericalError

# A kill loses at most this many photographs' work.
COMMIT_EVERY = 256

ExtractFunction = Callable[[bytes], Floats]


@dataclass(frozen=True, slots=True)
class Job:
    """One file to read.

    Args:
        index: its place in the catalog.
        path: where it lies.
    """

    index: int
    path: str


class Stamp(NamedTuple):
    """What a directory says of a file: bytes, and the times of its last changes in nanoseconds."""

    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Extraction:
    """What came of one file.

    Args:
        index: its place in the catalog.
        read_ns: when its bytes were read, nanoseconds since the epoch.
        sha256: digest of its bytes; None when they could not be read.
        vector: float32 (width,); None when the content was known already, or on an error.
        error: why there is no vector.
        stamp: its state when it was read; None when that changed meanwhile or could not be examined.
    """

    index: int
    read_ns: int
    sha256: bytes | None
    vector: Floats | None
    error: ImageError | None
    stamp: Stamp | None


class Engine(Protocol):
    """Where extraction runs."""

    def extract(self, jobs: Sequence[Job], known: Container[bytes]) -> Iterator[Extraction]:
        """Read, hash and, unless the content is known, extract.

        Args:
            jobs: what to do.
            known: digests that need no vector.

        Yields:
            One answer a job, in order.
        """


@dataclass(frozen=True)
class Skipped:
    """A file that is not part of the run.

    Args:
        path: relative to the image folder.
        reason: a short name shared by equal failures.
        detail: what exactly was found.
    """

    path: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Features:
    """The bottleneck vectors of a catalog.

    Args:
        catalog: the photographs that have a vector; the skipped ones are taken out.
        sha256s: digest of each photograph's bytes.
        matrix: float32 (N, width).
        skipped: what was taken out.
        extracted: how many vectors were computed in this run.
        damaged: how many cached vectors failed their checksum and were computed again.
    """

    catalog: Catalog
    sha256s: tuple[bytes, ...]
    matrix: Floats
    skipped: tuple[Skipped, ...]
    extracted: int
    damaged: int


def collect_features(
    catalog: Catalog,
    store: BottleneckStore,
    engine: Engine,
    console: Console,
    max_skipped_percentage: float,
    skipped_list: str,
) -> Features:
    """Give every photograph its vector, computing only what the cache does not have.

    Args:
        catalog: the photographs.
        store: the cache.
        engine: what reads and extracts.
        console: shown how far it is.
        max_skipped_percentage: 0 to 100; more unreadable photographs than this (and than one) stop the run.
        skipped_list: path of the CSV that lists them; an earlier run's is replaced.

    Returns:
        The vectors of all readable photographs.

    Raises:
        ImageError: too many photographs could not be read.
        NumericalError: a vector is not finite.
    """
    update = _Update(catalog, store, engine, console)
    update.extract(_missing(update.hashes), store.known_hashes())
    matrix, damaged = update.read()
    if damaged:
        update.extract(damaged, ())
        matrix, still = update.read()
        if still:
            raise NumericalError(f"{len(still)} vectors of {store.path} fail their checksum even when written anew")
    if update.skipped or Path(skipped_list).exists():
        fsio.write_text(skipped_list, skipped_csv(update.skipped))
    _check_skipped(update.skipped, len(catalog.records), max_skipped_percentage)
    kept = [i for i, sha in enumerate(update.hashes) if sha is not None]
    _check_classes(catalog, kept, skipped_list)
    return Features(
        catalog=replace(catalog, records=tuple(catalog.records[i] for i in kept)),
        sha256s=tuple(sha for sha in update.hashes if sha is not None),
        matrix=matrix,
        skipped=tuple(update.skipped),
        extracted=update.extracted,
        damaged=len(damaged),
    )


def _missing(hashes: Sequence[bytes | None]) -> list[int]:
    return [index for index, sha in enumerate(hashes) if sha is None]


class _Update:
    """One pass over a catalog: which digest each file has, and what could not be read."""

    def __init__(self, catalog: Catalog, store: BottleneckStore, engine: Engine, console: Console) -> None:
        self.catalog, self.store, self.engine, self.console = catalog, store, engine, console
        self.hashes = store.recognise(catalog.root, catalog.records)
        self.skipped: list[Skipped] = []
        self.extracted = 0

    def extract(self, indices: Sequence[int], known: Container[bytes]) -> None:
        """Have the engine do some files, committing as it goes, on an interrupt as well."""
        jobs = [Job(i, self.catalog.full_path(self.catalog.records[i])) for i in indices]
        batch: list[Extraction] = []
        answers = self.engine.extract(jobs, known)
        with self.console.stage("Creating bottlenecks", len(jobs), "photographs") as advance:
            try:
                for answer in answers:
                    self._take(answer, batch)
                    advance()
                    if len(batch) >= COMMIT_EVERY:
                        self._commit(batch)
            finally:
                self._commit(batch)

    def _take(self, answer: Extraction, batch: list[Extraction]) -> None:
        record = self.catalog.records[answer.index]
        self.hashes[answer.index] = answer.sha256 if answer.error is None else None
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

    def read(self) -> tuple[Floats, list[int]]:
        """Read the matrix of all files that have a digest; the second value lists catalog indices that failed."""
        kept = [i for i, sha in enumerate(self.hashes) if sha is not None]
        matrix, bad = self.store.read_matrix([sha for sha in self.hashes if sha is not None])
        return matrix, [kept[i] for i in bad]


def _as_read(record: ImageRecord, stamp: Stamp) -> ImageRecord:
    return replace(record, size=stamp.size, mtime_ns=stamp.mtime_ns, ctime_ns=stamp.ctime_ns)


def _check_skipped(skipped: Sequence[Skipped], total: int, max_percentage: float) -> None:
    if len(skipped) <= 1 or 100.0 * len(skipped) / total <= max_percentage:
        return
    first = "; ".join(f"{printable(s.path)} ({s.reason})" for s in skipped[:3])
    raise ImageError(
        "too many images cannot be read",
        f"{len(skipped)} of {total} ({count_reasons(skipped)}), at most {max_percentage:g} % may be: {first}. "
        "Mend or remove them, or raise --max_skipped_percentage.",
    )


def _check_classes(catalog: Catalog, kept: Sequence[int], skipped_list: str) -> None:
    left = {catalog.records[i].label for i in kept}
    lost = [printable(name) for label, name in enumerate(catalog.labels) if label not in left]
    if lost:
        raise ImageError(
            "a class has no image that can be read",
            f"{', '.join(lost)}; see {skipped_list}, mend them or take the class folder away",
        )


def labels_of(features: Features) -> npt.NDArray[np.intp]:
    """Read off the class of each photograph.

    Args:
        features: what was collected.

    Returns:
        intp (N,), indices into the catalog's labels.
    """
    return np.array([record.label for record in features.catalog.records], np.intp)


def count_reasons(skipped: Sequence[Skipped]) -> str:
    """Count skipped files by reason.

    Args:
        skipped: what was taken out.

    Returns:
        "3 damaged, 1 empty".
    """
    counts = Counter(item.reason for item in skipped)
    return ", ".join(f"{number} {reason}" for reason, number in counts.most_common())


def skipped_csv(skipped: Sequence[Skipped]) -> str:
    """List skipped files as a table.

    Args:
        skipped: what was taken out.

    Returns:
        CSV with the columns path, reason, detail.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "reason", "detail"])
    table.writerows([item.path, item.reason, item.detail] for item in skipped)
    return text.getvalue()
