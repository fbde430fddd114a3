"""Makes a plain graph out of one function of a SavedModel: calls written out, variables left blank. No TensorFlow.

The graph that comes out is held against the list in checked.py like any stranger's frozen graph. Of the SavedModel's
library, only what the features are calculated from is copied: the functions that train, save and restore stay behind,
and so does everything that is there for its effects alone (control inputs). The three things that a plain graph does
not know are resolved here: PartitionedCall and StatefulPartitionedCall are replaced by what they call, ReadVariableOp
by a constant whose numbers the conversion reads from the checkpoint, and constants that a function captured by
themselves. Tables, assets, and variables used in any other way make a module unfit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from retrain.errors import WeightsError
from retrain.graphs.checked import (
    DECODING,
    MAX_GRAPH_BYTES,
    MAX_NODES,
    channels,
    checked_nodes,
    kept_attributes,
    path_between,
    read_constant,
    source_name,
)
from retrain.graphs.savedmodel import Entry

IMAGES = "images"
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_MAX_DEPTH = 32
_MAX_STEPS = 10 * MAX_NODES
# An operation that cannot be copied may have any number of outputs; more of them than this are not asked for.
_MAX_OUTPUTS = 16
# Name of no operation: what a function returns is calculated from.
_RETURN = "\0return"
_TYPES = {1: "float32", 3: "int32"}


@dataclass(frozen=True)
class Skeleton:
    """A backbone as a plain graph whose variables are blank.

    Args:
        graph: a GraphDef; from ``images``, float32 (N, height, width, 3), to ``result``.
        result: name of the tensor that the features are.
        variables: name of a blank constant -> number of the variable in the graph of objects.
        features: how many there are for a photograph, as far as it can be told.
        scores: whether they have gone through a softmax.
    """

    graph: Any
    result: str
    variables: dict[str, int]
    features: int
    scores: bool


@dataclass(frozen=True)
class _Variable:
    number: int


@dataclass(frozen=True)
class _Unusable:
    """Something that a plain graph has no word for; only a fault if the features are calculated from it."""

    reason: str


_Value = str | _Variable | _Unusable


def write_out(meta: Any, entry: Entry, height: int, width: int) -> Skeleton:  # noqa: ANN401
    """Make a plain graph out of a function, and hold it against the list.

    Args:
        meta: of parse_saved_model; not trusted.
        entry: of find_entry.
        height: pixels.
        width: pixels.

    Returns:
        The graph, with nothing in it but what the features are calculated from.

    Raises:
        WeightsError: it is damaged, or does something that is not allowed; the text names it.
    """
    writer = _Writer(meta)
    writer.add_images(height, width)
    captured = [writer.captured(number) for number in entry.captures]
    results = writer.call(entry.function, [IMAGES, *captured], 0)
    if entry.output >= len(results):
        raise WeightsError(f"the SavedModel is damaged: {entry.function} gives {len(results)} tensors")
    result = results[entry.output]
    if not isinstance(result, str):
        reason = result.reason if isinstance(result, _Unusable) else "a variable itself"
        raise WeightsError(f"the features of {entry.name} are calculated from {reason}: that is not run")
    return _cut(writer, result, entry.features)


def _cut(writer: _Writer, result: str, features: int) -> Skeleton:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    raw = {node.name: node for node in writer.graph.node}
    path = path_between(raw, IMAGES, source_name(result))
    cut: Any = GraphDef()
    for name in path:
        cut.node.add().CopyFrom(raw[name])
    nodes = checked_nodes(cut.SerializeToString())
    for node in cut.node:
        _clean(node, blank=node.name in writer.variables)
    width = features or channels(nodes, path, IMAGES)[path[-1]]
    used = {name: number for name, number in writer.variables.items() if name in nodes}
    return Skeleton(cut, result, used, width, _ends_in(nodes, source_name(result), "Softmax"))


def _ends_in(nodes: dict[str, Any], name: str, operation: str) -> bool:
    for _ in range(64):
        if nodes[name].op != "Identity" or not nodes[name].input:
            break
        name = source_name(nodes[name].input[0])
    return bool(nodes[name].op == operation)


def _clean(node: Any, *, blank: bool) -> None:  # noqa: ANN401
    """Leave nothing in an operation but attributes that are known."""
    if node.op in DECODING or (node.op.startswith("Placeholder") and node.name != IMAGES):
        raise WeightsError(f"{node.op} ({node.name}) stands between the photographs and the features")
    # Trap: a SavedModel leaves out attributes that are at their default, and this one's is True.
    if node.op.startswith("FusedBatchNorm") and ("is_training" not in node.attr or node.attr["is_training"].b):
        raise WeightsError(f"{node.name} ({node.op}) normalises by the photographs at hand, as in training: not run")
    if node.op == "Const" and not blank:
        read_constant(node)
    kept = kept_attributes(node)
    for name in set(node.attr) - set(kept):
        del node.attr[name]
    node.device = ""
    node.ClearField("experimental_debug_info")
    node.ClearField("experimental_type")


class _Writer:
    """Copies functions into one graph, each call with names of its own."""

    def __init__(self, meta: Any) -> None:  # noqa: ANN401
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.graph: Any = GraphDef()
        self.variables: dict[str, int] = {}
        self._objects = meta.object_graph_def.nodes
        self._constants = {node.name: node for node in meta.graph_def.node if node.op == "Const"}
        self._functions = {one.signature.name: one for one in meta.graph_def.library.function}
        self._bodies: dict[str, dict[str, Any]] = {}
        self._captured: set[str] = set()
        self._calls = self._steps = self._bytes = 0

    def add_images(self, height: int, width: int) -> None:
        node = self.graph.node.add(name=IMAGES, op="Placeholder")
        node.attr["dtype"].type = 1
        for size in (-1, height, width, 3):
            node.attr["shape"].shape.dim.add(size=size)

    def captured(self, number: int) -> _Value:
        """Say what an object is to the function that captured it."""
        if not 0 <= number < len(self._objects):
            raise WeightsError(f"the SavedModel is damaged: there is no object {number}")
        kind = self._objects[number].WhichOneof("kind")
        if kind == "variable":
            return _Variable(number)
        operation = self._objects[number].constant.operation
        if kind != "constant" or operation not in self._constants:
            return _Unusable(f"a {kind or 'thing'} (object {number} of the SavedModel)")
        name = f"capture_{number}"
        if name not in self._captured:
            self._captured.add(name)
            self.count(self._constants[operation])
            self.graph.node.add().CopyFrom(self._constants[operation])
            self.graph.node[-1].name = name
        return name

    def call(self, name: str, arguments: list[_Value], depth: int) -> list[_Value]:
        """Write out a function; give what it returns."""
        function = self._functions.get(name)
        if function is None or depth > _MAX_DEPTH:
            raise WeightsError(f"the SavedModel calls {name}, which is {'too deep' if function else 'not there'}")
        taken = [one.name for one in function.signature.input_arg]
        if len(taken) != len(arguments):
            raise WeightsError(
                f"the SavedModel is damaged: {name} takes {len(taken)} tensors, is given {len(arguments)}"
            )
        self._calls += 1
        body = _Body(self, f"call_{self._calls}", dict(zip(taken, arguments, strict=True)), depth)
        if name not in self._bodies:
            self._bodies[name] = _without_control(function, taken)
        nodes = self._bodies[name]
        for node in path_between(nodes, "", _RETURN)[:-1]:
            body.add(nodes[node])
        return [body.value(tensor) for tensor in nodes[_RETURN].input]

    def count(self, node: Any) -> None:  # noqa: ANN401
        """Functions that call each other can make a small file into an endless graph."""
        self._steps += 1
        self._bytes += node.ByteSize()
        if self._steps > _MAX_STEPS or self._bytes > MAX_GRAPH_BYTES:
            raise WeightsError(
                f"the SavedModel's functions, written out, are more than {_MAX_STEPS} operations or "
                f"{MAX_GRAPH_BYTES} bytes"
            )

    def read(self, variable: _Variable) -> str:
        """Put a blank constant where a variable is read."""
        name = f"variable_{variable.number}"
        if name not in self.variables:
            facts = self._objects[variable.number].variable
            if facts.dtype not in _TYPES:
                raise WeightsError(
                    f"expected variables of float32, got {facts.name} of TensorFlow's type {facts.dtype}"
                )
            node = self.graph.node.add(name=name, op="Const")
            node.attr["dtype"].type = node.attr["value"].tensor.dtype = facts.dtype
            node.attr["value"].tensor.tensor_shape.CopyFrom(facts.shape)
            self.variables[name] = variable.number
        return name


class _Body:
    """One call of a function: its tensors' names, and where they are in the graph."""

    def __init__(self, writer: _Writer, prefix: str, arguments: dict[str, _Value], depth: int) -> None:
        self._writer, self._prefix, self._depth = writer, prefix, depth
        self._values: dict[str, list[_Value]] = {name: [value] for name, value in arguments.items()}
        self._operations: dict[str, str] = {}

    def value(self, tensor: str) -> _Value:
        """Look up "argument", or "operation:output:index"."""
        name, *rest = tensor.split(":")
        index = int(rest[-1]) if rest and rest[-1].isdecimal() and len(rest[-1]) < 6 else 0
        if rest and self._operations.get(name, "").startswith("FusedBatchNorm") and rest[0] != "y":
            return _Unusable(f"statistics of {name}")
        if name in self._operations and name not in self._values:
            return f"{self._prefix}/{name}:{index}" if index else f"{self._prefix}/{name}"
        values = self._values.get(name, [])
        return values[index] if index < len(values) else _Unusable(f"an output {tensor} that is not there")

    def add(self, node: Any) -> None:  # noqa: ANN401
        """Copy an operation, once."""
        if node.name in self._values or node.name in self._operations:
            return
        self._writer.count(node)
        given = [self.value(tensor) for tensor in node.input]
        self._operations[node.name] = node.op
        if node.op in _CALLS:
            self._values[node.name] = self._writer.call(node.attr["f"].func.name, given, self._depth + 1)
        elif node.op == "ReadVariableOp":
            self._values[node.name] = [self._read(given)]
        else:
            self._copy(node, given)

    def _read(self, given: list[_Value]) -> _Value:
        source = given[0] if given else None
        if isinstance(source, _Variable):
            return self._writer.read(source)
        return source if isinstance(source, _Unusable) else _Unusable("a variable that is none")

    def _copy(self, node: Any, given: list[_Value]) -> None:  # noqa: ANN401
        sources = []
        for value in given:
            if not isinstance(value, str):
                reason = value if isinstance(value, _Unusable) else _Unusable(f"a variable itself, by {node.op}")
                self._values[node.name] = [reason] * _MAX_OUTPUTS
                return
            sources.append(value)
        copy = self._writer.graph.node.add()
        copy.CopyFrom(node)
        copy.name = f"{self._prefix}/{node.name}"
        del copy.input[:]
        copy.input.extend(sources)


def _without_control(function: Any, arguments: list[str]) -> dict[str, Any]:  # noqa: ANN401
    """Give a function's operations by name, arguments among them, without what is there for its effects alone."""
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

    nodes: dict[str, Any] = {name: NodeDef(name=name) for name in arguments}
    for node in function.node_def:
        if node.name in nodes:
            raise WeightsError(
                f"the SavedModel is damaged: two operations of {function.signature.name} are {node.name}"
            )
        nodes[node.name] = NodeDef()
        nodes[node.name].CopyFrom(node)
        data = [source for source in node.input if not source.startswith("^")]
        del nodes[node.name].input[:]
        nodes[node.name].input.extend(data)
    returned = [function.ret.get(one.name, "") for one in function.signature.output_arg]
    nodes[_RETURN] = NodeDef(input=returned)
    return nodes
