import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import digest

from retrain.config.splits import GroupRule, parse_group_by
from retrain.dataset import (
    TESTING,
    TRAINING,
    VALIDATION,
    Catalog,
    ImageRecord,
    SplitRequest,
    merge_groups,
    plan_split,
    split_images,
    with_days,
)
from retrain.dataset.groups import group_keys, named_groups, names_of_groups
from retrain.errors import UsageError

REQUEST = SplitRequest("content", 10, 10)
ALL = {TRAINING, VALIDATION, TESTING}


def catalog_of_paths(paths, root="photos", side_folders=None):
    """A catalog in memory; the folder of a class is its label."""
    depth = 1 if side_folders else 0
    labels = sorted({path.split("/")[depth] for path in paths})
    records = [ImageRecord(path, labels.index(path.split("/")[depth]), 1, 0, 0) for path in paths]
    return Catalog(root, tuple(labels), tuple(records), side_folders=side_folders or {})


def shas_of(count, start=0):
    return [digest(b"%d" % number) for number in range(start, start + count)]


def groups_of(paths, group_by, **more):
    return named_groups(catalog_of_paths(paths, **more), parse_group_by(group_by))[0]


def split_of(paths, group_by, shas=None, request=REQUEST, **more):
    catalog = catalog_of_paths(paths, **more)
    plan, problems = plan_split(catalog, group_by)
    assert problems == []
    return split_images(catalog, shas or shas_of(len(paths)), request, plan)


@pytest.mark.parametrize(
    ("rule", "groups"),
    [
        ("folder", {"a/s1/2.jpg": "s1", "b/s1/3.jpg": "s1", "b/s2/t/4.jpg": "s2/t"}),
        ("nohash", {"a/leaf_nohash_1.jpg": "a/leaf"}),
        ("regex:(s[0-9])", {"a/s1/2.jpg": "s1", "b/s1/3.jpg": "s1", "b/s2/t/4.jpg": "s2"}),
        ("regex:^b/s", {"b/s1/3.jpg": "b/s", "b/s2/t/4.jpg": "b/s"}),
        ("regex:b/(x)?", {}),
    ],
)
def test_what_names_the_group_of_a_photograph(rule, groups):
    paths = ["a/1.jpg", "a/s1/2.jpg", "b/s1/3.jpg", "b/s2/t/4.jpg", "a/leaf_nohash_1.jpg"]
    assert groups_of(paths, rule) == groups


def test_folders_of_sides_are_no_part_of_a_name():
    paths = ["train/a/s1/1.jpg", "val/a/s1/2.jpg", "val/a/x_nohash_1.jpg", "train/b/1.jpg"]
    sides = {"train": TRAINING, "val": VALIDATION}
    assert groups_of(paths, "folder", side_folders=sides) == {paths[0]: "s1", paths[1]: "s1"}
    assert groups_of(paths, "nohash", side_folders=sides) == {paths[2]: "a/x"}
    assert set(groups_of(paths, "regex:^[ab]/", side_folders=sides).values()) == {"a/", "b/"}


def test_a_list_need_not_have_class_folders():
    records = (ImageRecord("night1/x.jpg", 0, 1, 0, 0), ImageRecord("a/night2/y.jpg", 0, 1, 0, 0))
    catalog = Catalog("photos", ("a",), records)
    assert named_groups(catalog, GroupRule("folder"))[0] == {"night1/x.jpg": "night1", "a/night2/y.jpg": "night2"}


def test_groups_from_a_table(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("group,path,more\nm13,a/1.jpg,x\nm13,b/2.jpg,x\n,a/3.jpg,x\n", encoding="utf-8-sig")
    paths = ["a/1.jpg", "b/2.jpg", "a/3.jpg", "b/4.jpg"]
    assert groups_of(paths, f"csv:{table}") == {"a/1.jpg": "m13", "b/2.jpg": "m13"}


def test_all_problems_of_a_table_of_groups_are_listed(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("path,group\na/1.jpg,x\na/9.jpg,x\na/1.jpg,y\nonly\n")
    problems = plan_split(catalog_of_paths(["a/1.jpg", "b/2.jpg"]), f"csv:{table}")[1]
    text = "\n".join(problems)
    assert "line 5 does not have 2 cells" in text
    assert "line 3 names no photograph of photos: 'a/9.jpg' (paths are given from the image folder on" in text
    assert "line 4 names 'a/1.jpg', as line 2 does" in text
    assert all(problem.startswith(f"--group_by=csv:{table}: ") for problem in problems)


def test_many_problems_of_one_kind_are_counted(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("path,group\n" + "".join(f"a/x{n}.jpg,g\n" for n in range(100)))
    problems = plan_split(catalog_of_paths(["a/1.jpg", "b/2.jpg"]), f"csv:{table}")[1]
    assert len(problems) == 6
    assert "and 95 more of this kind" in problems[5]


def test_a_rule_that_finds_no_group_and_one_that_finds_a_single_one_are_refused():
    paths = ["a/1.jpg", "b/2.jpg"]
    (none,) = plan_split(catalog_of_paths(paths), "folder")[1]
    assert none.startswith("--group_by=folder finds no group for any photograph, such as 'a/1.jpg'")
    (one,) = plan_split(catalog_of_paths(paths), "regex:jpg")[1]
    assert one.startswith("--group_by=regex:jpg puts all 2 photographs into one group")


def test_days_are_groups_and_all_photographs_of_one_day_cannot_be_split():
    catalog = catalog_of_paths([f"a/{n}.jpg" for n in range(4)] + ["b/4.jpg"])
    plan, problems = plan_split(catalog, "exif_date")
    assert problems == []
    split = split_images(catalog, shas_of(5), REQUEST, with_days(plan, catalog, ["2024-01-01"] * 3 + ["", ""]))
    assert split.groups == ("2024-01-01",) * 3 + ("", "")
    assert len(set(split.sides[:3].tolist())) == 1
    with pytest.raises(UsageError, match="all 5 photographs into one group"):
        with_days(plan, catalog, ["2024-01-01"] * 5)
    with pytest.raises(UsageError, match="finds no group for any photograph"):
        with_days(plan, catalog, [""] * 5)


def test_the_key_of_a_group_is_frozen_and_of_no_photograph():
    # Never change these: every grouped photograph of every user may change sides.
    assert group_keys(["m13"], [bytes(32)])[0].hex() == digest(b"group\0m13").hex()
    assert group_keys([""], [bytes(32)]) == [bytes(32)]


PAIRS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=15)


def slow_merge(keys, pairs):
    """The same, by repeated painting."""
    keys = list(keys)
    for _ in range(len(keys) * (len(pairs) + 1)):
        for one, other in pairs:
            low, high = sorted((keys[one], keys[other]))
            keys = [low if key == high else key for key in keys]
    return keys


@settings(max_examples=100)
@given(numbers=st.lists(st.integers(0, 8), min_size=12, max_size=12), pairs=PAIRS, seed=st.integers(0, 99))
def test_groups_are_joined_whatever_the_order_of_pairs(numbers, pairs, seed):
    keys = [digest(b"%d" % number) for number in numbers]
    merged = merge_groups(keys, pairs)
    assert merged == slow_merge(keys, pairs)
    mixed = [pairs[i][::-1] for i in np.random.default_rng(seed).permutation(len(pairs))]
    assert merge_groups(keys, mixed) == merged


def test_a_long_chain_of_near_duplicates_is_one_group():
    keys = shas_of(50_000)
    merged = merge_groups(keys, zip(range(49_999), range(1, 50_000), strict=True))
    assert set(merged) == {min(keys)}


def test_groups_that_share_an_exact_copy_are_one_and_are_named_so_that_they_read_back():
    names, shas = ["m13", "m13", "m3", "", "", ""], shas_of(6)
    shas[2] = shas[1]
    shas[4] = shas[3]
    keys = group_keys(names, shas)
    assert len({keys[0], keys[1], keys[2]}) == 1
    assert keys[3] == keys[4] == shas[3]
    told = names_of_groups(names, keys)
    assert told == ["m13", "m13", "m13", shas[3].hex()[:16], shas[3].hex()[:16], ""]
    again = group_keys(told, shas)
    assert [again.index(key) for key in again] == [keys.index(key) for key in keys]


FILES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 30)), min_size=2, max_size=60, unique=True
)


@settings(max_examples=150)
@given(files=FILES, shares=st.sampled_from([(10, 10), (45, 45), (0, 20), (0, 0), (80, 19)]))
def test_whatever_the_groups_they_and_copies_stay_together_and_classes_are_trained_on(files, shares):
    paths = [f"c{label}/s{group}/{number}.jpg" for number, (label, group, _) in enumerate(files)]
    shas = [digest(b"%d" % content) for _, _, content in files]
    catalog = catalog_of_paths(paths)
    plan = plan_split(catalog, "folder")[0]
    request = SplitRequest("content", *shares)
    if len(set(group_keys([f"s{group}" for _, group, _ in files], shas))) == 1:
        with pytest.raises(UsageError, match="into one group"):
            split_images(catalog, shas, request, plan)
        return
    split = split_images(catalog, shas, request, plan)
    side_of = {}
    for (_, group, content), side in zip(files, split.sides.tolist(), strict=True):
        assert side_of.setdefault(("group", group), side) == side
        assert side_of.setdefault(("content", content), side) == side
    for label in range(len(catalog.labels)):
        assert TRAINING in split.sides[[record.label == label for record in catalog.records]]
    assert len(set(split.keys)) == len({(key, side) for key, side in zip(split.keys, split.sides, strict=True)})


@settings(max_examples=150)
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=5), grouped=st.booleans(), seed=st.integers(0, 9999))
def test_classes_of_no_one_two_three_photographs_are_split_or_noted(counts, grouped, seed):
    records = [
        ImageRecord(f"c{label}/g{seed}_{label}_{number}/x.jpg", label, 1, 0, 0)
        for label, count in enumerate(counts)
        for number in range(count)
    ]
    catalog = Catalog("p", tuple(f"c{label}" for label in range(len(counts))), tuple(records))
    plan = plan_split(catalog, "regex:g[0-9_]+" if grouped else "")[0]
    if grouped and len(records) == 1:
        return
    split = split_images(catalog, shas_of(len(records), seed), REQUEST, plan)
    for label, count in enumerate(counts):
        here = set(split.sides[[record.label == label for record in records]].tolist())
        assert here == ALL or count < 3
        assert (TRAINING in here) == (count > 0)
        assert any(f"class 'c{label}' has {count} " in note for note in split.notes) == (count < 3)


@pytest.mark.parametrize("attempt", range(10))
def test_classes_that_share_all_their_groups_still_have_every_side(attempt):
    paths = [f"{label}/night{attempt}_{night}/{n}.jpg" for label in "ab" for night in range(4) for n in range(5)]
    split = split_of(paths, "folder")
    assert set(split.sides[:20].tolist()) == set(split.sides[20:].tolist()) == ALL
    assert split.notes == ()


def test_a_class_with_too_few_groups_is_named_with_the_number_to_look_at():
    paths = [f"a/night{night}/{n}.jpg" for night in range(2) for n in range(30)] + [f"b/{n}.jpg" for n in range(30)]
    (note,) = split_of(paths, "folder").notes
    assert note.startswith("class 'a' has 2 groups (--group_by=folder), too few to be trained on")
    assert "cross-validated accuracy is the number to look at" in note


def test_a_group_that_another_class_is_trained_on_is_not_moved_out_of_training():
    paths = ["a/g1/1.jpg", "a/g1x/2.jpg", "a/g1y/3.jpg", "b/g1/4.jpg"]
    split = split_of(paths, "folder")
    assert set(split.sides[:3].tolist()) == ALL
    assert [note.split(",")[0] for note in split.notes] == ["class 'b' has 1 groups (--group_by=folder)"]


def grouped_sides(paths, shas, group_by, root="photos"):
    split = split_of(paths, group_by, shas, root=root)
    return dict(zip(shas, split.sides.tolist(), strict=True))


@pytest.mark.parametrize("rule", ["folder", "nohash", "regex:(plant[0-9]+)"])
def test_adding_to_groups_renaming_and_moving_move_no_old_photograph(rule):
    names = [f"{label}/plant{plant}/leaf{plant}_nohash_{shot}.jpg" for label in ("oak", "elm")
             for plant in range(100) for shot in range(5)]  # fmt: skip
    new = [name.replace("_nohash_", "_nohash_new") for name in names]
    shas, more = shas_of(1000), shas_of(1000, 1000)
    before = grouped_sides(names, shas, rule)
    after = grouped_sides(names + new, shas + more, rule, root="/mnt/elsewhere")
    renamed = grouped_sides([name.replace("_nohash_", "_nohash_renamed_") for name in names], shas, rule)
    assert {sha: after[sha] for sha in before} == before == renamed
    assert len(set(before.values())) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folders", "expected --group_by to be one of folder, nohash, exif_date, csv:FILE, regex:PATTERN, got 'folders'; did you mean folder?"),
        ("csv", "got 'csv'"),
        ("csv:", "expected something behind the colon"),
        ("csv:none.csv", "expected a CSV file, there is none"),
        ("csv:.", "expected a CSV file, got a folder"),
        ("regex:(", "expected a regular expression, got '('"),
        ("poets:x", "expected --group_by to be one of"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_read_is_said(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problem = parse_group_by(text)
    assert isinstance(problem, str)
    assert said in problem


def test_rules_that_can_be_read(tmp_path):
    table = tmp_path / "a:b.csv"
    table.write_text("path,group\n")
    assert parse_group_by("") == GroupRule("")
    assert parse_group_by("exif_date") == GroupRule("exif_date")
    assert parse_group_by(f"csv:{table}") == GroupRule("csv", str(table))
    assert parse_group_by("regex:a:b") == GroupRule("regex", "a:b")
