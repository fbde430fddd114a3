"""Archives as --image_dir, whole commands: what is hostile is refused and leaves nothing, what is not is trained on."""

from __future__ import annotations

import os
import stat
import sys

import pytest
from archives_hostile import GOOD, HOSTILE, WELCOME, make
from commands import ROOT

sys.path.insert(0, str(ROOT / "tests" / "faults"))

import fake_run

from retrain.fsio import sha256_file


def listing(place):
    """Everything below a folder, with the size of files and when they last changed."""
    return {str(path): path.is_dir() or (path.lstat().st_size, path.lstat().st_mtime_ns) for path in place.rglob("*")}


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    place = tmp_path_factory.mktemp("archives") / "deep" / "inside"
    place.mkdir(parents=True)
    return place, fake_run.prepare(place)


def run(flags, path, capsys):
    code = fake_run.run_here([*flags, f"--image_dir={path}"])
    return code, capsys.readouterr()


def test_there_are_more_than_fifteen():
    assert len(HOSTILE) >= 15


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(flags, name, tmp_path, capsys):
    place, words = flags
    above = place.parents[1]
    path = make(tmp_path, name)
    before = listing(above), listing(tmp_path)
    code, said = run(words, path, capsys)
    assert code == 2
    assert HOSTILE[name][1] in said.err
    assert "Traceback" not in said.err
    assert all(line.isprintable() for line in said.err.splitlines())
    assert (listing(above), listing(tmp_path)) == before


@pytest.mark.parametrize("name", WELCOME)
def test_photographs_of_an_archive_are_trained_on(flags, name, tmp_path, capsys):
    place, words = flags
    old = os.umask(0o022)
    path = make(tmp_path, name)
    try:
        code, said = run(words, path, capsys)
    finally:
        os.umask(old)
    assert code == 0, said.err
    folder = place / "unpacked" / sha256_file(path)
    photographs = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(path.read_bytes() for path in photographs) == sorted(GOOD.values())
    # Neither a right to run it nor anybody else's rights come out of an archive.
    assert {stat.S_IMODE(path.stat().st_mode) & 0o7133 for path in photographs} == {0}
    assert "accuracy" in said.out
