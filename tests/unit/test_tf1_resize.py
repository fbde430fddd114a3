"""The codelab's pixels: what decode_tf1 makes, against values that TensorFlow 1.15 gave.

Photographs are compared with TensorFlow itself in tests/cli/test_tf1_pixels.py.
"""

import io
import struct
from base64 import b85decode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import encode, noise

from retrain.errors import ImageError
from retrain.images import LIMITS, ImageLimits, InputSpec, decode_rgb, normalise, tf1
from retrain.images.tf1 import decode_tf1

# Small JPEGs, and what tf.image.decode_jpeg(..., channels=3) of TensorFlow 1.15.5 made of them: uint8, RGB, row by row.
JPEGS = {
    "444": (  # colour as fine as brightness
        b85decode(
            "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ"
            "&KWMT47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf"
            "t%zPf!2A01*fP2LK8K0TBQK5di}c0sq7R6#xMN000000000000000000C9|HJ?z5C8xL0tN#B0000000000009C61rY!e1QQ"
            "e@Br#KA(f`B%7XbhR0RR910000000000000661qT1b03i_o0RsXD0RR91000000000100R*O1p*QyGE$+@!T;I-3<CiG0uci"
            "d06zd81*N^YMD?nbJir@vh|EOv9>Rjs<F7x9AebLQUfovn<4jB|<trVb%P(Fd{Hq1Jo;{CNgc``(*!6$^*#"
        ),
        b85decode(
            "01N;X0thew1yL0WL>T~aCbW(%o~9ko&L+g!F3bcv2`D!jMJpOxHx*t!3x7Jxo<O*{HS5GsztC6607n22Py{hg2}4c-XKEdTS"
            "lgv(%fxB_(skY6eC7s%6e5otHI5KJgad1%D1M0Dm6^Y(p6t7u&BvnE0FxOIq!J*h0XVJ#VZ0-Su;-P?!=KRM%*f-|&*~S-J0"
            "jXFGvXU)?l)|_H><e+zR~i*+5gA#)YJOi3g<Nv@**MU4rJatCO-gjChCGN!h$f<)d&CK4*v"
        ),
        (7, 10, 3),
    ),
    "422": (  # colour half as wide
        b85decode(
            "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ"
            "&KWMT47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf"
            "t%zPf!2A01*fP2LK8K0U-ba5di}c0sq7R6#xMN000000000000000000C9|HJ?z5C8xL0tN#B0000000000009C61rY!e1QQ"
            "e@Br#KA(f`B%6afJM000000000000000000F4!~h-<009I61poj500000000000RRF61Q7)jAyHxf+5ij#0RRFK0}%i}03HR"
            "Uy}3m7s+Byz8+M4yMD!lQuavBIhb+B#kMfg4eoEoZ9Axy7rcGv8L)hGd=wJWY"
        ),
        b85decode(
            "5CQ-f2LK!j06`xFMGP!|D2A6Kys8_`#VF0yFU=h%DJwB8F*P1WJ2_S{WPv}cnmggJH}uRx@Z3r907C!=Rsa}a03}`kPi{hRb"
            "$gC^va5m3zlFffjlm;sDL8*GMuH$scO!j`XqAeXs*K3Oli|md&DEXG0G|>7s}~cl3@)u8SG8e(zoeML+o#C$vD56j-s}MC3I"
            "p#CA?^!S_c>R?OqkcGw$|&$*8kAu|Jm>VA=yPZ*GX5xK#{$0MI<$gDwU}g)V&Py#}V(-8uS"
        ),
        (7, 10, 3),
    ),
    "420": (  # colour half as wide and half as high
        b85decode(
            "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ"
            "&KWMT47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf"
            "t%zPf!2A01*fP2LK8K0U`hb5di}c0sq7R761VO0RR910000000000000041^>hVBM<-p1_1&G0000000000000010s{pR5(F"
            "_56e1*3VbTA@02BcM00000000000000000004|HJ?u5dZ=K1Oov80000000000009C600adQ6LGQ8|Jncy0|5X65d#qbKLC$"
            "I6CWJoeCw%ih)0h}oz-5&?1uVN2Z?uS+r+<s0r;qSZ57#$$v)F?sMFf4jOS<XRsY!"
        ),
        b85decode(
            "A^<ES02>?z06`rQQvpATB9D$MtdT9VsXMl{M7S{;H#aLSG&luGKo@8%P>?*5mqoOnO24*N!NFg`2{H&7N(doc05MqrZCy~1V"
            "U3|~xwCxF!-2`riOmgu5+0HhBAoy)jsSL&VUvrRqmjk8n%uvb&&;6H0Hy!{wg3RX03f;qVy<JAv9hYS<Gs83(8BlK$@&1@8V"
            "%?e9`FfP^+0Q}a<akJ&cy%U#Q*fn|Nqqg7~?1<=O!`U5@^~-DK#f=I*NiYxsWQ$p)JO*G|B"
        ),
        (7, 10, 3),
    ),
    "440": (  # colour half as high
        b85decode(
            "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ"
            "&KWMT47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf"
            "t%zPf!2A01*fP4FCoM0TKWL5di}c0sq7R6#xMN00000000000000000098|HJ?!5C8xL0|EyC0000000000009F85fT6eF#;"
            "156(J%rQKA3D02BcM00000000000000000002|HJ?w5dZ=K0SN#A0000000000009C600a>d6d^Hzk+J{U01N{G00I#M5dc2"
            "`n`uX9PG*h8gbaXNY-j5+cBEL2&&~}$j3N)CqxWC~$3G|rn=FRy+Jen$Fd@QqBg5A<|Je"
        ),
        b85decode(
            "5dZ)}002k;8*u=Tod9`JN<=3c8&nYiRS7VC45qFCkzr?BA~YmiI2dO;R*X2ru?U}Feqtw2ELTk&T1{7pQP93BvUaC>RghL{d"
            "pB2VWRGv$+EvV!)RirZGjEVNf|Q1=lJn4I#em;~H_S|*#9h9wpR9x5Z6;~}c>n-M001Tc6%PP37iT&NH~@_R0Ivf^pAi5T00"
            "9X|I}I@aU;r7`AW_0B05$;t99BXZIRJD3ALT4p*gybaFc?aQXGLZJngBZgT6pJVCt*@7K$&MobpWpjJO6m8>4}YFi-SwljcT"
            "d|-97"
        ),
        (13, 6, 3),
    ),
    "grey": (  # no colour
        b85decode(
            "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ"
            "&KWMT47pHU`kO^PyfIG3kU!Q015#C5di<h02KfM0RR910000000000000052mizX8xQ~i1Oos70000000000000010s{s!Lv"
            "jDw00;pA002J#8kwxA$Bn#0|Je"
        ),
        b85decode(
            "0000L6%{ixGfYfOVq#)@dwZFgnXay`$;rvz-`@ZL02LJ#Gcz+xOiW^8VtadgnVFfcuCB?+$=~1K0000L6%{ixGfYfOVq#)@d"
            "wZFgnXay`$;rvz-`@ZL02LJ#Gcz+xOiW^8VtadgnVFfcuCB?+$=~1K0000L6%{ixGfYfOVq#)@dwZFgnXay`$;rvz-`@ZL02"
            "LJ#Gcz+xOiW^8VtadgnVFfcuCB?+$=~1K0000L6%{ixGfYfOVq#)@dwZFgnXay`$;rvz-`@"
        ),
        (7, 10, 3),
    ),
    "cmyk": (  # ink, as Adobe stores it
        b85decode(
            "|JeWT01iQ9Z(?NtWB>pF0095n07C!`2?`4e2n`Dg3l0tq4-+626A}^=CmbFZATB8}FfJ)AEHgSvJ~K8(H!LkcS3yQhPEu1+G"
            "Co>iT2Nq0QBqI;zyK5o00#gH1Va%3O%VWD5dcdO0RO}Q7ytkQ0{{R30000000000000FC00IO5!~iZ3000970}%iK0000000"
            "000009C61qKlW5)%g$6&52gGBY$aLs4OIl(N$Q+5ip&LjX+xSpZ7_06zc?25`nt2yx2cu)?&2Ft@E|lTxcyl=MjXkQ;Ma8Dk"
            "54+akTt8NsH{R-VKtNrUCQk>j-a4BO1Q2tWVX"
        ),
        b85decode(
            "0000K1pqPt0ZS49VGICzBFdN=!>uC7$R)<!CdL3J1r#&~GBF8DIR;@k0D3^um_5s_OV7wt&fZkc07eZIRt_>-5KCAMVP*$<W"
            "7(K!(ye&c$adA<chvxI5)^e4GJ6$Ec@kld40?{<n3UJ8n%u~q+TNeq0I(VqrW-P=9ZRwsVXhT=wdR<*->tCZ$jjs2%;NyXBo"
            "w|SGSw$b_9bDuA9~yHnDgna>+Z<w?cVI|0RAWx?kY0zEKBDpVHYEM4fU80?yUgw$Q$wA9Pt"
        ),
        (7, 10, 3),
    ),
}


def spec_of(height, width):
    return InputSpec(height, width, 128.0, 128.0)


def as_is(data, height, width):
    """The decoded pixels themselves: a resize to the size that the picture has changes none."""
    pixels = decode_tf1(data, spec_of(height, width))
    assert (pixels.shape, pixels.dtype) == ((height, width, 3), np.float32)
    return pixels


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_is_decoded_as_tensorflow_1_did_to_the_last_bit(name):
    data, wanted, shape = JPEGS[name]
    pixels = as_is(data, *shape[:2])
    assert pixels.astype(np.uint8).tobytes() == wanted
    assert (pixels == np.round(pixels)).all()
    # The exact transform, which Pillow uses by default, is not it.
    exact = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert 1 <= np.abs(exact - pixels).max() <= 3


def without_adobe(data):
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


def test_ink_that_adobe_did_not_write_is_not_turned_over():
    data, wanted, (height, width, _) = JPEGS["cmyk"]
    assert max(wanted) > 200
    # Adobe stores full light where there is no black; taken for ink, that is black all over.
    assert as_is(without_adobe(data), height, width).max() <= 2


def coded_as_rgb(data):
    """The same JPEG, its components called R, G and B: their values are the colours."""
    changed = bytearray(data)
    start = changed.index(b"\xff\xe0")
    del changed[start : start + 2 + int.from_bytes(changed[start + 2 : start + 4], "big")]
    frame, scan = changed.index(b"\xff\xc0"), changed.index(b"\xff\xda")
    for number, letter in enumerate(b"RGB"):
        changed[frame + 10 + 3 * number] = changed[scan + 5 + 2 * number] = letter
    return bytes(changed)


@pytest.mark.parametrize("name", ["444", "420"])
def test_a_jpeg_of_red_green_and_blue_has_no_colours_to_convert(name):
    data, wanted, (height, width, _) = JPEGS[name]
    red, green, blue = np.moveaxis(as_is(coded_as_rgb(data), height, width), 2, 0)
    # What libjpeg would have made of them had they been brightness and colour.
    converted = np.stack([red + 1.402 * (blue - 128), red + 1.772 * (green - 128)]).clip(0, 255)
    rgb = np.frombuffer(wanted, np.uint8).reshape(height, width, 3)
    assert np.abs(converted - np.stack([rgb[..., 0], rgb[..., 2]])).max() <= 1


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_narrow_jpegs_are_decoded(width, subsampling):
    data = encode(np.full((9, width, 3), (200, 30, 90), np.uint8), "JPEG", subsampling=subsampling, quality=95)
    assert np.abs(as_is(data, 9, width) - (200, 30, 90)).max() <= 3


def resized(row, width):
    """What becomes of one row of grey values."""
    pixels = decode_tf1(encode(np.array([row], np.uint8)), spec_of(1, width))
    assert (pixels == pixels[..., :1]).all()
    return pixels[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ([0, 100], [0.0, 50.0, 100.0, 100.0]),  # corner on corner; the last value is repeated
        ([10, 20, 30, 40], [10.0, 30.0]),  # every second: not antialiased
        ([10, 20, 40], [10.0, 30.0]),
        ([7, 9], [7.0, 9.0]),
        ([8], [8.0, 8.0, 8.0]),
        ([0, 255, 0], [0.0, 153.0, 204.0, 51.0, 0.0]),
        ([0, 1], [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_rows_are_resized_from_the_corner_without_rounding(row, wanted):
    assert resized(row, len(wanted)) == pytest.approx(wanted, abs=1e-4)


def by_the_formula(pixels, height, width):
    """The same, pixel by pixel, in float64."""
    old_height, old_width, _ = pixels.shape
    found = np.empty((height, width, 3))
    for y, x in np.ndindex(height, width):
        down, across = y * old_height / height, x * old_width / width
        top, left = int(down), int(across)
        bottom, right = min(top + 1, old_height - 1), min(left + 1, old_width - 1)
        upper = pixels[top, left] + (pixels[top, right] - pixels[top, left]) * (across - left)
        lower = pixels[bottom, left] + (pixels[bottom, right] - pixels[bottom, left]) * (across - left)
        found[y, x] = upper + (lower - upper) * (down - top)
    return found


@pytest.mark.parametrize("size", [(12, 20), (5, 7), (3, 40), (33, 3), (1, 1), (29, 31)])
def test_both_axes_are_mixed_as_the_formula_says(size):
    picture = noise(12, 20)
    pixels = decode_tf1(encode(picture), spec_of(*size))
    assert np.abs(pixels - by_the_formula(picture.astype(float), *size)).max() < 1e-3


def test_a_jpeg_s_wanted_pixels_are_those_of_the_whole():
    data = encode(noise(40, 60), "JPEG", quality=80)
    whole = as_is(data, 40, 60).astype(np.uint8)
    assert np.array_equal(decode_tf1(data, spec_of(13, 17)), decode_tf1(encode(whole), spec_of(13, 17)))


def test_a_photograph_is_not_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    data, plain = (encode(noise(12, 20), "JPEG", quality=95, **extra) for extra in ({"exif": exif.tobytes()}, {}))
    assert np.array_equal(as_is(data, 12, 20), as_is(plain, 12, 20))
    assert not np.array_equal(decode_rgb(data, spec_of(12, 20)), decode_rgb(plain, spec_of(12, 20)))


def test_a_large_jpeg_is_decoded_in_full():
    stripes = np.zeros((480, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = decode_tf1(encode(stripes, "JPEG", quality=95, subsampling=0), spec_of(12, 20))
    assert pixels.min() > 250  # every fortieth column is white; at an eighth of the size all would be grey


PICTURE = noise(12, 20)


@pytest.mark.parametrize(
    ("image_format", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True, "exact": True})]
)
@pytest.mark.parametrize("channels", [3, 4])
def test_alpha_is_dropped_and_what_it_hid_comes_out(image_format, options, channels):
    alpha = np.random.default_rng(1).integers(0, 256, (12, 20, 1), np.uint8)
    picture = np.concatenate([PICTURE, alpha], axis=2)[..., :channels]
    assert (as_is(encode(picture, image_format, **options), 12, 20) == PICTURE).all()


def test_grey_with_alpha_keeps_its_grey():
    image = Image.merge("LA", (Image.new("L", (20, 12), 40), Image.new("L", (20, 12), 0)))
    assert (as_is(encode(image), 12, 20) == 40).all()


@pytest.mark.parametrize(("mode", "colour"), [("L", 40), ("RGB", (200, 30, 30))])
def test_a_colour_that_is_called_transparent_is_kept(mode, colour):
    data = encode(Image.new(mode, (20, 12), colour), "PNG", transparency=colour)
    assert (as_is(data, 12, 20) == colour).all()


def palette():
    image = Image.new("P", (20, 12), 0)
    image.putpalette([10, 20, 30, 200, 30, 30])
    image.paste(1, (10, 0, 20, 12))
    return image


@pytest.mark.parametrize(
    ("image_format", "options"),
    [("PNG", {}), ("PNG", {"transparency": bytes([128, 0])}), ("GIF", {}), ("GIF", {"transparency": 0}), ("BMP", {})],
)
def test_a_palette_s_colours_are_used_transparent_or_not(image_format, options):
    pixels = as_is(encode(palette(), image_format, **options), 12, 20)
    assert (pixels[:, :10] == (10, 20, 30)).all()
    assert (pixels[:, 10:] == (200, 30, 30)).all()


def test_sixteen_bits_keep_the_upper_eight():
    wide = np.tile(np.linspace(0, 65535, 20).astype(np.uint16), (12, 1))
    assert (as_is(encode(wide), 12, 20) == (wide // 256)[..., np.newaxis]).all()


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (20, 12), colour) for colour in ((200, 30, 30), (0, 255, 0))]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert (as_is(data, 12, 20) == (200, 30, 30)).all()


@pytest.mark.parametrize("options", [{}, {"transparency": 0}])
def test_of_a_gif_the_frame_is_taken_without_the_canvas_around_it(options):
    data = bytearray(encode(palette(), "GIF", **options))
    data[6:10] = struct.pack("<HH", 50, 40)
    pixels = as_is(bytes(data), 12, 20)
    assert (pixels[:, :10] == (10, 20, 30)).all()
    assert (pixels[:, 10:] == (200, 30, 30)).all()


FORMATS = ["JPEG", "PNG", "GIF", "BMP", "WEBP"]


def refusal(data, limits=LIMITS):
    with pytest.raises(ImageError) as caught:
        decode_tf1(data, spec_of(12, 20), limits)
    return caught.value.reason


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_truncated_image_is_refused(image_format):
    data = encode(noise(60, 80), image_format)
    assert refusal(data[: len(data) // 2]) == "damaged"


@pytest.mark.parametrize("image_format", FORMATS)
def test_more_pixels_than_the_limit_are_refused_before_decoding(image_format, monkeypatch):
    monkeypatch.setattr(tf1, "tf1_picture", lambda _: pytest.fail("was decoded"))
    assert refusal(encode(noise(30, 40), image_format), ImageLimits(max_pixels=1199)) == "too large"


@pytest.mark.parametrize(("data", "why"), [(b"", "empty"), (b"just a text file", "not an image")])
def test_what_is_no_image_is_refused(data, why):
    assert refusal(data) == why


def test_too_many_scans_of_a_progressive_jpeg_are_refused():
    assert refusal(encode(noise(16, 16), "JPEG", progressive=True), ImageLimits(max_jpeg_scans=3)) == "too many scans"


@pytest.mark.parametrize("image_format", FORMATS)
@settings(max_examples=40)
@given(position=st.floats(0, 1, exclude_max=True), junk=st.binary(min_size=1, max_size=8))
def test_damage_is_an_image_error_or_a_picture_and_nothing_else(image_format, position, junk):
    data = bytearray(encode(noise(16, 16), image_format))
    at = int(position * len(data))
    data[at : at + len(junk)] = junk
    try:
        outcome = decode_tf1(bytes(data), spec_of(12, 20), ImageLimits(max_pixels=10_000)).shape
    except ImageError as error:
        outcome = error.reason
    assert outcome in ((12, 20, 3), "damaged", "not an image", "too large", "too many scans")


def test_it_goes_on_to_be_normalised():
    data = encode(np.full((12, 20, 3), 192, np.uint8))
    assert (normalise(decode_tf1(data, spec_of(12, 20)), spec_of(12, 20)) == 0.5).all()
