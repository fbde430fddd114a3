"""What a step does to variables, against the same arithmetic in NumPy; and the rate of each step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrain.trainer.job import Settings
from retrain.trainer.optimisers import ADAM_FLOOR, Optimiser, rate_of

pytestmark = pytest.mark.tensorflow


def settings_of(**changes):
    return Settings(**{"epochs": 1, "batch_size": 4, "learning_rate": 0.1, **changes})


def moved(settings, gradients, rates, blocks=1):
    """Variables after some steps, one of shape (2, 3) a block, the first of which decays."""
    import tensorflow as tf

    variables = [tf.Variable(np.full((2, 3), 0.5, np.float32)) for _ in range(blocks)]
    optimiser = Optimiser(settings, [[one] for one in variables], variables[:1])
    step = tf.function(lambda gradient, numbers: optimiser.apply([gradient] * blocks, numbers))
    for count, (gradient, rate) in enumerate(zip(gradients, rates, strict=True)):
        step(tf.constant(gradient), tf.constant(Optimiser.numbers(rate, count)))
    return [one.numpy() for one in variables], optimiser


GRADIENTS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
RATES = [0.1, 0.2, 0.05, 0.1, 0.01]


def test_sgd_goes_down_the_gradient():
    [found], optimiser = moved(settings_of(optimizer="sgd"), GRADIENTS, RATES)
    expected = 0.5 - sum(rate * gradient for rate, gradient in zip(RATES, GRADIENTS, strict=True))
    assert np.allclose(found, expected, atol=1e-6)
    assert optimiser.state == []


def test_momentum_goes_on():
    [found], optimiser = moved(settings_of(optimizer="momentum"), GRADIENTS, RATES)
    expected, going = np.full((2, 3), 0.5), np.zeros((2, 3))
    for rate, gradient in zip(RATES, GRADIENTS, strict=True):
        going = 0.9 * going + gradient
        expected -= rate * going
    assert np.allclose(found, expected, atol=1e-6)
    assert np.allclose(optimiser.state[0].numpy(), going, atol=1e-6)


def test_adam_is_adam():
    [found], optimiser = moved(settings_of(optimizer="adam"), GRADIENTS, RATES)
    expected, first, second = np.full((2, 3), 0.5), np.zeros((2, 3)), np.zeros((2, 3))
    for count, (rate, gradient) in enumerate(zip(RATES, GRADIENTS, strict=True), 1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        size = rate * math.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        expected -= size * first / (np.sqrt(second) + ADAM_FLOOR)
    assert np.allclose(found, expected, atol=1e-5)
    assert [one.shape for one in optimiser.state] == [(2, 3), (2, 3)]


def test_decay_shrinks_kernels_by_the_rate_alone():
    still = np.zeros((1, 2, 3), np.float32)
    settings = settings_of(optimizer="adam", weight_decay=0.3)
    kernel, bias = moved(settings, still, [0.1], blocks=2)[0]
    assert np.allclose(kernel, 0.5 * (1 - 0.1 * 0.3))
    assert np.array_equal(bias, np.full((2, 3), 0.5, np.float32))


def test_lower_blocks_learn_more_slowly():
    ones = np.ones((1, 2, 3), np.float32)
    found = moved(settings_of(optimizer="sgd", layer_decay=0.5), ones, [0.1], blocks=3)[0]
    assert [float(0.5 - one[0, 0]) for one in found] == pytest.approx([0.025, 0.05, 0.1])


def test_an_optimiser_that_is_none_is_refused():
    with pytest.raises(ValueError, match="sgd, momentum or adam"):
        Optimiser(settings_of(optimizer="adamax"), [], [])


def test_the_rate_rises_then_falls_to_nothing():
    settings = settings_of(schedule="cosine", warmup_steps=4)
    rates = [rate_of(settings, 12, step, 0.8) for step in range(12)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[8] == pytest.approx(0.4)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.04


def test_a_constant_rate_is_constant_and_a_warm_up_longer_than_all_only_rises():
    assert {rate_of(settings_of(), 9, step, 0.3) for step in range(9)} == {0.3}
    settings = settings_of(schedule="cosine", warmup_steps=100)
    assert [rate_of(settings, 3, step, 1.0) for step in range(3)] == pytest.approx([0.01, 0.02, 0.03])
