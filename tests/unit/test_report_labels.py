"""Worst mistakes of the report where a photograph may have several labels."""

import re
from dataclasses import replace

import numpy as np
import pytest
from report_facts import HOSTILE, bare, photograph, several
from test_report import Reader

from retrain.report import LabelJudged, Photographs, report_html
from retrain.report.choosing import (
    LABEL_CARDS,
    MOST_LABELS,
    MOST_OF_A_LIST,
    MOST_SHOWN,
    choose,
    label_lists,
    labels_by_mistakes,
)

PHOTO = photograph()


def page_of(facts):
    return report_html(facts, lambda row: PHOTO).decode()


def section(page):
    (found,) = re.findall(r'<section id="mistakes".*?</section>', page, re.DOTALL)
    return found


def test_the_surest_wrong_answers_come_first_label_by_label():
    truth = np.array([[1, 0], [0, 1], [0, 1], [1, 1], [1, 0]], np.bool_)
    scores = np.array([[0.1, 0.9], [0.7, 0.8], [0.9, 0.2], [0.3, 0.7], [0.8, 0.1]], np.float32)
    judged = LabelJudged("", "", np.array([10, 11, 12, 13, 14]), scores, truth, scores >= 0.5)
    given, missed, second_given, second_missed = label_lists(judged)
    assert (given.label, given.is_missed, given.at.tolist()) == (0, False, [2, 1])
    assert (missed.label, missed.is_missed, missed.at.tolist()) == (0, True, [0, 3])
    assert (second_given.at.tolist(), second_missed.at.tolist()) == ([0], [2])
    assert labels_by_mistakes(judged) == [0, 1]


def test_cards_are_shared_out_and_bounded():
    draw = np.random.default_rng(0)
    truth = draw.random((6000, 60)) < 0.5
    scores = draw.random((6000, 60)).astype(np.float32)
    judged = LabelJudged("", "", np.arange(6000), scores, truth, scores >= 0.5)
    lists = label_lists(judged)
    assert len({one.label for one in lists}) == MOST_LABELS
    assert sum(one.cards for one in lists) == LABEL_CARDS
    chosen = choose(replace(bare(6000), label_judged=judged))
    assert len(chosen.shown) == MOST_SHOWN
    assert 0 < len(chosen.large) <= LABEL_CARDS
    wanted = {row for one in lists for row in one.at[: one.cards + one.tiles].tolist()}
    assert wanted <= set(chosen.shown.tolist())
    few = LabelJudged("", "", np.arange(40), scores[:40, :1], truth[:40, :1], ~truth[:40, :1])
    assert [one.cards for one in label_lists(few)] == [MOST_OF_A_LIST] * 2


def test_every_wrong_answer_has_its_photograph_under_its_label():
    facts = several(30)
    judged = facts.label_judged
    page = section(page_of(facts))
    wrong, missed = int((judged.said & ~judged.truth).sum()), int((judged.truth & ~judged.said).sum())
    assert wrong
    assert missed
    seen = Reader(page)
    assert f"{wrong} labels given wrongly and {missed} missed on 30 photographs." in seen.text()
    assert "Got bright and do not have it:" in seen.text()
    assert "Have globular and did not get it:" in seen.text()
    shown = [one for one in seen.of("img") if one["alt"].startswith("photograph ")]
    tiles = page.count('class="t ') + page.count('class="t"')
    assert len(shown) == sum(one.cards for one in label_lists(judged))
    assert len(shown) + tiles == wrong + missed
    assert [("open" in one) for one in seen.of("details") if one.get("class") == "photos wrong"] == [True, False]


def test_a_run_without_mistakes_says_so():
    facts = several()
    judged = replace(facts.label_judged, said=facts.label_judged.truth)
    page = section(page_of(replace(facts, label_judged=judged)))
    assert "None: all 24 photographs got just the labels that they have." in page


def test_a_photograph_that_is_gone_and_one_without_any_label_given_are_shown():
    facts = several()
    judged = replace(facts.label_judged, said=np.zeros_like(facts.label_judged.said))
    page = section(report_html(replace(facts, label_judged=judged), lambda row: None).decode())
    assert "got <b>none</b>" in page
    assert "cannot be read any more" in page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_labels_stay_text(hostile):
    plain = Reader(page_of(several()))
    names = tuple(f"{hostile}{at}" for at in range(24))
    seen = Reader(page_of(several(classes=("a" + hostile, "b" + hostile, hostile), names=names)))
    assert [element for element, _ in seen.elements] == [element for element, _ in plain.elements]
    assert [set(attributes) for _, attributes in seen.elements] == [set(attributes) for _, attributes in plain.elements]


def test_average_precisions_stand_in_the_bars_only_where_there_are_several_labels():
    assert '<th scope="col">average precision</th>' in page_of(several())
    assert "average precision" not in page_of(bare())


def test_a_final_test_has_only_its_own_photographs():
    facts = several(30)
    rows = np.array([4, 10, 16])
    own = facts.label_judged
    judged = replace(
        own, title="Final test", rows=rows, scores=own.scores[rows], truth=own.truth[rows], said=own.said[rows]
    )
    names = tuple(f"{at:02}.jpg" for at in range(30))
    page = section(
        page_of(replace(facts, label_judged=judged, photographs=Photographs(names, facts.photographs.labels)))
    )
    assert {alt for one in Reader(page).of("img") for alt in [one["alt"]]} <= {
        f"photograph {row:02}.jpg" for row in (4, 10, 16)
    }
    assert Reader(page).of("img")
