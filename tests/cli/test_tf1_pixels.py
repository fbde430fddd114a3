"""decode_tf1 against TensorFlow itself: today's with the old names and, where there is one, 1.15."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, ROOT, python
from PIL import Image

from retrain.images import Floats, InputSpec
from retrain.images.tf1 import decode_tf1

pytestmark = pytest.mark.tensorflow

SIZES = [(224, 224), (299, 160)]

# Valid Python 3.7. An operation's own name, since what tf.image.resize means has changed: width by width from the
# corner is `half_pixel_centers=False`. Arguments: answers, then images; the n-th answer of a size is "HEIGHTxWIDTH/n".
RESIZE = f"""
import sys, numpy as np, tensorflow as tf
print(tf.version.VERSION)
old = tf.compat.v1
answers, names = {{}}, sys.argv[2:]
for number, name in enumerate(names):
    with tf.Graph().as_default(), old.Session() as session:
        data = tf.io.read_file(name)
        if name.endswith(".gif"):
            pixels = tf.image.decode_gif(data)[0]
        elif name.endswith(".bmp"):
            pixels = tf.image.decode_bmp(data)
        elif name.endswith(".png"):
            pixels = tf.image.decode_png(data, channels=3)
        else:
            pixels = tf.image.decode_jpeg(data, channels=3)
        images = tf.expand_dims(tf.cast(pixels, tf.float32), 0)
        for size in {SIZES}:
            resized = old.image.resize_bilinear(images, size, align_corners=False, half_pixel_centers=False)
            answers["%dx%d/%d" % (size[0], size[1], number)] = session.run(resized)[0]
np.savez(sys.argv[1], **answers)
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The photographs, and one of them in every format that the codelab's script reads."""
    folder = tmp_path_factory.mktemp("formats")
    picture = Image.open(PHOTOS / "open cluster" / "m44.jpg").convert("RGB").resize((301, 203))
    grey = picture.convert("L")
    for number in range(3):
        picture.save(folder / f"subsampling{number}.jpg", subsampling=number)
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.save(folder / "rgb.jpg", keep_rgb=True)
    grey.save(folder / "grey.jpg")
    picture.convert("CMYK").save(folder / "ink.jpg")
    for image, name in (
        (picture, "rgb"),
        (grey, "grey"),
        (picture.quantize(64), "palette"),
        (picture.convert("1"), "bits"),
    ):
        image.save(folder / f"{name}.png")
    Image.merge("RGBA", (*picture.split(), grey)).save(folder / "alpha.png")
    Image.merge("LA", (grey, grey)).save(folder / "grey_alpha.png")
    # None of its colours is transparent: TensorFlow 1 showed such a colour, today's makes it black.
    picture.quantize(64).save(folder / "palette.gif")
    picture.save(folder / "rgb.bmp")
    photos = [*sorted(PHOTOS.rglob("*.jpg"))[::4], *sorted((ROOT / "tf_files" / "test_photos").glob("*.jpg"))]
    return [*photos, *sorted(folder.iterdir())]


def largest_differences(images: list[Path], answers: Path) -> dict[str, float]:
    """Differences in levels of 0 to 255, by size and name."""
    found = {}
    with np.load(answers) as archive:
        for size in SIZES:
            spec, key = InputSpec(*size, 0.0, 1.0), f"{size[0]}x{size[1]}"
            for number, path in enumerate(images):
                wanted: Floats = archive[f"{key}/{number}"]
                ours = decode_tf1(path.read_bytes(), spec)
                assert ours.shape == wanted.shape
                assert wanted.std() > 1
                found[f"{key} {path.name}"] = float(np.abs(ours - wanted).max())
    return found


def test_today_s_tensorflow_makes_these_pixels_with_its_old_operations(images: list[Path], tmp_path: Path) -> None:
    run = python("-c", RESIZE, tmp_path / "answers.npz", *images)
    assert run.returncode == 0, run.stderr
    found = largest_differences(images, tmp_path / "answers.npz")
    assert len(found) == 2 * len(images) >= 60
    # Its kernels may multiply and add in one step: float32 of 255 is exact to 1.5e-5.
    assert {name: level for name, level in found.items() if level > 1e-4} == {}


def test_tensorflow_1_15_makes_these_pixels_to_the_last_bit(images: list[Path], tmp_path: Path) -> None:
    old = os.environ.get("RETRAIN_TF115_PYTHON")
    if not old:
        pytest.skip("RETRAIN_TF115_PYTHON names no Python 3.7 with TensorFlow 1.15 (see .ci/run)")
    words = [old, "-c", RESIZE, str(tmp_path / "answers.npz"), *map(str, images)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1].startswith("1.15")
    assert {name: level for name, level in largest_differences(images, tmp_path / "answers.npz").items() if level} == {}
