import numpy as np
import pytest

from retrain.head import ClassBalancedSampler
from retrain.head.sampling import EvenSampler

LABELS = np.array([1] * 90 + [0] * 9 + [5] * 1)


def sampler(seed=0, labels=LABELS):
    return ClassBalancedSampler(labels, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(3))
def test_every_class_is_drawn_alike_whatever_its_size(seed):
    drawn = LABELS[sampler(seed).draw(30_000)]
    for label in (0, 1, 5):
        # 5 standard deviations of a binomial with p = 1/3
        assert abs((drawn == label).sum() - 10_000) < 5 * np.sqrt(30_000 * 2 / 9)


def test_every_photograph_of_a_class_is_drawn_alike():
    drawn = sampler().draw(30_000)
    counts = np.bincount(drawn, minlength=100)
    assert np.abs(counts[:90] - 10_000 / 90).max() < 6 * np.sqrt(10_000 / 90)
    assert np.abs(counts[90:99] - 10_000 / 9).max() < 6 * np.sqrt(10_000 / 9)


def test_minus_one_is_every_photograph_once_in_order():
    assert sampler().draw(-1).tolist() == list(range(100))


def test_the_same_seed_draws_the_same_and_another_does_not():
    assert (sampler(1).draw(100) == sampler(1).draw(100)).all()
    assert (sampler(1).draw(100) != sampler(2).draw(100)).any()


def test_a_batch_may_be_larger_than_the_data_and_is_of_the_size_asked_for():
    drawn = sampler(labels=np.array([0, 1])).draw(1000)
    assert drawn.shape == (1000,)
    assert set(drawn.tolist()) == {0, 1}


def test_later_draws_are_other_draws():
    one = sampler()
    assert (one.draw(100) != one.draw(100)).any()


@pytest.mark.parametrize("seed", range(3))
def test_with_as_many_views_of_each_photograph_class_photograph_and_view_are_drawn_alike(seed):
    # Rows as Material.training_rows gives them: photographs of classes of 1, 2 and 9 with 4 views each.
    views = 4
    photographs = np.array([3] + [0] * 2 + [7] * 9)
    drawn = sampler(seed, np.repeat(photographs, views)).draw(36_000)
    photograph, view = drawn // views, drawn % views
    for label, count in ((3, 1), (0, 2), (7, 9)):
        of_class = photograph[photographs[photograph] == label]
        assert abs(len(of_class) - 12_000) < 5 * np.sqrt(36_000 * 2 / 9)
        counts = np.bincount(of_class, minlength=12)[photographs == label]
        assert np.abs(counts - len(of_class) / count).max() < 6 * np.sqrt(len(of_class) / count)
    assert np.abs(np.bincount(view, minlength=views) - 9_000).max() < 5 * np.sqrt(36_000 * 3 / 16)


def test_without_class_weights_a_class_is_drawn_as_often_as_it_has_photographs():
    labels = np.array([0] * 90 + [1] * 10)
    sampler = EvenSampler(labels, np.random.default_rng(0))
    drawn = sampler.draw(20_000)
    assert drawn.dtype == np.intp
    assert set(drawn.tolist()) == set(range(100))
    assert labels[drawn].mean() == pytest.approx(0.1, abs=0.01)
    assert sampler.draw(-1).tolist() == list(range(100))
