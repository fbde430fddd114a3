"""The photographs as a set: what is there twice, what stands out, what gives a class away, with the features if any."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from retrain.backbones import PreparedBackbone
from retrain.bottlenecks import Rows
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import Catalog
from retrain.doctor.duplicates import duplicate_findings, duplicates_csv, find_duplicates
from retrain.doctor.findings import Finding
from retrain.doctor.fingerprints import Fingerprints
from retrain.doctor.quality import class_findings, quality_findings
from retrain.doctor.shortcuts import shortcut_findings
from retrain.gather import gather


@dataclass(frozen=True)
class Together:
    """What the photographs are as a set.

    Args:
        findings: on the set.
        duplicates: CSV of what is there more than once.
    """

    findings: tuple[Finding, ...]
    duplicates: str


def look_together(catalog: Catalog, prints: Fingerprints, features: Rows | None) -> Together:
    """Compare the photographs with each other.

    Args:
        catalog: what a run takes.
        prints: of those that can be read.
        features: their bottleneck vectors in the same order; None: near duplicates are found by looks alone.

    Returns:
        What was found.
    """
    records = [catalog.records[place] for place in prints.places]
    labels = [record.label for record in records]
    counts = Counter(labels)
    found = class_findings(catalog.labels, [counts[label] for label in range(len(catalog.labels))])
    duplicates = find_duplicates(prints, features)
    # Of ready-made side folders only, and only where each photograph lies in one: the lists go row by row.
    sides = [side for record in records if (side := catalog.side_of(record)) is not None]
    found += duplicate_findings(duplicates, prints.paths, labels, sides if len(sides) == len(records) else None)
    if len(prints):
        found += quality_findings(prints, labels) + shortcut_findings(prints, labels, catalog.labels)
    table = duplicates_csv(duplicates, prints.paths, [catalog.labels[label] for label in labels])
    return Together(tuple(found), table)


def features_of(
    config: RunConfig, readable: Catalog, backbone: PreparedBackbone, output_dir: Path, console: Console
) -> Rows | None:
    """Take the photographs' features from the cache, and fill it where they are not there.

    Args:
        config: what a run would be told.
        readable: the photographs that can be read.
        backbone: its files present and whole.
        output_dir: where files that have become unreadable meanwhile are listed.
        console: shown how far it is.

    Returns:
        Rows in the same order; None where files changed while they were looked at.

    Raises:
        RetrainError: one of its kinds, see errors.py.
    """
    # The list of skipped files stands beside the graph: that of an earlier run is not to be overwritten.
    config = replace(config, output_graph=str(output_dir / "doctor.pb"))
    features = gather(config, readable, backbone, console)
    return features.rows if len(features.catalog.records) == len(readable.records) else None
