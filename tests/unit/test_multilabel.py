import numpy as np
import pytest

from retrain.errors import NumericalError, UsageError
from retrain.head import Recipe
from retrain.head.layers import SIGMOID
from retrain.head.multilabel import average_precision, best_threshold, fit_labels

NONE = np.zeros(0, np.intp)
RECIPE = Recipe(1, 0.01, 1, 0.0, kind="logistic")


def data(count=240, width=10, labels=4, seed=0):
    """Labels that come and go by themselves, each with a direction of its own."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((count, labels)) < [0.5, 0.3, 0.2, 0.1]).astype(np.float32)
    directions = np.linalg.qr(generator.standard_normal((width, labels)))[0].T * 4
    features = targets @ directions + generator.standard_normal((count, width)) + 2
    return features.astype(np.float32), targets


def test_labels_are_learnt_each_by_itself():
    features, targets = data()
    fitted = fit_labels(features, targets, np.arange(60), RECIPE)
    assert fitted.head.after == SIGMOID
    assert fitted.head.before == ()
    scores = fitted.head.classify(features, np.arange(60, 240))
    assert ((scores >= fitted.thresholds) == (targets[60:] == 1)).mean() > 0.95
    assert fitted.judged == 60
    assert fitted.mean_average_precision > 0.9
    several = np.flatnonzero(targets.sum(axis=1) > 1)
    assert (fitted.head.classify(features, several).sum(axis=1) > 1.3).mean() > 0.9


def test_without_validation_photographs_scores_out_of_fold_choose_and_judge():
    features, targets = data()
    fitted = fit_labels(features, targets, NONE, RECIPE)
    assert fitted.judged == 240
    assert 0.9 < fitted.mean_average_precision <= 1
    assert ((fitted.thresholds > 0.02) & (fitted.thresholds < 0.98)).all()


def test_noise_is_not_ranked_and_copies_give_nothing_away():
    generator = np.random.default_rng(0)
    features = np.repeat(generator.standard_normal((100, 30)), 2, axis=0).astype(np.float32)
    targets = np.repeat(generator.random((100, 2)) < 0.5, 2, axis=0).astype(np.float32)
    groups = np.repeat(np.arange(100), 2)
    assert fit_labels(features, targets, NONE, RECIPE, groups=groups).mean_average_precision < 0.65


def test_a_rare_label_takes_its_threshold_from_the_training_photographs_or_the_usual_one():
    features, targets = data()
    targets[:, 3] = 0
    targets[[70, 80, 90], 3] = 1
    fitted = fit_labels(features, targets, np.arange(60), RECIPE)
    assert fitted.thresholds[3] == 0.5
    assert np.isnan(fitted.precision[3])
    assert not np.isnan(fitted.mean_average_precision)


def test_labels_that_all_or_none_have_do_no_harm():
    features, targets = data()
    targets[:, 2], targets[:, 3] = 1, 0
    fitted = fit_labels(features, targets, np.arange(60), RECIPE)
    scores = fitted.head.classify(features, np.arange(240))
    assert scores[:, 2].min() > 0.8
    assert scores[:, 3].max() < 0.2


@pytest.mark.parametrize("kind", ["softmax", "mlp", "knn", "cosine"])
def test_other_kinds_of_heads_are_refused(kind):
    features, targets = data()
    with pytest.raises(
        UsageError, match=f"expected --head logistic for photographs with several labels, got --head {kind}"
    ):
        fit_labels(features, targets, NONE, Recipe(1, 0.01, 1, 0.0, kind=kind))


def test_labels_other_than_yes_and_no_are_a_mistake_of_the_program():
    features, targets = data()
    with pytest.raises(ValueError, match="0 or 1"):
        fit_labels(features, targets * 2, NONE, RECIPE)


def test_a_feature_that_is_no_number_stops_it():
    features, targets = data()
    features[3, 3] = np.inf
    with pytest.raises(NumericalError):
        fit_labels(features, targets, NONE, RECIPE)


def test_nothing_to_train_on_is_refused():
    features, targets = data()
    with pytest.raises(UsageError, match="no photograph is left"):
        fit_labels(features, targets, np.arange(240), RECIPE)


def test_average_precision_is_that_of_scikit_learn_ties_included():
    from sklearn.metrics import average_precision_score

    generator = np.random.default_rng(0)
    scores = generator.integers(0, 12, (200, 5)).astype(np.float32) / 12
    truth = (generator.random((200, 5)) < 0.3).astype(np.float32)
    theirs = [average_precision_score(truth[:, label], scores[:, label]) for label in range(5)]
    assert average_precision(scores, truth).tolist() == pytest.approx(theirs)


def test_the_threshold_has_the_best_f1_of_all():
    from sklearn.metrics import f1_score

    generator = np.random.default_rng(1)
    for _ in range(20):
        truth = (generator.random(60) < 0.3).astype(np.float32)
        scores = np.clip(0.4 * truth + generator.integers(0, 10, 60) / 15, 0, 1).astype(np.float32)
        ours = f1_score(truth, scores >= best_threshold(scores, truth))
        best = max(f1_score(truth, scores >= cut) for cut in np.unique(scores))
        assert ours == pytest.approx(best)
