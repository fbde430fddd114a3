from pathlib import Path

import pytest
from support import digest, write_tree

from retrain.dataset import (
    TESTING,
    TRAINING,
    VALIDATION,
    SplitRequest,
    plan_split,
    scan_folder,
    scan_photographs,
    split_images,
)
from retrain.dataset.layout import Inside, find_layout, layout_note
from retrain.dataset.sides import SIDE_WORDS, side_named
from retrain.errors import UsageError

REQUEST = SplitRequest("content", 20, 20)


def tree_of(root, **sides):
    """A folder of side folders: side -> class -> how many photographs."""
    for side, classes in sides.items():
        for name, count in classes.items():
            write_tree(root / side, {name: {f"{n}.jpg": f"{side} {name} {n}".encode() for n in range(count)}})
    return root


def split_of(catalog, request=REQUEST):
    shas = [digest(Path(catalog.full_path(record)).read_bytes()) for record in catalog.records]
    return split_images(catalog, shas, request)


def sides_by_path(catalog, split):
    return {record.path: side for record, side in zip(catalog.records, split.sides.tolist(), strict=True)}


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "VALID", "Testing"), ("train", "test")])
def test_side_folders_decide_and_their_class_folders_are_the_labels(tmp_path, names):
    root = tree_of(tmp_path / "p", **{name: {"cats": 4, "dogs": 3} for name in names})
    catalog = scan_folder(str(root), "folder")
    assert catalog.problems == ()
    assert catalog.labels == ("cats", "dogs")
    assert catalog.count_by_label() == [4 * len(names), 3 * len(names)]
    folder = {side_named(name): name for name in names}
    assert catalog.side_folders == {name: side for side, name in folder.items()}
    for path, side in sides_by_path(catalog, split_of(catalog)).items():
        name = path.split("/")[0]
        assert side == side_named(name) or (name == folder[TRAINING] and side not in folder)


def test_a_side_without_a_folder_is_drawn_from_training_by_the_rule(tmp_path):
    root = tree_of(tmp_path / "p", train={"cats": 100, "dogs": 3}, test={"cats": 20, "dogs": 5})
    catalog = scan_folder(str(root), "folder")
    sides = sides_by_path(catalog, split_of(catalog))
    assert {side for path, side in sides.items() if path.startswith("test/")} == {TESTING}
    drawn = [side for path, side in sides.items() if path.startswith("train/")]
    assert set(drawn) == {TRAINING, VALIDATION}
    assert 5 < drawn.count(VALIDATION) < 40
    assert {sides[f"train/dogs/{n}.jpg"] for n in range(3)} == {TRAINING, VALIDATION}
    assert {side for path, side in sides_by_path(catalog, split_of(catalog, SplitRequest("content", 0, 20))).items()
            if path.startswith("train/")} == {TRAINING}  # fmt: skip


def test_the_poets_rule_draws_missing_sides_and_leaves_the_folders(tmp_path):
    root = tree_of(tmp_path / "p", train={"cats": 100, "dogs": 100}, val={"cats": 20, "dogs": 20})
    catalog = scan_folder(str(root), "folder")
    sides = sides_by_path(catalog, split_of(catalog, SplitRequest("poets", 20, 20)))
    assert {side for path, side in sides.items() if path.startswith("val/")} == {VALIDATION}
    assert {side for path, side in sides.items() if path.startswith("train/")} == {TRAINING, TESTING}


def test_it_is_said_and_can_be_switched_off(tmp_path):
    root = tree_of(tmp_path / "p", train={"cats": 4, "dogs": 3}, val={"cats": 1, "dogs": 1})
    note = layout_note(scan_folder(str(root), "folder").side_folders)
    assert note == (
        "Sub-folders decide the sides: train (training), val (validation); testing drawn from training by --split_rule "
        "(--no_subfolder_splits takes them for classes)"
    )
    plain = scan_folder(str(root), "folder", subfolder_splits=False)
    assert plain.labels == ("train", "val")
    assert plain.side_folders == {}
    assert len(plain.problems) == 2


@pytest.mark.parametrize(
    "inside",
    [
        {"train": (("a",), 0)},
        {"train": (("a",), 0), "train_old": (("a",), 0)},
        {"train": (("a",), 0), "val": (("a",), 0), "plane": (("a",), 0)},
        {"val": (("a",), 0), "test": (("a",), 0)},
        {"train": (("a",), 0), "training": (("a",), 0), "test": (("a",), 0)},
        {"train": ((), 5), "test": ((), 5)},
        {"train": (("a",), 1), "test": (("a",), 0)},
        {},
    ],
)
def test_what_is_not_unmistakable_is_classes(inside):
    layout = find_layout(list(inside), lambda name: Inside(*inside[name]), subfolder_splits=True)
    assert layout.sides == {}
    assert layout.training_folder == ""
    assert layout.classes == {name: (name,) for name in inside}


def test_folders_are_looked_into_only_where_their_names_fit():
    find_layout(["cats", "train"], lambda name: pytest.fail(name), subfolder_splits=True)
    find_layout(["test", "train"], lambda name: pytest.fail(name), subfolder_splits=False)


def test_a_class_that_is_not_in_training_is_a_problem(tmp_path):
    root = tree_of(tmp_path / "p", train={"cats": 4, "dogs": 3}, test={"cats": 1, "birds": 1})
    (problem,) = scan_folder(str(root), "folder").problems
    assert problem.startswith("class 'birds' has a folder in test but none in train, so that it cannot be learnt")


def test_a_class_that_a_side_folder_lacks_is_noted(tmp_path):
    root = tree_of(tmp_path / "p", train={"cats": 4, "dogs": 3}, val={"cats": 1, "dogs": 1}, test={"cats": 1})
    (note,) = split_of(scan_folder(str(root), "folder")).notes
    assert note.startswith("class 'dogs' has no photograph for testing")


def test_one_class_in_side_folders_is_too_few(tmp_path):
    root = tree_of(tmp_path / "p", train={"cats": 4}, val={"cats": 1})
    (problem,) = scan_folder(str(root), "folder").problems
    assert problem.startswith(f"Only one valid folder of images found at {root}/train")


def test_hidden_folders_and_loose_files_do_not_hide_the_layout(tmp_path):
    root = tree_of(tmp_path / "p", train={"cats": 4, "dogs": 3}, val={"cats": 1, "dogs": 1})
    write_tree(root, {".cache": {"x.jpg": b""}, "train": {"notes.txt": b"", ".hidden.jpg": b""}})
    (root / "README.md").write_bytes(b"")
    assert set(scan_folder(str(root), "folder").side_folders) == {"train", "val"}


def test_a_copy_in_two_side_folders_is_told(tmp_path):
    root = tree_of(
        tmp_path / "p", train={"cats": 4, "dogs": 3}, val={"cats": 3, "dogs": 3}, test={"cats": 3, "dogs": 3}
    )
    (root / "test" / "cats" / "copy.jpg").write_bytes(b"train cats 0")
    (note,) = split_of(scan_folder(str(root), "folder")).notes
    assert "1 photographs or groups lie on two sides, such as 'test/cats/copy.jpg' and 'train/cats/0.jpg'" in note


def test_a_split_file_goes_before_the_folders(tmp_path):
    root = tree_of(
        tmp_path / "p", train={"cats": 4, "dogs": 3}, val={"cats": 3, "dogs": 3}, test={"cats": 3, "dogs": 3}
    )
    path = tmp_path / "split.csv"
    path.write_text("path,label,split\ntest/cats/0.jpg,cats,train\ntrain/cats/0.jpg,cats,test\n")
    catalog = scan_folder(str(root), "folder")
    plan, problems = plan_split(catalog, split_file=str(path))
    assert problems == []
    shas = [digest(record.path.encode()) for record in catalog.records]
    split = split_images(catalog, shas, REQUEST, plan)
    sides = sides_by_path(catalog, split)
    assert (sides["test/cats/0.jpg"], sides["train/cats/0.jpg"]) == (TRAINING, TESTING)
    assert (sides["test/cats/1.jpg"], sides["train/cats/1.jpg"]) == (TESTING, TRAINING)
    assert split.notes[0].endswith("placed by their folders")


def test_a_class_whose_photographs_for_training_are_all_unreadable_is_an_error(tmp_path):
    import dataclasses

    root = tree_of(tmp_path / "p", train={"cats": 4, "dogs": 1}, test={"cats": 3, "dogs": 3})
    catalog = scan_folder(str(root), "folder")
    kept = dataclasses.replace(catalog, records=tuple(r for r in catalog.records if r.path != "train/dogs/0.jpg"))
    with pytest.raises(UsageError, match="class 'dogs' is left no photograph to train on"):
        split_of(kept)


def test_a_url_is_laid_out_as_a_folder_is(tmp_path):
    pytest.importorskip("fsspec", reason="fsspec is not installed: python -m pip install -e '.[remote]'")
    root = tree_of(
        tmp_path / "p", train={"cats": 4, "dogs": 3}, val={"cats": 3, "dogs": 3}, test={"cats": 3, "birds": 3}
    )
    here, there = scan_folder(str(root), "folder"), scan_photographs(root.as_uri(), "folder")
    assert there.side_folders == here.side_folders
    assert there.labels == here.labels
    assert [r.path for r in there.records] == [r.path for r in here.records]
    assert there.problems == here.problems
    assert scan_photographs(root.as_uri(), "folder", subfolder_splits=False).side_folders == {}


def test_every_word_names_a_side_in_any_case():
    assert {side_named(word.upper()) for word in SIDE_WORDS} == {TRAINING, VALIDATION, TESTING}
    assert side_named("traning") is None
