"""The edges of fsio: what the calls beneath are asked for, other systems, and names that only look like ours."""

import hashlib
import io
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from retrain import fsio
from retrain.errors import RetrainError, UsageError
from retrain.fsio import files, folders, locks, system

NO_SUCH_PROCESS = 2**22 + 1  # above the largest pid that Linux hands out


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def synced(monkeypatch):
    """Which files and folders were synced, in order, by their numbers on the disk."""
    numbers, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (numbers.append(os.fstat(number).st_ino), fsync(number))[1])
    return numbers


@pytest.mark.parametrize(("name", "size"), [("md5", 32), ("sha256", 64)])
def test_a_published_checksum_fits_or_the_sentence_has_both(tmp_path, name, size):
    (tmp_path / "weights").write_bytes(b"weights")
    right = hashlib.new(name, b"weights", usedforsecurity=False).hexdigest()
    assert len(right) == size
    assert fsio.checksum_fault(tmp_path / "weights", right) == ""
    shown = {"md5": "MD5", "sha256": "SHA-256"}[name]
    wrong = "0" * size
    assert fsio.checksum_fault(tmp_path / "weights", wrong) == f"expected a file with the {shown} {wrong}, got {right}"


def test_without_a_published_checksum_the_file_is_not_even_opened(tmp_path):
    assert fsio.checksum_fault(tmp_path / "nothing", "") == ""


@pytest.mark.parametrize("parts", [("a\0", "b"), ("a", "\0b"), ("\0",)])
def test_a_nul_in_any_part_of_a_name_is_refused_and_shown(parts):
    with pytest.raises(UsageError) as caught:
        fsio.safe_join("root", *parts)
    assert str(caught.value) == f"expected a name inside root, got {'/'.join(parts)!r}"


def test_a_file_where_a_folder_is_to_be_is_named_with_what_is_in_the_way(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert fsio.why_not_writable(tmp_path / "file", folder=True) == "it is a file, not a folder"
    assert fsio.why_not_writable(tmp_path, folder=False) == "it is a folder, not a file"
    below = fsio.why_not_writable(tmp_path / "file" / "deep" / "er", folder=False)
    assert below == f"{tmp_path / 'file'} is a file, not a folder"
    assert "null" in fsio.why_not_writable("a\0b", folder=False)


def test_a_folder_is_asked_for_the_right_to_write_and_to_pass(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(os, "access", lambda path, mode: asked.setdefault(str(path), mode) != mode)
    assert fsio.why_not_writable(tmp_path / "new", folder=False) == f"there is no permission to write in {tmp_path}"
    assert asked == {str(tmp_path): os.W_OK | os.X_OK}
    assert fsio.why_not_writable(tmp_path / "new" / "er", folder=True) is not None
    asked.clear()
    assert fsio.why_not_writable(tmp_path, folder=True) == "there is no permission to write to it"
    assert asked == {str(tmp_path): os.W_OK}


# Which processes live.


def test_a_process_is_only_asked_for_and_one_that_may_not_be_asked_lives(monkeypatch):
    asked = []

    def kill(pid, number):
        asked.append((pid, number))
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert not files.process_is_gone(1)
    assert asked == [(1, 0)]


def test_on_windows_no_process_is_asked(monkeypatch):
    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", lambda pid, number: pytest.fail("it would have been ended"))
    assert not files.process_is_gone(NO_SUCH_PROCESS)


@pytest.mark.parametrize("kind", ["staging", "graph [1]*?.pb.replaced"])
def test_folders_are_swept_by_the_pid_of_a_process_that_is_gone_and_nothing_like_it_is(tmp_path, kind):
    alike = [f".{kind}.notes", f".{kind}.", f"{kind}.{NO_SUCH_PROCESS}", f".{kind}.{NO_SUCH_PROCESS}.x", f".{kind}.1\n"]
    for name in (*alike, f".{kind}.{os.getppid()}", f".{kind}.{NO_SUCH_PROCESS}"):
        (tmp_path / name / "deep").mkdir(parents=True)
    (tmp_path / "graph [1]*?.pb").mkdir()  # so that what was replaced is of no use any more
    folders.sweep(str(tmp_path))
    assert names(tmp_path) == sorted([*alike, f".{kind}.{os.getppid()}", "graph [1]*?.pb"])


def test_what_was_replaced_goes_back_where_nothing_came_in_its_place(tmp_path):
    left = tmp_path / f".model.replaced.{NO_SUCH_PROCESS}"
    left.mkdir()
    (left / "file").write_text("the only copy")
    folders.sweep(tmp_path)
    assert names(tmp_path) == ["model"]
    assert (tmp_path / "model" / "file").read_text() == "the only copy"


def test_a_folder_that_is_not_there_is_swept_without_a_word(tmp_path):
    folders.sweep(tmp_path / "nothing")
    assert names(tmp_path) == []


def test_a_folder_whose_place_cannot_be_taken_leaves_the_old_one_in_it(tmp_path, monkeypatch):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    replace = Path.replace

    def only_away(self, target):
        if self.name == "new":
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", only_away)
    with pytest.raises(OSError, match="Input/output"):
        fsio.move_folder(tmp_path / "new", tmp_path / "old")
    assert names(tmp_path) == ["new", "old"]
    assert (tmp_path / "old" / "old").read_text() == "old"


def test_a_process_does_not_sweep_what_it_is_preparing_itself(tmp_path):
    with fsio.staging(tmp_path) as place:
        folders.sweep(tmp_path)
        assert place.is_dir()
    (tmp_path / place.name).mkdir()  # as a process of the same number left it, before the machine started anew
    folders.sweep(tmp_path)
    assert names(tmp_path) == []


# What is on the disk before what.


def test_a_folder_is_synced_from_its_leaves_up_before_it_is_renamed(tmp_path, synced, monkeypatch):
    (tmp_path / "new" / "deep").mkdir(parents=True)
    for name in ("new/deep/b", "new/deep/a", "new/z"):
        (tmp_path / name).write_text(name)
    known = ("new/deep/b", "new/deep/a", "new/z", "new/deep", "new")
    numbers = {(tmp_path / name).stat().st_ino: name for name in known}
    numbers[tmp_path.stat().st_ino] = "."
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (synced.append("renamed"), replace(self, to))[1])
    fsio.move_folder(tmp_path / "new", tmp_path / "old")
    told = [numbers.get(number, number) for number in synced]
    assert told == ["new/z", "new/deep/b", "new/deep/a", "new/deep", "new", "renamed", "."]


def test_a_move_is_synced_by_its_folder(tmp_path, synced):
    (tmp_path / "a").write_bytes(b"one")
    fsio.move(str(tmp_path / "a"), str(tmp_path / "b" / "c"))
    # The new folder's own name, the file's bytes, then the file's name; each once.
    wanted = [tmp_path, tmp_path / "b" / "c", tmp_path / "b"]
    assert synced == [path.stat().st_ino for path in wanted]


def test_what_is_in_the_buffer_goes_to_the_disk_first(tmp_path, monkeypatch):
    sizes, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (sizes.append(os.fstat(number).st_size), fsync(number))[1])
    with (tmp_path / "file").open("wb") as file:
        file.write(b"ten bytes.")
        system.sync(file)
    assert sizes == [10]


def test_a_folder_is_not_left_open_where_it_cannot_be_synced(tmp_path, monkeypatch):
    opened = []

    def fail(number):
        opened.append(number)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        system.sync_folder(tmp_path)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_on_windows_a_folder_needs_no_sync(tmp_path, monkeypatch):
    monkeypatch.setattr(system.sys, "platform", "win32")
    monkeypatch.setattr(os, "fsync", lambda number: pytest.fail("there is no such call"))
    told = []
    with fsio.watching(told.append):
        system.sync_folder(tmp_path)
    assert told == []


def test_a_scratch_file_is_on_the_disk_that_was_named_and_has_no_buffer(tmp_path, monkeypatch):
    places, make = [], tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **how: (places.append(how["dir"]), make(**how))[1])
    with fsio.scratch(tmp_path) as file:
        assert isinstance(file, io.RawIOBase)
    assert places == [tmp_path]


def test_a_partial_file_goes_on_at_its_end_whatever_was_sought(tmp_path):
    for _ in range(2):
        with fsio.open_partial(str(tmp_path / "new" / "part")) as file:
            file.seek(0)
            file.write(b"ab")
    assert (tmp_path / "new" / "part").read_bytes() == b"abab"
    with fsio.open_partial(tmp_path / "new" / "part") as file:
        file.truncate(1)
    assert (tmp_path / "new" / "part").read_bytes() == b"a"


def test_a_staged_file_must_not_be_there_yet(tmp_path):
    with fsio.open_staged(str(tmp_path / "new" / "file")) as file:
        file.write(b"one")
    with pytest.raises(FileExistsError):
        fsio.open_staged(tmp_path / "new" / "file")


@pytest.mark.parametrize("kind", ["file", "folder", "link", "nothing"])
def test_what_is_discarded_is_gone_and_what_links_point_to_is_not(tmp_path, kind):
    target = tmp_path / "old"
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    {
        "file": lambda: target.write_text("x"),
        "folder": lambda: (tmp_path / "old" / "deep").mkdir(parents=True),
        "link": lambda: target.symlink_to(tmp_path / "kept"),
        "nothing": lambda: None,
    }[kind]()
    fsio.discard(str(target))
    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == ["file"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_cannot_be_discarded_stays_without_a_word(tmp_path, monkeypatch, kind):
    target = tmp_path / "old"
    (target / "deep").mkdir(parents=True) if kind == "folder" else target.write_text("x")

    def busy(*_, **__):
        raise OSError(16, "Device or resource busy")

    for name in ("rmdir", "unlink"):
        monkeypatch.setattr(os, name, busy)
    fsio.discard(target)
    assert target.exists()
    with pytest.raises(OSError, match="busy"):
        fsio.remove(target)


# Locks.


def test_a_lock_that_another_holds_is_given_up_on_after_the_time_that_was_said(tmp_path, monkeypatch):
    clock, slept = [1000.0], []
    monkeypatch.setattr(locks.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: (slept.append(seconds), clock.append(clock.pop() + 10)))
    monkeypatch.setattr(locks, "_try_lock", lambda file: False)
    with pytest.raises(RetrainError) as caught, fsio.locked(tmp_path / "model", timeout_s=25.0):
        pytest.fail("it is another's")
    path = tmp_path / "model.lock"
    assert str(caught.value) == f"another process has held {path} for 25 s; end it and try again"
    assert slept == [0.05, 0.05, 0.05]  # at 1010, 1020 and 1030, the first time after 1025


def test_ten_minutes_are_waited_for_a_lock_unless_another_time_is_said(tmp_path, monkeypatch):
    clock = iter([0.0, 599.0, 600.0, 601.0])
    monkeypatch.setattr(locks.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(locks, "_try_lock", lambda file: False)
    with pytest.raises(RetrainError, match="for 600 s"), fsio.locked(tmp_path / "model"):
        pytest.fail("it is another's")


def test_what_a_lock_guards_is_another_s_as_soon_as_it_is_let_go(tmp_path):
    order = []

    def second():
        with fsio.locked(tmp_path / "model", timeout_s=10):
            order.append("second")

    with fsio.locked(tmp_path / "model"):
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_temporaries_as_old_as_a_day_are_swept_and_younger_ones_kept(tmp_path, monkeypatch):
    left = tmp_path / f".graph.pb.{os.getppid()}.tmp"
    left.write_bytes(b"half")
    now = left.stat().st_mtime
    monkeypatch.setattr(time, "time", lambda: now + fsio.STALE_TEMPORARY_S)
    fsio.write_bytes(tmp_path / "graph.pb", b"one")
    assert left.exists()
    monkeypatch.setattr(time, "time", lambda: now + fsio.STALE_TEMPORARY_S + 1)
    fsio.write_bytes(tmp_path / "graph.pb", b"one")
    assert names(tmp_path) == ["graph.pb"]
