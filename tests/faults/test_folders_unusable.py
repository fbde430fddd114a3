"""Folders that cannot be used: a sentence each, all at once, before TensorFlow is imported or anything is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from commands import ROOT
from support import encode, noise, write_tree

sys.path.insert(0, str(ROOT / "tests" / "hostile"))

from trees_judge import HEAVY, judge_all

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="permissions, pipes and links as POSIX has them")

FLAGS = {
    "image_dir": "photos",
    "output_graph": "tf_files/model.pb",
    "output_labels": "tf_files/labels.txt",
    "bottleneck_dir": "tf_files/bottlenecks",
    "summaries_dir": "tf_files/summaries",
    "model_dir": "tf_files/models",
}
NOBODY = 65534


def locked(mode):
    def make(path):
        path.mkdir()
        path.chmod(mode)

    return make


def of_somebody_else(path):
    """A folder of another user; who is not root cannot make one, and the system's own is one."""
    if os.geteuid() == 0:
        path.mkdir()
        os.chown(path, NOBODY, NOBODY)
    else:
        path.symlink_to("/usr")


def file(path):
    path.write_bytes(b"a file")


def link(target):
    return lambda path: path.symlink_to(target)


def photographs(path):
    write_tree(path, {name: {"1.png": encode(noise(40, 40))} for name in ("cats", "dogs")})


def photographs_inside(path):
    path.mkdir()
    photographs(path / "photos")


def unreadable_class(path):
    photographs(path)
    (path / "cats").chmod(0)


def unsorted(path):
    write_tree(path.parent, {path.name: {"cat.1.jpg": b"1", "dog.1.jpg": b"2"}})
    path.chmod(0o555)


def nothing(path):
    """Leave it missing."""


LONG = "x" * 300
# What is wrong -> how "odd" is made, the flags that name it, words of the sentences.
CASES = {
    "no photographs": (nothing, {"image_dir": "odd"}, ["Image directory 'odd' not found"]),
    "photographs are a file": (file, {"image_dir": "odd"}, ["to be a folder or an archive", "got the file odd"]),
    "photographs unreadable": (locked(0), {"image_dir": "odd"}, ["cannot read the folder odd: Permission denied"]),
    "a class unreadable": (unreadable_class, {"image_dir": "odd"}, ["cannot read the folder odd/cats: Permission"]),
    "a link to nothing": (link("nowhere"), {"image_dir": "odd"}, ["Image directory 'odd' not found"]),
    "a link to itself": (link("odd"), {"image_dir": "odd"}, ["Image directory 'odd' not found"]),
    "a pipe": (os.mkfifo, {"image_dir": "odd"}, ["to be a folder or an archive"]),
    "an empty folder": (locked(0o755), {"image_dir": "odd"}, ["No valid folders of images found at odd"]),
    "the whole disk": (nothing, {"image_dir": "/"}, ["which is a whole disk"]),
    "what the system makes up": (nothing, {"image_dir": "/proc/self"}, ["whose files the system makes up"]),
    "a name too long": (nothing, {"image_dir": LONG}, ["not found"]),
    "a list that is a folder": (locked(0o755), {"image_list": "odd"}, ["expected --image_list to be a CSV"]),
    "a list that is not there": (nothing, {"image_list": "odd"}, ["expected --image_list to be a CSV"]),
    "cache read-only": (
        locked(0o555),
        {"bottleneck_dir": "odd"},
        ["cannot write --bottleneck_dir=odd: there is no perm"],
    ),
    "cache of somebody else": (of_somebody_else, {"bottleneck_dir": "odd"}, ["cannot write --bottleneck_dir=odd"]),
    "cache is a file": (file, {"bottleneck_dir": "odd"}, ["it is a file, not a folder"]),
    "cache below a file": (file, {"bottleneck_dir": "odd/cache"}, ["odd is a file, not a folder"]),
    "cache behind a link to nothing": (link("nowhere"), {"bottleneck_dir": "odd"}, ["it is a file, not a folder"]),
    "cache in an unreadable folder": (locked(0), {"bottleneck_dir": "odd/cache"}, ["Permission denied"]),
    "cache among the photographs": (nothing, {"bottleneck_dir": "photos/cache"}, ["lies inside --image_dir=photos"]),
    "photographs in the cache": (
        photographs_inside,
        {"bottleneck_dir": "odd", "image_dir": "odd/photos"},
        ["--image_dir=odd/photos lies inside --bottleneck_dir=odd"],
    ),
    "cache is the photographs": (nothing, {"bottleneck_dir": "photos"}, ["lies inside --image_dir=photos"]),
    "models read-only": (locked(0o555), {"model_dir": "odd"}, ["cannot write --model_dir=odd: there is no permission"]),
    "models are a pipe": (os.mkfifo, {"model_dir": "odd"}, ["it is a file, not a folder"]),
    "summaries below read-only": (locked(0o555), {"summaries_dir": "odd/a/b"}, ["no permission to write in "]),
    "graph is a folder": (locked(0o755), {"output_graph": "odd"}, ["it is a folder, not a file", "to end in .pb"]),
    "graph in a read-only folder": (locked(0o555), {"output_graph": "odd/model.pb"}, ["no permission to write in "]),
    "graph on /proc": (nothing, {"output_graph": "/proc/model.pb"}, ["no permission to write in /proc"]),
    "labels are a folder": (locked(0o755), {"output_labels": "odd"}, ["it is a folder, not a file"]),
    "labels named too long": (nothing, {"output_labels": LONG}, ["File name too long"]),
    "no path at all": (nothing, {"model_dir": ""}, ["expected a path for --model_dir, got nothing"]),
    "everything at once": (
        locked(0o555),
        {name: f"odd/{name}" for name in FLAGS} | {"output_graph": "odd/graph"},
        ["7 problems", "'odd/image_dir' not found"] + [f"--{name}=" for name in list(FLAGS)[1:]],
    ),
}
# Beside training: the words, how "odd" is made, words of the sentence.
COMMANDS = {
    "doctor": (["doctor", "--image_dir=odd"], nothing, "Image directory 'odd' not found"),
    "doctor in a read-only folder": (["doctor", "--image_dir=photos", "--output_dir=odd"], locked(0o555), "odd"),
    "separate": (["separate", "odd"], file, "odd"),
    "separate in a read-only folder": (
        ["separate", "odd", "--apply"],
        unsorted,
        "cannot move files in odd: there is no",
    ),
    "separate of an unreadable folder": (
        ["separate", "odd"],
        locked(0),
        "cannot read the folder odd: Permission denied",
    ),
    "show": (["show", "odd"], nothing, "odd"),
    "export": (["export", "odd", "--format=onnx"], locked(0o755), "odd"),
    "compare": (["compare", "odd", "odd"], nothing, "odd"),
    "fix": (["fix", "--apply=odd", "--image_dir=photos"], nothing, "odd"),
}


def listing(place):
    """Everything below a folder: what it is, its permissions, its size, and when it last changed."""
    found = {}
    for folder, folders, names in os.walk(place, onerror=lambda error: None):
        for path in (Path(folder, name) for name in (*folders, *names)):
            status = path.lstat()
            found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Each case's answer and what it changed; one process runs all."""
    places, commands = {}, []
    base = tmp_path_factory.mktemp("unusable")
    rows = {name: (make, None, flags) for name, (make, flags, _) in CASES.items()}
    rows |= {name: (make, words, {}) for name, (words, make, _) in COMMANDS.items()}
    for number, (name, (make, words, flags)) in enumerate(rows.items()):
        places[name] = place = base / str(number)
        place.mkdir()
        photographs(place / "photos")
        make(place / "odd")
        commands.append([str(place), *(words or [f"--{key}={value}" for key, value in (FLAGS | flags).items()])])
    before = {name: listing(place) for name, place in places.items()}
    given = dict(zip(places, judge_all(commands), strict=True))
    yield {name: {**given[name], "changed": listing(place) != before[name]} for name, place in places.items()}
    for path in base.glob("*/odd"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
            (path / "cats").is_dir() and (path / "cats").chmod(0o755)


def refused(answer):
    assert answer["code"] == 2, answer
    assert (answer["out"], answer["heavy"], answer["started"]) == ("", [], [])
    assert not answer["changed"]
    assert "Traceback" not in answer["err"]
    return answer["err"]


@pytest.mark.parametrize("name", CASES)
def test_an_unusable_folder_is_a_sentence_before_anything_is_touched(answers, name):
    said = refused(answers[name])
    for words in CASES[name][2]:
        assert words in said


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_an_unusable_folder_is_a_sentence_too(answers, name):
    answer = answers[name]
    assert answer["code"] in (2, 6), answer
    assert (answer["heavy"], answer["started"], answer["changed"]) == ([], [], False)
    assert COMMANDS[name][2] in answer["err"]
    assert "Traceback" not in answer["err"]


def test_what_is_watched_for_is_there_to_be_imported():
    from importlib.util import find_spec

    assert all(find_spec(name) for name in HEAVY)
