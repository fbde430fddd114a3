"""The figure of the split: photographs of a real tree that change sides when it is added to, renamed and moved."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from support import catalog_of, digest, write_tree

from retrain.dataset import TESTING, VALIDATION, SplitRequest, plan_split, scan_folder, split_csv, split_images
from retrain.dataset.groups import group_keys
from retrain.dataset.split import content_percentage

REQUEST = SplitRequest("content", 10, 10)
# Which of sixty contents ("photo 0" ...) lie on which side. Never change it without a new split rule.
GOLDEN_VALIDATION = [9, 22, 46, 58]
GOLDEN_TESTING = [12, 16, 18, 26, 30, 35]


def tree_of(root, count, prefix, shot=""):
    """Photographs in two classes, five of each plant."""
    for label in ("oak", "elm"):
        files = {
            f"{prefix}{n // 5}_nohash_{shot}{n % 5}.jpg": f"{label} {prefix} {shot} {n}".encode()
            for n in range(count // 2)
        }
        write_tree(root, {label: files})
    return root


def near_pairs(contents):
    """Photographs whose words are the same but for the last are near duplicates."""
    first, pairs = {}, []
    for index, content in enumerate(contents):
        words = content.rsplit(b" ", 1)[0] if content.startswith(b"burst") else content
        if first.setdefault(words, index) != index:
            pairs.append((first[words], index))
    return pairs


def sides_of(root, group_by="", split_file=""):
    catalog = scan_folder(str(root), "folder")
    contents = [(root / record.path).read_bytes() for record in catalog.records]
    shas = [digest(content) for content in contents]
    plan, problems = plan_split(catalog, group_by, split_file)
    assert problems == []
    split = split_images(catalog, shas, REQUEST, plan, near_pairs(contents))
    return dict(zip(contents, split.sides.tolist(), strict=True)), split_csv(catalog, shas, split)


def moved(before, after):
    return sum(after[content] != side for content, side in before.items())


@pytest.mark.parametrize("rule", ["", "nohash", "regex:plant[0-9]+"])
def test_adding_a_thousand_renaming_a_thousand_and_moving_the_folder_move_none(tmp_path, rule):
    root = tree_of(tmp_path / "photos", 2000, "plant")
    before, _ = sides_of(root, rule)
    assert len(before) == 2000
    assert len(set(before.values())) == 3

    tree_of(root, 500, "plant", "new")  # into groups that are there
    tree_of(root, 500, "weed")  # and into new ones
    added, _ = sides_of(root, rule)
    assert (len(added), moved(before, added)) == (3000, 0)

    for path in sorted(root.glob("*/*.jpg"))[::3]:
        path.rename(path.with_name(path.name.replace("_nohash_", "_nohash_renamed_")))
    assert len(list(root.glob("*/*_renamed_*"))) == 1000
    renamed, _ = sides_of(root, rule)
    assert moved(added, renamed) == 0

    (tmp_path / "else").mkdir()
    shutil.move(root, tmp_path / "else" / "where")
    assert moved(renamed, sides_of(tmp_path / "else" / "where", rule)[0]) == 0


def bursts(root, numbers, shots):
    """Near duplicates: several shots of one thing."""
    for label in ("oak", "elm"):
        files = {f"burst{n}-{shot}.jpg": f"burst {label} {n} {shot}".encode() for n in numbers for shot in shots}
        write_tree(root, {label: files})


def test_near_duplicates_move_nothing_but_the_group_that_a_new_one_of_a_lower_place_joins(tmp_path):
    root = tree_of(tmp_path / "photos", 1000, "plant")
    bursts(root, range(100), range(2))
    before, _ = sides_of(root)
    tree_of(root, 500, "weed")
    bursts(root, range(100, 200), range(2))  # near duplicates of each other alone
    added, _ = sides_of(root)
    assert moved(before, added) == 0

    for number, path in enumerate(sorted(root.glob("*/*.jpg"))):
        path.rename(path.with_name(f"{number * 7919 % 4001}.png"))
    (tmp_path / "else").mkdir()
    shutil.move(root, tmp_path / "else" / "where")
    root = tmp_path / "else" / "where"
    renamed, _ = sides_of(root)
    assert moved(added, renamed) == 0

    bursts(root, range(100), [9])
    joined, _ = sides_of(root)
    went = {content for content, side in renamed.items() if joined[content] != side}
    assert went  # else nothing is shown
    for content in went:
        group = [one for one in joined if one.rsplit(b" ", 1)[0] == content.rsplit(b" ", 1)[0]]
        assert min(group, key=lambda one: content_percentage(digest(one))).endswith(b" 9")
        assert len({joined[one] for one in group}) == 1


def test_names_that_are_all_new_move_nothing_without_groups(tmp_path):
    root = tree_of(tmp_path / "photos", 1000, "plant")
    before, _ = sides_of(root)
    for number, path in enumerate(sorted(root.glob("*/*.jpg"))):
        path.rename(path.with_name(f"{number * 7919 % 1009}.png"))
    assert moved(before, sides_of(root)[0]) == 0


@pytest.mark.parametrize("count", [6, 10, 20, 40])
def test_the_earlier_list_keeps_classes_where_they_were_that_are_too_small_for_it(tmp_path, count):
    root = tree_of(tmp_path / "photos", count, "few")
    before, table = sides_of(root)
    (tmp_path / "old.csv").write_text(table)
    tree_of(root, 1000, "more")
    assert moved(before, sides_of(root, split_file=str(tmp_path / "old.csv"))[0]) == 0


def test_the_golden_list():
    contents = [f"photo {number}".encode() for number in range(60)]
    catalog, shas = catalog_of({"a": contents, "b": [b"other %d" % number for number in range(60)]})
    split = split_images(catalog, shas, REQUEST)
    assert [i for i in split.indices(VALIDATION) if i < 60] == GOLDEN_VALIDATION
    assert [i for i in split.indices(TESTING) if i < 60] == GOLDEN_TESTING


def test_the_golden_list_of_groups():
    keys = group_keys([f"group {number}" for number in range(60)], [digest(b"%d" % number) for number in range(60)])
    places = [content_percentage(key) for key in keys]
    assert [number for number, place in enumerate(places) if place < 10] == [13, 16, 27, 30, 47]
    assert [number for number, place in enumerate(places) if 10 <= place < 20] == [2, 6, 9, 42, 58]


# Of the contents "photo 0" to "photo 9999" in four classes, the SHA-256 of their sides, a byte each; and of the names
# that the original rule places. Never change one without a new split rule: everybody's photographs would change sides.
GOLDEN_CONTENTS = {
    (10, 10): "8879507ea8f0e7550c9a1770f9ca12d2510aed1b1329e4c0b5913876d12c1a2b",
    (20, 5): "ab75dfd2649fc8e4c562a788c4a92be52206e4d5be4907b8e2befdee3add8836",
}
GOLDEN_NAMES = "75ad8dca1d80e190881e0ad26b247c3cbf1b8cef66af3747f9f35f35b34d00c8"


def ten_thousand(root="photos"):
    """Four classes of 2,500 photographs each, under names as people and cameras give them."""
    names = ("IMG_{:04}", "rose {} nohash", "{}_nohash_2", "Ünïcode-{}")
    return catalog_of(
        {f"class {c}": [b"photo %d" % (2500 * c + n) for n in range(2500)] for c in range(4)}, root
    ), names


def sha256_of(sides):
    return digest(np.asarray(sides, np.uint8).tobytes()).hex()


@pytest.mark.parametrize("percentages", GOLDEN_CONTENTS)
def test_the_golden_list_of_ten_thousand_contents(percentages):
    (catalog, shas), _ = ten_thousand()
    split = split_images(catalog, shas, SplitRequest("content", *percentages))
    assert np.bincount(split.sides, minlength=3).min() > 400
    assert sha256_of(split.sides) == GOLDEN_CONTENTS[percentages]


def test_the_golden_list_of_ten_thousand_names():
    (catalog, shas), names = ten_thousand("tf_files/photos")
    renamed = [
        replace(record, path=f"{record.path.split('/')[0]}/{names[number % 4].format(number)}.jpg")
        for number, record in enumerate(catalog.records)
    ]
    split = split_images(replace(catalog, records=tuple(renamed)), shas, SplitRequest("poets", 10, 10))
    assert np.bincount(split.sides, minlength=3).min() > 400
    assert sha256_of(split.sides) == GOLDEN_NAMES
