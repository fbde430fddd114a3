"""The section of the report about a network's training."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from report_facts import bare, full, photograph

from retrain.head import Head
from retrain.report import History, report_html
from retrain.report.markup import tag
from retrain.report.page import SECTIONS
from retrain.report.training import history_charts
from retrain.results.history import history_of
from retrain.trainer.outcome import Epoch, Trained, history_sentence

HEAD = Head(np.zeros((4, 2), np.float32), np.zeros(2, np.float32), 6)


def page_of(facts):
    return report_html(facts, lambda row: photograph()).decode()


def trained(*epochs, best=1, frozen=0):
    return Trained(Path("network.npz"), HEAD, 3 * len(epochs), epochs, best, 1234, frozen)


def history(count, kept=1, validation=True):
    at = np.linspace(1, 0.1, count)
    second = at if validation else np.full(count, np.nan)
    return History("Trained.", np.stack([at, second], 1), np.stack([1 - at, 1 - second], 1), kept)


def points_of(markup, kind):
    """How many points each line of a kind has, chart by chart."""
    return [len(one.split()) for one in re.findall(rf'<polyline points="([^"]*)" class="line {kind}">', markup)]


def test_a_report_of_a_layer_has_no_such_section():
    page = page_of(bare())
    assert 'id="history"' not in page
    assert 'href="#history"' not in page
    assert [key for key in SECTIONS if f'<section id="{key}"' in page] == [key for key in SECTIONS if key != "history"]


def test_the_section_says_it_draws_it_and_has_it_as_a_table():
    section = page_of(full()).split('<section id="history"')[1].split("</section>")[0]
    assert "Trained for 3 epochs." in section
    assert points_of(section, "before") == points_of(section, "after") == [3, 3]
    assert section.count("kept: epoch 2") == section.count('class="limit"') - 1 == 1
    rows = re.findall(r"<tr>(.*?)</tr>", section)
    assert [re.findall(r">([^<]+)<", row) for row in rows[1:]] == [
        ["1", "2.000", "2.100", "40.0 %", "30.0 %"],
        ["2, kept", "1.000", "1.500", "60.0 %", "50.0 %"],
        ["3", "0.500", "1.600", "90.0 %", "50.0 %"],
    ]


def test_words_of_the_sentence_stay_text():
    assert "<script>alert(1)" not in page_of(replace(bare(), history=replace(history(2), sentence="<script>alert(1)")))


def test_without_validation_there_is_one_line_and_dashes():
    drawn = history_charts(history(3, validation=False))
    assert points_of(drawn, "before") == [3, 3]
    assert points_of(drawn, "after") == []
    assert drawn.count(tag("td", "–")) == 6
    assert "nan" not in drawn


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 30, 60, 61, 500, 12345])
def test_any_number_of_epochs_has_a_few_ticks(count):
    drawn = history_charts(history(count, kept=count))
    ticks = re.findall(r'y="225.0" text-anchor="middle">([^<]*)<', drawn)
    half = [int(tick.replace(",", "")) for tick in ticks[: len(ticks) // 2]]
    assert half == sorted(set(half))
    assert 1 <= len(half) <= 9
    assert half[-1] <= count
    assert drawn.count("<circle") == (4 * count if count <= 60 else 0)


def test_the_axis_of_accuracy_begins_below_the_worst():
    drawn = history_charts(replace(history(2), accuracy=np.array([[0.97, 0.93], [0.99, 0.95]])))
    assert 'text-anchor="end">80<' in drawn
    assert 'text-anchor="end">70<' not in drawn


def test_losses_of_nothing_are_no_reason_to_fail():
    drawn = history_charts(replace(history(2), loss=np.zeros((2, 2)), accuracy=np.ones((2, 2))))
    assert points_of(drawn, "before") == [2, 2]


EPOCHS = (Epoch(1, 3, 2.0, 0.4, 1.5, 0.5), Epoch(2, 6, 1.0, 0.6, 1.25, 0.625), Epoch(3, 9, 0.5, 0.9, 1.75, 0.5))


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            trained(*EPOCHS, best=2),
            "Trained for 3 epochs (9 steps); the model has the weights of epoch 2, which has the lowest validation loss "
            "(1.250, 62.5 % right). 1,234 parameters learnt, none stayed as they were.",
        ),
        (
            trained(*EPOCHS, best=3, frozen=98765),
            "Trained for 3 epochs (9 steps); the model has the weights of epoch 3, while epoch 2 has the lowest validation "
            "loss (1.250, 62.5 % right). 1,234 parameters learnt, 98,765 stayed as they were.",
        ),
        (
            trained(Epoch(1, 3, 2.0, 0.4)),
            "Trained for 1 epoch (3 steps); the model has the weights of epoch 1. 1,234 parameters learnt, none stayed "
            "as they were.",
        ),
    ],
)
def test_the_sentence(told, sentence):
    assert history_sentence(told) == sentence


def test_the_facts_of_a_run():
    found = history_of(
        SimpleNamespace(network=SimpleNamespace(trained=trained(*EPOCHS[:2], Epoch(3, 9, 0.5, 0.9), best=2)))
    )
    np.testing.assert_array_equal(found.loss, [[2.0, 1.5], [1.0, 1.25], [0.5, np.nan]])
    np.testing.assert_array_equal(found.accuracy, [[0.4, 0.5], [0.6, 0.625], [0.9, np.nan]])
    assert found.kept == 2
    assert history_of(SimpleNamespace(network=None)) is None
