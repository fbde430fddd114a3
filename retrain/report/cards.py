"""The sections that are made of photographs: worst mistakes, suspect labels, copies and leaks, heat maps."""

from __future__ import annotations

import numpy as np

from retrain.dataset.sides import SIDE_NAMES
from retrain.report.choosing import CARDS, GROUPS, HEAT_CARDS, worst_mistakes
from retrain.report.facts import Copies, Heat, Judged, Photographs, ReportFacts, Suspects
from retrain.report.leaks import accuracy_lines
from retrain.report.markup import Html, counted, join, name, percent, tag
from retrain.report.thumbnails import Pictures
from retrain.report.tiles import bar, card, cards_list, heat_card, tile_list

_HEAT = (
    "Red is what speaks for the answer, blue what speaks against it: the photograph was covered piece by piece, and "
    "the score watched."
)
# Scores shown of a mistake, the highest first.
_TOP = 3


def mistakes(facts: ReportFacts, judged: Judged, pictures: Pictures) -> Html:
    """Show the mistakes of which the model was surest.

    Args:
        facts: of the report.
        judged: photographs and scores.
        pictures: larger ones.
    """
    worst = worst_mistakes(judged, facts.photographs.labels)
    if not len(worst):
        return tag("p", f"None: all {counted(len(judged.rows))} were classified rightly.", class_="good")
    cards = [_mistake(facts, judged, at, pictures) for at in worst[:CARDS].tolist()]
    which = f"The {len(cards)} of {counted(len(worst), 'mistake')} of which the model was surest."
    lead = "All of them, those first of which the model was surest." if len(cards) == len(worst) else which
    return join([tag("p", lead), cards_list(cards)])


def _mistake(facts: ReportFacts, judged: Judged, at: int, pictures: Pictures) -> Html:
    row, scores = int(judged.rows[at]), judged.scores[at]
    true, called = int(facts.photographs.labels[row]), int(scores.argmax())
    verdict = tag("p", "is ", name(facts.classes[true]), ", called ", tag("b", name(facts.classes[called])))
    order = np.argsort(-scores, kind="stable")[:_TOP].tolist()
    lines = [score_line(facts.classes[c], float(scores[c]), "right" if c == true else "wrong") for c in order]
    if true not in order:
        lines.append(score_line(facts.classes[true], float(scores[true]), "right"))
    return card(row, facts.photographs.names[row], pictures, verdict, tag("ul", *lines, class_="scores"))


def score_line(label: str, score: float, kind: str) -> Html:
    """Show one score of a photograph as a number and a bar.

    Args:
        label: what it is of.
        score: 0 to 1.
        kind: "right" or "wrong", the colour of the bar.
    """
    return tag("li", name(label, 24), tag("b", percent(score)), bar(score, kind))


def suspects(facts: ReportFacts, found: Suspects, pictures: Pictures) -> Html:
    """Show the labels that may be wrong.

    Args:
        facts: of the report.
        found: which.
        pictures: larger ones.
    """
    lead = tag("p", found.sentence)
    if not len(found.rows):
        return join([lead, tag("p", "None found.", class_="good")])
    rows = zip(found.rows.tolist(), found.suggested.tolist(), found.confidence.tolist(), strict=True)
    cards = [_suspect(facts, pictures, *one) for one, _ in zip(rows, range(CARDS), strict=False)]
    more = len(found.rows) - len(cards)
    parts = [lead, cards_list(cards)]
    if more:
        parts.append(tag("p", f"and {counted(more, 'less suspect label')}", class_="quiet"))
    if found.command:
        parts += [tag("p", "To move them, after you have looked:"), tag("pre", tag("code", found.command), tabindex=0)]
    return join(parts)


def _suspect(facts: ReportFacts, pictures: Pictures, row: int, suggested: int, confidence: float) -> Html:
    label = facts.classes[int(facts.photographs.labels[row])]
    said = tag("p", "labelled ", name(label), ", looks like ", tag("b", name(facts.classes[suggested])))
    score = tag("ul", score_line(facts.classes[suggested], confidence, "wrong"), class_="scores")
    return card(row, facts.photographs.names[row], pictures, said, score)


def copies(facts: ReportFacts, groups: tuple[Copies, ...], pictures: Pictures) -> Html:
    """Show the photographs that are one picture, those first that lie.

    Args:
        facts: of the report.
        groups: of photographs.
        pictures: tiles.
    """
    looked_for = [tag("p", facts.copies_sentence)] if facts.copies_sentence else []
    if not groups:
        return join([tag("p", "None found.", class_="good"), *looked_for])
    photographs = facts.photographs
    order = sorted(groups, key=lambda one: -len(_badges(one, photographs)))
    leaks = sum(_is_leak(one, photographs) for one in groups)
    differ = sum(_differs(one, photographs) for one in groups)
    said = f"{counted(len(groups), 'group')} of photographs that are one picture"
    said += f"; {counted(leaks, 'group')} on both sides of the split" if leaks else "; none on both sides of the split"
    said += f"; {counted(differ, 'group')} under more than one label." if differ else "; none under two labels."
    shown = [_group(facts, one, pictures) for one in order[:GROUPS]]
    more = len(groups) - len(shown)
    told = [tag("p", line) for line in accuracy_lines(facts, groups)]
    parts = [tag("p", said), *told, *looked_for, tag("ul", *shown, class_="groups")]
    return join([*parts, tag("p", f"and {counted(more, 'more group')}", class_="quiet")] if more else parts)


def _sides(one: Copies, photographs: Photographs) -> list[int]:
    return [] if photographs.sides is None else np.unique(photographs.sides[one.rows]).tolist()


def _is_leak(one: Copies, photographs: Photographs) -> bool:
    return len(_sides(one, photographs)) > 1


def _differs(one: Copies, photographs: Photographs) -> bool:
    return len(np.unique(photographs.labels[one.rows])) > 1


def _badges(one: Copies, photographs: Photographs) -> list[Html]:
    badges = []
    if _is_leak(one, photographs):
        both = " and ".join(SIDE_NAMES[side] for side in _sides(one, photographs))
        badges.append(tag("b", f"leak: in {both}", class_="badge"))
    if _differs(one, photographs):
        badges.append(tag("b", "labels differ", class_="badge"))
    return badges


def _group(facts: ReportFacts, one: Copies, pictures: Pictures) -> Html:
    rows, photographs = one.rows.tolist(), facts.photographs
    words = []
    for row in rows:
        side = "" if photographs.sides is None else f", {SIDE_NAMES[int(photographs.sides[row])]}"
        words.append(f"{facts.classes[int(photographs.labels[row])]}{side}")
    tiles = tile_list(rows, words, photographs.names, pictures)
    return tag("li", tag("p", f"{one.kind} ", *_badges(one, photographs)), tiles)


def heat(facts: ReportFacts, maps: tuple[Heat, ...], pictures: Pictures) -> Html:
    """Show where the model looks.

    Args:
        facts: of the report.
        maps: of some photographs.
        pictures: larger ones, and those with heat.
    """
    if not maps:
        return tag("p", "There was no photograph to make one of.")
    names = facts.photographs.names
    cards = [heat_card(one.row, names[one.row], pictures, tag("p", one.sentence)) for one in maps[:HEAT_CARDS]]
    lead = facts.heat_sentence or _HEAT
    return join([tag("p", lead), tag("ul", *cards, class_="cards")])
