"""The rarer ways through the room images: what a hostile or an unusual file leads to, reason and sentence."""

import gzip

import numpy as np
import pytest
from PIL import Image
from sky_files import fits_fz, header, sized, tiff
from support import encode, noise

from retrain.errors import ImageError
from retrain.images import ImageLimits, InputSpec, SkyStretch, decode_rgb, tiles
from retrain.images.fits import MAX_HDUS
from retrain.images.tf1 import decode_tf1

SKY = InputSpec(8, 8, 0, 1, SkyStretch("minmax"))
FIELD = np.random.default_rng(0).integers(0, 4000, (40, 60)).astype(np.int16)
GZ = fits_fz(FIELD, "GZIP_1")


def refusal(data, spec=SKY):
    with pytest.raises(ImageError) as caught:
        decode_rgb(data, spec)
    return caught.value.reason, caught.value.detail


def grown(data, width, height):
    """A TIFF whose header says another size; of the pixels there are no more than before."""
    changed = bytearray(data)
    for tag, value in ((256, width), (257, height)):
        at = changed.index(tag.to_bytes(2, "little") + b"\3\0", 8)
        changed[at + 8 : at + 10] = value.to_bytes(2, "little")
    return bytes(changed)


def test_a_tiff_of_more_pixels_than_pillow_opens_is_too_large():
    why, detail = refusal(grown(tiff(np.zeros((40, 60), np.uint16)), 60_000, 60_000))
    assert why == "too large"
    assert "3600000000 pixels" in detail


def test_a_gzip_archive_of_something_else_is_no_image():
    why, detail = refusal(gzip.compress(b"just a text file\n", mtime=0))
    assert why == "not an image"
    assert detail == "a gzip archive of what is no FITS; it starts with b'just a t'"


def test_a_picture_behind_a_thousand_others_is_not_looked_for():
    empty = header("BITPIX  =                    8", "NAXIS   =                    0")
    more = header("BITPIX  =                    8", "NAXIS   =                    0", primary=False)
    last = header(*sized(16, 60, 40), primary=False) + FIELD.astype(">i2").tobytes().ljust(2 * 2880, b"\0")
    assert decode_rgb(empty + more * (MAX_HDUS - 2) + last, SKY).shape == (8, 8, 3)
    assert refusal(empty + more * (MAX_HDUS - 1) + last)[0] == "not an image"


def test_tiles_in_a_column_of_another_kind_are_refused():
    found = fits_fz(FIELD)
    at = found.index(b"TFORM1  = '1PB(") + len(b"TFORM1  = '")
    why, detail = refusal(found[:at] + b"1PE" + found[at + 3 :])
    assert why == "damaged"
    assert "COMPRESSED_DATA is '1PE(" in detail
    assert detail.endswith("expected 1PB")


def test_a_gzip_tile_that_is_cut_off_is_refused():
    at = GZ.index(b"END".ljust(80), 2880) // 2880 * 2880 + 2880
    count = int.from_bytes(GZ[at : at + 4], "big")
    assert refusal(GZ[:at] + (count - 9).to_bytes(4, "big") + GZ[at + 4 :]) == ("damaged", "FITS: a tile is truncated")


def test_gzip_members_in_one_tile_are_counted_together_and_padding_is_none():
    two = gzip.compress(bytes(400), mtime=0) * 2
    tiles._check_gzip(two + bytes(7), 800)
    with pytest.raises(ImageError, match="unpacks to more than it should"):
        tiles._check_gzip(two, 799)


def scans_behind(count):
    """A progressive JPEG with a film behind its end that looks like so many scans."""
    return encode(noise(16, 16), "JPEG", progressive=True) + b"\xff\xda\0\2" * count


def test_scans_behind_the_end_of_a_progressive_picture_do_not_count():
    assert decode_rgb(scans_behind(500), InputSpec(8, 8, 0, 1)).shape == (8, 8, 3)


def test_as_many_scans_as_allowed_are_decoded_and_one_more_is_not():
    data = encode(noise(16, 16), "JPEG", progressive=True)
    scans, spec = data.count(b"\xff\xda"), InputSpec(8, 8, 0, 1)
    assert decode_rgb(data, spec, ImageLimits(max_jpeg_scans=scans)).shape == (8, 8, 3)
    with pytest.raises(ImageError, match=f"over {scans - 1} scans in a JPEG"):
        decode_rgb(data, spec, ImageLimits(max_jpeg_scans=scans - 1))


ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"


def by_adobe(data, transform):
    """The same JPEG, with Adobe's marker in place of JFIF's."""
    at = data.index(b"\xff\xe0")
    size = int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:at] + ADOBE + bytes([transform]) + data[at + 2 + size :]


def tf1(data, height=24, width=40):
    return decode_tf1(data, InputSpec(height, width, 0, 1))


def test_adobes_marker_says_whether_a_jpeg_is_brightness_and_colour():
    data = encode(noise(24, 40), "JPEG", quality=95, subsampling=0)
    assert (tf1(by_adobe(data, 1)) == tf1(data)).all()
    red, green, blue = np.moveaxis(tf1(by_adobe(data, 0)), 2, 0)
    # Transform 0: the stored values are the colours; converted by hand they are the first picture again.
    converted = np.stack([red + 1.402 * (blue - 128), red + 1.772 * (green - 128)], axis=-1).clip(0, 255)
    assert np.abs(converted - tf1(data)[..., [0, 2]]).max() <= 1


@pytest.mark.parametrize("subsampling", [0, 2])
def test_ink_is_multiplied_by_black_whether_stored_coarsely_or_not(subsampling):
    ink = Image.new("CMYK", (40, 24), (40, 100, 180, 60))
    found = tf1(encode(ink, "JPEG", quality=100, subsampling=subsampling))
    light = 255 - np.array([40, 100, 180])
    assert np.abs(found - light * (255 - 60) // 255).max() <= 2
