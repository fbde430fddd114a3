import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import encode

from retrain.classifier import Guess
from retrain.errors import ImageError
from retrain.label.annotate import Annotator, annotated
from retrain.label.rows import UNKNOWN, Row
from retrain.label.sorting import NamesTaken, Sorter, file_name, folder_names
from retrain.label.sources import Photograph


def photograph(path):
    return Photograph(str(path), str(path))


def row(label, *scores):
    return Row("x", label, 0.5, tuple(Guess(f"label {i}", score) for i, score in enumerate(scores)))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("open cluster", "open cluster"),
        ("a/b", "a_b"),
        ("..", "_"),
        ("../../etc", "_._.._etc"),
        (".hidden", "_hidden"),
        ("", "_"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("what?", "what_"),
        ("end. ", "end"),
        ("\x00\n", "__"),
        ("Ñandú", "Ñandú"),
    ],
)
def test_labels_are_made_safe_as_names_of_folders(label, name):
    assert folder_names([label]) == {label: name}


def test_labels_that_would_share_a_folder_are_kept_apart():
    assert folder_names(["a/b", "a:b", "A?b", "a/b"]) == {"a/b": "a_b", "a:b": "a_b-2", "A?b": "A_b-3"}


@given(st.lists(st.text(max_size=300), max_size=6))
def test_any_labels_get_names_that_a_file_system_takes(labels):
    names = folder_names(labels)
    assert set(names) == set(labels)
    assert len({name.casefold() for name in names.values()}) == len(names)
    for name in names.values():
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert "\0" not in name
        assert len(name.encode()) <= 220


def test_copies_keep_contents_and_date_and_a_name_that_is_taken_gets_a_number(tmp_path):
    sorter = Sorter(str(tmp_path / "out"), ["cat"], links=False)
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.tar.jpg").write_text(folder)
        os.utime(tmp_path / folder / "1.tar.jpg", ns=(10**18, 10**18))
        sorter(photograph(tmp_path / folder / "1.tar.jpg"), row("cat"))
    out = tmp_path / "out/cat"
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "1.tar.jpg": "a", "1.tar-2.jpg": "b", "1.tar-3.jpg": "c",
    }  # fmt: skip
    assert {path.stat().st_mtime_ns for path in out.iterdir()} == {10**18}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cat"]


def test_what_lies_there_is_never_written_over(tmp_path):
    (tmp_path / "out/cat").mkdir(parents=True)
    (tmp_path / "out/cat/1.jpg").write_text("somebody's")
    (tmp_path / "1.jpg").write_text("mine")
    for _ in range(2):
        Sorter(str(tmp_path / "out"), ["cat"], links=False)(photograph(tmp_path / "1.jpg"), row("cat"))
    names = {path.name: path.read_text() for path in (tmp_path / "out/cat").iterdir()}
    assert names == {"1.jpg": "somebody's", "1-2.jpg": "mine", "1-3.jpg": "mine"}


def test_links_point_to_the_photograph_and_are_not_doubled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").write_text(folder)
    for _ in range(2):
        sorter = Sorter("out", ["cat"], links=True)
        for path in ("a/1.jpg", "b/1.jpg"):
            sorter(photograph(path), row("cat"))
    links = {path.name: str(path.readlink()) for path in (tmp_path / "out/cat").iterdir()}
    assert links == {"1.jpg": str(tmp_path / "a/1.jpg"), "1-2.jpg": str(tmp_path / "b/1.jpg")}


def test_unknown_has_a_folder_and_a_broken_photograph_none(tmp_path):
    (tmp_path / "1.jpg").write_text("x")
    sorter = Sorter(str(tmp_path / "out"), ["cat"], links=False)
    sorter(photograph(tmp_path / "1.jpg"), row(UNKNOWN))
    sorter(photograph(tmp_path / "1.jpg"), Row("x", None, None, (), "damaged"))
    assert [str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*.jpg")] == ["out/unknown/1.jpg"]


def test_a_photograph_that_is_gone_is_an_image_error_and_leaves_nothing(tmp_path):
    with pytest.raises(ImageError):
        Sorter(str(tmp_path / "out"), ["cat"], links=False)(photograph(tmp_path / "gone.jpg"), row("cat"))
    assert not list(tmp_path.rglob("*.jpg"))


def test_many_of_one_name_are_not_tried_from_the_start_each_time(tmp_path):
    tried = []

    def make(target):
        tried.append(target)
        target.open("xb").close()

    names = NamesTaken()
    for _ in range(20):
        names.put(tmp_path, "1.jpg", make)
    assert len(list(tmp_path.iterdir())) == 20
    assert len(tried) <= 40


def test_a_photograph_from_standard_input_is_named_by_its_format():
    jpeg = encode(np.zeros((4, 4, 3), np.uint8), "JPEG")
    assert file_name(Photograph("-", jpeg)) == "stdin.jpg"
    assert file_name(photograph("s3://bucket/a%20b/c.png")) == "c.png"


def test_the_guesses_stand_on_the_right_of_the_photograph_which_is_made_no_larger():
    picture = Image.new("RGB", (40, 30), (255, 0, 0))
    sheet = annotated(picture, row("label 0", 0.9, 0.1, 0.0))
    assert sheet.width == 40 + 360
    pixels = np.asarray(sheet)
    assert (pixels[:30, :40] == (255, 0, 0)).all()
    bars = (pixels[:, 40:] == (33, 102, 172)).all(axis=2).sum(axis=1)
    widths = bars[bars > 0]
    assert widths.max() == pytest.approx(0.9 * 328, abs=2)
    assert widths.min() == pytest.approx(0.1 * 328, abs=2)
    assert annotated(Image.new("RGB", (3000, 100)), row("x", 0.5)).width == 768 + 360


def test_annotating_many_never_writes_over_and_one_does(tmp_path):
    (tmp_path / "1.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8)))
    many = Annotator(str(tmp_path / "out"), one_file=False)
    many(photograph(tmp_path / "1.png"), row("x", 0.5))
    many(photograph(tmp_path / "1.png"), row("x", 0.5))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1-2.jpg", "1.jpg"]
    for suffix in ("jpg", "webp", "png"):
        target = tmp_path / f"one.{suffix}"
        target.write_text("old")
        Annotator(str(target), one_file=True)(photograph(tmp_path / "1.png"), row("x", 0.5))
        with Image.open(target) as picture:
            assert picture.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())


def test_a_label_that_is_too_long_is_shortened_and_other_scripts_do_not_break_it():
    long = Row("x", "y", 0.5, (Guess("w" * 500, 0.5), Guess("星団 \n\ud800", 0.2)))
    assert annotated(Image.new("RGB", (10, 10)), long).size == (370, 124)
