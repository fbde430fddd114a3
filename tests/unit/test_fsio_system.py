"""The seam below fsio: each change of the disk told once, in order, before it is made."""

import io
import shutil
from pathlib import Path

import pytest

from retrain import fsio
from retrain.fsio import system


def log(place, do):
    """What do() changes below a folder: (kind, path below it, data, number, target below it)."""
    seen = []

    def below(path):
        return str(Path(path).relative_to(place)) if path else ""

    with fsio.watching(seen.append):
        do()
    return [(one.kind, below(one.path), one.data, one.number, below(one.target)) for one in seen]


def temporary(name):
    return fsio.files._temporary_path(Path(name)).name


def test_a_file_is_made_written_synced_renamed_and_its_folder_synced(tmp_path):
    told = log(tmp_path, lambda: fsio.write_bytes(tmp_path / "new" / "file", b"abc"))
    between = f"new/{temporary('file')}"
    assert told == [
        ("make_folder", "new", None, 0, ""),
        ("sync_folder", ".", None, 0, ""),
        ("create", between, None, 0, ""),
        ("write", between, b"abc", 0, ""),
        ("sync", between, None, 0, ""),
        ("rename", between, None, 0, "new/file"),
        ("sync_folder", "new", None, 0, ""),
    ]
    assert (tmp_path / "new" / "file").read_bytes() == b"abc"


def test_a_write_is_told_with_its_place(tmp_path):
    def write():
        with fsio.replacing(tmp_path / "file") as file:
            file.write(b"0123456789")
            file.seek(4)
            file.write(b"ab")

    assert [one[2:4] for one in log(tmp_path, write) if one[0] == "write"] == [(b"0123456789", 0), (b"ab", 4)]
    assert (tmp_path / "file").read_bytes() == b"0123ab6789"


def test_a_file_that_grows_is_told_where_it_grows(tmp_path):
    (tmp_path / "part").write_bytes(b"12345")

    def grow():
        with fsio.open_partial(tmp_path / "part") as file:
            file.truncate(3)
            file.write(b"x")
            fsio.sync(file)
            fsio.append(file, memoryview(b"yz"))

    assert log(tmp_path, grow) == [
        ("truncate", "part", None, 3, ""),
        ("write", "part", b"x", 3, ""),
        ("sync", "part", None, 0, ""),
        ("write", "part", b"yz", 4, ""),
    ]
    assert (tmp_path / "part").read_bytes() == b"123xyz"


def test_what_is_taken_away_is_told_once_each_and_links_are_not_followed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "a" / "b" / "file").write_bytes(b"")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "kept")
    assert log(tmp_path, lambda: fsio.remove(tmp_path / "a")) == [
        ("remove", "a/b/file", None, 0, ""),
        ("remove_folder", "a/b", None, 0, ""),
        ("remove", "a/link", None, 0, ""),
        ("remove_folder", "a", None, 0, ""),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_links_dates_and_folders_are_told(tmp_path):
    def change():
        fsio.link(tmp_path / "link", str(tmp_path / "file"))
        fsio.make_folder(tmp_path / "folder")
        fsio.make_folder(tmp_path / "folder")
        fsio.set_date(tmp_path / "folder", 10**18, 10**18)
        fsio.remove_folder(tmp_path / "folder")
        fsio.discard(tmp_path / "link")
        fsio.discard(tmp_path / "link")

    assert [one[:2] for one in log(tmp_path, change)] == [
        ("link", "link"),
        ("make_folder", "folder"),
        ("sync_folder", "."),
        ("date", "folder"),
        ("remove_folder", "folder"),
        ("remove", "link"),
    ]


def test_a_hook_that_raises_stands_in_for_the_disk(tmp_path):
    (tmp_path / "file").write_bytes(b"old")

    def fail(operation):
        if operation.kind == system.RENAME:
            raise OSError(5, "Input/output error")

    with fsio.watching(fail), pytest.raises(OSError, match="file"):
        fsio.write_bytes(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_nobody_is_told_after_the_block(tmp_path):
    seen = []
    with pytest.raises(ValueError, match="stop"), fsio.watching(seen.append):
        raise ValueError("stop")
    fsio.write_bytes(tmp_path / "file", b"x")
    assert seen == []


def test_a_new_file_never_takes_the_place_of_one_watched_or_not(tmp_path):
    (tmp_path / "log").write_bytes(b"old")
    for context in (fsio.watching(lambda operation: None), io.BytesIO()):
        with context, pytest.raises(FileExistsError):
            fsio.open_log(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"old"


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_folder_moved_away_for_one_that_never_came_goes_back(tmp_path, is_gone):
    left = tmp_path / f".model.replaced.{2**22 + 1}"
    left.mkdir()
    (left / "file").write_bytes(b"old")
    if not is_gone:
        (tmp_path / "model").mkdir()
    fsio.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "file").exists() == is_gone


def test_a_folder_whose_second_rename_fails_is_where_it_was(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_bytes(b"old")
    (tmp_path / "new").mkdir()
    renames = []

    def fail(operation):
        if operation.kind == system.RENAME:
            renames.append(operation)
            if len(renames) == 2:
                raise OSError(5, "Input/output error")

    with fsio.watching(fail), pytest.raises(OSError, match="Input"):
        fsio.move_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_bytes() == b"old"


def test_a_folder_that_is_in_use_is_not_swept_by_its_own_process(tmp_path):
    with fsio.staging(tmp_path) as place:
        fsio.sweep(tmp_path)
        assert place.is_dir()
    place.mkdir()  # as where it could not be taken away
    fsio.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_looked_into_is_left(tmp_path):
    fsio.sweep(tmp_path / "missing")
    shutil.rmtree(tmp_path)
    fsio.discard(tmp_path)
