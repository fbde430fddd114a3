"""What the benchmarks of suspects, the unknown and coverage share: sets of photographs as vectors, heads on them."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from accuracy import without_copies
from common import add_backbone, say
from extraction import gather

from retrain.backbones import PreparedBackbone, find_backbone, prepare_backbone
from retrain.bottlenecks import Features, Rows, labels_of
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.head import Indices, cross_validate
from retrain.insight.gain import Material
from retrain.teaching import recipe_of

Floats = npt.NDArray[np.float32]
FOLDS = RunConfig().cross_validation_folds


@dataclass(frozen=True)
class Photographs:
    """One set."""

    name: str
    rows: Rows
    labels: Indices
    paths: tuple[str, ...]
    keys: tuple[bytes, ...]
    names: tuple[str, ...]

    def material(self, labels: Indices, chosen: Indices | None = None) -> Material:
        """Describe it, all of it trained on, to gain_insight."""
        kept = np.arange(len(labels)) if chosen is None else chosen
        return Material(self.rows, labels, self.paths, self.keys, kept, self.names)


def add_sets(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where vectors come from."""
    parser.add_argument("--cache", type=Path, help="folder of the bottleneck cache (default: a temporary one)")
    add_backbone(parser)


def open_sets(folders: list[Path], arguments: argparse.Namespace) -> Iterator[Photographs]:
    """Read sets, exact copies left out."""
    spec = find_backbone(arguments.architecture)
    backbone = prepare_backbone(spec, arguments.model_dir, offline=True, console=Console(quiet=True))
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        for folder in folders:
            say(f"{folder.name}: features")
            yield _photographs(folder, backbone, arguments.cache or Path(temp))


def _photographs(folder: Path, backbone: PreparedBackbone, cache: Path) -> Photographs:
    cache.mkdir(parents=True, exist_ok=True)
    store = cache / f"{backbone.spec.name}-{backbone.fingerprint[:12]}.sqlite"
    features: Features = without_copies(gather(scan_folder(str(folder), "folder"), backbone, store))
    paths = tuple(record.path for record in features.catalog.records)
    return Photographs(
        folder.name, features.rows, labels_of(features), paths, features.sha256s, features.catalog.labels
    )


def out_of_fold(features: Rows | Floats, labels: Indices, keys: tuple[bytes, ...], seed: int = 0) -> Floats:
    """Probabilities of heads that had not seen the photograph: a run's own recipe and folds."""
    recipe = recipe_of(RunConfig(seed=seed))
    classes = int(labels.max()) + 1
    return cross_validate(features, labels, keys, recipe, classes, FOLDS, lambda: None)
