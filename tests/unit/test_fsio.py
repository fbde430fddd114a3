import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from retrain import fsio
from retrain.errors import RetrainError, UsageError

NO_SUCH_PROCESS = 2**22 + 1  # above the largest pid that Linux hands out
TWO_DAYS_S = 2 * 24 * 3600


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_with_its_folder(tmp_path):
    with fsio.replacing(tmp_path / "new" / "file") as file:
        file.write(b"one")
        assert not (tmp_path / "new" / "file").exists()
    assert (tmp_path / "new" / "file").read_bytes() == b"one"
    assert names(tmp_path / "new") == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_in_the_middle_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def write_half():
        with fsio.replacing(target) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_the_bytes_are_on_the_disk_before_the_name_points_at_them(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (order.append("fsync"), fsync(number))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("rename"), replace(self, target))[1])
    fsio.write_bytes(tmp_path / "file", b"one")
    assert order == ["fsync", "rename", "fsync"]  # the file, its name, its folder


def test_files_that_belong_together_are_written_in_order(tmp_path, monkeypatch):
    renamed = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (renamed.append(Path(to).name), replace(self, to))[1])
    fsio.write_together({str(tmp_path / "b"): b"1", str(tmp_path / "a"): b"2"})
    assert renamed == ["b", "a"]
    assert ((tmp_path / "b").read_bytes(), (tmp_path / "a").read_bytes()) == (b"1", b"2")


def test_if_one_of_several_files_cannot_be_written_none_is_replaced(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "blocked").write_bytes(b"a file where a folder should be")
    with pytest.raises(OSError, match="blocked"):
        fsio.write_together({str(tmp_path / "a"): b"new", str(tmp_path / "blocked" / "b"): b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a", "blocked"]


def test_a_rename_that_fails_leaves_no_temporary_file(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        fsio.write_bytes(tmp_path / "file", b"one")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("银河\n", "银河\n".encode()),
        ("a\r\nb\n", b"a\r\nb\n"),
        ("bad \udcff name", b"bad \\udcff name"),
        ("", b""),
    ],
)
def test_text_is_utf8_with_bare_newlines_and_surrogates_escaped(tmp_path, text, data):
    fsio.write_text(tmp_path / "file", text)
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize(
    ("owner", "age_s", "stays"),
    [
        (NO_SUCH_PROCESS, 0, False),
        (os.getppid(), 0, True),
        (os.getppid(), TWO_DAYS_S, False),
    ],
)
@pytest.mark.parametrize("name", ["graph.pb", "graph [1]*?.pb"])
def test_temporaries_of_killed_processes_are_swept_and_living_ones_kept(tmp_path, name, owner, age_s, stays):
    leftover = tmp_path / f".{name}.{owner}.tmp"
    leftover.write_bytes(b"half")
    os.utime(leftover, (time.time() - age_s,) * 2)
    fsio.write_bytes(tmp_path / name, b"one")
    assert leftover.exists() is stays


@pytest.mark.parametrize("other", [".graph.pb.notes.tmp", f".other.pb.{NO_SUCH_PROCESS}.tmp", "graph.pb.1.tmp"])
def test_files_that_only_look_like_temporaries_are_left_alone(tmp_path, other):
    (tmp_path / other).write_bytes(b"mine")
    fsio.write_bytes(tmp_path / "graph.pb", b"one")
    assert (tmp_path / other).read_bytes() == b"mine"


def test_a_log_never_replaces_a_file(tmp_path):
    with fsio.open_log(tmp_path / "new" / "log") as file:
        file.write(b"line")
    with pytest.raises(FileExistsError):
        fsio.open_log(tmp_path / "new" / "log")
    assert (tmp_path / "new" / "log").read_bytes() == b"line"


def test_a_file_moves_into_a_new_folder(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    fsio.move(tmp_path / "a", tmp_path / "b" / "c")
    assert (tmp_path / "b" / "c").read_bytes() == b"one"
    assert not (tmp_path / "a").exists()


def test_a_file_is_hashed(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    assert fsio.sha256_file(tmp_path / "a") == hashlib.sha256(b"one").hexdigest()


@pytest.fixture
def places(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "x")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "folder", "hindrance"),
    [
        ("file", False, None),
        ("folder", True, None),
        ("new", False, None),
        ("new", True, None),
        ("new/deep/er", False, None),
        ("file", True, "it is a file, not a folder"),
        ("folder", False, "it is a folder, not a file"),
        ("file/new", False, "file is a file, not a folder"),
        ("file/new/deep", True, "file is a file, not a folder"),
        ("nowhere", True, "it is a file, not a folder"),
    ],
)
def test_what_stands_in_the_way_of_writing_is_said_without_touching_the_disk(places, name, folder, hindrance):
    before = names(places)
    said = fsio.why_not_writable(places / name, folder=folder)
    assert said is None if hindrance is None else said.endswith(hindrance)
    assert names(places) == before


@pytest.mark.parametrize(
    ("name", "denied", "hindrance"),
    [
        ("file", "file", "there is no permission to write to it"),
        ("file", "", "there is no permission to write in "),
        ("new/deep", "", "there is no permission to write in "),
    ],
)
def test_missing_permission_is_said(places, monkeypatch, name, denied, hindrance):
    # Asked of a stand-in: root, as which tests may run, is allowed everything.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != places / denied)
    assert fsio.why_not_writable(places / name, folder=False).startswith(hindrance)


def test_a_name_that_is_too_long_is_said_and_not_raised(tmp_path):
    assert fsio.why_not_writable(tmp_path / ("x" * 300), folder=False) is not None


@pytest.mark.parametrize("parts", [("a",), ("a", "b.jpg"), ("a/../b",), ("a..b",), ("...",)])
def test_names_below_a_folder_are_joined(parts):
    assert fsio.safe_join("root", *parts) == Path("root").joinpath(*parts)


@pytest.mark.parametrize("parts", [("..",), ("a", "../.."), ("/etc/passwd",), ("a\0b",), (".",), ("",), ("../root2",)])
def test_names_that_leave_the_folder_are_refused(parts):
    with pytest.raises(UsageError, match="expected a name inside root"):
        fsio.safe_join("root", *parts)


def test_a_lock_is_held_once_and_given_up_on_an_exception(tmp_path):
    with fsio.locked(tmp_path / "new" / "model"):
        with pytest.raises(RetrainError, match=r"model\.lock"), fsio.locked(tmp_path / "new" / "model", timeout_s=0):
            pass
        with pytest.raises(ValueError, match="mine"), fsio.locked(tmp_path / "other", timeout_s=0):
            raise ValueError("mine")
        with fsio.locked(tmp_path / "other", timeout_s=0):
            assert (tmp_path / "other.lock").exists()
    with fsio.locked(tmp_path / "new" / "model", timeout_s=0):
        assert (tmp_path / "new" / "model.lock").exists()


def test_who_waits_for_a_lock_gets_it_when_it_is_given_up(tmp_path):
    got = threading.Event()

    def wait():
        with fsio.locked(tmp_path / "model", timeout_s=10):
            got.set()

    with fsio.locked(tmp_path / "model"):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not got.wait(0.02)
    thread.join(10)
    assert got.is_set()


def test_a_scratch_file_has_no_name_and_keeps_what_is_written(tmp_path):
    with fsio.scratch(tmp_path) as file:
        file.write(b"one")
        file.seek(0)
        assert file.read() == b"one"
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pid", ["99999999999999999999", "²", "-1", ""])
def test_a_name_that_looks_like_a_leftover_of_ours_breaks_nothing(tmp_path, pid):
    (tmp_path / f".graph.pb.{pid}.tmp").write_text("theirs")
    (tmp_path / f".staging.{pid}").mkdir()
    fsio.write_text(tmp_path / "graph.pb", "ours")
    with fsio.staging(tmp_path):
        pass
    assert (tmp_path / "graph.pb").read_text() == "ours"
    gone = pid == "99999999999999999999"  # a number that no process has: it was left, whoever left it
    assert (tmp_path / f".graph.pb.{pid}.tmp").exists() is not gone
