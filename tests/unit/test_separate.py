import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain import commands, fsio
from retrain.console import Console
from retrain.errors import UsageError
from retrain.getting import moves
from retrain.getting.names import label_fault, twins
from retrain.getting.separating import DEFAULT_PATTERN, apply_plan, plan_separation, undo_separation


def fill(folder, *names):
    for name in names:
        (folder / name).write_bytes(name.encode())


def tree(folder):
    """Every file below a folder and what is in it, without the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".separating.lock"
    }


def separate(folder, *flags):
    return commands.main(["separate", str(folder), *flags], Console())


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cat.123.jpg", "cat"),
        ("dog.7.jpg", "dog"),
        ("dog_7.PNG", "dog"),
        ("cat12.jpeg", "cat"),
        ("open cluster 12.webp", "open cluster"),
        ("cat (3).jpg", "cat"),
        ("cat-3.gif", "cat"),
        ("cat.jpg", "cat"),
        ("été_1.bmp", "été"),
        ("galaxy_7.fits", "galaxy"),
    ],
)
def test_the_label_is_what_stands_before_the_number(tmp_path, name, label):
    fill(tmp_path, name)
    assert [tuple(move) for move in plan_separation(tmp_path).moves] == [(name, label)]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1.jpg", "does not match"),
        ("_cat.jpg", "does not match"),
        ("cat.txt", "suffix"),
        ("cat", "suffix"),
        (".cat.1.jpg", "hidden"),
        ("CON.1.jpg", "device"),
        ("nul_1.jpg", "device"),
        ("a:b.1.jpg", "character"),
        ("a\nb.1.jpg", "character"),
        (" cat.1.jpg", "space"),
    ],
)
def test_other_files_stay_and_are_listed(tmp_path, name, why):
    fill(tmp_path, name)
    plan = plan_separation(tmp_path)
    assert plan.moves == ()
    assert why in plan.left[name]


def test_a_dry_run_says_what_it_would_do_and_touches_nothing(tmp_path, capsys):
    fill(tmp_path, "cat.1.jpg", "dog.1.jpg", "readme.txt")
    before = tree(tmp_path)
    assert separate(tmp_path) == 0
    said = capsys.readouterr().out
    assert "cat.1.jpg -> cat/cat.1.jpg" in said
    assert "left: readme.txt: suffix of no known image format" in said
    assert "--apply" in said
    assert tree(tmp_path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cat.1.jpg", "dog.1.jpg", "readme.txt"]


def test_it_is_done_and_undone(tmp_path, capsys):
    fill(tmp_path, "cat.1.jpg", "cat.2.jpg", "dog.1.jpg", "readme.txt")
    before = tree(tmp_path)
    separate(tmp_path, "--apply")
    after = tree(tmp_path)
    assert set(after) == {"cat/cat.1.jpg", "cat/cat.2.jpg", "dog/dog.1.jpg", "readme.txt", moves.JOURNAL}
    assert after["cat/cat.1.jpg"] == b"cat.1.jpg"
    separate(tmp_path, "--undo")
    assert tree(tmp_path) == before
    assert not (tmp_path / "cat").exists()
    assert "3 files put back" in capsys.readouterr().out


def test_files_that_come_later_are_sorted_too_and_all_is_undone_together(tmp_path):
    fill(tmp_path, "cat.1.jpg")
    separate(tmp_path, "--apply")
    fill(tmp_path, "cat.2.jpg", "dog.1.jpg")
    separate(tmp_path, "--apply")
    assert undo_separation(tmp_path) == (3, [])
    assert set(tree(tmp_path)) == {"cat.1.jpg", "cat.2.jpg", "dog.1.jpg"}


def test_a_pattern_of_ones_own(tmp_path):
    fill(tmp_path, "2024-cat-1.jpg", "2024-Dog-1.jpg", "x.jpg")
    plan = plan_separation(tmp_path, r"\d+-(?P<label>\w+)-", lower=True)
    assert plan.count_by_label() == {"cat": 1, "dog": 1}
    assert list(plan.left) == ["x.jpg"]


@pytest.mark.parametrize(("pattern", "complaint"), [("(", "regular expression"), ("(cat)", "group")])
def test_a_pattern_that_cannot_be_used(tmp_path, pattern, complaint):
    with pytest.raises(UsageError, match=complaint):
        plan_separation(tmp_path, pattern)


@pytest.mark.parametrize(
    "label", ["../x", "..", "/etc/x", "a\0b", "a/b", "a\\b", "COM1", "", " ", ".x", "x.", "é" * 101]
)
def test_labels_that_are_no_folder_anywhere(label):
    assert label_fault(label)


@given(st.text())
def test_a_label_without_fault_is_one_name_below_the_folder(label):
    if label_fault(label) is None:
        assert fsio.safe_join("/data", label).parent.name == "data"
        assert "\n" not in label


def test_a_name_that_climbs_out_by_the_pattern_stays(tmp_path):
    fill(tmp_path, "...jpg", "x...jpg")
    plan = plan_separation(tmp_path, r"x?(?P<label>\.\.)")
    assert plan.moves == ()
    assert "dot" in plan.left["x...jpg"]


def test_a_taken_name_stops_everything_before_anything_moves(tmp_path):
    fill(tmp_path, "cat.1.jpg", "dog.1.jpg", "dog.2.jpg")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "dog.1.jpg").write_bytes(b"mine")
    (tmp_path / "dog" / "dog.2.jpg").write_bytes(b"")  # empty, but nobody's claim
    before = tree(tmp_path)
    with pytest.raises(UsageError) as refused:
        separate(tmp_path, "--apply")
    assert len(refused.value.problems) == 2
    assert tree(tmp_path) == before


def test_a_plan_with_problems_is_not_done(tmp_path):
    fill(tmp_path, "cat.1.jpg", "cat")
    plan = plan_separation(tmp_path)
    assert "got a file" in plan.problems[0]
    with pytest.raises(UsageError):
        apply_plan(plan)


def test_links_are_not_followed(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    fill(outside, "dog.1.jpg")
    fill(inside, "cat.1.jpg")
    (inside / "dog.1.jpg").symlink_to(outside / "dog.1.jpg")
    (inside / "cat").symlink_to(outside)
    plan = plan_separation(inside)
    assert "link" in plan.left["dog.1.jpg"]
    assert "got a link" in plan.problems[0]
    assert [p.name for p in outside.iterdir()] == ["dog.1.jpg"]


def test_labels_that_differ_in_spelling_only(tmp_path):
    fill(tmp_path, "Cat.1.jpg", "cat.2.jpg")
    assert "--lower" in plan_separation(tmp_path).problems[0]
    assert plan_separation(tmp_path, lower=True).problems == ()
    assert twins(["x"], ["Cat", "cat"]) == []
    assert len(twins(["cat"], ["Cat"])) == 1


class Stopped(BaseException):
    """A kill."""


def stop_at(monkeypatch, name, count):
    """Make the count-th call of a function of fsio the last thing that this process does."""
    real, calls = getattr(fsio, name), []

    def call(*arguments, **named):
        calls.append(1)
        if len(calls) == count:
            raise Stopped
        return real(*arguments, **named)

    monkeypatch.setattr(fsio, name, call)
    # A killed process tidies nothing up.
    monkeypatch.setattr(fsio, "remove", lambda path: False)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("call", ["open_log", "move"])
@pytest.mark.parametrize("then", ["apply", "undo"])
def test_interrupted_anywhere_it_goes_on_or_back(tmp_path, monkeypatch, call, count, then):
    names = ("cat.1.jpg", "cat.2.jpg", "dog.1.jpg")
    fill(tmp_path, *names)
    before = tree(tmp_path)
    with monkeypatch.context() as patch:
        stop_at(patch, call, count)
        with pytest.raises(Stopped):
            apply_plan(plan_separation(tmp_path))
    if then == "apply":
        apply_plan(plan_separation(tmp_path))
        assert set(tree(tmp_path)) == {"cat/cat.1.jpg", "cat/cat.2.jpg", "dog/dog.1.jpg", moves.JOURNAL}
        assert tree(tmp_path)["dog/dog.1.jpg"] == b"dog.1.jpg"
    undo_separation(tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("call", ["open_log", "move"])
def test_an_interrupted_undo_goes_on(tmp_path, monkeypatch, call, count):
    fill(tmp_path, "cat.1.jpg", "cat.2.jpg", "dog.1.jpg")
    before = tree(tmp_path)
    apply_plan(plan_separation(tmp_path))
    with monkeypatch.context() as patch:
        stop_at(patch, call, count)
        with pytest.raises(Stopped):
            undo_separation(tmp_path)
    undo_separation(tmp_path)
    assert tree(tmp_path) == before


def test_undo_replaces_nothing(tmp_path):
    fill(tmp_path, "cat.1.jpg", "dog.1.jpg")
    apply_plan(plan_separation(tmp_path))
    (tmp_path / "cat.1.jpg").write_bytes(b"new")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match="is there again"):
        undo_separation(tmp_path)
    assert tree(tmp_path) == before


def test_undo_says_what_is_gone_and_keeps_folders_with_other_files(tmp_path, capsys):
    fill(tmp_path, "cat.1.jpg", "cat.2.jpg")
    apply_plan(plan_separation(tmp_path))
    (tmp_path / "cat" / "cat.2.jpg").unlink()
    fill(tmp_path / "cat", "mine.jpg")
    separate(tmp_path, "--undo")
    assert set(tree(tmp_path)) == {"cat.1.jpg", "cat/mine.jpg"}
    assert "cat.2.jpg is no longer where it was put" in capsys.readouterr().out


def test_a_name_that_was_moved_under_another_label_is_refused(tmp_path):
    fill(tmp_path, "cat.1.jpg")
    apply_plan(plan_separation(tmp_path))
    fill(tmp_path, "cat.1.jpg")
    assert "was moved to 'cat' before" in plan_separation(tmp_path, "(?P<label>c)").problems[0]


@pytest.mark.parametrize(
    "row",
    [
        {"name": "../../x.jpg", "label": "cat"},
        {"name": "x.jpg", "label": ".."},
        {"name": "x.jpg", "label": "/etc"},
        {"name": "..", "label": "cat"},
        {"name": "a\0b", "label": "cat"},
        {"name": "x.jpg"},
        {"name": 1, "label": "cat"},
        [],
        "x",
    ],
)
def test_a_journal_from_elsewhere_moves_nothing(tmp_path, row):
    (tmp_path / "cat").mkdir()
    (tmp_path / moves.JOURNAL).write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=re.escape(moves.JOURNAL)):
        undo_separation(tmp_path)


@pytest.mark.parametrize("text", ["nonsense\n", "[" * 100_000, '{"name": "x'])
def test_a_damaged_journal_is_said(tmp_path, text):
    (tmp_path / moves.JOURNAL).write_text(text)
    fill(tmp_path, "cat.1.jpg")
    with pytest.raises(UsageError, match="line 1 of"):
        plan_separation(tmp_path)


def test_a_journal_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "x").write_text("")
    (tmp_path / moves.JOURNAL).symlink_to(tmp_path / "x")
    with pytest.raises(UsageError, match="got a link"):
        undo_separation(tmp_path)


def test_nothing_to_undo(tmp_path):
    with pytest.raises(UsageError, match="nothing to undo"):
        undo_separation(tmp_path)
    with pytest.raises(UsageError, match="check the spelling"):
        plan_separation(tmp_path / "none")


def test_nothing_to_move(tmp_path, capsys):
    assert separate(tmp_path, "--apply") == 0
    assert "no file to move" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [("--apply",), ("--lower",), ("--pattern", "x")])
def test_undo_stands_alone(tmp_path, flags):
    with pytest.raises(UsageError, match="--undo alone"):
        separate(tmp_path, "--undo", *flags)


def test_a_name_taken_since_the_plan_is_not_replaced(tmp_path):
    fill(tmp_path, "cat.1.jpg")
    plan = plan_separation(tmp_path, DEFAULT_PATTERN)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "cat.1.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="made meanwhile"):
        apply_plan(plan)
    assert (tmp_path / "cat" / "cat.1.jpg").read_bytes() == b"mine"
    assert (tmp_path / "cat.1.jpg").read_bytes() == b"cat.1.jpg"


def test_a_file_gone_since_the_plan_is_said(tmp_path):
    fill(tmp_path, "cat.1.jpg")
    plan = plan_separation(tmp_path)
    (tmp_path / "cat.1.jpg").unlink()
    with pytest.raises(UsageError, match="gone since"):
        apply_plan(plan)
    assert not (tmp_path / "cat" / "cat.1.jpg").exists()


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_not_utf8_goes_there_and_back(tmp_path):
    name = os.fsdecode(b"cat.\xff.jpg")
    fill_bytes = tmp_path / name
    fill_bytes.write_bytes(b"x")
    apply_plan(plan_separation(tmp_path))
    assert (tmp_path / "cat" / name).read_bytes() == b"x"
    undo_separation(tmp_path)
    assert fill_bytes.read_bytes() == b"x"
