"""From a config to features: which cache, which engine, which backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

import numpy as np

from retrain import journal
from retrain.alike import Look, near_duplicates
from retrain.backbones import Bfloat16Backbone, FrozenBackbone, PreparedBackbone
from retrain.backbones.bfloat16 import threads_for
from retrain.bottlenecks import (
    BottleneckStore,
    Engine,
    ExtractFunction,
    Features,
    Material,
    cache_path,
    collect_features,
    collect_views,
    material_of,
)
from retrain.bottlenecks.maintain import mend
from retrain.config import DISTORTIONS, RunConfig
from retrain.console import Console
from retrain.dataset import TRAINING, Catalog, Split
from retrain.distortions import UNDISTORTED, Distortion
from retrain.engines import LocalEngine, RayEngine, SeparateEngine
from retrain.exporters.drift import measure_drift
from retrain.exporters.parity import read_pixels
from retrain.extraction import Describable
from retrain.head import Head
from retrain.litert import usable_cores
from retrain.publish import add_metrics, beside

# Few, so that the check costs a second, even with a large backbone.
DRIFT_PHOTOGRAPHS = 32


def gather(
    config: RunConfig,
    catalog: Catalog,
    backbone: PreparedBackbone,
    console: Console,
    through: Callable[[Engine], Engine] | None = None,
) -> Features:
    """Give every photograph its bottleneck vector.

    Args:
        config: what to do.
        catalog: the photographs.
        backbone: its files present and whole.
        console: where to say how it goes.
        through: makes another engine of the config's, which sees the jobs first; None: there is no other.

    Returns:
        The vectors of all readable photographs.

    Raises:
        RetrainError: one of its kinds, see errors.py.
    """
    path = cache_path(config.bottleneck_dir, backbone.spec.name, backbone.fingerprint)
    listing = beside(config.output_graph, ".skipped.csv")
    with (
        BottleneckStore(path, backbone.fingerprint, backbone.spec.feature_width) as store,
        extractor_of(config, backbone) as extract_one,
    ):
        engine = engine_of(config, extract_one)
        engine = through(engine) if through else engine
        damage = mend(store) if config.verify_cache else []
        journal.tell_room(store, len(catalog.records), console)
        features = collect_features(
            catalog,
            store,
            engine,
            console,
            config.max_skipped_percentage,
            listing,
            config.feature_memory_mb,
            verify=config.verify_cache,
            use_unverified=config.use_unverified,
        )
        if config.verify_cache:
            journal.tell_verified(features, damage, console)
        journal.tell_features(features, store, listing, console)
    return features


def gather_alike(
    config: RunConfig,
    features: Features,
    backbone: PreparedBackbone,
    console: Console,
    seen: Mapping[bytes, Look] | None = None,
) -> list[tuple[int, int]]:
    """Find photographs that are near duplicates of others.

    Args:
        config: what to do.
        features: of all photographs.
        backbone: its files present and whole.
        console: where to say how it goes.
        seen: digest -> looks of photographs that need not be read for them.

    Returns:
        Pairs of indices; none with --near_duplicates=ignore.

    Raises:
        CacheError: the cache cannot be used.
    """
    if config.near_duplicates == "ignore":
        return []
    path = cache_path(config.bottleneck_dir, backbone.spec.name, backbone.fingerprint)
    with BottleneckStore(path, backbone.fingerprint, backbone.spec.feature_width) as store:
        return near_duplicates(features, store, console, config.threads, backbone.spec.input_spec.sky, seen)


def gather_material(
    config: RunConfig, features: Features, split: Split, backbone: PreparedBackbone, console: Console
) -> Material:
    """Put together what heads are trained and tested on: the features and, when any distortion is on, distorted views.

    Args:
        config: what to do.
        features: of all photographs, undistorted.
        split: whose training side gets views; with cross-validation, in which everything is trained on, all do.
        backbone: its files present and whole.
        console: where to say how it goes.

    Returns:
        Rows and labels.

    Raises:
        RetrainError: one of its kinds, see errors.py.
    """
    if not config.distortions():
        return material_of(features, None)
    distortion = Distortion(**{name: getattr(config, name) for name in DISTORTIONS}, seed=config.seed)
    chosen = np.arange(len(features.sha256s)) if config.folds else split.indices(TRAINING)
    path = cache_path(config.bottleneck_dir, backbone.spec.name, backbone.fingerprint)
    with (
        BottleneckStore(path, backbone.fingerprint, backbone.spec.feature_width) as store,
        extractor_of(config, backbone, distortion) as extract_one,
    ):
        engine = engine_of(config, extract_one)
        recipe, each, limit_mb = distortion.fingerprint, config.distorted_views, config.feature_memory_mb
        views = collect_views(features, chosen, recipe, each, store, engine, console, limit_mb)
    journal.tell_views(views, console)
    return material_of(features, views)


def tell_drift(config: RunConfig, features: Features, backbone: PreparedBackbone, head: Head, console: Console) -> None:
    """Measure how far features of a lower precision lie from float32's, say it and add it to the metrics.

    Args:
        config: where the metrics are.
        features: in the backbone's precision; DRIFT_PHOTOGRAPHS of them are looked at.
        backbone: its files present and whole.
        head: trained on these features.
        console: where to say it.
    """
    rows = np.unique(np.linspace(0, len(features.sha256s) - 1, DRIFT_PHOTOGRAPHS).astype(np.intp))
    paths = [features.catalog.full_path(features.catalog.records[row]) for row in rows]
    exact = FrozenBackbone(backbone.tflite, backbone.spec.input_spec)
    vectors = np.stack([exact.features(pixels) for pixels in read_pixels(paths, backbone.spec.input_spec)])
    drift = measure_drift(vectors, features.rows.take(rows), head)
    console.line(drift.sentence(backbone.precision))
    add_metrics(beside(config.output_graph, ".metrics.json"), {"precision_drift": asdict(drift)})


def extractor_of(
    config: RunConfig, backbone: PreparedBackbone, distortion: Distortion = UNDISTORTED
) -> AbstractContextManager[FrozenBackbone]:
    """Open a backbone in the precision that was asked for.

    Args:
        config: how many threads calculate.
        backbone: its files present and whole.
        distortion: what distorted views are drawn from.

    Returns:
        A context that gives: bytes of an image file -> float32 (width,), for any number of threads.
    """
    if backbone.precision == "bfloat16":
        return Bfloat16Backbone(backbone, config.threads or usable_cores(), distortion)
    return nullcontext(FrozenBackbone(backbone.tflite, backbone.spec.input_spec, distortion))


def engine_of(config: RunConfig, extract_one: ExtractFunction) -> Engine:
    """Pick where extraction runs.

    Args:
        config: says where.
        extract_one: bytes of an image file -> float32 (width,).

    Returns:
        The engine.
    """
    if config.engine == "ray":
        return RayEngine(extract_one, config.ray_address, config.threads)
    threads = threads_for(config.precision, config.threads)
    if isinstance(extract_one, Describable):
        return SeparateEngine(extract_one, threads)
    return LocalEngine(extract_one, threads)
