"""Messages between the sandbox and its caller: a short JSON object and raw bytes, both with their length in front."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_HEAD = struct.Struct("<4sII")
_MAGIC = b"rsb1"
MAX_JSON = 1 << 16


class WireError(ValueError):
    """What came is no message, or one that is larger than agreed."""


def send(stream: IO[bytes], facts: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write a message.

    Args:
        stream: a pipe.
        facts: JSON-able, at most MAX_JSON bytes of it.
        payload: raw bytes that go with it.

    Raises:
        WireError: the facts are too many.
        OSError: the other side is gone.
    """
    text = json.dumps(facts).encode()
    if len(text) > MAX_JSON:
        raise WireError(f"a message of {len(text)} bytes, at most {MAX_JSON} are sent")
    stream.write(_HEAD.pack(_MAGIC, len(text), len(payload)) + text)
    stream.write(payload)
    stream.flush()


def receive(stream: IO[bytes], most: int) -> tuple[dict[str, Any], bytes]:
    """Read a message; nothing is allocated for what is longer than agreed.

    Args:
        stream: a pipe, buffered.
        most: bytes of payload that are read.

    Returns:
        The facts and the payload.

    Raises:
        EOFError: the other side is gone.
        WireError: it is no message, or too long.
    """
    magic, length, payload = _HEAD.unpack(_exactly(stream, _HEAD.size))
    if magic != _MAGIC or length > MAX_JSON or payload > most:
        raise WireError(f"expected a message of at most {MAX_JSON} + {most} bytes, got {length} + {payload}")
    try:
        facts = json.loads(_exactly(stream, length))
    except (ValueError, RecursionError) as error:
        raise WireError(f"expected JSON: {error}") from error
    if not isinstance(facts, dict):
        raise WireError(f"expected a JSON object, got {type(facts).__name__}")
    return facts, _exactly(stream, payload)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data
