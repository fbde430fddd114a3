"""Folders, tables and archives that cannot be read, or change while they are: told in a sentence, never raised."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support import catalog_of, write_tree

from retrain import fsio, storage
from retrain.dataset import ImageRecord, SplitRequest, plan_split, split_images
from retrain.dataset.catalog import Catalog
from retrain.dataset.fill import fill_sides, units_of
from retrain.dataset.label_files import read_label_file, scan_label_files
from retrain.dataset.nested import walk_class
from retrain.dataset.sides import TESTING, TRAINING, VALIDATION
from retrain.dataset.split import Split
from retrain.dataset.split_file import read_split_file
from retrain.dataset.tables import read_table
from retrain.dataset.unpacked import list_unpacked, note_archive, remove_unpacked

# Files that cannot be read


def test_a_label_file_that_is_a_folder_is_said_to_be_unreadable(tmp_path):
    path = tmp_path / "1.jpg.txt"
    path.mkdir()
    labels, (problem,) = read_label_file(str(path))
    assert (labels, problem) == ((), f"{path} cannot be read: Is a directory; check its permissions")
    (tmp_path / "1.jpg").write_bytes(b"x")
    assert problem in scan_label_files(str(tmp_path), "folder").problems


@pytest.mark.parametrize(
    "make", [os.mkdir, lambda path: Path(path).symlink_to(path)], ids=["a folder", "a link to itself"]
)
def test_a_table_that_cannot_be_read_is_said_to_be(make, tmp_path):
    path = str(tmp_path / "table.csv")
    make(path)
    rows, (problem,) = read_table(path, ("path",))
    assert rows == []
    assert problem in ("cannot read it: Is a directory", "cannot read it: Too many levels of symbolic links")
    assert read_split_file(path, catalog_of({"a": [b"1"]})[0])[1] == [f"--split_file={path}: {problem}"]


# Under a URL

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: python -m pip install -e '.[remote]'")


def test_a_url_that_cannot_be_listed_is_the_only_problem(monkeypatch):
    from retrain.dataset.remote import scan_url

    def refuse(url):
        raise OSError("PermissionError: Forbidden")

    monkeypatch.setattr(storage, "list_folder", refuse)
    found = scan_url("memory://nowhere", "folder")
    assert found.problems == ("cannot list memory://nowhere: PermissionError: Forbidden; check that it may be read",)
    assert (found.labels, found.records) == ((), ())


def test_a_folder_of_a_side_that_cannot_be_listed_makes_classes_of_them_all(tmp_path, monkeypatch):
    from retrain.dataset.remote import scan_url

    for side in ("train", "val"):
        write_tree(tmp_path / side, {"cats": {"1.jpg": b"x"}, "dogs": {"2.jpg": b"y"}})
    root, real = tmp_path.as_uri(), storage.list_folder
    assert scan_url(root, "folder").side_folders == {"train": TRAINING, "val": VALIDATION}

    def refuse(url):
        if url.endswith("/val"):
            raise OSError("it is gone")
        return real(url)

    monkeypatch.setattr(storage, "list_folder", refuse)
    found = scan_url(root, "folder")
    assert found.side_folders == {}
    assert f"cannot list {root}/val: it is gone; check that it may be read" in found.problems


# Sides by file


def test_a_group_is_torn_only_by_rows_that_name_a_side(tmp_path):
    catalog, _ = catalog_of({"a": [b"1", b"2", b"3"], "b": [b"4"]})
    path = tmp_path / "split.csv"
    rows = "path,label,split,group\na/0.jpg,a,train,g\na/1.jpg,a,trian,g\na/2.jpg,a,{},g\nb/0.jpg,b,test,h\n"
    path.write_text(rows.format("train"))
    file, (problem,) = read_split_file(str(path), catalog)
    assert "expected a split of" in problem
    assert "did you mean train" in problem
    assert file.groups == {"a/0.jpg": "g", "a/1.jpg": "g", "a/2.jpg": "g", "b/0.jpg": "h"}
    path.write_text(rows.format("test"))
    _, problems = read_split_file(str(path), catalog)
    assert [problem for problem in problems if "group 'g' lies in training and testing (a group lies on" in problem]


@pytest.mark.parametrize(
    ("groups", "near", "grouped"), [(None, "", False), (("", "g"), "", True), (None, "2 near duplicates", True)]
)
def test_a_split_knows_whether_photographs_belong_together(groups, near, grouped):
    split = Split(np.zeros(2, np.uint8), groups=groups, near=near)
    assert split.is_grouped is grouped


def test_a_split_by_a_column_of_groups_is_grouped(tmp_path):
    catalog, shas = catalog_of({"a": [b"1", b"2", b"3"], "b": [b"4", b"5", b"6"]})
    path = tmp_path / "split.csv"
    path.write_text("path,label,split,group\na/0.jpg,a,train,g\n")
    plan, problems = plan_split(catalog, split_file=str(path))
    assert problems == []
    assert split_images(catalog, shas, SplitRequest("content", 10, 10), plan).is_grouped


# Sides for small classes


def test_a_unit_of_two_classes_moves_only_where_neither_is_worse_off():
    labels, unit = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 1, 1, 2, 3, 4])
    places = np.array([50.0, 5.0, 5.0, 60.0, 70.0, 80.0])
    free, sides = np.ones(6, np.bool_), np.full(6, TRAINING, np.uint8)
    units = units_of(labels, unit, places, free, sides, 2)
    fill_sides(units, [(TRAINING, TESTING), (TRAINING, TESTING)])
    found = [{int(units.sides[one]) for one in members} for members in units.members]
    assert found == [{TRAINING, TESTING}] * 2
    assert int(units.sides[1]) == TRAINING  # the shared one stays where units of one class do


# Unpacked archives


def unpacked(tmp_path, name="a" * 64):
    folder = tmp_path / "place" / name
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"12345")
    archive = tmp_path / "photos.zip"
    archive.write_bytes(b"zip")
    note_archive(folder, str(archive))
    return folder, archive


def test_a_photograph_that_goes_while_it_is_counted_is_not_counted(tmp_path, monkeypatch):
    folder, _ = unpacked(tmp_path)
    (folder / "2.jpg").write_bytes(b"678")
    real = os.lstat

    def lstat(path, **options):
        if str(path).endswith("2.jpg"):
            raise FileNotFoundError(errno.ENOENT, "gone", path)
        return real(path, **options)

    monkeypatch.setattr(os, "lstat", lstat)
    (found,) = list_unpacked(tmp_path / "place")
    assert (found.files, found.size) == (1, 5)


def test_an_archive_that_cannot_be_read_is_not_said_to_hold_something_else(tmp_path, monkeypatch):
    folder, archive = unpacked(tmp_path)
    (before,) = list_unpacked(tmp_path / "place")
    assert before.why_unused == "the archive holds something else now"

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(fsio, "sha256_file", refuse)
    (found,) = list_unpacked(tmp_path / "place")
    assert (found.folder, found.archive, found.why_unused) == (folder, str(archive), "")


@pytest.mark.parametrize("note", ["", "[]", "{", '{"archive": 3}', '{"other": "x"}'])
def test_a_note_that_names_no_archive_makes_a_folder_nobody_s(tmp_path, note):
    folder, _ = unpacked(tmp_path)
    folder.with_name(folder.name + ".json").write_text(note)
    (found,) = list_unpacked(tmp_path / "place")
    assert (found.archive, found.why_unused, found.files) == ("", "", 1)
    assert not remove_unpacked(folder)
    assert folder.is_dir()


def test_a_place_that_is_not_there_holds_nothing(tmp_path):
    assert list_unpacked(tmp_path / "nowhere") == []


# Folders in folders


def test_a_folder_that_cannot_be_listed_is_counted(tmp_path, monkeypatch):
    write_tree(tmp_path, {"cats": {"1.jpg": b"x"}, "cats/in": {"2.jpg": b"y"}, "cats/.hidden": {"3.jpg": b"z"}})
    (tmp_path / "cats" / "loop").symlink_to(tmp_path / "cats" / "loop")
    left_out: Counter[str] = Counter()
    with os.scandir(tmp_path / "cats") as entries:
        listed = sorted(entries, key=lambda one: one.name)
    real = os.scandir

    def scandir(path):
        if str(path).endswith("/in"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = [(place, [entry.name for entry in files]) for place, files in walk_class("cats", listed, left_out)]
    assert found == [("cats", ["1.jpg", "loop"])]
    assert sum(left_out.values()) == 2


def test_a_record_without_folders_of_sides_is_on_none():
    record = ImageRecord("cats/1.jpg", 0, 1, 0, 0)
    catalog = Catalog("photos", ("cats",), (record,))
    assert (catalog.side_of(record), catalog.path_of_class(record)) == (None, "cats/1.jpg")
    assert catalog.full_path(record) == str(Path("photos", "cats", "1.jpg"))
