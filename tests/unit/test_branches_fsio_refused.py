"""What the disk, or another process, refuses: the error has the file's name, and nothing is held that should not be."""

import errno
import os
import resource
from pathlib import Path

import pytest

from retrain import fsio
from retrain.fsio import locks, room, system

FULL = Path("/dev/full")  # the one file of Linux that every write finds without room


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_write_without_room_says_which_file_and_how_much():
    with system.open_file(FULL, "wb") as file:
        file.write(b"ten bytes.")
        with pytest.raises(OSError, match="expected room for at least 10 bytes, got") as caught:
            file.flush()
        file.raw.close()  # what is in the buffer can go nowhere
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(FULL))
    assert "make room and run the command again" in str(caught.value)


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_what_cannot_be_appended_is_not_tried_again_when_the_file_is_closed():
    with FULL.open("ab") as file, pytest.raises(OSError, match="No space left") as caught:
        fsio.append(file, memoryview(b"ten bytes."))
    assert caught.value.errno == errno.ENOSPC


def test_a_truncation_that_is_refused_keeps_its_error(tmp_path, monkeypatch):
    with system.open_file(tmp_path / "file", "a+b") as file, pytest.raises(OSError, match="Invalid argument"):
        file.truncate(-1)


def test_a_folder_that_another_process_makes_meanwhile_is_no_error(tmp_path, monkeypatch):
    is_dir, asked = Path.is_dir, []
    (tmp_path / "new").mkdir()
    monkeypatch.setattr(Path, "is_dir", lambda self: is_dir(self) if asked else bool(asked.append(self)))
    fsio.make_folder(tmp_path / "new")
    assert asked == [tmp_path / "new"]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        fsio.make_folder(tmp_path / "file")


@pytest.mark.parametrize("kind", ["folder", "link to nothing"])
def test_what_is_no_file_is_moved_without_being_synced(tmp_path, kind):
    source = tmp_path / "source"
    source.mkdir() if kind == "folder" else source.symlink_to(tmp_path / "nowhere")
    told = []
    with fsio.watching(told.append):
        fsio.move(source, tmp_path / "target")
    assert [one.kind for one in told] == ["rename", "sync_folder"]
    assert os.path.lexists(tmp_path / "target")


def test_a_lock_that_is_not_to_stay_leaves_no_file_and_one_that_is_does(tmp_path):
    with fsio.locked(tmp_path / "model", stays=False):
        assert (tmp_path / "model.lock").exists()
    assert list(tmp_path.iterdir()) == []
    with fsio.locked(tmp_path / "model"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model.lock"]


@pytest.mark.parametrize("meanwhile", ["removed", "made anew"])
def test_a_lock_whose_file_was_taken_away_while_it_was_waited_for_is_asked_for_again(tmp_path, monkeypatch, meanwhile):
    path, tried, taken = tmp_path / "model.lock", [], locks._try_lock

    def take(file):
        tried.append(file)
        if len(tried) == 1:
            path.unlink()
            if meanwhile == "made anew":
                path.touch()
        return taken(file)

    monkeypatch.setattr(locks, "_try_lock", take)
    with fsio.locked(tmp_path / "model", timeout_s=5):
        assert os.path.samestat(path.stat(), os.fstat(tried[1].fileno()))
        assert tried[0].closed
    assert len(tried) == 2


def test_a_lock_that_is_waited_for_is_closed_when_it_is_interrupted(tmp_path, monkeypatch):
    opened = []

    def interrupt(file):
        opened.append(file)
        raise KeyboardInterrupt

    monkeypatch.setattr(locks, "_try_lock", interrupt)
    with pytest.raises(KeyboardInterrupt), fsio.locked(tmp_path / "model"):
        pytest.fail("it was not got")
    assert opened[0].closed


@pytest.mark.parametrize(
    ("limit", "said"), [(4096, ", and no file may have more than 4,096 bytes here (ulimit -f)"), (-1, "")]
)
def test_the_limit_on_a_file_is_said_where_there_is_one(tmp_path, monkeypatch, limit, said):
    asked = []
    assert resource.RLIM_INFINITY == -1
    monkeypatch.setattr(resource, "getrlimit", lambda which: (asked.append(which), (limit, 9))[1])
    monkeypatch.setattr(room, "free_bytes", lambda path: 1_234_567)
    words = room.room_words(tmp_path / "file", 10_000)
    assert words == f"expected room for at least 10,000 bytes, got 1,234,567 bytes free in {tmp_path}{said}"
    assert room.room_words(tmp_path / "file") == f"there are 1,234,567 bytes free in {tmp_path}{said}"
    assert asked == [resource.RLIMIT_FSIZE] * 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("owner", ["nobody", "target", "temporary", "another"])
def test_whose_error_it_is_decides_what_it_is_called(tmp_path, number, owner):
    target, temporary = tmp_path / "file", tmp_path / ".file.1.tmp"
    names = {"nobody": None, "target": str(target), "temporary": str(temporary), "another": str(tmp_path / "other")}
    error = OSError(number, os.strerror(number), names[owner])
    with pytest.raises(OSError, match=r".") as caught:
        room.raise_named(error, target, 7, temporary)
    lacks_room = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and owner != "another"
    assert isinstance(caught.value, room.NoRoomError) is lacks_room
    assert caught.value.errno == number
    if lacks_room:
        assert caught.value.__cause__ is error
        assert caught.value.strerror.startswith(f"{os.strerror(number)}: expected room for at least 7 bytes, got ")
        assert caught.value.filename == str(target)
    else:
        renamed = number in (errno.EIO, errno.EROFS) and owner != "another"
        assert caught.value.filename == (str(target) if renamed else names[owner])
