import dataclasses
import itertools

import numpy as np
import pytest

from retrain.head import Recipe
from retrain.head.optimizers import optimizer, rate_of

RECIPE = Recipe(steps=100, learning_rate=0.1, batch_size=1, weight_decay=0.0)


def gradients(count=5):
    generator = np.random.default_rng(0)
    return [generator.standard_normal((3, 2)).astype(np.float32) for _ in range(count)]


def walk(name, rates):
    mover = optimizer(dataclasses.replace(RECIPE, optimizer=name), (3, 2))
    parameter = np.ones((3, 2), np.float32)
    for gradient, rate in zip(gradients(), np.float32(rates), strict=True):
        mover.apply(parameter, gradient * mover.unit(rate), rate)
    return parameter


RATES = [0.1, 0.1, 0.05, 0.02, 0.01]


def test_plain_descent_goes_against_the_gradient():
    wanted = 1 - sum(rate * gradient for rate, gradient in zip(RATES, gradients(), strict=True))
    assert walk("sgd", RATES) == pytest.approx(wanted, abs=1e-6)


def test_momentum_goes_on_with_nine_tenths_of_the_last_step():
    wanted, step = np.ones((3, 2)), np.zeros((3, 2))
    for rate, gradient in zip(RATES, gradients(), strict=True):
        step = 0.9 * step + rate * gradient
        wanted -= step
    assert walk("momentum", RATES) == pytest.approx(wanted, abs=1e-6)


def test_adam_is_that_of_the_paper():
    wanted, first, second = np.ones((3, 2)), np.zeros((3, 2)), np.zeros((3, 2))
    for count, (rate, gradient) in enumerate(zip(RATES, gradients(), strict=True), 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * np.square(gradient)
        wanted -= rate * (first / (1 - 0.9**count)) / (np.sqrt(second / (1 - 0.999**count)) + 1e-8)
    assert walk("adam", RATES) == pytest.approx(wanted, abs=1e-5)


def test_another_optimizer_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="usual"):
        optimizer(dataclasses.replace(RECIPE, optimizer="usual"), (1,))


def test_the_rate_is_constant_or_falls_by_half_a_cosine():
    assert {float(rate_of(RECIPE, step)) for step in range(100)} == {float(np.float32(0.1))}
    falling = dataclasses.replace(RECIPE, schedule="cosine")
    rates = [float(rate_of(falling, step)) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[50] == pytest.approx(0.05)
    assert 0 < rates[99] < 0.001
    assert all(later < earlier for earlier, later in itertools.pairwise(rates))
