"""From a config to features: which cache, which engine, which backbone."""

from __future__ import annotations

from retrain import journal
from retrain.backbones import FrozenBackbone, PreparedBackbone
from retrain.bottlenecks import BottleneckStore, Features, cache_path, collect_features
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import Catalog
from retrain.engines import LocalEngine
from retrain.publish import beside


def gather(config: RunConfig, catalog: Catalog, backbone: PreparedBackbone, console: Console) -> Features:
    """Give every photograph its bottleneck vector.

    Args:
        config: what to do.
        catalog: the photographs.
        backbone: its files present and whole.
        console: where to say how it goes.

    Returns:
        The vectors of all readable photographs.

    Raises:
        RetrainError: one of its kinds, see errors.py.
    """
    path = cache_path(config.bottleneck_dir, backbone.spec.name, backbone.fingerprint)
    engine = LocalEngine(FrozenBackbone(backbone.tflite, backbone.spec.input_spec), config.threads)
    listing = beside(config.output_graph, ".skipped.csv")
    with BottleneckStore(path, backbone.fingerprint, backbone.spec.feature_width) as store:
        features = collect_features(catalog, store, engine, console, config.max_skipped_percentage, listing)
        journal.tell_features(features, store, listing, console)
    return features
