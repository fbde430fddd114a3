"""Bytes to pixels to model input: the only decode and resize in the project, for training and labelling alike.

In a published MLPerf issue another image library in one place moved ImageNet top-1 from 76.5 % to 73.9 %; here,
changing the decoder or the resize kernel alone moves the features by 8 to 19 %. So everything goes through this room:
spec.py says what a model wants and what is refused, reading.py reads files, opening.py tells formats and opens them,
after headers.py has walked their bytes and refused what would take too long or too much memory; decoding.py makes
pixels of them and pixels into model input; dates.py reads when they were taken.
tf1.py, imported where it is asked for, makes the pixels that the codelab's label_image made under TensorFlow 1, with
what its JPEG decoder did in tf1_decoding.py and tf1_jpeg.py; graphs that others trained on such pixels are labelled
with it.

Of pictures with more than 8 bits a value, sky.py says how they are stretched; fits.py finds the picture in a FITS file,
tiles.py looks at its compressed tiles before they are unpacked, deep.py reads FITS, 16-bit and float TIFF and 16-bit
PNG. All of this only where a model's InputSpec asks for it, and astropy is imported only then.

How each kind of image is treated:
    rotated by EXIF     turned upright
    transparent         laid over white
    palette, grey, CMYK converted to RGB
    16 bits a channel   the upper 8 bits are kept; stretched where the InputSpec says how
    animated            the first frame
    large JPEG          decoded at the largest of 1/2, 1/4, 1/8 that is still at least the size wanted
    wrong suffix        the magic bytes decide; the suffix is not looked at
    FITS, 16-bit TIFF   stretched where the InputSpec says how; otherwise refused
    anything else       refused with a reason: 8-bit TIFF, EPS, PSD, SVG, HEIC, text, too large, truncated
"""

from retrain.images.decoding import (
    PREPROCESSING_VERSION,
    decode_rgb,
    decode_upright,
    normalise,
    pixels_of,
    resize_rgb,
)
from retrain.images.deep import deep_format
from retrain.images.opening import sniff_format
from retrain.images.reading import read_image_file
from retrain.images.sky import SkyStretch
from retrain.images.spec import LIMITS, Floats, ImageLimits, InputSpec, Pixels

__all__ = [
    "LIMITS",
    "PREPROCESSING_VERSION",
    "Floats",
    "ImageLimits",
    "InputSpec",
    "Pixels",
    "SkyStretch",
    "decode_rgb",
    "decode_upright",
    "deep_format",
    "normalise",
    "pixels_of",
    "read_image_file",
    "resize_rgb",
    "sniff_format",
]
