import csv
import io
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from support import encode, noise, scene

from retrain.alike.alignment import likenesses
from retrain.alike.fingerprints import HASH_BITS, Fingerprint, fingerprint, gathered, hash_bits
from retrain.alike.pairs import Duplicates, Pair, find_duplicates
from retrain.doctor.duplicates import duplicate_findings, duplicates_csv
from retrain.errors import ImageError
from retrain.survey.findings import COSTS, NOTE


def sky(seed):
    """Stars and a glow in the middle on black: all alike but for where the stars are."""
    rng = np.random.default_rng(seed)
    points = np.zeros((160, 200))
    points[rng.integers(0, 160, 250), rng.integers(0, 200, 250)] = rng.exponential(3000, 250)
    blurred = np.asarray(Image.fromarray(points.clip(0, 25000).astype(np.float32) / 100).convert("L"), float)
    stars = np.asarray(Image.fromarray(blurred.astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5)), float) * 8
    down, across = np.mgrid[-80:80, -100:100]
    glow = 90 * np.exp(-(down**2 + across**2) / 900)
    return Image.fromarray((stars + glow + 8).clip(0, 255).astype(np.uint8)).convert("RGB")


def jpeg(picture, quality=90):
    return encode(picture, "JPEG", quality=quality)


def table(*contents):
    return gathered([f"{number}.jpg" for number in range(len(contents))], map(fingerprint, contents))


def vector(number):
    """A bottleneck vector of its own for each number, hardly like any other."""
    return np.random.default_rng(number).normal(size=64).astype(np.float32)


COPIES = {
    "60 %": lambda picture: jpeg(picture.resize((120, 96))),
    "quality 40": lambda picture: jpeg(picture, 40),
    "cut": lambda picture: jpeg(picture.crop((3, 6, 193, 158))),
    "brighter": lambda picture: jpeg(ImageEnhance.Brightness(picture).enhance(1.1)),
    "PNG": encode,
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("make", [scene, sky])
def test_a_copy_is_found_and_nothing_else(make, copy):
    pictures = [make(seed) for seed in range(6)]
    contents = [jpeg(picture) for picture in pictures] + [COPIES[copy](picture) for picture in pictures]
    vectors = np.stack([vector(0) * 4 + vector(1 + number % 6) for number in range(12)])  # all alike, as of skies
    found = find_duplicates(table(*contents), vectors)
    assert found.groups == tuple((number, number + 6) for number in range(6))
    assert {pair.kind for pair in found.pairs} == {"near"}


def test_without_vectors_a_copy_is_found_by_its_hash_and_detail():
    found = find_duplicates(table(jpeg(scene(0)), jpeg(scene(1)), jpeg(scene(0), 40)))
    assert found.groups == ((0, 2),)


def test_different_pictures_with_equal_vectors_are_no_duplicates():
    contents = [jpeg(sky(seed)) for seed in range(8)]
    found = find_duplicates(table(*contents), np.ones((8, 8), np.float32))
    assert found == Duplicates((), ())


def test_exact_copies_hang_on_the_first():
    one, other = jpeg(scene(0)), jpeg(scene(1))
    found = find_duplicates(table(other, one, one, one), np.stack([vector(n) for n in (1, 0, 0, 0)]))
    assert found.pairs == (Pair(1, 2, "exact", 1.0), Pair(1, 3, "exact", 1.0))
    assert found.groups == ((1, 2, 3),)
    assert found.group_numbers(4).tolist() == [0, 1, 1, 1]


def test_mirror_images_are_found_only_when_asked_for():
    prints = table(jpeg(scene(0)), jpeg(ImageOps.mirror(scene(0))), jpeg(scene(1)))
    vectors = np.stack([vector(0), vector(0), vector(1)])
    assert find_duplicates(prints, vectors).groups == ()
    found = find_duplicates(prints, vectors, mirrored=True)
    assert [(pair.first, pair.second, pair.kind) for pair in found.pairs] == [(0, 1, "mirrored")]


def test_a_picture_of_one_colour_is_like_nothing():
    flat = [encode(Image.new("RGB", (200, 160), (shade, shade, shade))) for shade in (10, 11, 200)]
    assert find_duplicates(table(*flat), np.ones((3, 4), np.float32)).groups == ()


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_photographs_have_no_duplicates(count):
    prints = table(*[jpeg(scene(0))] * count)
    assert find_duplicates(prints, np.ones((count, 4), np.float32)) == Duplicates((), ())


def test_blocks_give_the_same_as_one_product(monkeypatch):
    pictures = [scene(seed) for seed in range(10)]
    prints = table(*map(jpeg, pictures), *[jpeg(picture, 40) for picture in reversed(pictures)])
    vectors = np.stack([vector(seed) for seed in [*range(10), *reversed(range(10))]])
    whole = find_duplicates(prints, vectors)
    monkeypatch.setattr("retrain.alike.candidates._BLOCK", 3)
    assert find_duplicates(prints, vectors) == whole
    assert len(whole.groups) == 10


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4), max_size=9))
def test_groups_hold_together_by_one_pair_fewer_than_members(kinds):
    found = find_duplicates(gathered([str(kind) for kind in kinds], [SCENES[kind] for kind in kinds]))
    assert found.groups == tuple(
        tuple(rows)
        for kind in dict.fromkeys(kinds)
        if len(rows := [row for row, other in enumerate(kinds) if other == kind]) > 1
    )
    assert len(found.pairs) == sum(len(group) - 1 for group in found.groups)


SCENES = [fingerprint(jpeg(scene(seed, (40, 32)))) for seed in range(5)]


def test_a_cut_is_like_the_whole_whichever_comes_first():
    pictures = [scene(0), scene(0).crop((8, 0, 192, 155)), scene(1)]
    thumbnails = np.stack([fingerprint(jpeg(picture)).thumbnail for picture in pictures])
    first, second = np.array([0, 1, 0]), np.array([1, 0, 2])
    found = likenesses(thumbnails, first, second, 2.0)
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert found[0] > 0.7 > 0.5 > found[2]


def test_findings_say_where_a_pair_lies():
    pairs = (Pair(0, 1, "exact", 1.0), Pair(0, 2, "near", 0.9), Pair(3, 4, "near", 0.8))
    found = Duplicates(pairs, ((0, 1, 2), (3, 4)))
    findings = duplicate_findings(found, list("abcde"), [0, 0, 1, 1, 1], [0, 0, 0, 0, 2])
    assert [(one.severity, one.kind, one.examples, one.count) for one in findings] == [
        (NOTE, "exact-duplicate", ("a = b",), 1),
        (COSTS, "near-duplicate-across-sides", ("d = e",), 1),
        (COSTS, "near-duplicate-across-classes", ("a = c",), 1),
        (NOTE, "near-duplicate", ("d = e",), 1),
    ]
    assert not any("across-sides" in one.kind for one in duplicate_findings(found, list("abcde"), [0, 0, 1, 1, 1]))
    assert duplicate_findings(Duplicates((), ()), [], []) == []


def test_the_table_ties_each_photograph_to_another_of_its_group():
    # A tree in which going through the pairs in order would leave one out.
    pairs = (Pair(0, 4, "near", 0.9), Pair(1, 3, "near", 0.9), Pair(2, 3, "exact", 1.0), Pair(2, 4, "near", 0.7))
    found = Duplicates(pairs, ((0, 1, 2, 3, 4),))
    rows = list(csv.DictReader(io.StringIO(duplicates_csv(found, ["=a", *"bcde"], ["x"] * 5))))
    assert [(row["path"], row["kind"], row["like"]) for row in rows] == [
        ("'=a", "", ""),
        ("b", "near", "d"),
        ("c", "near", "e"),
        ("d", "exact", "c"),
        ("e", "near", "'=a"),
    ]
    assert {row["group"] for row in rows} == {"1"}


def test_a_fingerprint_says_what_the_file_is():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = 6, "Seestar", "S50"
    one = fingerprint(encode(scene(0), "JPEG", quality=50, exif=exif))
    assert (one.format, one.camera, one.width, one.height) == ("JPEG", "Seestar S50", 160, 200)
    assert one.compression > fingerprint(jpeg(scene(0), 90)).compression > 1
    png = fingerprint(encode(Image.new("RGB", (40, 30), (255, 0, 0))))
    assert (png.format, png.camera, png.compression, png.contrast, png.entropy) == ("PNG", "", 0.0, 0.0, 0.0)
    assert png.brightness == pytest.approx(76.2, abs=0.1)


def test_a_fingerprint_sees_a_frame_and_a_blur():
    plain, framed = fingerprint(encode(scene(0))), fingerprint(encode(ImageOps.expand(scene(0), 6, (9, 9, 9))))
    assert plain.border_spread > 10
    assert (framed.border, framed.border_spread) == (pytest.approx(9, abs=1), pytest.approx(0, abs=1))
    blurred = fingerprint(encode(scene(0).filter(ImageFilter.GaussianBlur(6))))
    assert blurred.sharpness < plain.sharpness - 0.5


def test_a_hash_does_not_see_size_or_compression():
    bits = [fingerprint(content).bits for content in (jpeg(scene(0)), jpeg(scene(0).resize((90, 70)), 50))]
    assert (bits[0] != bits[1]).sum() <= 6
    assert (bits[0] != fingerprint(jpeg(scene(1))).bits).sum() > 14
    assert hash_bits(np.zeros((2, 32, 32), np.uint8)).shape == (2, HASH_BITS)


def test_the_table_keeps_order_and_says_what_was_refused():
    refused = [ImageError("not an image", "b'no'"), ImageError("unreadable", "gone")]
    found = [fingerprint(jpeg(scene(1))), refused[0], fingerprint(encode(noise(5, 7))), refused[1]]
    prints = gathered(["a/1.jpg", "a/2.jpg", "a/3.png", "a/4.jpg"], found)
    assert (prints.paths, prints.places.tolist(), list(prints.refused)) == (("a/1.jpg", "a/3.png"), [0, 2], [1, 3])
    assert len(prints) == 2
    assert "not an image" in prints.refused[1]
    assert prints.numbers["width"].tolist() == [200, 7]


def test_every_field_of_a_fingerprint_is_in_the_table():
    prints = table(jpeg(scene(0)))
    held = {"sha256", "bits", "thumbnail", "format", "camera", *prints.numbers}
    assert {one.name for one in fields(Fingerprint)} == held


def test_bytes_that_are_no_image_are_refused():
    with pytest.raises(ImageError):
        fingerprint(b"\xff\xd8\xff no")
