"""What is there more than once, said: findings, and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from retrain.alike import Duplicates, Pair
from retrain.console import safe_cell
from retrain.survey import COSTS, NOTE, Finding, of_names


def duplicate_findings(
    found: Duplicates,
    paths: Sequence[str],
    labels: Sequence[int],
    sides: Sequence[int] | None = None,
    *,
    several: bool = False,
) -> list[Finding]:
    """Say what is there more than once, and what that does.

    Args:
        found: by find_duplicates.
        paths: of each row.
        labels: class of each row; of photographs with several labels any number, the same for the same labels.
        sides: training, validation or test, of each row; None where nothing is split yet.
        several: whether photographs may have several labels.

    Returns:
        Up to one finding a kind and place: across sides, across classes, within a class.
    """
    findings: list[Finding] = []
    for kind, words in _KINDS.items():
        pairs = [pair for pair in found.pairs if pair.kind == kind]
        if sides is not None:
            leaks = _named([p for p in pairs if sides[p.first] != sides[p.second]], paths)
            findings += of_names(COSTS, f"{kind}-duplicate-across-sides", f"{words} {_ACROSS_SIDES}", _SPLIT, leaks)
        across = _named([p for p in pairs if labels[p.first] != labels[p.second]], paths)
        within = _named([p for p in pairs if labels[p.first] == labels[p.second]], paths)
        text, fix = (_OTHER_LABELS, _SAME_LABELS) if several else (_ACROSS_CLASSES, _CHOOSE)
        findings += of_names(COSTS, f"{kind}-duplicate-across-classes", f"{words} {text}", fix, across)
        text = _WITH_SAME if several else _WITHIN
        findings += of_names(NOTE, f"{kind}-duplicate", f"{words} {text}", _KEEP_ONE, within)
    return findings


def duplicates_csv(found: Duplicates, paths: Sequence[str], labels: Sequence[str]) -> str:
    """List photographs that are there more than once as a table.

    Args:
        found: by find_duplicates.
        paths: of each row.
        labels: name of the class of each row.

    Returns:
        CSV with the columns group, path, label, kind, likeness, like: a row a photograph; the last three say of all but
        the first of a group how, how much and which other one it is like. No cell is a formula for a spreadsheet.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["group", "path", "label", "kind", "likeness", "like"])
    ties = _ties(found)
    for number, group in enumerate(found.groups, 1):
        for row in group:
            cells = [str(number), safe_cell(paths[row]), safe_cell(labels[row]), "", "", ""]
            if row in ties:
                pair, other = ties[row]
                cells[3:] = [pair.kind, f"{pair.likeness:.3f}", safe_cell(paths[other])]
            table.writerow(cells)
    return text.getvalue()


def _ties(found: Duplicates) -> dict[int, tuple[Pair, int]]:
    """Say of each photograph but the first of its group by which pair, and to which other one, it belongs there."""
    pairs: dict[int, list[Pair]] = {}
    for pair in found.pairs:
        pairs.setdefault(pair.first, []).append(pair)
        pairs.setdefault(pair.second, []).append(pair)
    ties: dict[int, tuple[Pair, int]] = {}
    for group in found.groups:
        waiting = [group[0]]
        while waiting:
            row = waiting.pop()
            for pair in pairs[row]:
                other = pair.first + pair.second - row
                if other != group[0] and other not in ties:
                    ties[other] = (pair, row)
                    waiting.append(other)
    return ties


_KINDS = {
    "exact": "pairs of photographs with the same bytes",
    "near": "pairs of photographs that are one picture scaled, cut or compressed anew",
    "mirrored": "pairs of photographs that are one picture and its mirror image",
}
_ACROSS_SIDES = "on two sides of the split: what is tested was also learned, and the accuracy comes out too good"
_ACROSS_CLASSES = "in two classes: one of the two is wrong, or both classes are in the picture"
_OTHER_LABELS = "with different labels: one of the two lacks a label, or has a wrong one"
_WITH_SAME = "with the same labels: it counts as often as it is there"
_SAME_LABELS = "give both the labels of what is in the picture"
_WITHIN = "within a class: it counts as often as it is there"
_SPLIT = "take one of each pair away, or keep them on one side of the split"
_CHOOSE = "take each out of the class where it does not belong"
_KEEP_ONE = "take all but one away, if the photograph is not meant to count more"


def _named(pairs: Sequence[Pair], paths: Sequence[str]) -> list[str]:
    return [f"{paths[pair.first]} = {paths[pair.second]}" for pair in pairs]
