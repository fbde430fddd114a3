import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, precision_recall_fscore_support, roc_auc_score
from support import digest

from retrain.evaluate import (
    Accuracy,
    cool,
    cool_by_others,
    find_temperature,
    group_numbers,
    measure,
    measure_accuracy,
    measure_calibration,
    measure_repeated,
    measure_top,
    plain,
    useful_temperature,
    wilson_interval,
)
from retrain.evaluate.accuracy import accuracy_of
from retrain.evaluate.calibration import COLDEST, HOTTEST
from retrain.evaluate.classes import balanced_accuracy, class_numbers
from retrain.evaluate.intervals import effective_count, mean_interval, t_quantile
from retrain.evaluate.ranking import auc_intervals, precision_recall, roc_auc
from retrain.evaluate.sentences import calibration_sentence


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def answers(count=300, classes=4, sharpness=1.0, seed=0):
    """Scores that are the true probabilities at sharpness 1, and labels drawn from them."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.standard_normal((count, classes))
    drawn = generator.random((count, 1))
    labels = (softmax(logits).cumsum(axis=1) < drawn).sum(axis=1).clip(0, classes - 1)
    return softmax(logits * sharpness), labels


NAMES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("freedom", "value"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (24, 2.0639), (999, 1.9623)],
)
def test_students_quantiles_are_those_of_the_tables(freedom, value):
    assert t_quantile(freedom) == pytest.approx(value, rel=0.003)


def test_numbers_agree_with_scikit_learns():
    scores, labels = answers()
    numbers = measure(scores, labels, NAMES)
    assert numbers.accuracy == measure_accuracy(scores, labels)
    precision, recall, f1, count = precision_recall_fscore_support(labels, scores.argmax(axis=1))
    for number, one in enumerate(numbers.classes):
        assert (one.precision.value, one.recall.value) == pytest.approx((precision[number], recall[number]))
        assert one.f1.value == pytest.approx(f1[number])
        assert one.count == count[number]
        assert one.average_precision == pytest.approx(average_precision_score(labels == number, scores[:, number]))
        assert one.roc_auc.value == pytest.approx(roc_auc_score(labels == number, scores[:, number]))
        for share in (one.precision, one.recall, one.f1, one.roc_auc):
            assert 0 <= share.low <= share.value <= share.high <= 1
        assert (one.recall.low, one.recall.high) == wilson_interval(round(one.recall.value * one.count), one.count)
    wide = scores.astype(np.float64) / scores.astype(np.float64).sum(axis=1, keepdims=True)
    assert numbers.roc_auc.value == pytest.approx(roc_auc_score(labels, wide, multi_class="ovr"))
    assert numbers.calibration.log_loss.value == pytest.approx(log_loss(labels, scores), rel=1e-5)
    assert numbers.calibration.brier.value == pytest.approx(np.square(scores - np.eye(4)[labels]).sum(axis=1).mean())
    assert numbers.balanced_accuracy.value == pytest.approx(recall.mean())
    assert numbers.confusion.trace() == numbers.accuracy.right
    assert numbers.effective_count == 300
    assert numbers.groups is None


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=2, max_size=30))
def test_the_area_counts_pairs_and_ties_half(pairs):
    scores, positive = np.array([s for s, _ in pairs]), np.array([p for _, p in pairs])
    inside, outside = scores[positive], scores[~positive]
    if not len(inside) or not len(outside):
        assert math.isnan(roc_auc(scores, positive))
        return
    won = (inside[:, None] > outside).sum() + (inside[:, None] == outside).sum() / 2
    assert roc_auc(scores, positive) == pytest.approx(won / (len(inside) * len(outside)))


def test_an_area_of_1_is_not_certain_and_intervals_hold_the_truth():
    low, high = auc_intervals(np.array([1.0, 0.0, 0.5]), np.full(3, 10.0), np.full(3, 20.0))
    assert 0.7 < low[0] < 0.95
    assert high[0] == 1
    assert (low[1], high[1]) == pytest.approx((0, 1 - low[0]), abs=1e-9)
    assert high[2] - 0.5 == pytest.approx(0.5 - low[2])
    # Two normal distributions 1 apart have an area of Phi(1 / sqrt 2).
    truth, generator, held = 0.5 * (1 + math.erf(0.5)), np.random.default_rng(0), 0
    for _ in range(300):
        scores = np.concatenate([generator.standard_normal(25) + 1, generator.standard_normal(40)])
        area = roc_auc(scores, np.arange(65) < 25)
        low, high = auc_intervals(np.array([area]), np.array([25.0]), np.array([40.0]))
        held += low[0] <= truth <= high[0]
    assert 0.91 <= held / 300 <= 0.99


def test_the_curve_of_precision_and_recall_is_thinned_and_the_average_is_not():
    generator = np.random.default_rng(0)
    scores, positive = generator.random(5000), generator.random(5000) < 0.3
    curve, average = precision_recall(scores, positive)
    assert len(curve.thresholds) == len(curve.precision) == len(curve.recall) == 100
    assert list(curve.thresholds) == sorted(curve.thresholds, reverse=True)
    assert curve.recall[-1] == 1
    assert average == pytest.approx(average_precision_score(positive, scores))
    assert precision_recall(scores, np.zeros(5000, np.bool_))[0].precision == ()


def test_f1_intervals_hold_the_truth():
    # The truth: recall 0.8, a fifth of the photographs of the class, and 5 % of the others taken for it.
    generator, held = np.random.default_rng(0), 0
    truth = 2 * 0.16 / (2 * 0.16 + 0.04 + 0.04)
    for _ in range(300):
        kind = generator.choice(4, size=150, p=[0.16, 0.04, 0.04, 0.76])
        labels, guesses = (kind > 1).astype(int), np.isin(kind, [1, 3]).astype(int)
        f1 = class_numbers(np.eye(2, dtype=np.float32)[guesses], labels, ("a", "b"), None, 1.0)[0].f1
        held += f1.low <= truth <= f1.high
    assert 0.91 <= held / 300 <= 0.99


def test_balanced_accuracy_has_an_interval_that_holds_the_truth():
    generator, held = np.random.default_rng(0), 0
    labels = np.repeat([0, 1], [30, 90])
    for _ in range(300):
        right = generator.random(120) < np.where(labels == 0, 0.9, 0.7)
        scores = np.eye(2, dtype=np.float32)[np.where(right, labels, 1 - labels)]
        found = balanced_accuracy(class_numbers(scores, labels, ("a", "b"), None, 1.0))
        held += found.low <= 0.8 <= found.high
    assert 0.91 <= held / 300 <= 0.99


def test_the_first_five_are_looked_at_beyond_five_classes_and_ties_are_not_taken_for_right():
    scores = np.full((3, 6), 1 / 6, np.float32)
    assert measure_top(scores, np.array([0, 3, 5])).right == 0
    scores[:, 2] = 0.9
    assert measure_top(scores, np.array([2, 2, 0])).right == 2
    assert measure_top(scores[:, :5], np.array([2, 2, 0])) is None
    assert measure(scores, np.array([2, 2, 0]), tuple("abcdef")).top5.right == 2
    assert "the first 5 guesses are not looked at" in measure(*answers(), NAMES).notes[0]


def test_repeats_count_no_photograph_twice():
    scores = np.stack([answers(100, seed=0)[0], answers(100, seed=1)[0]])
    labels = answers(100, seed=0)[1]
    both = measure_repeated(scores, labels)
    shares = [measure_accuracy(one, labels) for one in scores]
    assert both.count == 100
    assert both.value == pytest.approx((shares[0].value + shares[1].value) / 2)
    assert (both.low, both.high) == pytest.approx(wilson_interval(both.right, 100))
    assert measure_repeated(scores[:1], labels) == shares[0]


def nearest(x, means):
    return ((x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)


def test_repeated_cross_validation_has_an_interval_that_holds_the_truth():
    # A head of the nearest mean, trained in five folds five times over; the truth is found on 2,000 others.
    generator, held, naive = np.random.default_rng(0), 0, 0
    others, other_labels = generator.standard_normal((2000, 5)), np.arange(2000) % 2
    others[:, 0] += 2 * other_labels
    for _ in range(120):
        x, labels = generator.standard_normal((60, 5)), np.arange(60) % 2
        x[:, 0] += 2 * labels
        scores, truth = np.zeros((5, 60, 2), np.float32), []
        for repeat in range(5):
            fold = generator.permutation(30).repeat(2) % 5
            for number in range(5):
                means = np.stack([x[(fold != number) & (labels == c)].mean(axis=0) for c in (0, 1)])
                scores[repeat, fold == number] = np.eye(2)[nearest(x[fold == number], means)]
                truth.append((nearest(others, means) == other_labels).mean())
        found = measure_repeated(scores, labels)
        held += found.low <= np.mean(truth) <= found.high
        low, high = wilson_interval(5 * found.right, 300)
        naive += low <= np.mean(truth) <= high
    assert held / 120 >= 0.9
    assert naive / 120 < 0.85


def test_groups_widen_the_interval_to_what_they_are_worth():
    generator, held, naive = np.random.default_rng(0), 0, 0
    groups = np.arange(30).repeat(6)
    for _ in range(300):
        right = (generator.random(30) < 0.8).repeat(6)
        flips = generator.random(180) < 0.1
        right ^= flips
        found = accuracy_of(right, groups)
        held += found.low <= 0.8 * 0.9 + 0.2 * 0.1 <= found.high
        low, high = wilson_interval(int(right.sum()), 180)
        naive += low <= 0.74 <= high
    assert held / 300 >= 0.92
    assert naive / 300 < 0.75


def test_effective_counts():
    right = np.array([1.0, 1, 0, 1, 0, 1])
    assert effective_count(right) == 6
    assert effective_count(right, np.arange(6)) == 6
    # All right: nothing is known of how they hang together.
    assert effective_count(np.ones(6), np.array([0, 0, 0, 1, 1, 1])) == 2
    assert effective_count(np.repeat([1.0, 0.0, 1.0, 0.0], 5), np.arange(4).repeat(5)) < 4
    assert effective_count(right, np.zeros(6, np.intp)) == 1
    assert effective_count(np.zeros(0)) == 0


def test_a_mean_of_one_is_of_unknown_spread():
    assert mean_interval(np.array([3.0])).high == math.inf
    assert math.isnan(mean_interval(np.zeros(0)).value)
    found = mean_interval(np.array([1.0, 2, 3, 4]))
    assert (found.low, found.high) == pytest.approx((2.5 - 3.1824 * 0.6455, 2.5 + 3.1824 * 0.6455), abs=5e-3)
    assert mean_interval(np.array([1.0, 1, 3, 3]), np.array([0, 0, 1, 1])).high > 10


def test_photographs_of_one_key_are_a_group():
    keys = [digest(b"%d" % n) for n in (3, 1, 3, 2, 1)]
    numbers = group_numbers(keys)
    assert [numbers[i] == numbers[j] for i, j in ((0, 2), (1, 4), (0, 1), (0, 3), (1, 3))] == [1, 1, 0, 0, 0]
    assert group_numbers(keys[:2]) is None
    assert group_numbers([]) is None


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0, 4.0])
def test_the_temperature_makes_scores_those_that_labels_were_drawn_from(sharpness):
    scores, labels = answers(4000, sharpness=sharpness)
    assert find_temperature(scores, labels) == pytest.approx(sharpness, rel=0.08)
    before, after = (measure_calibration(one, labels) for one in (scores, cool(scores, sharpness)))
    assert after.error < 0.03
    if sharpness != 1:
        assert before.error > 2 * after.error
        assert before.log_loss.value > after.log_loss.value


def test_the_temperature_is_the_least_of_a_search_by_hand():
    scores, labels = answers(10_000, sharpness=3.0)  # so many that what is likely beforehand weighs nothing
    best = find_temperature(scores, labels)
    losses = {t: measure_calibration(cool(scores, t), labels).log_loss.value for t in (best * 0.97, best, best * 1.03)}
    assert min(losses, key=losses.get) == best


def test_a_handful_all_right_makes_no_score_certain_and_limits_hold():
    right = np.tile(np.array([[0.9, 0.1]], np.float32), (8, 1))
    found = find_temperature(right, np.zeros(8, np.intp))
    assert 0.3 < found < 1
    assert COLDEST <= find_temperature(np.tile(right, (100_000 // 8, 1)), np.zeros(100_000, np.intp)) <= found
    wrong = np.tile(np.array([[1.0, 0.0]], np.float32), (1000, 1))
    assert find_temperature(wrong, np.ones(1000, np.intp)) == pytest.approx(HOTTEST, rel=1e-6)
    assert find_temperature(right[:0], np.zeros(0, np.intp)) == 1.0
    assert find_temperature(np.full((50, 2), 0.5, np.float32), np.arange(50) % 2) == pytest.approx(1.0, abs=1e-3)


@given(st.floats(0.1, 10))
def test_cooling_changes_no_first_guess_and_rows_sum_to_1(temperature):
    scores, _ = answers(50)
    cooled = cool(scores, temperature)
    assert (cooled.argmax(axis=1) == scores.argmax(axis=1)).all()
    assert cooled.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    assert cool(scores, 1.0).tobytes() == scores.tobytes()


def test_each_fold_is_cooled_by_the_others():
    scores, labels = answers(200, sharpness=3.0)
    folds = np.arange(200) % 4
    cooled = cool_by_others(scores, labels, folds)
    for fold in range(4):
        others = folds != fold
        expected = cool(scores[~others], find_temperature(scores[others], labels[others]))
        assert cooled[~others] == pytest.approx(expected, abs=1e-6)


def test_a_temperature_that_helps_nobody_is_none():
    folds = np.arange(400)[np.newaxis] % 5
    scores, labels = answers(400, sharpness=3.0)
    assert useful_temperature(scores[np.newaxis], labels, folds) == pytest.approx(3.0, rel=0.2)
    # Scores as they should be: about half of all draws of labels say 1.
    found = [useful_temperature(s[np.newaxis], y, folds) for s, y in (answers(400, seed=n) for n in range(12))]
    assert sum(one == 1 for one in found) >= 4
    assert all(abs(math.log(one)) < 0.3 for one in found)


def test_calibration_error_is_that_of_the_definition():
    scores, labels = answers(500, sharpness=2.0)
    found = measure_calibration(scores, labels)
    top, right = scores.astype(float).max(axis=1), scores.argmax(axis=1) == labels
    error = 0.0
    for number in range(15):
        inside = (top > number / 15) & (top <= (number + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - top[inside].mean())
            assert found.bins[number].count == inside.sum()
    assert found.error == pytest.approx(error)
    assert sum(one.count for one in found.bins) == 500


def test_the_error_by_chance_is_that_of_scores_as_they_should_be():
    found = [measure_calibration(*answers(300, seed=seed)) for seed in range(40)]
    assert np.mean([one.error for one in found]) == pytest.approx(np.mean([one.chance for one in found]), rel=0.1)
    blind = measure_calibration(*answers(300, sharpness=4.0))
    assert blind.error > 2 * blind.chance


def test_a_score_of_0_for_the_right_class_costs_much_and_is_no_infinity():
    found = measure_calibration(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.array([1, 1]))
    assert found.log_loss.value == pytest.approx(-math.log(np.finfo(np.float32).tiny) / 2)
    assert found.brier.value == 1.0


def test_json_is_whole_and_has_no_nan():
    scores, labels = answers(60)
    labels[labels == 3] = 0
    numbers = measure(scores, labels, NAMES, np.arange(60) // 3, 1.7)
    facts = json.loads(json.dumps(numbers.numbers_json(), allow_nan=False))
    assert facts["format"] == 1
    assert facts["accuracy"] == {
        "accuracy": numbers.accuracy.value, "right": numbers.accuracy.right, "count": 60,
        "low_95": numbers.accuracy.low, "high_95": numbers.accuracy.high,
    }  # fmt: skip
    assert facts["classes"][3]["recall"]["value"] is None
    assert facts["classes"][3]["roc_auc"]["value"] is None
    assert facts["temperature"] == 1.7
    assert facts["groups"] == 20
    assert len(facts["calibration"]["bins"]) == 15
    assert any("1 of 4 classes have no photograph" in note for note in facts["notes"])
    with pytest.raises(TypeError, match="set has no JSON form"):
        plain({"x": {1}})


def test_numbers_of_nothing_are_no_crash():
    numbers = measure(np.zeros((0, 3), np.float32), np.zeros(0, np.intp), ("a", "b", "c"))
    assert numbers.accuracy == Accuracy(0, 0, 0.0, 1.0)
    assert numbers.balanced_accuracy is None
    assert numbers.roc_auc is None
    json.dumps(numbers.numbers_json(), allow_nan=False)


def test_the_line_of_other_numbers():
    scores, labels = answers(200)
    line = calibration_sentence(measure(scores, labels, NAMES))
    assert line.startswith("Balanced accuracy ")
    assert line.endswith(" %")
    assert " at temperature 1.50)" in calibration_sentence(measure(scores, labels, NAMES, temperature=1.5))


def test_a_table_of_a_thousand_classes_is_written_by_what_is_in_it():
    table = np.zeros((1001, 1001), np.int64)
    table[3, 4], table[1000, 0] = 7, 2
    assert plain(table) == {"shape": [1001, 1001], "entries": [[3, 4, 7], [1000, 0, 2]]}
    assert plain(table[:3, :5]) == [[0] * 5] * 3
