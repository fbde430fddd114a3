import pytest
from PIL import Image
from support import encode, noise

from retrain.errors import ImageError
from retrain.images.dates import day_taken, days_taken


def photograph(text, image_format="JPEG"):
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    if text is not None:
        exif.get_ifd(0x8769)[0x9003] = text
    return encode(noise(8, 8), image_format, exif=exif)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_the_day_is_read(image_format):
    assert day_taken(photograph("2024:01:31 23:59:59", image_format)) == "2024-01-31"


@pytest.mark.parametrize(
    "text", [None, "", "    :  :     :  :  ", "0000:00:00 00:00:00", "2024:02:30 00:00:00", "yesterday", "2024"]
)
def test_what_is_no_day_is_none(text):
    assert day_taken(photograph(text)) == ""


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_a_photograph_without_exif_has_no_day(image_format):
    assert day_taken(encode(noise(8, 8), image_format)) == ""


def test_the_day_is_read_behind_the_pixels_of_a_png_and_of_one_that_is_cut_off_it_is_not():
    data = photograph("2024:01:31 23:59:59", "PNG")
    at = data.index(b"eXIf") - 4
    chunk, end = data[at : data.index(b"IDAT") - 4], data.index(b"IEND") - 4
    behind = data[:at] + data[at + len(chunk) : end] + chunk + data[end:]
    assert behind.index(b"eXIf") > behind.index(b"IDAT")
    assert day_taken(behind) == "2024-01-31"
    assert day_taken(behind[: behind.index(b"eXIf") - 8]) == ""


def test_the_date_of_a_change_is_not_taken():
    exif = Image.Exif()
    exif[0x0132] = "2024:01:31 00:00:00"
    assert day_taken(encode(noise(8, 8), "JPEG", exif=exif)) == ""


def test_bytes_that_are_no_image_are_an_error_and_a_file_of_them_has_no_day(tmp_path):
    with pytest.raises(ImageError):
        day_taken(b"text")
    (tmp_path / "text.jpg").write_bytes(b"text")
    (tmp_path / "1.jpg").write_bytes(photograph("2024:01:31 00:00:00"))
    paths = [str(tmp_path / name) for name in ("1.jpg", "text.jpg", "gone.jpg")]
    assert days_taken(paths) == ["2024-01-31", "", ""]


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_damaged_exif_is_no_traceback(cut):
    data = photograph("2024:01:31 23:59:59")
    damaged = data[:30] + bytes((b ^ 0x5A) if i == cut else b for i, b in enumerate(data[30:150])) + data[150:]
    try:
        assert len(day_taken(damaged)) in (0, 10)
    except ImageError as error:
        assert str(error)  # noqa: PT017 - either is right
