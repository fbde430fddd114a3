"""Every call that changes the disk is told before it is made, with what it is about to do."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from retrain import fsio
from retrain.fsio import system
from retrain.fsio.system import Operation


@pytest.fixture
def told():
    found = []
    with fsio.watching(found.append):
        yield found


def kinds(told):
    return [operation.kind for operation in told]


def test_nobody_is_told_outside_of_the_block_and_the_one_before_again_behind_it(tmp_path):
    outer, inner = [], []
    with fsio.watching(outer.append):
        with fsio.watching(inner.append):
            system.remove_file(tmp_path / "nothing")
            system.sync_folder(tmp_path)
        with pytest.raises(KeyError), fsio.watching(inner.append):
            raise KeyError
        (tmp_path / "a").touch()
        system.remove_file(tmp_path / "a")
    system.make_folder(tmp_path / "b")
    assert inner == [Operation("sync_folder", str(tmp_path))]
    assert outer == [Operation("remove", str(tmp_path / "a"))]


def test_what_the_hook_raises_comes_in_place_of_the_call(tmp_path):
    (tmp_path / "file").write_bytes(b"one")

    def stop(operation):
        raise OSError(errno.EIO, "no", operation.path)

    calls = [
        lambda: fsio.write_bytes(tmp_path / "new", b"x"),
        lambda: system.rename(tmp_path / "file", tmp_path / "other"),
        lambda: system.remove_file(tmp_path / "file"),
        lambda: system.link(tmp_path / "link", "file"),
        lambda: system.make_folder(tmp_path / "folder"),
        lambda: system.sync_path(tmp_path / "file"),
        lambda: system.set_date(tmp_path / "file", 0, 0),
    ]
    for call in calls:
        with pytest.raises(OSError, match="no"), fsio.watching(stop):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mtime_ns > 0


def test_a_file_is_told_as_it_grows(tmp_path, told):
    path = tmp_path / "file"
    with system.open_file(path, "wb") as file:
        file.write(b"one")
        file.flush()
        file.write(b"two!")
    with system.open_file(path, "a+b") as file:
        file.write(b"end")
    assert told == [
        Operation("create", str(path)),
        Operation("write", str(path), b"one", 0),
        Operation("write", str(path), b"two!", 3),
        Operation("write", str(path), b"end", 7),
    ]
    assert path.read_bytes() == b"onetwo!end"


def test_what_is_appended_to_a_new_file_begins_with_its_making(tmp_path, told):
    with system.open_file(tmp_path / "part", "a+b") as file:
        file.write(b"abc")
        file.seek(0)
        assert file.read() == b"abc"
    assert kinds(told) == ["create", "write"]


def test_a_file_that_is_made_shorter_is_told_with_its_size(tmp_path, told):
    path = tmp_path / "file"
    path.write_bytes(b"123456")
    with system.open_file(path, "a+b") as file:
        file.truncate(4)
        file.seek(2)
        file.truncate()
    assert told == [Operation("truncate", str(path), None, 4), Operation("truncate", str(path), None, 2)]
    assert path.read_bytes() == b"12"


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_a_file_that_is_there_is_not_made_anew(tmp_path, watched, kind):
    path, found = tmp_path / "log", []
    path.write_bytes(b"kept") if kind == "file" else path.symlink_to(tmp_path / "nowhere")

    def make():
        with pytest.raises(FileExistsError) as caught:
            system.open_file(path, "xb")
        return caught.value

    if watched:
        with fsio.watching(found.append):
            error = make()
    else:
        error = make()
    assert (error.errno, error.strerror, error.filename) == (errno.EEXIST, os.strerror(errno.EEXIST), str(path)) or (
        not watched and error.errno == errno.EEXIST
    )
    assert found == []


def test_a_new_log_is_told(tmp_path, told):
    with system.open_file(tmp_path / "log", "xb") as file:
        file.write(b"line")
    assert kinds(told) == ["create", "write"]
    assert (tmp_path / "log").read_bytes() == b"line"


@pytest.mark.parametrize("watched", [True, False])
def test_what_is_appended_at_once_is_whole_though_the_system_takes_it_in_pieces(tmp_path, monkeypatch, watched):
    write, pieces, found = os.write, [], []

    def little(number, data):
        pieces.append(write(number, bytes(data)[:3]))
        return pieces[-1]

    values = np.arange(4, dtype="<u2")
    path = tmp_path / "part"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "write", little)
    with path.open("ab") as file:
        if watched:
            with fsio.watching(found.append):
                fsio.append(file, memoryview(values))
        else:
            fsio.append(file, memoryview(values))
    assert path.read_bytes() == b"before" + values.tobytes()
    assert pieces == [3, 3, 2]
    assert found == ([Operation("write", str(path), values.tobytes(), 6)] if watched else [])


def test_syncs_are_told_with_what_is_synced(tmp_path, told):
    path = tmp_path / "file"
    with path.open("wb") as file:
        system.sync(file)
    system.sync_path(path)
    system.sync_folder(tmp_path)
    assert told == [
        Operation("sync", str(path)),
        Operation("sync", str(path)),
        Operation("sync_folder", str(tmp_path)),
    ]


def test_renames_links_and_dates_are_told_and_done(tmp_path, told):
    first, second, link = tmp_path / "first", tmp_path / "second", tmp_path / "link"
    for path in (first, second):
        path.write_text(path.name)
    fsio.set_date(first, 10**18 + 5, 10**18 + 7)
    assert (first.stat().st_atime_ns, first.stat().st_mtime_ns) == (10**18 + 5, 10**18 + 7)
    system.rename(first, second)
    fsio.link(link, "second")
    assert told == [
        Operation("date", str(first)),
        Operation("rename", str(first), target=str(second)),
        Operation("link", str(link), target="second"),
    ]
    assert (second.read_text(), str(link.readlink()), first.exists()) == ("first", "second", False)
    with pytest.raises(FileExistsError):
        fsio.link(link, "first")


def test_folders_are_told_one_by_one_from_the_top_and_only_what_is_new(tmp_path, told):
    fsio.make_folder(str(tmp_path / "a" / "b"))
    fsio.make_folder(tmp_path / "a" / "b")
    fsio.make_folder(tmp_path / "a" / "c")
    said = [("make_folder", "a"), ("make_folder", "a/b"), ("sync_folder", "."), ("sync_folder", "a")]
    said += [("make_folder", "a/c"), ("sync_folder", "a")]
    assert told == [Operation(kind, str(tmp_path / name)) for kind, name in said]
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError):
        fsio.make_folder(tmp_path / "file")


def test_folders_are_made_unwatched_too(tmp_path):
    for _ in range(2):
        fsio.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_only_an_empty_folder_is_taken_away(tmp_path, told):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError, match="not empty"):
        fsio.remove_folder(tmp_path / "a")
    fsio.remove_folder(tmp_path / "a" / "b")
    assert told == [Operation("remove_folder", str(tmp_path / name)) for name in ("a", "a/b")]
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize("watched", [True, False])
def test_a_file_is_taken_away_once(tmp_path, watched):
    found = []
    path = tmp_path / "file"
    path.symlink_to("nowhere")
    if watched:
        with fsio.watching(found.append):
            assert [system.remove_file(path) for _ in range(2)] == [True, False]
    else:
        assert [system.remove_file(path) for _ in range(2)] == [True, False]
    assert found == ([Operation("remove", str(path))] if watched else [])


def test_a_tree_is_told_from_its_leaves_and_links_are_not_followed(tmp_path, told):
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    for name in ("tree/file", "tree/deep/file", "kept/file"):
        (tmp_path / name).write_text("x")
    (tree / "link").symlink_to(tmp_path / "kept")
    system.remove_tree(tree)
    assert [(one.kind, Path(one.path).relative_to(tmp_path).as_posix()) for one in told] == [
        ("remove", "tree/deep/file"),
        ("remove_folder", "tree/deep"),
        ("remove", "tree/file"),
        ("remove", "tree/link"),
        ("remove_folder", "tree"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").exists()


def test_a_tree_that_is_not_there_is_an_error_unless_none_is_wanted(tmp_path):
    with pytest.raises(FileNotFoundError):
        system.remove_tree(tmp_path / "nothing")
    system.remove_tree(tmp_path / "nothing", ignore_errors=True)


def test_a_whole_write_is_told_in_the_order_that_makes_it_safe(tmp_path, told):
    fsio.write_bytes(tmp_path / "new" / "file", b"one")
    temporary = str(tmp_path / "new" / f".file.{os.getpid()}.tmp")
    assert told == [
        Operation("make_folder", str(tmp_path / "new")),
        Operation("sync_folder", str(tmp_path)),
        Operation("create", temporary),
        Operation("write", temporary, b"one"),
        Operation("sync", temporary),
        Operation("rename", temporary, target=str(tmp_path / "new" / "file")),
        Operation("sync_folder", str(tmp_path / "new")),
    ]
