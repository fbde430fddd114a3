"""LiteRT models: what ours say of themselves, what a stranger's is, and which operations are run."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from retrain.bundle import METADATA_ENTRY, Bundle, bundle_from_json
from retrain.errors import ModelError
from retrain.modelfile.flat import MAX_ITEMS, Table, root

MAX_TENSORS = MAX_ITEMS
# Numbers in one tensor, and in all together: VGG16 has 138 million weights, Inception's largest array below 2 million.
MAX_TENSOR_ELEMENTS = 1 << 27
MAX_ALL_ELEMENTS = 1 << 28
_MAX_DIMENSIONS, _MAX_ENDS = 8, 1024
# Ours have one or two entries.
_MAX_METADATA = 64
_FLOAT32 = 0
_TYPE_NAMES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 9: "int8"}
# Of the schema's BuiltinOperator: what only calculates, and what backbones are made of. No custom operation, no
# control flow, no variable, table or random number.
OPERATIONS = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE",
    8: "FLOOR", 9: "FULLY_CONNECTED", 11: "L2_NORMALIZATION", 13: "LOCAL_RESPONSE_NORMALIZATION", 14: "LOGISTIC",
    17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 20: "RELU_N1_TO_1", 21: "RELU6", 22: "RESHAPE", 23: "RESIZE_BILINEAR",
    25: "SOFTMAX", 28: "TANH", 34: "PAD", 36: "GATHER", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV",
    43: "SQUEEZE", 45: "STRIDED_SLICE", 47: "EXP", 49: "SPLIT", 50: "LOG_SOFTMAX", 53: "CAST", 54: "PRELU",
    55: "MAXIMUM", 57: "MINIMUM", 59: "NEG", 60: "PADV2", 65: "SLICE", 70: "EXPAND_DIMS", 74: "SUM", 75: "SQRT",
    76: "RSQRT", 77: "SHAPE", 78: "POW", 80: "FAKE_QUANT", 82: "REDUCE_MAX", 83: "PACK", 88: "UNPACK",
    92: "SQUARE", 98: "LEAKY_RELU", 99: "SQUARED_DIFFERENCE", 100: "MIRROR_PAD", 101: "ABS", 102: "SPLIT_V",
    111: "ELU", 114: "QUANTIZE", 117: "HARD_SWISH", 126: "BATCH_MATMUL", 130: "BROADCAST_TO", 150: "GELU",
    152: "RELU_0_TO_1",
}  # fmt: skip
_CUSTOM = 32
_PROBABILITIES = ("SOFTMAX", "LOGISTIC")
_PASSES_ON = ("RESHAPE", "SQUEEZE", "DEQUANTIZE", "QUANTIZE")


@dataclass(frozen=True)
class Tensor:
    """An input or output.

    Args:
        name: as the file says.
        shape: sizes.
        kind: "float32", "uint8", or the schema's number.
    """

    name: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class TfliteFacts:
    """What a LiteRT model is.

    Args:
        inputs: of its graph.
        outputs: of its graph.
        operations: name -> how many.
        gives_probabilities: whether its first output has gone through a softmax or a sigmoid.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operations: dict[str, int]
    gives_probabilities: bool


def read_tflite_bundle(content: bytes, source: str) -> Bundle:
    """Read what a LiteRT model says of itself; nothing in it is run.

    Args:
        content: a .tflite file; not trusted.
        source: its path, for messages.

    Returns:
        The description.

    Raises:
        ModelError: it is no LiteRT model, or not one that this tool wrote.
    """
    bundle = tflite_bundle(content, source)
    if bundle is None:
        raise ModelError(f"{source} does not say what it is: it was not written by this tool")
    return bundle


def tflite_bundle(content: bytes, source: str) -> Bundle | None:
    """Read what a LiteRT model says of itself.

    Args:
        content: a .tflite file; not trusted, not run.
        source: its path, for messages.

    Returns:
        The description; None where it has none, and another tool wrote it.

    Raises:
        ModelError: it is no LiteRT model, or damaged.
    """
    model = _model(content, source)
    try:
        for number, entry in enumerate(model.tables(6)):
            if number >= _MAX_METADATA:
                break
            if entry.bytes(0) == METADATA_ENTRY.encode():
                buffer = list(model.tables(4))[entry.integer(1, "<I")]
                return bundle_from_json(buffer.bytes(0), source)
    except (ValueError, IndexError) as error:
        raise ModelError(f"{source} is damaged: {error}; train the model again") from error
    return None


def tflite_facts(content: bytes, source: str) -> TfliteFacts:
    """Hold a LiteRT model against the list and the bounds, and say what it is.

    Args:
        content: a .tflite file; not trusted, not run.
        source: its path, for messages.

    Returns:
        Its inputs, outputs and operations.

    Raises:
        ModelError: it is no LiteRT model, is damaged or too large, or has an operation that is not run; the text names
            it.
    """
    model = _model(content, source)
    try:
        graphs = list(model.tables(2))
        if len(graphs) != 1:
            raise ModelError(f"expected {source} to hold one graph, got {len(graphs)}; only one is run")
        names = [_operation(code, source) for code in model.tables(1)]
        tensors = _tensors(graphs[0], source)
        operators = list(graphs[0].tables(3))
        if any(operator.length(1) > _MAX_ENDS or operator.length(2) > _MAX_ENDS for operator in operators):
            raise ModelError(f"{source} has an operation of more than {_MAX_ENDS} inputs or outputs: not run")
        operations = [names[operator.integer(0, "<I")] for operator in operators]
        inputs, outputs = ([tensors[number] for number in graphs[0].integers(field)] for field in (1, 2))
        sure = bool(outputs) and _gives_probabilities(graphs[0].integers(2)[0], operators, operations)
    except (ValueError, IndexError) as error:
        raise ModelError(f"{source} is damaged: {error}") from error
    return TfliteFacts(tuple(inputs), tuple(outputs), dict(sorted(Counter(operations).items())), sure)


def _model(content: bytes, source: str) -> Table:
    if content[4:8] != b"TFL3":
        raise ModelError(f"{source} is not a LiteRT model; train one with python -m retrain")
    return root(content)


def _operation(code: Table, source: str) -> str:
    # Trap: files of before 2020 have the number in the old field only, newer ones 127 there when it is larger.
    number = max(code.integer(0, "<b"), code.integer(3, "<i"))
    if number not in OPERATIONS:
        named = code.bytes(1).decode(errors="replace") if number == _CUSTOM else f"number {number}"
        raise ModelError(
            f"{source} has an operation {named!r}, which is not on the list of those run; convert the model with "
            "LiteRT's builtin operations only"
        )
    return OPERATIONS[number]


def _tensors(graph: Table, source: str) -> list[Tensor]:
    tensors: list[Tensor] = []
    total = 0
    for one in graph.tables(0):
        if one.length(0) > _MAX_DIMENSIONS:
            raise ModelError(f"{source} has an array of {one.length(0)} dimensions, at most {_MAX_DIMENSIONS} are read")
        shape = tuple(one.integers(0))
        elements = math.prod(max(size, 1) for size in shape)
        total += elements
        name = one.bytes(3).decode(errors="replace")
        if len(tensors) >= MAX_TENSORS or elements > MAX_TENSOR_ELEMENTS or total > MAX_ALL_ELEMENTS:
            raise ModelError(
                f"{source} is too large at {name!r}, of shape {shape}: at most {MAX_TENSORS} arrays, "
                f"{MAX_TENSOR_ELEMENTS} numbers in one and {MAX_ALL_ELEMENTS} in all are read"
            )
        kind = one.integer(1, "<b")
        tensors.append(Tensor(name, shape, _TYPE_NAMES.get(kind, str(kind))))
    return tensors


def _gives_probabilities(tensor: int, operators: list[Table], operations: list[str]) -> bool:
    """Follow the output back over what does not change its numbers' sum."""
    makers = {made: i for i, operator in enumerate(operators) for made in operator.integers(2)}
    for _ in range(8):
        if tensor not in makers:
            return False
        name, operator = operations[makers[tensor]], operators[makers[tensor]]
        if name not in _PASSES_ON:
            return name in _PROBABILITIES
        tensor = operator.integers(1)[0]
    return False
