"""The photographs as a set: what is there twice, what stands out, what gives a class away, with the features if any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from retrain.alike import Duplicates, Fingerprints, find_duplicates
from retrain.backbones import PreparedBackbone
from retrain.bottlenecks import Features
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, VALIDATION, Catalog
from retrain.doctor.duplicates import duplicate_findings, duplicates_csv
from retrain.doctor.quality import class_findings, quality_findings
from retrain.doctor.shortcuts import label_shortcut_findings, shortcut_findings
from retrain.errors import RetrainError
from retrain.gather import gather, gather_alike
from retrain.run import draw_split
from retrain.survey.findings import Finding


@dataclass(frozen=True)
class Together:
    """What the photographs are as a set.

    Args:
        findings: on the set.
        duplicates: CSV of what is there more than once.
        split: what the split that a run would draw does to them, one sentence.
    """

    findings: tuple[Finding, ...]
    duplicates: str
    split: str


def look_together(
    config: RunConfig,
    catalog: Catalog,
    prints: Fingerprints,
    features: Features | None,
    backbone: PreparedBackbone | None,
) -> Together:
    """Compare the photographs with each other.

    Args:
        config: what a run would be told.
        catalog: what a run takes.
        prints: of those that can be read.
        features: of the same photographs; None: near duplicates are found by looks alone.
        backbone: which the features are of.

    Returns:
        What was found.
    """
    readable = replace(catalog, records=tuple(catalog.records[place] for place in prints.places))
    labels, several = _told_apart_by(readable), bool(catalog.label_sets)
    found = class_findings(catalog.labels, readable.count_with_label(), "label" if several else "class")
    duplicates = find_duplicates(prints, features.rows if features else None)
    sides, sentence = None, "There is nothing to split."
    if labels:
        near = _near(config, prints, duplicates, features, backbone)
        sides, sentence = _drawn(config, catalog, readable, prints, near, duplicates)
    found += duplicate_findings(duplicates, prints.paths, labels, sides, several=several)
    if len(prints) and several:
        found += quality_findings(prints, [0] * len(labels), "the others")
        found += label_shortcut_findings(prints, readable.targets() == 1, catalog.labels)
    elif len(prints):
        found += quality_findings(prints, labels) + shortcut_findings(prints, labels, catalog.labels)
    table = duplicates_csv(duplicates, prints.paths, [readable.label_text(record) for record in readable.records])
    return Together(tuple(found), table, sentence)


def _told_apart_by(readable: Catalog) -> list[int]:
    """The class of each photograph; a number for each set of labels, where it may have several."""
    if not readable.label_sets:
        return [record.label for record in readable.records]
    numbers: dict[tuple[int, ...], int] = {}
    return [numbers.setdefault(readable.set_of(record), len(numbers)) for record in readable.records]


def _near(
    config: RunConfig,
    prints: Fingerprints,
    duplicates: Duplicates,
    features: Features | None,
    backbone: PreparedBackbone | None,
) -> list[tuple[int, int]]:
    """Say what a run would keep together: its own answer where there are features, else what was found here."""
    if config.near_duplicates == "ignore":
        return []
    if features and backbone:  # a run looks at fewer pairs than the doctor
        looks = zip(prints.thumbnails, prints.bits, strict=True)
        seen = {digest.tobytes(): look for digest, look in zip(prints.sha256, looks, strict=True)}
        return gather_alike(config, features, backbone, Console(quiet=True), seen)
    return [(pair.first, pair.second) for pair in duplicates.pairs if pair.kind == "near"]


def _drawn(
    config: RunConfig,
    catalog: Catalog,
    readable: Catalog,
    prints: Fingerprints,
    near: list[tuple[int, int]],
    duplicates: Duplicates,
) -> tuple[list[int] | None, str]:
    """Draw the split that a run would draw; give its sides and what it does to duplicates, or say why there is none."""
    try:
        split = draw_split(config, catalog, readable, [digest.tobytes() for digest in prints.sha256], near)
    except RetrainError as error:
        return None, f"The split could not be drawn: {str(error).splitlines()[0]}"
    sides: list[int] = split.sides.tolist()
    torn = sum(len({sides[row] for row in group}) > 1 for group in duplicates.groups)
    training, validation, testing = (len(split.indices(side)) for side in (TRAINING, VALIDATION, TESTING))
    leaks = (
        f"{torn:,} of {len(duplicates.groups):,} groups of duplicates lie on two sides of it."
        if torn
        else "no photograph has a duplicate on another side of it."
    )
    return sides, (
        f"The split that a run would draw has {training:,} photographs to train on, {validation:,} to validate and "
        f"{testing:,} for the final test; {leaks}"
    )


def features_of(
    config: RunConfig, readable: Catalog, backbone: PreparedBackbone, output_dir: Path, console: Console
) -> Features | None:
    """Take the photographs' features from the cache, and fill it where they are not there.

    Args:
        config: what a run would be told.
        readable: the photographs that can be read.
        backbone: its files present and whole.
        output_dir: where files that have become unreadable meanwhile are listed.
        console: shown how far it is.

    Returns:
        Features in the same order; None where files changed while they were looked at.

    Raises:
        RetrainError: one of its kinds, see errors.py.
    """
    # The list of skipped files stands beside the graph: that of an earlier run is not to be overwritten.
    config = replace(config, output_graph=str(output_dir / "doctor.pb"))
    features = gather(config, readable, backbone, console)
    return features if len(features.catalog.records) == len(readable.records) else None
