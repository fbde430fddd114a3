"""The one resampling between a kept picture and the one trained on: exact where it can be, else near Pillow's."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import noise, scene

from retrain.pixels.warp import Box, cut_out, warp

SCENE = np.asarray(scene(1, (90, 70)))
IDENTITY = np.array([[1.0, 0, 0], [0, 1.0, 0]])
sides = st.integers(1, 40)


def turned(degrees, height, width, centre):
    """A map that shows a picture, turned counter-clockwise about its centre."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    shift = np.array(centre) - rotation @ [width / 2, height / 2]
    return np.hstack([rotation, shift[:, None]])


@given(sides, sides, st.integers(0, 9), st.integers(0, 9))
def test_a_box_on_whole_pixels_is_a_view(height, width, top, left):
    pixels = noise(height + 9, width + 9)
    cut = cut_out(pixels, Box(top, left, height, width), height, width)
    assert cut.base is not None
    assert (cut == pixels[top : top + height, left : left + width]).all()


@given(sides, sides, st.floats(0, 1), st.floats(0, 1), st.floats(0.3, 1))
def test_a_box_between_pixels_is_what_pillow_cuts(height, width, top, left, share):
    size = (70 * share, 90 * share)
    box = Box(top * (70 - size[0]), left * (90 - size[1]), *size)
    corners = (box.left, box.top, min(90, box.left + box.width), min(70, box.top + box.height))
    expected = Image.fromarray(SCENE).resize((width, height), Image.Resampling.BILINEAR, box=corners)
    got = cut_out(SCENE, box, height, width).astype(int)
    assert got.shape == (height, width, 3)
    assert abs(got - np.asarray(expected)).max() <= 2


def test_a_box_that_rounding_put_over_the_edge_is_cut_there():
    whole = cut_out(SCENE, Box(0, 0, 70, 90), 20, 20)
    assert (cut_out(SCENE, Box(-1e-9, -1e-9, 70 + 1e-9, 90 + 1e-9), 20, 20) == whole).all()


@given(st.integers(1, 30), st.integers(1, 30))
def test_looking_through_nothing_changes_nothing(height, width):
    pixels = noise(height, width)
    assert (warp(pixels, IDENTITY, height, width) == pixels).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(turns):
    pixels = noise(16, 16)
    assert (warp(pixels, turned(90 * turns, 16, 16, (8, 8)), 16, 16) == np.rot90(pixels, turns)).all()


@settings(max_examples=40)
@given(st.floats(-180, 180), st.floats(0.5, 1.5))
def test_inside_the_picture_it_is_pillows_affine_map_but_for_rounding(degrees, scale):
    matrix = turned(degrees, 24, 30, (45, 35))
    matrix[:, :2] *= scale
    matrix[:, 2] = np.array([45, 35]) - matrix[:, :2] @ [15, 12]
    how = (Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BILINEAR)
    expected = np.asarray(Image.fromarray(SCENE).transform((30, 24), *how)).astype(int)
    assert abs(warp(SCENE, matrix, 24, 30).astype(int) - expected).max() <= 3


@settings(max_examples=40)
@given(st.floats(-180, 180), st.integers(1, 9), st.integers(1, 9))
def test_beyond_its_edges_a_picture_is_mirrored_as_often_as_it_takes(degrees, height, width):
    pixels = noise(height, width)
    around = np.pad(pixels, ((40, 40), (40, 40), (0, 0)), "symmetric")
    matrix = turned(degrees, 31, 33, (width / 2, height / 2))
    shifted = matrix + np.array([[0, 0, 40], [0, 0, 40]])
    assert (warp(pixels, matrix, 31, 33) == warp(around, shifted, 31, 33)).all()


def test_a_plain_picture_stays_plain_under_every_turn():
    for value in (0, 1, 127, 254, 255):
        plain = np.full((9, 9, 3), value, np.uint8)
        assert (warp(plain, turned(33.3, 20, 20, (4, 5)), 20, 20) == value).all()


def test_threads_do_not_write_over_each_others_work():
    maps = [turned(7 * n, 24, 30, (45, 35)) for n in range(40)]
    expected, failures = [warp(SCENE, one, 24, 30) for one in maps], []

    def work():
        failures.extend((warp(SCENE, one, 24, 30) != what).any() for one, what in zip(maps, expected, strict=True))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(failures)
    assert len(failures) == 240


def test_sizes_may_change_from_one_picture_to_the_next():
    for size in (40, 3, 17, 64):
        pixels = noise(size, size + 1)
        assert (warp(pixels, IDENTITY, size, size + 1) == pixels).all()
