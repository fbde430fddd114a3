"""Which photographs the page has room for: mistakes and whatever else is spoken of first, then evenly of the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrain.report.facts import Indices, Judged, ReportFacts

# Photographs that get a tile and a line; and cards of mistakes, of suspects and of heat maps, groups of copies.
MOST_SHOWN = 4000
CARDS, HEAT_CARDS, GROUPS = 24, 12, 40


@dataclass(frozen=True, eq=False)
class Chosen:
    """Which photographs are shown.

    Args:
        shown: intp, ascending: those with a tile.
        large: those with a picture of its own as well.
    """

    shown: Indices
    large: frozenset[int]


def choose(facts: ReportFacts) -> Chosen:
    """Decide which photographs are shown.

    Args:
        facts: of the report.

    Returns:
        At most MOST_SHOWN with a tile, and some of them large.
    """
    large: list[int] = []
    if facts.judged:
        judged = facts.judged[0]
        large += judged.rows[worst_mistakes(judged, facts.photographs.labels)[:CARDS]].tolist()
    if facts.suspects is not None:
        large += facts.suspects.rows[:CARDS].tolist()
    large += [heat.row for heat in (facts.heat or ())[:HEAT_CARDS]]
    first = [*large, *_copied(facts), *_mistaken(facts)]
    order = list(dict.fromkeys(first))[:MOST_SHOWN]
    rest = np.setdiff1d(np.arange(len(facts.photographs.names)), np.array(order, np.intp))
    room = min(MOST_SHOWN - len(order), len(rest))
    even = rest[np.linspace(0, len(rest) - 1, room).round().astype(np.intp)] if room else rest[:0]
    return Chosen(np.sort(np.concatenate([np.array(order, np.intp), even])), frozenset(large))


def worst_mistakes(judged: Judged, labels: Indices) -> Indices:
    """Rank the mistakes.

    Args:
        judged: photographs and their scores.
        labels: intp (N,), of all photographs.

    Returns:
        intp: rows of ``judged``, those first where the model was surest of the wrong class.
    """
    predicted = judged.predicted
    wrong = np.flatnonzero(predicted != labels[judged.rows])
    return wrong[np.argsort(-judged.scores[wrong, predicted[wrong]], kind="stable")]


def _mistaken(facts: ReportFacts) -> list[int]:
    labels = facts.photographs.labels
    return [row for judged in facts.judged for row in judged.rows[worst_mistakes(judged, labels)].tolist()]


def _copied(facts: ReportFacts) -> list[int]:
    return [row for group in (facts.copies or ())[:GROUPS] for row in group.rows.tolist()]
