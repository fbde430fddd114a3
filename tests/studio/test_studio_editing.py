"""Every change of the folder is real, journalled and undone exactly; no file is ever lost or replaced."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from commands import ROOT, environment
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from support import encode, noise, write_tree

from retrain import commands, fsio
from retrain.console import Console
from retrain.dataset import scan_folder
from retrain.errors import RetrainError, UsageError
from retrain.fsio.system import CREATE, RENAME, WRITE
from retrain.insight import carrying
from retrain.insight.corrections import JOURNAL, Correction, last_fix, write_journal
from retrain.studio import editing

sys.path.insert(0, str(Path(__file__).parents[1] / "hostile"))
import names_hostile
from studio_kills import CLASSES, REMOVED, UPLOADS, files, folders, grow, photographs, scan

PHOTO = encode(noise(8, 8))
NAMES = ("a", "b", "c", "d", "e é")


@pytest.fixture
def root(tmp_path):
    return grow(tmp_path / "photos", 3)


def upload(root, to, *names, data=PHOTO, fix=0):
    catalog = scan(root) if root.is_dir() else None
    return editing.add_photographs(root, to, [(name, lambda: data) for name in names], catalog, fix)


class Folder(RuleBasedStateMachine):
    """All changes in any order, other programs among them; what is on the disk is compared after each."""

    def __init__(self):
        super().__init__()
        self.root = grow(Path(self.places.mktemp("machine")) / "photos", 3)
        self.contents = Counter(files(self.root).values())
        # What each undo must restore; None: another program has been here, so only losses count.
        self.earlier = []

    def change(self, work):
        before = photographs(self.root), folders(self.root)
        fix = last_fix(self.root)
        try:
            work()
        except UsageError:
            assert (photographs(self.root), folders(self.root)) == before
            assert last_fix(self.root) == fix
            return
        if last_fix(self.root) != fix:
            self.earlier.append(before)

    def some(self, data, most=4):
        paths = [one.path for one in scan(self.root).records] or ["a/none.jpg"]
        return data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=most))

    @rule(data=st.data(), to=st.sampled_from(NAMES))
    def move(self, data, to):
        some = self.some(data)
        self.change(lambda: editing.move_photographs(scan(self.root), some, to))

    @rule(data=st.data())
    def take_out(self, data):
        some = self.some(data)
        self.change(lambda: editing.take_out(scan(self.root), some))

    @rule(name=st.sampled_from(NAMES))
    def make(self, name):
        self.change(lambda: editing.make_class(self.root, name))

    @rule(old=st.sampled_from(NAMES), new=st.sampled_from(NAMES))
    def rename(self, old, new):
        self.change(lambda: editing.rename_class(self.root, old, new))

    @rule(old=st.sampled_from(NAMES), into=st.sampled_from(NAMES))
    def merge(self, old, into):
        self.change(lambda: editing.merge_classes(scan(self.root), old, into))

    @rule(name=st.sampled_from(NAMES))
    def drop(self, name):
        self.change(lambda: editing.drop_class(self.root, name))

    @rule(to=st.sampled_from(NAMES), seed=st.integers(0, 39), again=st.booleans())
    def add(self, to, seed, again):
        fix = last_fix(self.root)[0] if again else 0
        joins = again and any(one.is_added for one in last_fix(self.root)[1])
        before = photographs(self.root), folders(self.root)
        added = upload(self.root, to, "1.jpg", "x.png", data=UPLOADS[seed], fix=fix)
        assert len(added.paths) == 2
        assert added.refused == ()
        self.contents[UPLOADS[seed]] += 2
        if not joins:
            self.earlier.append(before)

    @rule()
    def undo(self):
        try:
            _, gone = editing.undo(self.root)
        except UsageError:
            assert not self.earlier or None in self.earlier
            return
        wanted = self.earlier.pop()
        if None not in self.earlier and wanted is not None:
            assert gone == []
            assert (photographs(self.root), folders(self.root)) == wanted

    @rule(data=st.data(), kind=st.sampled_from(["new", "away", "other", "folder", "hidden"]))
    def another_program(self, data, kind):
        self.earlier = [None] * len(self.earlier)
        paths = [self.root / path for path in photographs(self.root)]
        if kind == "new":
            place = self.root / data.draw(st.sampled_from(NAMES))
            place.mkdir(exist_ok=True)
            if not (place / "0.jpg").exists():
                (place / "0.jpg").write_bytes(b"from elsewhere")
                self.contents[b"from elsewhere"] += 1
        elif kind == "folder":
            (self.root / data.draw(st.sampled_from(NAMES))).mkdir(exist_ok=True)
        elif kind == "hidden" and paths:
            hidden = data.draw(st.sampled_from(paths)).parent / ".hidden"
            if not hidden.exists():
                hidden.write_bytes(b"hidden")
                self.contents[b"hidden"] += 1
        elif paths:
            path = data.draw(st.sampled_from(paths))
            if kind == "other":
                path.rename(path.with_name(f"{path.stem}{len(self.contents)}{sum(self.contents.values())}.jpg"))
            else:
                self.contents[path.read_bytes()] -= 1
                path.unlink()

    @precondition(lambda self: self.earlier and None not in self.earlier)
    @rule()
    def undo_everything(self):
        first = self.earlier[0]
        while last_fix(self.root)[0]:
            assert editing.undo(self.root)[1] == []
        assert (photographs(self.root), folders(self.root)) == first
        self.earlier = []

    @invariant()
    def nothing_is_lost(self):
        assert Counter(files(self.root).values()) == +self.contents

    @invariant()
    def what_undo_would_do_can_be_said(self):
        assert bool(editing.last_change(self.root)) == bool(last_fix(self.root)[0])

    def teardown(self):
        shutil.rmtree(self.root.parent)


def test_any_changes_in_any_order_lose_nothing_and_are_undone_exactly(tmp_path_factory, monkeypatch):
    Folder.places = tmp_path_factory
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # half of the time; kills and power have their own tests
    quiet = list(HealthCheck)
    run_machine(Folder, settings=settings(max_examples=30, stateful_step_count=20, deadline=None, derandomize=True,
                                          suppress_health_check=quiet, database=None))  # fmt: skip


def test_a_kill_at_any_moment_loses_nothing_and_undo_puts_it_right():
    script = Path(__file__).with_name("studio_kills.py")
    done = subprocess.run(
        [sys.executable, str(script), "200", "11"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# What can go wrong half way


@pytest.mark.parametrize("kind", [CREATE, RENAME, WRITE, "make_folder", "sync", "sync_folder", "remove_folder"])
@pytest.mark.parametrize("number", range(6))
def test_a_disk_that_refuses_at_any_call_leaves_all_as_it_was(root, kind, number):
    before, names, calls = photographs(root), folders(root), [number]

    def refuse(operation):
        if operation.kind == kind and not operation.path.endswith(".lock"):
            calls[0] -= 1
            if calls[0] == -1:
                raise OSError(errno.ENOSPC, "No space left on device", operation.path)

    catalog = scan(root)
    with fsio.watching(refuse):
        try:
            if kind == "make_folder":
                editing.move_photographs(catalog, ["a/0.jpg", "a/1.jpg"], "new")
            else:
                editing.merge_classes(catalog, "a", "b")
        except (UsageError, OSError) as error:
            assert "No space" in str(error)  # noqa: PT017 - some calls are not made so often
    if calls[0] < 0:
        while last_fix(root)[0] and photographs(root) != before:
            editing.undo(root)
    elif last_fix(root)[0]:
        assert editing.undo(root)[1] == []
    assert (photographs(root), folders(root)) == (before, names)
    assert editing.move_photographs(scan(root), ["a/0.jpg"], "c") == 1


def test_a_photograph_that_vanished_since_it_was_listed_is_said_and_the_others_stay(root):
    catalog = scan(root)
    (root / "a/1.jpg").unlink()
    before = photographs(root)
    with pytest.raises(UsageError, match=r"a/1\.jpg is gone since it was listed; all others were put back"):
        editing.move_photographs(catalog, ["a/0.jpg", "a/1.jpg", "a/2.jpg"], "new")
    assert photographs(root) == before
    assert folders(root) == set(CLASSES)


def test_a_disk_that_is_full_in_an_upload_keeps_what_came_and_says_the_rest(root):
    def full(operation):
        if operation.kind == WRITE and "two" in operation.path:
            raise OSError(errno.ENOSPC, "No space left on device", operation.path)

    with fsio.watching(full):
        added = upload(root, "a", "one.png", "two.png", "three.png")
    assert added.paths == ("a/one.png", "a/three.png")
    assert added.refused[0][0] == "a/two.png"
    assert "No space" in added.refused[0][1]
    (root / "a/two.png").write_bytes(b"another program's")
    assert editing.undo(root) == (2, [])
    assert photographs(root)["a/two.png"] == b"another program's"


def test_an_upload_of_which_nothing_can_be_written_leaves_no_entry(root):
    def full(operation):
        if operation.kind == WRITE and "one" in operation.path:
            raise OSError(errno.ENOSPC, "No space left on device", operation.path)

    with fsio.watching(full):
        added = upload(root, "a", "one.png")
    assert added.paths == ()
    assert last_fix(root) == (0, ())


def test_what_comes_into_a_folder_while_it_is_taken_away_stays(root, monkeypatch):
    real = carrying._drop

    def late(folder):
        (folder / "late.jpg").write_bytes(b"late")
        real(folder)

    monkeypatch.setattr(carrying, "_drop", late)
    assert editing.merge_classes(scan(root), "a", "b") == 3
    assert photographs(root)["a/late.jpg"] == b"late"


def test_two_studios_at_once_lose_nothing(root, monkeypatch):
    monkeypatch.setattr(carrying, "_LOCK_WAIT_S", 20.0)
    before = Counter(files(root).values())
    strange = []

    def studio(to):
        for number in range(15):
            try:
                editing.move_photographs(scan(root), [scan(root).records[number % 9].path], to)
                upload(root, to, "same.png")
            except RetrainError:
                continue  # a sentence: the other one was quicker
            except Exception as error:  # noqa: BLE001
                strange.append(error)

    both = [threading.Thread(target=studio, args=(to,)) for to in ("b", "c")]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert strange == []
    now = Counter(files(root).values())
    uploaded = now.pop(PHOTO)
    assert uploaded > 10
    assert now == before
    while last_fix(root)[0]:
        editing.undo(root)
    assert Counter(photographs(root).values()) == before


def test_a_second_studio_waits_no_longer_than_its_page_does(root, monkeypatch):
    monkeypatch.setattr(carrying, "_LOCK_WAIT_S", 0.0)
    with fsio.locked(root / ".fixing"), pytest.raises(RetrainError, match="another process has held"):
        editing.make_class(root, "new")
    assert folders(root) == set(CLASSES)


def test_an_interrupted_change_is_undone_before_the_next_one(root):
    write_journal(root, [[Correction("a/0.jpg", "b/x.jpg"), Correction("a/1.jpg", "b/y.jpg")]])
    (root / "a/0.jpg").rename(root / "b/x.jpg")
    with pytest.raises(UsageError, match="Undo in the studio"):
        editing.move_photographs(scan(root), ["a/2.jpg"], "b")
    with pytest.raises(UsageError, match="undo it first"):
        upload(root, "a", "1.png")
    assert editing.undo(root) == (1, [])
    assert editing.move_photographs(scan(root), ["a/2.jpg"], "b") == 1


# The command and the page understand each other


def fix(*words):
    return commands.main(["fix", "--no_refit", "--image_dir", "photos", *words], Console())


def test_the_command_undoes_what_the_page_did(root, monkeypatch, capsys):
    monkeypatch.chdir(root.parent)
    before = photographs(root)
    editing.merge_classes(scan(root), "a", "b")
    editing.rename_class(root, "c", "d")
    upload(root, "b", "new.png", "newer.png")
    assert fix("--undo") == fix("--undo") == fix("--undo") == 0
    assert (photographs(root), folders(root)) == (before, set(CLASSES))
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if "put back" in line] == [
        "2 files put back", "1 files put back", "3 files put back"
    ]  # fmt: skip


def test_the_page_undoes_what_the_command_did(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    before = photographs(root)
    Path("moves.csv").write_text("path,to\na/1.jpg,b\n")
    with pytest.raises(UsageError, match="is there already"):
        fix("--apply", "moves.csv")
    (root / "a/1.jpg").rename(root / "a/7.jpg")
    Path("moves.csv").write_text("path,to\na/7.jpg,b\n")
    assert fix("--apply", "moves.csv") == 0
    assert editing.last_change(root) == "7.jpg moved to b"
    assert editing.undo(root) == (1, [])
    (root / "a/7.jpg").rename(root / "a/1.jpg")
    assert photographs(root) == before


def test_what_undo_would_take_back_is_said(root):
    assert editing.last_change(root) == ""
    said = []
    for work in (
        lambda: editing.make_class(root, "d"),
        lambda: editing.move_photographs(scan(root), ["a/0.jpg", "a/1.jpg"], "d"),
        lambda: editing.take_out(scan(root), ["a/2.jpg"]),
        lambda: editing.drop_class(root, "a"),
        lambda: editing.rename_class(root, "d", "e"),
        lambda: upload(root, "e", "my cat.png"),
    ):
        work()
        said.append(editing.last_change(root))
    assert said == [
        "d was made", "2 photographs moved to d", "2.jpg taken out", "a was taken away", "d was renamed e",
        "my cat.png added to e",
    ]  # fmt: skip


def test_an_upload_in_parts_is_undone_at_once(root):
    before = photographs(root)
    first = upload(root, "new", "1.png", "2.png")
    second = upload(root, "new", "3.png", fix=first.fix)
    assert second.fix == first.fix == last_fix(root)[0] == 1
    assert editing.last_change(root) == "3 photographs added to new"
    editing.make_class(root, "between")
    third = upload(root, "new", "4.png", fix=first.fix)
    assert third.fix == 3
    for _ in range(3):
        editing.undo(root)
    assert photographs(root) == before
    assert folders(root) == set(CLASSES)
    removed = root / REMOVED / "new"
    assert sorted(path.name for path in removed.iterdir()) == ["1.png", "2.png", "3.png", "4.png"]


# Names


@pytest.mark.parametrize("what", names_hostile.NAMES)
def test_a_file_of_any_name_is_taken_under_one_that_every_system_can_have(root, what):
    name = names_hostile.NAMES[what]
    added = upload(root, "a", f"{name}.PNG", f"photos/{name}.jpg", name)
    assert added.refused == ()
    for path in added.paths:
        assert (root / path).read_bytes() == PHOTO
        last = path.removeprefix("a/")
        assert editing.label_fault(last) is None
        assert len(os.fsencode(last)) <= 200
        assert "/" not in last
    assert {one.path for one in scan(root).records} >= set(added.paths)


def test_photographs_keep_their_names(root):
    names = ["IMG 0001 (2).JPG", "Grüße & Küsse, Omas Katze's.jpeg", "m13.webp", "银河.png", "noodles.gif", "no suffix"]
    wanted = [
        "IMG 0001 (2).jpg", "Grüße & Küsse, Omas Katze's.jpeg", "m13.webp", "银河.png", "noodles.gif", "no suffix.jpg"
    ]  # fmt: skip
    assert upload(root, "new", *names).paths == tuple(f"new/{name}" for name in wanted)


def test_names_that_are_taken_get_a_number(root):
    assert upload(root, "a", "0.jpg", "0.JPG", "0.jpg").paths == ("a/0-2.jpg", "a/0-3.jpg", "a/0-4.jpg")
    assert editing.move_photographs(scan(root), ["a/1.jpg"], "b") == 1
    assert photographs(root)["b/1-2.jpg"] == b"a 1"


def test_names_of_255_bytes_can_be_moved_where_they_are_taken(root):
    long = "\u00e9" * 125 + ".jpg"
    for name in ("a", "b"):
        (root / name / long).write_bytes(name.encode())
    before = photographs(root)
    assert editing.move_photographs(scan(root), [f"a/{long}"], "b") == 1
    assert editing.take_out(scan(root), [f"b/{long}"]) == 1
    editing.undo(root)
    editing.undo(root)
    assert photographs(root) == before


@pytest.mark.parametrize("what", names_hostile.NAMES)
def test_a_class_of_any_name_is_made_or_refused_in_a_sentence(root, what):
    name = names_hostile.NAMES[what]
    try:
        editing.make_class(root, name)
    except UsageError as error:
        assert "expected a name for a class folder" in str(error)  # noqa: PT017
        assert folders(root) == set(CLASSES)
    else:
        assert folders(root) == {*CLASSES, name}
        assert editing.move_photographs(scan(root), ["a/0.jpg"], name) == 1
        editing.undo(root)
        editing.undo(root)
        assert folders(root) == set(CLASSES)


@pytest.mark.parametrize("what", names_hostile.folders())
def test_a_class_of_an_odd_name_that_is_there_can_be_used_and_renamed(root, what):
    name = names_hostile.folders()[what]
    (root / name).mkdir()
    assert editing.move_photographs(scan(root), ["a/0.jpg"], name) == 1
    editing.rename_class(root, name, "better")
    assert photographs(root)["better/0.jpg"] == b"a 0"
    editing.undo(root)
    assert editing.undo(root) == (1, [])
    assert (root / name).is_dir()


@pytest.mark.parametrize("other", ["A", "e\u0301toile"])
def test_a_class_that_another_system_takes_for_one_that_there_is_is_refused(root, other):
    (root / "\u00e9toile").mkdir()
    with pytest.raises(UsageError, match="differ only in how they are spelt"):
        editing.make_class(root, other)
    with pytest.raises(UsageError, match="differ only in how they are spelt"):
        editing.move_photographs(scan(root), ["b/0.jpg"], other)


def test_only_the_spelling_of_a_class_can_be_changed(root):
    editing.rename_class(root, "a", "A")
    assert folders(root) == {"A", "b", "c"}
    editing.undo(root)
    assert folders(root) == set(CLASSES)


@pytest.mark.parametrize("name", ["..", ".", "", ".removed", "../photos", "a/../b", "none", "/etc"])
def test_what_is_no_class_is_not_renamed_merged_or_taken_away(root, name):
    (root / ".removed").mkdir()
    for work in (
        lambda: editing.rename_class(root, name, "x"),
        lambda: editing.merge_classes(scan(root), name, "a"),
        lambda: editing.merge_classes(scan(root), "a", name),
        lambda: editing.drop_class(root, name),
    ):
        with pytest.raises(UsageError):
            work()
    assert folders(root) == set(CLASSES)


def test_links_are_shown_and_left_alone(root, tmp_path):
    write_tree(tmp_path / "elsewhere", {"d": {"1.jpg": b"d"}})
    (root / "d").symlink_to(tmp_path / "elsewhere/d")
    (root / "a/link.jpg").symlink_to(root / "b/0.jpg")
    assert {"d/1.jpg", "a/link.jpg"} <= {one.path for one in scan(root).records}
    for work in (
        lambda: editing.move_photographs(scan(root), ["d/1.jpg"], "a"),
        lambda: editing.move_photographs(scan(root), ["a/0.jpg"], "d"),
        lambda: editing.rename_class(root, "d", "x"),
        lambda: editing.drop_class(root, "d"),
        lambda: editing.merge_classes(scan(root), "d", "a"),
        lambda: upload(root, "d", "x.png"),
    ):
        with pytest.raises(UsageError, match="got a link"):
            work()
    with pytest.raises(UsageError, match="links are not moved"):
        editing.take_out(scan(root), ["a/link.jpg"])
    assert (tmp_path / "elsewhere/d/1.jpg").read_bytes() == b"d"


def test_bytes_that_are_no_photograph_are_refused_each_for_itself(root):
    files = [("a.png", PHOTO), ("b.png", b"<svg>"), ("c.png", PHOTO[:50]), ("d.png", b"x" * 20_000_001), ("e.png", b"")]
    added = editing.add_photographs(root, "a", [(name, lambda d=data: d) for name, data in files], scan(root))
    assert added.paths == ("a/a.png",)
    assert [name for name, _ in added.refused] == ["b.png", "c.png", "d.png", "e.png"]
    assert all(why for _, why in added.refused)


# Folders of sides, and nothing at all


def test_in_folders_of_sides_photographs_move_on_their_side_and_uploads_are_for_training(tmp_path):
    root = tmp_path / "photos"
    for side in ("train", "val"):
        write_tree(root / side, {"cat": {"1.jpg": b"c" + side.encode()}, "dog": {"2.jpg": b"d" + side.encode()}})
    before = photographs(root)
    assert editing.move_photographs(scan(root), ["val/cat/1.jpg"], "dog") == 1
    assert photographs(root)["val/dog/1.jpg"] == b"cval"
    assert upload(root, "cat", "new.png").paths == ("train/cat/new.png",)
    assert upload(root, "bird", "new.png").paths == ("train/bird/new.png",)
    with pytest.raises(UsageError, match="differ only in how they are spelt"):
        upload(root, "CAT", "new.png")
    assert editing.take_out(scan(root), ["train/cat/new.png"]) == 1
    while last_fix(root)[0]:
        editing.undo(root)
    assert photographs(root) == before
    assert not (root / "train/bird").exists()


def test_a_folder_is_begun_from_nothing(tmp_path):
    root = tmp_path / "none/yet"
    assert editing.last_change(root) == ""
    editing.make_class(root, "cats")
    assert upload(root, "dogs", "1.png").paths == ("dogs/1.png",)
    assert folders(root) == {"cats", "dogs"}
    assert scan_folder(str(root), "folder").labels == ("cats", "dogs")


def test_a_class_with_files_in_it_is_not_taken_away(root):
    (root / "a/.hidden").write_bytes(b"x")
    with pytest.raises(UsageError, match="is not empty"):
        editing.drop_class(root, "a")
    editing.merge_classes(scan(root), "a", "b")
    assert (root / "a/.hidden").read_bytes() == b"x"


def test_the_journal_of_a_stranger_moves_nothing(root):
    (root / JOURNAL).write_text('{"fix": 1, "old": "a/0.jpg", "new": "../../x"}\n')
    before = photographs(root)
    for work in (lambda: editing.undo(root), lambda: editing.make_class(root, "x"), lambda: upload(root, "a", "1.png")):
        with pytest.raises(UsageError, match="is not one that fix writes"):
            work()
    assert photographs(root) == before
