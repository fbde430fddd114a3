"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from retrain import fsio


def test_staging_is_empty_private_and_gone_afterwards(tmp_path):
    with fsio.staging(tmp_path / "out") as place:
        assert list(place.iterdir()) == []
        assert place.parent == tmp_path / "out"
        (place / "x").write_text("x")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(KeyError), fsio.staging(tmp_path / "out") as place:
        raise KeyError
    assert not place.exists()


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_needs_is_not(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getppid()):
        (tmp_path / f".staging.{pid}").mkdir()
    (tmp_path / ".staging.notes").mkdir()
    with fsio.staging(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {f".staging.{os.getppid()}", ".staging.notes"}


def test_a_folder_takes_the_place_of_another(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / name).write_text(name)
    fsio.move_folder(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert [path.name for path in (tmp_path / "old/deep").iterdir()] == ["new"]
    fsio.move_folder(tmp_path / "old", tmp_path / "a" / "b")
    assert (tmp_path / "a/b/deep/new").read_text() == "new"


def test_the_old_folder_stays_whole_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        fsio.move_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old/old").read_text() == "old"


def test_remove_takes_files_folders_and_links_but_not_what_links_point_to(tmp_path):
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    assert [fsio.remove(tmp_path / name) for name in ("folder", "file", "link", "nothing")] == [True, True, True, False]
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
