"""Checkpoints of SavedModels without TensorFlow: which array is which variable's, and what a hostile one says.

What TensorFlow's reader answers stands in dictionaries here; tests/cli reads files that TensorFlow wrote.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_hub import usual

from retrain.errors import WeightsError
from retrain.graphs import checkpoint


class Trackables:
    """A checkpoint's graph of objects: variables at numbers, children by name."""

    def __init__(self):
        from tensorboard.compat.proto.trackable_object_graph_pb2 import TrackableObjectGraph

        self.message = TrackableObjectGraph()
        self.message.nodes.add()
        self.arrays = {}

    def add(self, name, values, parent=0, attribute="VARIABLE_VALUE"):
        number = self.empty(name, parent)
        key = f"key{number}"
        self.message.nodes[number].attributes.add(name=attribute, full_name=f"net/{name}", checkpoint_key=key)
        self.arrays[key] = np.asarray(values)
        return number

    def empty(self, name, parent=0):
        number = len(self.message.nodes)
        self.message.nodes.add()
        self.link(parent, name, number)
        return number

    def link(self, parent, name, number):
        self.message.nodes[parent].children.add(local_name=name, node_id=number)


class OpError(Exception):
    """Stands for TensorFlow's."""


class Reader:
    """What TensorFlow's reader of checkpoints answers; an exception among the arrays is raised."""

    def __init__(self, arrays, shapes=None):
        self.arrays, self.shapes = arrays, shapes or {}

    def get_variable_to_shape_map(self):
        return {key: list(np.shape(values)) for key, values in self.arrays.items()} | self.shapes

    def get_tensor(self, key):
        found = self.arrays[key]
        if isinstance(found, Exception):
            raise found
        return found


KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


def opened(monkeypatch, folder, arrays, shapes=None):
    """Open a checkpoint whose files are there and whose contents are these."""
    (folder / "variables").mkdir(exist_ok=True)
    for name in ("variables.index", "variables.data-00000-of-00001"):
        (folder / "variables" / name).write_bytes(b"x")

    def reader(prefix):
        assert Path(prefix) == folder / "variables" / "variables"
        return Reader(arrays, shapes)

    monkeypatch.setattr(checkpoint, "import_sessions", lambda: SimpleNamespace(error=OpError, checkpoint_reader=reader))
    return checkpoint.Checkpoint(folder)


def opened_with(monkeypatch, folder, found, **more):
    return opened(monkeypatch, folder, {KEY: found.message.SerializeToString(), **found.arrays}, **more)


def test_variables_are_found_by_the_names_of_the_objects_above_them(monkeypatch, tmp_path):
    found = Trackables()
    found.add("bias", [9.0])
    kernel = found.add("kernel", np.array([1, 2, 3], np.float32))
    found.link(kernel, "root", 0)  # a circle
    found.link(0, "far", 99)
    found.add("slot", [5.0], kernel, attribute="OTHER")
    module = usual()
    for name, number in (("root", 0), ("far", 1), ("gone", 1), ("slot", 2)):
        module.objects.nodes[module.variable].children.add(local_name=name, node_id=number)
    module.root.children.add(local_name="far", node_id=1)
    module.root.children.add(local_name="out", node_id=99)
    read = opened_with(monkeypatch, tmp_path, found)
    assert read.keys_of(module.objects.nodes) == {module.variable: f"key{kernel}"}
    assert list(read.named()) == [("net/bias", "key1"), ("net/kernel", "key2")]
    assert read.shape(f"key{kernel}") == (3,)
    assert read.read(f"key{kernel}").tolist() == [1, 2, 3]
    made = module.written_out()
    checkpoint.fill(made.graph, made.variables, module.objects.nodes, read)
    blank = next(node for node in made.graph.node if node.name in made.variables)
    assert blank.attr["value"].tensor.tensor_content == np.array([1, 2, 3], "<f4").tobytes()


def test_the_list_of_variables_is_read_in_the_order_of_its_numbers(monkeypatch, tmp_path):
    found = Trackables()
    holder = found.empty("variables")
    for name in ("10", "2", "0", "saver"):
        found.add(name, [1.0], holder)
    found.link(holder, "11", 99)
    read = opened_with(monkeypatch, tmp_path, found)
    assert read.listed() == ["key4", "key3", "key2"]


@pytest.mark.parametrize("place", [None, 99, -7])
def test_a_list_of_variables_that_is_not_there_is_empty(monkeypatch, tmp_path, place):
    found = Trackables()
    if place is not None:
        found.link(0, "variables", place)
    assert opened_with(monkeypatch, tmp_path, found).listed() == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (b"\xff\xff", "cannot read the variables in"),
        (b"", "they belong to no objects"),
        (np.float32(3), "cannot read the variables in .*expected bytes"),  # was a TypeError
        (np.zeros(3), "cannot read the variables in .*expected bytes"),
        (OpError("first line\nlast line"), "cannot read the variables in .*: last line"),
        (KeyError(), "cannot read the variables in .*: KeyError"),
    ],
    ids=["no message", "no objects", "a number", "an array", "TensorFlow's own", "without words"],
)
def test_a_checkpoint_whose_objects_cannot_be_read_is_refused(monkeypatch, tmp_path, entry, words):
    with pytest.raises(WeightsError, match=words):
        opened(monkeypatch, tmp_path, {KEY: entry})


@pytest.mark.parametrize("shape", [[1 << 30], [1 << 40, 1 << 40]], ids=["many", "more than 64 bits"])
def test_a_checkpoint_of_too_many_numbers_is_refused_before_any_is_read(monkeypatch, tmp_path, shape):
    found = Trackables()
    found.add("kernel", [1.0])
    with pytest.raises(WeightsError, match=r"are \d+ numbers, at most 536870912 are read"):
        opened_with(monkeypatch, tmp_path, found, shapes={"key1": shape})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (OpError("checksum does not match"), "cannot read the variable key1 in .*: checksum does not match"),
        ([1, np.nan], "expected the variable key1 in .* to hold finite numbers; it is damaged"),
        ([np.inf], "expected the variable key1 in .* to hold finite numbers; it is damaged"),
    ],
)
def test_a_variable_that_cannot_be_read_or_is_no_number_is_refused(monkeypatch, tmp_path, values, words):
    found = Trackables()
    found.add("kernel", [1.0])
    read = opened_with(monkeypatch, tmp_path, found)
    read._reader.arrays["key1"] = values if isinstance(values, Exception) else np.array(values)
    with pytest.raises(WeightsError, match=words):
        read.read("key1")


def test_variables_that_are_words_are_read_and_fit_no_graph(monkeypatch, tmp_path):
    found = Trackables()
    found.add("kernel", np.array([b"a"]))
    assert opened_with(monkeypatch, tmp_path, found).read("key1").tolist() == [b"a"]


@pytest.mark.parametrize("missing", ["variables.index", "variables.data-00000-of-00001"])
def test_variables_that_are_missing_or_lie_elsewhere_are_refused(monkeypatch, tmp_path, missing):
    inside, outside = tmp_path / "model", tmp_path / "outside"
    inside.mkdir()
    outside.write_bytes(b"x")
    opened_with(monkeypatch, inside, Trackables())
    path = inside / "variables" / missing
    path.unlink()
    words = rf"expected variables.data-... in .*{inside.name}" if "data" in missing else "to be a file of its own"
    with pytest.raises(WeightsError, match=words):
        checkpoint.Checkpoint(inside)
    path.symlink_to(outside)
    with pytest.raises(WeightsError, match=rf"expected .*{missing} to be a file of its own"):
        checkpoint.Checkpoint(inside)


def test_a_folder_of_variables_that_is_a_link_out_is_refused(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "variables.index").write_bytes(b"x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "variables").symlink_to(tmp_path / "outside")
    with pytest.raises(WeightsError, match="to be a file of its own in the SavedModel's folder"):
        checkpoint.Checkpoint(tmp_path / "model")
