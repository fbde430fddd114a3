import dataclasses

import numpy as np
import pytest

from retrain.bottlenecks import FileMatrix, MemoryMatrix
from retrain.errors import NumericalError
from retrain.head import Recipe, fit_head
from retrain.head import penalised as penalised_module
from retrain.head.axes import PrincipalRows
from retrain.head.lbfgs import minimise
from retrain.head.logistic import counting, smoothed
from retrain.head.penalised import STRENGTHS, Task, sigmoid_loss, softmax_loss, solve_path
from retrain.head.scaling import Moments, scale_training

NONE = np.zeros(0, np.intp)
RECIPE = Recipe(1, 0.01, 1, 0.0, kind="logistic")


def data(count=300, width=12, classes=3, seed=0, distance=1.0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    features = (
        generator.standard_normal((classes, width))[labels] * distance + generator.standard_normal((count, width)) + 3
    )
    return features.astype(np.float32), labels


def task_of(features, labels, loss=softmax_loss, rule="balanced"):
    rows = PrincipalRows(MemoryMatrix(features), np.arange(len(labels)))
    told = dataclasses.replace(RECIPE, class_weights=rule)
    classes = int(labels.max()) + 1
    return Task(rows, smoothed(labels, classes, 0.0), loss, counting(labels, told), classes)


@pytest.mark.parametrize("seed", range(3))
def test_several_quadratic_functions_are_minimised_each_for_itself(seed):
    generator = np.random.default_rng(seed)
    roots = generator.standard_normal((4, 10, 10))
    curved, wanted = roots @ roots.transpose(0, 2, 1) + np.eye(10), generator.standard_normal((4, 10))

    def objective(points):
        slopes = np.einsum("kpq,kq->kp", curved, points - wanted)
        return 0.5 * np.einsum("kp,kp->k", points - wanted, slopes), slopes

    found = minimise(objective, np.zeros((4, 10)), 1e-8, 500)
    assert found.converged.all()
    assert found.points == pytest.approx(wanted, abs=1e-7)
    assert found.values == pytest.approx(np.zeros(4), abs=1e-12)
    again = minimise(objective, found.points, 1e-7, 500)
    assert (again.steps, again.points.tobytes()) == (0, found.points.tobytes())


def test_a_banana_is_minimised_and_a_function_that_has_converged_stays():
    def objective(points):
        x, y = points.T
        slopes = np.stack([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)], axis=1)
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2, slopes

    found = minimise(objective, np.array([[-1.2, 1.0], [1.0, 1.0]]), 1e-8, 500)
    assert found.points == pytest.approx(np.ones((2, 2)), abs=1e-6)
    assert found.points[1].tolist() == [1.0, 1.0]


def test_a_function_without_a_finite_value_is_given_back_as_it_is():
    found = minimise(lambda points: (np.full(1, np.nan), points), np.ones((1, 2)), 1e-8, 500)
    assert np.isnan(found.values).all()
    assert found.steps == 0


def test_steps_that_lead_out_of_the_numbers_are_shortened():
    def objective(points):
        x = points[:, 0]
        with np.errstate(all="ignore"):
            return np.where(x < 10, x - np.log(np.maximum(x, 0)), np.nan), (1 - 1 / x)[:, np.newaxis]

    found = minimise(objective, np.full((1, 1), 0.01), 1e-8, 500)
    assert found.points == pytest.approx(np.ones((1, 1)), abs=1e-6)


def test_it_gives_up_when_it_is_told_to():
    found = minimise(lambda points: (points.sum(axis=1), np.ones_like(points)), np.zeros((1, 3)), 1e-8, 4)
    assert found.steps == 4
    assert not found.converged.any()


@pytest.mark.parametrize("count", [2500, 300, 8])
def test_turned_rows_are_uncorrelated_and_turned_back_exactly(tmp_path, count):
    features, _ = data(count)
    training = np.arange(0, count, 2)
    file = FileMatrix(tmp_path, *features.shape)
    file.write(np.arange(count), features)
    turned = [PrincipalRows(rows, training) for rows in (MemoryMatrix(features), file)]
    parts = [np.concatenate([chunk for _, chunk in rows.chunks()]) for rows in turned]
    assert parts[0].tobytes() == parts[1].tobytes()
    rows, whole = turned[0], parts[0].astype(np.float64)
    assert rows.width == min(12, len(training) - 1)
    product = whole.T @ whole / len(training)
    assert product == pytest.approx(np.diag(rows.variances), abs=1e-5)
    assert (np.diff(rows.variances) <= 0).all()
    weights, biases = (
        np.random.default_rng(0).standard_normal((rows.width, 3)).astype(np.float32),
        np.ones(3, np.float32),
    )
    raw, shifted = rows.layer(weights, biases)
    assert features[training] @ raw + shifted == pytest.approx(whole @ weights + biases, abs=1e-4)


@pytest.mark.parametrize("rule", ["balanced", "none"])
@pytest.mark.parametrize("strength", [0.3, 0.01])
def test_the_solution_is_that_of_scikit_learn(rule, strength):
    from sklearn.linear_model import LogisticRegression

    features, labels = data()
    labels[labels == 2] = np.where(np.arange((labels == 2).sum()) % 3, 1, 2)  # uneven classes
    head = solve_path(task_of(features, labels, rule=rule), np.zeros(300, np.intp), (strength,))
    _, scaled = scale_training(MemoryMatrix(features), np.arange(300), Moments.floored)
    x = scaled.take(np.arange(300))
    weights = counting(labels, dataclasses.replace(RECIPE, class_weights=rule))
    theirs = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000).fit(x, labels, sample_weight=weights)
    task = task_of(features, labels, rule=rule)
    ours = np.concatenate([chunk for _, chunk in task.rows.chunks()]) @ head.weights + head.biases
    ours = np.exp(ours) / np.exp(ours).sum(axis=1, keepdims=True)
    assert ours == pytest.approx(theirs.predict_proba(x), abs=5e-4)
    assert head.held_out == ()


@pytest.mark.parametrize("loss", [softmax_loss, sigmoid_loss])
def test_slopes_are_those_of_the_losses(loss):
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((2, 4, 5)).astype(np.float32)
    targets = generator.dirichlet(np.ones(4), 5).T.astype(np.float32)
    errors = logits.copy()
    losses = loss(errors, targets)
    assert losses.shape == (2, 5)
    for k, c, n in [(0, 0, 0), (1, 3, 4), (0, 2, 3)]:
        moved = logits.copy()
        moved[k, c, n] += 1e-2
        slope = (loss(moved, targets)[k, n] - losses[k, n]) / 1e-2
        assert slope == pytest.approx(errors[k, c, n], abs=5e-3)


def test_losses_stand_large_logits():
    large = np.array([[[1000.0], [-1000.0]]], np.float32)
    for loss in (softmax_loss, sigmoid_loss):
        for right, wrong in (([[1.0], [0.0]], 0.0), ([[0.0], [1.0]], 2000.0)):
            found = loss(large.copy(), np.array(right, np.float32)).item()
            assert found == pytest.approx(wrong)


def test_the_path_ends_behind_the_lowest_held_out_loss_and_a_stronger_penalty_is_preferred(monkeypatch):
    features, labels = data(200, width=40, distance=0.3)
    fold, task = np.random.default_rng(3).integers(0, 5, 200), task_of(features, labels)
    monkeypatch.setattr(penalised_module, "STANDARD_ERRORS", 3.0)
    preferred = solve_path(task, fold)
    monkeypatch.setattr(penalised_module, "STANDARD_ERRORS", 0.0)
    found = solve_path(task, fold)
    losses = [loss for _, loss in found.held_out]
    lowest = int(np.argmin(losses))
    assert found.strength == found.held_out[lowest][0] == STRENGTHS[lowest]
    assert len(losses) == lowest + 3 < len(STRENGTHS)
    assert preferred.held_out == found.held_out
    assert preferred.strength > found.strength
    alone = solve_path(task, np.zeros(200, np.intp), (found.strength,))
    assert found.weights == pytest.approx(alone.weights, abs=1e-2)


def test_held_out_losses_are_those_of_heads_that_have_not_seen_the_fold():
    features, labels = data(200, width=40, distance=0.3)
    fold, task = np.random.default_rng(3).integers(0, 5, 200), task_of(features, labels)
    strength, loss = solve_path(task, fold, (0.3, 0.1)).held_out[-1]
    x = np.concatenate([chunk for _, chunk in task.rows.chunks()])
    total = 0.0
    for number in range(5):
        some = dataclasses.replace(task, weights=task.weights * (fold != number) / task.weights[fold != number].sum())
        head = solve_path(some, np.zeros(200, np.intp), (strength,))
        logits = x @ head.weights + head.biases
        own = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(200), labels]
        total += (own * task.weights)[fold == number].sum()
    assert loss == pytest.approx(total, rel=2e-3)


def test_folds_solved_one_after_the_other_choose_the_same(monkeypatch):
    features, labels = data(200, width=40)
    fold = np.random.default_rng(3).integers(0, 5, 200)
    together = solve_path(task_of(features, labels), fold)
    monkeypatch.setattr(penalised_module, "MOST_AT_ONCE", 1)
    alone = solve_path(task_of(features, labels), fold)
    assert alone.strength == together.strength
    assert alone.weights == pytest.approx(together.weights, abs=1e-2)


def test_a_loss_that_leaves_the_numbers_is_an_error():
    features, labels = data()
    task = task_of(features, labels)
    spoilt = dataclasses.replace(task, weights=np.full(300, np.nan, np.float32))
    for fold in (np.zeros(300, np.intp), np.arange(300) % 3):
        with pytest.raises(NumericalError, match="Nothing was exported"):
            solve_path(spoilt, fold)


def test_separable_classes_stay_finite():
    features, labels = data()
    features[:, 0] += 100 * labels
    head = fit_head(features, labels, NONE, RECIPE, 3)
    assert (head.probabilities(features).argmax(axis=1) == labels).mean() == 1
    assert np.isfinite(head.weights).all()


def test_what_counts_alike_sums_to_one():
    y = np.array([0, 0, 0, 2])
    assert counting(y, RECIPE).tolist() == pytest.approx([1 / 6] * 3 + [1 / 2])
    assert counting(y, dataclasses.replace(RECIPE, class_weights="none")).tolist() == pytest.approx([1 / 4] * 4)


def test_smoothed_targets_sum_to_one():
    targets = smoothed(np.array([0, 2, 1]), 4, 0.2)(slice(1, 3))
    assert targets.sum(axis=0).tolist() == pytest.approx([1, 1])
    assert targets[:, 0].tolist() == pytest.approx([0.05, 0.05, 0.85, 0.05])
