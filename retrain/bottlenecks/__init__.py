"""The bottleneck cache: a photograph's vector is computed once and kept.

memory.py finds how much memory there is; matrix.py holds rows of features in memory or in a file; digests.py finds
digests among millions; opening.py opens the SQLite file; store.py is that file, its checksums and its stat index,
entries.py what that index is made of; blobs.py a table in it for other bytes by content; collect.py brings the cache up
to date with a catalog and reads it as rows, in turns.py's turns; skipped.py lists what cannot be; views.py does so for
distorted views. room.py says before all that what it will take of the disk.
Apart from runs, maintain.py looks into cache files, prune.py takes out what nothing needs, export.py writes vectors for
other programs, and transfer.py imports the original's, which unverified.py keeps apart until trial.py has tried them.
The room is handed an engine that extracts, and never imports one.
"""

from retrain.bottlenecks.blobs import BlobTable
from retrain.bottlenecks.collect import Features, collect_features, labels_of
from retrain.bottlenecks.matrix import FileMatrix, MemoryMatrix, Rows, as_rows, slices
from retrain.bottlenecks.skipped import Skipped, count_reasons
from retrain.bottlenecks.store import BottleneckStore, cache_path
from retrain.bottlenecks.views import Material, Views, collect_views, material_of
from retrain.extraction import (
    Engine,
    ExtractFunction,
    Extraction,
    Job,
    Stamp,
    ViewExtractor,
    ViewFunction,
)

__all__ = [
    "BlobTable",
    "BottleneckStore",
    "Engine",
    "ExtractFunction",
    "Extraction",
    "Features",
    "FileMatrix",
    "Job",
    "Material",
    "MemoryMatrix",
    "Rows",
    "Skipped",
    "Stamp",
    "ViewExtractor",
    "ViewFunction",
    "Views",
    "as_rows",
    "cache_path",
    "collect_features",
    "collect_views",
    "count_reasons",
    "labels_of",
    "material_of",
    "slices",
]
