"""A LiteRT file of backbone and head: two operations appended to the backbone's flatbuffer.

Schema: tensorflow/lite/schema/schema.fbs, as the ai-edge-litert package carries it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.bundle import METADATA_ENTRY, Bundle
from retrain.head import Head

_FILE_IDENTIFIER = b"TFL3"


def tflite_model(backbone: bytes, head: Head, bundle: Bundle) -> bytes:
    """Append a head to a backbone's LiteRT model.

    Args:
        backbone: a .tflite file: float32 (1, H, W, 3) -> float32 (1, D).
        head: the layer, on raw bottleneck vectors.
        bundle: goes inside as the metadata entry ``retrain.bundle``; names the output.

    Returns:
        A .tflite file: float32 (1, H, W, 3) -> float32 (1, C), probabilities.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(backbone, 0)
    graph = model.subgraphs[0]
    classes = len(head.biases)
    # FULLY_CONNECTED wants its weights as (C, D).
    weights = _add_tensor(model, graph, "final_training_ops/weights/final_weights", head.weights.T)
    biases = _add_tensor(model, graph, "final_training_ops/biases/final_biases", head.biases)
    logits = _add_tensor(model, graph, "final_training_ops/Wx_plus_b/add", None, (1, classes))
    scores = _add_tensor(model, graph, bundle.output_node, None, (1, classes))
    dense = schema.FullyConnectedOptionsT()
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    options = schema.BuiltinOptions
    _add_operator(model, graph, schema.BuiltinOperator.FULLY_CONNECTED, [graph.outputs[0], weights, biases], logits,
                  options.FullyConnectedOptions, dense)  # fmt: skip
    _add_operator(model, graph, schema.BuiltinOperator.SOFTMAX, [logits], scores, options.SoftmaxOptions, softmax)
    graph.outputs = [scores]
    model.signatureDefs = None  # they name the backbone's own output
    add_metadata(model, METADATA_ENTRY, bundle.to_json())
    return pack(model, len(backbone))


def pack(model: Any, size: int) -> bytes:  # noqa: ANN401
    """Write a model.

    Args:
        model: the schema's ModelT.
        size: about how many bytes it will have; a wrong guess costs time only.

    Returns:
        A .tflite file.
    """
    import flatbuffers

    builder = flatbuffers.Builder(size + (1 << 16))
    builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
    return bytes(builder.Output())


def _add_buffer(model: Any, data: bytes | None) -> int:  # noqa: ANN401
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    if data is not None:
        buffer.data = np.frombuffer(data, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _add_tensor(
    model: Any,  # noqa: ANN401
    graph: Any,  # noqa: ANN401
    name: str,
    values: npt.NDArray[np.float32] | None,
    shape: tuple[int, ...] = (),
) -> int:
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name = name.encode()
    tensor.type = schema.TensorType.FLOAT32
    tensor.shape = list(shape if values is None else values.shape)
    tensor.buffer = _add_buffer(model, None if values is None else np.ascontiguousarray(values, "<f4").tobytes())
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _add_operator(
    model: Any,  # noqa: ANN401
    graph: Any,  # noqa: ANN401
    builtin: int,
    inputs: list[int],
    output: int,
    options_type: int,
    options: Any,  # noqa: ANN401
) -> None:
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = inputs, [output]
    operator.builtinOptionsType, operator.builtinOptions = options_type, options
    graph.operators.append(operator)


def add_metadata(model: Any, name: str, data: bytes) -> None:  # noqa: ANN401
    """Put a named entry into a model.

    Args:
        model: the schema's ModelT; changed.
        name: of the entry.
        data: what it holds.
    """
    from ai_edge_litert import schema_py_generated as schema

    entry = schema.MetadataT()
    entry.name = name.encode()
    entry.buffer = _add_buffer(model, data)
    model.metadata = [*(model.metadata or []), entry]
