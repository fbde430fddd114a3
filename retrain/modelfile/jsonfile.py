"""JSON of strangers: bounded, and a dictionary or an error."""

from __future__ import annotations

import json
from typing import Any

from retrain.errors import ModelError


def read_object(data: bytes, source: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        data: UTF-8; not trusted.
        source: where it lies, for messages.

    Returns:
        The object.

    Raises:
        ModelError: it is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"expected {source} to be JSON; it is not: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"expected {source} to be a JSON object, got a {type(value).__name__}")
    return value


def found(value: Any, *path: str | int) -> Any:  # noqa: ANN401 - whatever somebody wrote
    """Follow a path into nested objects and lists.

    Args:
        value: of read_object.
        path: keys and indices.

    Returns:
        What is there, or None.
    """
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
