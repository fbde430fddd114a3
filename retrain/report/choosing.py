"""Which photographs the page has room for: mistakes and whatever else is spoken of first, then evenly of the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrain.report.facts import Indices, Judged, LabelJudged, ReportFacts

# Photographs that get a tile and a line; and cards of mistakes, of suspects and of heat maps, groups of copies.
MOST_SHOWN = 4000
CARDS, HEAT_CARDS, GROUPS = 24, 12, 40
# Where a photograph may have several labels: cards in all, cards and tiles of one list, labels that have lists.
LABEL_CARDS, MOST_OF_A_LIST, LIST_TILES, MOST_LABELS = 48, 6, 24, 40


@dataclass(frozen=True, eq=False)
class Chosen:
    """Which photographs are shown.

    Args:
        shown: intp, ascending: those with a tile.
        large: those with a picture of its own as well.
    """

    shown: Indices
    large: frozenset[int]


@dataclass(frozen=True, eq=False)
class LabelList:
    """Wrong answers about one label.

    Args:
        label: which.
        is_missed: whether the photographs have it and did not get it; else they got it and do not have it.
        at: intp, rows of the judgement, those first of which the model was surest.
        cards: how many of them are shown large.
        tiles: how many of those behind are shown small, at most.
    """

    label: int
    is_missed: bool
    at: Indices
    cards: int
    tiles: int = LIST_TILES


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
    if facts.label_judged is not None:
        large += [row for one in label_lists(facts.label_judged) for row in _carded(facts.label_judged, one)]
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


def labels_by_mistakes(judged: LabelJudged) -> list[int]:
    """Rank the labels.

    Args:
        judged: photographs, their labels and their answers.

    Returns:
        Those about which an answer was wrong, the one with the most such answers first.
    """
    counts = (judged.truth != judged.said).sum(axis=0)
    return [label for label in np.argsort(-counts, kind="stable").tolist() if counts[label]]


def label_lists(judged: LabelJudged) -> list[LabelList]:
    """Rank the wrong answers about each label, and share out the larger pictures.

    Args:
        judged: photographs, their labels and their answers.

    Returns:
        Lists that are not empty, of at most MOST_LABELS labels: given wrongly, then missed. LABEL_CARDS cards in all.
    """
    found = []
    for label in labels_by_mistakes(judged)[:MOST_LABELS]:
        scores, has, got = judged.scores[:, label], judged.truth[:, label], judged.said[:, label]
        for is_missed, wrong, surest in ((False, got & ~has, -scores), (True, has & ~got, scores)):
            at = np.flatnonzero(wrong)
            found.append((label, is_missed, at[np.argsort(surest[at], kind="stable")]))
    found = [one for one in found if len(one[2])]
    each = min(max(LABEL_CARDS // max(len(found), 1), 1), MOST_OF_A_LIST)
    left, lists = LABEL_CARDS, []
    for label, is_missed, at in found:
        cards = min(each, len(at), left)
        left -= cards
        lists.append(LabelList(label, is_missed, at, cards))
    return lists


def _carded(judged: LabelJudged, one: LabelList) -> list[int]:
    rows: list[int] = judged.rows[one.at[: one.cards]].tolist()
    return rows


def _mistaken(facts: ReportFacts) -> list[int]:
    labels, several = facts.photographs.labels, facts.label_judged
    rows = [row for judged in facts.judged for row in judged.rows[worst_mistakes(judged, labels)].tolist()]
    if several is not None:
        rows += [row for one in label_lists(several) for row in several.rows[one.at[: one.cards + one.tiles]].tolist()]
    return rows


def _copied(facts: ReportFacts) -> list[int]:
    return [row for group in (facts.copies or ())[:GROUPS] for row in group.rows.tolist()]
