"""ONNX models: what ours say of themselves, and which operations are run; read without the onnx package.

The format is protobuf, and few of its fields are needed: they are declared here (numbers from onnx.proto3), so that
neither onnx nor onnxruntime is imported to read a description.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from retrain.bundle import METADATA_ENTRY, Bundle, bundle_from_json
from retrain.errors import ModelError

MAX_OPERATIONS = 20_000
_DOMAINS = ("", "ai.onnx")
_EXTERNAL = 1
_TYPE_NAMES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 8: "string", 10: "float16", 11: "float64"}
# What only calculates, and what backbones are made of: no control flow, no random numbers, no other library's.
OPERATIONS = frozenset({
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv",
    "DepthToSpace", "DequantizeLinear", "Div", "Dropout", "Elu", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather",
    "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "LRN",
    "LayerNormalization", "LeakyRelu", "LogSoftmax", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "PRelu", "Pad",
    "Pow", "QuantizeLinear", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu",
    "Reshape", "Resize", "Selu", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
    "Tanh", "Transpose", "Unsqueeze",
})  # fmt: skip
# message -> field -> (number, type; "*" before it: many)
_FIELDS = {
    "Pair": {"key": (1, "string"), "value": (2, "string")},
    "Dimension": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
    "Shape": {"dim": (1, "*Dimension")},
    "TensorType": {"elem_type": (1, "int32"), "shape": (2, "Shape")},
    "Type": {"tensor_type": (1, "TensorType")},
    "Value": {"name": (1, "string"), "type": (2, "Type")},
    "Tensor": {"name": (8, "string"), "external_data": (13, "*Pair"), "data_location": (14, "int32")},
    "Sparse": {"values": (1, "Tensor"), "indices": (2, "Tensor")},
    "Attribute": {"name": (1, "string"), "t": (5, "Tensor"), "g": (6, "Graph"), "tensors": (10, "*Tensor"),
                  "graphs": (11, "*Graph"), "sparse_tensor": (22, "Sparse"), "sparse_tensors": (23, "*Sparse")},
    "Node": {"input": (1, "*string"), "output": (2, "*string"), "name": (3, "string"), "op_type": (4, "string"),
             "attribute": (5, "*Attribute"), "domain": (7, "string")},
    "Graph": {"node": (1, "*Node"), "name": (2, "string"), "initializer": (5, "*Tensor"), "input": (11, "*Value"),
              "output": (12, "*Value"), "sparse_initializer": (15, "*Sparse")},
    "Function": {"name": (1, "string")},
    "Model": {"producer_name": (2, "string"), "graph": (7, "Graph"), "metadata_props": (14, "*Pair"),
              "functions": (25, "*Function")},
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """An input or output.

    Args:
        name: as the file says.
        shape: sizes; a name or "?" where it is open.
        kind: "float32", or ONNX's number.
    """

    name: str
    shape: tuple[int | str, ...]
    kind: str


@dataclass(frozen=True)
class OnnxFacts:
    """What an ONNX model is.

    Args:
        inputs: that are to be given.
        outputs: of its graph.
        operations: name -> how many.
        producer: what wrote it.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    operations: dict[str, int]
    producer: str


def onnx_bundle(content: bytes, source: str) -> Bundle | None:
    """Read what an ONNX model says of itself.

    Args:
        content: an .onnx file; not trusted, not run.
        source: its path, for messages.

    Returns:
        The description; None where it has none, and another tool wrote it.

    Raises:
        ModelError: it is no ONNX model, or its description is damaged.
    """
    for pair in _parsed(content, source).metadata_props:
        if pair.key == METADATA_ENTRY:
            return bundle_from_json(pair.value.encode(), source)
    return None


def onnx_facts(content: bytes, source: str) -> OnnxFacts:
    """Hold an ONNX model against the list, and say what it is.

    Args:
        content: an .onnx file; not trusted, not run.
        source: its path, for messages.

    Returns:
        Its inputs, outputs and operations.

    Raises:
        ModelError: it is no ONNX model, or does what is not run: an operation that is not on the list, a function, a
            graph in a graph, numbers in another file. The text names it.
    """
    model = _parsed(content, source)
    graph = model.graph
    if model.functions:
        raise ModelError(f"{source} holds a function, {model.functions[0].name!r}: not run")
    if len(graph.node) > MAX_OPERATIONS:
        raise ModelError(f"{source} has {len(graph.node)} operations, at most {MAX_OPERATIONS} are read")
    for node in graph.node:
        _check_operation(node, source)
    for tensor in _tensors(graph):
        if tensor.external_data or tensor.data_location == _EXTERNAL:
            raise ModelError(f"{source} keeps the numbers of {tensor.name!r} in another file, which is not opened")
    given = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_value(one) for one in graph.input if one.name not in given)
    operations = Counter(node.op_type for node in graph.node)
    return OnnxFacts(inputs, tuple(map(_value, graph.output)), dict(sorted(operations.items())), model.producer_name)


def _check_operation(node: Any, source: str) -> None:  # noqa: ANN401 - protobuf's classes have no types
    if node.domain not in _DOMAINS or node.op_type not in OPERATIONS:
        named = f"{node.domain}.{node.op_type}" if node.domain not in _DOMAINS else node.op_type
        raise ModelError(f"{source} has an operation {named} ({node.name}), which is not on the list of those run")
    for attribute in node.attribute:
        if attribute.graphs or attribute.HasField("g"):
            raise ModelError(f"attribute {attribute.name} of {node.name} ({node.op_type}) holds a graph: not run")


def _tensors(graph: Any) -> Iterator[Any]:  # noqa: ANN401
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for one in sparse:
        yield one.values
        yield one.indices


def _value(one: Any) -> Value:  # noqa: ANN401
    tensor = one.type.tensor_type
    shape = tuple(
        int(dim.dim_value) if dim.WhichOneof("which") == "dim_value" else dim.dim_param or "?"
        for dim in tensor.shape.dim
    )
    return Value(one.name, shape, _TYPE_NAMES.get(tensor.elem_type, str(tensor.elem_type)))


def _parsed(content: bytes, source: str) -> Any:  # noqa: ANN401
    from google.protobuf.message import DecodeError

    try:
        model = _model_class().FromString(content)
    except DecodeError as error:
        raise ModelError(f"expected {source} to be an ONNX model, got bytes that are none: {error}") from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"expected {source} to be an ONNX model, got one without a graph")
    return model


@cache
def _model_class() -> Any:  # noqa: ANN401
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="retrain/onnx.proto", package="retrain.onnx", syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, (number, said) in fields.items():
            added = message.field.add(name=field, number=number, label=kinds.LABEL_OPTIONAL)
            if said.startswith("*"):
                added.label = kinds.LABEL_REPEATED
            kind = said.lstrip("*")
            if kind in _FIELDS:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".retrain.onnx.{kind}"
            else:
                added.type = {"string": kinds.TYPE_STRING, "int32": kinds.TYPE_INT32, "int64": kinds.TYPE_INT64}[kind]
            if name == "Dimension":
                added.oneof_index = 0
        if name == "Dimension":
            message.oneof_decl.add(name="which")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("retrain.onnx.Model"))
