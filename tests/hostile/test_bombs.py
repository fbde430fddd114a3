"""Decompression bombs: refused by what their headers say, in the memory of a small program."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import sky_files
from bombs import BOMBS, SLOW, refined_jpeg, write
from commands import ROOT, environment
from label_support import by_colour
from PIL import Image
from seeds_jpeg import SAMPLINGS, behind_start, drawn, one_by_one, saved, segment
from seeds_png import bmp, chunk, png, png_header

from retrain import classifier
from retrain.alike import fingerprint, fingerprints
from retrain.classifier import Classifier
from retrain.errors import ImageError
from retrain.images import ImageLimits, InputSpec, SkyStretch, decode_rgb, headers, opening, sniff_format
from retrain.images.headers import check_structure
from retrain.images.spec import LIMITS

CHILD = ROOT / "tests" / "hostile" / "bombs_child.py"
MOST_RSS = 512 << 20
SPEC = InputSpec(9, 12, 127.5, 127.5)
SKY = InputSpec(9, 12, 127.5, 127.5, SkyStretch("percentile"))
# What a web page may be sent.
WEB = ImageLimits(max_bytes=20_000_000, max_pixels=25_000_000)
PHOTO = Image.new("RGB", (40, 30), (9, 99, 199))


def read_in_a_child(*paths):
    done = subprocess.run(
        [sys.executable, CHILD, *paths], capture_output=True, text=True, timeout=300, check=False, env=environment()
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-3000:])
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    paths = write(tmp_path_factory.mktemp("bombs"), BOMBS)
    found = read_in_a_child(*paths)
    for path in paths:
        path.unlink()  # 210 MB
    return found


def test_every_bomb_is_refused_for_what_it_is(rows):
    read = [row for row in rows if row["way"] in ("training", "sky")]
    assert {row["name"]: row["reason"] for row in read} == {name: bomb.reason for name, bomb in BOMBS.items()}


def test_all_bombs_together_take_less_memory_than_a_photograph_may(rows):
    assert {row["name"] for row in rows} == set(BOMBS)
    assert max(row["rss"] for row in rows) < MOST_RSS


def refused(data, limits=LIMITS, spec=SPEC):
    with pytest.raises(ImageError) as caught:
        decode_rgb(data, spec, limits)
    return caught.value


OF_26_MEGAPIXELS = {
    "JPEG": lambda: one_by_one(5200, 5000, coded=b""),
    "PNG": lambda: png_header(5200, 5000),
    "GIF": lambda: saved(PHOTO, "GIF")[:6] + b"\x50\x14\x88\x13" + saved(PHOTO, "GIF")[10:],
    "BMP": lambda: bmp(24, 0, b"", size=(5200, -5000)),
    "BMP of OS/2": lambda: bmp(24, 0, b"", size=(5200, 5000), header=12),
    "WEBP": lambda: webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a\x50\x14\x88\x13"),
    "WEBP lossless": lambda: webp(b"VP8L", b"/" + (5199 | 4999 << 14).to_bytes(4, "little")),
    "WEBP extended": lambda: webp(b"VP8X", bytes(4) + b"\x4f\x14\0\x87\x13\0"),
}


def webp(kind, body):
    whole = b"WEBP" + kind + len(body).to_bytes(4, "little") + body.ljust(30, b"\0")
    return b"RIFF" + len(whole).to_bytes(4, "little") + whole


@pytest.mark.parametrize("kind", OF_26_MEGAPIXELS)
def test_what_is_too_large_for_a_page_is_refused_before_pillow_sees_it(kind, monkeypatch):
    data = OF_26_MEGAPIXELS[kind]()
    monkeypatch.setattr(opening.Image, "open", lambda *_, **__: pytest.fail("opened"))
    error = refused(data, WEB)
    assert (error.reason, error.detail) == ("too large", "5200 x 5000 pixels, at most 25000000 are decoded")


def test_more_bytes_than_a_page_may_be_sent_are_refused_before_anything_is_done(monkeypatch):
    monkeypatch.setattr(headers, "_CHECKS", {})
    error = refused(saved(PHOTO) + bytes(20_000_001), WEB)
    assert error.reason == "too large"
    assert error.detail.endswith("bytes, at most 20000000 are read")
    assert refused(sky_files.fits_bytes(np.ones((4, 4), "f4")) + bytes(20_000_001), WEB, SKY).reason == "too large"


def test_fits_and_tiff_keep_the_limits_that_they_are_given():
    few = ImageLimits(max_pixels=100)
    for data in (sky_files.fits_bytes(np.ones((11, 10), "f4")), sky_files.tiff(np.ones((11, 10), "u2"))):
        assert refused(data, few, SKY).reason == "too large"
        assert decode_rgb(data, SKY, ImageLimits(max_pixels=110)).shape == (9, 12, 3)


@pytest.mark.parametrize("size", [(70_000, 1), (1, 70_000)])
@pytest.mark.parametrize("image_format", ["PNG", "BMP"])
def test_a_side_that_resizing_would_take_gigabytes_for_is_refused(size, image_format):
    error = refused(saved(Image.new("L", size), image_format))
    assert (error.reason, error.detail.endswith("at most 65535 a side are decoded")) == ("too large", True)


@pytest.mark.parametrize("size", [(65_500, 2), (2, 65_500)])
def test_the_longest_sides_that_a_jpeg_may_have_are_decoded(size):
    assert (decode_rgb(saved(Image.new("RGB", size, (200, 200, 200))), SPEC) == 200).all()


def test_scans_are_counted_also_where_a_jpeg_is_not_progressive():
    assert decode_rgb(one_by_one(40, 30, times=33), SPEC).shape == (9, 12, 3)
    assert refused(one_by_one(40, 30, times=34)).reason == "too many scans"
    assert decode_rgb(refined_jpeg(64, 100), SPEC).shape == (9, 12, 3)
    assert refused(refined_jpeg(64, 101)).reason == "too many scans"


ORDINARY = {
    "a film behind it": saved(PHOTO) + b"\xff\xda" * 5000,
    "a thumbnail inside": behind_start(saved(PHOTO), segment(0xE0, b"JFXX\0\x10" + saved(PHOTO)[:300])),
    "5,000 segments": behind_start(saved(PHOTO), segment(0xE5, b"x") * 5000),
    "3 MB of EXIF": behind_start(saved(PHOTO), segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 50),
    "10,000 chunks": png(2, 8, 0, chunk(b"prVt", b"x") * 10_000),
    "behind the end of a PNG": png(2, 8) + png_header(99_999, 99_999)[8:],
    "a long comment": saved(PHOTO, "GIF", comment=b"text" * 100_000),
    "a second, larger frame": saved(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)]),
    "restarts": drawn(SAMPLINGS[2], 64, 48, restart=1),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_what_photographs_carry_is_within_the_limits(name):
    assert decode_rgb(ORDINARY[name], SPEC).shape == (9, 12, 3)


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_left_to_the_decoder(name, share):
    data = ORDINARY[name][: int(len(ORDINARY[name]) * share)]
    check_structure(data, sniff_format(data), LIMITS)


def test_16_bits_are_bounded_by_what_they_unpack_to(monkeypatch):
    data = sky_files.png16(np.ones((10, 10, 4), np.uint16))
    assert decode_rgb(data, SKY).shape == (9, 12, 3)
    monkeypatch.setattr("retrain.images.deep.MAX_BYTES", 799)
    error = refused(data, spec=SKY)
    assert (error.reason, error.detail) == ("too large", "800 bytes unpacked, at most 799 are read")


def test_a_picture_whose_8_bits_are_a_larger_file_than_its_own_is_still_compared(monkeypatch):
    data = sky_files.png16(np.ones((60, 60), np.uint16))
    monkeypatch.setattr(fingerprints, "LIMITS", ImageLimits(max_bytes=5000))
    assert fingerprint(data, SKY.sky).file_bytes == len(data) < 5000 < 60 * 60 * 3


def test_a_picture_in_memory_may_be_larger_than_a_file_may(monkeypatch):
    monkeypatch.setattr(classifier, "LIMITS", ImageLimits(max_bytes=500))
    with by_colour() as plain:
        model = Classifier(plain.bundle, plain._runtime, resize="tf1")
        assert np.isfinite(model.scores(np.full((60, 60, 3), 200, np.uint8))).all()


def over_white(image):
    whole = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", whole.size, (255,) * 4), whole).convert("RGB"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_a_picture_that_is_worked_on_in_parts_has_the_same_pixels(mode, monkeypatch):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (23, 17, {"LA": 2, "P": 1, "I;16": 1}.get(mode, 4)), dtype=np.uint8).squeeze()
    image = Image.fromarray(values.astype(np.uint16) * 257 if mode == "I;16" else values, None)
    options = {}
    if mode == "P":
        image = image.convert("P")
        options = {"transparency": bytes(range(256))}
    data = saved(image, "PNG", **options)
    spec = InputSpec(23, 17, 0.0, 1.0)
    whole = decode_rgb(data, spec)
    monkeypatch.setattr("retrain.images.decoding._AT_ONCE", 17 * 5 + 3)
    assert (decode_rgb(data, spec) == whole).all()
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.repeat(values[..., np.newaxis], 3, axis=2) if mode == "I;16" else over_white(opened)
    assert (whole == expected).all()


@pytest.mark.parametrize("name", ["10,000 frames", "gif comment", "long jpeg"])
def test_the_slowest_that_keep_the_limits_are_decoded(name):
    assert decode_rgb(SLOW[name](), SPEC).shape == (9, 12, 3)
