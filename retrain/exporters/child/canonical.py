"""In the TensorFlow child: the same SavedModel from the same arguments, byte for byte.

TensorFlow numbers functions through the life of a process and marks every SavedModel with a random name. Here functions
are numbered anew, in the order in which they stand in the library, and the mark is calculated from the contents.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrain import fsio

_NUMBER = re.compile(r"_\d+$")
# Names a function that no other process has; says how many threads this one calculates with.
_OF_THIS_PROCESS = ("_gradient_op_type", "config_proto")
# What a loop's condition calls the values that it does not look at.
_UNUSED = re.compile(r"_\d+(___redundant_placeholder\d+)$")


def rewrite(folder: Path) -> None:
    """Bring the files of a SavedModel into their one form.

    Args:
        folder: what tf.saved_model.save wrote.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta in model.meta_graphs:
        _rename_functions(meta)
        _drop_traces(meta)
    fsio.write_bytes(path, model.SerializeToString(deterministic=True))
    _mark(folder)


def _rename_functions(meta: Any) -> None:  # noqa: ANN401
    library = meta.graph_def.library.function
    names = {
        function.signature.name: f"{_NUMBER.sub('', function.signature.name)}_{number}"
        for number, function in enumerate(sorted(library, key=lambda one: _first_number(one.signature.name)))
    }
    for function in library:
        function.signature.name = names[function.signature.name]
        for argument in function.signature.input_arg:
            argument.name = _UNUSED.sub(r"\1", argument.name)
    for node in _nodes(meta.graph_def):
        _rename_calls(node, names)
    functions = sorted(library, key=lambda function: _first_number(function.signature.name))
    copies = [type(function).FromString(function.SerializeToString()) for function in functions]
    del library[:]
    library.extend(copies)
    _rename_objects(meta.object_graph_def, names)


def _first_number(name: str) -> tuple[int, str]:
    found = _NUMBER.search(name)
    return (int(found.group()[1:]) if found else -1, name)


def _nodes(graph: Any) -> Iterator[Any]:  # noqa: ANN401
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _rename_calls(node: Any, names: dict[str, str]) -> None:  # noqa: ANN401
    for name in _OF_THIS_PROCESS:
        node.attr.pop(name, None)
    for value in node.attr.values():
        for function in [value.func] if value.HasField("func") else value.list.func:
            function.name = names.get(function.name, function.name)


def _rename_objects(objects: Any, names: dict[str, str]) -> None:  # noqa: ANN401
    for node in objects.nodes:
        if node.HasField("bare_concrete_function"):
            one = node.bare_concrete_function
            one.concrete_function_name = names[one.concrete_function_name]
        if node.HasField("function"):
            renamed = [names[name] for name in node.function.concrete_functions]
            node.function.concrete_functions[:] = renamed
    facts = {names[name]: value.SerializeToString() for name, value in objects.concrete_functions.items()}
    objects.ClearField("concrete_functions")
    for name, value in sorted(facts.items()):
        objects.concrete_functions[name].ParseFromString(value)


def _drop_traces(meta: Any) -> None:  # noqa: ANN401
    """Forget which file and function of the exporting program an operation was made in."""
    for node in _nodes(meta.graph_def):
        node.ClearField("experimental_debug_info")
    for function in meta.graph_def.library.function:
        for name in [one for one in function.attr if one.startswith("_") and "function_name" in one]:
            del function.attr[name]


def _mark(folder: Path) -> None:
    """Calculate the fingerprint again, and give it a name that is calculated, too."""
    from tensorflow.core.protobuf import fingerprint_pb2
    from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

    mark = fingerprint_pb2.FingerprintDef.FromString(fingerprinting.CreateFingerprintDef(str(folder)))
    mark.uuid = ""
    mark.uuid = hashlib.sha256(mark.SerializeToString(deterministic=True)).hexdigest()[:32]
    fsio.write_bytes(folder / "fingerprint.pb", mark.SerializeToString(deterministic=True))
