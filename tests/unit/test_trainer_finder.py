"""The range test for a learning rate: what it makes of curves whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrain.trainer.finder import HIGHEST, LOWEST, RATES, averaged, steepest, sweep

GRID = np.geomspace(LOWEST, HIGHEST, RATES).tolist()


def falling_at(rate: float, noise: float = 0.0, seed: int = 0) -> list[tuple[float, float]]:
    """Falls from 0.7 to 0.2, fastest in the logarithm of the rate at the one given, and rises again from 0.5 on."""
    rng = np.random.default_rng(seed)
    rise = [max(0.0, math.log10(one / 0.5)) ** 2 for one in GRID]
    return [
        (one, 0.7 - 0.5 / (1 + (rate / one) ** 1.5) + up + noise * rng.normal())
        for one, up in zip(GRID, rise, strict=True)
    ]


@pytest.mark.parametrize("rate", [3e-4, 3e-3, 3e-2])
def test_the_rate_of_the_fastest_fall_is_found(rate):
    assert steepest(falling_at(rate)) == pytest.approx(rate, rel=0.2)


@pytest.mark.parametrize("seed", range(10))
def test_batches_that_differ_move_it_by_less_than_a_decade(seed):
    found = steepest(falling_at(1e-3, noise=0.1, seed=seed))
    assert found is not None
    assert 1e-4 < found < 1e-2


def test_where_nothing_falls_there_is_no_rate():
    rng = np.random.default_rng(0)
    assert steepest([(rate, 0.7 + 0.01 * rng.normal()) for rate in GRID]) is None
    assert steepest([(rate, 0.7 + rate) for rate in GRID]) is None
    assert steepest(falling_at(1e-3)[:20]) is None


def test_rates_rise_until_the_loss_diverges():
    tried = []

    def loss_at(rate):
        tried.append(rate)
        return 1.0 if rate < 0.01 else 100.0

    found = sweep(loss_at)
    assert tried == sorted(tried) == [rate for rate, _ in found.curve]
    assert 0.01 < tried[-1] < 0.1
    assert found.rate is None


def test_a_loss_that_is_no_number_ends_the_sweep_and_is_not_in_the_curve():
    found = sweep(lambda rate: 0.5 if rate < 1e-3 else math.nan)
    assert len(found.curve) == sum(rate < 1e-3 for rate in GRID)
    assert all(math.isfinite(loss) for _, loss in found.curve)


def test_a_sweep_finds_what_its_curve_says():
    curve = dict(falling_at(2e-3))
    found = sweep(lambda rate: curve[rate])
    assert found.rate == steepest(list(found.curve)) == pytest.approx(2e-3, rel=0.2)


def test_averages_are_of_neighbours_on_both_sides():
    assert averaged(np.arange(12.0)).tolist() == pytest.approx([4, 5, 6, 7])
