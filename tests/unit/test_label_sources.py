import io
import os
import sys

import pytest

from retrain.label.sources import Photograph, count, is_one_file, photographs, skipping


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Two folders with images, and files that are none."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.jpg", "in/a.PNG", "in/sub/c.webp", "in/notes.txt", "in/.hidden.jpg", "in/.git/d.jpg", "e.gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def paths(words, own=()):
    return [photograph.path for photograph in photographs(words, skipping(own))]


def test_a_folder_is_every_image_below_it_by_name_its_own_first(tree):
    assert paths(["in"]) == ["in/a.PNG", "in/b.jpg", "in/sub/c.webp"]


def test_what_is_left_out_of_a_folder_is_counted(tree):
    walk = skipping(())
    list(photographs(["in"], walk))
    assert {reason: n for reason, n in walk.left_out.items() if n} == {
        "hidden (name starts with a dot)": 2,
        "suffix of no known image format": 1,
    }


def test_links_to_folders_are_not_followed_so_that_a_loop_ends(tree):
    (tree / "in/loop").symlink_to(tree / "in")
    assert paths(["in"]) == ["in/a.PNG", "in/b.jpg", "in/sub/c.webp"]


def test_the_order_is_that_of_the_words(tree):
    assert paths(["e.gif", "in/sub", "in/b.jpg", "e.gif"]) == ["e.gif", "in/sub/c.webp", "in/b.jpg", "e.gif"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("in/*.jpg", ["in/b.jpg"]),
        ("in/[ab].*", ["in/a.PNG", "in/b.jpg"]),
        ("**/*.webp", ["in/sub/c.webp"]),
        ("in/**", ["in/a.PNG", "in/b.jpg", "in/notes.txt", "in/sub/c.webp"]),
        ("i*", ["in/a.PNG", "in/b.jpg", "in/sub/c.webp"]),
    ],
)
def test_a_pattern_that_the_shell_left_alone_is_expanded(tree, pattern, expected):
    assert paths([pattern]) == expected


def test_a_file_whose_name_is_a_pattern_is_that_file(tree):
    (tree / "[e].gif").write_bytes(b"x")
    assert paths(["[e].gif"]) == ["[e].gif"]


def test_a_list_has_a_path_a_line_as_it_stands(tree):
    odd = os.fsdecode(b"caf\xe9.jpg")
    (tree / "list.txt").write_bytes(b"\xef\xbb\xbfin/b.jpg\r\n\ncaf\xe9.jpg\nin/*.jpg\n#1.jpg\ngone.jpg")
    assert paths(["@list.txt"]) == ["in/b.jpg", odd, "in/*.jpg", "#1.jpg", "gone.jpg"]


def test_standard_input_is_a_list_or_one_image(tree, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"in/b.jpg\ne.gif\n")))
    assert paths(["@-"]) == ["in/b.jpg", "e.gif"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xd8")))
    assert list(photographs(["-"], skipping(()))) == [Photograph("-", b"\xff\xd8")]


def test_what_this_run_writes_is_not_read(tree):
    assert paths(["."], ["in/sub", "in/b.jpg"]) == ["./e.gif", "./in/a.PNG"]
    assert paths(["*"], ["in"]) == ["e.gif"]
    assert paths(["**/*.webp"], ["in"]) == []
    assert paths(["in/sub/*"], ["in/su"]) == ["in/sub/c.webp"]


@pytest.mark.parametrize(
    ("words", "number"), [(["in"], 3), (["in", "-", "e.gif"], 5), (["@list", "in/*.jpg"], 3), (["in", "@-"], None)]
)
def test_photographs_are_counted_unless_nobody_can(tree, words, number):
    (tree / "list").write_text("x.jpg\ny.jpg\n")
    assert count(words) == number


@pytest.mark.parametrize(
    ("words", "one"),
    [(["e.gif"], True), (["-"], True), (["in"], False), (["@list"], False), (["*.gif"], False), (["e.gif"] * 2, False),
     (["s3://bucket/x.jpg"], True), (["s3://bucket/photos/"], False)],
)  # fmt: skip
def test_one_photograph_is_one_that_was_named_by_itself(tree, words, one):
    assert is_one_file(words) is one


def test_a_folder_that_is_a_url_is_walked(monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    for name in ("/walked/b.jpg", "/walked/a.txt", "/walked/sub/c.png", "/walked/.d.jpg"):
        files.pipe(name, b"x")
    assert paths(["memory://walked/"]) == ["memory://walked/b.jpg", "memory://walked/sub/c.png"]
    assert paths(["memory://walked/b.jpg"]) == ["memory://walked/b.jpg"]
