import errno
import hashlib
from pathlib import Path

import pytest

from retrain import fsio
from retrain.fsio.system import SYNC_FOLDER, WRITE


def test_a_file_that_is_not_there_is_written_with_its_folder(tmp_path):
    fsio.write_new(tmp_path / "a/b/1.jpg", b"new")
    assert (tmp_path / "a/b/1.jpg").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["1.jpg"]


def test_what_has_that_name_stays_as_it_is(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"old")
    (tmp_path / "2.jpg").symlink_to(tmp_path / "nowhere")
    for name in ("1.jpg", "2.jpg"):
        with pytest.raises(FileExistsError):
            fsio.write_new(tmp_path / name, b"new")
    assert (tmp_path / "1.jpg").read_bytes() == b"old"
    assert not (tmp_path / "nowhere").exists()


def test_a_full_disk_leaves_no_name_behind(tmp_path):
    def full(operation):
        if operation.kind == WRITE:
            raise OSError(errno.ENOSPC, "No space left on device", operation.path)

    with fsio.watching(full), pytest.raises(OSError, match="No space"):
        fsio.write_new(tmp_path / "1.jpg", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_synced_leaves_what_was_written(tmp_path):
    def failing(operation):
        if operation.kind == SYNC_FOLDER:
            raise OSError(errno.EIO, "Input/output error", operation.path)

    with fsio.watching(failing), pytest.raises(OSError, match="Input/output"):
        fsio.write_new(tmp_path / "1.jpg", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_what_a_killed_writer_left_is_forgotten_and_nothing_else(tmp_path):
    for name in (".1.jpg.999999999.tmp", ".2.jpg.999999999.tmp", "1.jpg"):
        (tmp_path / name).write_bytes(b"x")
    fsio.forget_new(tmp_path / "1.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".2.jpg.999999999.tmp", "1.jpg"]


def test_a_name_as_long_as_a_disk_allows(tmp_path):
    for write in (fsio.write_new, fsio.write_bytes):
        name = tmp_path / write.__name__ / ("é" * 125 + "n.jpg")
        write(name, b"new")
        assert name.read_bytes() == b"new"
        assert len(list(name.parent.iterdir())) == 1
        # What a killed writer of it left: named by its hash, and found again.
        (name.parent / f".{hashlib.sha256(name.name.encode()).hexdigest()}.999999999.tmp").write_bytes(b"x")
        fsio.forget_new(name)
        assert len(list(name.parent.iterdir())) == 1


def test_a_folder_is_not_looked_through_for_each_new_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda *words: pytest.fail("looked through"))
    fsio.write_new(tmp_path / "1.jpg", b"new")
    assert (tmp_path / "1.jpg").read_bytes() == b"new"
