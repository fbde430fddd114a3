import numpy as np
import pytest
from support import digest

from retrain.bottlenecks import MemoryMatrix
from retrain.errors import NumericalError, UsageError
from retrain.head import Recipe, fit_head
from retrain.head import choosing as choosing_module
from retrain.head import knn as knn_module
from retrain.head.choosing import Backbone, Photographs, choose_head, fits_of, prefer, table_rows
from retrain.head.recipe import AS_USUAL, AUTO, KINDS, USUAL

RECIPE = Recipe(100, 0.1, 20, 0.03, kind=AUTO, optimizer=USUAL, early_stopping=AS_USUAL, hidden_units=8)


def photographs(labels, compared=None, copies=1):
    keys = [digest(b"%d" % (number // copies)) for number in range(len(labels))]
    compared = np.arange(len(labels)) if compared is None else compared
    return Photographs(labels, keys, compared, lambda rows: rows, int(labels.max()) + 1)


def clusters(count=90, distance=3.0, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % 3)
    features = generator.standard_normal((3, 6))[labels] * distance + generator.standard_normal((count, 6))
    return features.astype(np.float32), labels


def one(features, name="small", cost=1.0):
    return Backbone(name, MemoryMatrix(features), cost)


def marks(wrong, count=100):
    right = np.ones(count, np.bool_)
    right[list(wrong)] = False
    return right


@pytest.mark.parametrize(
    ("wrong", "chosen"),
    [
        ([[], []], 0),  # equal: the simpler
        ([[1], []], 0),  # one photograph decides nothing
        ([[1, 2, 3, 4], []], 1),  # four do, when nothing speaks for the other
        ([range(0, 10), range(8, 16)], 0),  # 8 against 6 of different photographs may be chance
        ([range(0, 30), range(25, 35), range(20, 40)], 1),
        ([range(0, 10), range(0, 10), []], 2),
    ],
)
def test_the_simplest_within_a_standard_error_is_preferred(wrong, chosen):
    assert prefer([marks(one) for one in wrong]) == chosen


def test_repeats_are_evened_out_and_count_no_photograph_twice():
    # Three repeats that agree weigh as one: the same photographs were asked about.
    best, worse = marks([]).astype(float), marks([1, 2, 3, 4]).astype(float)
    assert prefer([worse, best]) == 1
    # Wrong in one repeat of three is a third of a photograph.
    thirds = best - (1 - marks([1, 2, 3])) / 3
    assert prefer([best, thirds]) == 0
    assert prefer([thirds, best]) == 0


def test_each_repeat_deals_otherwise_and_a_photographs_share_is_over_all_of_them():
    features, labels = clusters(distance=0.8)
    choice = choose_head([one(features)], photographs(labels), RECIPE, kinds=("cosine",))
    shares = np.round(choice.candidates[0].right * choosing_module.REPEATS, 6)
    assert set(shares.tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert set(shares.tolist()) & {1.0, 2.0}  # some photographs hang on the deal
    assert choice.nested_right.dtype == np.bool_


def test_all_kinds_are_compared_and_the_winner_can_be_fitted():
    features, labels = clusters()
    calls = []
    choice = choose_head([one(features)], photographs(labels), RECIPE, lambda: calls.append(1))
    assert len(calls) == fits_of(1) == 150
    assert [candidate.recipe.kind for candidate in choice.candidates] == list(KINDS)
    assert all(candidate.accuracy > 0.9 for candidate in choice.candidates)
    assert choice.remarks == ()
    assert choice.nested_right.mean() > 0.9
    head = fit_head(features, labels, np.arange(9), choice.winner.recipe, 3)
    assert (head.probabilities(features).argmax(axis=1) == labels).mean() > 0.9
    mlp = choice.candidates[KINDS.index("mlp")]
    assert (mlp.recipe.optimizer, mlp.recipe.steps) == ("momentum", 100)
    assert mlp.kilobytes == pytest.approx(4 * (6 * 8 + 8 + 8 * 3 + 3) / 1000)
    assert all(candidate.head_ms > 0 for candidate in choice.candidates)


def test_the_table_says_who_was_compared_and_who_was_chosen():
    features, labels = clusters()
    choice = choose_head([one(features)], photographs(labels), RECIPE, kinds=("softmax", "cosine"))
    rows = table_rows(choice, lambda right, count: (0.5, right / count))
    assert [row[:2] for row in rows] == [("small", "softmax"), ("small", "cosine")]
    assert rows[0][2].endswith(f"(50 to {100 * choice.candidates[0].accuracy:.0f})")
    assert [row[-1] for row in rows] == ["chosen", ""]


def test_a_better_backbone_wins_and_of_equal_ones_the_cheaper():
    features, labels = clusters()
    noise = np.random.default_rng(5).standard_normal((90, 4)).astype(np.float32)
    told = {"recipe": RECIPE, "kinds": ("softmax", "logistic")}
    better = choose_head([one(noise, "cheap", 1.0), one(features, "dear", 9.0)], photographs(labels), **told)
    assert better.winner.backbone == "dear"
    assert [candidate.backbone for candidate in better.candidates] == ["cheap", "cheap", "dear", "dear"]
    equal = choose_head([one(features, "dear", 9.0), one(features, "cheap", 1.0)], photographs(labels), **told)
    assert (equal.winner.backbone, equal.winner.recipe.kind) == ("cheap", "softmax")


def test_the_choices_own_accuracy_is_not_flattered_by_having_been_made():
    # Six backbones of pure noise: the best of them looks better than chance, the nested one does not.
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 100)
    backbones = [one(generator.standard_normal((100, 5)).astype(np.float32), f"b{i}", float(-i)) for i in range(6)]
    choice = choose_head(backbones, photographs(labels), RECIPE, kinds=("cosine",))
    best = max(candidate.accuracy for candidate in choice.candidates)
    assert best > 0.55
    assert choice.nested_right.mean() < best
    assert choice.nested_right.mean() < 0.6


def test_copies_give_nothing_away():
    generator = np.random.default_rng(2)
    features = np.repeat(generator.standard_normal((60, 20)), 2, axis=0).astype(np.float32)
    labels = np.repeat(generator.integers(0, 2, 60), 2)
    choice = choose_head([one(features)], photographs(labels, copies=2), RECIPE, kinds=("logistic", "knn"))
    assert all(candidate.accuracy < 0.68 for candidate in choice.candidates)
    assert choice.nested_right.mean() < 0.68


def test_photographs_that_are_not_compared_by_change_nothing():
    features, labels = clusters()
    compared = np.arange(60)
    spoilt = features.copy()
    spoilt[60:] += 1000
    told = {"recipe": RECIPE, "kinds": ("softmax", "logistic", "knn")}
    clean, other = (choose_head([one(x)], photographs(labels, compared), **told) for x in (features, spoilt))
    assert [c.right.tolist() for c in clean.candidates] == [c.right.tolist() for c in other.candidates]
    assert len(clean.nested_right) == 60


def test_distorted_views_stand_for_their_photographs():
    features, labels = clusters()
    generator = np.random.default_rng(0)
    views = np.repeat(features, 2, axis=0) + generator.standard_normal((180, 6)).astype(np.float32) * 0.1
    asked = []

    def views_of(rows):
        asked.append(rows)
        return (90 + 2 * rows[:, np.newaxis] + np.arange(2)).ravel()

    told = Photographs(np.concatenate([labels, np.repeat(labels, 2)]), [digest(b"%d" % i) for i in range(90)],
                       np.arange(90), views_of, 3)  # fmt: skip
    choice = choose_head([one(np.concatenate([features, views]))], told, RECIPE, kinds=("softmax", "knn"))
    assert choice.candidates[0].accuracy > 0.9
    assert choice.candidates[1].accuracy > 0.9
    assert len(asked) > 0


def test_what_is_left_out_is_said(monkeypatch):
    monkeypatch.setattr(knn_module, "MOST_PHOTOGRAPHS", 50)
    monkeypatch.setattr(choosing_module, "MOST_COMPARED", 70)
    features, labels = clusters()
    choice = choose_head([one(features)], photographs(labels), RECIPE, kinds=("cosine", "knn"))
    assert [candidate.recipe.kind for candidate in choice.candidates] == ["cosine"]
    assert len(choice.nested_right) == 70
    assert choice.remarks[0].startswith("knn was not compared: expected at most 50 training photographs")
    assert choice.remarks[1] == "heads were compared on 70 of 90 training photographs"


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_photographs_to_compare_by_are_refused(count):
    features, labels = clusters(count)
    with pytest.raises(UsageError, match="expected at least 3 training photographs that differ"):
        choose_head([one(features)], photographs(labels), RECIPE)


def test_three_photographs_are_compared_by():
    features, labels = clusters(3)
    assert len(choose_head([one(features)], photographs(labels), RECIPE).nested_right) == 3


def test_a_feature_that_is_no_number_stops_the_comparison():
    features, labels = clusters()
    features[4, 1] = np.nan
    with pytest.raises(NumericalError):
        choose_head([one(features)], photographs(labels), RECIPE)
