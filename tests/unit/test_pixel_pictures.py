"""Photographs by number: decoded once, read after that; what was decoded is what the rest of the program decodes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import digest, encode, scene

from retrain.errors import ImageError, RetrainError
from retrain.images import InputSpec, SkyStretch, decode_rgb
from retrain.pixels import Pictures, pictures

SPEC = InputSpec(20, 24, 127.5, 127.5)
ROOM = 10**6


@pytest.fixture
def photographs(tmp_path):
    contents = [encode(scene(n), kind) for n, kind in enumerate(["PNG", "JPEG", "WEBP", "BMP", "GIF"])]
    paths = [tmp_path / f"{n}.any" for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return [(str(path), digest(content).hex()) for path, content in zip(paths, contents, strict=True)]


def filled(some, numbers=(0, 1, 2, 3, 4)):
    out = np.zeros((len(numbers), some.spec.height, some.spec.width, 3), np.uint8)
    some.fill(np.array(numbers), out)
    return out


def test_they_are_what_the_one_decode_of_the_project_makes(photographs, tmp_path):
    expected = np.stack([decode_rgb(Path(path).read_bytes(), SPEC) for path, _ in photographs])
    some = Pictures(photographs, SPEC, tmp_path / "kept", ROOM)
    assert (filled(Pictures(photographs, SPEC)) == expected).all()
    for _ in range(2):
        assert (filled(some) == expected).all()
    assert (filled(some, [3, 3, 0]) == expected[[3, 3, 0]]).all()


def test_once_kept_no_file_is_opened(photographs, tmp_path, monkeypatch):
    first = Pictures(photographs, SPEC, tmp_path / "kept", ROOM)
    expected = filled(first)
    assert first.kept == 5
    first.close()
    monkeypatch.setattr(pictures, "read_image_file", lambda path: pytest.fail(path))
    assert (filled(Pictures(photographs, SPEC, tmp_path / "kept", ROOM)) == expected).all()


def test_beyond_the_room_they_are_decoded_each_time(photographs, tmp_path, monkeypatch):
    some = Pictures(photographs, SPEC, tmp_path / "kept", 2 * (20 * 24 * 3 + 40))
    expected = filled(Pictures(photographs, SPEC))
    opened, read = [], pictures.read_image_file
    monkeypatch.setattr(pictures, "read_image_file", lambda path: opened.append(path) or read(path))
    for _ in range(3):
        assert (filled(some) == expected).all()
    assert some.kept == 2
    assert len(opened) == 5 + 3 + 3


def test_copies_are_kept_once(photographs, tmp_path):
    some = Pictures([photographs[0], photographs[1], photographs[0]], SPEC, tmp_path / "kept", ROOM)
    filled(some, [0, 1, 2])
    assert some.kept == 2


def test_one_that_changed_since_the_run_began_is_an_error_with_its_name(photographs, tmp_path):
    path = photographs[2][0]
    Path(path).write_bytes(Path(path).read_bytes() + b"more")
    with pytest.raises(
        RetrainError, match=r"expected .*2\.any to be the photograph that the run began with .* run the"
    ):
        filled(Pictures(photographs, SPEC))


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"text", "not an image"), (None, "unreadable")])
def test_one_that_is_no_image_is_an_error_with_its_name(tmp_path, content, reason):
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"{reason}: .*bad\.jpg: "):
        filled(Pictures([(str(path), digest(content or b"").hex())], SPEC), [0])


def test_a_cut_photograph_is_an_error_with_its_name_and_nothing_is_kept_of_it(photographs, tmp_path):
    data = encode(scene(1), "JPEG")[:-300]
    (tmp_path / "cut.jpg").write_bytes(data)
    some = Pictures([photographs[0], (str(tmp_path / "cut.jpg"), digest(data).hex())], SPEC, tmp_path / "kept", ROOM)
    with pytest.raises(ImageError, match=r"damaged: .*cut\.jpg: JPEG"):
        filled(some, [0, 1])
    assert some.kept == 0


def test_a_stretched_sky_is_kept_apart(tmp_path):
    deep = encode(Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30) * 60), "PNG")
    (tmp_path / "deep.png").write_bytes(deep)
    photographs, sky = [(str(tmp_path / "deep.png"), digest(deep).hex())], replace(SPEC, sky=SkyStretch("minmax"))
    plain, stretched = (filled(Pictures(photographs, s, tmp_path / "kept", ROOM), [0]) for s in (SPEC, sky))
    assert (plain != stretched).any()
    assert (stretched[0] == decode_rgb(deep, sky)).all()
    assert (filled(Pictures(photographs, SPEC, tmp_path / "kept", ROOM), [0]) == plain).all()


def test_photographs_at_urls_are_read_like_others(tmp_path):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    content = encode(scene(4))
    memory.pipe("/pixel_pictures/one.png", content)
    some = Pictures([("memory://pixel_pictures/one.png", digest(content).hex())], SPEC, tmp_path / "kept", ROOM)
    assert (filled(some, [0])[0] == decode_rgb(content, SPEC)).all()
    memory.pipe("/pixel_pictures/one.png", b"other")
    assert (filled(some, [0])[0] == decode_rgb(content, SPEC)).all()
