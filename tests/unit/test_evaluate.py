import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.evaluate import Accuracy, confusion_matrix, measure_accuracy, plain_sentence, wilson_interval


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        (9, 10, 0.5958, 0.9821),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (50, 100, 0.4038, 0.5962),
        # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, Statistics in Medicine 17, table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_wilsons(right, count, low, high):
    assert wilson_interval(right, count) == pytest.approx((low, high), abs=5.1e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_stays_within_0_and_1(pair):
    low, high = wilson_interval(*pair)
    assert 0 <= low <= pair[0] / pair[1] + 1e-12
    assert pair[0] / pair[1] - 1e-12 <= high <= 1
    assert wilson_interval(pair[1] - pair[0], pair[1]) == pytest.approx((1 - high, 1 - low))


SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]], np.float32)
TRUTH = np.array([0, 1, 1, 1])


def test_right_first_guesses_are_counted():
    accuracy = measure_accuracy(SCORES, TRUTH)
    assert (accuracy.right, accuracy.count, accuracy.value) == (2, 4, 0.5)
    assert (accuracy.low, accuracy.high) == wilson_interval(2, 4)
    assert accuracy.interval_text() == "95 % interval 15.0 to 85.0 %"


def test_the_accuracy_of_nothing_is_not_a_number_and_not_a_division_by_zero():
    # The original ends in a ZeroDivisionError after all the work.
    accuracy = measure_accuracy(np.zeros((0, 2), np.float32), np.zeros(0, np.intp))
    assert (accuracy.right, accuracy.count, accuracy.low, accuracy.high) == (0, 0, 0.0, 1.0)
    assert math.isnan(accuracy.value)


def test_the_confusion_matrix_counts_what_was_taken_for_what():
    assert confusion_matrix(SCORES, TRUTH, 2).tolist() == [[1, 0], [2, 1]]
    assert confusion_matrix(SCORES[:0], TRUTH[:0], 3).tolist() == [[0] * 3] * 3


@pytest.mark.parametrize("seed", range(5))
def test_the_confusion_matrix_holds_every_photograph_in_its_row(seed):
    generator = np.random.default_rng(seed)
    scores, labels = generator.random((50, 4)).astype(np.float32), generator.integers(0, 4, 50)
    matrix = confusion_matrix(scores, labels, 4)
    assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=4).tolist()
    assert np.trace(matrix) == measure_accuracy(scores, labels).right


TEST, CROSSED = Accuracy(9, 10, *wilson_interval(9, 10)), Accuracy(95, 100, *wilson_interval(95, 100))


@pytest.mark.parametrize(
    ("test", "crossed", "sentence"),
    [
        (
            TEST,
            CROSSED,
            "With 10 test photographs this test cannot tell 60 % from 98 %; "
            "cross-validation over 100 says 95 % (89 to 98 %).",
        ),
        (
            TEST,
            None,
            "With 10 test photographs this test cannot tell 60 % from 98 %; cross-validation was left out.",
        ),
        (
            Accuracy(0, 0, 0.0, 1.0),
            CROSSED,
            "No photograph was kept for the final test; cross-validation over 100 says 95 % (89 to 98 %).",
        ),
        (
            Accuracy(0, 0, 0.0, 1.0),
            None,
            "No photograph was kept for the final test; cross-validation was left out.",
        ),
    ],
)
def test_the_plain_sentence_says_what_the_numbers_can_tell(test, crossed, sentence):
    assert plain_sentence(test, crossed) == sentence
