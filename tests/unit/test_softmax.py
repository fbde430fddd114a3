import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from retrain.bottlenecks import FileMatrix, MemoryMatrix
from retrain.errors import NumericalError, RetrainError
from retrain.head import ClassBalancedSampler, Observer, Recipe, softmax, train_softmax
from retrain.head.choice import StepChoice, spread
from retrain.head.reports import losses_of
from retrain.head.scaling import CHUNK_ROWS, VARIANCE_FLOOR, Moments, scale_training

NONE = np.zeros(0, np.intp)
RECIPE = Recipe(steps=60, learning_rate=0.1, batch_size=20, weight_decay=0.03)


def clusters(count=90, width=6, classes=3, distance=3.0, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = generator.standard_normal((classes, width)) * distance
    features = centres[labels] + generator.standard_normal((count, width)) + 2
    return features.astype(np.float32), labels


def same(a, b):
    return a.weights.tobytes() == b.weights.tobytes() and a.biases.tobytes() == b.biases.tobytes() and a.step == b.step


def test_separable_clusters_are_learned():
    features, labels = clusters()
    head = train_softmax(features, labels, NONE, RECIPE, 3)
    probabilities = head.probabilities(features)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.97
    assert (head.weights.shape, head.biases.shape) == ((6, 3), (3,))
    assert head.weights.dtype == head.biases.dtype == np.float32
    assert head.step == 59


def test_probabilities_are_positive_sum_to_one_and_stand_large_logits():
    probabilities = softmax(np.array([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]], np.float32))
    assert probabilities.sum(axis=1).tolist() == pytest.approx([1.0, 1.0])
    assert probabilities[0].tolist() == [1.0, 0.0, 0.0]
    assert probabilities[1].tolist() == pytest.approx([1 / 3] * 3)


def test_losses_are_cross_entropies_and_stand_large_logits():
    losses = losses_of(np.array([[1000.0, 0.0], [0.0, 0.0]], np.float32), np.array([1, 0]))
    assert losses.tolist() == pytest.approx([1000.0, np.log(2)])


def half_way(variance):
    """The scales of features of such variances, in float64."""
    spread = np.sqrt(variance + VARIANCE_FLOOR * variance.mean())
    return 1 / (2 * np.sqrt(spread * spread.mean()))


def reference(features, labels, recipe, classes):
    """Plain gradient descent on centred and scaled features in float64, written down again; returns logits."""
    x = features.astype(np.float64)
    variance = x.var(axis=0)
    x = (x - x.mean(axis=0)) * half_way(variance)
    weights, biases = np.zeros((x.shape[1], classes)), np.zeros(classes)
    sampler = ClassBalancedSampler(labels, np.random.default_rng(recipe.seed))
    for _ in range(recipe.steps):
        batch = sampler.draw(recipe.batch_size)
        scores = np.exp(x[batch] @ weights + biases)
        slope = scores / scores.sum(axis=1, keepdims=True)
        slope[np.arange(len(batch)), labels[batch]] -= 1
        weights = weights * (1 - recipe.learning_rate * recipe.weight_decay)
        weights = weights - recipe.learning_rate * x[batch].T @ slope / len(batch)
        biases = biases - recipe.learning_rate * slope.mean(axis=0)
    return x @ weights + biases


@pytest.mark.parametrize("decay", [0.0, 0.03, 1.0])
@pytest.mark.parametrize("seed", [0, 7])
def test_training_is_plain_gradient_descent_and_the_scaling_is_folded_in(decay, seed):
    features, labels = clusters()
    recipe = replace(RECIPE, weight_decay=decay, seed=seed)
    head = train_softmax(features, labels, NONE, recipe, 3)
    logits = features @ head.weights + head.biases
    assert np.abs(logits - reference(features, labels, recipe, 3)).max() < 1e-5 * max(1, np.abs(logits).max())


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    features, labels = clusters()
    validation = np.arange(0, 90, 5)
    assert same(*(train_softmax(features, labels, validation, RECIPE, 3) for _ in range(2)))
    other = train_softmax(features, labels, validation, replace(RECIPE, seed=1), 3)
    assert other.weights.tobytes() != train_softmax(features, labels, validation, RECIPE, 3).weights.tobytes()


def test_watching_changes_nothing():
    features, labels = clusters()
    validation = np.arange(0, 90, 5)
    plain = train_softmax(features, labels, validation, RECIPE, 3)
    watchers = [Observer(1, lambda report: report.head()), Observer(7, lambda report: np.random.random())]
    assert same(plain, train_softmax(features, labels, validation, RECIPE, 3, watchers))
    recipe = replace(RECIPE, validation_batch_size=-1)
    assert same(plain, train_softmax(features, labels, validation, recipe, 3, watchers))


def test_the_caches_matrix_is_not_written_to():
    features, labels = clusters()
    before = features.copy()
    features.flags.writeable = False
    train_softmax(features, labels, np.arange(5), RECIPE, 3)
    assert (features == before).all()


def test_observers_are_told_at_their_steps_and_at_the_last():
    features, labels = clusters()
    seen = {10: [], 7: []}
    watchers = [Observer(every, lambda report, every=every: seen[every].append(report.step)) for every in seen]
    train_softmax(features, labels, NONE, replace(RECIPE, steps=25), 3, watchers)
    assert seen == {10: [0, 10, 20, 24], 7: [0, 7, 14, 21, 24]}


def test_a_report_holds_what_was_measured():
    features, labels = clusters()
    reports = []
    recipe = replace(RECIPE, validation_batch_size=-1)
    head = train_softmax(features, labels, np.arange(0, 90, 5), recipe, 3, [Observer(59, reports.append)])
    report = reports[-1]
    assert report.validation_count == 18
    assert 0.9 < report.train_accuracy <= 1
    assert 0.9 < report.validation_accuracy <= 1
    assert 0 < report.cross_entropy < 0.5
    assert 0 < report.validation_cross_entropy < 0.5
    assert report.logits.shape == (20, 3)
    assert report.head().step == 59
    assert report.head().weights.shape == head.weights.shape
    assert reports[0].step == 0


def test_without_validation_photographs_a_report_has_none():
    features, labels = clusters()
    reports = []
    train_softmax(features, labels, NONE, RECIPE, 3, [Observer(60, reports.append)])
    assert (reports[0].validation_accuracy, reports[0].validation_cross_entropy) == (None, None)
    assert reports[0].validation_count == 0


def test_only_the_training_photographs_are_trained_on():
    features, labels = clusters()
    spoiled = features.copy()
    spoiled[60:] *= 100
    chosen = np.arange(40)
    heads = [train_softmax(x, labels, np.arange(40, 60), RECIPE, 3, training=chosen) for x in (features, spoiled)]
    assert same(*heads)
    rest = train_softmax(features, labels, np.arange(40, 90), RECIPE, 3)
    assert same(rest, train_softmax(features, labels, np.arange(40, 90), RECIPE, 3, training=chosen))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_no_finite_number_is_refused(value):
    features, labels = clusters()
    features[3, 2] = value
    with pytest.raises(NumericalError, match="a bottleneck vector"):
        train_softmax(features, labels, NONE, RECIPE, 3)


@pytest.mark.parametrize(("rate", "decay"), [(1e30, 0.03), (1e39, 0.0), (0.01, 1e39), (1.0, 1e6)])
def test_training_that_leaves_the_numbers_is_an_error_that_names_the_flag(rate, decay):
    features, labels = clusters()
    with pytest.raises(NumericalError, match="--learning_rate"):
        train_softmax(features, labels, NONE, replace(RECIPE, learning_rate=rate, weight_decay=decay), 3)


@pytest.mark.parametrize("rate", [1e30, 1e34, 1e36, 1e37])
def test_a_head_that_is_not_finite_is_never_returned(rate):
    features, labels = clusters()
    recipe = replace(RECIPE, learning_rate=rate, weight_decay=0.0)
    try:
        head = train_softmax(features * np.float32(1e-3), labels, np.arange(10), recipe, 3)
    except NumericalError:
        return
    assert np.isfinite(head.weights).all()
    assert np.isfinite(head.biases).all()


def test_constant_features_train_the_biases_only():
    labels = np.array([0] * 30 + [1] * 30)
    head = train_softmax(np.full((60, 4), 7, np.float32), labels, NONE, RECIPE, 2)
    assert np.isfinite(head.weights).all()
    assert head.probabilities(np.full((1, 4), 7, np.float32))[0].tolist() == pytest.approx([0.5, 0.5], abs=0.1)


def test_one_constant_feature_among_others_does_no_harm():
    features, labels = clusters()
    features[:, 2] = 3
    head = train_softmax(features, labels, NONE, RECIPE, 3)
    assert (head.probabilities(features).argmax(axis=1) == labels).mean() > 0.9


def test_a_class_without_training_photographs_does_no_harm():
    features, labels = clusters()
    head = train_softmax(features, labels, NONE, RECIPE, 5)
    assert head.probabilities(features).shape == (90, 5)
    assert (head.probabilities(features).argmax(axis=1) == labels).mean() > 0.9


def test_nothing_to_train_on_is_an_error_on_purpose():
    features, labels = clusters()
    with pytest.raises(RetrainError):
        train_softmax(features, labels, np.arange(90), RECIPE, 3)


def offered(losses_by_step):
    choice = StepChoice(len(losses_by_step[0]))
    for step, losses in enumerate(losses_by_step):
        marked = np.full((1, 1), step, np.float32)
        choice.offer(step, np.array(losses, np.float32), lambda marked=marked: marked)
    last = len(losses_by_step) - 1
    return choice.best(last, np.full((1, 1), last, np.float32))


TEN = np.ones(10)


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ([3 * TEN, TEN, 2 * TEN], 1),  # an earlier step is best
        ([3 * TEN, 2 * TEN, TEN], 2),  # the last is best
        ([2 * TEN, TEN, TEN, 9 * TEN], 1),  # the first of equal bests
        ([3 * TEN[:9], TEN[:9], 2 * TEN[:9]], 2),  # too few photographs to choose by: the last
        ([TEN[:1], 5 * TEN[:1]], 1),
    ],
)
def test_the_best_step_is_kept_where_there_are_photographs_enough_to_choose_by(losses, kept):
    step, state = offered(losses)
    assert (step, state.item()) == (kept, kept)


def test_only_the_best_step_is_copied():
    choice, copied = StepChoice(10), []
    for step, loss in enumerate([3, 5, 2, 2]):
        choice.offer(step, loss * TEN, lambda step=step: copied.append(step))
    assert copied == [0, 2]


@pytest.mark.parametrize(
    ("count", "patience", "stops"),
    [(10, 2, [False, False, False, True]), (10, 3, [False] * 4), (10, 0, [False] * 4), (9, 2, [False] * 4)],
)
def test_training_stops_when_the_loss_has_not_fallen_for_long_enough(count, patience, stops):
    choice = StepChoice(count, patience)
    losses = [3, 1, 2, 1]
    assert [choice.offer(step, np.full(count, loss), int) for step, loss in enumerate(losses)] == stops


def test_overfitting_keeps_an_earlier_step():
    generator = np.random.default_rng(0)
    features = generator.standard_normal((60, 40)).astype(np.float32)
    labels = generator.integers(0, 2, 60)  # nothing to learn: every step makes validation worse
    recipe = replace(RECIPE, steps=300, learning_rate=1.0, weight_decay=0.0)
    head = train_softmax(features, labels, np.arange(30), recipe, 2)
    assert head.step < 100


@pytest.mark.parametrize(("count", "limit", "length"), [(5, 10, 5), (10, 10, 10), (100, 10, 10), (0, 10, 0)])
def test_rows_are_picked_evenly(count, limit, length):
    rows = spread(count, limit)
    assert len(set(rows.tolist())) == len(rows) == length
    assert not count or (rows[0], rows[-1]) == (0, count - 1)


def in_file(folder, features):
    rows = FileMatrix(folder, *features.shape)
    rows.write(np.arange(len(features)), features)
    return rows


def large(count=2 * CHUNK_ROWS + 77, seed=0):
    """More photographs than are worked on at a time, in an order of their own."""
    features, labels = clusters(count, seed=seed)
    training, validation = np.split(np.random.default_rng(seed).permutation(count), [int(0.8 * count)])
    return features, labels, training, validation


@pytest.mark.parametrize("validation_batch_size", [100, -1])
def test_a_head_and_its_reports_are_the_same_bytes_from_memory_and_from_a_file(tmp_path, validation_batch_size):
    features, labels, training, validation = large(8 * CHUNK_ROWS)
    recipe, told = replace(RECIPE, validation_batch_size=validation_batch_size), []
    heads = []
    for rows in (features, MemoryMatrix(features), in_file(tmp_path, features)):
        reports = []
        heads.append(train_softmax(rows, labels, validation, recipe, 3, [Observer(7, reports.append)], training))
        told.append(
            [(r.step, r.train_accuracy, r.cross_entropy, r.validation_accuracy, r.validation_count) for r in reports]
            + [r.validation_cross_entropy for r in reports]
            + [r.logits.tobytes() for r in reports]
        )
    assert same(heads[0], heads[1])
    assert same(heads[0], heads[2])
    assert told[0] == told[1] == told[2]


def test_classes_are_the_same_bytes_from_memory_and_from_a_file(tmp_path):
    features, labels, training, validation = large()
    head = train_softmax(features, labels, validation, RECIPE, 3, training=training)
    for wanted in (training, validation, validation[:1], NONE):
        scores = [head.classify(rows, wanted) for rows in (features, in_file(tmp_path, features))]
        assert scores[0].shape == (len(wanted), 3)
        assert scores[0].tobytes() == scores[1].tobytes()
        assert scores[0] == pytest.approx(head.probabilities(features[wanted]), abs=1e-6)


HEAD_HASH = """
import hashlib, sys, tempfile, pathlib
import numpy as np
from retrain.bottlenecks import FileMatrix
from retrain.head import Recipe, train_softmax
x = np.random.default_rng(0).standard_normal((5000, 256)).astype(np.float32)
y = np.arange(5000) % 40
rows = FileMatrix(pathlib.Path(tempfile.gettempdir()), *x.shape)
rows.write(np.arange(len(x)), x)
head = train_softmax(rows, y, np.arange(2500), Recipe(20, 0.1, 500, 0.03), 40)
scores = head.classify(rows, np.arange(5000))
print(hashlib.sha256(head.weights.tobytes() + head.biases.tobytes() + scores.tobytes()).hexdigest())
"""


def test_the_number_of_threads_changes_no_bit():
    hashes = [
        subprocess.run(
            [sys.executable, "-c", HEAD_HASH],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert len(hashes[0]) == 65
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("split", [[1], [500], [1, 2, 3, 900], [100] * 9])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_moments_of_parts_are_those_of_the_whole(split, offset):
    generator = np.random.default_rng(0)
    features = (generator.standard_normal((1000, 5)) * [1, 10, 0.01, 3, 0] + offset).astype(np.float32)
    moments = Moments(5)
    for part in np.split(features, np.unique(np.cumsum(split))):
        moments.add(part)
    wide = features.astype(np.float64)
    assert moments._mean == pytest.approx(wide.mean(axis=0), rel=1e-12, abs=1e-12)
    assert moments._squares / 1000 == pytest.approx(wide.var(axis=0), rel=1e-6, abs=1e-20)


def test_scaling_centres_and_divides_by_the_root_of_own_and_mean_spread(tmp_path):
    features, _, training, _ = large()
    features = features * np.array([1, 10, 0.001, 3, 1, 1], np.float32) + 5
    x = features[training].astype(np.float64)
    variance = x.var(axis=0)
    scale = half_way(variance)
    for rows in (MemoryMatrix(features), in_file(tmp_path, features)):
        scaling, scaled = scale_training(rows, training)
        assert scaling.mean == pytest.approx(x.mean(axis=0), rel=1e-6)
        assert scaling.scale == pytest.approx(scale, rel=1e-6)
        places = np.array([5, 0, 5, len(training) - 1])
        assert scaled.take(places) == pytest.approx((x[places] - x.mean(axis=0)) * scale, abs=1e-4)


def test_scaling_is_half_way_between_one_scale_and_a_scale_each():
    features = np.random.default_rng(1).standard_normal((4000, 3)) * [1.0, 16.0, 4.0]
    moments = Moments(3)
    moments.add(features.astype(np.float32))
    scaling = moments.scaling()
    scaled = features * scaling.scale
    # What was 16 times as wide is 4 times as wide; the mean variance is about a quarter whatever the unit.
    assert scaled.std(axis=0) / scaled[:, 0].std() == pytest.approx([1, 4, 2], rel=0.05)
    assert scaled.var(axis=0).mean() == pytest.approx(0.25, rel=1e-2)


def test_features_that_never_vary_are_not_blown_up():
    features = np.random.default_rng(2).standard_normal((50, 4)).astype(np.float32)
    features[:, 2] = 7
    moments = Moments(4)
    moments.add(features)
    scale = moments.scaling().scale
    assert np.isfinite(scale).all()
    assert scale[2] < 10 * scale[[0, 1, 3]].min()
    alike = Moments(4)
    alike.add(np.full((5, 4), 3, np.float32))
    assert alike.scaling().scale.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("row", [0, 1500, 2000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_no_finite_number_is_refused_wherever_it_lies(tmp_path, row, value):
    features, labels = clusters(2100)
    features[row, 2] = value
    training, validation = np.arange(1400), np.arange(1400, 1800)
    for rows in (features, in_file(tmp_path, features)):
        with pytest.raises(NumericalError, match="nothing is trained on it"):
            train_softmax(rows, labels, validation, RECIPE, 3, training=training)


def test_a_row_that_is_no_finite_number_gets_no_class(tmp_path):
    features, labels = clusters()
    head = train_softmax(features, labels, NONE, RECIPE, 3)
    features[80] = np.nan
    for rows in (features, in_file(tmp_path, features)):
        assert head.classify(rows, np.arange(80)).shape == (80, 3)
        with pytest.raises(NumericalError, match="it has no class"):
            head.classify(rows, np.arange(90))


def test_huge_but_finite_features_do_not_overflow_the_moments():
    moments = Moments(1)
    top = np.finfo(np.float32).max
    for _ in range(3):
        moments.add(np.array([[top], [-top]], np.float32))
    assert moments.scaling().mean.tolist() == [0.0]


def test_a_file_is_never_read_as_a_whole(tmp_path, monkeypatch):
    features, labels, training, validation = large(4 * CHUNK_ROWS)
    rows, most = in_file(tmp_path, features), 0
    real = FileMatrix.take

    def take(self, indices):
        nonlocal most
        most = max(most, len(indices))
        return real(self, indices)

    monkeypatch.setattr(FileMatrix, "take", take)
    head = train_softmax(rows, labels, validation, replace(RECIPE, validation_batch_size=-1), 3, training=training)
    head.classify(rows, training)
    assert most == CHUNK_ROWS
