"""Pictures of the sky: limits and curves are astropy's, files are read to the number, hostile ones are ImageErrors."""

import io
import sys

import numpy as np
import pytest
from astropy import visualization
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sky_files import fits_bytes, fits_fz, fits_gz, header, png16, sized, tiff
from support import encode, noise

from retrain.config import sky as flags
from retrain.errors import ImageError
from retrain.images import InputSpec, SkyStretch, decode_rgb, decode_upright, deep_format, pixels_of, sky
from retrain.images import fits as reading
from retrain.images.spec import LIMITS, ImageLimits

pytestmark = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
MINMAX = SkyStretch("minmax", curve="linear")
STRETCH = SkyStretch("percentile", 99.0)
RNG = np.random.default_rng(7)
FIELD = RNG.normal(1000, 12, (40, 60)).astype(np.float32)
FIELD[10, 20] = 50_000
LINEAR = InputSpec(40, 60, 0, 1, MINMAX)


def levels(data, stretch=MINMAX):
    return np.asarray(decode_upright(data, 1, 1, LIMITS, stretch))


def expected(values):
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) / (high - low) * 255)


def reason(data, limits=LIMITS):
    with pytest.raises(ImageError) as error:
        decode_rgb(data, InputSpec(8, 8, 0, 1, STRETCH), limits)
    return error.value.reason, error.value.detail


def test_the_words_of_the_flags_are_those_of_the_stretch():
    assert (flags.OFF, *sky.LIMIT_RULES) == flags.RULES
    assert flags.CURVES == sky.CURVES


@pytest.mark.parametrize(
    ("stretch", "theirs"),
    [
        (SkyStretch("zscale"), visualization.ZScaleInterval()),
        (SkyStretch("percentile", 99.5), visualization.PercentileInterval(99.5)),
        (SkyStretch("percentile", 90.0), visualization.PercentileInterval(90)),
        (SkyStretch("minmax"), visualization.MinMaxInterval()),
    ],
)
@pytest.mark.parametrize("kind", ["f4", "f8", ">f4", "i2", ">i2", "u2", "i4"])
def test_limits_are_astropys_own(stretch, theirs, kind):
    values = FIELD.clip(0, 30_000).astype(kind)
    assert sky.sky_limits(values, stretch) == tuple(map(float, theirs.get_limits(values)))


@pytest.mark.parametrize(
    ("stretch", "theirs"),
    [
        (SkyStretch("minmax", curve="asinh"), visualization.AsinhStretch()),
        (SkyStretch("minmax", curve="asinh", asinh_a=0.02), visualization.AsinhStretch(0.02)),
        (SkyStretch("minmax", curve="linear"), visualization.LinearStretch()),
        (SkyStretch("minmax", curve="sqrt"), visualization.SqrtStretch()),
        (SkyStretch("minmax", curve="log"), visualization.LogStretch()),
    ],
)
def test_curves_are_astropys_own(stretch, theirs):
    share = np.linspace(0, 1, 10_001)
    np.testing.assert_allclose(sky.curved(share, stretch), theirs(share), atol=1e-12)
    whole = theirs(visualization.MinMaxInterval()(FIELD.astype(np.float64)))
    assert np.abs(sky.stretched(FIELD, stretch) - whole * 255).max() < 0.51


def test_a_file_is_stretched_as_astropy_stretches_its_data():
    values = np.random.default_rng(1).gamma(2, 300, (120, 90)).astype(np.float32)
    theirs = visualization.AsinhStretch(0.1)(visualization.ZScaleInterval()(values.astype(np.float64)))
    picture = levels(fits_bytes(values), SkyStretch("zscale"))[..., 0]
    assert np.abs(picture[::-1] - theirs * 255).max() < 0.51


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("pack", [fits_bytes, fits_gz])
def test_numbers_of_every_kind_are_read_and_the_lowest_row_is_at_the_bottom(kind, pack):
    values = (np.arange(40 * 60).reshape(40, 60) % 250).astype(kind)
    assert (levels(pack(values))[..., 0] == expected(values)[::-1]).all()


@pytest.mark.parametrize("kind", ["u2", "u4"])
def test_unsigned_numbers_which_fits_shifts_are_read(kind):
    values = (np.arange(40 * 60).reshape(40, 60) * 20).astype(kind)
    assert (levels(fits_bytes(values))[..., 0] == expected(values)[::-1]).all()


@pytest.mark.parametrize("method", ["RICE_1", "GZIP_1", "GZIP_2", "NOCOMPRESS"])
@pytest.mark.parametrize("kind", ["i2", "i4", "f4"])
def test_tile_compressed_images_are_read(method, kind):
    values = (FIELD / 4).astype(kind)
    more = {"quantize_level": 64} if kind == "f4" else {}
    with fits.open(io.BytesIO(fits_fz(values, method, **more))) as file:
        theirs = np.array(file[1].data)
    assert (levels(fits_fz(values, method, **more))[..., 0] == expected(theirs)[::-1]).all()


def test_the_first_picture_is_taken_wherever_it_stands():
    table = fits.BinTableHDU.from_columns([fits.Column("X", "E", array=np.zeros(4))])
    cube = np.zeros((7, 40, 60), np.float32)
    data = fits_bytes(fits.PrimaryHDU(), table, cube, FIELD, np.zeros((3, 3), np.float32))
    assert (levels(data)[..., 0] == expected(FIELD)[::-1]).all()


def test_axes_of_one_are_no_axes():
    data = fits_bytes(FIELD[np.newaxis, np.newaxis])
    assert (levels(data)[..., 0] == expected(FIELD)[::-1]).all()


def test_three_planes_are_red_green_and_blue_with_limits_in_common():
    planes = np.stack([FIELD, FIELD / 2, FIELD / 4])
    assert (levels(fits_bytes(planes)) == np.moveaxis(expected(planes)[:, ::-1], 0, -1)).all()


def test_what_is_not_a_number_is_black_and_does_not_move_the_limits():
    holed = FIELD.copy()
    holed[:5] = np.nan
    picture = levels(fits_bytes(holed))[..., 0]
    assert (picture[-5:] == 0).all()
    assert (picture[:-5] == np.rint((FIELD[5:] - FIELD[5:].min()) / np.ptp(FIELD[5:]) * 255)[::-1]).all()
    endless = FIELD.copy()
    endless[0, 0], endless[0, 1] = np.inf, -np.inf
    picture = sky.stretched(endless, SkyStretch("percentile", 99.0))
    assert (picture[0, 0], picture[0, 1]) == (255, 0)


def test_blank_integers_are_black():
    for scaled in (False, True):
        unit = fits.ImageHDU(np.arange(2400, dtype=np.int16).reshape(40, 60))
        unit.data[0, 0] = -7
        data = bytearray(fits_bytes(unit))
        cards = [b"BLANK   =                   -7"] + ([b"BZERO   =                32768"] if scaled else [])
        end = data.index(b"END".ljust(80))
        for card in cards:
            data[end : end + 80] = card.ljust(80)
            end += 80
        data[end : end + 80] = b"END".ljust(80)
        picture = levels(bytes(data))[..., 0]
        assert picture[-1, 0] == 0
        assert (picture[-1, 1], picture[0, -1]) == (0, 255)  # the limits are those of the others


@pytest.mark.parametrize("value", [0, 7.5, -3e38, np.nan, np.inf])
@pytest.mark.parametrize("limits", sky.LIMIT_RULES)
def test_a_picture_of_one_value_is_black(value, limits):
    assert not levels(fits_bytes(np.full((40, 60), value, np.float32)), SkyStretch(limits)).any()


def test_the_largest_numbers_there_are_have_a_range():
    values = np.array([[-1.7e308, 0, 1.7e308]])
    assert sky.stretched(values, MINMAX).tolist() == [[0, 128, 255]]


@settings(max_examples=60)
@given(
    st.lists(st.floats(width=32), min_size=1, max_size=40),
    st.sampled_from(sky.LIMIT_RULES),
    st.sampled_from(sky.CURVES),
)
def test_any_numbers_become_levels_and_brighter_is_never_darker(numbers, limits, curve):
    values = np.array([numbers], np.float32)
    picture = sky.stretched(values, SkyStretch(limits, curve=curve))
    order = np.argsort(np.nan_to_num(values[0], nan=-np.inf), kind="stable")
    assert (np.diff(picture[0][order].astype(int)) >= 0).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("kind", ["u2", "i2", "f4", "rgb"])
def test_tiff_is_read_to_the_number(order, deflate, kind):
    values = RNG.integers(0, 32_000, (40, 60, 3)).astype(np.uint16)
    if kind == "rgb":
        assert (levels(tiff(values, order, deflate=deflate)) == expected(values)).all()
    else:
        grey = values[..., 0].astype(kind) * (np.float32(1.5) if kind == "f4" else 1)
        assert (levels(tiff(grey.astype(kind), order, deflate=deflate))[..., 0] == expected(grey)).all()


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_png_of_16_bits_is_read_to_the_number(planes):
    values = RNG.integers(1, 65_536, (40, 60, planes)).astype(np.uint16)
    colours = values[..., :3] if planes > 2 else values[..., :1]
    assert (levels(png16(values)) == expected(colours)).all()


def test_what_is_wholly_transparent_is_black_and_does_not_move_the_limits():
    values = RNG.integers(1000, 2000, (40, 60, 4)).astype(np.uint16)
    values[:10, :, :3], values[:10, :, 3] = 60_000, 0
    picture = levels(png16(values))
    assert (picture[:10] == 0).all()
    assert picture[10:].max() == 255


@pytest.mark.parametrize("values", [FIELD, np.dstack([FIELD] * 3).astype(np.uint16)])
def test_a_tiff_is_turned_upright(values):
    turned = levels(tiff(values, orientation=6))
    assert turned.shape == (60, 40, 3)
    assert (turned == np.rot90(levels(tiff(values)), -1)).all()


def test_the_size_wanted_is_reached_by_the_resize_of_all_pictures():
    data = fits_bytes(FIELD)
    whole = encode(Image.fromarray(levels(data)))
    spec = InputSpec(12, 20, 0, 1, MINMAX)
    assert (decode_rgb(data, spec) == decode_rgb(whole, spec)).all()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_8_bit_pictures_are_as_they_were(image_format):
    data = encode(noise(30, 40), image_format)
    spec = InputSpec(12, 20, 0, 1)
    assert deep_format(data) == ""
    assert (decode_rgb(data, spec) == decode_rgb(data, InputSpec(12, 20, 0, 1, STRETCH))).all()


def test_without_a_stretch_fits_and_tiff_are_refused_with_the_flag_and_png_keeps_its_upper_bits():
    spec = InputSpec(8, 8, 0, 1)
    for data in (fits_bytes(FIELD), tiff(FIELD)):
        with pytest.raises(ImageError, match=r"not an image: .*FITS and TIFF with --sky_limits"):
            decode_rgb(data, spec)
    grey = np.full((8, 8), 0x7F80, np.uint16)
    assert (decode_rgb(png16(grey), spec) == 0x7F).all()


def test_a_picture_that_a_program_holds_is_stretched_as_its_file():
    held = Image.fromarray((FIELD / 2).astype(np.uint16))
    assert held.mode == "I;16"
    assert (pixels_of(held, LINEAR) == decode_rgb(tiff((FIELD / 2).astype(np.uint16)), LINEAR)).all()


def test_what_decides_the_pixels_is_in_the_fingerprint_and_nothing_else():
    one = SkyStretch("percentile", 99.0, "asinh", 0.1).fingerprint
    assert one == "sky=1 percentile 99.0 asinh 0.1"
    others = [SkyStretch("percentile", 98.0), SkyStretch("zscale"), SkyStretch("percentile", 99.0, "log")]
    assert len({one, *(other.fingerprint for other in others)}) == 4
    assert SkyStretch("zscale", 98.0, "log", 0.3).fingerprint == SkyStretch("zscale", curve="log").fingerprint


# Hostile and broken files.
CARDS = sized(16, 60, 40)
BROKEN = {
    "no data": (header(*CARDS), "damaged", "truncated"),
    "half": (fits_bytes(FIELD)[:6000], "damaged", "truncated"),
    "cut in its header": (fits_bytes(FIELD)[:800], "damaged", "truncated"),
    "no END": (b"SIMPLE  =                    T".ljust(80) + b"COMMENT ".ljust(80) * 500, "damaged", "truncated"),
    "a million cards": (header(*CARDS, *["COMMENT "] * 1_000_000), "damaged", "no END among the first"),
    "BITPIX of 12": (header(*sized(12, 60, 40)) + bytes(9000), "damaged", "BITPIX is 12"),
    "no BITPIX": (header("NAXIS   =                    0"), "not an image", "without a picture"),
    "BITPIX of text": (header(*sized("'x'", 60, 40)) + bytes(9000), "damaged", "BITPIX"),
    "negative NAXIS": (header("BITPIX  =                   16", "NAXIS   =                   -2"), "damaged", "NAXIS is -2"),
    "negative axis": (header(*sized(16, 60, -40)), "damaged", "negative"),
    "NAXIS of 10^9": (header("BITPIX  =                   16", "NAXIS   =           1000000000"), "damaged", "NAXIS is 1"),
    "axes missing": (header("BITPIX  =                   16", "NAXIS   =                    2"), "damaged", "NAXIS1"),
    "axes of 10^9": (header(*sized(-64, 10**9, 10**9)), "too large", "are decoded"),
    "a number without end": (header(*sized(16, 60, "9" * 60)), "too large", "are decoded"),
    "PCOUNT below 0": (header(*sized(16, 60, 40), "PCOUNT  =                 -999"), "damaged", "PCOUNT"),
    "no picture": (fits_bytes(fits.PrimaryHDU()), "not an image", "without a picture"),
    "axis of 0": (header(*sized(16, 0, 40)), "not an image", "without a picture"),
    "a cube": (fits_bytes(np.zeros((7, 40, 60), np.int16)), "not an image", "60x40x7"),
    "a spectrum": (fits_bytes(np.zeros(4000, np.float32)), "not an image", "4000"),
    "a table": (
        fits_bytes(fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("X", "E", array=np.zeros(4))])),
        "not an image", "BINTABLE",
    ),
    "two sizes": (header(*sized(16, 60, 40), "NAXIS1  =                  600") + bytes(2880 * 30), "damaged", ""),
    "scaled by text": (header(*CARDS, "BSCALE  = 'x       '", "BZERO   =                    1") + bytes(5760), "damaged", ""),
    "gzip of text": (b"\x1f\x8b" + b"x" * 50, "damaged", "gzip"),
    "gzip cut off": (fits_gz(FIELD)[:-100], "damaged", "gzip: truncated"),
    "TIFF cut off": (tiff(FIELD)[:3000], "damaged", "truncated"),
    "TIFF of nothing": (b"II*\0" + bytes(40), "damaged", "TIFF"),
    "8-bit TIFF": (tiff(np.zeros((40, 60), np.uint8)), "not an image", "save it as one of these"),
    "8-bit colour TIFF": (tiff(np.zeros((40, 60, 3), np.uint8)), "not an image", "save it as one of these"),
    "float colour TIFF": (tiff(np.zeros((40, 60, 3), np.float32)), "damaged", "save it as one of these"),
    "PNG cut off": (png16(RNG.integers(0, 65_536, (40, 60, 3)))[:300], "damaged", "PNG"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_an_image_error_that_says_so(name):
    data, why, words = BROKEN[name]
    found, detail = reason(data)
    assert found == why
    assert words in detail


def test_limits_hold_for_what_is_unpacked_too():
    small = ImageLimits(max_bytes=20_000, max_pixels=2400)
    assert reason(fits_bytes(np.zeros((41, 60), np.uint8)), small)[1] == "60 x 41 pixels, at most 2400 are decoded"
    assert reason(tiff(np.zeros((41, 60), np.uint16)), small)[1] == "60 x 41 pixels, at most 2400 are decoded"
    assert reason(png16(np.zeros((41, 60), np.uint16)), small)[1] == "60 x 41 pixels, at most 2400 are decoded"
    bomb = fits_gz(fits.PrimaryHDU(), np.zeros((4000, 400), np.float32))
    assert len(bomb) < 20_000
    assert reason(bomb, small) == ("too large", "over 20000 bytes unpacked, no more are read")
    packed = fits_fz(np.zeros((40, 60), np.float64), "GZIP_1")
    tight = ImageLimits(max_bytes=19_199, max_pixels=2400)
    assert reason(packed, tight) == ("too large", "19200 bytes unpacked, at most 19199 are read")


def changed(data, card, value):
    """A FITS file with another value in a card that is there."""
    at = data.index(f"{card:<8}= ".encode())
    return data[: at + 10] + str(value).rjust(20).encode() + data[at + 30 :]


def with_cards(data, *cards):
    """A FITS file with more cards at the end of its second header."""
    start = 2880
    at = data.index(b"END".ljust(80), start)
    after = start + -(-(at + 80 - start) // 2880) * 2880
    whole = data[start:at] + b"".join(card.ljust(80).encode() for card in (*cards, "END"))
    return data[:start] + whole.ljust(-(-len(whole) // 2880) * 2880) + data[after:]


def _at_tiles(data):
    return data.index(b"END".ljust(80), 2880) // 2880 * 2880 + 2880


def _spread_out(data, count, offset):
    """The first tile at another place."""
    at = _at_tiles(data)
    return data[:at] + np.array([count, offset], ">i4").tobytes() + data[at + 8 :]


FZ = fits_fz(FIELD.astype(np.int16))
GZ = fits_fz(FIELD.astype(np.int16), "GZIP_1")
TILED = {
    "a method that trusts the file": (fits_fz(FIELD.astype(np.int16), "HCOMPRESS_1"), "compressed by 'HCOMPRESS_1'"),
    "another such": (fits_fz(FIELD.clip(0, 4000).astype(np.int16), "PLIO_1"), "compressed by 'PLIO_1'"),
    "blocks of 0": (changed(FZ, "ZVAL1", 0), "BLOCKSIZE is 0"),
    "blocks of 0 in small letters": (changed(FZ, "ZVAL1", 0).replace(b"'BLOCKSIZE'", b"'blocksize'"), "BLOCKSIZE is 0"),
    "blocks of 0 behind others": (
        with_cards(
            FZ.replace(b"'BLOCKSIZE'", b"'X        '"),
            *(card for n in range(3, 30) for card in (f"ZNAME{n:<3}= 'Y       '", f"ZVAL{n:<4}= 4")),
            "ZNAME30 = 'BlockSize'",
            "ZVAL30  = 0",
        ),
        "BLOCKSIZE is 0",
    ),
    "tiles before their table": (with_cards(FZ, "THEAP   =                -2880"), "lie before their table"),
    "a column in small letters": (
        _spread_out(FZ, 100, 10**9).replace(b"'COMPRESSED_DATA'", b"'compressed_data'"),
        "outside of the file",
    ),
    "a random number that is not there": (with_cards(FZ, "ZDITHER0=                  -99"), "ZDITHER0 is -99"),
    "values of 3 bytes": (changed(FZ, "ZVAL2", 3), "BYTEPIX is 3"),
    "tiles of 0": (changed(FZ, "ZTILE1", 0), "ZTILE1 is 0"),
    "tiles beyond the picture": (changed(FZ, "ZTILE1", 10**9), "ZTILE1 is 1000000000"),
    "tiles of text": (changed(FZ, "ZTILE2", "'x'"), "ZTILE2"),
    "fewer tiles than there are": (changed(FZ, "ZNAXIS2", 90), "40 tiles, expected 90"),
    "a tile outside of the file": (_spread_out(FZ, 100, 10**9), "outside of the file"),
    "a tile of less than nothing": (_spread_out(FZ, -5, 0), "outside of the file"),
    "tiles over each other": (_spread_out(FZ, len(FZ) - _at_tiles(FZ) - 400, 0), "over each other"),
    "a gzip tile that is none": (_spread_out(GZ, 20, 31), "FITS"),
}


@pytest.mark.parametrize("name", TILED)
def test_hostile_tiles_do_not_reach_the_decoders(name):
    data, words = TILED[name]
    found, detail = reason(data)
    assert found == "damaged"
    assert words in detail


def test_a_tile_that_is_a_bomb_is_not_unpacked():
    import gzip

    bomb = gzip.compress(bytes(5_000_000), mtime=0)
    row_bytes = 16
    cards = ["BITPIX  =                    8", "NAXIS   =                    2", f"NAXIS1  = {row_bytes // 2:>20}",
             "NAXIS2  =                    1", f"PCOUNT  = {len(bomb):>20}", "GCOUNT  =                    1",
             "TFIELDS =                    1", "TTYPE1  = 'COMPRESSED_DATA'", "TFORM1  = '1PB(9999)'",
             "ZIMAGE  =                    T", "ZBITPIX =                   16", "ZNAXIS  =                    2",
             "ZNAXIS1 =                   60", "ZNAXIS2 =                    1", "ZTILE1  =                   60",
             "ZTILE2  =                    1", "ZCMPTYPE= 'GZIP_1  '"]  # fmt: skip
    unit = header(*cards, primary=False).replace(b"XTENSION= 'IMAGE   '", b"XTENSION= 'BINTABLE'")
    body = np.array([len(bomb), 0], ">i4").tobytes() + bomb
    empty = header("BITPIX  =                    8", "NAXIS   =                    0", "EXTEND  =                    T")
    data = empty + unit + body.ljust(-(-len(body) // 2880) * 2880, b"\0")
    found, detail = reason(data)
    assert (found, detail) == ("too large", "a tile of the FITS image unpacks to more than it should")


@settings(max_examples=150)
@given(
    st.sampled_from(
        [fits_bytes(FIELD), FZ, GZ, fits_fz(FIELD), fits_gz(FIELD), tiff(FIELD), png16(FIELD.clip(0, 60000))]
    ),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 1 << 20),
)
def test_any_damage_is_a_picture_or_an_image_error(data, changes, cut):
    damaged = bytearray(data)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    damaged = bytes(damaged[: len(damaged) - cut % 3 * (cut % len(damaged)) // 2])
    try:
        picture = decode_rgb(damaged, InputSpec(8, 8, 0, 1, STRETCH), ImageLimits(10**6, 10**6))
    except ImageError:
        return
    assert picture.shape == (8, 8, 3)


def test_without_astropy_the_error_says_what_to_install(monkeypatch):
    reading._astropy_fits.cache_clear()
    for name in ("astropy", "astropy.io", "astropy.io.fits", "astropy.visualization"):
        monkeypatch.setitem(sys.modules, name, None)
    for data in (fits_bytes_before, tiff(FIELD), png16(FIELD.clip(0, 60_000))):
        assert reason(data) == (
            "no astropy",
            "FITS, TIFF and 16-bit pictures are read with astropy; python -m pip install 'retrain-photos[astro]'",
        )
    assert decode_rgb(encode(noise(8, 8)), InputSpec(8, 8, 0, 1, STRETCH)).shape == (8, 8, 3)


fits_bytes_before = fits_bytes(FIELD)
