"""In the TensorFlow child: numbers and pieces out of a string tensor, past whose end there is nothing but zeros."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from retrain.images import LIMITS

# What a JPEG or a GIF can have at most.
MAX_SIDE = 65_535


def piece(data: Any, at: Any, length: Any) -> Any:  # noqa: ANN401 - tensors have no types that mypy could check
    """Cut a piece out of a string.

    Args:
        data: string, scalar.
        at: int64, scalar, not negative; past the end gives an empty piece.
        length: int64, scalar; what is past the end is left out.

    Returns:
        string, scalar.
    """
    # Trap: past the end, TensorFlow's own error would quote the whole photograph.
    at = tf.minimum(tf.cast(at, tf.int64), size(data))
    return tf.strings.substr(data, at, tf.maximum(tf.cast(length, tf.int64), 0))


def size(data: Any) -> Any:  # noqa: ANN401
    """Count the bytes of a string.

    Args:
        data: string, scalar.

    Returns:
        int64, scalar.
    """
    return tf.cast(tf.strings.length(data), tf.int64)


def octets(data: Any, at: Any, length: int) -> Any:  # noqa: ANN401
    """Read a fixed number of bytes.

    Args:
        data: string, scalar.
        at: int64, scalar.
        length: how many; those past the end are 0.

    Returns:
        int64 (length,), 0 to 255.
    """
    return tf.cast(tf.io.decode_raw(piece(data, at, length), tf.uint8, fixed_length=length), tf.int64)


def number(data: Any, at: Any, length: int, little: Any = True) -> Any:  # noqa: ANN401
    """Read an unsigned number.

    Args:
        data: string, scalar.
        at: int64, scalar.
        length: its bytes, 1 to 4.
        little: bool, or a tensor of one: the least significant byte comes first.

    Returns:
        int64, scalar.
    """
    values = octets(data, at, length)
    powers = tf.constant([256**place for place in range(length)], tf.int64)
    return tf.reduce_sum(values * tf.where(little, powers, powers[::-1]))


def is_at(data: Any, at: Any, text: bytes) -> Any:  # noqa: ANN401
    """Tell whether a text stands at a place.

    Args:
        data: string, scalar.
        at: int64, scalar.
        text: what is looked for.

    Returns:
        bool, scalar.
    """
    return tf.equal(piece(data, at, len(text)), text)


def require_bounded(height: Any, width: Any) -> Any:  # noqa: ANN401
    """Refuse a photograph that is too large, before it is decoded.

    Args:
        height: scalar, pixels.
        width: scalar, pixels.

    Returns:
        An operation that must be done first; it raises InvalidArgumentError.
    """
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    # A side is bounded for itself because the resize has a weight for each of its pixels.
    sides = tf.cast(tf.maximum(height, width), tf.int64)
    said = f"expected a photograph of at most {LIMITS.max_pixels} pixels, {MAX_SIDE} on a side, got"
    return tf.debugging.Assert((pixels <= LIMITS.max_pixels) & (sides <= MAX_SIDE), [said, height, width])
