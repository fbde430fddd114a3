"""From features, labels and out-of-fold scores to all that a run says beyond its accuracy."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.insight.memory import Memory, choose_rows, make_memory
from retrain.insight.neighbours import Floats, Indices, Nearest, Takes, find_nearest, mean_cosine
from retrain.insight.sets import LAC, SetRule, find_rule
from retrain.insight.sets import fewest_for as fewest_for_sets
from retrain.insight.suspects import NEIGHBOURS as ASKED
from retrain.insight.suspects import Doubts, find_suspects, neighbour_shares, suspects_csv
from retrain.insight.unknown import NEIGHBOURS, NEVER, Unknown, fewest_for, min_cosine_at

# Photographs that a threshold is found with: enough for a false-alarm rate to half a percent.
_MAX_MEASURED = 8192


@dataclass(frozen=True)
class Material:
    """What is known of the photographs of a run.

    Args:
        rows: bottleneck vectors (N, D); retrain.bottlenecks.Rows. More rows may stand behind those of the photographs.
        labels: intp (N,).
        paths: of each, below the image folder.
        keys: 32 bytes each, the same for those that must not be told apart: Split.keys.
        training: intp (M,), the photographs that the exported head is trained on.
        names: of the C labels.
    """

    rows: Takes
    labels: Indices
    paths: Sequence[str]
    keys: Sequence[bytes]
    training: Indices
    names: Sequence[str]


@dataclass(frozen=True)
class Insight:
    """What a run says beyond its accuracy.

    Args:
        memory: the bytes of the file beside the model (memory.ENDING).
        remembered: intp (m,), the photographs in it, in its order.
        nearest: for the photographs `measured`: rows of the memory (index remembered with them) and cosines.
        measured: intp (n,), the photographs whose neighbours were looked for: all, where suspects were.
        unknown: when a photograph counts as unknown; never (min_cosine -1) where there are too few to say.
        doubts: how well each label fits; None without out-of-fold scores.
        rule: which labels are in a set; None where nothing can be promised.
        notes: a sentence each, for a person.
    """

    memory: bytes
    remembered: Indices
    nearest: Nearest
    measured: Indices
    unknown: Unknown
    doubts: Doubts | None
    rule: SetRule | None
    notes: tuple[str, ...] = field(default_factory=tuple)

    def bundle_fields(self) -> dict[str, dict[str, Any]]:
        """Say what goes into the model's description.

        Returns:
            Values of Bundle's fields unknown and sets; the latter empty where nothing is promised.
        """
        return {
            "unknown": self.unknown.facts(),
            "sets": self.rule.facts() if self.rule else {},
        }

    def facts(self, names: Sequence[str]) -> dict[str, Any]:
        """Say it for metrics.json.

        Args:
            names: of the labels.

        Returns:
            JSON's types only.
        """
        thresholds = [] if self.doubts is None else self.doubts.thresholds.tolist()
        return {
            **self.bundle_fields(),
            "suspects": None if self.doubts is None else len(self.doubts.suspects),
            "likely_mislabelled": None if self.doubts is None else sum(one.likely for one in self.doubts.suspects),
            "label_thresholds": {
                name: None if math.isnan(value) else value for name, value in zip(names, thresholds, strict=False)
            },
        }

    def neighbours_of(self, photograph: int, count: int = NEIGHBOURS) -> list[tuple[int, float]]:
        """List the training photographs most alike to a photograph, none of its own group.

        Args:
            photograph: one of `measured`.
            count: how many at most.

        Returns:
            Index of each and its cosine, nearest first.
        """
        place = int(np.searchsorted(self.measured, photograph))
        pairs = zip(self.nearest.rows[place, :count], self.nearest.cosines[place, :count], strict=True)
        return [(int(self.remembered[row]), float(cosine)) for row, cosine in pairs if row >= 0]

    def suspects_table(self, material: Material) -> str:
        """Write suspects.csv.

        Args:
            material: that this was gained from.

        Returns:
            CSV; its first line only where there are no suspects.
        """
        nobody = Doubts(np.zeros(0), np.zeros(0, np.intp), np.zeros(0), ())
        return suspects_csv(self.doubts or nobody, material.paths, material.names)


def gain_insight(
    material: Material,
    out_of_fold: Floats | None,
    *,
    unknown_false_alarms: float = 0.05,
    coverage: float = 0.9,
    told_by: Indices | None = None,
) -> Insight:
    """Say what is to be known beyond the accuracy.

    Args:
        material: of the run.
        out_of_fold: float32 (N, C), scores of heads that had not seen the photograph, at the temperature of the
            exported head, rows sum to 1; None where cross-validation was left out, or labels do not exclude each other.
        unknown_false_alarms: share of photographs of the trained kinds that may be called unknown, 0 to 1; 0: none is.
        coverage: share of photographs whose set of labels is to hold the right one, 0 to 1; 0: no sets.
        told_by: intp, photographs by which the threshold of the unknown is found; None: all. Where the vectors are of a
            network that was trained on some of the photographs, only the others tell.

    Returns:
        All of it; nothing is written.
    """
    count = len(material.labels)
    remembered = choose_rows(material.labels, material.training, material.keys)
    memory = make_memory(material.rows, material.labels, material.paths, remembered)
    data = memory.to_bytes()
    measured = _measured(count, suspects=out_of_fold is not None)
    groups = _numbered(material.keys)
    nearest = find_nearest(material.rows, groups, memory.units, groups[remembered], ASKED, measured)
    cosines = mean_cosine(nearest, NEIGHBOURS)
    if told_by is not None:
        cosines = cosines[np.isin(measured, told_by)]
    unknown, notes = _unknown(cosines, memory, data, unknown_false_alarms)
    doubts = rule = None
    if out_of_fold is not None:
        shares = neighbour_shares(nearest, memory.labels.astype(np.intp), len(material.names))
        doubts = find_suspects(out_of_fold, material.labels, shares)
        rule = find_rule(out_of_fold, material.labels, coverage, LAC) if coverage else None
        notes += _suspect_notes(doubts)
    notes += _set_notes(rule, coverage, count, out_of_fold is not None)
    return Insight(data, remembered, nearest, measured, unknown, doubts, rule, tuple(notes))


def _measured(count: int, *, suspects: bool) -> Indices:
    if suspects or count <= _MAX_MEASURED:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, _MAX_MEASURED).astype(np.intp))


def _numbered(keys: Sequence[bytes]) -> Indices:
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)


def _unknown(
    cosines: npt.NDArray[np.float64], memory: Memory, data: bytes, false_alarms: float
) -> tuple[Unknown, list[str]]:
    threshold = min_cosine_at(cosines, false_alarms) if false_alarms else None
    rows, digest = len(memory.names), hashlib.sha256(data).hexdigest()
    if threshold is None:
        notes = [
            f"No photograph will be called unknown by its likeness: with {len(cosines)} photographs a false-alarm rate "
            f"of {false_alarms:.0%} cannot be kept; it takes {fewest_for(false_alarms)}"
        ] if false_alarms else []  # fmt: skip
        return Unknown(NEVER, 0.0, len(cosines), digest, rows), notes
    unknown = Unknown(round(threshold, 6), false_alarms, len(cosines), digest, rows)
    return unknown, [
        f"Unknown: photographs whose {NEIGHBOURS} nearest training photographs have a mean cosine below "
        f"{threshold:.3f}, which are {false_alarms:.0%} of those like yours (found with {len(cosines)})"
    ]


def _suspect_notes(doubts: Doubts) -> list[str]:
    likely = sum(one.likely for one in doubts.suspects)
    if not doubts.suspects:
        return ["No label is doubtful"]
    return [
        f"{likely} of {len(doubts.scores)} labels are likely wrong and {len(doubts.suspects) - likely} more are "
        "doubtful: the .suspects.csv lists them, for python -m retrain fix"
    ]


def _set_notes(rule: SetRule | None, coverage: float, count: int, crossed: bool) -> list[str]:
    if not coverage:
        return []
    if rule is not None:
        low, high = rule.spread()
        return [
            f"Sets of labels (label_image --sets) hold the right one in {coverage:.0%} of photographs like yours; "
            f"with {count} photographs to tell by, the truth is {low:.0%} to {high:.0%} in 19 of 20 runs"
        ]
    if not crossed:
        return ["No sets of labels: they need cross-validation (--cross_validation_folds)"]
    return [
        f"No sets of labels: {count} photographs are too few to promise a coverage of {coverage:.0%}; it takes "
        f"{fewest_for_sets(coverage)}"
    ]
