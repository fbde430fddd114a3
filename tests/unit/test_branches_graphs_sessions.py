"""How TensorFlow's sessions are imported: with packages of the test in its place, so that every way out is taken."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from retrain.graphs import sessions

# Where TensorFlow keeps what a session takes.
INNER = {
    "python/framework/ops.py": "Graph = 'inner graph'",
    "core/framework/graph_pb2.py": "GraphDef = 'inner graph_def'",
    "python/framework/importer.py": "import_graph_def = 'inner import'",
    "python/client/session.py": "Session = 'inner session'",
    "core/protobuf/config_pb2.py": "ConfigProto = 'inner config'",
    "python/ops/array_ops.py": "placeholder = 'inner placeholder'",
    "python/framework/dtypes.py": "float32 = 'inner float32'",
    "python/framework/errors_impl.py": "OpError = 'inner error'",
    "python/training/py_checkpoint_reader.py": "NewCheckpointReader = 'inner reader'",
}
PUBLIC = """
from types import SimpleNamespace
Graph, float32 = "graph", "float32"
errors = SimpleNamespace(OpError="error")
graph_util = SimpleNamespace(import_graph_def="import")
train = SimpleNamespace(NewCheckpointReader="reader")
v1 = SimpleNamespace(GraphDef="graph_def", Session="session", ConfigProto="config", placeholder="placeholder", train=train)
compat = SimpleNamespace(v1=v1)
"""
NAMES = ("graph", "graph_def", "import", "session", "config", "placeholder", "float32", "error", "reader")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder whose ``tensorflow`` is the one that is imported; the modules of it are forgotten afterwards.

    Where another test of this process has imported the real one, its modules are put aside until then.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    before = set(sys.modules)
    yield tmp_path
    for name in [name for name in sys.modules if name not in before and name.partition(".")[0] == "tensorflow"]:
        del sys.modules[name]


def package(place, public=PUBLIC, **changes):
    files = {"__init__.py": public} | INNER | changes
    for name, text in files.items():
        path = place / "tensorflow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


def told(found):
    return tuple(getattr(found, name) for name in found.__dataclass_fields__)


def test_the_package_itself_is_not_executed_and_can_be_imported_later(place):
    package(place, "raise AssertionError('executed')")
    assert told(sessions.import_sessions()) == tuple(f"inner {name}" for name in NAMES)
    assert "tensorflow" not in sys.modules
    (place / "tensorflow" / "__init__.py").write_text(PUBLIC + "# another length\n")
    importlib.invalidate_caches()
    assert importlib.import_module("tensorflow").Graph == "graph"
    assert told(sessions.import_sessions()) == NAMES  # once the whole is there, it is used


@pytest.mark.parametrize(
    "changes",
    [{"python/client/session.py": "raise ImportError('moved')"}, {"python/framework/ops.py": "Grapf = 1"}],
    ids=["a module elsewhere", "a name elsewhere"],
)
def test_a_tensorflow_that_keeps_its_modules_elsewhere_is_imported_whole(place, changes):
    package(place, **changes)
    assert told(sessions.import_sessions()) == NAMES


def test_a_package_that_puts_itself_in_its_place_is_left_there(place):
    last = "import sys\nNewCheckpointReader = 1\nsys.modules['tensorflow'] = sys.modules['tensorflow.python']"
    package(place, **{"python/training/py_checkpoint_reader.py": last})
    assert sessions.import_sessions().checkpoint_reader == 1
    assert sys.modules["tensorflow"].__name__ == "tensorflow.python"


def test_a_tensorflow_in_one_file_is_imported_as_that(place):
    (place / "tensorflow.py").write_text(PUBLIC)
    importlib.invalidate_caches()
    assert told(sessions.import_sessions()) == NAMES


def test_no_tensorflow_is_an_import_error(place):
    importlib.invalidate_caches()
    with pytest.raises(ImportError, match="tensorflow"):
        sessions.import_sessions()


def test_a_person_s_own_settings_are_kept(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sessions.quiet()
    assert (os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["CUDA_VISIBLE_DEVICES"]) == ("0", "-1")
