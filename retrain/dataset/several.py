"""Photographs with several labels each: from their sets of labels to a catalog."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.labels import make_labels

# Parts labels in one cell of a table, of those that are read and of those that are written.
SEPARATOR = ";"


class Labelled(NamedTuple):
    """A photograph with its labels.

    Args:
        path: relative to the image folder, with forward slashes.
        labels: at least one, each once.
        status: of the file.
    """

    path: str
    labels: tuple[str, ...]
    status: os.stat_result


def split_labels(cell: str) -> tuple[tuple[str, ...], str]:
    """Take the labels of a cell apart.

    Args:
        cell: labels with SEPARATOR between; white space around each is left out.

    Returns:
        The labels in their order, and what is wrong with them, in words; empty where nothing is.
    """
    labels = tuple(part.strip() for part in cell.split(SEPARATOR))
    if not all(labels):
        return (), f"expected labels with {SEPARATOR!r} between, got {cell!r} with nothing at one place; fill it in"
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    return labels, "" if twice is None else f"has the label {twice!r} twice; take one of them out"


def several_catalog(
    source: str,
    root: str,
    found: Sequence[Labelled],
    label_style: str,
    left_out: Mapping[str, int] | None = None,
    faults: Sequence[str] = (),
) -> Catalog:
    """Make a catalog of photographs with several labels each.

    Args:
        source: what names the labels, for messages.
        root: the image folder.
        found: the photographs.
        label_style: "folder" keeps labels as they are written, "poets" normalises them, see labels.make_labels.
        left_out: reason -> number of entries that were not taken.
        faults: what is wrong with them already, one sentence each.

    Returns:
        The catalog: each photograph's own label is the rarest of its labels, so that a split by that keeps rare labels
        on all sides (Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", 2011, ECML, deal
        out the rarest first, too).
    """
    counts = Counter(label for one in found for label in one.labels)
    names = sorted(counts)
    labels, problems = make_labels(names, label_style, noun="label")
    if not faults:
        problems += _count_problems(source, counts, len(found))
    number = {name: index for index, name in enumerate(names)}
    sets = {one.path: tuple(sorted(number[label] for label in one.labels)) for one in found}
    records = [_record(one, min(sets[one.path], key=lambda label: (counts[names[label]], label))) for one in found]
    ordered = tuple(sorted(records, key=lambda record: (record.label, record.path)))
    return Catalog(root, labels, ordered, dict(left_out or {}), (*faults, *problems), label_sets=sets)


def _record(one: Labelled, label: int) -> ImageRecord:
    status = one.status
    return ImageRecord(one.path, label, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _count_problems(source: str, counts: Counter[str], photographs: int) -> list[str]:
    if len(counts) < 2:
        told = f"only {next(iter(counts))!r}" if counts else "none"
        return [f"{source}: expected at least two labels, got {told}; photographs that show nothing of it get one, too"]
    return [
        f"{source}: expected some photographs without the label {label!r}, got it on all {photographs}; take it out, "
        "since nothing can be told by it"
        for label, count in sorted(counts.items())
        if count == photographs
    ]
