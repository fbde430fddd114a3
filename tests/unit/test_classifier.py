import io
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from label_support import COLOURS, by_colour, patch
from PIL import Image
from support import encode, noise

from retrain.classifier import Classifier, Guess, Result
from retrain.errors import ImageError


@pytest.fixture(scope="module")
def classifier():
    return by_colour()


def kinds_of(pixels, folder):
    """One picture in every way that a program can hold it."""
    data = encode(pixels)
    path = folder / "x.png"
    path.write_bytes(data)
    return {
        "path": path, "name": str(path), "bytes": data, "bytearray": bytearray(data), "array": pixels,
        "strided array": np.repeat(pixels, 2, axis=1)[:, ::2], "picture": Image.fromarray(pixels),
        "lazy picture": Image.open(io.BytesIO(data)),
    }  # fmt: skip


def test_every_kind_of_image_goes_through_the_same_resize(classifier, tmp_path):
    kinds = kinds_of(noise(37, 51), tmp_path)
    expected = classifier.scores(kinds["path"])
    for kind, image in kinds.items():
        assert np.array_equal(classifier.scores(image), expected), kind


def test_a_picture_is_turned_upright_and_stays_as_it_is(classifier):
    pixels = np.concatenate([patch("red", 64), patch("blue", 64)], axis=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(pixels, "JPEG", exif=exif, quality=95)
    with Image.open(io.BytesIO(data)) as picture:
        assert np.array_equal(classifier.scores(picture), classifier.scores(data))
        assert picture.size == (128, 64)


def test_modes_of_pictures_are_converted_as_those_of_files_are(classifier):
    picture = Image.fromarray(noise(9, 9)).convert("P")
    assert np.array_equal(classifier.scores(picture), classifier.scores(encode(picture)))
    grey = Image.fromarray(noise(9, 9)[..., 0])
    assert np.array_equal(classifier.scores(grey), classifier.scores(encode(grey)))


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_an_array_of_another_kind_is_an_image_error_that_says_so(classifier, array):
    with pytest.raises(ImageError, match=r"expected uint8 \(H, W, 3\), RGB, got"):
        classifier.scores(array)


def test_a_picture_of_a_damaged_file_is_an_image_error(classifier):
    data = encode(noise(64, 64), "JPEG")[:-1000]
    with Image.open(io.BytesIO(data)) as picture, pytest.raises(ImageError, match="damaged: JPEG"):
        classifier.scores(picture)


def test_what_is_no_image_at_all_is_a_type_error(classifier):
    with pytest.raises(TypeError, match="expected a path, bytes, a uint8 array or a Pillow image, got int"):
        classifier.scores(7)


def test_top_k_gives_the_best_and_none_gives_all(classifier):
    assert classifier.classify(patch("green"))[0].label == "green"
    assert len(classifier.classify(patch("green"))) == 3
    assert [type(guess) for guess in classifier.classify(patch("green"), top_k=1)] == [Guess]
    assert len(classifier.classify(patch("green"), top_k=9)) == 3
    with pytest.raises(ValueError, match="expected top_k to be 1 or more, got 0"):
        classifier.classify(patch("green"), top_k=0)


@pytest.mark.parametrize("threads", [0, 1, 5])
def test_many_come_in_order_with_index_path_guesses_and_error(classifier, tmp_path, threads):
    path = tmp_path / "blue.png"
    path.write_bytes(encode(patch("blue")))
    images = [patch("red"), path, b"no image", str(tmp_path / "gone.png"), Image.fromarray(patch("green"))]
    results = list(classifier.classify_many(images, threads=threads, top_k=1))
    assert [result.index for result in results] == [0, 1, 2, 3, 4]
    assert [result.path for result in results] == [None, str(path), None, str(tmp_path / "gone.png"), None]
    assert [result.guesses[0].label if result.guesses else None for result in results] == [
        "red", "blue", None, None, "green",
    ]  # fmt: skip
    assert [result.error and result.error.reason for result in results] == [
        None, None, "not an image", "unreadable", None,
    ]  # fmt: skip
    assert isinstance(results[0], Result)


def test_many_may_have_no_end(classifier):
    images = itertools.cycle(patch(colour) for colour in COLOURS)
    results = classifier.classify_many(images, in_flight=4)
    named = [next(results).guesses[0].label for _ in range(30)]
    assert named == list(COLOURS) * 10
    before = threading.active_count()
    results.close()
    assert threading.active_count() < before


def test_an_array_of_images_is_many_and_one_image_is_not(classifier):
    stack = np.stack([patch(colour) for colour in COLOURS])
    assert [result.guesses[0].label for result in classifier.classify_many(stack)] == list(COLOURS)
    for one in ("x.png", b"x", patch("red"), Image.fromarray(patch("red"))):
        with pytest.raises(TypeError, match=r"got a single one; classify\(\) takes it"):
            classifier.classify_many(one)


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"threads": -1}, {"in_flight": 0}])
def test_numbers_out_of_range_are_refused_before_anything_is_begun(classifier, wrong):
    with pytest.raises(ValueError, match="expected top_k from 1, threads from 0, in_flight from 1"):
        classifier.classify_many([], **wrong)


def test_a_mistake_of_the_program_is_raised_and_not_hidden_in_a_result(classifier):
    with pytest.raises(TypeError, match="got NoneType"):
        list(classifier.classify_many([patch("red"), None]))


def test_one_classifier_serves_many_threads(classifier):
    pictures = [noise(20, 20, seed) for seed in range(40)]
    expected = [classifier.scores(picture) for picture in pictures]
    with ThreadPoolExecutor(8) as pool:
        for scores, wanted in zip(pool.map(classifier.scores, pictures), expected, strict=True):
            assert np.array_equal(scores, wanted)


def test_bytes_that_are_too_many_are_refused_as_a_file_is(classifier, monkeypatch):
    from dataclasses import replace

    from retrain import classifier as module

    monkeypatch.setattr(module, "LIMITS", replace(module.LIMITS, max_bytes=10))
    with pytest.raises(ImageError, match="too large: 11 bytes"):
        classifier.scores(b"x" * 11)


def test_open_is_there_for_the_package(classifier):
    import retrain

    assert retrain.Classifier is Classifier
