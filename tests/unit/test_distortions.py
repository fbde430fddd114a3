"""What is drawn for a view, and that its pixels are what the draw says."""

import copy
import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from support import digest, encode, noise, tiny_tflite

from retrain.backbones import FrozenBackbone
from retrain.distortions import Distortion, View, apply, enlarged_size
from retrain.errors import ImageError
from retrain.images import InputSpec, decode_rgb, decode_upright, normalise

SPEC = InputSpec(height=24, width=24, mean=127.5, std=127.5)
TALL = InputSpec(height=32, width=20, mean=127.5, std=127.5)
PHOTO = noise(90, 140)
ALL_ON = Distortion(True, 10, 20, 30, True, 15, seed=3)

PINNED = View(
    quarter_turns=0,
    enlargement=1.2933882610016778,
    top=0.5692163040388897,
    left=0.7156892496765429,
    mirrored=False,
    gains=(0.9485054543545444, 1.1162875752092616, 0.9250356607596368),
)

CONTENTS = [hashlib.sha256(b"%d" % n).digest() for n in range(2000)]

percent = st.integers(0, 100)
distortions = st.builds(
    Distortion, st.booleans(), percent, st.integers(0, 1000), percent, st.booleans(), percent, st.integers(0, 2**32 - 1)
)
contents = st.binary(min_size=32, max_size=32)
specs = st.builds(InputSpec, st.integers(1, 64), st.integers(1, 64), st.just(0.0), st.just(1.0))


def decoded(photo=PHOTO):
    return Image.fromarray(photo)


# What is drawn


@given(distortions, contents, st.integers(0, 10**6))
def test_a_draw_stays_in_the_bounds_of_the_original_formulae(distortion, content, number):
    view = distortion.draw(content, number)
    margin = 1 + distortion.random_crop / 100
    assert margin <= view.enlargement <= margin * (1 + distortion.random_scale / 100)
    assert 0 <= view.top < 1
    assert 0 <= view.left < 1
    brightest = (1 + distortion.random_brightness / 100) * (1 + distortion.random_colour / 100)
    darkest = (1 - distortion.random_brightness / 100) * (1 - distortion.random_colour / 100)
    assert all(darkest - 1e-9 <= gain <= brightest + 1e-9 for gain in view.gains)
    assert view.quarter_turns in (range(4) if distortion.random_quarter_turns else (0,))
    assert not view.mirrored or distortion.flip_left_right
    if not distortion.random_colour:
        assert len(set(view.gains)) == 1


@given(contents, st.integers(0, 10**6), st.integers(0, 2**32 - 1))
def test_with_everything_off_nothing_is_distorted(content, number, seed):
    assert Distortion(seed=seed).draw(content, number) == View()


def test_a_draw_is_the_same_in_every_version():
    # Cached vectors lie under the fingerprint: when these numbers change, VERSION has to.
    view = ALL_ON.draw(digest(b"photo"), 5)
    assert ALL_ON.fingerprint == (
        "distortion=1 flip_left_right=1 random_crop=10 random_scale=20 random_brightness=30 "
        "random_quarter_turns=1 random_colour=15 seed=3"
    )
    assert view == PINNED


def test_a_draw_depends_on_seed_content_and_number_and_on_nothing_else():
    draw = ALL_ON.draw(CONTENTS[0], 0)
    assert draw == dataclasses.replace(ALL_ON).draw(bytes(CONTENTS[0]), 0)
    assert draw != ALL_ON.draw(CONTENTS[0], 1)
    assert draw != ALL_ON.draw(CONTENTS[1], 0)
    assert draw != dataclasses.replace(ALL_ON, seed=4).draw(CONTENTS[0], 0)


def test_one_more_distortion_leaves_the_others_as_they_were():
    less = dataclasses.replace(ALL_ON, random_brightness=0, random_colour=0)
    for content in CONTENTS[:50]:
        assert dataclasses.replace(ALL_ON.draw(content, 2), gains=(1.0, 1.0, 1.0)) == less.draw(content, 2)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Distortion)])
def test_every_field_is_part_of_the_fingerprint(field):
    value = getattr(ALL_ON, field)
    changed = dataclasses.replace(ALL_ON, **{field: not value if isinstance(value, bool) else value + 1})
    assert changed.fingerprint != ALL_ON.fingerprint


@pytest.mark.parametrize("number", [0, 1, 7])
def test_numbers_are_drawn_evenly_over_their_range(number):
    views = [ALL_ON.draw(content, number) for content in CONTENTS]
    shares = {
        "scale": [(view.enlargement / 1.1 - 1) / 0.2 for view in views],
        "top": [view.top for view in views],
        "left": [view.left for view in views],
    }
    plain = Distortion(random_brightness=30)
    shares["brightness"] = [(plain.draw(content, number).gains[0] - 0.7) / 0.6 for content in CONTENTS]
    plain = Distortion(random_colour=40)
    for channel in range(3):
        shares[f"colour {channel}"] = [(plain.draw(content, number).gains[channel] - 0.6) / 0.8 for content in CONTENTS]
    for name, values in shares.items():
        counts, _ = np.histogram(values, bins=10, range=(0, 1))
        assert counts.sum() == len(CONTENTS), name
        # 5 standard deviations of a binomial with p = 1/10
        assert np.abs(counts - 200).max() < 5 * np.sqrt(2000 * 0.09), name
    drawn = np.array(list(shares.values()))
    assert np.abs(np.corrcoef(drawn) - np.eye(len(drawn))).max() < 5 / np.sqrt(len(CONTENTS))


@given(contents, st.integers(0, 1000), st.integers(0, 2**32 - 1))
def test_any_eight_views_in_a_row_show_the_eight_symmetries_once(content, first, seed):
    both = Distortion(flip_left_right=True, random_quarter_turns=True, seed=seed)
    views = [both.draw(content, first + n) for n in range(8)]
    assert sorted((view.quarter_turns, view.mirrored) for view in views) == [
        (turns, mirrored) for turns in range(4) for mirrored in (False, True)
    ]
    flips = Distortion(flip_left_right=True, seed=seed)
    assert sum(flips.draw(content, first + n).mirrored for n in range(8)) == 4
    turns = Distortion(random_quarter_turns=True, seed=seed)
    assert sorted(turns.draw(content, first + n).quarter_turns for n in range(4)) == [0, 1, 2, 3]


@pytest.mark.parametrize("number", [0, 3])
def test_a_view_by_itself_has_each_symmetry_with_equal_probability(number):
    both = Distortion(flip_left_right=True, random_quarter_turns=True)
    places = [view.quarter_turns + 4 * view.mirrored for view in (both.draw(c, number) for c in CONTENTS)]
    assert np.abs(np.bincount(places, minlength=8) - 250).max() < 5 * np.sqrt(2000 * 7 / 64)


# Sizes


@pytest.mark.parametrize(
    ("size", "crop", "scale", "expected"),
    [
        # int(np.float32(size) * (np.float32(1 + crop / 100) * np.float32(scale))), as the original's graph has it
        (224, 10, 1.0, 246),
        (224, 25, 1.0, 280),
        (299, 10, 1.0, 328),
        (160, 15, 1.0, 184),  # 183 in double precision
        (224, 10, 1.05, 258),
        (299, 0, 1.9999, 597),
        (128, 100, 11.0, 2816),
    ],
)
def test_sizes_before_the_cut_are_those_of_the_original(size, crop, scale, expected):
    spec = InputSpec(size, 2 * size, 0.0, 1.0)
    height, width = enlarged_size((1 + crop / 100) * scale, spec)
    assert height == expected
    assert width in (2 * expected, 2 * expected + 1)


@given(distortions, contents, st.integers(0, 100), specs)
def test_the_cut_lies_inside_and_the_decoded_photograph_is_large_enough(distortion, content, number, spec):
    view = distortion.draw(content, number)
    height, width = enlarged_size(view.enlargement, spec)
    assert spec.height <= height
    assert spec.width <= width
    assert 0 <= int(view.top * (height - spec.height + 1)) <= height - spec.height
    least = distortion.least_size(spec)
    needed = (width, height) if view.quarter_turns % 2 else (height, width)
    assert least[0] >= needed[0]
    assert least[1] >= needed[1]


# Pixels


@given(
    st.builds(
        View,
        st.just(0),
        st.floats(1, 3),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.booleans(),
        st.tuples(*[st.floats(0, 2)] * 3),
    ),
    st.sampled_from([SPEC, TALL]),
)
def test_pixels_are_resized_cut_mirrored_and_multiplied_as_the_original_does(view, spec):
    """The original's chain in Pillow's words."""
    factor = np.float32(view.enlargement)
    width, height = int(np.float32(spec.width) * factor), int(np.float32(spec.height) * factor)
    large = decoded().resize((width, height), Image.Resampling.BILINEAR)
    left, top = int(view.left * (width - spec.width + 1)), int(view.top * (height - spec.height + 1))
    cut = large.crop((left, top, left + spec.width, top + spec.height))
    expected = np.asarray(ImageOps.mirror(cut) if view.mirrored else cut, np.float32) * np.float32(view.gains)
    picture = apply(decoded(), view, spec)
    assert picture.dtype == np.float32
    assert picture.shape == (spec.height, spec.width, 3)
    assert np.abs(picture - expected).max() <= 1 * max(view.gains) + 1e-3  # the two libraries round once apart


def test_flip_alone_gives_the_undistorted_pixels_or_their_mirror_image():
    data = encode(PHOTO)
    undistorted = decode_rgb(data, SPEC)
    flips = Distortion(flip_left_right=True)
    seen = set()
    for number in range(8):
        view = flips.draw(digest(data), number)
        picture = apply(decode_upright(data, *flips.least_size(SPEC)), view, SPEC)
        assert (picture == (undistorted[:, ::-1] if view.mirrored else undistorted)).all()
        seen.add(view.mirrored)
    assert seen == {False, True}


@pytest.mark.parametrize("spec", [SPEC, TALL])
@pytest.mark.parametrize("turns", range(4))
def test_a_turned_view_is_the_view_of_the_turned_photograph(spec, turns):
    turned = np.ascontiguousarray(np.rot90(PHOTO, turns))
    picture = apply(decoded(), View(quarter_turns=turns, enlargement=1.3, top=0.9, left=0.1), spec)
    expected = apply(decoded(turned), View(enlargement=1.3, top=0.9, left=0.1), spec)
    assert picture.shape == (spec.height, spec.width, 3)
    assert np.abs(picture - expected).max() <= 1  # rows and columns are rounded in another order


def test_brightness_is_neither_clipped_nor_rounded():
    white = np.full((30, 30, 3), 255, np.uint8)
    picture = apply(decoded(white), View(gains=(1.1, 1.1, 1.1)), SPEC)
    assert (picture == np.float32(255) * np.float32(1.1)).all()
    assert picture.max() > 280
    model_input = normalise(picture, SPEC)
    assert np.allclose(model_input, (255 * 1.1 - 127.5) / 127.5)


def test_colour_multiplies_each_channel_by_its_own():
    picture = apply(decoded(), View(gains=(0.5, 1.0, 1.5)), SPEC)
    assert (picture == apply(decoded(), View(), SPEC) * np.float32([0.5, 1.0, 1.5])).all()


def test_a_cut_at_the_other_end_is_other_pixels():
    whole = np.asarray(decoded().resize((48, 48), Image.Resampling.BILINEAR), np.float32)
    for top, left, rows, columns in (
        (0.0, 0.0, slice(0, 24), slice(0, 24)),
        (0.999, 0.0, slice(24, 48), slice(0, 24)),
        (0.0, 0.999, slice(0, 24), slice(24, 48)),
    ):
        picture = apply(decoded(), View(enlargement=2.0, top=top, left=left), SPEC)
        assert np.abs(picture - whole[rows, columns]).max() <= 1


# The backbone


TINY = InputSpec(2, 2, 0.0, 1.0)


@pytest.fixture
def backbone(tmp_path):
    """Its features are the pixels."""
    (tmp_path / "tiny.tflite").write_bytes(tiny_tflite())
    return FrozenBackbone(tmp_path / "tiny.tflite", TINY, ALL_ON)


def test_the_backbone_is_run_on_each_view_in_order(backbone):
    data = encode(PHOTO)
    vectors = backbone.views(data, digest(data), (5, 0, 7))
    assert vectors.shape == (3, 12)
    assert vectors.dtype == np.float32
    for vector, number in zip(vectors, (5, 0, 7), strict=True):
        view = ALL_ON.draw(digest(data), number)
        assert (vector == apply(decoded(), view, TINY).ravel()).all()
    assert (backbone.views(data, digest(data), (7,))[0] == vectors[2]).all()


def test_equal_views_are_run_once(tmp_path, monkeypatch):
    (tmp_path / "tiny.tflite").write_bytes(tiny_tflite())
    backbone = FrozenBackbone(tmp_path / "tiny.tflite", TINY, Distortion(flip_left_right=True))
    runs = []
    features = FrozenBackbone.features
    monkeypatch.setattr(FrozenBackbone, "features", lambda self, pixels: (runs.append(1), features(self, pixels))[1])
    data = encode(PHOTO)
    assert backbone.views(data, digest(data), range(8)).shape == (8, 12)
    assert len(runs) == 2


def test_a_photograph_is_decoded_once_for_all_its_views(backbone, monkeypatch):
    decodes = []
    monkeypatch.setattr(
        "retrain.backbones.extractor.decode_upright",
        lambda *arguments: (decodes.append(1), decode_upright(*arguments))[1],
    )
    data = encode(PHOTO)
    backbone.views(data, digest(data), range(8))
    assert len(decodes) == 1


def test_a_backbone_that_went_to_another_process_makes_the_same_views(backbone):
    # deepcopy goes by the same protocol as what Ray ships.
    data = encode(PHOTO)
    there = copy.deepcopy(backbone)
    assert (there.views(data, digest(data), range(3)) == backbone.views(data, digest(data), range(3))).all()


def test_what_is_no_image_has_no_views(backbone):
    with pytest.raises(ImageError, match="not an image"):
        backbone.views(b"text", digest(b"text"), (0,))
