"""Bounded bytes of model files."""

from __future__ import annotations

from pathlib import Path

from retrain.errors import ModelError

# No graph of ours is larger, and protobuf itself stops at 2 GiB.
MAX_MODEL_BYTES = 1 << 30
# Ours have some thousand; ten thousand labels of 100 bytes fit.
MAX_TEXT_BYTES = 1 << 24
_TRAIN = "train one with python -m retrain"


def read_model_file(path: Path, what: str, max_bytes: int = 0, remedy: str = _TRAIN) -> bytes:
    """Read a model file.

    Args:
        path: the file.
        what: it should be, for messages.
        max_bytes: a larger file is refused; 0 means MAX_MODEL_BYTES.
        remedy: what to do when it is not there, for messages.

    Returns:
        Its bytes.

    Raises:
        ModelError: it cannot be read, or is too large.
    """
    limit = max_bytes or MAX_MODEL_BYTES
    try:
        if not path.is_file():  # a pipe would be waited for
            why = "it is no file" if path.exists() else "it is not there"
            raise ModelError(f"expected {path} to be {what}: {why}; {remedy}")
        size = path.stat().st_size
        if size > limit:
            raise ModelError(f"expected {path} to be {what}, got {size} bytes, at most {limit} are read")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"expected {path} to be {what}: {error.strerror}; {remedy}") from error
