"""Folders below a class folder, for --recursive."""

import os
from pathlib import Path

import pytest
from support import write_tree

from retrain.dataset import nested, scan_folder

POSIX = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


@pytest.fixture
def deep(tmp_path):
    files = {"1.jpg": b"1"}
    return write_tree(tmp_path / "p", {"cats": files, "cats/tabby": files, "cats/tabby/old": files, "dogs/b": files})


def paths(catalog):
    return [record.path for record in catalog.records]


def test_photographs_below_a_class_folder_belong_to_the_class(deep):
    catalog = scan_folder(str(deep), "folder", recursive=True)
    assert catalog.problems == ()
    assert catalog.labels == ("cats", "dogs")
    assert paths(catalog) == ["cats/1.jpg", "cats/tabby/1.jpg", "cats/tabby/old/1.jpg", "dogs/b/1.jpg"]
    assert catalog.count_by_label() == [3, 1]
    assert catalog.left_out == {}
    assert all(Path(catalog.full_path(record)).is_file() for record in catalog.records)


def test_without_the_flag_they_are_counted_and_the_flag_is_named(deep):
    catalog = scan_folder(str(deep), "folder")
    assert paths(catalog) == ["cats/1.jpg"]
    assert catalog.left_out == {"sub-folder of a class folder": 2}
    assert "or --recursive be given" in catalog.problems[0]


def test_hidden_folders_and_other_files_are_counted(deep):
    write_tree(deep, {"cats/.thumbs": {"1.jpg": b"1"}, "dogs/b": {"notes.txt": b"", ".x.jpg": b""}})
    catalog = scan_folder(str(deep), "folder", recursive=True)
    assert len(catalog.records) == 4
    assert catalog.left_out == {
        nested.HIDDEN_FOLDER: 1,
        "suffix of no known image format": 1,
        "hidden (name starts with a dot)": 1,
    }


@POSIX
def test_links_to_folders_are_not_followed_and_links_in_a_circle_end(deep):
    (deep / "cats" / "tabby" / "up").symlink_to(deep / "cats")
    (deep / "cats" / "dogs").symlink_to(deep / "dogs")
    (deep / "cats" / "self").symlink_to("self")
    catalog = scan_folder(str(deep), "folder", recursive=True)
    assert len(catalog.records) == 4
    assert catalog.left_out == {nested.LINKED_FOLDER: 2, "cannot be examined": 1}


def test_what_lies_too_deep_is_counted(deep, monkeypatch):
    monkeypatch.setattr(nested, "MAX_DEPTH", 1)
    catalog = scan_folder(str(deep), "folder", recursive=True)
    assert paths(catalog) == ["cats/1.jpg", "cats/tabby/1.jpg", "dogs/b/1.jpg"]
    assert catalog.left_out == {nested.TOO_DEEP: 1}


def test_a_folder_that_vanishes_is_counted(deep, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("tabby"):
            raise FileNotFoundError(2, "gone")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    catalog = scan_folder(str(deep), "folder", recursive=True)
    assert paths(catalog) == ["cats/1.jpg", "dogs/b/1.jpg"]
    assert catalog.left_out == {nested.UNREADABLE_FOLDER: 1}


def test_a_class_without_any_photograph_is_a_problem(deep):
    (deep / "birds" / "empty").mkdir(parents=True)
    (problem,) = scan_folder(str(deep), "folder", recursive=True).problems
    assert problem == f"class folder '{deep / 'birds'}' holds no images; put photographs into it or take it away"
