"""The report's accuracy with copies and without."""

from dataclasses import replace

import numpy as np
import pytest
from report_facts import full, several

from retrain.dataset import TESTING, TRAINING
from retrain.report import Copies, Judged, report_html
from retrain.report.leaks import accuracy_lines, pictures_of


def judged(title, rows, right, labels):
    """A judgement in which the photographs named are answered rightly, and no other."""
    called = np.where(np.isin(rows, right), labels[rows], 1 - labels[rows])
    return Judged(title, "", np.asarray(rows), np.eye(2, dtype=np.float32)[called])


@pytest.fixture
def facts():
    """Twelve photographs: 0 to 7 are trained on, 8 to 11 tested."""
    sides = np.array([TRAINING] * 8 + [TESTING] * 4, np.uint8)
    whole = full()
    return replace(whole, photographs=replace(whole.photographs, sides=sides))


def test_a_copy_of_what_was_trained_on_is_left_out(facts):
    labels = facts.photographs.labels
    test = judged("Final test", [8, 9, 10, 11], [8, 9], labels)
    lines = accuracy_lines(replace(facts, judged=(test,)), [Copies(np.array([2, 8]), "exact")])
    assert lines == [
        "Final test: accuracy 50.0 % on 4 photographs; without the 1 that are copies of one that was trained on or of "
        "another of them: 33.3 % on the 3 others."
    ]


def test_a_copy_by_way_of_another_one_is_left_out_and_pictures_count_once(facts):
    labels = facts.photographs.labels
    test = judged("Final test", [8, 9, 10, 11], [8, 9, 10], labels)
    groups = [Copies(np.array([9, 10]), "near"), Copies(np.array([10, 11]), "near"), Copies(np.array([0, 1]), "exact")]
    assert accuracy_lines(replace(facts, judged=(test,)), groups) == [
        "Final test: accuracy 75.0 % on 4 photographs; without the 2 that are copies of one that was trained on or of "
        "another of them: 100.0 % on the 2 others."
    ]


def test_cross_validation_leaves_out_second_copies_alone(facts):
    labels = facts.photographs.labels
    crossed = judged("Cross-validation", range(12), [0, 8], labels)
    (line,) = accuracy_lines(replace(facts, judged=(crossed,)), [Copies(np.array([0, 8]), "exact")])
    assert "accuracy 16.7 % on 12 photographs; without the 1" in line
    assert line.endswith("9.1 % on the 11 others.")


def test_none_may_be_left_and_none_may_be_a_copy(facts):
    labels = facts.photographs.labels
    all_copies = [Copies(np.arange(12), "exact")]
    test = replace(facts, judged=(judged("Final test", [8, 9], [8], labels),))
    assert accuracy_lines(test, all_copies)[0].endswith("no others are left.")
    assert accuracy_lines(test, [Copies(np.array([0, 1]), "near")]) == [
        "Final test: accuracy 50.0 % on 2 photographs, none of which is a copy of one that was trained on or of "
        "another one of them."
    ]
    assert accuracy_lines(replace(facts, judged=()), all_copies) == []
    nothing = Judged("Final test", "", np.zeros(0, np.intp), np.zeros((0, 2), np.float32))
    assert accuracy_lines(replace(facts, judged=(nothing,)), all_copies) == []


def test_without_a_split_pictures_count_once(facts):
    unsplit = replace(facts, photographs=replace(facts.photographs, sides=None))
    (_, line) = accuracy_lines(unsplit, [Copies(np.array([0, 3]), "exact")])
    assert line.startswith("Final test: accuracy")
    assert "without the 1 that are copies" in line


def test_several_labels_count_as_right_where_all_are():
    facts = several()
    (line,) = accuracy_lines(facts, [Copies(np.array([0, 1]), "exact")])
    exact = (facts.label_judged.said == facts.label_judged.truth).all(axis=1)
    assert f"accuracy {100 * exact.mean():.1f} % on 24 photographs; without the 1" in line


def test_pictures_are_numbered_by_their_lowest_row():
    groups = [Copies(np.array([4, 5]), "near"), Copies(np.array([1, 3]), "exact"), Copies(np.array([5, 3]), "near")]
    assert pictures_of(groups, 7).tolist() == [0, 1, 2, 1, 1, 1, 6]


def test_the_page_says_it(facts):
    page = report_html(replace(facts, copies=(Copies(np.array([2, 8]), "exact"),)), lambda path: None)
    assert b"that are copies of one that was trained on" in page
