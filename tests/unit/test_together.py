import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import digest

from retrain.bottlenecks import FileMatrix
from retrain.errors import NumericalError, RetrainError
from retrain.head import Recipe, cross_validate, cross_validate_again, train_softmax
from retrain.head.folds import assign_folds, deal_again
from retrain.head.together import NO_VALIDATION, is_plain, train_together

RECIPE = Recipe(steps=60, learning_rate=0.1, batch_size=20, weight_decay=0.03)


def shas(count):
    return [digest(b"%d" % n) for n in range(count)]


def data(count, width=6, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    labels[:classes] = np.arange(classes)
    return generator.standard_normal((count, width)).astype(np.float32), labels


def same(one, other):
    return one.step == other.step and all(
        a.tobytes() == b.tobytes() for a, b in ((one.weights, other.weights), (one.biases, other.biases))
    )


def nearly(one, other):
    return one.step == other.step and all(
        np.allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max() + 1e-6)
        for a, b in ((one.weights, other.weights), (one.biases, other.biases))
    )


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(12, 60),
    width=st.sampled_from([1, 2, 7, 40]),
    classes=st.integers(2, 12),
    heads=st.integers(1, 9),
    batch=st.sampled_from([1, 2, 3, 20, 100]),
    smoothing=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 5),
)
def test_heads_trained_together_are_those_trained_one_by_one(count, width, classes, heads, batch, smoothing, seed):
    features, labels = data(count, width, min(classes, count), seed)
    generator = np.random.default_rng(seed)
    trainings = [np.sort(generator.permutation(count)[: generator.integers(1, count)]) for _ in range(heads)]
    recipe = Recipe(15, 0.3, batch, 0.03, seed=seed, label_smoothing=smoothing)
    found = list(train_together(features, labels, trainings, recipe, classes))
    alone = [train_softmax(features, labels, NO_VALIDATION, recipe, classes, training=t) for t in trainings]
    # Up to two batches of photographs are calculated once each and counted, which rounds otherwise.
    agree = nearly if min(map(len, trainings)) <= 2 * batch else same
    assert all(agree(one, other) for one, other in zip(found, alone, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.05])
def test_they_are_the_same_with_the_recipe_and_sizes_of_a_real_run(smoothing):
    recipe = Recipe(steps=300, learning_rate=0.01, batch_size=100, weight_decay=0.03, label_smoothing=smoothing)
    for count, agree in ((120, nearly), (300, same)):
        features, labels = data(count, 512, 5)
        trainings = [np.flatnonzero(np.arange(count) % 5 != fold) for fold in range(5)]
        found = list(train_together(features, labels, trainings, recipe, 5))
        alone = [train_softmax(features, labels, NO_VALIDATION, recipe, 5, training=t) for t in trainings]
        assert all(agree(one, other) for one, other in zip(found, alone, strict=True))
    assert is_plain(recipe)


def test_they_are_the_same_from_a_file(tmp_path):
    features, labels = data(200)
    rows = FileMatrix(tmp_path, *features.shape)
    rows.write(np.arange(200), features)
    trainings = [np.arange(0, 150), np.arange(50, 200)]
    pairs = zip(
        train_together(features, labels, trainings, RECIPE, 3),
        train_together(rows, labels, trainings, RECIPE, 3),
        strict=True,
    )
    assert all(same(one, other) for one, other in pairs)


@pytest.mark.parametrize(
    "change", [{"batch_size": 1}, {"class_weights": "none"}, {"optimizer": "adam"}, {"kind": "mlp"}]
)
def test_a_recipe_beyond_plain_descent_is_left_to_what_knows_it(change):
    given = {"steps": 5, "learning_rate": 0.1, "batch_size": 20, "weight_decay": 0.0, **change}
    recipe = Recipe(**given)
    assert not is_plain(recipe)
    features, labels = data(30)
    seen = []

    def fit(rows, labels, training, recipe, class_count):
        seen.append(len(training))
        return train_softmax(rows, labels, NO_VALIDATION, RECIPE, class_count, training=training)

    assert len(list(train_together(features, labels, [np.arange(20), np.arange(10, 29)], recipe, 3, fit))) == 2
    assert sorted(seen) == [19, 20]


def test_a_head_that_leaves_the_numbers_says_at_which_step():
    features, labels = data(40)
    recipe = Recipe(steps=50, learning_rate=1e30, batch_size=20, weight_decay=0.5)
    with pytest.raises(NumericalError, match="at step"):
        list(train_together(features, labels, [np.arange(30), np.arange(10, 40)], recipe, 3))


def test_a_feature_that_is_no_number_is_refused():
    features, labels = data(40)
    features[3, 2] = np.nan
    with pytest.raises(NumericalError, match="not a finite number"):
        list(train_together(features, labels, [np.arange(30), np.arange(0, 39)], RECIPE, 3))


def test_nothing_to_train_on_is_said():
    features, labels = data(10)
    with pytest.raises(RetrainError, match="no photograph is left"):
        list(train_together(features, labels, [np.arange(5), np.zeros(0, np.intp)], RECIPE, 3))


def test_the_first_deal_is_todays_and_others_differ():
    labels, keys = np.arange(60) % 3, shas(60)
    deals = [assign_folds(labels, deal_again(keys, repeat), 5) for repeat in range(4)]
    assert (deals[0] == assign_folds(labels, keys, 5)).all()
    assert len({deal.tobytes() for deal in deals}) == 4
    for deal in deals:
        for label in range(3):
            counts = np.bincount(deal[labels == label], minlength=5)
            assert counts.max() - counts.min() <= 1


def test_a_group_stays_together_in_every_deal():
    keys = [digest(b"%d" % (n // 4)) for n in range(60)]
    for repeat in range(5):
        deal = assign_folds(np.arange(60) % 2, deal_again(keys, repeat), 5)
        assert all(len(set(deal[start : start + 4])) == 1 for start in range(0, 60, 4))


def test_repeats_are_cross_validations_with_other_folds_and_the_first_is_the_only_one_of_before():
    features, labels = data(60)
    calls = []
    crossed = cross_validate_again(features, labels, shas(60), RECIPE, 3, 4, 3, lambda: calls.append(1))
    assert len(calls) == 12
    assert crossed.scores.shape == (3, 60, 3)
    assert crossed.folds.shape == (3, 60)
    once = cross_validate(features, labels, shas(60), RECIPE, 3, 4, lambda: None)
    assert crossed.scores[0].tobytes() == once.tobytes()
    assert not np.array_equal(crossed.scores[1], crossed.scores[2])
    assert crossed.mean_scores == pytest.approx(crossed.scores.mean(axis=0))
    held = crossed.folds[2] == 1
    head = train_softmax(features, labels, NO_VALIDATION, RECIPE, 3, training=np.flatnonzero(~held))
    assert (crossed.scores[2][held] == head.probabilities(features[held])).all()


def test_who_stops_asking_need_not_wait_for_the_rest(monkeypatch):
    features, labels = data(40)
    endless = Recipe(steps=10**9, learning_rate=1e-6, batch_size=20, weight_decay=0.0)
    alone = []

    def train_alone(rows, labels, validation, recipe, class_count, training):
        alone.append(len(training))
        return train_softmax(rows, labels, validation, RECIPE, class_count, training=training)

    monkeypatch.setattr("retrain.head.together.usable_cores", lambda: 2)
    monkeypatch.setattr("retrain.head.together.train_softmax", train_alone)
    # The first has other classes and is trained alone; of the others two are trained together, for ever.
    first = np.flatnonzero(labels < 2)
    before = set(threading.enumerate())
    heads = train_together(features, labels, [first, *(np.arange(n, n + 30) for n in range(3))], endless, 3)
    assert next(heads).weights.shape == (6, 3)
    heads.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    assert alone[0] == len(first)
