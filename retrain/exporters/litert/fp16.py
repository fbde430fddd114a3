"""A LiteRT file of half the size: weights in float16, widened to float32 as the model is opened.

The same layout as TensorFlow's converter writes: a DEQUANTIZE for each large constant, in front of all else. XNNPACK
widens them once, so that the model runs as fast as the float32 one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrain.exporters.litert.appending import pack

# Smaller constants (biases, shapes) are not worth an operation.
_FEWEST_NUMBERS = 1024
_LARGEST = float(np.finfo(np.float16).max)


def fp16_model(content: bytes) -> bytes:
    """Narrow a model's weights.

    Args:
        content: a .tflite file in float32, its bundle inside.

    Returns:
        A .tflite file with the same input, output and metadata.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 3  # the first that takes float16
    model.operatorCodes.append(code)
    graph = model.subgraphs[0]
    widened = [_widen(schema, model, graph, index) for index in _large_constants(schema, model, graph)]
    graph.operators = [*widened, *graph.operators]
    return pack(model, len(content))


def _large_constants(schema: Any, model: Any, graph: Any) -> list[int]:  # noqa: ANN401
    ends = {*graph.inputs, *graph.outputs}
    return [
        index
        for index, tensor in enumerate(graph.tensors)
        if tensor.type == schema.TensorType.FLOAT32 and index not in ends and _fits(model.buffers[tensor.buffer].data)
    ]


def _fits(data: Any) -> bool:  # noqa: ANN401
    if data is None or len(data) < 4 * _FEWEST_NUMBERS:
        return False
    return bool(np.abs(np.frombuffer(bytes(data), "<f4")).max() <= _LARGEST)


def _widen(schema: Any, model: Any, graph: Any, index: int) -> Any:  # noqa: ANN401
    """Let an operation make a constant out of a narrow one."""
    wide = graph.tensors[index]
    buffer, narrow = schema.BufferT(), schema.TensorT()
    numbers = np.frombuffer(bytes(model.buffers[wide.buffer].data), "<f4").astype("<f2")
    buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)
    model.buffers[wide.buffer] = buffer
    narrow.name, narrow.shape = wide.name + b"/float16", wide.shape
    narrow.type, narrow.buffer = schema.TensorType.FLOAT16, wide.buffer
    wide.buffer = 0
    graph.tensors.append(narrow)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [len(graph.tensors) - 1], [index]
    operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = schema.DequantizeOptionsT()
    return operator
