"""Every kind of head by the one way to all of them: what is learnt, what is refused, what is told."""

import dataclasses

import numpy as np
import pytest
from support import digest

from retrain.bottlenecks import FileMatrix
from retrain.errors import NumericalError, UsageError
from retrain.head import Observer, Recipe, cross_validate, fit_head, groups_of
from retrain.head import knn as knn_module
from retrain.head.inner import hold_out, inner_folds
from retrain.head.layers import NOTHING, Dense, Normalise, Relu, Softmax
from retrain.head.recipe import AS_USUAL, AUTO, KINDS, USUAL

NONE = np.zeros(0, np.intp)
RECIPE = Recipe(
    steps=200, learning_rate=0.05, batch_size=20, weight_decay=0.03, optimizer=USUAL, early_stopping=AS_USUAL
)


def recipe(kind, **changes):
    return dataclasses.replace(RECIPE.settled(kind), hidden_units=16, **changes)


def clusters(count=120, width=6, classes=3, distance=3.0, seed=0, shares=None):
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % classes) if shares is None else np.repeat(range(classes), shares)
    centres = generator.standard_normal((classes, width)) * distance
    features = centres[labels] + generator.standard_normal((len(labels), width)) + 2
    return features.astype(np.float32), labels.astype(np.intp)


def keys(count):
    return [digest(b"%d" % number) for number in range(count)]


def same(a, b):
    parts = [
        (x.weights, x.biases, *(v for d in x.before if isinstance(d, Dense) for v in (d.weights, d.biases)))
        for x in (a, b)
    ]
    return len(parts[0]) == len(parts[1]) and all(p.tobytes() == q.tobytes() for p, q in zip(*parts, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_clusters_and_gives_probabilities(kind):
    features, labels = clusters()
    head = fit_head(features, labels, np.arange(15), recipe(kind), 3)
    scores = head.probabilities(features)
    assert (scores.argmax(axis=1) == labels).mean() > 0.95
    assert scores.dtype == np.float32
    assert scores.sum(axis=1) == pytest.approx(np.ones(120), abs=1e-5)


def test_each_kind_is_made_of_the_layers_that_every_export_has():
    features, labels = clusters()
    layers = {kind: fit_head(features, labels, NONE, recipe(kind), 3) for kind in KINDS}
    assert {kind: [type(layer) for layer in head.before] for kind, head in layers.items()} == {
        "softmax": [],
        "logistic": [],
        "cosine": [Normalise],
        "mlp": [Dense, Relu],
        "knn": [Normalise, Dense, Softmax],
    }
    assert [kind for kind, head in layers.items() if head.after == NOTHING] == ["knn"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_give_the_same_bytes_from_memory_and_from_a_file(tmp_path, kind):
    features, labels = clusters(2100)
    rows = FileMatrix(tmp_path, *features.shape)
    rows.write(np.arange(len(features)), features)
    told = recipe(kind, steps=20)
    heads = [fit_head(x, labels, np.arange(200), told, 3) for x in (features, features, rows)]
    assert same(heads[0], heads[1])
    assert same(heads[0], heads[2])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_training_photographs_are_learnt_from(kind):
    features, labels = clusters()
    spoilt = features.copy()
    spoilt[60:] *= 100
    heads = [
        fit_head(x, labels, np.arange(40, 60), recipe(kind), 3, training=np.arange(40)) for x in (features, spoilt)
    ]
    assert same(*heads)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_of_the_cache_are_not_written_to(kind):
    features, labels = clusters()
    features.flags.writeable = False
    before = features.copy()
    fit_head(features, labels, np.arange(15), recipe(kind), 3)
    assert (features == before).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [3, 119])
def test_a_feature_that_is_no_finite_number_stops_every_kind(kind, value, row):
    features, labels = clusters()
    features[row, 2] = value
    with pytest.raises(NumericalError, match="a bottleneck vector holds") as caught:
        fit_head(features, labels, np.arange(100, 120), recipe(kind), 3)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1e-30, 1e18, 1e25, 3e37])
def test_a_head_of_huge_or_tiny_features_is_finite_or_refused(kind, factor):
    features, labels = clusters()
    features = features / np.abs(features).max() * np.float32(factor)
    try:
        head = fit_head(features, labels, NONE, recipe(kind), 3)
    except NumericalError:
        return
    assert np.isfinite(head.weights).all()
    assert np.isfinite(head.biases).all()


@pytest.mark.parametrize("rate", [1e30, 1e38])
def test_a_hidden_layer_that_leaves_the_numbers_is_an_error_that_names_the_flag(rate):
    features, labels = clusters()
    with pytest.raises(NumericalError, match="--learning_rate"):
        fit_head(features, labels, NONE, recipe("mlp", learning_rate=rate), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_constant_features_and_absent_classes_do_no_harm(kind):
    labels = np.array([0] * 30 + [1] * 30)
    head = fit_head(np.full((60, 4), 7, np.float32), labels, NONE, recipe(kind), 5)
    scores = head.probabilities(np.full((1, 4), 7, np.float32))[0]
    assert scores[:2].tolist() == pytest.approx([0.5, 0.5], abs=0.15)
    assert scores.sum() == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_handful_of_photographs_is_enough(kind, count):
    features, labels = clusters(count)
    scores = fit_head(features, labels, NONE, recipe(kind), 3).probabilities(features)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_train_on_is_refused(kind):
    features, labels = clusters()
    with pytest.raises(UsageError, match="no photograph is left to train on"):
        fit_head(features, labels, np.arange(120), recipe(kind), 3)


def test_a_kind_that_is_none_is_a_mistake_of_the_program():
    features, labels = clusters()
    with pytest.raises(ValueError, match="auto"):
        fit_head(features, labels, NONE, dataclasses.replace(RECIPE, kind=AUTO), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_balanced_classes_count_alike_and_unweighted_ones_by_their_photographs(kind):
    # The classes overlap entirely, so only their numbers can tell them apart.
    features, labels = clusters(width=4, classes=2, distance=0.0, shares=[180, 20])
    fresh, _ = clusters(width=4, classes=2, distance=0.0, shares=[100, 100], seed=1)
    shares = []
    for rule in ("balanced", "none"):
        told = recipe(
            kind, class_weights=rule, early_stopping=0, weight_decay=30.0 if kind in ("softmax", "mlp") else 0.03
        )
        told = dataclasses.replace(told, learning_rate=0.02, steps=1000, batch_size=100)
        shares.append(fit_head(features, labels, NONE, told, 2).probabilities(fresh)[:, 0].mean())
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert shares[1] == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("kind", ["softmax", "logistic", "mlp"])
def test_smoothed_labels_make_less_sure(kind):
    features, labels = clusters(distance=6.0)
    told = recipe(kind, steps=1000, learning_rate=0.2 if kind == "softmax" else 0.05, weight_decay=0.0)
    sure = []
    for share in (0.0, 0.3):
        head = fit_head(features, labels, NONE, dataclasses.replace(told, label_smoothing=share), 3)
        sure.append(head.probabilities(features).max(axis=1).mean())
    assert sure[0] > 0.95
    assert sure[1] == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("kind", ["logistic", "cosine", "knn"])
def test_a_head_that_is_solved_is_told_of_once(kind):
    features, labels = clusters()
    reports = []
    head = fit_head(features, labels, np.arange(20), recipe(kind), 3, [Observer(7, reports.append)])
    assert len(reports) == 1
    report = reports[0]
    assert report.step == head.step
    assert report.validation_count == 20
    assert report.validation_accuracy > 0.9
    assert 0 < report.cross_entropy < 0.6
    assert report.logits.shape == (100, 3)
    assert same(report.head(), head)
    fit_head(features, labels, NONE, recipe(kind), 3, [Observer(7, reports.append)])
    assert (reports[1].validation_accuracy, reports[1].validation_count) == (None, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_cross_validated_and_copies_give_nothing_away(kind):
    generator = np.random.default_rng(0)
    features = np.repeat(generator.standard_normal((100, 40)), 2, axis=0).astype(np.float32)
    labels = np.repeat(generator.integers(0, 2, 100), 2)
    twins = [key for key in keys(100) for _ in range(2)]
    scores = cross_validate(features, labels, twins, recipe(kind), 2, 4, lambda: None)
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == labels).mean() < 0.66
    assert scores[::2] == pytest.approx(scores[1::2], abs=1e-5)


def test_copies_never_choose_the_strength_or_the_temperature():
    # Each photograph three times and noise labels: who lets copies vote for each other is sure of himself.
    generator = np.random.default_rng(1)
    features = np.repeat(generator.standard_normal((60, 30)), 3, axis=0).astype(np.float32)
    labels, groups = np.repeat(generator.integers(0, 2, 60), 3), np.repeat(range(60), 3)
    fresh = generator.standard_normal((50, 30)).astype(np.float32)
    for kind in ("logistic", "cosine", "knn"):
        honest, fooled = (fit_head(features, labels, NONE, recipe(kind), 2, groups=g) for g in (groups, None))
        sure = [head.probabilities(fresh).max(axis=1).mean() for head in (honest, fooled)]
        assert sure[0] < 0.75, kind
        assert sure[1] > sure[0] + 0.1, kind


def test_early_stopping_stops_and_without_validation_photographs_an_eighth_takes_their_place():
    generator = np.random.default_rng(0)
    features, labels = generator.standard_normal((160, 40)).astype(np.float32), generator.integers(0, 2, 160)
    for kind in ("softmax", "mlp"):
        told = recipe(kind, steps=2000, learning_rate=0.5, early_stopping=50, eval_interval=10, optimizer="sgd")
        for validation in (np.arange(40), NONE):
            steps = []
            head = fit_head(features, labels, validation, told, 2, [Observer(10, lambda r: steps.append(r.step))])  # noqa: B023
            assert steps[-1] - head.step == 50
            assert steps[-1] < 1000


def test_early_stopping_with_too_few_photographs_to_stop_by_takes_all_steps():
    features, labels = clusters(60)
    head = fit_head(features, labels, NONE, recipe("softmax", early_stopping=10), 3)
    assert head.step == 199


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.3), ("momentum", 0.05), ("adam", 0.02)])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("kind", ["softmax", "mlp"])
def test_every_optimizer_and_schedule_learns(kind, optimizer, rate, schedule):
    features, labels = clusters()
    told = recipe(kind, optimizer=optimizer, schedule=schedule, learning_rate=rate)
    head = fit_head(features, labels, NONE, told, 3)
    assert (head.probabilities(features).argmax(axis=1) == labels).mean() > 0.95


def test_a_hidden_layer_learns_what_one_layer_cannot():
    generator = np.random.default_rng(0)
    features = generator.standard_normal((400, 2)).astype(np.float32)
    labels = (features[:, 0] * features[:, 1] > 0).astype(np.intp)
    told = recipe("mlp", steps=1500, weight_decay=0.0, dropout=0.0, early_stopping=0)
    right = [(fit_head(features, labels, NONE, one, 2).probabilities(features).argmax(axis=1) == labels).mean()
             for one in (told, recipe("logistic"))]  # fmt: skip
    assert right[0] > 0.9
    assert right[1] < 0.7


def test_too_many_photographs_for_all_of_them_to_vote_are_refused(monkeypatch):
    monkeypatch.setattr(knn_module, "MOST_PHOTOGRAPHS", 50)
    features, labels = clusters()
    with pytest.raises(
        UsageError, match=r"expected at most 50 training photographs for --head knn.*got 120; use --head"
    ):
        fit_head(features, labels, NONE, recipe("knn"), 3)


def test_votes_are_weighed_as_the_paper_says():
    features, labels = clusters()
    head = fit_head(features, labels, NONE, recipe("knn"), 3)
    tau, kept = _tau(head), head.weights.max()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    centre = unit.mean(axis=0)
    near = unit - centre
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    cosines = ((unit - centre) @ near.T).astype(np.float64)
    weights = np.exp((cosines - cosines.max()) / tau)
    votes = weights @ np.eye(3)[labels] / weights.sum(axis=1, keepdims=True)
    smoothed = votes * (kept - (1 - kept) / 2) + (1 - kept) / 2
    assert head.probabilities(features) == pytest.approx(smoothed, abs=1e-4)


def _tau(head):
    """Keys are of length 1 before they are divided by it."""
    return 1 / np.linalg.norm(head.before[1].weights[:, 0])


def test_an_exact_reference_of_the_prototypes():
    features, labels = clusters()
    head = fit_head(features, labels, NONE, recipe("cosine"), 3)
    unit = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float64)
    means = np.stack([unit[labels == c].mean(axis=0) for c in range(3)])
    directions = means - means.mean(axis=0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    scale = np.linalg.norm(head.weights[:, 0])
    logits = scale * (unit - means.mean(axis=0)) @ directions.T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert head.probabilities(features) == pytest.approx(expected, abs=1e-4)


def test_groups_number_photographs_and_the_views_behind_them():
    names = [b"b" * 32, b"a" * 32, b"b" * 32]
    views_of = {0: 0, 2: 1}

    def views(photographs):
        return np.concatenate([3 + 2 * views_of[p] + np.arange(2) for p in photographs.tolist()])

    assert groups_of(names, 7, views, np.array([0, 2])).tolist() == [1, 0, 1, 1, 1, 1, 1]
    assert groups_of(names, 3, lambda rows: rows).tolist() == [1, 0, 1]


def test_inner_folds_keep_groups_together_and_deal_classes_evenly():
    y = np.arange(60) % 3
    groups = np.arange(60) // 2
    fold = inner_folds(y, groups)
    assert (fold[::2] == fold[1::2]).all()
    assert np.bincount(fold).tolist() == [12] * 5
    assert len(np.unique(inner_folds(y[:3], None))) == 3
    kept, held = hold_out(y, None)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(60)) if len(held) else len(kept) == 60
    kept, held = hold_out(np.arange(160) % 2, None)
    assert len(held) == 20
    assert not set(kept.tolist()) & set(held.tolist())


def test_a_recipe_tells_of_its_options_only_where_they_are_not_as_ever():
    plain = Recipe(4000, 0.01, 100, 0.03, optimizer=USUAL, early_stopping=AS_USUAL).settled("softmax")
    assert plain == Recipe(4000, 0.01, 100, 0.03)
    assert list(plain.facts()) == [
        "steps", "learning_rate", "batch_size", "weight_decay", "eval_interval", "validation_batch_size", "seed"
    ]  # fmt: skip
    other = Recipe(AS_USUAL, 0.01, 100, 0.03, optimizer=USUAL, early_stopping=AS_USUAL).settled("mlp")
    assert (other.steps, other.optimizer, other.early_stopping) == (1000, "momentum", 300)
    assert other.facts()["kind"] == "mlp"
    assert [Recipe(steps, 0.01, 100, 0.03).settled("mlp").steps for steps in (500, 4000)] == [500, 4000]


@pytest.mark.parametrize("kind", ["softmax", "mlp"])
def test_a_recipe_that_ends_where_a_head_was_kept_makes_that_head(kind):
    features, labels = clusters(distance=0.7)
    validation, training = np.arange(40), np.arange(40, 120)
    told = recipe(kind, steps=400, learning_rate=0.3, early_stopping=60)
    kept = fit_head(features, labels, validation, told, 3, training=training)
    assert 0 < kept.step < 399
    ended = told.ended_at(kept.step)
    assert ended.steps == kept.step + 1
    again = fit_head(features, labels, NONE, ended, 3, training=training)
    # But for rounding: what is folded lies otherwise in memory.
    assert again.step == kept.step
    assert again.weights == pytest.approx(kept.weights, abs=1e-6)
    assert again.probabilities(features) == pytest.approx(kept.probabilities(features), abs=1e-5)


def test_a_recipe_without_steps_or_with_a_falling_rate_ends_where_it_did():
    for told in (recipe("logistic"), recipe("knn"), recipe("softmax", schedule="cosine")):
        assert told.ended_at(7) is told
