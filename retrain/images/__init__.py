"""Bytes to pixels to model input: the only decode and resize in the project, for training and labelling alike.

In a published MLPerf issue another image library in one place moved ImageNet top-1 from 76.5 % to 73.9 %; here,
changing the decoder or the resize kernel alone moves the features by 8 to 19 %. So everything goes through this room:
spec.py says what a model wants and what is refused, reading.py reads files, opening.py tells formats and opens them
within limits, decoding.py makes pixels of them and pixels into model input; dates.py reads when they were taken.
tf1.py, imported where it is asked for, makes the pixels that the codelab's label_image made under TensorFlow 1, with
what its JPEG decoder did in tf1_decoding.py and tf1_jpeg.py; graphs that others trained on such pixels are labelled
with it.

How each kind of image is treated:
    rotated by EXIF     turned upright
    transparent         laid over white
    palette, grey, CMYK converted to RGB
    16 bits a channel   the upper 8 bits are kept
    animated            the first frame
    large JPEG          decoded at the largest of 1/2, 1/4, 1/8 that is still at least the size wanted
    wrong suffix        the magic bytes decide; the suffix is not looked at
    anything else       refused with a reason: TIFF, EPS, PSD, SVG, HEIC, text, too large, truncated
"""

from retrain.images.decoding import (
    PREPROCESSING_VERSION,
    decode_rgb,
    decode_upright,
    normalise,
    pixels_of,
    resize_rgb,
)
from retrain.images.opening import sniff_format
from retrain.images.reading import read_image_file
from retrain.images.spec import LIMITS, Floats, ImageLimits, InputSpec, Pixels

__all__ = [
    "LIMITS",
    "PREPROCESSING_VERSION",
    "Floats",
    "ImageLimits",
    "InputSpec",
    "Pixels",
    "decode_rgb",
    "decode_upright",
    "normalise",
    "pixels_of",
    "read_image_file",
    "resize_rgb",
    "sniff_format",
]
