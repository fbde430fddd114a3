"""Appends tensors and operations to a LiteRT model, with the flatbuffer classes that ai-edge-litert carries.

Schema: tensorflow/lite/schema/schema.fbs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_FILE_IDENTIFIER = b"TFL3"


class Appender:
    """A model that is being added to, behind all that it has.

    Args:
        model: the schema's ModelT; changed.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - the schema's classes have no types
        from ai_edge_litert import schema_py_generated as schema

        self._schema, self._model, self._graph = schema, model, model.subgraphs[0]

    def constant(self, name: str, values: npt.NDArray[Any]) -> int:
        """Add numbers.

        Args:
            name: of the tensor.
            values: float32 or int32.

        Returns:
            Its index.
        """
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(values.shape)
        return self._tensor(name, values.shape, _add_buffer(self._model, little.tobytes()), little.dtype.kind == "i")

    def result(self, name: str, width: int) -> int:
        """Add room for a row that is computed.

        Args:
            name: of the tensor.
            width: how many float32 numbers it has.

        Returns:
            Its index.
        """
        return self._tensor(name, (1, width), _add_buffer(self._model, None), False)

    def operation(self, name: str, inputs: list[int], output: int, **settings: object) -> int:
        """Add an operation.

        Args:
            name: of the schema's BuiltinOperator.
            inputs: indices of tensors.
            output: index of the tensor that it fills.
            settings: of its options, under the schema's names; ``options`` names their table, where it has one.

        Returns:
            The output.
        """
        schema = self._schema
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        self._model.operatorCodes.append(code)
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        table = settings.pop("options", None)
        if isinstance(table, str):
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, f"{table}T")()
            for setting, value in settings.items():
                setattr(operator.builtinOptions, setting, value)
        self._graph.operators.append(operator)
        return output

    def _tensor(self, name: str, shape: tuple[int, ...], buffer: int, is_integer: bool) -> int:
        kinds, tensor = self._schema.TensorType, self._schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name.encode(), list(shape), buffer
        tensor.type = kinds.INT32 if is_integer else kinds.FLOAT32
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1


def _add_buffer(model: Any, data: bytes | None) -> int:  # noqa: ANN401
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    if data is not None:
        buffer.data = np.frombuffer(data, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


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
