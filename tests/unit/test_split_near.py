"""Near duplicates and the split: one side, one fold, one group in the table."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import catalog_of, write_tree

from retrain import journal
from retrain.console import Console
from retrain.dataset import SplitRequest, plan_split, scan_folder, split_csv, split_images
from retrain.dataset.groups import merge_groups
from retrain.head.folds import assign_folds

CONTENT, POETS = SplitRequest("content", 10, 10), SplitRequest("poets", 10, 10)


def contents(count, prefix):
    return [f"{prefix} {number}".encode() for number in range(count)]


def two_classes(count=100, twice=0):
    """Two classes; the first photograph of each is there ``twice`` more times."""
    return {label: contents(count, label) + [f"{label} 0".encode()] * twice for label in ("a", "b")}


# Pairs of every distance, across classes as well; three make one group.
PAIRS = [(0, 1), (1, 2), (10, 150), *((20 + 2 * n, 21 + 2 * n) for n in range(30))]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=50), st.integers(0, 2))
def test_no_pair_lies_on_two_sides_or_in_two_folds_whatever_the_pairs(pairs, twice):
    catalog, shas = catalog_of(two_classes(30, twice))
    pairs = [(one, other) for one, other in pairs if one != other]
    split = split_images(catalog, shas, CONTENT, near=pairs)
    labels = np.array([record.label for record in catalog.records])
    folds = assign_folds(labels, split.keys, 5, by_size=True)
    for one, other in pairs:
        assert split.sides[one] == split.sides[other]
        assert folds[one] == folds[other]
    assert bool(split.near) == bool(pairs)
    for label in range(2):
        assert 0 in split.sides[labels == label]


def test_what_was_found_is_said_in_one_line(capsys):
    catalog, shas = catalog_of(two_classes(twice=1))
    journal.tell_split(split_images(catalog, shas, CONTENT, near=[(0, 1), (5, 120)]), Console())
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["5 photographs are near duplicates of others (2 groups); each group lies on one side"]
    journal.tell_split(split_images(catalog, shas, CONTENT), Console())
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_poets_rule_moves_nothing_and_counts_the_pairs(tmp_path):
    catalog, shas = catalog_of(two_classes())
    plain, split = (split_images(catalog, shas, POETS, near=near) for near in ((), PAIRS))
    assert (plain.sides == split.sides).all()
    assert split.groups is None
    assert split_csv(catalog, shas, plain) == split_csv(catalog, shas, split)
    torn = sum(plain.sides[one] != plain.sides[other] for one, other in PAIRS)
    assert torn > 1
    assert f"{torn} pairs of near duplicates lie on two sides, such as 'a/" in split.notes[-1]
    assert split.notes[-1].endswith(
        "--split_rule=poets places each path by itself: accuracy will look better than it is"
    )
    assert split.near == "65 photographs are near duplicates of others (32 groups)"
    assert len(set(split.keys)) == 200 - len(PAIRS)  # cross-validation keeps them together all the same


def test_the_table_has_the_groups_and_reads_back(tmp_path):
    root = write_tree(tmp_path / "p", {c: {f"{n}.jpg": b"%s %d" % (c.encode(), n) for n in range(50)} for c in "ab"})
    catalog = scan_folder(str(root), "folder")
    shas = catalog_of({c: [(root / r.path).read_bytes() for r in catalog.records if r.path[0] == c] for c in "ab"})[1]
    near = [(0, 1), (1, 60), (4, 5)]
    split = split_images(catalog, shas, CONTENT, near=near)
    (tmp_path / "split.csv").write_text(split_csv(catalog, shas, split))
    assert (tmp_path / "split.csv").read_text().startswith("path,label,split,sha256,group\n")
    for again in (near, []):
        plan, problems = plan_split(catalog, "", str(tmp_path / "split.csv"))
        assert problems == []
        second = split_images(catalog, shas, CONTENT, plan, again)
        assert (second.sides == split.sides).all()
        assert second.groups == split.groups
        assert merge_groups(second.keys, near) == list(second.keys)
        assert split_csv(catalog, shas, second) == (tmp_path / "split.csv").read_text()


def fixed_by_folders(tmp_path):
    tree = {f"{side}/{c}": {f"{n}.jpg": f"{side} {c} {n}".encode() for n in range(10)}
            for side, c in itertools.product(("train", "test"), "ab")}  # fmt: skip
    root = write_tree(tmp_path / "p", tree)
    catalog = scan_folder(str(root), "folder")
    contents = {
        c: [(root / r.path).read_bytes() for r in catalog.records if catalog.labels[r.label] == c] for c in "ab"
    }
    return catalog, catalog_of(contents)[1]


def test_folders_that_tear_them_apart_are_left_alone_and_told(tmp_path):
    catalog, shas = fixed_by_folders(tmp_path)
    paths = [record.path for record in catalog.records]
    near = [(paths.index("train/a/1.jpg"), paths.index("test/a/2.jpg")), (0, 1)]
    plain, split = (split_images(catalog, shas, CONTENT, near=pairs) for pairs in ([], near))
    tests = [i for i, path in enumerate(paths) if path.startswith("test/")]
    assert split.sides[tests].tolist() == [2] * len(tests) == plain.sides[tests].tolist()
    assert "1 pair of near duplicates lies on two sides, such as 'train/a/1.jpg' and 'test/a/2.jpg'" in split.notes[-1]
    assert split.near == "4 photographs are near duplicates of others (2 groups)"
    # A table may not tear a group, so that one is not named as one.
    (tmp_path / "split.csv").write_text(split_csv(catalog, shas, split))
    plan, problems = plan_split(catalog, "", str(tmp_path / "split.csv"))
    assert problems == []
    assert (split_images(catalog, shas, CONTENT, plan, near).sides == split.sides).all()


def test_only_copies_of_theirs_on_two_sides_are_told_once(tmp_path):
    catalog, shas = fixed_by_folders(tmp_path)
    paths = [record.path for record in catalog.records]
    first, copy = paths.index("train/a/1.jpg"), paths.index("test/a/2.jpg")
    shas[copy] = shas[first]
    split = split_images(catalog, shas, CONTENT, near=[(first, paths.index("train/a/3.jpg"))])
    assert split.near == "3 photographs are near duplicates of others (1 group)"
    assert [note for note in split.notes if "lie" in note] == [
        "1 photographs or groups lie on two sides, such as 'test/a/2.jpg' and 'train/a/1.jpg', because their folders "
        "or --split_file put them there: accuracy will look better than it is"
    ]


def test_photographs_that_are_all_one_picture_leave_something_to_train_on():
    catalog, shas = catalog_of({"a": contents(5, "a"), "b": contents(5, "b")})
    split = split_images(catalog, shas, CONTENT, near=[(n, n + 1) for n in range(9)])
    assert set(split.sides.tolist()) == {0}
    assert sum("too few" in note for note in split.notes) == 2


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_photographs_and_pairs_does_not_matter(seed):
    catalog, shas = catalog_of(two_classes())
    split = split_images(catalog, shas, CONTENT, near=PAIRS)
    order = np.random.default_rng(seed).permutation(len(shas))
    place = np.argsort(order)
    mixed = type(catalog)(catalog.root, catalog.labels, tuple(catalog.records[i] for i in order))
    pairs = [(int(place[b]), int(place[a])) for a, b in reversed(PAIRS)]
    again = split_images(mixed, [shas[i] for i in order], CONTENT, near=pairs)
    assert (again.sides == split.sides[order]).all()
