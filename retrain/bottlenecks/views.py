"""Vectors of distorted views, cached beside those of the photographs, and both together as what a head is trained on.

A view's vector lies in the table of vectors under a key that is hashed from the photograph's content, the recipe of its
distortion and its number. The table ``views`` says of each such key what it was made from, so that who counts or prunes
the cache need not guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from retrain.bottlenecks.collect import COMMIT_EVERY, Features, labels_of
from retrain.bottlenecks.matrix import Floats, Indices, Rows
from retrain.bottlenecks.memory import MIB, features_bytes
from retrain.bottlenecks.store import BottleneckStore, checked_row
from retrain.console import Console, printable
from retrain.errors import ImageError, NumericalError
from retrain.extraction import Engine, Extraction, Job

# Beside the tables of store.py; a cache file from before there were views gets it with its first ones.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS views (
    key BLOB PRIMARY KEY, sha256 BLOB NOT NULL, recipe TEXT NOT NULL, number INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Views:
    """The vectors of the distorted views of some photographs.

    Args:
        photographs: intp (T,), ascending, which of the features' photographs.
        each: K, how many views every one of them has.
        rows: (T * K, width); the views of a photograph lie together.
        extracted: how many vectors were computed in this run.
        damaged: how many cached vectors failed their checksum and were computed again.
    """

    photographs: Indices
    each: int
    rows: Rows
    extracted: int
    damaged: int


def view_key(sha256: bytes, recipe: str, number: int) -> bytes:
    """Name a view's vector in the table of vectors.

    Args:
        sha256: digest of the photograph's bytes.
        recipe: all that decides a view of a given photograph besides its number.
        number: which view, from 0.

    Returns:
        32 bytes.
    """
    return hashlib.sha256(sha256 + hashlib.sha256(recipe.encode()).digest() + number.to_bytes(8, "big")).digest()


def collect_views(
    features: Features,
    photographs: Indices,
    recipe: str,
    each: int,
    store: BottleneckStore,
    engine: Engine,
    console: Console,
    feature_memory_mb: int = 0,
) -> Views:
    """Give photographs their distorted views, computing only what the cache does not have.

    Args:
        features: the photographs, collected in this run.
        photographs: intp (T,), ascending, which of them.
        recipe: all that decides a view besides the photograph and its number, as text.
        each: how many views a photograph.
        store: the cache.
        engine: what reads, distorts and extracts.
        console: shown how far it is.
        feature_memory_mb: as of collect_features.

    Returns:
        The vectors.

    Raises:
        ImageError: a photograph changed or became unreadable since its own vector was collected.
        NumericalError: a vector fails its checksum even when written anew.
    """
    shas = [features.sha256s[i] for i in photographs.tolist()]
    keys = [view_key(sha, recipe, number) for sha in shas for number in range(each)]
    limit_mb = _left_mb(features.rows, feature_memory_mb)
    rows, absent = store.read_rows(keys, limit_mb)
    damaged = extracted = 0
    if absent:
        update = _Update(features, recipe, store, engine, console)
        damaged = update.count_listed({keys[i] for i in absent})
        extracted = update.extract(_jobs(features, photographs, each, absent))
        del rows  # before there are two of them
        rows, still = store.read_rows(keys, limit_mb)
        if still:
            raise NumericalError(f"{len(still)} vectors of {store.path} fail their checksum even when written anew")
    return Views(photographs, each, rows, extracted, damaged)


def _left_mb(rows: Rows, limit_mb: int) -> int:
    """What the photographs' own rows leave of the memory for features."""
    return max(1, limit_mb - features_bytes(*rows.shape) // MIB) if limit_mb else 0


def _jobs(features: Features, photographs: Indices, each: int, absent: Sequence[int]) -> list[Job]:
    """One job a content, with the numbers of its views that are to be made."""
    wanted: dict[bytes, tuple[int, set[int]]] = {}
    for place in absent:
        index = int(photographs[place // each])
        wanted.setdefault(features.sha256s[index], (index, set()))[1].add(place % each)
    catalog = features.catalog
    return [
        Job(index, catalog.full_path(catalog.records[index]), tuple(sorted(numbers)))
        for index, numbers in wanted.values()
    ]


class _Update:
    """One pass over photographs whose views are not all in the cache."""

    def __init__(
        self, features: Features, recipe: str, store: BottleneckStore, engine: Engine, console: Console
    ) -> None:
        self.features, self.recipe, self.store = features, recipe, store
        self.engine, self.console = engine, console
        self.failures: list[str] = []

    def count_listed(self, keys: set[bytes]) -> int:
        """Count views that the cache should have."""
        with self.store.writing() as db:
            db.execute(_SCHEMA)
            if not db.execute("SELECT 1 FROM views LIMIT 1").fetchone():
                return 0
            return sum(db.execute("SELECT count(*) FROM views WHERE key = ?", (key,)).fetchone()[0] for key in keys)

    def extract(self, jobs: Sequence[Job]) -> int:
        """Have the engine do some photographs, committing as it goes, on an interrupt as well."""
        job_of, batch = {job.index: job for job in jobs}, list[tuple[Job, Floats]]()
        total = sum(len(job.views) for job in jobs)
        with self.console.stage("Creating distorted bottlenecks", total, "views") as advance:
            try:
                for answer in self.engine.extract(jobs, ()):
                    job = job_of[answer.index]
                    if (views := self._checked(answer)) is not None:
                        batch.append((job, views))
                    advance(len(job.views))
                    if sum(len(views) for _, views in batch) >= COMMIT_EVERY:
                        self._commit(batch)
            finally:
                self._commit(batch)
        self._stop_on_failures(len(jobs))
        return total

    def _checked(self, answer: Extraction) -> Floats | None:
        path = self.features.catalog.records[answer.index].path
        if answer.error is not None:
            self.failures.append(f"{printable(path)} ({answer.error.reason})")
        elif answer.sha256 != self.features.sha256s[answer.index]:
            self.failures.append(f"{printable(path)} (changed)")
        else:
            return answer.views
        return None

    def _commit(self, batch: list[tuple[Job, Floats]]) -> None:
        vectors, made_from = [], []
        for job, views in batch:
            sha = self.features.sha256s[job.index]
            for number, vector in zip(job.views, views, strict=True):
                key = view_key(sha, self.recipe, number)
                vectors.append(checked_row(key, vector))
                made_from.append((key, sha, self.recipe, number))
        with self.store.writing() as db:
            db.execute(_SCHEMA)
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", vectors)
            db.executemany("INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?)", made_from)
        batch.clear()

    def _stop_on_failures(self, total: int) -> None:
        if self.failures:
            raise ImageError(
                "photographs changed while they were worked on",
                f"{len(self.failures)} of {total} could not be read again for their distorted views: "
                f"{'; '.join(self.failures[:3])}. Mend or remove them and run again; the other views are kept.",
            )


@dataclass(frozen=True)
class Material:
    """What heads are trained and tested on: a row a photograph and, behind these, the rows of the views.

    Args:
        rows: (N + T * K, width).
        labels: intp (N + T * K,), the class of each row.
        photographs: N.
        views_of: intp (N,), place of each photograph among those with views, -1 without; None: nothing is distorted.
        each: K, views a photograph.
    """

    rows: Rows
    labels: Indices
    photographs: int
    views_of: Indices | None = None
    each: int = 1

    def training_rows(self, photographs: Indices) -> Indices:
        """Tell which rows stand for photographs that are trained on.

        Args:
            photographs: intp (n,), 0 to N - 1.

        Returns:
            intp (n * K,): their views and never themselves, as the original, which distorts every photograph that it
            trains on; without distortion the photographs.

        Raises:
            ValueError: a photograph has no views.
        """
        if self.views_of is None:
            return photographs
        places = self.views_of[photographs]
        if (places < 0).any():
            raise ValueError(f"{int((places < 0).sum())} photographs to train on have no distorted views")
        first = self.photographs + places * self.each
        rows: Indices = (first[:, np.newaxis] + np.arange(self.each)).ravel()
        return rows


def material_of(features: Features, views: Views | None) -> Material:
    """Put photographs and their views together.

    Args:
        features: the photographs.
        views: of some of them; None when nothing is distorted.

    Returns:
        Rows and labels of both; nothing is copied.
    """
    labels = labels_of(features)
    if views is None:
        return Material(features.rows, labels, len(labels))
    views_of = np.full(len(labels), -1, np.intp)
    views_of[views.photographs] = np.arange(len(views.photographs))
    all_labels = np.concatenate([labels, np.repeat(labels[views.photographs], views.each)])
    return Material(_Stacked(features.rows, views.rows), all_labels, len(labels), views_of, views.each)


class _Stacked:
    """Rows of one matrix behind those of another."""

    def __init__(self, upper: Rows, lower: Rows) -> None:
        self._upper, self._lower = upper, lower
        self.shape = (len(upper) + len(lower), upper.shape[1])
        self.resident = upper.resident and lower.resident

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, indices: Indices) -> Floats:
        """Read rows; see Rows."""
        border = len(self._upper)
        below = indices >= border
        if below.all():
            return self._lower.take(indices - border)
        if not below.any():
            return self._upper.take(indices)
        found = np.empty((len(indices), self.shape[1]), np.float32)
        found[below] = self._lower.take(indices[below] - border)
        found[~below] = self._upper.take(indices[~below])
        return found

    def chunks(self, rows: int) -> Iterator[tuple[slice, Floats]]:
        """Read everything once, in order; see Rows."""
        yield from self._upper.chunks(rows)
        border = len(self._upper)
        for part, chunk in self._lower.chunks(rows):
            yield slice(part.start + border, part.stop + border), chunk
