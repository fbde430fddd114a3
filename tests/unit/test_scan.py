import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_tree

from retrain.config import RunConfig
from retrain.config.inputs import system_problems
from retrain.dataset import find_photographs, inputs, scan_folder
from retrain.dataset.scan import IMAGE_SUFFIXES


@pytest.fixture
def two(tmp_path):
    """A folder of two good classes."""
    return write_tree(tmp_path / "photos", {"cats": {"1.jpg": b"1"}, "dogs": {"2.jpg": b"22"}})


def paths(catalog):
    return [record.path for record in catalog.records]


def test_photographs_are_listed_by_class_and_name_with_what_the_directory_says(tmp_path):
    root = write_tree(tmp_path / "p", {"b": {"2.jpg": b"two", "1.jpg": b"1"}, "a": {"3.png": b""}})
    catalog = scan_folder(str(root), "folder")
    assert catalog.problems == ()
    assert catalog.left_out == {}
    assert catalog.labels == ("a", "b")
    assert paths(catalog) == ["a/3.png", "b/1.jpg", "b/2.jpg"]
    assert [record.label for record in catalog.records] == [0, 1, 1]
    assert [record.size for record in catalog.records] == [0, 1, 3]
    status = (root / "b" / "2.jpg").stat()
    assert (catalog.records[2].mtime_ns, catalog.records[2].ctime_ns) == (status.st_mtime_ns, status.st_ctime_ns)
    assert catalog.count_by_label() == [1, 2]


def test_the_full_path_keeps_the_root_as_it_was_typed(two, monkeypatch):
    monkeypatch.chdir(two.parent)
    for typed in ("photos", "./photos", "photos/", str(two)):
        catalog = scan_folder(typed, "folder")
        assert catalog.full_path(catalog.records[0]) == os.path.join(typed, "cats", "1.jpg")
        assert paths(catalog) == ["cats/1.jpg", "dogs/2.jpg"]


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_known_suffix_is_taken_in_any_case(two, suffix):
    (two / "cats" / f"x{suffix}").write_bytes(b"x")
    (two / "cats" / f"y{suffix.upper()}").write_bytes(b"y")
    assert len(scan_folder(str(two), "folder").records) == 4


@pytest.mark.parametrize(
    "name", ["notes.txt", "Thumbs.db", "clip.mp4", "raw.CR2", "x.jpg.part", "m.heic", "a.svg", "a.txt.gz"]
)
def test_other_suffixes_are_counted_and_left_out(two, name):
    (two / "cats" / name).write_bytes(b"x")
    catalog = scan_folder(str(two), "folder")
    assert paths(catalog) == ["cats/1.jpg", "dogs/2.jpg"]
    assert catalog.left_out == {"suffix of no known image format": 1}
    assert catalog.problems == ()


def test_hidden_files_and_folders_are_counted_and_left_out(two):
    write_tree(two, {".git": {"x.jpg": b"x"}, "cats": {"._1.jpg": b"x", ".DS_Store": b"x"}})
    catalog = scan_folder(str(two), "folder")
    assert catalog.labels == ("cats", "dogs")
    assert paths(catalog) == ["cats/1.jpg", "dogs/2.jpg"]
    assert catalog.left_out == {"hidden (name starts with a dot)": 3}


def test_images_beside_the_class_folders_are_counted_and_left_out(two):
    (two / "loose.jpg").write_bytes(b"x")
    (two / "LICENSE.txt").write_bytes(b"x")
    catalog = scan_folder(str(two), "folder")
    assert catalog.left_out == {"image directly in the image folder, in no class": 1}
    assert catalog.problems == ()


def test_what_is_no_file_neither_blocks_nor_is_taken(two):
    cats = two / "cats"
    os.mkfifo(cats / "pipe.jpg")
    (cats / "broken.jpg").symlink_to(cats / "gone")
    bound = socket.socket(socket.AF_UNIX)
    os.chdir(cats)
    bound.bind("socket.jpg")
    bound.close()
    (cats / "deep").mkdir()
    catalog = scan_folder(str(two), "folder")
    assert paths(catalog) == ["cats/1.jpg", "dogs/2.jpg"]
    assert catalog.left_out == {"not a regular file": 3, "sub-folder of a class folder": 1}


@pytest.mark.parametrize("place", ["loop.jpg", "cats/loop.jpg", "empty/loop.jpg"])
def test_a_link_to_itself_is_left_out_and_not_raised(two, place):
    (two / "empty").mkdir()
    (two / "empty" / "3.jpg").write_bytes(b"3")
    (two / place).symlink_to(two / place)
    assert paths(scan_folder(str(two), "folder")) == ["cats/1.jpg", "dogs/2.jpg", "empty/3.jpg"]


def test_links_to_photographs_and_to_class_folders_are_followed(two, tmp_path):
    (two / "cats" / "link.jpg").symlink_to(two / "dogs" / "2.jpg")
    (two / "more").symlink_to(two / "dogs")
    catalog = scan_folder(str(two), "folder")
    assert paths(catalog) == ["cats/1.jpg", "cats/link.jpg", "dogs/2.jpg", "more/2.jpg"]
    assert catalog.records[1].size == 2


@pytest.mark.parametrize("name", ["cats[1]", "a*b?", "银河", "with space ", "-dash", "100%", "{x}", "~", "a'b"])
def test_a_class_folder_may_have_any_printable_name(two, name):
    write_tree(two, {name: {f"{name}.jpg": b"x"}})
    catalog = scan_folder(str(two), "folder")
    assert catalog.problems == ()
    assert f"{name}/{name}.jpg" in paths(catalog)
    assert name in catalog.labels


def test_a_photograph_whose_name_is_not_utf8_is_taken(two):
    with open(os.path.join(os.fsencode(two), b"cats", b"\xff\xfe.jpg"), "wb") as file:  # noqa: PTH123 - bytes
        file.write(b"x")
    catalog = scan_folder(str(two), "folder")
    assert catalog.problems == ()
    assert os.fsencode(catalog.full_path(catalog.records[1])).endswith(b"cats/\xff\xfe.jpg")
    assert catalog.records[1].size == 1


def test_a_class_folder_whose_name_is_not_utf8_is_a_problem(two):
    os.mkdir(os.path.join(os.fsencode(two), b"\xff"))  # noqa: PTH102 - bytes
    problems = scan_folder(str(two), "folder").problems
    assert "cannot be a line of the labels file" in problems[0]
    assert all(problem.isprintable() for problem in problems)


def test_labels_that_collide_are_a_problem_under_the_poets_rule_only(two):
    write_tree(two, {"Cats": {"3.jpg": b"3"}})
    assert scan_folder(str(two), "folder").problems == ()
    (problem,) = scan_folder(str(two), "poets").problems
    assert "'Cats', 'cats' would all be labelled 'cats'" in problem


def test_poets_labels_keep_the_folders_own_name_in_paths(tmp_path):
    root = write_tree(tmp_path / "p", {"M13-open": {"1.jpg": b"1"}, "银河": {"2.jpg": b"2"}})
    catalog = scan_folder(str(root), "poets")
    assert catalog.labels == ("m13 open", " ")
    assert paths(catalog) == ["M13-open/1.jpg", "银河/2.jpg"]


def test_a_class_folder_without_images_is_a_problem(two):
    write_tree(two, {"empty": {}, "texts": {"a.txt": b"x"}})
    problems = scan_folder(str(two), "folder").problems
    assert len(problems) == 2
    assert f"class folder '{two}/empty' holds no images; put photographs into it" in problems[0]


def test_photographs_that_lie_too_deep_are_a_problem_that_names_the_sub_folder(two):
    write_tree(two / "nested", {"inner": {"1.jpg": b"1"}})
    (problem,) = scan_folder(str(two), "folder").problems
    assert "its sub-folder 'inner' is not read: photographs must lie directly in it" in problem


def test_one_class_is_too_few(tmp_path):
    root = write_tree(tmp_path / "p", {"cats": {"1.jpg": b"1"}})
    (problem,) = scan_folder(str(root), "folder").problems
    assert problem.startswith(f"Only one valid folder of images found at {root} - multiple classes are needed")


def test_a_folder_above_the_image_folder_is_recognised(tmp_path):
    write_tree(tmp_path / "up" / "photos", {"cats": {"1.jpg": b"1"}, "dogs": {"2.jpg": b"2"}})
    problems = scan_folder(str(tmp_path / "up"), "folder").problems
    assert any(f"--image_dir {tmp_path / 'up' / 'photos'} may be what is meant" in problem for problem in problems)


def test_no_class_is_too_few_and_loose_images_are_named(tmp_path):
    (problem,) = scan_folder(str(tmp_path), "folder").problems
    assert problem.startswith(f"No valid folders of images found at {tmp_path}: make one sub-folder a class")
    (tmp_path / "1.jpg").write_bytes(b"1")
    (problem,) = scan_folder(str(tmp_path), "folder").problems
    assert "1 images lie directly in it" in problem


def test_a_folder_that_cannot_be_listed_is_a_problem(two, monkeypatch):
    listing = os.scandir

    def denied(path):
        if str(path).endswith("dogs"):
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", denied)
    (problem,) = scan_folder(str(two), "folder").problems
    assert f"cannot read the folder {two}/dogs: Permission denied; check its permissions" in problem


def test_the_only_class_folder_may_be_unreadable_or_vanish(tmp_path, monkeypatch):
    write_tree(tmp_path / "p", {"cats": {"1.jpg": b"1"}})
    listing = os.scandir
    for error in (PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file or directory")):

        def denied(path, error=error):
            if str(path).endswith("cats"):
                raise error
            return listing(path)

        monkeypatch.setattr(os, "scandir", denied)
        problems = scan_folder(str(tmp_path / "p"), "folder").problems
        assert f"cannot read the folder {tmp_path}/p/cats: {error.strerror}" in problems[0]
        assert problems[1].startswith("Only one valid folder of images found")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other roots")
@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("/", "got /, which is a whole disk"),
        ("//", "got //, which is a whole disk"),
        ("link", "which is a whole disk"),
        ("/proc", "got /proc, whose files the system makes up"),
        ("/proc/self/../self", "whose files the system makes up"),
        ("/dev", "whose files the system makes up"),
    ],
)
@pytest.mark.parametrize("recursive", [False, True])
def test_a_disk_and_the_systems_own_folders_are_refused_unlisted(tmp_path, monkeypatch, folder, words, recursive):
    (tmp_path / "link").symlink_to("/")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "scan_folder", None)
    monkeypatch.setattr(inputs, "scan_photographs", None)
    config = RunConfig(image_dir=folder, recursive=recursive)
    assert find_photographs(config) == ([], None)
    assert words in "; ".join(config.problems())


@pytest.mark.skipif(os.name == "nt", reason="Windows has other roots")
def test_a_list_may_name_photographs_by_their_whole_paths(two, tmp_path):
    names = [two / "cats" / "1.jpg", two / "dogs" / "2.jpg"]
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"{name},{name.parent.name}\n" for name in names))
    config = RunConfig(image_dir="/", image_list=str(tmp_path / "list.csv"))
    problems, catalog = find_photographs(config)
    assert problems == []
    assert ["/" + path for path in paths(catalog)] == [str(name) for name in names]
    assert not [problem for problem in config.problems() if "whole disk" in problem]


@pytest.mark.parametrize("folder", ["/process", "/system", "/dev/shm/photos", "/devices"])  # noqa: S108
def test_other_folders_are_not_the_systems(monkeypatch, folder):
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    assert system_problems(folder) == []


def test_a_root_that_vanished_is_a_problem(tmp_path):
    (problem,) = scan_folder(str(tmp_path / "gone"), "folder").problems
    assert "cannot read the folder" in problem


def test_a_file_that_vanishes_while_it_is_examined_is_left_out(two, monkeypatch):
    class Vanished:
        name = "x.jpg"

        def is_dir(self):
            return False

        def is_file(self):
            return True

        def stat(self):
            raise FileNotFoundError(2, "gone")

    from retrain.dataset import scan

    left_out = scan.Counter()
    assert scan.record_of(Vanished(), "cats", 0, left_out) is None
    assert left_out == {"cannot be examined": 1}


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@settings(max_examples=30)
@given(names=st.sets(NAMES, min_size=1, max_size=6))
def test_every_file_is_a_record_or_counted(names, tmp_path_factory):
    root = write_tree(tmp_path_factory.mktemp("p"), {"a": dict.fromkeys(names, b"x"), "b": {"1.jpg": b"1"}})
    catalog = scan_folder(str(root), "folder")
    assert len(catalog.records) + sum(catalog.left_out.values()) == len(names) + 1
    assert paths(catalog) == sorted(paths(catalog), key=lambda path: path.split("/", 1))
