"""Worst mistakes where a photograph may have several labels: of each label, where it was given wrongly and missed."""

from __future__ import annotations

import numpy as np

from retrain.report.cards import score_line
from retrain.report.choosing import LabelList, label_lists, labels_by_mistakes
from retrain.report.facts import LabelJudged, ReportFacts
from retrain.report.markup import Html, counted, join, name, percent, shortened, tag
from retrain.report.thumbnails import Pictures
from retrain.report.tiles import card, cards_list, tile_list

# Of a photograph's other labels, those that are named on its card.
_OTHERS = 3


def label_mistakes(facts: ReportFacts, judged: LabelJudged, pictures: Pictures) -> Html:
    """Show, label by label, the answers of which the model was surest and that were wrong.

    Args:
        facts: of the report.
        judged: photographs, their labels and their answers.
        pictures: tiles and larger ones.

    Returns:
        A folded list a label, the one with the most mistakes open.
    """
    wrong, missed = (int(one.sum()) for one in (judged.said & ~judged.truth, judged.truth & ~judged.said))
    if not wrong + missed:
        return tag("p", f"None: all {counted(len(judged.rows))} got just the labels that they have.", class_="good")
    answers = f"{counted(wrong, 'label')} given wrongly and {missed:,} missed"
    parts = [tag("p", f"{judged.title}: {answers} on {counted(len(judged.rows))}. {judged.sentence}")]
    lists = label_lists(judged)
    shown = list(dict.fromkeys(one.label for one in lists))
    for place, label in enumerate(shown):
        own = [one for one in lists if one.label == label]
        parts.append(_folded(facts, judged, own, pictures, is_open=place == 0))
    left = len(labels_by_mistakes(judged)) - len(shown)
    if left:
        parts.append(tag("p", f"and {counted(left, 'label')} with fewer mistakes", class_="quiet"))
    return tag("div", *parts, class_="cells")


def _folded(
    facts: ReportFacts, judged: LabelJudged, lists: list[LabelList], pictures: Pictures, *, is_open: bool
) -> Html:
    label = lists[0].label
    inside = [part for one in lists for part in _listed(facts, judged, one, pictures)]
    words = ", ".join(f"{len(one.at):,} {'missed' if one.is_missed else 'given wrongly'}" for one in lists)
    head = tag("summary", tag("span", name(facts.classes[label])), tag("small", words))
    about = f"Mistakes with {shortened(facts.classes[label])}"
    held = tag("div", *inside, tabindex=0, role="group", aria_label=about, class_="inside")
    return tag("details", head, held, class_="photos wrong", open=is_open)


def _listed(facts: ReportFacts, judged: LabelJudged, one: LabelList, pictures: Pictures) -> list[Html]:
    label = name(facts.classes[one.label])
    what = ["Have ", label, " and did not get it:"] if one.is_missed else ["Got ", label, " and do not have it:"]
    cards = [_card(facts, judged, one, at, pictures) for at in one.at[: one.cards].tolist()]
    parts = [tag("p", *what)]
    if cards:
        parts.append(cards_list(cards))
    rest = one.at[one.cards : one.cards + one.tiles]
    if len(rest):
        scores = judged.scores[rest, one.label].tolist()
        words = [f"scored {percent(score)}" for score in scores]
        parts.append(tile_list(judged.rows[rest].tolist(), words, facts.photographs.names, pictures))
    left = len(one.at) - len(cards) - len(rest)
    return [*parts, tag("p", f"and {counted(left, 'more photograph')}", class_="quiet")] if left else parts


def _card(facts: ReportFacts, judged: LabelJudged, one: LabelList, at: int, pictures: Pictures) -> Html:
    row, scores = int(judged.rows[at]), judged.scores[at]
    has, got = (_named(facts, one[at]) for one in (judged.truth, judged.said))
    others = [label for label in np.flatnonzero(judged.truth[at] | judged.said[at]).tolist() if label != one.label]
    others.sort(key=lambda label: -float(scores[label]))
    lines = [score_line(facts.classes[one.label], float(scores[one.label]), "wrong")]
    for label in others[:_OTHERS]:
        kind = "right" if judged.truth[at, label] == judged.said[at, label] else "wrong"
        lines.append(score_line(facts.classes[label], float(scores[label]), kind))
    verdict = [tag("p", "has ", has), tag("p", "got ", got)]
    return card(row, facts.photographs.names[row], pictures, *verdict, tag("ul", *lines, class_="scores"))


def _named(facts: ReportFacts, labels: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Html:
    found = [name(facts.classes[label], 24) for label in np.flatnonzero(labels).tolist()]
    more = [f"{len(found) - _OTHERS - 1} more"] if len(found) > _OTHERS + 1 else []
    return tag("b", join([*found[: _OTHERS + 1], *more], ", ") if found else "none")
