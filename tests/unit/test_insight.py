import csv
import dataclasses
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.bottlenecks import MemoryMatrix
from retrain.dataset.tables import guarded, unguarded
from retrain.errors import ModelError
from retrain.insight import sets, unknown
from retrain.insight.gain import Material, gain_insight
from retrain.insight.neighbours import Nearest, best_columns, find_nearest, mean_cosine, unit_rows
from retrain.insight.sets import APS, LAC, SetRule, find_rule, nonconformity, rule_of
from retrain.insight.suspects import COLUMNS, find_suspects, neighbour_shares, suspects_csv
from retrain.insight.unknown import Unknown, min_cosine_at, unknown_of


def blobs(count, classes=3, width=16, seed=0, noise=0.5):
    """Vectors around a centre a class, and their labels."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.intp)
    centres = random.uniform(0, 3, (classes, width))
    return (centres[labels] + noise * random.normal(size=(count, width))).astype(np.float32), labels


def material_of(features, labels, keys=None, training=None):
    count = len(labels)
    return Material(
        MemoryMatrix(features),
        labels,
        [f"c{label}/{number}.jpg" for number, label in enumerate(labels)],
        keys or [number.to_bytes(32, "big") for number in range(count)],
        np.arange(count) if training is None else training,
        [f"c{label}" for label in range(int(labels.max()) + 1)],
    )


# Neighbours


def test_rows_of_length_one_keep_their_direction_and_zeros_stay():
    rows = unit_rows(np.array([[3, 4], [0, 0]], np.int8))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], atol=1e-6)
    assert rows.dtype == np.float32


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_the_best_columns_are_those_of_a_full_sort(width, k, seed):
    # Few different values, so that there are equals.
    values = np.random.default_rng(seed).integers(0, 4, (5, width)).astype(np.float32)
    columns, found = best_columns(values, min(k, width))
    np.testing.assert_array_equal(found, -np.sort(-values, axis=1)[:, : min(k, width)])
    np.testing.assert_array_equal(np.take_along_axis(values, columns, axis=1), found)


def test_nearest_are_those_of_brute_force_and_never_of_the_own_group():
    features, _ = blobs(1100)  # more than one chunk
    groups = np.arange(1100) // 2
    pool = unit_rows(features)
    found = find_nearest(MemoryMatrix(features), groups, pool, groups, 4)
    cosines = pool @ pool.T
    cosines[groups[:, None] == groups[None, :]] = -2
    np.testing.assert_allclose(found.cosines, -np.sort(-cosines, axis=1)[:, :4], atol=1e-6)
    assert not (groups[found.rows] == groups[:, None]).any()


def test_where_a_pool_has_too_few_the_rest_is_marked_as_none():
    features = np.eye(3, dtype=np.float32)
    found = find_nearest(MemoryMatrix(features), np.arange(3), features[:2], np.arange(2), 3)
    assert found.found.sum(axis=1).tolist() == [1, 1, 2]
    assert found.rows[0].tolist() == [1, -1, -1]
    np.testing.assert_array_equal(mean_cosine(found, 3), [0, 0, 0])
    nobody = Nearest(np.full((1, 2), -1, np.intp), np.full((1, 2), -2, np.float32))
    assert mean_cosine(nobody, 2).tolist() == [-1]


# Suspects


def test_a_flipped_label_is_the_first_suspect_with_its_true_label_suggested():
    probabilities = np.full((9, 3), 0.05, np.float32)
    labels = (np.arange(9) % 3).astype(np.intp)
    probabilities[np.arange(9), labels] = 0.9
    labels[4] = 2
    doubts = find_suspects(probabilities, labels, probabilities.astype(np.float64))
    assert [(one.photograph, one.label, one.suggested, one.likely) for one in doubts.suspects] == [(4, 2, 1, True)]
    assert doubts.suspects[0].score == pytest.approx(0.95)
    assert doubts.suspects[0].margin == pytest.approx(0.85)
    assert doubts.thresholds == pytest.approx([0.9, 0.9, (3 * 0.9 + 0.05) / 4])


@given(st.text())
def test_no_cell_begins_a_formula_and_all_can_be_read_back(text):
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert unguarded(guarded(text)) == text.encode("utf-8", "backslashreplace").decode()


def test_heads_and_neighbours_are_both_heard():
    probabilities = np.array([[0.4, 0.6], [0.4, 0.6]], np.float32)
    shares = np.array([[0.9, 0.1], [0.1, 0.9]])
    doubts = find_suspects(probabilities, np.zeros(2, np.intp), shares)
    assert [one.photograph for one in doubts.suspects] == [1]
    assert np.isnan(doubts.thresholds[1])


def test_a_probability_of_nought_is_still_ranked_by_the_neighbours():
    probabilities = np.array([[0, 1], [0, 1]], np.float32)
    doubts = find_suspects(probabilities, np.zeros(2, np.intp), np.array([[0.5, 0.5], [0.2, 0.8]]))
    assert doubts.scores[0] < doubts.scores[1] < 1


def test_shares_of_neighbours_are_weighted_by_their_cosine():
    nearest = Nearest(np.array([[0, 1, 2], [-1, -1, -1]]), np.array([[0.9, 0.6, 0.3], [-2, -2, -2]], np.float32))
    shares = neighbour_shares(nearest, np.array([0, 1, 1]), 2)
    assert shares[0] == pytest.approx([0.5, 0.5])
    assert shares[1].tolist() == [0.5, 0.5]


def test_the_table_of_suspects_keeps_odd_names_and_begins_with_the_most_doubtful():
    labels = np.array([0, 0, 1], np.intp)
    probabilities = np.array([[0.3, 0.7], [0.01, 0.99], [0.1, 0.9]], np.float32)
    text = suspects_csv(
        find_suspects(probabilities, labels, probabilities.astype(float)), ['a,"b".jpg', "x\ny.jpg", "z"], ["A", "B"]
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert [(row["path"], row["label"], row["suggested"], row["accept"]) for row in rows] == [
        ("x\ny.jpg", "A", "B", ""),
        ('a,"b".jpg', "A", "B", ""),
    ]
    assert float(rows[0]["score"]) > float(rows[1]["score"])


# The unknown


@given(st.integers(1, 300), st.floats(0.01, 0.5), st.integers(0, 9))
def test_no_more_than_the_stated_share_lies_below_the_threshold(count, share, seed):
    cosines = np.random.default_rng(seed).normal(size=count)
    threshold = min_cosine_at(cosines, share)
    if count < unknown.fewest_for(share):
        assert threshold is None
    else:
        below = (cosines < threshold).sum()
        assert below + 1 <= (count + 1) * share + 1e-6
        assert below + 2 > (count + 1) * share  # and it refuses as much as it may


def test_of_new_photographs_from_the_same_source_the_stated_share_is_refused():
    random = np.random.default_rng(0)
    shares = [(random.normal(size=500) < min_cosine_at(random.normal(size=99), 0.05)).mean() for _ in range(400)]
    assert 0.045 < np.mean(shares) < 0.055


def test_the_fewest_photographs_for_a_rate():
    assert [unknown.fewest_for(rate) for rate in (0.5, 0.1, 0.05, 0.01)] == [1, 9, 19, 99]
    assert min_cosine_at(np.arange(18.0), 0.05) is None
    assert min_cosine_at(np.arange(19.0), 0.05) == 0


KNOWN = Unknown(0.4, 0.05, 84, "ab" * 32, 60)


def test_what_a_description_says_of_the_unknown_is_read_back():
    assert unknown_of(KNOWN.facts(), "x.pb") == KNOWN
    assert unknown_of({}, "x.pb") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "energy"}, {"neighbours": 4}, {"min_cosine": "0.4"}, {"min_cosine": float("nan")}, {"min_cosine": 2},
        {"min_cosine": None}, {"false_alarms": True}, {"photographs": -1}, {"rows": 1.5}, {"memory_sha256": None},
    ],
)  # fmt: skip
def test_a_damaged_description_of_the_unknown_is_refused(changes):
    with pytest.raises(ModelError, match=r"x\.pb: .*unknown is damaged"):
        unknown_of({**KNOWN.facts(), **changes}, "x.pb")
    with pytest.raises(ModelError):
        unknown_of({"surprise": 1}, "x.pb")


# Sets


def test_the_nonconformity_of_aps_adds_up_from_the_best_on():
    probabilities = np.array([[0.2, 0.5, 0.3]], np.float32)
    np.testing.assert_allclose(nonconformity(probabilities, LAC), [[0.8, 0.5, 0.7]], atol=1e-6)
    np.testing.assert_allclose(nonconformity(probabilities, APS), [[0.8, 0.0, 0.5]], atol=1e-6)


def drawn(count, random):
    """Probabilities of five classes, and labels drawn from them: a calibrated head."""
    probabilities = random.dirichlet(np.full(5, 0.4), count).astype(np.float32)
    labels = (random.random((count, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 4).astype(np.intp)
    return probabilities, labels


@pytest.mark.parametrize("method", sets.METHODS)
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_hold_the_right_label_as_often_as_promised(method, coverage):
    random = np.random.default_rng(1)
    held = []
    for _ in range(60):
        rule = find_rule(*drawn(99, random), coverage, method)
        probabilities, labels = drawn(500, random)
        held.append(rule.sets(probabilities)[np.arange(500), labels].mean())
    # The best label is always in, which may come to more than was promised.
    assert coverage - 0.01 < np.mean(held) < coverage + 0.05


def test_the_sets_of_lac_are_smaller():
    random = np.random.default_rng(2)
    probabilities, labels = drawn(2000, random)
    sizes = {m: find_rule(probabilities, labels, 0.9, m).sets(probabilities).sum(axis=1).mean() for m in sets.METHODS}
    assert sizes[LAC] < sizes[APS]


def test_no_set_is_empty():
    rule = SetRule(LAC, 0.1, 0.9, 50)
    assert rule.sets(np.array([[0.4, 0.35, 0.25]], np.float32)).tolist() == [[True, False, False]]


def test_too_few_photographs_promise_nothing():
    assert [sets.fewest_for(coverage) for coverage in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]
    probabilities, labels = drawn(9, np.random.default_rng(3))
    assert find_rule(probabilities[:8], labels[:8], 0.9) is None
    assert find_rule(probabilities, labels, 0.9).threshold == pytest.approx(
        nonconformity(probabilities, LAC)[np.arange(9), labels].max()
    )


def test_the_spread_of_coverage_shrinks_with_photographs():
    few, many = SetRule(LAC, 0.5, 0.9, 29).spread(), SetRule(LAC, 0.5, 0.9, 2999).spread()
    assert few[0] < 0.82
    assert few[1] == pytest.approx(1.0, abs=0.01)
    assert 0.88 < many[0] < 0.9 < many[1] < 0.92


def test_what_a_description_says_of_sets_is_read_back_or_refused():
    rule = SetRule(APS, 0.7, 0.9, 84)
    assert rule_of(rule.facts(), "x.pb") == rule
    assert rule_of({}, "x.pb") is None
    for changes in (
        {"method": "x"},
        {"threshold": -1},
        {"threshold": math.nan},
        {"coverage": "0.9"},
        {"photographs": 0},
    ):
        with pytest.raises(ModelError, match="sets of labels is damaged"):
            rule_of({**rule.facts(), **changes}, "x.pb")


# All of it


def probabilities_of(labels, classes, sure=0.8):
    result = np.full((len(labels), classes), (1 - sure) / (classes - 1), np.float32)
    result[np.arange(len(labels)), labels] = sure
    return result


def test_one_record_holds_everything():
    features, labels = blobs(90)
    material = material_of(features, labels, training=np.arange(0, 90, 2))
    told = labels.copy()
    told[7] = (labels[7] + 1) % 3
    insight = gain_insight(dataclasses.replace(material, labels=told), probabilities_of(labels, 3), coverage=0.9)
    assert insight.doubts.suspects[0].photograph == 7
    assert insight.suspects_table(material).splitlines()[1].startswith(f"{material.paths[7]},")
    assert set(insight.remembered) == set(range(0, 90, 2))
    fields = insight.bundle_fields()
    assert unknown_of(fields["unknown"], "x") == insight.unknown
    assert rule_of(fields["sets"], "x") == insight.rule
    assert all(0 <= cosine <= 1 and other % 2 == 0 and other != 8 for other, cosine in insight.neighbours_of(8))
    assert len(insight.neighbours_of(8)) == 3
    assert insight.notes[0].startswith("Unknown: ")
    assert insight.notes[1].startswith("1 of 90 labels are likely wrong and 0 more are doubtful")
    assert insight.notes[2].startswith("Sets of labels")
    facts = json.loads(json.dumps(insight.facts(material.names), allow_nan=False))
    assert (facts["suspects"], facts["likely_mislabelled"]) == (1, 1)
    assert set(facts["label_thresholds"]) == set(material.names)
    assert gain_insight(material, None).facts(material.names)["suspects"] is None


def test_the_same_photographs_give_the_same_bytes():
    features, labels = blobs(60)
    first, second = (gain_insight(material_of(features, labels), None) for _ in range(2))
    assert first.memory == second.memory
    assert first.bundle_fields() == second.bundle_fields()


def test_of_a_burst_no_photograph_speaks_for_the_others():
    # Thirty pairs of copies: were a copy's cosine of 1 counted, every photograph that has none would be refused.
    features, labels = blobs(30)
    keys = [(number % 30).to_bytes(32, "big") for number in range(60)]
    twice = material_of(np.tile(features, (2, 1)), np.tile(labels, 2), keys)
    assert gain_insight(twice, None).unknown.min_cosine < 0.999
    assert (
        gain_insight(
            dataclasses.replace(twice, keys=[bytes([n]) * 32 for n in range(60)]), None, unknown_false_alarms=0.5
        )
        .nearest.cosines[:, 0]
        .min()
        > 0.999
    )


def test_without_cross_validation_only_what_needs_none_is_said():
    insight = gain_insight(material_of(*blobs(30)), None)
    assert (insight.doubts, insight.rule) == (None, None)
    assert insight.unknown is not None
    assert insight.bundle_fields()["sets"] == {}
    assert insight.suspects_table(material_of(*blobs(30))).splitlines() == [",".join(COLUMNS)]
    assert any("they need cross-validation" in note for note in insight.notes)


def test_too_few_photographs_are_told_so_and_nothing_is_promised():
    features, labels = blobs(8, 2)
    insight = gain_insight(material_of(features, labels), probabilities_of(labels, 2))
    assert (insight.unknown.min_cosine, insight.bundle_fields()["sets"]) == (-1, {})
    assert "with 8 photographs a false-alarm rate of 5% cannot be kept; it takes 19" in insight.notes[0]
    assert "8 photographs are too few to promise a coverage of 90%; it takes 9" in insight.notes[2]


def test_what_is_switched_off_is_not_spoken_of():
    features, labels = blobs(40)
    insight = gain_insight(
        material_of(features, labels), probabilities_of(labels, 3), unknown_false_alarms=0, coverage=0
    )
    assert insight.notes == ("No label is doubtful",)
    assert (insight.unknown.min_cosine, insight.bundle_fields()["sets"]) == (-1, {})
    assert unknown_of(insight.bundle_fields()["unknown"], "x") == insight.unknown
