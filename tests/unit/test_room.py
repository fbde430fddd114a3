"""What a disk has room for: said before a run, and where it was not enough."""

import errno
import shutil
from collections import namedtuple

import pytest

from retrain import fsio
from retrain.bottlenecks import BottleneckStore
from retrain.bottlenecks.room import cache_bytes, shortage
from retrain.console import Console
from retrain.fsio import room
from retrain.journal import tell_room

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def free(monkeypatch):
    def set_free(count):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 0, count))

    return set_free


def test_the_estimate_is_what_100000_vectors_took():
    assert cache_bytes(100_000, 512) == pytest.approx(251e6, rel=0.05)


@pytest.mark.parametrize(("width", "page"), [(8, 16384), (1024, 16384), (2048, 32768), (20_000, 32768)])
def test_the_estimate_is_of_whole_pages_and_at_least_the_vectors(width, page):
    assert cache_bytes(1000, width) >= 1000 * 4 * width
    assert cache_bytes(1000, width) <= 1000 * (4 * width + page)


def test_a_run_that_will_not_fit_is_told_so_before_it_begins(tmp_path, free, capsys):
    free(10_000_000)
    with BottleneckStore(tmp_path / "new" / "c.sqlite", "f" * 64, 512) as store:
        tell_room(store, 100, Console())
        assert capsys.readouterr().out == ""
        tell_room(store, 1000, Console())
    said = " ".join(capsys.readouterr().out.split())
    assert "vectors and small pictures of 1000 photographs will take about 21.5 MB, and 10.0 MB are free" in said


def test_what_is_cached_already_takes_no_more_room(tmp_path, free):
    free(0)
    assert shortage(tmp_path / "c.sqlite", 0, 512) == ""


def test_room_is_asked_of_the_disk_where_a_file_will_be(tmp_path):
    assert fsio.free_bytes(tmp_path / "not" / "there") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.01)


def test_where_it_cannot_be_asked_there_is_none(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    assert fsio.free_bytes(tmp_path) == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_file_without_room_says_what_is_needed_and_free(tmp_path, free, monkeypatch, number):
    free(1234)
    monkeypatch.setattr(room, "_file_limit", lambda: 4096)

    def full(descriptor):
        raise OSError(number, "No")

    monkeypatch.setattr(fsio.system.os, "fsync", full)
    with pytest.raises(fsio.NoRoomError) as caught:
        fsio.write_bytes(tmp_path / "file", b"x" * 5000)
    assert caught.value.filename == str(tmp_path / "file")
    assert "expected room for at least 5,000 bytes, got 1,234 bytes free" in caught.value.strerror
    assert "no file may have more than 4,096 bytes here" in caught.value.strerror
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_writing_names_the_file(tmp_path):
    with pytest.raises(OSError, match="file") as caught, fsio.replacing(tmp_path / "file"):
        raise OSError(errno.EIO, "Input/output error")
    assert caught.value.filename == str(tmp_path / "file")


def test_an_error_of_another_kind_is_left_as_it_is(tmp_path):
    with pytest.raises(OSError, match=r"^what$") as caught, fsio.replacing(tmp_path / "file"):
        raise OSError("what")
    assert caught.value.filename is None
