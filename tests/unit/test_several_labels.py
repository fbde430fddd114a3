"""Photographs with several labels each: lists and text files, the catalog, numbers, thresholds, what is refused."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import digest, write_tree

from retrain.bottlenecks.skipped import check_classes
from retrain.bundle import Bundle, bundle_from_json
from retrain.config import RunConfig
from retrain.dataset import SplitRequest, find_photographs, plan_problems, split_csv, split_images
from retrain.dataset.label_files import MAX_BYTES, read_label_file, scan_label_files
from retrain.dataset.listing import MOST_PROBLEMS, scan_list
from retrain.dataset.several import split_labels
from retrain.dataset.split_file import read_split_file
from retrain.errors import ImageError, ModelError
from retrain.evaluate import labels_line, labels_sentence, measure_labels
from retrain.exporters.parity import compare_scores
from retrain.exporters.yardstick import Yardstick
from retrain.head import Recipe
from retrain.head.label_folds import cross_validate_labels, label_thresholds

FILES = {f"{n}.jpg": b"%d" % n for n in range(1, 6)}
GOOD = "path,label\n1.jpg,cat; dog\n2.jpg,cat\n3.jpg,dog\n2.jpg,bird\n4.jpg,cat\n"


@pytest.fixture
def photos(tmp_path):
    return write_tree(tmp_path, {"": FILES})


def scan(folder, text):
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    catalog = scan_list(str(path), "", "folder", several=True)
    return catalog, [problem.removeprefix(str(path)) for problem in catalog.problems]


def sets_of(catalog):
    return {one.path: tuple(catalog.labels[label] for label in catalog.set_of(one)) for one in catalog.records}


def test_a_path_may_stand_in_several_rows_and_a_cell_may_hold_several_labels(photos):
    catalog, problems = scan(photos, GOOD)
    assert problems == []
    assert catalog.labels == ("bird", "cat", "dog")
    assert sets_of(catalog) == {
        "2.jpg": ("bird", "cat"), "4.jpg": ("cat",), "1.jpg": ("cat", "dog"), "3.jpg": ("dog",)
    }  # fmt: skip
    assert catalog.count_with_label() == [1, 3, 2]
    # The rarest label of each is its class, for the split.
    assert [(one.path, catalog.labels[one.label]) for one in catalog.records] == [
        ("2.jpg", "bird"), ("4.jpg", "cat"), ("1.jpg", "dog"), ("3.jpg", "dog")
    ]  # fmt: skip
    assert catalog.targets().tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_without_several_a_path_in_two_rows_is_refused_as_ever(photos):
    path = photos / "list.csv"
    path.write_text(GOOD)
    assert any("is on line 3 already" in problem for problem in scan_list(str(path), "", "folder").problems)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1.jpg,cat\n1.jpg,cat\n2.jpg,dog\n", r", line 3: '1.jpg' has the label 'cat' on line 2 already"),
        ("1.jpg,cat;cat\n2.jpg,dog\n", r", line 2: '1.jpg' has the label 'cat' twice"),
        ("1.jpg,cat;;dog\n2.jpg,dog\n", r", line 2: expected labels with ';' between, got 'cat;;dog'"),
        ("1.jpg,;\n2.jpg,dog\n", r", line 2: expected labels with ';' between"),
        ("1.jpg,\n2.jpg,dog\n", r", line 2: expected a path and a label, got no label"),
        ("1.jpg,cat\n2.jpg,cat\n", r": expected at least two labels, got only 'cat'"),
        ("1.jpg,cat;dog\n2.jpg,cat\n", r": expected some photographs without the label 'cat', got it on all 2"),
        ("1.jpg,cat\n9.jpg,dog\n9.jpg,cat\n", r", line 3: cannot find '9.jpg'"),
        ("1.jpg,cat\n../9.jpg,dog\n", r", line 3: '../9.jpg' lies outside"),
    ],
)
def test_every_fault_is_said_with_its_line(photos, rows, said):
    _, problems = scan(photos, "path,label\n" + rows)
    assert [problem for problem in problems if re.match(said, problem)] != [], problems


def test_all_faults_are_said_at_once_each_file_once(photos):
    _, problems = scan(photos, "path,label\n1.jpg,a;a\n9.jpg,a\n9.jpg,b\n2.jpg,a;;b\n")
    assert [problem.split(":")[0] for problem in problems] == [", line 2", ", line 3", ", line 5"]


def write_labels(folder, **labels):
    for name, text in labels.items():
        (folder / f"{name[1:]}.jpg.txt").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_labels_lie_in_text_files_beside_photographs_and_folders_mean_nothing(tmp_path):
    root = write_tree(tmp_path, {"": {"1.jpg": b"1"}, "cats/deep": {"2.jpg": b"2", "notes.txt": b"x", ".3.jpg": b""}})
    write_labels(root, _1="\ufeffred fox\r\n\r\n  snow \n")
    write_labels(root / "cats/deep", _2="red fox")
    catalog = scan_label_files(str(root), "folder")
    assert catalog.problems == (
        f"the text files in {root}: expected some photographs without the label 'red fox', got it on all 2; take it "
        "out, since nothing can be told by it",
    )
    assert sets_of(catalog) == {"1.jpg": ("red fox", "snow"), "cats/deep/2.jpg": ("red fox",)}
    assert sum(catalog.left_out.values()) == 2
    assert all(Path(catalog.full_path(one)).stat().st_size == one.size for one in catalog.records)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is missing: expected it beside its photograph, a label a line"),
        (b"", "expected at least one label, got none"),
        (b" \n\n", "expected at least one label, got none"),
        (b"cat\n\xff\n", "line 2: expected UTF-8"),
        (b"cat\ndog\ncat\n", "line 3: 'cat' is on line 1 already"),
        (b"cat;dog\n", "line 1: expected one label a line, got 'cat;dog'"),
        (b"a\n" * MAX_BYTES, "expected at most 65,536 bytes"),
    ],
)
def test_a_text_file_that_says_no_labels_is_a_problem(tmp_path, text, said):
    if text is not None:
        (tmp_path / "1.jpg.txt").write_bytes(text)
    labels, problems = read_label_file(str(tmp_path / "1.jpg.txt"))
    assert said in problems[0]
    (tmp_path / "1.jpg").write_bytes(b"1")
    assert said in scan_label_files(str(tmp_path), "folder").problems[0]
    assert text is None or len(labels) < 3


def test_many_problems_are_counted_and_an_empty_folder_is_one(tmp_path):
    write_tree(tmp_path, {"a": {f"{n}.jpg": b"1" for n in range(MOST_PROBLEMS + 3)}, "b": {}})
    problems = scan_label_files(str(tmp_path / "a"), "folder").problems
    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1] == "3 more problems like these"
    assert "no photographs found" in scan_label_files(str(tmp_path / "b"), "folder").problems[0]
    assert "cannot read the folder" in scan_label_files(str(tmp_path / "c"), "folder").problems[0]


def test_the_flag_decides_which_of_them_is_read(tmp_path):
    root = write_tree(tmp_path / "p", {"": FILES})
    write_labels(root, **{f"_{n}": "odd" if n % 2 else "even\nlast" if n == 4 else "even" for n in range(1, 6)})
    problems, catalog = find_photographs(RunConfig(image_dir=str(root), multi_label=True))
    assert problems == []
    assert sets_of(catalog)["4.jpg"] == ("even", "last")
    (tmp_path / "list.csv").write_text(GOOD)
    config = RunConfig(image_list=str(tmp_path / "list.csv"), image_dir=str(root), multi_label=True)
    assert find_photographs(config)[1].labels == ("bird", "cat", "dog")


def test_the_table_of_the_split_has_all_labels_and_is_read_back(photos):
    catalog, _ = scan(photos, GOOD)
    shas = [digest(one.path.encode()) for one in catalog.records]
    table = split_csv(catalog, shas, split_images(catalog, shas, SplitRequest("content", 10, 10)))
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["label"] for row in rows] == ["bird;cat", "cat", "cat;dog", "dog"]
    (photos / "split.csv").write_text(table)
    assert read_split_file(str(photos / "split.csv"), catalog)[1] == []
    (photos / "split.csv").write_text(table.replace("bird;cat", "bird"))
    assert "expected the label 'bird;cat'" in read_split_file(str(photos / "split.csv"), catalog)[1][0]


def common(tmp_path, count=60):
    """A list in which "everyday" is never the rarest label of a photograph, and "seldom" is on three of them."""
    write_tree(tmp_path, {"": {f"{n}.jpg": b"%d" % n for n in range(count)}})
    rows = [
        f"{n}.jpg,{'odd' if n % 2 else 'even'}{';everyday' if n % 10 else ';seldom' * (n < 30)}" for n in range(count)
    ]
    return scan(tmp_path, "path,label\n" + "\n".join(rows))[0]


def test_a_label_that_is_nobodys_rarest_is_on_all_sides_and_none_is_lost(tmp_path):
    catalog = common(tmp_path)
    everyday, seldom = catalog.labels.index("everyday"), catalog.labels.index("seldom")
    assert everyday not in {one.label for one in catalog.records}
    check_classes(catalog, range(60), "skipped.csv")
    with pytest.raises(ImageError, match="seldom"):
        check_classes(catalog, [n for n in range(60) if catalog.targets()[n, seldom] == 0], "skipped.csv")
    shas = [digest(one.path.encode()) for one in catalog.records]
    split = split_images(catalog, shas, SplitRequest("content", 10, 10))
    targets = catalog.targets() == 1
    assert [set(split.sides[targets[:, label]].tolist()) for label in range(4)] == [{0, 1, 2}] * 4
    assert not [note for note in split.notes if "everyday" in note]
    poets = split_images(catalog, shas, SplitRequest("poets", 10, 10))
    assert not [note for note in poets.notes if "everyday" in note]


def test_a_split_file_that_leaves_a_label_nothing_to_train_on_is_refused(tmp_path):
    catalog = common(tmp_path)
    lines = [f"{one.path},{catalog.label_text(one)},{'testing' if one.path in ('0.jpg', '10.jpg', '20.jpg') else 'training'}"
             for one in catalog.records]  # fmt: skip
    (tmp_path / "split.csv").write_text("path,label,split\n" + "\n".join(lines))
    config = RunConfig(image_dir=str(tmp_path), split_file=str(tmp_path / "split.csv"))
    (problem,) = plan_problems(config, catalog)
    assert "leaves class 'seldom' no photograph to train on" in problem


def test_labels_of_a_cell():
    assert split_labels(" a ; b") == (("a", "b"), "")
    assert split_labels("a")[0] == ("a",)
    assert "got 'a;'" in split_labels("a;")[1]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"head": "knn"}, "--head knn"),
        ({"head": "auto"}, "--head auto"),
        ({"learning_rate": 0.1}, "--learning_rate=0.1"),
        ({"class_weights": "none"}, "--class_weights=none"),
        ({"print_misclassified_test_images": True}, "--print_misclassified_test_images"),
        ({"coverage": 0.8}, "--coverage=0.8"),
        ({"learning_curve": True}, "--learning_curve"),
        ({"cross_validation_repeats": 2}, "--cross_validation_repeats=2"),
        ({"unknown_threshold": 0.5}, "--unknown_threshold=0.5"),
        ({"recursive": True}, "--recursive"),
        ({"group_by": "folder"}, "--group_by=folder"),
        ({"image_dir": "memory://x"}, "memory://x"),
    ],
)
def test_flags_that_are_about_one_label_a_photograph_are_refused_by_name(tmp_path, flags, named):
    config = RunConfig(**{"image_dir": str(tmp_path), "multi_label": True, **flags})
    assert [one for one in config.problems() if named in one and "multi_label" in one] != []


@pytest.mark.parametrize("flags", [{}, {"head": "logistic"}, {"coverage": 0.0}, {"label_smoothing": 0.1}])
def test_the_others_go_with_it(tmp_path, flags):
    config = RunConfig(image_dir=str(tmp_path), multi_label=True, **flags)
    assert [one for one in config.problems() if "multi_label" in one] == []


TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]], np.bool_)
SCORES = np.array([[0.9, 0.2, 0.1], [0.4, 0.8, 0.1], [0.6, 0.7, 0.2], [0.1, 0.3, 0.1]], np.float32)


def test_numbers_of_each_label_and_of_all_together():
    found = measure_labels(SCORES, TRUTH, SCORES >= 0.5, ("a", "b", "c"))
    assert (found.exact.right, found.exact.count) == (1, 4)
    assert found.hamming_loss.value == pytest.approx(3 / 12)
    a, b, c = found.labels
    assert (a.count, a.guessed, a.recall.value, a.precision.value, a.f1.value) == (2, 2, 0.5, 0.5, 0.5)
    assert a.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (b.recall.value, b.precision.value) == (pytest.approx(2 / 3), 1)
    assert b.recall.low == pytest.approx(0.2077, abs=1e-4)  # Wilson's, of 2 in 3
    assert found.mean_average_precision.value == pytest.approx((5 / 6 + 1) / 2)
    assert [one.value for one in found.average_precisions[:2]] == pytest.approx([5 / 6, 1])
    assert np.isnan(found.average_precisions[2].value)
    assert a.roc_auc.value == 0.75
    assert c.count == 0
    assert np.isnan(c.average_precision)
    assert "1 of 3 labels are on no photograph here" in found.notes[0]
    assert json.dumps(found.numbers_json(), allow_nan=False)
    assert "over 2 labels" in labels_line(found)


def test_photographs_of_a_group_count_as_fewer():
    alone = measure_labels(SCORES, TRUTH, SCORES >= 0.5, ("a", "b", "c"))
    grouped = measure_labels(SCORES, TRUTH, SCORES >= 0.5, ("a", "b", "c"), np.array([0, 0, 1, 1]))
    assert grouped.groups == 2
    assert grouped.effective_count < 4
    assert grouped.exact.high > alone.exact.high


def test_the_sentence_says_what_is_known():
    none = measure_labels(SCORES[:0], TRUTH[:0], TRUTH[:0], ("a", "b", "c"))
    whole = measure_labels(SCORES, TRUTH, SCORES >= 0.5, ("a", "b", "c"))
    assert labels_sentence(none, None) == "No photograph was kept for the final test; cross-validation was left out."
    said = labels_sentence(whole, whole)
    assert "With 4 test photographs" in said
    assert "Hardest is 'a': 50 %" in said
    never = measure_labels(SCORES, TRUTH, np.zeros_like(TRUTH), ("a", "b", "c"))
    assert "given to none of the 2 photographs" in labels_sentence(whole, never)


def labelled(count=150, width=8, seed=0):
    generator = np.random.default_rng(seed)
    targets = (generator.random((count, 3)) < [0.5, 0.4, 0.2]).astype(np.float32)
    targets[targets.sum(axis=1) == 0, 0] = 1
    axes = np.linalg.qr(generator.standard_normal((width, 3)))[0].T * 4
    features = (targets @ axes + generator.standard_normal((count, width))).astype(np.float32)
    return features, targets


RECIPE = Recipe(1, 0.01, 1, 0.0, kind="logistic")


def test_cross_validation_ranks_what_can_be_told_and_keeps_copies_together():
    features, targets = labelled()
    keys = [digest(b"%d" % (n // 2)) for n in range(len(targets))]
    told = []
    crossed = cross_validate_labels(features, targets, targets.argmax(axis=1), keys, RECIPE, 3, lambda: told.append(1))
    assert len(told) == 3
    assert (crossed.folds[::2] == crossed.folds[1::2]).all()
    said = crossed.said_by_others(targets)
    assert (said == (targets == 1)).mean() > 0.93
    noise = np.random.default_rng(1).standard_normal(features.shape).astype(np.float32)
    unknown = cross_validate_labels(noise, targets, targets.argmax(axis=1), keys, RECIPE, 3, lambda: None)
    names = ("a", "b", "c")
    assert measure_labels(unknown.scores, targets == 1, said, names).roc_auc.value < 0.65


def test_thresholds_are_not_chosen_on_the_photographs_that_they_are_held_against():
    features, targets = labelled()
    keys = [digest(b"%d" % n) for n in range(len(targets))]
    crossed = cross_validate_labels(features, targets, targets.argmax(axis=1), keys, RECIPE, 2, lambda: None)
    changed = targets.copy()
    changed[crossed.folds == 0] = 1 - changed[crossed.folds == 0]
    own = crossed.folds == 0
    assert (crossed.said_by_others(targets)[own] == crossed.said_by_others(changed)[own]).all()
    assert label_thresholds(crossed.scores, targets).shape == (3,)


def test_a_label_that_no_training_photograph_has_gets_a_head_all_the_same():
    features, targets = labelled()
    targets[:, 2] = 0
    targets[0, 2] = 1
    keys = [digest(b"%d" % n) for n in range(len(targets))]
    crossed = cross_validate_labels(features, targets, targets.argmax(axis=1), keys, RECIPE, 3, lambda: None)
    assert np.isfinite(crossed.scores).all()
    assert crossed.scores[1:, 2].max() < 0.5


def test_exports_are_compared_by_all_labels():
    reference = np.array([[0.9, 0.51], [0.9, 0.1], [0.2, 0.6]], np.float32)
    other = np.array([[0.8, 0.49], [0.7, 0.2], [0.1, 0.3]], np.float32)
    assert compare_scores(reference, other).agreeing == 3
    found = compare_scores(reference, other, thresholds=(0.5, 0.5))
    assert (found.agreeing, found.ties) == (1, 0)
    near = compare_scores(reference, other, tie=0.04, thresholds=(0.5, 0.5))
    assert (near.agreeing, near.ties) == (1, 1)
    # Each label is held to the limit by itself: the second one differs twice, the first one never.
    assert found.agreement == pytest.approx(1 / 3)
    assert near.agreement == pytest.approx(2 / 3)
    assert found.passes(1.0, 0.33)
    assert not near.passes(1.0, 0.98)
    other[1] = np.nan
    broken = compare_scores(reference, other, thresholds=(0.5, 0.5))
    assert (broken.agreeing, broken.agreement) == (0, pytest.approx(0))
    yardstick = Yardstick(["x"] * 3, reference >= 0.5, None, None, (0.5, 0.5))
    assert yardstick.right(np.nan_to_num(other)) == 0
    assert yardstick.right(reference) == 3


BUNDLE = Bundle(("a", "b"), 2, 2, 0, 1, "input", "final_result", "x", "bundled", "a", 4, -1, "s" * 64, {}, {})


def test_thresholds_are_in_the_description_where_there_are_any():
    assert b"thresholds" not in BUNDLE.to_json()
    assert bundle_from_json(BUNDLE.to_json(), "m") == BUNDLE
    several = replace(BUNDLE, thresholds=(0.25, 1.0))
    assert bundle_from_json(several.to_json(), "m") == several


@pytest.mark.parametrize("given", [[0.5], [0.5, 2], [0.5, -1], [0.5, "x"], [0.5, True], "ab", {"a": 1}, [0.5, 1e999]])
def test_damaged_thresholds_are_refused(given):
    data = json.dumps({**json.loads(BUNDLE.to_json()), "thresholds": given}).encode()
    with pytest.raises(ModelError, match=r"damaged \(thresholds"):
        bundle_from_json(data, "m")
