"""How long a run will take to create its bottlenecks: what is not cached, by the rate of a sample of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from retrain.backbones import PreparedBackbone
from retrain.bottlenecks import BottleneckStore, Engine, Job, cache_path
from retrain.config import RunConfig
from retrain.dataset import Catalog, ImageRecord
from retrain.gather import engine_of, extractor_of

# Photographs whose extraction is timed, spread over the classes, after a few that are not: the first ones also open
# the model.
SAMPLE, WARM_UP = 48, 8


@dataclass(frozen=True)
class Prediction:
    """How long a run takes to create its bottlenecks.

    Args:
        photographs: that a run takes.
        uncached: those that the cache does not know.
        rate: photographs a second, measured here and now; 0 when all are cached.
        seconds: uncached / rate.
    """

    photographs: int
    uncached: int
    rate: float
    seconds: float

    def sentence(self, *, is_past: bool = False) -> str:
        """Say it.

        Args:
            is_past: whether they have been cached meanwhile.
        """
        if not self.uncached:
            return f"All {self.photographs:,} photographs are cached: a run starts training at once."
        verb = "were not cached before" if is_past else "are not cached yet"
        return (
            f"{self.uncached:,} of {self.photographs:,} photographs {verb}: about {_duration(self.seconds)} "
            f"at {self.rate:.0f} a second, measured on a sample of them; then the training itself."
        )


def predict(config: RunConfig, catalog: Catalog, backbone: PreparedBackbone) -> Prediction:
    """Measure the rate on a sample of what is not cached; the cache is read, and not made where there is none.

    Args:
        config: whose cache, engine and precision are used.
        catalog: the photographs.
        backbone: its files present and whole.

    Returns:
        How long it will take.

    Raises:
        CacheError: the cache cannot be read.
    """
    missing = _uncached(config, catalog, backbone)
    if not missing:
        return Prediction(len(catalog.records), 0, 0.0, 0.0)
    with extractor_of(config, backbone) as extract_one:
        rate = _rate(engine_of(config, extract_one), catalog, _spread(missing))
    return Prediction(len(catalog.records), len(missing), rate, len(missing) / rate)


def _uncached(config: RunConfig, catalog: Catalog, backbone: PreparedBackbone) -> list[ImageRecord]:
    path = cache_path(config.bottleneck_dir, backbone.spec.name, backbone.fingerprint)
    if not path.exists():
        return list(catalog.records)
    with BottleneckStore(path, backbone.fingerprint, backbone.spec.feature_width) as store:
        known, found = store.known_hashes(), store.recognise(catalog.root, catalog.records)
    return [record for record, sha in zip(catalog.records, found, strict=True) if sha not in known]


def _spread(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """So many of them, at even distances: of every class and camera."""
    wanted = SAMPLE + WARM_UP
    step = max(1.0, len(records) / wanted)
    return [records[int(place * step)] for place in range(min(wanted, len(records)))]


def _rate(engine: Engine, catalog: Catalog, sample: Sequence[ImageRecord]) -> float:
    jobs = [Job(place, catalog.full_path(record)) for place, record in enumerate(sample)]
    warm_up = min(WARM_UP, len(jobs) // 2)
    for _ in engine.extract(jobs[:warm_up], ()):
        pass
    start = time.perf_counter()
    timed = sum(1 for _ in engine.extract(jobs[warm_up:], ()))
    return timed / max(time.perf_counter() - start, 1e-6)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
