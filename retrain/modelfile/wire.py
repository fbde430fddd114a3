"""Finds the description in a frozen graph of ours without protobuf, whose classes take 20 ms to import.

A message is a list of fields: a number with a kind, then the value. What is damaged or looks otherwise than ours gives
no description here, and is read again by protobuf, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Numbers of fields in TensorFlow's graph.proto, node_def.proto, attr_value.proto and tensor.proto.
_NODE = 1
_NAME, _OPERATION, _ATTRIBUTE = 1, 2, 5
_KEY, _VALUE = 1, 2
_TENSOR, _STRING = 8, 8


def find_text_constant(graph: bytes, name: str) -> bytes | None:
    """Read a constant that is a text.

    Args:
        graph: a serialised GraphDef; not trusted.
        name: of the node.

    Returns:
        Its first text; None where there is no such constant, or the bytes are no graph.
    """
    wanted = name.encode()
    try:
        for number, node in _fields(memoryview(graph)):
            if number == _NODE and _first(node, _NAME) == wanted and _first(node, _OPERATION) == b"Const":
                texts = [text for key, value in _fields(node) if key == _ATTRIBUTE for text in _texts(value)]
                return texts[0] if texts else None
    except (IndexError, ValueError):
        return None
    return None


def _texts(attribute: memoryview) -> Iterator[bytes]:
    if _first(attribute, _KEY) == b"value":
        for key, value in _fields(attribute):
            for number, tensor in _fields(value) if key == _VALUE else ():
                if number == _TENSOR:
                    yield from (bytes(text) for string, text in _fields(tensor) if string == _STRING)


def _first(message: memoryview, wanted: int) -> bytes:
    return next((bytes(value) for number, value in _fields(message) if number == wanted), b"")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Walk over the fields of a message; numbers have an empty value here, they are not asked for."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        size = 0
        if tag & 7 == _VARINT:
            _, at = _varint(message, at)
        elif tag & 7 == _BYTES:
            size, at = _varint(message, at)
        elif tag & 7 in (_FIXED64, _FIXED32):
            at += 8 if tag & 7 == _FIXED64 else 4
        else:
            raise ValueError("a kind of field that there is not")
        if at + size > len(message):
            raise ValueError("a field goes past the end")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 10 bytes")
