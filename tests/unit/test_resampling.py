"""Intervals of average precisions: what they hold, and what they depend on."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from retrain.evaluate.intervals import wilson_interval
from retrain.evaluate.resampling import BUDGET, FEWEST, MOST, _draws, measure_precisions


def drawn(count, lifts, shares, seed, size=1):
    """Scores of labels that are so much higher on average where a photograph has them; groups of so many alike."""
    generator = np.random.default_rng(seed)
    groups = np.arange(count) // size
    truth = (generator.random((groups[-1] + 1, len(lifts))) < shares)[groups]
    own, shared = generator.normal(size=truth.shape), generator.normal(size=(groups[-1] + 1, len(lifts)))[groups]
    noise = own if size == 1 else math.sqrt(0.1) * own + math.sqrt(0.9) * shared
    return (noise + truth * np.array(lifts)).astype(np.float32), truth, groups


def test_values_are_scikit_learns_ties_included():
    scores, truth, _ = drawn(120, (1.0, 2.0, 0.0), (0.5, 0.2, 0.1), 3)
    scores = np.round(scores, 1)
    found = measure_precisions(scores, truth)
    theirs = [average_precision_score(truth[:, label], scores[:, label]) for label in range(3)]
    assert [one.value for one in found.labels] == pytest.approx(theirs)
    assert found.mean.value == pytest.approx(np.mean(theirs))
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in (*found.labels, found.mean))


@pytest.mark.parametrize(("lifts", "shares"), [((1.5, 1.5), (0.5, 0.4)), ((3.0, 2.0), (0.1, 0.3))])
def test_they_hold_the_truth_about_as_often_as_they_say(lifts, shares):
    scores, truth, _ = drawn(100_000, lifts, shares, 0)
    true = [average_precision_score(truth[:, label], scores[:, label]) for label in range(2)]
    held, of_label = [], []
    for seed in range(200):
        scores, truth, _ = drawn(84, lifts, shares, seed + 1)
        found = measure_precisions(scores, truth, seed=seed)
        held.append(found.mean.low <= np.mean(true) <= found.mean.high)
        of_label += [one.low <= value <= one.high for one, value in zip(found.labels, true, strict=True)]
    # 95 % of 200 are 190; 184 and more come in 99 of 100 such trials. They may hold it more often.
    assert sum(held) >= 184
    assert np.mean(of_label) >= 0.93


def test_all_right_is_not_taken_for_certain():
    truth = np.arange(20)[:, None] % 4 == 0
    found = measure_precisions(truth.astype(np.float32), truth)
    assert found.mean.value == 1
    assert (found.mean.low, found.mean.high) == wilson_interval(5, 5)
    one = measure_precisions(np.float32([[0.9], [0.1]]), np.array([[True], [False]]))
    assert one.labels[0].low == pytest.approx(wilson_interval(1, 1)[0])


def test_a_rarer_label_and_fewer_photographs_are_less_sure():
    def width(count, share):
        scores, truth, _ = drawn(count, (1.5,), (share,), 5)
        found = measure_precisions(scores, truth).mean
        return found.high - found.low

    assert width(600, 0.5) < width(150, 0.5) < width(150, 0.05)


def test_photographs_of_a_group_are_drawn_together():
    scores, truth, groups = drawn(240, (1.5, 1.5), (0.4, 0.4), 1, size=8)
    alone, together = measure_precisions(scores, truth), measure_precisions(scores, truth, groups)
    assert alone.mean.value == together.mean.value
    assert together.mean.high - together.mean.low > 1.3 * (alone.mean.high - alone.mean.low)
    # Numbers with gaps, as a part of the photographs has them, are the same groups.
    assert measure_precisions(scores, truth, 7 + 3 * groups) == together


def test_the_same_seed_gives_the_same_and_another_nearly():
    scores, truth, groups = drawn(240, (0.5, 1.0), (0.4, 0.3), 2, size=8)
    one, other = measure_precisions(scores, truth, groups), measure_precisions(scores, truth, groups, seed=1)
    assert measure_precisions(scores, truth, groups) == one
    assert other != one
    assert other.mean.low == pytest.approx(one.mean.low, abs=0.05)


@pytest.mark.parametrize("truth", [np.zeros((0, 2), np.bool_), np.zeros((5, 2), np.bool_)])
def test_of_nothing_nothing_is_known(truth):
    found = measure_precisions(np.zeros(truth.shape, np.float32), truth)
    for one in (*found.labels, found.mean):
        assert math.isnan(one.value)
        assert (one.low, one.high) == (0, 1)


def test_a_label_that_no_photograph_has_is_in_no_mean():
    scores, truth, _ = drawn(60, (1.5, 1.5), (0.4, 0.4), 2)
    with_blank = measure_precisions(np.insert(scores, 1, 0.5, axis=1), np.insert(truth, 1, False, axis=1))
    without = measure_precisions(scores, truth)
    assert math.isnan(with_blank.labels[1].value)
    assert (with_blank.labels[0], with_blank.labels[2], with_blank.mean) == (*without.labels, without.mean)


def test_draws_are_bounded():
    assert sum(len(part) for part in _draws(np.arange(50), 3, 0)) == MOST
    few = list(_draws(np.arange(1000), BUDGET // 1000, 0))
    assert sum(len(part) for part in few) == FEWEST
    assert all((part.sum(axis=1) == 1000).all() for part in few)
