"""Limits that a file's own structure is held to, each to the last part, byte and pixel; and pictures made in bands."""

import struct

import numpy as np
import pytest
from PIL import Image
from support import encode, noise

from retrain.errors import ImageError
from retrain.images import ImageLimits, InputSpec, SkyStretch, decode_rgb, decoding, deep, headers
from retrain.images.headers import check_structure
from retrain.images.tf1 import decode_tf1

ROOMY = ImageLimits(10**9, 10**9)


def refused(data, image_format, limits=ROOMY):
    """Reason and detail; nothing where the structure passes."""
    try:
        check_structure(data, image_format, limits)
    except ImageError as error:
        return error.reason, error.detail
    return None


def segment(marker, content=b""):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def frame(width=40, height=24, marker=0xC0, components=3):
    return segment(marker, struct.pack(">BHHB", 8, height, width, components) + bytes(3 * components))


def scan(components=3):
    return segment(0xDA, bytes([components]) + bytes(2 * components + 3)) + b"data"


SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def test_bytes_are_counted_before_anything_else():
    assert refused(bytes(11), "JPEG", ImageLimits(max_bytes=10)) == ("too large", "11 bytes, at most 10 are read")
    assert refused(bytes(10), "JPEG", ImageLimits(max_bytes=10)) is None


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xCF])
def test_a_jpeg_says_its_size_in_its_frame(marker):
    data = SOI + segment(0xE0, b"JFIF") + frame(40, 24, marker) + scan() + EOI
    assert refused(data, "JPEG", ImageLimits(10**9, 40 * 24)) is None
    assert refused(data, "JPEG", ImageLimits(10**9, 959)) == ("too large", "40 x 24 pixels, at most 959 are decoded")
    sides = ImageLimits(10**9, 10**9, max_side=39)
    assert refused(data, "JPEG", sides) == ("too large", "40 x 24 pixels, at most 39 a side are decoded")
    assert refused(data, "JPEG", ImageLimits(10**9, 10**9, max_side=40)) is None


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC, 0xD0, 0xE1, 0xFE])
def test_other_segments_of_a_jpeg_are_no_frames(marker):
    assert refused(SOI + frame(9000, 9000, marker) + scan(1) + EOI, "JPEG", ImageLimits(10**9, 10)) is None


def test_segments_of_a_jpeg_are_counted_up_to_its_first_scan(monkeypatch):
    monkeypatch.setattr(headers, "MAX_SEGMENTS", 5)
    assert refused(SOI + segment(0xE2) * 3 + frame() + scan() + segment(0xE2) * 9, "JPEG") is None
    found = refused(SOI + segment(0xE2) * 4 + frame() + scan(), "JPEG")
    assert found == ("damaged", "JPEG: too many segments, at most 5 are looked at")


def test_bytes_between_the_segments_of_a_jpeg_are_counted(monkeypatch):
    monkeypatch.setattr(headers, "MAX_STRAY_BYTES", 7)
    assert refused(SOI + b"\0" * 3 + segment(0xE2) + b"\0" * 4 + frame() + scan(), "JPEG") is None
    found = refused(SOI + b"\0" * 4 + segment(0xE2) + b"\0" * 4 + frame() + scan(), "JPEG")
    assert found == ("damaged", "JPEG: too many bytes outside of its segments, at most 7 are looked at")


def test_exif_of_a_jpeg_is_counted_over_all_of_its_parts_and_other_metadata_is_not(monkeypatch):
    monkeypatch.setattr(headers, "MAX_EXIF_BYTES", 100)
    part = segment(0xE1, b"Exif\0\0" + bytes(42))
    assert refused(SOI + part * 2 + segment(0xE1, b"http://xmp" + bytes(900)) + frame() + scan(), "JPEG") is None
    found = refused(SOI + part * 2 + segment(0xE1, b"Exif\0\0") + frame() + scan(), "JPEG")
    assert found == ("damaged", "JPEG: too many bytes of EXIF, at most 100 are looked at")


@pytest.mark.parametrize("marker", [0xC2, 0xC6, 0xCA, 0xCE, 0xC0])
def test_scans_are_counted_where_all_of_them_are_waited_for(marker):
    limits = ImageLimits(10**9, 10**9, max_jpeg_scans=4)
    # Of a sequential JPEG whose first scan has all of the colours, nothing behind it is waited for.
    first = scan(3)
    many = SOI + frame(marker=marker) + first + scan(1) * 4 + EOI
    assert refused(many, "JPEG", limits) == (None if marker == 0xC0 else ("too many scans", "over 4 scans in a JPEG"))
    assert refused(SOI + frame(marker=marker) + first + scan(1) * 3 + EOI + scan(1) * 9, "JPEG", limits) is None
    in_a_thumbnail = segment(0xE2, scan(1) * 9)
    assert refused(SOI + frame(marker=marker) + first + in_a_thumbnail + EOI, "JPEG", limits) is None


def test_a_sequential_jpeg_in_several_scans_is_one_that_is_waited_for(monkeypatch):
    limits = ImageLimits(10**9, 10**9, max_jpeg_scans=2)
    assert refused(SOI + frame() + scan(1) * 2 + EOI, "JPEG", limits) is None
    assert refused(SOI + frame() + scan(1) * 3 + EOI, "JPEG", limits) == ("too many scans", "over 2 scans in a JPEG")
    monkeypatch.setattr(headers, "MAX_SCANNED_PIXELS", 40 * 24)
    assert refused(SOI + frame() + scan(1) * 2 + EOI, "JPEG") is None
    monkeypatch.setattr(headers, "MAX_SCANNED_PIXELS", 959)
    assert refused(SOI + frame() + scan(3) + EOI, "JPEG") is None
    found = refused(SOI + frame() + scan(1) * 2 + EOI, "JPEG")
    assert found == ("too large", "960 pixels of a JPEG in several scans, at most 959 are decoded")


@pytest.mark.parametrize(
    "data", [b"", SOI, SOI + b"\xff\xc0", SOI + EOI + frame(9000, 9000), SOI + b"\xff\xe0\0\0" + EOI]
)
def test_what_a_jpeg_does_not_say_is_left_to_the_decoder(data):
    assert refused(data, "JPEG", ImageLimits(10**9, 10)) is None


def chunk(kind, content=b""):
    return struct.pack(">I", len(content)) + kind + content + bytes(4)


PNG = b"\x89PNG\r\n\x1a\n"


def test_a_png_says_its_size_in_its_header_wherever_that_stands():
    ihdr = chunk(b"IHDR", struct.pack(">II", 40, 24) + bytes(5))
    for data in (PNG + ihdr + chunk(b"IEND"), PNG + chunk(b"tEXt", b"x" * 7) + ihdr):
        assert refused(data, "PNG", ImageLimits(10**9, 960)) is None
        assert refused(data, "PNG", ImageLimits(10**9, 959)) == ("too large", "40 x 24 pixels, at most 959 are decoded")
    assert refused(PNG + chunk(b"IEND") + ihdr, "PNG", ImageLimits(10**9, 959)) is None


def test_chunks_of_a_png_are_counted_up_to_its_end(monkeypatch):
    monkeypatch.setattr(headers, "MAX_CHUNKS", 5)
    assert refused(PNG + chunk(b"tEXt") * 5 + chunk(b"IEND") + chunk(b"tEXt") * 9, "PNG") is None
    found = refused(PNG + chunk(b"tEXt") * 6, "PNG")
    assert found == ("damaged", "PNG: too many chunks, at most 5 are looked at")
    assert refused(PNG + chunk(b"tEXt") * 5 + b"1234567", "PNG") is None


def gif(*parts, screen=(40, 24), colours=0):
    return b"GIF89a" + struct.pack("<HH", *screen) + bytes([colours, 0, 0]) + b"".join(parts)


def gif_frame(left=0, top=0, width=40, height=24, blocks=1, colours=0):
    table = bytes(3 << (colours & 7) + 1) if colours & 128 else b""
    return (
        b"\x2c" + struct.pack("<HHHHB", left, top, width, height, colours) + table + b"\x08" + b"\1x" * blocks + b"\0"
    )


NOTE = b"\x21\xfe\3abc\0"


@pytest.mark.parametrize("colours", [0, 128, 128 + 7])
def test_a_gif_is_as_large_as_its_screen_or_what_its_first_frame_reaches(colours):
    table = bytes(3 << (colours & 7) + 1) if colours else b""
    inside = gif(table, NOTE, gif_frame(10, 4, 30, 20, colours=colours), b"\x3b", colours=colours)
    assert refused(inside, "GIF", ImageLimits(10**9, 960)) is None
    assert refused(inside, "GIF", ImageLimits(10**9, 959)) == ("too large", "40 x 24 pixels, at most 959 are decoded")
    beyond = gif(table, NOTE, gif_frame(20, 4, 30, 40, colours=colours), colours=colours)
    assert refused(beyond, "GIF", ImageLimits(10**9, 50 * 44)) is None
    assert refused(beyond, "GIF", ImageLimits(10**9, 2199))[1] == "50 x 44 pixels, at most 2199 are decoded"


def test_of_a_gif_s_second_frame_nothing_is_read():
    data = gif(gif_frame(colours=129), NOTE, gif_frame(0, 0, 9000, 9000))
    assert refused(data, "GIF", ImageLimits(10**9, 960)) is None


def test_blocks_of_a_gif_are_counted_up_to_the_second_frame_or_the_end(monkeypatch):
    monkeypatch.setattr(headers, "MAX_BLOCKS", 6)
    assert refused(gif(gif_frame(blocks=3), NOTE, b"\x3b", NOTE * 9), "GIF") is None  # a frame of 4 and a note of 2
    found = ("damaged", "GIF: too many blocks, at most 6 are looked at")
    assert refused(gif(gif_frame(blocks=3), NOTE, NOTE, b"\x3b"), "GIF") == found
    assert refused(gif(gif_frame(blocks=900)), "GIF") == found
    assert refused(gif(NOTE * 4), "GIF") == found
    assert refused(gif(b"\1" * 7), "GIF") == found
    assert refused(gif(b"\1" * 6), "GIF") is None


def bmp(width, height, *, header=40, runs=0, length=60):
    if header == 12:
        return (b"BM" + bytes(12) + struct.pack("<IHH", 12, width, height)).ljust(length, b"\0")
    return (b"BM" + bytes(12) + struct.pack("<IiiHHI", header, width, height, 1, 8, runs)).ljust(length, b"\0")


@pytest.mark.parametrize(("header", "height"), [(12, 24), (40, 24), (40, -24), (108, 24)])
def test_a_bmp_s_size_is_read_of_both_kinds_of_headers_and_downwards(header, height):
    data = bmp(40, height, header=header)
    assert refused(data, "BMP", ImageLimits(10**9, 960)) is None
    assert refused(data, "BMP", ImageLimits(10**9, 959)) == ("too large", "40 x 24 pixels, at most 959 are decoded")


@pytest.mark.parametrize("runs", [0, 1, 2, 3])
def test_run_lengths_of_a_bmp_are_bounded_in_bytes_and_pixels(monkeypatch, runs):
    monkeypatch.setattr(headers, "MAX_RUN_BYTES", 60)
    monkeypatch.setattr(headers, "MAX_RUN_PIXELS", 960)
    is_coded = runs in (1, 2)
    assert refused(bmp(40, 24, runs=runs), "BMP") is None
    said = {
        bmp(40, 24, runs=runs, length=61): "BMP: too many bytes of run lengths, at most 60 are looked at",
        bmp(41, 24, runs=runs): "BMP: too many pixels in run lengths, at most 960 are looked at",
    }
    for data, words in said.items():
        assert refused(data, "BMP") == (("damaged", words) if is_coded else None)


WEBPS = {
    "VP8X": b"VP8X" + bytes(8) + (39).to_bytes(3, "little") + (23).to_bytes(3, "little"),
    "VP8L": b"VP8L" + bytes(4) + b"\x2f" + (39 | 23 << 14 | 1 << 28).to_bytes(4, "little"),
    "VP8 ": b"VP8 " + bytes(10) + struct.pack("<HH", 40 | 1 << 14, 24 | 2 << 14),
}


@pytest.mark.parametrize("kind", WEBPS)
def test_a_webp_s_size_is_read_of_each_kind(monkeypatch, kind):
    data = b"RIFF" + bytes(4) + b"WEBP" + WEBPS[kind]
    assert refused(data, "WEBP", ImageLimits(10**9, 960)) is None
    assert refused(data, "WEBP", ImageLimits(10**9, 959)) == ("too large", "40 x 24 pixels, at most 959 are decoded")
    monkeypatch.setattr(headers, "MAX_WEBP_PIXELS", 960)
    assert refused(data, "WEBP") is None
    monkeypatch.setattr(headers, "MAX_WEBP_PIXELS", 959)
    assert refused(data, "WEBP") == ("too large", "960 pixels of a WebP, at most 959 are decoded")


def test_a_webp_of_no_kind_has_no_size():
    assert refused(b"RIFF" + bytes(4) + b"WEBPXYZ " + b"\xff" * 40, "WEBP", ImageLimits(10**9, 1)) is None


@pytest.mark.parametrize("lossless", [True, False])
def test_what_a_webp_says_is_what_pillow_makes_of_it(lossless):
    data = encode(noise(24, 41), "WEBP", lossless=lossless)
    assert refused(data, "WEBP", ImageLimits(10**9, 41 * 24)) is None
    assert refused(data, "WEBP", ImageLimits(10**9, 41 * 24 - 1))[1].startswith("41 x 24 pixels")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tag", [273, 324])
def test_strips_and_tiles_of_a_tiff_are_counted(monkeypatch, order, tag):
    monkeypatch.setattr(headers, "MAX_STRIPS", 7)

    def tiff(count, other=259):
        entries = struct.pack(order + "HHII", other, 3, 900, 0) + struct.pack(order + "HHII", tag, 4, count, 0)
        return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 2) + entries

    assert refused(tiff(7), "TIFF") is None
    found = refused(tiff(8), "TIFF")
    assert found == ("damaged", "TIFF: too many strips or tiles, at most 7 are looked at")


# Pictures in bands.


@pytest.fixture(params=[1, 50, 95, 96, 10**6])
def at_once(request, monkeypatch):
    monkeypatch.setattr(decoding, "_AT_ONCE", request.param)


@pytest.mark.parametrize(("width", "height"), [(10, 7), (1, 1), (300, 2)])
def test_bands_are_all_rows_once_in_their_order(at_once, width, height):
    rows = [row for band in decoding.bands(width, height) for row in range(band.start, band.stop)]
    assert rows == list(range(height))
    assert all(
        (band.stop - band.start) * width <= max(width, decoding._AT_ONCE) for band in decoding.bands(width, height)
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_that_is_copied_in_bands_is_the_picture(at_once, mode):
    picture = Image.fromarray(noise(23, 24)).convert(mode)
    assert (decoding.values_of(picture) == np.asarray(picture)).all()


def test_sixteen_bits_are_cut_in_bands_to_the_same_levels(at_once):
    wide = np.random.default_rng(0).integers(0, 65_536, (23, 24)).astype(np.uint16)
    assert (np.asarray(decoding.upper_bits(Image.fromarray(wide))) == wide // 256).all()


def test_transparency_is_laid_over_white_in_bands_alike(at_once):
    values = np.dstack([noise(23, 24), noise(23, 24, seed=1)[..., :1]])
    found = decode_rgb(encode(Image.fromarray(values)), InputSpec(23, 24, 0, 1))
    share = values[..., 3:] / 255
    assert np.abs(found - (values[..., :3] * share + 255 * (1 - share))).max() <= 1


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP"])
def test_rows_of_tensorflow_1_are_taken_from_their_bands(at_once, image_format):
    picture = Image.fromarray(noise(23, 24)).quantize(200) if image_format == "GIF" else Image.fromarray(noise(23, 24))
    found = decode_tf1(encode(picture, image_format), InputSpec(23, 24, 0, 1))
    assert (found == np.asarray(picture.convert("RGB"))).all()


# What Pillow itself refuses.


def test_a_header_that_pillow_cannot_read_is_damage_without_an_address_of_memory():
    with pytest.raises(ImageError) as caught:
        decode_rgb(b"\xff\xd8\xff" + bytes(40), InputSpec(8, 8, 0, 1))
    assert (caught.value.reason, caught.value.detail) == ("damaged", "JPEG: its header cannot be read")


def test_a_size_that_pillow_calls_a_bomb_is_too_large_whatever_our_limits():
    data = encode(noise(8, 8), "BMP")
    large = data[:18] + struct.pack("<ii", 60_000, 60_000) + data[26:]
    with pytest.raises(ImageError) as caught:
        decode_rgb(large, InputSpec(8, 8, 0, 1), ImageLimits(10**9, 10**10))
    assert caught.value.reason == "too large"
    assert "3600000000 pixels" in caught.value.detail


def test_values_of_a_deep_picture_are_bounded_in_bytes(monkeypatch):
    from sky_files import tiff

    data = tiff(np.zeros((40, 60), np.uint16))
    spec = InputSpec(8, 8, 0, 1, SkyStretch("minmax"))
    monkeypatch.setattr(deep, "MAX_BYTES", 4800)
    assert decode_rgb(data, spec).shape == (8, 8, 3)
    monkeypatch.setattr(deep, "MAX_BYTES", 4799)
    with pytest.raises(ImageError, match="too large: 4800 bytes unpacked, at most 4799 are read"):
        decode_rgb(data, spec)
