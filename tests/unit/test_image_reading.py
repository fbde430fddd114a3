import os

import pytest

from retrain.errors import ImageError
from retrain.images import ImageLimits, read_image_file


def test_a_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_image_file(tmp_path / "a", ImageLimits(max_bytes=5)) == b"12345"


def test_a_file_above_the_limit_is_refused_unread(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"12345")
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("was read"))
    with pytest.raises(ImageError, match="too large: 5 bytes, at most 4 are read"):
        read_image_file(tmp_path / "a", ImageLimits(max_bytes=4))


def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ImageError, match="too large"):
        read_image_file(tmp_path / "a.jpg")


@pytest.fixture
def odd(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pipe", "not a file"),
        ("folder", "not a file"),
        ("gone", "unreadable"),
        ("broken", "unreadable"),
        ("loop", "unreadable"),
        ("a\0b", "unreadable"),
        ("x" * 300, "unreadable"),
    ],
)
def test_what_is_no_regular_file_is_refused_and_a_pipe_is_not_waited_for(odd, name, why):
    with pytest.raises(ImageError) as caught:
        read_image_file(odd / name)
    assert caught.value.reason == why


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="only Linux makes up such files")  # noqa: PTH110
def test_a_file_that_is_said_to_be_empty_is_not_opened(odd):
    (odd / "endless.jpg").symlink_to("/proc/version")
    assert read_image_file(odd / "endless.jpg") == b""


def test_a_device_is_refused():
    with pytest.raises(ImageError, match="not a file"):
        read_image_file("/dev/zero")
