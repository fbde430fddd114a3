"""The confusion matrix: each of its cells opens the photographs that are in it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from retrain.report.choosing import worst_mistakes
from retrain.report.facts import Indices, ReportFacts
from retrain.report.markup import Html, counted, join, name, percent, shortened, tag
from retrain.report.thumbnails import Pictures
from retrain.report.tiles import tile_list

# Classes of a matrix that can still be read; with more, those with the most mistakes are shown. And those of one that
# leaves room beside it; those whose names lie across.
MOST_CLASSES, NARROW, UPRIGHT = 40, 8, 6
_LIST = "Photographs of this cell"
# Shares of a row from which on a cell gets its next shade, where the answer is right and where it is wrong.
_RIGHT, _WRONG = (0.4, 0.6, 0.8, 0.9, 0.95), (0.02, 0.05, 0.1, 0.2, 0.35)


@dataclass(frozen=True, eq=False)
class _Counted:
    """A judgement as it is counted: photographs of each class, mistakes with each, and which lie in each cell."""

    facts: ReportFacts
    number: int
    totals: Indices
    mistakes: Indices
    where: dict[tuple[int, int], list[int]]

    @property
    def title(self) -> str:
        return self.facts.judged[self.number].title

    def key(self, true: int, called: int) -> str:
        return f"m{self.number}-{true}-{called}"


def matrix(facts: ReportFacts, number: int, pictures: Pictures) -> Html:
    """Show one judgement as a matrix with its photographs.

    Args:
        facts: of the report.
        number: of ``facts.judged``.
        pictures: tiles.

    Returns:
        The table, and with it a folded list of photographs a cell.
    """
    counts = _counted(facts, number)
    shown = _classes_shown(counts.mistakes)
    parts = [_table(counts, shown)]
    if len(shown) < len(facts.classes):
        words = f"The table has the {len(shown)} classes of {len(facts.classes)} with the most mistakes, the lists all."
        parts.append(tag("p", words, class_="quiet"))
    # Where every list has its cell, those that are closed need not be shown.
    kind = "cells" + (" served" if len(shown) == len(facts.classes) else "")
    lists = tag("div", *_lists(counts, pictures), class_=kind)
    return tag("div", tag("div", *parts), lists, class_="judged" + (" beside" if len(shown) <= NARROW else ""))


def _counted(facts: ReportFacts, number: int) -> _Counted:
    judged = facts.judged[number]
    true, called = facts.photographs.labels[judged.rows], judged.predicted
    classes, wrong = len(facts.classes), true != called
    mistakes = np.bincount(true[wrong], minlength=classes) + np.bincount(called[wrong], minlength=classes)
    where: dict[tuple[int, int], list[int]] = {}
    for at in np.argsort(-judged.scores.max(axis=1), kind="stable").tolist():
        where.setdefault((int(true[at]), int(called[at])), []).append(at)
    return _Counted(facts, number, np.bincount(true, minlength=classes), mistakes, where)


def _classes_shown(mistakes: Indices) -> list[int]:
    if len(mistakes) <= MOST_CLASSES:
        return list(range(len(mistakes)))
    return sorted(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES].tolist())


def _table(counts: _Counted, shown: list[int]) -> Html:
    classes = counts.facts.classes
    corner = tag("td", "is ↓ called →", class_="corner")
    top = tag("tr", corner, *(tag("th", tag("span", name(classes[c], 24)), scope="col") for c in shown))
    body = []
    for true in shown:
        head = tag("th", name(classes[true], 24), tag("small", f" {counts.totals[true]:,}"), scope="row")
        body.append(tag("tr", head, *(_cell(counts, true, called) for called in shown)))
    caption = tag("caption", f"{counts.title}: a row a class, a column an answer. Open a cell to see its photographs.")
    kind = "matrix" + (" many" if len(shown) > UPRIGHT else " some" if len(shown) > 2 else "")
    whole = tag("table", caption, tag("thead", top), tag("tbody", *body), class_=kind)
    return tag("div", whole, class_="wide", tabindex=0, role="region", aria_label=f"Confusion matrix, {counts.title}")


def _cell(counts: _Counted, true: int, called: int) -> Html:
    count = len(counts.where.get((true, called), ()))
    if not count:
        return tag("td", "0", class_="none")
    share = count / int(counts.totals[true])
    kind, steps = ("right", _RIGHT) if true == called else ("wrong", _WRONG)
    is_, as_ = (shortened(counts.facts.classes[c]) for c in (true, called))
    said = f"is {is_}, called {as_}: {counted(count)}, {percent(share)}"
    link = tag("a", f"{count:,}", href=f"#{counts.key(true, called)}", class_="cell", aria_label=said, title=said)
    return tag("td", link, class_=f"{kind} q{bisect_right(steps, share)}")


def _lists(counts: _Counted, pictures: Pictures) -> list[Html]:
    """A folded list a cell that is not empty: mistakes first, the most common before the others; the first is open."""
    cells = sorted(counts.where, key=lambda cell: (cell[0] == cell[1], -len(counts.where[cell]), cell))
    return [_folded(counts, cell, pictures, is_open=cell == cells[0]) for cell in cells]


def _folded(counts: _Counted, cell: tuple[int, int], pictures: Pictures, *, is_open: bool) -> Html:
    judged, facts = counts.facts.judged[counts.number], counts.facts
    rows = judged.rows[counts.where[cell]].tolist()
    words = [f"called with {percent(float(judged.scores[at, cell[1]]))}" for at in counts.where[cell]]
    inside = tile_list(rows, words, facts.photographs.names, pictures, is_home=counts.number == 0)
    true, called = (name(facts.classes[c]) for c in cell)
    is_right = cell[0] == cell[1]
    said = join(["is ", true, ", and called so"] if is_right else ["is ", true, ", called ", called])
    head = tag("summary", tag("span", said), tag("small", counted(len(rows))))
    held = tag("div", inside, id=counts.key(*cell), tabindex=0, role="group", aria_label=_LIST, class_="inside")
    return tag("details", head, held, class_=f"photos {'right' if is_right else 'wrong'}", open=is_open)


def unjudged(facts: ReportFacts, pictures: Pictures) -> Html:
    """Show the photographs that no head has judged, by class, so that every photograph has a place on the page.

    Args:
        facts: of the report.
        pictures: tiles.
    """
    seen = facts.judged[0].rows if facts.judged else np.zeros(0, np.intp)
    rest = np.setdiff1d(np.arange(len(facts.photographs.names)), seen)
    labels = facts.photographs.labels
    lists = []
    for number, label in enumerate(facts.classes):
        rows = rest[labels[rest] == number].tolist()
        if rows:
            head = tag("summary", tag("span", name(label), f", {facts.shown_as}"), tag("small", counted(len(rows))))
            tiles = tile_list(rows, [""] * len(rows), facts.photographs.names, pictures, is_home=True)
            # A list that is scrolled has to be reached by keyboard.
            about = f"Photographs of {shortened(label)}"
            held = tag("div", tiles, tabindex=0, role="group", aria_label=about, class_="inside")
            lists.append(tag("details", head, held, class_="photos"))
    return tag("div", *lists, class_="cells") if lists else Html()


def mistakes_sentence(facts: ReportFacts) -> str:
    """Say how many mistakes the first judgement has.

    Args:
        facts: of the report; judged at least once.
    """
    judged = facts.judged[0]
    wrong = len(worst_mistakes(judged, facts.photographs.labels))
    return f"{judged.title}: {counted(wrong, 'mistake')} among {counted(len(judged.rows))}."
