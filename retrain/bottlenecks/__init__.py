"""The bottleneck cache: a photograph's vector is computed once and kept.

store.py is the SQLite file, its checksums and its stat index; collect.py brings the cache up to date with a catalog
and reads it as one matrix. The room is handed an engine that extracts, and never imports one.
"""

from retrain.bottlenecks.collect import (
    Engine,
    ExtractFunction,
    Extraction,
    Features,
    Job,
    Skipped,
    Stamp,
    collect_features,
    count_reasons,
    labels_of,
)
from retrain.bottlenecks.store import BottleneckStore, cache_path

__all__ = [
    "BottleneckStore",
    "Engine",
    "ExtractFunction",
    "Extraction",
    "Features",
    "Job",
    "Skipped",
    "Stamp",
    "cache_path",
    "collect_features",
    "count_reasons",
    "labels_of",
]
