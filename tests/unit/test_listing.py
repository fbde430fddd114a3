"""A CSV of path,label in place of class folders."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from support import digest, write_tree

from retrain.config import RunConfig
from retrain.dataset import SplitRequest, find_photographs, split_csv, split_images
from retrain.dataset import listing as module
from retrain.dataset.listing import scan_list

FILES = {"1.jpg": b"1", "2.jpg": b"22", "3.jpg": b"333", "a,b.jpg": b"4"}


@pytest.fixture
def photos(tmp_path):
    return write_tree(tmp_path, {"photos": FILES, "photos/deep": {"5.jpg": b"5"}, "other": {"6.jpg": b"6"}})


def write_list(folder, text, encoding="utf-8"):
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def scan(folder, text, image_dir="", style="folder"):
    path = write_list(folder, text)
    catalog = scan_list(str(path), image_dir, style)
    return catalog, [problem.removeprefix(str(path)) for problem in catalog.problems]


GOOD = 'path,label\nphotos/2.jpg,Zebra\nphotos/deep/5.jpg, Äpfel \n"photos/a,b.jpg",Zebra\n\nphotos/1.jpg, Äpfel \n'


def test_labels_are_kept_as_written_and_photographs_come_by_class_and_name(photos):
    catalog, problems = scan(photos, GOOD)
    assert problems == []
    assert catalog.labels == (" Äpfel ", "Zebra")
    found = [(record.path, record.label, record.size) for record in catalog.records]
    assert found == [
        ("photos/1.jpg", 0, 1),
        ("photos/deep/5.jpg", 0, 1),
        ("photos/2.jpg", 1, 2),
        ("photos/a,b.jpg", 1, 1),
    ]
    for record in catalog.records:
        status = os.stat(catalog.full_path(record))
        assert (record.mtime_ns, record.ctime_ns) == (status.st_mtime_ns, status.st_ctime_ns)


def test_the_catalog_is_split_and_written_as_any(photos):
    catalog, _ = scan(photos, GOOD)
    shas = [digest(Path(catalog.full_path(record)).read_bytes()) for record in catalog.records]
    table = split_csv(catalog, shas, split_images(catalog, shas, SplitRequest("content", 10, 10)))
    assert [line.split(",")[0] for line in table.splitlines()[1:3]] == ["photos/1.jpg", "photos/deep/5.jpg"]
    assert catalog.count_by_label() == [2, 2]


def test_a_mark_at_the_start_other_line_ends_and_another_order_of_columns_do_not_matter(photos):
    catalog, problems = scan(photos, "\ufefflabel,path\r\na,photos/1.jpg\r\nb,photos/2.jpg\r\n")
    assert problems == []
    assert [record.path for record in catalog.records] == ["photos/1.jpg", "photos/2.jpg"]


def test_poets_labels_are_normalised_and_collisions_said(photos):
    catalog, problems = scan(photos, "path,label\nphotos/1.jpg,A-b\nphotos/2.jpg,C\n", style="poets")
    assert (catalog.labels, problems) == (("a b", "c"), [])
    _, problems = scan(photos, "path,label\nphotos/1.jpg,A b\nphotos/2.jpg,a-b\n", style="poets")
    assert problems == [
        "labels 'A b', 'a-b' would all be labelled 'a b'; rename them apart or use --label_style=folder"
    ]


def test_paths_are_relative_to_image_dir_or_absolute_below_it(photos):
    text = f"path,label\n1.jpg,a\n{photos / 'photos' / '2.jpg'},b\n./deep/../3.jpg,b\n"
    catalog, problems = scan(photos, text, str(photos / "photos"))
    assert problems == []
    assert [record.path for record in catalog.records] == ["1.jpg", "2.jpg", "3.jpg"]
    assert catalog.root == str(photos / "photos")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_in_the_path_of_the_folder_does_not_matter(photos):
    (photos / "link").symlink_to(photos / "photos")
    text = f"path,label\n{photos / 'photos' / '2.jpg'},b\n{photos / 'link' / '1.jpg'},a\n"
    catalog, problems = scan(photos, text, str(photos / "link"))
    assert problems == []
    assert [record.path for record in catalog.records] == ["1.jpg", "2.jpg"]


def test_all_problems_come_at_once_with_their_lines(photos):
    text = (
        "path,label\nphotos/1.jpg,a\nphotos/./1.jpg,b\nphotos/9.jpg,b\nphotos/2.jpg,\n,b\nphotos,b\n../x.jpg,b\n"
        f"/etc/hostname,b\nphotos/3.jpg\nphotos\\3.jpg,b\nphotos/{'x' * 300}.jpg,b\nphotos/\0.jpg,b\n"
    )
    where = f"the folder of the list, {photos}"
    _, problems = scan(photos, text)
    assert problems == [
        ", line 3: 'photos/./1.jpg' is on line 2 already; take one of them out",
        f", line 4: cannot find 'photos/9.jpg' below {where} (No such file or directory); check its spelling",
        ", line 5: expected a path and a label, got no label; fill it in",
        ", line 6: expected a path and a label, got no path; fill it in",
        ", line 7: expected 'photos' to be a photograph, got a folder",
        f", line 8: '../x.jpg' lies outside of {where}; give the folder above all photographs as --image_dir",
        f", line 9: '/etc/hostname' lies outside of {where}; give the folder above all photographs as --image_dir",
        ", line 10: expected 2 fields, got 1; a path or label with a comma needs quotes around it",
        f", line 11: cannot find 'photos\\\\3.jpg' below {where} (No such file or directory), and paths are written with "
        "'/'; check its spelling",
        f", line 12: cannot find 'photos/{'x' * 300}.jpg' below {where} (File name too long); check its spelling",
        f", line 13: cannot find 'photos/\\x00.jpg' below {where} (embedded null byte); check its spelling",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_opened(photos):
    os.mkfifo(photos / "pipe.jpg")
    _, problems = scan(photos, "path,label\npipe.jpg,a\nphotos/1.jpg,b\n")
    assert problems == [", line 2: expected 'pipe.jpg' to be a photograph, got no file"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "got no column 'path', no column 'label'; write it"),
        ("path;label\n1;2\n", "got no column 'path', no column 'label', unknown column 'path;label'"),
        ("path;label\n1;2\n", "(fields are parted by commas)"),
        ("path,labels\n", "got no column 'label', unknown column 'labels'; did you mean label?"),
        ("path,label,group\n", "got unknown column 'group'"),
        ("path,label,path\n", "got column 'path' twice"),
    ],
)
def test_a_header_of_other_columns_is_named(photos, text, problem):
    _, (found,) = scan(photos, text)
    assert found.startswith((", line 1: expected the header path,label",))
    assert problem in found


def test_quotes_that_do_not_end_other_encodings_and_long_files_are_said(photos, monkeypatch):
    _, (problem,) = scan(photos, 'path,label\n"photos/1.jpg" x,a\n')
    assert problem.startswith(", line 2: not to be read as CSV: ")
    path = write_list(photos, "path,label\nphotos/1.jpg,ä\n", "latin-1")
    assert scan_list(str(path), "", "folder").problems == (
        f"{path}, line 2: expected UTF-8, got other bytes; save the list as UTF-8",
    )
    monkeypatch.setattr(module, "MAX_LIST_BYTES", 10)
    assert "expected a list of at most 10 bytes" in scan_list(str(path), "", "folder").problems[0]


def test_a_list_that_may_not_be_read_is_said(tmp_path):
    (problem,) = scan_list(str(tmp_path), "", "folder").problems
    assert ", line 1: cannot be read: " in problem


def test_very_many_problems_are_counted(photos, monkeypatch):
    monkeypatch.setattr(module, "MOST_PROBLEMS", 2)
    _, problems = scan(photos, "path,label\n" + "".join(f"{i}.jpg,a\n" for i in range(1500)))
    assert len(problems) == 3
    assert problems[2] == ": 1,498 more lines like these"


@pytest.mark.parametrize(("text", "told"), [("path,label\n", "none"), ("path,label\nphotos/1.jpg,a\n", "only 'a'")])
def test_fewer_than_two_labels_are_too_few(photos, text, told):
    _, problems = scan(photos, text)
    assert problems == [f": expected photographs of at least two labels, got {told}; add lines of another label"]


def test_a_label_that_is_no_line_is_said(photos):
    _, problems = scan(photos, 'path,label\nphotos/1.jpg,"a\nb"\nphotos/2.jpg,c\n')
    assert problems == ["class label 'a\\\\nb' has a name that cannot be a line of the labels file; rename it"]


def test_flags_that_do_not_go_together_are_said_and_nothing_is_listed(photos):
    path = write_list(photos, GOOD)
    config = RunConfig(image_list=str(path), model_dir=str(photos / "m"), bottleneck_dir=str(photos / "photos" / "b"))
    config = replace(config, image_dir=str(photos), output_graph=str(photos / "g.pb"), output_labels=str(photos / "l"))
    assert config.problems() == []  # with a list, outputs may lie below image_dir: folders are no classes
    config = replace(config, image_dir="memory://x", recursive=True, image_list="none.csv")
    starts = [
        "expected --image_list to be a CSV",
        "got --image_list and --image_dir",
        "got --image_list and --recursive",
    ]
    starts += ["--image_dir=memory://x: ", "got --recursive and --image_dir"]
    assert all(problem.startswith(start) for problem, start in zip(config.problems(), starts, strict=True))
    assert find_photographs(config) == ([], None)


def test_the_list_alone_is_enough(photos, monkeypatch):
    monkeypatch.chdir(photos)
    write_list(photos, GOOD)
    assert RunConfig(image_list="list.csv").problems() == []
    problems, catalog = find_photographs(RunConfig(image_list="list.csv"))
    assert problems == []
    assert catalog.root == "."
    assert all(Path(catalog.full_path(record)).is_file() for record in catalog.records)
