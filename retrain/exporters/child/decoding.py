"""In the TensorFlow child: image bytes to pixels in TensorFlow's own operations, for exports that decode by themselves.

The same steps as retrain.images, number for number where TensorFlow has them: a large JPEG is decoded at 1/2, 1/4 or
1/8, everything is resized with the antialiased triangle kernel and rounded after each direction, as Pillow does, and
turned upright at last. Imported by an exporter's build() only, since it imports TensorFlow.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from retrain.exporters.child.metadata import (
    has_transparent_colour,
    jpeg_orientation,
    png_orientation,
    webp_orientation,
)
from retrain.exporters.child.octets import is_at, number, octets, piece, require_bounded, size
from retrain.exporters.child.palettes import bmp_picture, gif_picture
from retrain.images import InputSpec

# Those that can say which way up they are come first.
_JPEG, _PNG, _WEBP, _GIF, _BMP, _OTHER = range(6)
_MAGIC = {
    _JPEG: (b"\xff\xd8\xff",),
    _PNG: (b"\x89PNG\r\n\x1a\n",),
    _GIF: (b"GIF87a", b"GIF89a"),
    _BMP: (b"BM",),
}
_RATIOS = (1, 2, 4, 8)
_GREY, _GREY_ALPHA = 0, 4
_WEBP_FLAGS = 20
_ANIMATED = 0x02
_ANIMATED_WITH_ALPHA = b"\x12"


def model_inputs(images: Any, spec: InputSpec) -> Any:  # noqa: ANN401
    """Decode image files and scale them as the model wants them.

    Args:
        images: string (N,): bytes of JPEG, PNG, GIF, BMP or WebP files.
        spec: size and scaling.

    Returns:
        float32 (N, height, width, 3); bytes that are none of these, or damaged, are an InvalidArgumentError.
    """
    shape = tf.TensorSpec((spec.height, spec.width, 3), tf.uint8)
    pixels = tf.map_fn(lambda data: decoded_pixels(data, spec), images, fn_output_signature=shape)
    return (tf.cast(pixels, tf.float32) - spec.mean) * (1.0 / spec.std)


def decoded_pixels(data: Any, spec: InputSpec) -> Any:  # noqa: ANN401
    """Decode an image file and bring it to the size the model wants.

    Args:
        data: string, scalar: its bytes.
        spec: gives height and width, and whether pictures with more than 8 bits a value were stretched, which this
            cannot do: it refuses them.

    Returns:
        uint8 (height, width, 3), RGB, upright.
    """
    kind = _kind(data)
    orientation = tf.switch_case(
        kind,
        {
            _JPEG: lambda: jpeg_orientation(data),
            _PNG: lambda: png_orientation(data),
            _WEBP: lambda: webp_orientation(data),
        },
        default=lambda: tf.constant(1),
    )
    sideways = orientation >= 5
    # Resized first and turned then, as in retrain.images: so sizes are swapped here.
    height = tf.where(sideways, spec.width, spec.height)
    width = tf.where(sideways, spec.height, spec.width)
    picture = tf.switch_case(
        kind,
        {
            _JPEG: lambda: _jpeg_picture(data, height, width),
            _PNG: lambda: _png_picture(data, spec),
            _WEBP: lambda: _webp_picture(data),
            _GIF: lambda: gif_picture(data),
            _BMP: lambda: _over_white(bmp_picture(data)),
        },
    )
    return tf.ensure_shape(_turned(_resized(picture, height, width), orientation), (spec.height, spec.width, 3))


def _kind(data: Any) -> Any:  # noqa: ANN401
    kind = tf.constant(_OTHER)
    for number_of_kind, magics in _MAGIC.items():
        for magic in magics:
            kind = tf.where(is_at(data, 0, magic), number_of_kind, kind)
    kind = tf.where(is_at(data, 0, b"RIFF") & is_at(data, 8, b"WEBP"), _WEBP, kind)
    said = (
        "expected the bytes of a JPEG, PNG, GIF, BMP or WebP file (in JSON: {'b64': base64}), got ones that begin with"
    )
    with tf.control_dependencies([tf.debugging.Assert(kind < _OTHER, [said, octets(data, 0, 8)], summarize=8)]):
        return tf.identity(kind)


def _jpeg_picture(data: Any, height: Any, width: Any) -> Any:  # noqa: ANN401
    shape = tf.image.extract_jpeg_shape(data)
    with tf.control_dependencies([require_bounded(shape[0], shape[1])]):
        times = tf.minimum(shape[0] // height, shape[1] // width)
        step = tf.reduce_sum(tf.cast(times >= _RATIOS[1:], tf.int32))
        return tf.switch_case(step, [lambda ratio=ratio: _decode_jpeg(data, ratio) for ratio in _RATIOS])


def _decode_jpeg(data: Any, ratio: int) -> Any:  # noqa: ANN401
    return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")


def _png_picture(data: Any, spec: InputSpec) -> Any:  # noqa: ANN401
    width, height = number(data, 16, 4, little=False), number(data, 20, 4, little=False)
    bits, colours = number(data, 24, 1), number(data, 25, 1)
    # Of 16 bits of grey, Pillow does not know which one is transparent.
    is_grey16 = tf.equal(bits, 16) & tf.equal(colours, _GREY)
    required = [require_bounded(height, width)]
    if spec.sky is not None:
        said = "expected an 8-bit PNG, which was stretched as this model's description says (sky), got bits:"
        required.append(tf.debugging.Assert(bits < 16, [said, bits]))
    with tf.control_dependencies(required):
        has_alpha = (colours >= _GREY_ALPHA) | (has_transparent_colour(data) & ~is_grey16)
    # Trap: asked for an alpha that is not there, TensorFlow 2.21 leaves 1, 2 and 4 bits of grey as they are.
    return tf.cond(
        has_alpha,
        lambda: _over_white(tf.io.decode_png(data, channels=4)),
        lambda: tf.io.decode_png(data, channels=3),
    )


def _webp_picture(data: Any) -> Any:  # noqa: ANN401
    flags = number(data, _WEBP_FLAGS, 1)
    animated = is_at(data, 12, b"VP8X") & (flags % (2 * _ANIMATED) >= _ANIMATED)
    # Trap: where an animation says that it has no alpha, TensorFlow 2.21 makes room for three channels and writes four,
    # and the process dies. So each says that it has; a frame without it is opaque.
    after = piece(data, _WEBP_FLAGS + 1, size(data))
    with_alpha = tf.strings.join([piece(data, 0, _WEBP_FLAGS), _ANIMATED_WITH_ALPHA, after])
    # Trap: an operation for WebP alone is newer than most servers, and a server that lacks one refuses the whole model.
    contents = tf.where(animated, with_alpha, data)
    with tf.control_dependencies([require_bounded(*_webp_size(data))]):
        picture = tf.raw_ops.DecodeImage(contents=contents, channels=0, expand_animations=False)
    return _over_white(picture)


def _webp_size(data: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Read the height and the width of the three kinds of WebP: with a canvas, lossless and lossy."""
    bits = number(data, 21, 4)
    sides = []
    for canvas_at, lossless, lossy_at in ((27, bits // (1 << 14), 28), (24, bits, 26)):
        plain = tf.where(is_at(data, 12, b"VP8L"), 1 + lossless % (1 << 14), number(data, lossy_at, 2) % (1 << 14))
        sides.append(tf.where(is_at(data, 12, b"VP8X"), 1 + number(data, canvas_at, 3), plain))
    return sides[0], sides[1]


def _over_white(picture: Any) -> Any:  # noqa: ANN401
    """uint8 (H, W, 3 or 4) -> (H, W, 3): what is transparent is laid over white."""
    colours, alpha = picture[..., :3], picture[..., 3:]
    # Of three channels, none is left for alpha, and nothing is transparent.
    return tf.cond(tf.reduce_all(tf.equal(alpha, 255)), lambda: colours, lambda: _composed(colours, alpha))


def _composed(colours: Any, alpha: Any) -> Any:  # noqa: ANN401
    """Round((colour * alpha + 255 * (255 - alpha)) / 255), in the 16 bits that it just fits into."""
    alpha = tf.cast(alpha, tf.uint16)
    sums = tf.cast(colours, tf.uint16) * alpha + (255 - alpha) * 255 + 128
    return tf.cast(tf.bitwise.right_shift(sums + tf.bitwise.right_shift(sums, 8), 8), tf.uint8)


def _resized(picture: Any, height: Any, width: Any) -> Any:  # noqa: ANN401
    """uint8 (H, W, 3) -> uint8 (height, width, 3), with the antialiased triangle kernel.

    Trap: tf.image.resize would be up to two shades off. It keeps fractions between the two directions, where the
    resizer of retrain.images rounds, and has other weights. Here they are whole numbers, which float32 adds exactly.
    """
    before = tf.shape(picture)
    columns = tf.reshape(tf.cast(picture, tf.float32), tf.stack([before[0], -1]))
    upright = tf.reshape(_weighed(columns, before[0], height), tf.stack([height, before[1], 3]))
    rows = tf.reshape(tf.transpose(upright, (1, 0, 2)), tf.stack([before[1], -1]))
    across = tf.reshape(_weighed(rows, before[1], width), tf.stack([width, height, 3]))
    return tf.cast(tf.transpose(across, (1, 0, 2)), tf.uint8)


def _weighed(lines: Any, count: Any, wanted: Any) -> Any:  # noqa: ANN401
    """float32 (count, n), whole numbers 0 to 255 -> (wanted, n), the same."""
    weights, unit = _triangle_weights(tf.cast(count, tf.float64), tf.cast(wanted, tf.float64))
    sums = tf.linalg.matmul(tf.cast(weights, tf.float32), lines)
    return tf.clip_by_value(tf.floor((sums + tf.cast(unit / 2, tf.float32)) / tf.cast(unit, tf.float32)), 0.0, 255.0)


def _triangle_weights(count: Any, wanted: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """float64 (wanted, count), whole numbers of 16 bits, and what each row of them adds up to, a power of two."""
    step = count / wanted
    centres = (tf.range(wanted, dtype=tf.float64) + 0.5) * step
    places = tf.range(count, dtype=tf.float64) + 0.5
    triangle = tf.maximum(1.0 - tf.abs(places[None] - centres[:, None]) / tf.maximum(step, 1.0), 0.0)
    shares = triangle / tf.reduce_sum(triangle, 1, keepdims=True)
    finer = tf.constant([2.0**bits for bits in range(1, 22)], tf.float64)
    fitting = tf.floor(tf.reduce_max(shares) * finer + 0.5) < 2.0**15
    unit = tf.pow(tf.constant(2.0, tf.float64), tf.reduce_sum(tf.cast(fitting, tf.float64)))
    return tf.floor(shares * unit + 0.5), unit


def _turned(picture: Any, orientation: Any) -> Any:  # noqa: ANN401
    """Turn a picture upright: swap its directions, then reverse them."""
    swapped = tf.transpose(picture, tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2]))
    reverses = tf.stack([
        tf.reduce_any(tf.equal(orientation, (3, 4, 7, 8))),
        tf.reduce_any(tf.equal(orientation, (2, 3, 6, 7))),
    ])  # fmt: skip
    return tf.reverse(swapped, tf.boolean_mask([0, 1], reverses))
