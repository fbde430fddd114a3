"""The arithmetic and the verdicts of bench/accuracy.py and bench/calibration.py; what they measure is not tested here."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
PEERS = ("original", "keras", "sklearn")


@pytest.fixture(scope="module")
def bench():
    # The benchmarks are run as files, so that they import each other by bare names; other tests must not see those.
    before = set(sys.modules)
    sys.path.insert(0, str(BENCH))
    import accuracy
    import calibration

    yield SimpleNamespace(accuracy=accuracy, calibration=calibration)
    sys.path.remove(str(BENCH))
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCH)):
            del sys.modules[name]


def result(bench, accuracies, heads, name="set"):
    """What summarise makes of shares, a row a split, a column a head or peer."""
    features = SimpleNamespace(matrix=np.zeros((30, 2)), catalog=SimpleNamespace(labels=("a", "b")))
    return bench.accuracy.summarise(name, features, np.array(accuracies), heads, Counter())


def goals(bench, heads, *sets):
    return bench.accuracy.goal_lines([result(bench, one, heads) for one in sets], heads, 2)


def verdicts(lines):
    return [line for line in lines if "MET: " in line]


def test_the_default_head_is_held_against_the_best_peer_of_each_set(bench):
    ahead = [[0.9, 0.8, 0.7, 0.6], [0.92, 0.8, 0.7, 0.6]]
    behind = [[0.5, 0.6, 0.4, 0.8], [0.5, 0.6, 0.4, 0.82]]
    assert verdicts(goals(bench, ["softmax"], ahead)) == [
        "MET: softmax nowhere behind the best peer by more than a standard error",
        "MET: softmax better than every peer on average",
    ]
    lines = goals(bench, ["softmax"], ahead, behind)
    assert lines[1] == (
        "set: softmax less the best, sklearn: -31.0 ± 1.0, behind; with the error that allows for overlap, 1.2: behind"
    )
    assert verdicts(lines) == [
        "NOT MET: softmax nowhere behind the best peer by more than a standard error: set",
        "NOT MET: softmax better than every peer on average: sklearn",
    ]


def test_a_difference_within_the_error_is_at_least_equal(bench):
    level = [[0.80, 0.82, 0.1, 0.1], [0.82, 0.81, 0.1, 0.1]]
    lines = goals(bench, ["softmax"], level)
    assert lines[0].startswith("set: softmax less the best, original: -0.5 ± 1.5, at least equal;")
    assert lines[-1] == "NOT MET: softmax better than every peer on average: original"


@pytest.mark.parametrize(("lost", "verdict"), [(1, "MET"), (2, "NOT MET")])
def test_auto_is_to_be_best_or_tied_on_four_in_five_sets(bench, lost, verdict):
    tied = [[0.8, 0.8, 0.1, 0.1, 0.1]] * 2
    worse = [[0.9, 0.8, 0.1, 0.1, 0.1]] * 2
    lines = goals(bench, ["softmax", "auto"], *[worse] * lost, *[tied] * (5 - lost))
    assert lines[-1] == f"{verdict}: auto best or tied on at least 4 in 5 sets: {5 - lost} of 5"


def test_auto_alone_is_held_against_nothing_of_ours(bench):
    assert goals(bench, ["auto"], [[0.8, 0.1, 0.1, 0.1]] * 2) == []


def scores_of(top):
    return np.stack([top, 1 - top], axis=1).astype(np.float32)


def test_calibration_is_measured_after_cooling_and_beside_chance(bench):
    generator = np.random.default_rng(0)
    asked = []
    for _ in range(4):
        sure = generator.uniform(0.5, 1, 2000)
        labels = (generator.random(2000) > sure).astype(np.intp)
        # Twice as sharp as is right: a temperature of 2 mends it.
        sharp = 1 / (1 + (1 / sure - 1) ** 2)
        asked.append((scores_of(sharp), 2.0, labels))
    found = bench.calibration.summarise("set", "softmax", 3000, asked)
    assert (found.tested, found.photographs) == (2000, 3000)
    assert found.temperature.mean == pytest.approx(2)
    assert found.before.mean > 8
    assert found.after.mean == pytest.approx(found.chance.mean, abs=1.0)
    assert found.above.mean == pytest.approx(found.after.mean - found.chance.mean)
    assert found.pooled < found.after.mean
    assert found.verdict == "met"


@pytest.mark.parametrize(
    ("after", "chance", "verdict"),
    [(2.9, 3.5, "met"), (3.5, 3.2, "not met; nor would perfect scores"), (3.5, 1.0, "not met")],
)
def test_the_verdict_says_where_chance_alone_would_miss_the_goal(bench, after, chance, verdict):
    one = bench.accuracy.Estimate
    found = bench.calibration.SetResult(
        *("set", "softmax", 400, 300),
        **{name: one(90.0, 1.0) for name in ("accuracy", "temperature", "before", "above")},
        after=one(after, 0.1),
        chance=one(chance, 0.1),
        pooled=2.0,
        pooled_chance=1.0,
    )
    assert found.verdict == verdict


def test_a_test_set_of_a_number_of_photographs_is_drawn_class_by_class(bench):
    labels = np.repeat([0, 1], [40, 20])
    for rest, test in bench.accuracy.random_splits(labels, 3, 0, 30):
        assert (len(rest), np.bincount(labels[test]).tolist()) == (30, [20, 10])
        assert not set(rest.tolist()) & set(test.tolist())


def test_facts_hold_names_and_no_paths(bench):
    asked = [(scores_of(np.linspace(0.5, 1, 40)), 1.0, np.zeros(40, np.intp))] * 2
    found = bench.calibration.summarise("set", "softmax", 60, asked)
    facts = bench.calibration.facts_of([found], argparse.Namespace(splits=2, seed=0))
    assert facts["sets"][0]["name"] == "set"
    assert facts["sets"][0]["after"]["mean"] == pytest.approx(found.after.mean)
