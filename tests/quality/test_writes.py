"""Every change of the disk goes through fsio: read off the syntax trees, so that no review has to look for it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "retrain"

# Calls that change a disk, as they are written in code: a method of a path, or a function of a module.
METHODS = {
    "chmod", "hardlink_to", "link_to", "mkdir", "rename", "rmdir", "symlink_to", "touch", "unlink", "write_bytes",
    "write_text", "lchmod",
}  # fmt: skip
FUNCTIONS = {
    "os": {
        "chmod", "chown", "ftruncate", "link", "makedirs", "mkdir", "mkfifo", "mknod", "open", "posix_fallocate",
        "pwrite", "remove", "removedirs", "rename", "renames", "replace", "rmdir", "symlink", "truncate", "unlink",
        "utime", "write", "writev", "fsync", "fdatasync",
    },
    "shutil": {"copy", "copy2", "copyfile", "copymode", "copystat", "copytree", "move", "rmtree", "make_archive"},
    "tempfile": {"NamedTemporaryFile", "TemporaryDirectory", "TemporaryFile", "mkdtemp", "mkstemp", "SpooledTemporaryFile"},
    "sqlite3": {"connect"},
    "np": {"memmap"},
    "io": {"FileIO"},
}  # fmt: skip
ALLOWED = {
    "bottlenecks/opening.py sqlite3.connect": "SQLite keeps its own promise, in a transaction",
    "bottlenecks/store.py sqlite3.connect": "SQLite keeps its own promise, in a transaction",
    "backbones/hub_fetch.py tempfile.TemporaryFile": "a download without a name, gone with the process",
    "commandline.py os.open": "the null device",
    "engines/child.py Path('/proc/self/oom_score_adj').write_text": "a setting of the kernel, no file",
    "exporters/child/keras_model.py tempfile.TemporaryDirectory": "Keras writes files by name; what counts is copied by fsio",
    "exporters/child/saved_model.py tempfile.TemporaryDirectory": "TensorFlow reads an asset from a file",
    "exporters/litert/int8.py tempfile.TemporaryDirectory": "handed to the TensorFlow process, gone with the block",
    "exporters/worker.py tempfile.TemporaryFile": "what a process says, without a name",
    "interrupts.py os.write": "a pipe within the process",
    "leash.py os.open": "the end of a pipe, once more",
    "litert.py os.open": "the null device",
    "sandbox/child.py Path(folder).rmdir": "of the folder in the next line",
    "sandbox/child.py tempfile.mkdtemp": "the only folder that a locked-down process may write to",
    "sandbox/landlock.py os.open": "names a folder to the kernel, O_PATH",
}


NAMES = METHODS.union({"open"}, *FUNCTIONS.values())


def calls_in(path):
    """Calls that change the disk: (line, how they are written)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", getattr(node.func, "id", "")) not in NAMES:
            continue
        owner, _, name = ast.unparse(node.func).rpartition(".")
        if (
            name in FUNCTIONS.get(owner, ())
            or (name in METHODS and not is_of_fsio(owner))
            or opens_to_write(node, name)
        ):
            yield node.lineno, f"{owner}.{name}"


def is_of_fsio(owner):
    return owner in ("fsio", "system") or owner in FUNCTIONS


def opens_to_write(node, name):
    if name != "open":
        return False
    modes = [
        one.value
        for one in (*node.args, *(word.value for word in node.keywords if word.arg == "mode"))
        if isinstance(one, ast.Constant)
    ]
    return any(isinstance(mode, str) and len(mode) <= 3 and set(mode) & set("wxa+") for mode in modes)


@cache
def found():
    files = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "fsio"]
    return [(path.relative_to(PACKAGE).as_posix(), line, call) for path in files for line, call in calls_in(path)]


def test_nothing_but_fsio_changes_the_disk():
    others = [f"retrain/{file}:{line}: {call}" for file, line, call in found() if f"{file} {call}" not in ALLOWED]
    assert others == [], "use retrain.fsio, or say in ALLOWED why not"


def test_what_is_allowed_is_there():
    assert {f"{file} {call}" for file, _, call in found()} >= set(ALLOWED)


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("import os\nos.unlink(x)", True),
        ("path.unlink(missing_ok=True)", True),
        ("Path(x).open('wb')", True),
        ("open(x, mode='a')", True),
        ("path.parent.mkdir(parents=True)", True),
        ("shutil.rmtree(x)", True),
        ("sqlite3.connect(x)", True),
        ("fsio.write_text(x, y)", False),
        ("Path(x).open('rb')", False),
        ("open(x)", False),
        ("shutil.disk_usage(x)", False),
    ],
)
def test_what_counts_as_a_change(tmp_path, code, caught):
    (tmp_path / "code.py").write_text(code)
    assert bool(list(calls_in(tmp_path / "code.py"))) == caught
