"""In the TensorFlow child: GIF and BMP, where TensorFlow's own decoders make something else of the same bytes.

Its GIF decoder paints black what is transparent and what the first frame leaves free; its BMP decoder takes the
numbers of a palette for shades of grey.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from retrain.exporters.child.octets import number, piece, require_bounded, size

_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9
_GLOBAL_COLOURS = 13
_WHITE = b"\xff\xff\xff"
_BMP_HEADER = 14
_NO_COMPRESSION, _BITFIELDS = 0, 3
_OCTET_MASKS = tuple(0xFF << shift for shift in (0, 8, 16, 24))
# A header this long has a mask for alpha, too.
_WITH_ALPHA = 56


def gif_picture(data: Any) -> Any:  # noqa: ANN401
    """Decode the first frame of a GIF, what is transparent over white.

    Args:
        data: string, scalar: its bytes.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    control, image = _first_frame(data)
    transparent = tf.equal(number(data, control + 3, 1) % 2, 1) & (control > 0)
    flags = number(data, image + 9, 1)
    colours = tf.where(flags >= 0x80, image + 10, tf.constant(_GLOBAL_COLOURS, tf.int64))
    whitened = _put(data, colours + 3 * number(data, control + 6, 1), _WHITE)
    shown = tf.where(transparent, _put(whitened, control + 3, b"\0"), data)
    # Trap: TensorFlow gives a picture of the frame's size and cuts off what its offset moves out of that.
    frame = tf.raw_ops.DecodeImage(contents=_put(shown, image + 1, b"\0\0\0\0"), channels=3, expand_animations=False)
    background = tf.where(transparent, _WHITE, piece(data, colours, 3))
    return _on_canvas(frame, data, image, tf.io.decode_raw(background, tf.uint8, fixed_length=3))


def _first_frame(data: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Find the last graphics control before the first image (0: none), and that image."""
    flags = number(data, 10, 1)
    colours = tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0)
    end = size(data)

    def goes_on(at: Any, _control: Any, inside: Any) -> Any:  # noqa: ANN401
        return (at < end) & (inside | tf.not_equal(number(data, at, 1), _IMAGE))

    def body(at: Any, control: Any, inside: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        here = number(data, at, 1)
        begins = ~inside & tf.equal(here, _EXTENSION)
        is_control = begins & tf.equal(number(data, at + 1, 1), _CONTROL) & tf.equal(number(data, at + 2, 1), 4)
        after = tf.where(inside, at + 1 + here, tf.where(begins, at + 2, at + 1))
        return after, tf.where(is_control, at, control), begins | (inside & (here > 0))

    start = (_GLOBAL_COLOURS + colours, tf.constant(0, tf.int64), tf.constant(False))
    image, control, _ = tf.while_loop(goes_on, body, start)
    return control, image


def _put(data: Any, at: Any, new: bytes) -> Any:  # noqa: ANN401
    return tf.strings.join([piece(data, 0, at), new, piece(data, at + len(new), size(data))])


def _on_canvas(frame: Any, data: Any, image: Any, background: Any) -> Any:  # noqa: ANN401
    """Lay the first frame on the canvas, which grows where that is too small."""
    left, top = number(data, image + 1, 2), number(data, image + 3, 2)
    size_of_frame = tf.shape(frame, tf.int64)
    right = tf.maximum(number(data, 6, 2) - left - size_of_frame[1], 0)
    bottom = tf.maximum(number(data, 8, 2) - top - size_of_frame[0], 0)
    free = [[top, bottom], [left, right], [0, 0]]
    with tf.control_dependencies([require_bounded(top + size_of_frame[0] + bottom, left + size_of_frame[1] + right)]):
        covered = tf.pad(tf.ones_like(frame[..., :1]), free)
    return tf.where(covered > 0, tf.pad(frame, free), background)


def bmp_picture(data: Any) -> Any:  # noqa: ANN401
    """Decode a BMP of 1, 4, 8, 24 or 32 bits a pixel that is not compressed.

    Args:
        data: string, scalar: its bytes.

    Returns:
        uint8 (H, W, 4), red, green, blue, alpha; any other BMP is an InvalidArgumentError.
    """
    start, signed_height = number(data, 10, 4), number(data, 22, 4)
    upside_down = signed_height >= 1 << 31  # a negative number: the first row is the top one
    height = tf.where(upside_down, (1 << 32) - signed_height, signed_height)
    width, bits = number(data, 18, 4), number(data, 28, 2)
    row = (bits * width + 31) // 32 * 4
    with tf.control_dependencies([_require_plain(data)]):
        whole = tf.debugging.Assert(
            (width > 0) & (height > 0) & (start + row * height <= size(data)),
            ["expected a whole BMP, got bytes", size(data), "of", start + row * height, "it is truncated"],
        )
    with tf.control_dependencies([require_bounded(height, width), whole]):
        rows = tf.reshape(tf.io.decode_raw(piece(data, start, row * height), tf.uint8), tf.stack([height, row]))
    palette, order = _bmp_palette(data, bits), _bmp_order(data)
    branches = [
        *(lambda used=used: _indexed(rows, width, used, palette) for used in (1, 4, 8)),
        lambda: _direct(rows, width, 3, tf.constant((2, 1, 0, 3))),
        lambda: _direct(rows, width, 4, order),
    ]
    picture = tf.switch_case(tf.reduce_sum(tf.cast(bits > (1, 4, 8, 24), tf.int32)), branches)
    return tf.reverse(picture, tf.boolean_mask([0], tf.reshape(~upside_down, (1,))))


def _require_plain(data: Any) -> Any:  # noqa: ANN401
    header, bits, compression = number(data, 14, 4), number(data, 28, 2), number(data, 30, 4)
    plain = tf.equal(compression, _NO_COMPRESSION) & tf.reduce_any(tf.equal(bits, (1, 4, 8, 24, 32)))
    masked = tf.equal(compression, _BITFIELDS) & tf.equal(bits, 32)
    whole_octets = tf.reduce_all(tf.reduce_any(tf.equal(_masks(data)[:3, None], _OCTET_MASKS), 1))
    said = "expected a BMP of 1, 4, 8, 24 or 32 bits a pixel that is not compressed (save it as PNG), got bits"
    return tf.debugging.Assert(
        (header >= 40) & (plain | (masked & whole_octets)), [said, bits, "compression", compression, "header", header]
    )


def _masks(data: Any) -> Any:  # noqa: ANN401
    """int64 (4,): which bits are red, green, blue and alpha; 0 where there is no alpha."""
    alpha = tf.where(number(data, 14, 4) >= _WITH_ALPHA, number(data, 66, 4), 0)
    return tf.stack([*(number(data, at, 4) for at in (54, 58, 62)), alpha])


def _bmp_order(data: Any) -> Any:  # noqa: ANN401
    """int32 (4,): which octet of a pixel is red, green, blue, alpha; number 4 is one that is always 255."""
    found = tf.equal(_masks(data)[:, None], _OCTET_MASKS)
    order = tf.where(tf.reduce_any(found, 1), tf.argmax(found, 1, tf.int32), 4)
    return tf.where(tf.equal(number(data, 30, 4), _BITFIELDS), order, (2, 1, 0, 4))


def _bmp_palette(data: Any, bits: Any) -> Any:  # noqa: ANN401
    """uint8 (256, 4), red, green, blue, alpha; numbers past its end are black."""
    said, header = number(data, 46, 4), number(data, 14, 4)
    most = tf.bitwise.left_shift(tf.constant(1, tf.int64), tf.minimum(bits, 8))
    count = tf.where((said > 0) & (said < most), said, most)
    entries = tf.io.decode_raw(piece(data, _BMP_HEADER + header, 4 * count), tf.uint8, fixed_length=4 * 256)
    return _with_opaque(tf.reshape(entries, (256, 4))[:, 2::-1])


def _with_opaque(values: Any) -> Any:  # noqa: ANN401
    """uint8 (..., n) -> (..., n + 1): 255 comes after each."""
    return tf.concat([values, 255 * tf.ones_like(values[..., :1])], -1)


def _indexed(rows: Any, width: Any, bits: int, palette: Any) -> Any:  # noqa: ANN401
    shifts = tf.constant(list(range(8 - bits, -1, -bits)), tf.uint8)
    each = tf.bitwise.right_shift(rows[..., None], shifts) & tf.constant(2**bits - 1, tf.uint8)
    indices = tf.reshape(each, tf.stack([tf.shape(rows)[0], -1]))[:, :width]
    return tf.gather(palette, tf.cast(indices, tf.int32))


def _direct(rows: Any, width: Any, octets: int, order: Any) -> Any:  # noqa: ANN401
    used = rows[:, : width * octets]
    return tf.gather(_with_opaque(tf.reshape(used, tf.stack([tf.shape(rows)[0], -1, octets]))), order, axis=2)
