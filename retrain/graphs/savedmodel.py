"""Strangers' SavedModels, read as data: which function turns photographs into rows of numbers. No TensorFlow.

A SavedModel holds a library of functions, a graph of objects that says which of them ``__call__`` and the signatures
are, and a checkpoint with the variables. Nothing of it is run here, nor anywhere: inline.py makes a plain graph out of
the one function that is found here, and only that graph ever reaches TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from retrain.errors import WeightsError, did_you_mean

# Where TensorFlow 2 and Keras put what is to be used; others are asked after these, by name.
_FIRST = ("serving_default", "__call__")
_NO_ENTRIES = ("__saved_model_init_op", "__saved_model_train_op")
# What hub's convention calls the main output, where there are several.
_MAIN_OUTPUT = "default"
_FLOAT = 1


@dataclass(frozen=True)
class Entry:
    """The function of a SavedModel that is a backbone.

    Args:
        name: of the signature, or ``__call__``.
        function: its name in the library.
        captures: what it takes after the photographs: numbers of nodes in the graph of objects.
        height: pixels of the photographs; 0 where any will do.
        width: pixels; 0 where any will do.
        output: which of its outputs are the features.
        output_name: what that is called.
        features: how many there are for a photograph; 0 where it does not say.
    """

    name: str
    function: str
    captures: tuple[int, ...]
    height: int
    width: int
    output: int
    output_name: str
    features: int


class _UnfitError(Exception):
    """A function is not a backbone; the text says why."""


def parse_saved_model(data: bytes, source: str) -> Any:  # noqa: ANN401 - protobuf's classes have no types
    """Parse a saved_model.pb; refuse TensorFlow 1's.

    Args:
        data: its bytes; not trusted.
        source: where it lies, for messages.

    Returns:
        Its MetaGraphDef, of tensorboard.compat.proto.

    Raises:
        WeightsError: the bytes are none, or of TensorFlow 1.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

    try:
        graphs = [MetaGraphDef.FromString(one) for one in _envelope().FromString(data).meta_graphs]
    except DecodeError as error:
        raise WeightsError(f"expected {source} to be a SavedModel, got bytes that are none: {error}") from error
    if not graphs:
        raise WeightsError(f"expected {source} to be a SavedModel, got one without a graph")
    if len(graphs) > 1 or not graphs[0].object_graph_def.nodes:
        raise WeightsError(refusal_of_tensorflow_1(source))
    return graphs[0]


def refusal_of_tensorflow_1(source: str) -> str:
    """Say what is to be done about a module of TensorFlow 1.

    Args:
        source: where it lies.

    Returns:
        A sentence.
    """
    return (
        f"expected {source} to be a SavedModel of TensorFlow 2, got one of TensorFlow 1 (or a hub.Module), which is "
        "not run; take the same model's TensorFlow 2 version (on tfhub.dev: a higher number at the end), or freeze it "
        "to a .pb and give that as --backbone_graph"
    )


def find_entry(meta: Any, source: str, output: str = "") -> Entry:  # noqa: ANN401
    """Find the function that turns photographs into features.

    Args:
        meta: of parse_saved_model.
        source: where it lies, for messages.
        output: name of the output that the features are, or empty to find it.

    Returns:
        ``serving_default`` where that fits, else ``__call__``, else the first signature by name that does.

    Raises:
        WeightsError: none fits; the text says of each why.
    """
    entries = dict(sorted(_entries(meta), key=lambda pair: _rank(pair[0])))
    reasons = []
    for name, functions in entries.items():
        for function in functions:
            try:
                return _described(meta, name, function, output)
            except _UnfitError as error:
                reasons.append(f"{name} {error}")
    told = "; ".join(dict.fromkeys(reasons)) or "it has no function at all"
    raise WeightsError(
        f"expected {source} to have a function that takes photographs, float32 (N, height, width, 3), and gives "
        f"features, float32 (N, D), got: {told}"
    )


def tell_functions(meta: Any) -> dict[str, str]:  # noqa: ANN401
    """Say what can be asked of a SavedModel.

    Args:
        meta: of parse_saved_model.

    Returns:
        Name of a signature, or ``__call__`` -> what it takes and gives, of the first of its variants.
    """
    told = {}
    for name, functions in sorted(_entries(meta)):
        facts = meta.object_graph_def.concrete_functions.get(functions[0]) if functions else None
        if facts is None:
            told[name] = "is not there"
            continue
        try:
            taken = list(_leaves(facts.canonicalized_input_signature))
            given = list(_leaves(facts.output_signature))
        except _UnfitError as error:
            told[name] = str(error)
            continue
        told[name] = f"takes {_listed(taken)}; gives {_listed(given)}"
    return told


def _listed(tensors: list[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} {_said(spec)}".strip() for name, spec in tensors) or "nothing"


@cache
def _envelope() -> Any:  # noqa: ANN401
    """Make the class of the outermost message, the only one that tensorboard does not bring along."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="retrain/saved_model.proto", package="retrain")
    message = file.message_type.add(name="SavedModel")
    # Bytes and a message look the same on the wire.
    message.field.add(name="meta_graphs", number=2, type=field.TYPE_BYTES, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("retrain.SavedModel"))


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _entries(meta: Any) -> Iterator[tuple[str, list[str]]]:  # noqa: ANN401
    """Name the functions that stand at the root of the graph of objects: signatures and __call__."""
    nodes = meta.object_graph_def.nodes
    for child in nodes[0].children:
        if child.local_name == "__call__":
            yield "__call__", _functions_of(_node(nodes, child.node_id))
        if child.local_name == "signatures":
            for signature in _node(nodes, child.node_id).children:
                if signature.local_name not in _NO_ENTRIES:
                    yield signature.local_name, _functions_of(_node(nodes, signature.node_id))


def _node(nodes: Sequence[Any], number: int) -> Any:  # noqa: ANN401
    if not 0 <= number < len(nodes):
        raise WeightsError(f"the SavedModel is damaged: it has {len(nodes)} objects and names number {number}")
    return nodes[number]


def _functions_of(node: Any) -> list[str]:  # noqa: ANN401
    if node.WhichOneof("kind") == "bare_concrete_function":
        return [node.bare_concrete_function.concrete_function_name]
    return list(node.function.concrete_functions)


def _described(meta: Any, name: str, function: str, output: str) -> Entry:  # noqa: ANN401
    objects = meta.object_graph_def
    if function not in objects.concrete_functions:
        raise _UnfitError(f"is a function {function} that is not there")
    facts = objects.concrete_functions[function]
    if _says_true(facts.canonicalized_input_signature):
        raise _UnfitError("is for training (one of its arguments is True)")
    height, width = _picture_size(list(_leaves(facts.canonicalized_input_signature)))
    outputs = list(_leaves(facts.output_signature))
    position = _features_position(outputs, output)
    return Entry(
        name=name,
        function=function,
        captures=tuple(facts.bound_inputs),
        height=height,
        width=width,
        output=position,
        output_name=outputs[position][0],
        features=_row_width(outputs[position][1]) or 0,
    )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Walk over the tensors of a signature in the order of the function's arguments (tf.nest's order)."""
    kind = value.WhichOneof("kind")
    if kind in ("tensor_spec_value", "bounded_tensor_spec_value"):
        yield name, getattr(value, kind)
    elif kind in ("list_value", "tuple_value"):
        for number, one in enumerate(getattr(value, kind).values):
            yield from _leaves(one, name or str(number))
    elif kind == "dict_value":
        for key, one in sorted(value.dict_value.fields.items()):
            yield from _leaves(one, key)
    elif kind == "named_tuple_value":
        for pair in value.named_tuple_value.values:
            yield from _leaves(pair.value, pair.key)
    elif kind == "type_spec_value":
        raise _UnfitError(f"takes or gives a {value.type_spec_value.type_spec_class_name or 'thing'} that is no tensor")


def _says_true(value: Any) -> bool:  # noqa: ANN401
    kind = value.WhichOneof("kind")
    if kind in ("list_value", "tuple_value"):
        return any(_says_true(one) for one in getattr(value, kind).values)
    if kind == "dict_value":
        return any(_says_true(one) for one in value.dict_value.fields.values())
    return kind == "bool_value" and bool(value.bool_value)


def _sizes(spec: Any) -> list[int] | None:  # noqa: ANN401
    return None if spec.shape.unknown_rank else [int(dim.size) for dim in spec.shape.dim]


def _said(spec: Any) -> str:  # noqa: ANN401
    from tensorboard.compat.proto.types_pb2 import DataType

    sizes = _sizes(spec)
    shape = "of any shape" if sizes is None else f"({', '.join('?' if size < 0 else str(size) for size in sizes)})"
    kind = DataType.Name(spec.dtype) if spec.dtype in DataType.values() else str(spec.dtype)
    return f"{kind.removeprefix('DT_').lower()} {shape}"


def _picture_size(inputs: list[tuple[str, Any]]) -> tuple[int, int]:
    if len(inputs) != 1:
        raise _UnfitError(f"takes {len(inputs)} tensors, not one")
    spec = inputs[0][1]
    sizes = _sizes(spec)
    if spec.dtype != _FLOAT or (sizes is not None and (len(sizes) != 4 or sizes[3] not in (3, -1))):
        raise _UnfitError(f"takes {_said(spec)}")
    if sizes is None:
        return 0, 0
    return max(sizes[1], 0), max(sizes[2], 0)


def _row_width(spec: Any) -> int | None:  # noqa: ANN401
    """Say how many numbers a photograph gets; 0 where it is not known, None where the output is not rows."""
    sizes = _sizes(spec)
    if spec.dtype != _FLOAT or (sizes is not None and len(sizes) != 2):
        return None
    return 0 if sizes is None else max(sizes[1], 0)


def _features_position(outputs: list[tuple[str, Any]], wanted: str) -> int:
    names = [name for name, _ in outputs]
    if wanted:
        if wanted not in names:
            raise _UnfitError(f"has no output {wanted}{did_you_mean(wanted, names) or '; it has ' + ', '.join(names)}")
        fitting = [names.index(wanted)]
    else:
        fitting = [i for i, (_, spec) in enumerate(outputs) if _row_width(spec) is not None]
        fitting = [names.index(_MAIN_OUTPUT)] if len(fitting) > 1 and _MAIN_OUTPUT in names else fitting
    if len(fitting) > 1:
        given = ", ".join(names[i] for i in fitting)
        raise _UnfitError(f"gives {given}; name one (--bottleneck_tensor in training, --output_layer in labelling)")
    if not fitting or _row_width(outputs[fitting[0]][1]) is None:
        raise _UnfitError(f"gives {_listed(outputs)}, which are not rows of features")
    return fitting[0]
