import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from support import encode, noise

from retrain.errors import ImageError
from retrain.images import (
    LIMITS,
    ImageLimits,
    InputSpec,
    decode_rgb,
    decoding,
    normalise,
    opening,
    read_image_file,
    sniff_format,
)

SPEC = InputSpec(height=12, width=20, mean=127.5, std=127.5)
PICTURE = noise(12, 20)
# A picture that survives lossy formats: two flat halves, left red and right blue.
HALVES = np.zeros((12, 20, 3), np.uint8)
HALVES[:, :10] = (200, 30, 30)
HALVES[:, 10:] = (30, 30, 200)


def reason(data, spec=SPEC, limits=LIMITS):
    with pytest.raises(ImageError) as caught:
        decode_rgb(data, spec, limits)
    return caught.value.reason


def is_halves(pixels):
    return np.abs(pixels[:, [2, 17]].astype(int) - HALVES[:, [2, 17]]).max() < 30


FORMATS = ["JPEG", "PNG", "GIF", "BMP", "WEBP"]
LOSSLESS = [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_is_told_by_its_magic_bytes_and_decoded(image_format):
    data = encode(HALVES, image_format)
    assert sniff_format(data) == image_format
    pixels = decode_rgb(data, SPEC)
    assert (pixels.shape, pixels.dtype) == ((12, 20, 3), np.uint8)
    assert is_halves(pixels)


@pytest.mark.parametrize(("image_format", "options"), LOSSLESS)
def test_lossless_formats_at_the_size_wanted_keep_every_pixel(image_format, options):
    assert (decode_rgb(encode(PICTURE, image_format, **options), SPEC) == PICTURE).all()


@pytest.mark.parametrize("image_format", FORMATS)
def test_another_size_is_brought_to_the_one_wanted(image_format):
    large = np.repeat(np.repeat(HALVES, 5, axis=0), 5, axis=1)
    assert is_halves(decode_rgb(encode(large, image_format), SPEC))
    small = HALVES[::6, ::5]
    assert decode_rgb(encode(np.ascontiguousarray(small), image_format), SPEC).shape == (12, 20, 3)


def test_the_suffix_is_not_looked_at(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encode(PICTURE, "PNG"))
    assert (decode_rgb(read_image_file(tmp_path / "photo.jpg"), SPEC) == PICTURE).all()


def test_downscaling_is_antialiased():
    stripes = np.zeros((120, 200, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = decode_rgb(encode(stripes), SPEC)
    assert np.abs(pixels.astype(int) - 127).max() <= 8  # a nearest or non-antialiased kernel gives 0 and 255


ORIENTATION = 0x0112


def turned(orientation, image_format, **options):
    image = Image.fromarray(PICTURE)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(image, image_format, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535])
@pytest.mark.parametrize(("image_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_a_photograph_is_turned_upright_as_pillow_itself_does(orientation, image_format, options):
    data = turned(orientation, image_format, **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    spec = InputSpec(upright.shape[0], upright.shape[1], 0.0, 1.0)
    assert (decode_rgb(data, spec) == upright).all()
    assert upright.shape == ((20, 12, 3) if orientation in (5, 6, 7, 8) else (12, 20, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_turned_upright_after_the_draft_decode(orientation):
    large = np.repeat(np.repeat(HALVES, 20, axis=0), 20, axis=1)
    large[:120, :200] = (30, 200, 30)  # no symmetry left
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(large, "JPEG", exif=exif.tobytes(), quality=95)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).resize((20, 12), Image.Resampling.BILINEAR)
    assert np.abs(decode_rgb(data, SPEC).astype(int) - np.asarray(upright)).max() < 40
    assert np.abs(decode_rgb(data, SPEC).astype(int) - np.asarray(upright)).mean() < 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0",  # orientation as text
        b"Exif\0\0II*\0\xff\xff\xff\xff",  # the directory lies outside
        b"Exif\0\0XXXXXXXX",
        b"Exif\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_damaged_metadata_does_not_lose_a_photograph(exif):
    assert is_halves(decode_rgb(encode(HALVES, "JPEG", exif=exif), SPEC))


WHITE, RED = (255, 255, 255), (200, 30, 30)


@pytest.mark.parametrize(("image_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_transparency_is_laid_over_white(image_format, options):
    rgba = np.zeros((12, 20, 4), np.uint8)
    rgba[..., :3] = RED
    rgba[:, :5, 3], rgba[:, 5:10, 3], rgba[:, 10:, 3] = 0, 128, 255
    pixels = decode_rgb(encode(rgba, image_format, **options), SPEC)
    assert (pixels[:, :5] == WHITE).all()
    assert np.abs(pixels[:, 5:10].astype(int) - (227, 142, 142)).max() <= 1
    assert (pixels[:, 10:] == RED).all()


def halves_of_palette():
    image = Image.new("P", (20, 12), 0)
    image.putpalette([10, 20, 30, *RED])
    image.paste(1, (10, 0, 20, 12))
    return image


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_laid_over_white(image_format):
    pixels = decode_rgb(encode(halves_of_palette(), image_format, transparency=0), SPEC)
    assert (pixels[:, :10] == WHITE).all()
    assert (pixels[:, 10:] == RED).all()


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP"])
def test_an_opaque_palette_is_converted(image_format):
    pixels = decode_rgb(encode(halves_of_palette(), image_format), SPEC)
    assert (pixels[:, :10] == (10, 20, 30)).all()
    assert (pixels[:, 10:] == RED).all()


def test_several_half_transparent_palette_colours_are_laid_over_white():
    pixels = decode_rgb(encode(halves_of_palette(), "PNG", transparency=bytes([128, 0])), SPEC)
    assert np.abs(pixels[:, :10].astype(int) - (132, 137, 142)).max() <= 1
    assert (pixels[:, 10:] == WHITE).all()


def test_grey_with_alpha_is_laid_over_white():
    image = Image.merge("LA", (Image.new("L", (20, 12), 40), Image.new("L", (20, 12), 0)))
    assert (decode_rgb(encode(image), SPEC) == WHITE).all()


@pytest.mark.parametrize(("mode", "colour", "key"), [("L", 40, 40), ("RGB", RED, RED)])
def test_a_transparent_key_colour_is_laid_over_white(mode, colour, key):
    assert (decode_rgb(encode(Image.new(mode, (20, 12), colour), "PNG", transparency=key), SPEC) == WHITE).all()


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    wide = np.tile(np.linspace(0, 65535, 20).astype(np.uint16), (12, 1))
    pixels = decode_rgb(encode(wide), SPEC)
    assert (pixels == (wide // 256).astype(np.uint8)[..., np.newaxis]).all()


def png(width, height, depth=8, colour=2, body=b""):
    """A PNG put together by hand, so that its header may say anything."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_sixteen_bits_a_channel_keep_the_upper_eight(colour, channels):
    values = np.full((12, 20, channels), 0xFFFF, ">u2")
    values[..., 0] = 0x4080
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    pixels = decode_rgb(png(20, 12, 16, colour, rows), SPEC)
    assert (pixels[..., 0] == 0x40).all()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_grey_becomes_three_equal_channels(image_format):
    pixels = decode_rgb(encode(Image.new("L", (20, 12), 90), image_format), SPEC)
    assert np.abs(pixels.astype(int) - 90).max() <= 2
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "GIF"])
def test_one_bit_a_pixel_becomes_black_and_white(image_format):
    bits = Image.new("1", (20, 12), 0)
    bits.paste(1, (10, 0, 20, 12))
    pixels = decode_rgb(encode(bits, image_format), SPEC)
    assert (pixels[:, :10] == 0).all()
    assert (pixels[:, 10:] == 255).all()


@pytest.mark.parametrize("size", [(20, 12), (400, 240)])
def test_cmyk_is_converted(size):
    image = Image.fromarray(HALVES).resize(size, Image.Resampling.NEAREST).convert("CMYK")
    assert is_halves(decode_rgb(encode(image, "JPEG", quality=95), SPEC))


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(image_format):
    frames = [Image.new("RGB", (20, 12), colour) for colour in (RED, (0, 255, 0), (0, 0, 255))]
    data = encode(frames[0], image_format, save_all=True, append_images=frames[1:], duration=50)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert np.abs(decode_rgb(data, SPEC).astype(int) - RED).max() < 12


def test_of_a_stereo_jpeg_the_first_picture_is_taken():
    frames = [Image.new("RGB", (20, 12), colour) for colour in (RED, (0, 255, 0))]
    data = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(decode_rgb(data, SPEC).astype(int) - RED).max() < 12


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_image_is_refused(image_format, share):
    data = encode(noise(60, 80), image_format)
    assert reason(data[: max(12, int(len(data) * share))]) in ("damaged", "not an image")


@pytest.mark.parametrize("image_format", FORMATS)
@settings(max_examples=40)
@given(position=st.floats(0, 1, exclude_max=True), junk=st.binary(min_size=1, max_size=8))
def test_damage_is_an_image_error_or_a_picture_and_nothing_else(image_format, position, junk):
    data = bytearray(encode(noise(16, 16), image_format))
    at = int(position * len(data))
    data[at : at + len(junk)] = junk
    try:
        outcome = decode_rgb(bytes(data), SPEC, ImageLimits(max_pixels=10_000)).shape
    except ImageError as error:
        outcome = error.reason
    assert outcome in ((12, 20, 3), "damaged", "not an image", "too large", "too many scans")


@settings(max_examples=60)
@given(start=st.sampled_from([m for magics in opening._MAGIC.values() for m in magics]), rest=st.binary(max_size=64))
def test_noise_behind_a_magic_number_is_refused(start, rest):
    assert reason(start + rest, limits=ImageLimits(max_pixels=10_000)) in ("damaged", "not an image", "too large")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"\xff", "not an image"),
        (b"just a text file\n", "not an image"),
        (b"<!DOCTYPE html><html>", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
        (b"8BPS\0\1" + bytes(40), "not an image"),
        (b"II*\0\x08\0\0\0", "not an image"),
        (b"MM\0*\0\0\0\x08", "not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "not an image"),
        (b"%PDF-1.7\n", "not an image"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not an image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an image"),
        (bytes(1000), "not an image"),
    ],
)
def test_what_is_no_image_of_a_format_that_is_read_is_refused(data, why):
    assert reason(data) == why


@pytest.mark.parametrize("image_format", ["TIFF", "PPM", "ICO", "PCX", "TGA", "JPEG2000", "PDF", "EPS", "DDS"])
def test_real_images_of_other_formats_are_refused_whatever_they_are_called(tmp_path, image_format):
    (tmp_path / "photo.jpg").write_bytes(encode(PICTURE, image_format))
    assert reason(read_image_file(tmp_path / "photo.jpg")) == "not an image"


@pytest.mark.parametrize("image_format", FORMATS)
def test_more_pixels_than_the_limit_are_refused_before_decoding(image_format, monkeypatch):
    data = encode(noise(30, 40), image_format)
    monkeypatch.setattr(decoding, "_upright_pixels", lambda *_: pytest.fail("was decoded"))
    assert reason(data, limits=ImageLimits(max_pixels=1199)) == "too large"


def test_as_many_pixels_as_the_limit_are_decoded():
    assert decode_rgb(encode(noise(30, 40)), SPEC, ImageLimits(max_pixels=1200)).shape == (12, 20, 3)


@pytest.mark.parametrize(
    ("width", "height"), [(10_001, 10_000), (50_000, 50_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)]
)
def test_a_header_that_promises_too_much_is_refused_under_the_real_limits(width, height, monkeypatch):
    monkeypatch.setattr(decoding, "_upright_pixels", lambda *_: pytest.fail("was decoded"))
    assert reason(png(width, height)) == "too large"


def test_a_gif_whose_frame_is_larger_than_its_screen_is_refused():
    data = bytearray(encode(Image.new("L", (200, 200), 5), "GIF"))
    data[6:10] = struct.pack("<HH", 1, 1)
    assert reason(bytes(data), limits=ImageLimits(max_pixels=1000)) == "too large"


def progressive(scans):
    """A progressive JPEG with its last scan repeated, so that it has so many."""
    data = encode(noise(16, 16), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * (scans - data.count(b"\xff\xda") + 1) + data[-2:]


def test_too_many_scans_of_a_progressive_jpeg_are_refused():
    assert progressive(101).count(b"\xff\xda") == 101
    assert reason(progressive(101)) == "too many scans"
    assert reason(progressive(30), limits=ImageLimits(max_jpeg_scans=20)) == "too many scans"


def test_a_usual_progressive_jpeg_is_decoded():
    assert is_halves(decode_rgb(encode(HALVES, "JPEG", progressive=True), SPEC))


def test_what_phones_append_to_a_photograph_is_not_counted_as_scans():
    # A motion photo carries a film of some megabytes behind the end of the picture; two bytes match by chance.
    assert is_halves(decode_rgb(encode(HALVES, "JPEG") + b"\xff\xda film " * 200, SPEC))


def test_a_large_jpeg_is_decoded_small(monkeypatch):
    sizes = []
    monkeypatch.setattr(decoding, "_to_rgb", lambda image: (image.load(), sizes.append(image.size), image)[2])
    large = np.repeat(np.repeat(HALVES, 40, axis=0), 40, axis=1)
    assert is_halves(decode_rgb(encode(large, "JPEG"), SPEC))
    assert sizes == [(100, 60)]  # 800 x 480 at an eighth


@pytest.mark.parametrize(("width", "height", "decoded"), [(160, 96, (20, 12)), (159, 96, (40, 24)), (39, 24, (39, 24))])
def test_a_draft_is_never_smaller_than_the_size_wanted(monkeypatch, width, height, decoded):
    sizes = []
    monkeypatch.setattr(decoding, "_to_rgb", lambda image: (image.load(), sizes.append(image.size), image)[2])
    decode_rgb(encode(noise(height, width), "JPEG"), SPEC)
    assert sizes == [decoded]


def test_normalised_pixels_are_minus_one_to_one():
    pixels = np.array([[[0, 255, 127]]], np.uint8)
    values = normalise(pixels, SPEC)
    assert (values.shape, values.dtype) == ((1, 1, 1, 3), np.float32)
    assert values.ravel().tolist() == pytest.approx([-1.0, 1.0, -0.0039216], abs=1e-6)
    assert pixels.tolist() == [[[0, 255, 127]]]


def test_normalising_uses_the_models_own_mean_and_spread():
    assert normalise(np.full((1, 1, 3), 10, np.uint8), InputSpec(1, 1, 0.0, 255.0))[0, 0, 0, 0] == pytest.approx(
        10 / 255
    )
