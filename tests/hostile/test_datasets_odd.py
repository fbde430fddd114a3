"""Sets of photographs that are too few, too alike or too many to learn from: a valid model, or sentences; never a traceback."""

from __future__ import annotations

import csv
import re
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees_drawn import ANY_TREE, FLAGS, SETS, lay_out, run_on_set, run_on_tree
from trees_runs import Runs, photograph

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes, links and alarms as POSIX has them")

# The long run draws 1,000 of each (scripts/soak/trees.py).
QUICK = settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("odd"))


@QUICK
@given(classes=SETS, flags=FLAGS)
def test_any_set_ends_with_a_model_or_in_sentences(runs, classes, flags):
    run_on_set(runs, classes, flags)


@QUICK
@given(tree=ANY_TREE, flags=FLAGS, recursive=st.booleans())
def test_any_tree_ends_with_a_model_or_in_sentences(runs, tree, flags, recursive):
    run_on_tree(runs, tree, flags, recursive=recursive)


# What is in each class -> words of the answer; empty: a model comes of it.
SMALL = {
    "no class": ([], "No valid folders of images"),
    "one class": ([["new"] * 5], "Only one valid folder of images"),
    "one photograph in all": ([["new"]], "Only one valid folder of images"),
    "one photograph and none": ([["new"], []], "holds no images"),
    "a class of none": ([["new"] * 3, [], ["new"] * 3], "'"),
    "one each": ([["new"], ["new"]], ""),
    "one, two and three": ([["new"], ["new"] * 2, ["new"] * 3], ""),
    "two each": ([["new"] * 2] * 2, ""),
    "three each": ([["new"] * 3] * 2, ""),
    "one and many": ([["new"], ["new"] * 12], ""),
    "all the same": ([["same"] * 4] * 3, "are one picture, exactly or nearly"),
    "the same in each class": ([["copy"] * 4] * 3, ""),
    "one class of the same": ([["copy"] * 4, ["new"] * 4], ""),
    "none can be read": ([["no image"] * 3] * 2, "too many images cannot be read: 6 of 6"),
    "one class cannot be read": ([["new"] * 40, ["cut"] * 2], "no image that can be read"),
    "only text": ([["text"] * 3] * 2, "holds no images"),
    "only hidden": ([["hidden"] * 3] * 2, "holds no images"),
    "only sub-folders": ([["sub"] * 3] * 2, "is not read"),
    "many are broken": ([["new"] * 3 + ["cut"] * 3] * 2, "too many images cannot be read"),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_set_is_trained_on_or_refused(runs, name):
    classes, words = SMALL[name]
    lay_out(runs.fresh(), classes)
    ended = runs.run()
    assert bool(ended.code) == bool(words), ended
    assert words in ended.err


@pytest.mark.parametrize(("testing", "validation"), [(0, 0), (0, 10), (10, 0), (1, 1), (50, 49), (98, 1)])
@pytest.mark.parametrize("classes", [[["new"] * 2] * 2, [["new"]] * 3, [["copy"] * 3] * 2], ids=["two", "one", "same"])
def test_an_empty_side_of_the_split_is_got_through(runs, testing, validation, classes):
    lay_out(runs.fresh(), classes)
    ended = runs.run(f"--testing_percentage={testing}", f"--validation_percentage={validation}")
    assert ended.code == 0, ended


def rows_of(runs, name):
    with (runs.place / "out" / f"model.{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def planted(root, share=0.05, count=200, seed=0):
    """Photographs in four classes, some of them there twice; the paths of those that are one."""
    random = np.random.default_rng(seed)
    places = [root / f"class {number % 4}" / f"{number}.png" for number in range(count)]
    for number, path in enumerate(places):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photograph(number, (24, 16)))
    pairs = []
    for number in random.choice(count, round(share * count), replace=False).tolist():
        copy = root / f"class {random.integers(4)}" / f"copy of {number}.png"
        copy.write_bytes(places[number].read_bytes())
        pairs.append((str(places[number].relative_to(root)), str(copy.relative_to(root))))
    return pairs


def test_planted_copies_are_all_found_and_lie_on_one_side(runs):
    pairs = planted(runs.fresh())
    assert len(pairs) == 10
    assert runs.run("--near_duplicates=ignore").code == 0
    side_of = {row["path"]: row["split"] for row in rows_of(runs, "split")}
    assert len(side_of) == 210
    assert [pair for pair in pairs if side_of[pair[0]] != side_of[pair[1]]] == []
    page = (runs.place / "out" / "report.html").read_text("utf-8")
    assert "10 groups of photographs that are one picture; none on both sides of the split" in page
    assert re.search(r"Cross-validation: accuracy [0-9.]+ % on 210 photographs; without the 10 that are copies", page)


def test_copies_that_a_person_put_on_two_sides_are_said_with_what_they_do_to_the_accuracy(runs):
    root = runs.fresh()
    for side, seeds in (("train", range(20)), ("test", [*range(4), *range(100, 106)])):
        for seed in seeds:
            path = root / side / f"class {seed % 2}" / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photograph(seed))
    ended = runs.run("--cross_validation_folds=0", "--near_duplicates=ignore")
    assert ended.code == 0, ended
    assert "accuracy will look better than it is" in ended.out
    page = (runs.place / "out" / "report.html").read_text("utf-8")
    assert "4 groups on both sides of the split" in page
    assert re.search(r"Final test: accuracy [0-9.]+ % on 10 photographs; without the 4 that are copies", page)
