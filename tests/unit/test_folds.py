import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import digest

from retrain.bottlenecks import FileMatrix
from retrain.errors import RetrainError
from retrain.head import Recipe, cross_validate, train_softmax
from retrain.head.folds import assign_folds
from retrain.head.together import NO_VALIDATION

RECIPE = Recipe(steps=30, learning_rate=0.1, batch_size=20, weight_decay=0.03)


def shas(numbers):
    return [digest(b"%d" % n) for n in numbers]


def data(count=60, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    features = generator.standard_normal((3, 5))[labels] * 4 + generator.standard_normal((count, 5))
    return features.astype(np.float32), labels


@settings(max_examples=100)
@given(
    photos=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=60),
    folds=st.integers(2, 8),
)
def test_copies_lie_in_one_fold_and_classes_are_dealt_evenly(photos, folds):
    labels = np.array([label for label, _ in photos])
    digests = shas([number for _, number in photos])
    fold = assign_folds(labels, digests, folds)
    assert fold.shape == labels.shape
    assert set(fold.tolist()) <= set(range(folds))
    of = {}
    for sha, number in zip(digests, fold.tolist(), strict=True):
        assert of.setdefault(sha, number) == number
    owner = {}
    for sha, label in sorted(zip(digests, labels.tolist(), strict=True), key=lambda pair: pair[1]):
        owner.setdefault(sha, label)
    for label in set(owner.values()):
        counts = np.bincount([of[sha] for sha, own in owner.items() if own == label], minlength=folds)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(list(of.values()), minlength=folds)
    assert sizes.max() - sizes.min() <= 1


@settings(max_examples=100)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), min_size=1, max_size=40),
    folds=st.integers(2, 8),
    seed=st.integers(0, 9),
)
def test_groups_of_any_size_are_dealt_so_that_classes_have_as_many_photographs_in_each_fold(sizes, folds, seed):
    labels = np.repeat([label for label, _ in sizes], [size for _, size in sizes])
    keys = shas(np.repeat(range(len(sizes)), [size for _, size in sizes]))
    order = np.random.default_rng(seed).permutation(len(labels))
    fold = np.empty_like(labels)
    fold[order] = assign_folds(labels[order], [keys[i] for i in order], folds, by_size=True)
    assert (fold == assign_folds(labels, keys, folds, by_size=True)).all()
    for key in set(keys):
        assert len({number for number, own in zip(fold.tolist(), keys, strict=True) if own == key}) == 1
    for label in set(labels.tolist()):
        counts = np.bincount(fold[labels == label], minlength=folds)
        largest = max(size for own, size in sizes if own == label)
        assert counts.max() - counts.min() <= largest


def test_unequal_groups_are_balanced_in_photographs_which_counting_them_is_not():
    sizes = [40, 1, 1, 1, 1] * 4 + [8] * 20
    labels = np.repeat([0] * 20 + [1] * 20, sizes)
    keys = shas(np.repeat(range(40), sizes))
    by_count, by_size = (assign_folds(labels, keys, 4, by_size=by_size) for by_size in (False, True))
    assert np.bincount(by_size[labels == 0]).tolist() == [44] * 4
    assert np.bincount(by_size[labels == 1]).tolist() == [40] * 4
    assert np.ptp(np.bincount(by_count[labels == 0], minlength=4)) > 30


def test_groups_of_several_classes_are_dealt_by_all_of_their_classes():
    # Nights with objects of both classes: each fold gets a fifth of each.
    nights = np.repeat(range(20), 10)
    labels = np.tile([0] * 7 + [1] * 3, 20)
    fold = assign_folds(labels, shas(nights), 5, by_size=True)
    for label in (0, 1):
        assert len(set(np.bincount(fold[labels == label]).tolist())) == 1


def test_photographs_that_stand_alone_are_dealt_evenly_either_way():
    labels, digests = np.arange(53) % 3, shas(range(53))
    for by_size in (False, True):
        fold = assign_folds(labels, digests, 5, by_size=by_size)
        assert np.ptp(np.bincount(fold)) <= 1
        assert all(np.ptp(np.bincount(fold[labels == label], minlength=5)) <= 1 for label in range(3))


def test_folds_depend_on_contents_and_not_on_the_order_of_files():
    labels, digests = np.arange(40) % 2, shas(range(40))
    order = np.random.default_rng(0).permutation(40)
    fold = assign_folds(labels, digests, 5)
    assert (assign_folds(labels[order], [digests[i] for i in order], 5) == fold[order]).all()


def test_every_photograph_is_scored_once_by_a_head_that_has_not_seen_it():
    features, labels = data()
    digests = shas(range(60))
    calls = []
    scores = cross_validate(features, labels, digests, RECIPE, 3, 4, lambda: calls.append(1))
    assert len(calls) == 4
    assert scores.shape == (60, 3)
    assert scores.sum(axis=1).tolist() == pytest.approx([1.0] * 60, abs=1e-5)
    fold = assign_folds(labels, digests, 4)
    for number in range(4):
        held, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        head = train_softmax(features[rest], labels[rest], NO_VALIDATION, RECIPE, 3)
        assert (scores[held] == head.probabilities(features[held])).all()


def test_honest_accuracy_on_noise_is_chance_and_not_that_of_copies():
    # Each photograph is there twice: if copies were told apart, the twin would give the answer away.
    generator = np.random.default_rng(0)
    features = np.repeat(generator.standard_normal((150, 60)), 2, axis=0).astype(np.float32)
    labels = np.repeat(generator.integers(0, 2, 150), 2)
    recipe = Recipe(steps=200, learning_rate=0.5, batch_size=50, weight_decay=0.0)
    scores = cross_validate(features, labels, shas(np.repeat(range(150), 2)), recipe, 2, 5, lambda: None)
    assert (scores.argmax(axis=1) == labels).mean() < 0.65


def test_the_same_data_give_the_same_bytes():
    features, labels = data()
    runs = [cross_validate(features, labels, shas(range(60)), RECIPE, 3, 5, lambda: None) for _ in range(2)]
    assert runs[0].tobytes() == runs[1].tobytes()


@pytest.mark.parametrize("count", [2, 3, 7])
def test_there_are_never_more_folds_than_different_photographs(count):
    features, labels = data(count)
    calls = []
    scores = cross_validate(features, labels, shas(range(count)), RECIPE, 3, 100, lambda: calls.append(1))
    assert len(calls) == count
    assert np.isfinite(scores).all()


def test_copies_of_a_single_photograph_cannot_be_cross_validated_and_that_is_no_crash():
    features, labels = data(6)
    with pytest.raises(RetrainError):
        cross_validate(features, labels, shas([1] * 6), RECIPE, 3, 5, lambda: None)


def slow_folds(labels, digests, folds):
    """The same deal, written down plainly."""
    fold_of, dealt = {}, 0
    for label in sorted(set(labels.tolist())):
        for sha in sorted({s for s, own in zip(digests, labels.tolist(), strict=True) if own == label}):
            if sha not in fold_of:
                fold_of[sha] = dealt % folds
                dealt += 1
    return [fold_of[sha] for sha in digests]


@given(
    photos=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=60),
    folds=st.integers(2, 8),
)
def test_contents_are_dealt_out_class_by_class_in_the_order_of_their_digests(photos, folds):
    labels = np.array([label for label, _ in photos])
    digests = shas([number for _, number in photos])
    assert assign_folds(labels, digests, folds).tolist() == slow_folds(labels, digests, folds)


def test_scores_are_the_same_bytes_from_memory_and_from_a_file(tmp_path):
    features, labels = data(3000)
    rows = FileMatrix(tmp_path, *features.shape)
    rows.write(np.arange(3000), features)
    scores = [cross_validate(x, labels, shas(range(3000)), RECIPE, 3, 3, lambda: None) for x in (features, rows)]
    assert scores[0].tobytes() == scores[1].tobytes()
    assert (scores[0].argmax(axis=1) == labels).mean() > 0.9
