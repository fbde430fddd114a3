"""In the TensorFlow child: which way up a photograph is, read from its bytes in TensorFlow's own operations.

As Pillow reads it for retrain.images: the tag of the first Exif segment of a JPEG, of the eXIf chunk of a PNG, of the
EXIF chunk of a WebP; where the Exif has none (in a PNG or WebP also where there is no Exif), what the XMP says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from retrain.exporters.child.octets import is_at, number, octets, piece, size

_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4
_ENTRY = 12
_TIFF = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0")
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_XMP = b"XML:com.adobe.xmp\0\0"
_START_OF_SCAN, _END_OF_IMAGE, _APP1, _FILL = 0xFFDA, 0xFFD9, 0xFFE1, 0xFFFF

# (position) -> (the position of the next segment, an Exif block or nothing, an XMP packet or nothing)
_Step = Callable[[Any], tuple[Any, Any, Any]]


def jpeg_orientation(data: Any) -> Any:  # noqa: ANN401
    """Read which way up a JPEG is.

    Args:
        data: string, scalar: its bytes.

    Returns:
        int32, scalar, 1 to 8; 1 where it does not say.
    """

    def step(at: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        marker, length = number(data, at, 2, little=False), number(data, at + 2, 2, little=False)
        is_app1 = tf.equal(marker, _APP1)
        exif = _kept(is_app1 & is_at(data, at + 4, b"Exif\0\0"), data, at + 10, length - 8)
        start = len(_JPEG_XMP)
        xmp = _kept(is_app1 & is_at(data, at + 4, _JPEG_XMP), data, at + 4 + start, length - 2 - start)
        ends = (marker < 0xFF00) | tf.equal(marker, _START_OF_SCAN) | tf.equal(marker, _END_OF_IMAGE)
        after = tf.where(tf.equal(marker, _FILL), at + 1, at + 2 + length)
        return tf.where(ends, size(data), after), exif, xmp

    exif, xmp = _walk(data, 2, step)
    return tf.where(tf.equal(exif, b""), 1, _orientation(exif, xmp))


def png_orientation(data: Any) -> Any:  # noqa: ANN401
    """Read which way up a PNG is.

    Args:
        data: string, scalar: its bytes.

    Returns:
        int32, scalar, 1 to 8; 1 where it does not say.
    """

    def step(at: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        length = number(data, at, 4, little=False)
        exif = _kept(is_at(data, at + 4, b"eXIf"), data, at + 8, length)
        xmp = _kept(is_at(data, at + 4, b"iTXt" + _PNG_XMP), data, at + 8, length)
        return at + 12 + length, exif, xmp

    return _orientation(*_walk(data, 8, step))


def has_transparent_colour(data: Any) -> Any:  # noqa: ANN401
    """Tell whether a PNG names a colour, or entries of its palette, that are transparent.

    Args:
        data: string, scalar: its bytes.

    Returns:
        bool, scalar.
    """

    def goes_on(at: Any) -> Any:  # noqa: ANN401
        return (at < size(data)) & ~is_at(data, at + 4, b"tRNS") & ~is_at(data, at + 4, b"IDAT")

    start = tf.constant(8, tf.int64)
    (at,) = tf.while_loop(goes_on, lambda at: (at + 12 + number(data, at, 4, little=False),), (start,))
    return is_at(data, at + 4, b"tRNS")


def webp_orientation(data: Any) -> Any:  # noqa: ANN401
    """Read which way up a WebP is.

    Args:
        data: string, scalar: its bytes.

    Returns:
        int32, scalar, 1 to 8; 1 where it does not say.
    """

    def step(at: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        length = number(data, at + 4, 4)
        exif = _kept(is_at(data, at, b"EXIF"), data, at + 8, length)
        xmp = _kept(is_at(data, at, b"XMP "), data, at + 8, length)
        return at + 8 + length + length % 2, exif, xmp

    return _orientation(*_walk(data, 12, step))


def _kept(wanted: Any, data: Any, at: Any, length: Any) -> Any:  # noqa: ANN401
    return piece(data, at, tf.where(wanted, length, 0))


def _walk(data: Any, start: int, step: _Step) -> tuple[Any, Any]:  # noqa: ANN401
    """Go from segment to segment: the first Exif counts, and the last XMP."""
    end = size(data)

    def body(at: Any, exif: Any, xmp: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        after, new_exif, new_xmp = step(at)
        return after, _either(exif, new_exif), _either(new_xmp, xmp)

    first = (tf.constant(start, tf.int64), tf.constant(b""), tf.constant(b""))
    _, exif, xmp = tf.while_loop(lambda at, *_: at < end, body, first)
    return exif, xmp


def _either(first: Any, second: Any) -> Any:  # noqa: ANN401
    return tf.where(tf.equal(first, b""), second, first)


def _orientation(exif: Any, xmp: Any) -> Any:  # noqa: ANN401
    # Some programs write the name of a JPEG's segment into the chunks of PNG and WebP, too.
    tag = _tiff_orientation(tf.where(is_at(exif, 0, b"Exif\0\0"), piece(exif, 6, size(exif)), exif))
    said = tf.where(tf.equal(tag, 0), _xmp_orientation(xmp), tag)
    return tf.cast(tf.where((said >= 1) & (said <= 8), said, 1), tf.int32)


def _tiff_orientation(block: Any) -> Any:  # noqa: ANN401
    """Look through the first directory of a TIFF for the tag; 0 where it is not."""
    little = is_at(block, 0, b"II")
    known = tf.reduce_any(tf.equal(piece(block, 0, 4), tf.constant(_TIFF)))
    at = number(block, 4, 4, little)
    count = tf.where(known, number(block, at, 2, little), 0)
    # What the end of the block cuts off is no entry.
    entries = tf.io.decode_raw(piece(block, at + 2, count * _ENTRY), tf.uint8)
    whole = tf.shape(entries)[0] // _ENTRY * _ENTRY
    rows = tf.cast(tf.reshape(entries[:whole], (-1, _ENTRY)), tf.int64)

    def field(start: int, length: int) -> Any:  # noqa: ANN401
        powers = tf.constant([256**place for place in range(length)], tf.int64)
        return tf.reduce_sum(rows[:, start : start + length] * tf.where(little, powers, powers[::-1]), axis=1)

    kind = field(2, 2)
    values = tf.where(tf.equal(kind, _LONG), field(8, 4), field(8, 2))
    one_number = (tf.equal(kind, _SHORT) | tf.equal(kind, _LONG)) & tf.equal(field(4, 4), 1)
    found = tf.boolean_mask(values, tf.equal(field(0, 2), _ORIENTATION) & one_number)
    return tf.concat([tf.zeros((1,), tf.int64), found], 0)[-1]


def _xmp_orientation(packet: Any) -> Any:  # noqa: ANN401
    """Find the digit after tiff:Orientation; 0 where there is none."""
    at = size(tf.strings.regex_replace(packet, r'(?s)tiff:Orientation(?:="|>)[0-9].*', ""))
    # Where nothing was replaced, nothing follows, and the byte read is 0.
    rest = piece(packet, at, 64)
    digit = tf.strings.regex_replace(rest, r'(?s)tiff:Orientation(?:="|>)([0-9]).*', r"\1")
    value = octets(digit, 0, 1)[0] - ord("0")
    return tf.where(tf.equal(size(digit), 1), value, 0)
