from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import digest

from retrain.evaluate import grow
from retrain.evaluate.growth import FLAT, RISING, TOO_SHORT
from retrain.head import Recipe, cross_validate, train_softmax
from retrain.head.folds import assign_folds
from retrain.head.learning import LearningCurve, curve_shares, fits_of, learning_curve, nested_parts
from retrain.head.together import NO_VALIDATION

RECIPE = Recipe(steps=40, learning_rate=0.1, batch_size=20, weight_decay=0.03)


def keys_of(numbers):
    return [digest(b"%d" % n) for n in numbers]


@settings(max_examples=60)
@given(
    photos=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=60),
    shares=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5),
    fold=st.integers(0, 3),
)
def test_parts_are_nested_balanced_and_never_tear_a_group_of_a_class(photos, shares, fold):
    labels, keys = np.array([label for label, _ in photos]), keys_of([number for _, number in photos])
    chosen = np.arange(0, len(labels))
    shares = np.array([*sorted(shares), 1.0])
    parts = nested_parts(labels, keys, chosen, fold, shares)
    assert parts[-1].tolist() == chosen.tolist()
    for smaller, larger in pairwise(parts):
        assert set(smaller.tolist()) <= set(larger.tolist())
    for part, share in zip(parts, shares, strict=True):
        assert set(labels[part]) == set(labels)
        for label in set(labels.tolist()):
            own = [i for i in part.tolist() if labels[i] == label]
            assert {keys[i] for i in own}.isdisjoint(
                {keys[i] for i in chosen.tolist() if labels[i] == label and i not in own}
            )
            sizes = np.unique([keys.index(keys[i]) for i in np.flatnonzero(labels == label)], return_counts=True)[1]
            assert len(own) < share * (labels == label).sum() + sizes.max()


def test_sizes_are_equal_steps_of_a_logarithm_apart_from_five_a_class():
    shares = curve_shares(np.arange(500) % 2, 5)
    assert shares[-1] == 1
    assert shares[0] * 200 == pytest.approx(200 / 32)
    assert np.diff(np.log(shares)) == pytest.approx(np.full(5, np.log(32) / 5))
    assert (curve_shares(np.arange(84) % 2, 5)[0] * 33.6) == pytest.approx(5)
    assert curve_shares(np.arange(12) % 2, 5).tolist() == [1.0]
    assert fits_of(np.arange(500) % 2, 5, whole_is_known=True) == 25
    assert fits_of(np.arange(500) % 2, 5, whole_is_known=False) == 30


def blobs(count, classes=3, distance=1.5, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = generator.standard_normal((classes, 8)) * distance
    return (centres[labels] + generator.standard_normal((count, 8))).astype(np.float32), labels


def test_every_guess_is_by_a_head_that_has_not_seen_the_photograph():
    features, labels = blobs(120)
    keys = keys_of(range(120))
    calls = []
    curve = learning_curve(features, labels, keys, RECIPE, 3, 4, lambda: calls.append(1))
    shares = curve_shares(labels, 4)
    assert curve.shares.tolist() == shares.tolist()
    assert len(calls) == fits_of(labels, 4, whole_is_known=False)
    fold = assign_folds(labels, keys, 4)
    for number in range(4):
        held, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        for size, part in enumerate(nested_parts(labels, keys, rest, number, shares)):
            assert not set(part.tolist()) & set(held.tolist())
            head = train_softmax(features, labels, NO_VALIDATION, RECIPE, 3, training=part)
            assert (curve.guesses[size, held] == head.probabilities(features[held]).argmax(axis=1)).all()


def test_the_last_size_is_the_cross_validation():
    features, labels = blobs(120)
    keys = keys_of(range(120))
    whole = cross_validate(features, labels, keys, RECIPE, 3, 4, lambda: None).argmax(axis=1)
    alone = learning_curve(features, labels, keys, RECIPE, 3, 4, lambda: None)
    given_whole = learning_curve(features, labels, keys, RECIPE, 3, 4, lambda: None, whole)
    assert (alone.guesses == given_whole.guesses).all()
    assert (alone.guesses[-1] == whole).all()
    assert alone.sizes[-1] == pytest.approx(30)


def made(errors, sizes, count=2000, classes=2, seed=0):
    """A learning curve whose errors are those given: which photographs are wrong is nested, as difficulty is."""
    generator = np.random.default_rng(seed)
    hard = generator.permutation(count) / count
    labels = np.arange(count) % classes
    wrong = hard < np.asarray(errors)[:, np.newaxis]
    shares = np.asarray(sizes) / sizes[-1]
    class_sizes = np.repeat(np.asarray(sizes, float)[:, np.newaxis], classes, axis=1)
    return LearningCurve(shares, class_sizes, np.where(wrong, (labels + 1) % classes, labels), labels)


SIZES = np.array([10.0, 20, 40, 80, 160, 320])


def test_a_curve_that_follows_the_law_is_followed():
    curve = made(0.05 + 1.2 * SIZES**-0.7, SIZES, count=20000)
    growth = grow(curve, ("a", "b"))
    assert growth.state == RISING
    assert growth.limit == pytest.approx(0.95, abs=0.01)
    for prediction in growth.predictions:
        truth = 0.95 - 1.2 * prediction.size**-0.7
        assert prediction.accuracy.value == pytest.approx(truth, abs=0.004)
        assert prediction.accuracy.low - 1e-3 <= truth <= prediction.accuracy.high + 1e-3


def test_how_many_more_would_halve_the_mistakes_is_said():
    growth = grow(made(2.0 * SIZES**-1.0, SIZES, count=20000), ("a", "b"))
    (needed,) = [line for line in growth.sentences if "halve" in line]
    more = float(needed.split()[1])
    assert more == pytest.approx(320, rel=0.25)
    growth = grow(made(0.1 + 1.2 * SIZES**-0.7, SIZES), ("a", "b"))
    assert any("would not halve the mistakes" in line for line in growth.sentences)


@pytest.mark.parametrize(
    ("errors", "sizes", "count", "state"),
    [
        (np.full(6, 0.1), SIZES, 2000, FLAT),
        (np.linspace(0.1, 0.2, 6), SIZES, 2000, FLAT),
        ([0.4, 0.3, 0.2], SIZES[:3], 2000, TOO_SHORT),
        (np.linspace(0.4, 0.1, 6), np.linspace(10, 20, 6), 2000, TOO_SHORT),
        (np.linspace(0.5, 0.1, 6), SIZES, 20, TOO_SHORT),
    ],
)
def test_nothing_is_foretold_of_a_curve_that_does_not_bear_it(errors, sizes, count, state):
    growth = grow(made(errors, sizes, count), ("a", "b"))
    assert growth.state == state
    assert growth.predictions == ()
    assert np.isnan(growth.limit)
    assert growth.best_class is None
    assert len(growth.sentences) == 1
    assert ("too short" in growth.sentences[0]) == (state == TOO_SHORT)


def test_the_class_that_gains_most_is_named():
    curve = made(np.full(6, 0.02), SIZES, count=4000)
    generator = np.random.default_rng(1)
    hard = generator.random(4000)
    wrong = (hard < (0.05 + 2.0 * SIZES**-0.6)[:, np.newaxis]) & (curve.labels == 1)
    guesses = np.where(wrong, 0, curve.guesses)
    growth = grow(LearningCurve(curve.shares, curve.class_sizes, guesses, curve.labels), ("a", "b\x1b[2J"))
    assert growth.best_class == 1
    line = growth.sentences[-1]
    assert line.startswith("'b\\x1b[2J' would gain most: with 2000 more of it")
    assert growth.gains[1].low > 0


def test_the_band_is_wider_where_photographs_come_in_groups():
    curve = made(0.05 + 1.2 * SIZES**-0.7, SIZES, count=600)
    # Photographs of a group are all right or all wrong.
    groups = np.repeat(np.arange(60), 10)
    guesses = np.repeat(curve.guesses[:, ::10] == curve.labels[::10], 10, axis=1)
    labels = np.zeros(600, np.intp)
    grouped = LearningCurve(curve.shares, curve.class_sizes, np.where(guesses, 0, 1), labels)
    alone, together = grow(grouped, ("a", "b")), grow(grouped, ("a", "b"), groups)
    width = [one.accuracy[-1].high - one.accuracy[-1].low for one in (alone, together)]
    assert width[1] > 2 * width[0]


def test_the_same_curve_says_the_same():
    curve = made(0.05 + 1.2 * SIZES**-0.7, SIZES)
    assert grow(curve, ("a", "b")) == grow(
        SimpleNamespace(**vars(curve), sizes=curve.sizes, right=curve.right), ("a", "b")
    )
