"""Pictures that a program holds, files that are none, stretches that are none, and rows that nobody wants."""

import numpy as np
import pytest
from PIL import Image
from sky_files import tiff
from support import encode, noise

from retrain.config import RunConfig
from retrain.errors import ImageError
from retrain.images import (
    LIMITS,
    ImageLimits,
    InputSpec,
    SkyStretch,
    decode_rgb,
    decoding,
    deep,
    pixels_of,
    read_image_file,
    sky,
)
from retrain.images.opening import with_image
from retrain.images.tf1 import decode_tf1

SPEC = InputSpec(8, 8, 0, 1)


def test_a_picture_that_a_program_holds_is_made_as_its_file_is():
    picture = Image.fromarray(noise(24, 40))
    before = picture.tobytes()
    assert (pixels_of(picture, SPEC) == decode_rgb(encode(picture), SPEC)).all()
    assert (picture.tobytes(), picture.size) == (before, (40, 24))


def test_a_deep_picture_that_a_program_holds_is_stretched_only_where_that_was_asked_for():
    deep = Image.fromarray((np.arange(64, dtype=np.uint16) * 100).reshape(8, 8))
    plain, stretched = pixels_of(deep, SPEC), pixels_of(deep, InputSpec(8, 8, 0, 1, SkyStretch("minmax")))
    assert plain.max() == 6300 // 256
    assert (stretched.min(), stretched.max()) == (0, 255)
    colour = Image.fromarray(noise(8, 8))
    assert (pixels_of(colour, InputSpec(8, 8, 0, 1, SkyStretch("minmax"))) == pixels_of(colour, SPEC)).all()


@pytest.mark.parametrize("suffix", ["png", "none"])
def test_a_picture_that_turns_out_damaged_is_an_image_error_with_its_format(tmp_path, suffix):
    data = encode(noise(40, 40))
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with Image.open(tmp_path / "a.png") as picture:
        picture.format = "PNG" if suffix == "png" else None
        with pytest.raises(ImageError) as caught:
            pixels_of(picture, SPEC)
    assert caught.value.reason == "damaged"
    assert caught.value.detail.startswith("PNG: " if suffix == "png" else "picture: ")
    assert len(caught.value.detail) > len("picture: ")


def test_a_picture_that_is_too_large_is_refused_before_it_is_copied():
    with pytest.raises(ImageError, match="70000 x 1 pixels, at most 65535 a side are decoded"):
        pixels_of(Image.new("L", (70_000, 1)), SPEC)


def test_an_image_error_of_whoever_decodes_is_passed_on_as_it_is():
    error = ImageError("mine", "as it is")

    def refuse(image):
        raise error

    with pytest.raises(ImageError) as caught:
        with_image(encode(noise(8, 8)), LIMITS, refuse)
    assert caught.value is error


@pytest.mark.parametrize(("raised", "words"), [(KeyError(), "KeyError"), (ValueError("why"), "why")])
def test_any_other_error_of_whoever_decodes_is_damage(raised, words):
    def fail(image):
        raise raised

    with pytest.raises(ImageError) as caught:
        with_image(encode(noise(8, 8)), LIMITS, fail)
    assert (caught.value.reason, caught.value.detail) == ("damaged", f"PNG: {words}")
    assert caught.value.__cause__ is raised


def test_a_file_is_read_whole_or_refused_with_the_reason(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"ten bytes.")
    assert read_image_file(str(path), ImageLimits(max_bytes=10)) == b"ten bytes."
    told = {
        "too large": (path, ImageLimits(max_bytes=9), "10 bytes, at most 9 are read"),
        "not a file": (tmp_path, LIMITS, f"{tmp_path} is a folder, pipe or device"),
        "unreadable": (tmp_path / "nothing", LIMITS, "No such file or directory"),
    }
    for reason, (place, limits, detail) in told.items():
        with pytest.raises(ImageError) as caught:
            read_image_file(str(place), limits)
        assert (caught.value.reason, caught.value.detail) == (reason, detail)
    with pytest.raises(ImageError, match="unreadable: embedded null"):
        read_image_file("a\0b")


def test_what_lies_under_a_url_is_held_to_the_same_size():
    import fsspec

    with fsspec.open("memory://branches/a.jpg", "wb") as file:
        file.write(b"ten bytes.")
    assert read_image_file("memory://branches/a.jpg", ImageLimits(max_bytes=10)) == b"ten bytes."
    with pytest.raises(ImageError, match="too large: over 9 bytes, no more are read"):
        read_image_file("memory://branches/a.jpg", ImageLimits(max_bytes=9))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"percentile": 100, "asinh_a": 1}, ""),
        ({"limits": "max"}, "limits 'max' or curve 'linear'"),
        ({"curve": "sqrt2"}, "limits 'minmax' or curve 'sqrt2'"),
        ({"percentile": 0}, "percentile"),
        ({"percentile": 100.1}, "percentile"),
        ({"percentile": "99"}, "percentile"),
        ({"percentile": True}, "percentile"),
        ({"percentile": float("nan")}, "percentile"),
        ({"asinh_a": 0.0}, "asinh_a"),
        ({"asinh_a": 1.01}, "asinh_a"),
        ({"asinh_a": None}, "asinh_a"),
        ({"asinh_a": True}, "asinh_a"),
    ],
)
def test_a_stretch_that_is_none_says_by_which_field(changes, problem):
    assert SkyStretch(**{"limits": "minmax", "curve": "linear"} | changes).problem() == problem


def test_a_stretch_is_made_of_the_flags_or_there_is_none():
    assert sky.sky_of(RunConfig()) is None
    told = RunConfig(sky_limits="percentile", sky_percentile=98.0, sky_stretch="log", sky_asinh_a=0.3)
    assert sky.sky_of(told) == SkyStretch("percentile", 98.0, "log", 0.3)


def test_a_deep_picture_as_a_file_is_the_stretched_picture():
    values = (np.arange(64, dtype=np.uint16) * 100).reshape(8, 8)
    as_bmp = deep.deep_as_bmp(tiff(values), SkyStretch("minmax"), LIMITS)
    assert as_bmp.startswith(b"BM")
    assert (decode_rgb(as_bmp, SPEC) == decode_rgb(tiff(values), InputSpec(8, 8, 0, 1, SkyStretch("minmax")))).all()


def test_a_picture_is_decoded_upright_for_who_cuts_it_and_resized_as_all_are():
    data = encode(Image.fromarray(noise(24, 40)), "PNG", exif=turned(6))
    upright = decoding.decode_upright(data, 8, 8)
    assert (upright.mode, upright.size) == ("RGB", (24, 40))
    assert (np.asarray(upright) == np.rot90(noise(24, 40), -1)).all()
    assert (decoding.resize_rgb(Image.fromarray(noise(24, 40)), 8, 8) == decode_rgb(encode(noise(24, 40)), SPEC)).all()
    grey = decoding.decode_upright(encode(Image.new("L", (5, 4), 9)), 4, 5)
    assert (grey.mode, grey.size, grey.getpixel((0, 0))) == ("RGB", (5, 4), (9, 9, 9))


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_an_empty_file_has_no_bytes_and_is_called_empty(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert read_image_file(str(tmp_path / "a.jpg")) == b""
    with pytest.raises(ImageError) as caught:
        decode_rgb(b"", SPEC)
    assert (caught.value.reason, caught.value.detail) == ("empty", "0 bytes")


def test_bands_without_a_wanted_row_are_passed_over(monkeypatch):
    monkeypatch.setattr(decoding, "_AT_ONCE", 24)  # one row of the picture at a time
    made, crop = [], Image.Image.crop
    monkeypatch.setattr(Image.Image, "crop", lambda self, box=None: (made.append(box), crop(self, box))[1])
    picture = np.repeat(np.arange(24, dtype=np.uint8)[:, np.newaxis], 24, axis=1)
    found = decode_tf1(encode(picture), InputSpec(2, 24, 0, 1))
    assert found[:, 0, 0].tolist() == [0, 12]
    assert [box[1] for box in made] == [0, 1, 12, 13]
