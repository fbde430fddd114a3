"""label_image gives a photograph the scores that the training gave it, in whatever format the file is."""

import contextlib
import csv
import hashlib
import io
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from commands import python
from PIL import Image
from support import scene

from retrain.graphs.checked import find_constant, parse_graph

pytestmark = pytest.mark.tensorflow

MOST = 1e-5
ROTATED, ORIENTATION = 6, 0x0112


def variants(picture: Image.Image) -> dict[str, bytes]:
    """One picture in each of the formats that are read, and in the odd ways that they have."""
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED
    alpha = picture.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(picture.size))
    grey = picture.convert("L")
    deep = (np.asarray(grey, np.uint16) * 257).astype(np.uint16)
    palette = picture.quantize(64)
    made: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "plain.jpg": (picture, "JPEG", {"quality": 90}),
        "progressive.jpg": (picture, "JPEG", {"progressive": True, "quality": 80, "subsampling": 0}),
        "grey.jpg": (grey, "JPEG", {}),
        "cmyk.jpg": (picture.convert("CMYK"), "JPEG", {}),
        "turned.jpg": (picture, "JPEG", {"exif": exif, "quality": 90}),
        "large.jpg": (picture.resize((1400, 1100)), "JPEG", {"quality": 85}),
        "plain.png": (picture, "PNG", {}),
        "alpha.png": (alpha, "PNG", {}),
        "grey_alpha.png": (alpha.convert("LA"), "PNG", {}),
        "palette.png": (palette, "PNG", {}),
        "transparent_palette.png": (palette, "PNG", {"transparency": 3}),
        "one_bit.png": (picture.convert("1"), "PNG", {}),
        "sixteen_bit.png": (Image.fromarray(deep), "PNG", {}),
        "turned.png": (picture, "PNG", {"exif": exif}),
        "plain.bmp": (picture, "BMP", {}),
        "palette.bmp": (palette, "BMP", {}),
        "plain.gif": (palette, "GIF", {}),
        "moving.gif": (palette, "GIF", {"save_all": True, "append_images": [picture.rotate(90).quantize(64)]}),
        "plain.webp": (picture, "WEBP", {"quality": 80}),
        "exact.webp": (picture, "WEBP", {"lossless": True}),
        "alpha.webp": (alpha, "WEBP", {"quality": 80}),
        "turned.webp": (picture, "WEBP", {"exif": exif}),
        "wrong_name.jpg": (picture, "PNG", {}),
        "tiny.png": (picture.resize((3, 2)), "PNG", {}),
    }
    found = {}
    for name, (image, kind, options) in made.items():
        file = io.BytesIO()
        image.save(file, kind, **options)
        found[name] = file.getvalue()
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity")
    for seed, kind in enumerate(("one", "two")):
        (folder / "photos" / kind).mkdir(parents=True)
        for name, data in variants(scene(seed)).items():
            (folder / "photos" / kind / name).write_bytes(data)
    words = ["--image_dir=photos", "--model_dir=models", "--offline", "--how_many_training_steps=200"]
    run = python("-m", "retrain", *words, "--cross_validation_folds=0", "--heat_maps=0", cwd=folder, timeout_s=300)
    assert run.returncode == 0, run.stderr
    return folder


def scores_of_the_training(folder: Path) -> dict[str, np.ndarray]:
    """The cache's vectors through the head that was exported, in double precision: digest -> (C,)."""
    graph = parse_graph((folder / "tf_files" / "retrained_graph.pb").read_bytes())
    nodes = {node.name: node for node in graph.node}
    names = ("final_training_ops/weights/final_weights", "final_training_ops/biases/final_biases")
    weights, biases = (np.asarray(find_constant(nodes, name), np.float64) for name in names)
    (cache,) = (folder / "tf_files" / "bottlenecks").glob("mobilenet*.sqlite")
    with contextlib.closing(sqlite3.connect(cache)) as db:
        rows = db.execute("SELECT sha256, vector FROM vectors").fetchall()
    found = {}
    for sha, vector in rows:
        logits = np.frombuffer(vector, "<f4").astype(np.float64) @ weights + biases
        grown = np.exp(logits - logits.max())
        found[sha.hex()] = grown / grown.sum()
    return found


def test_every_format_has_the_scores_of_the_training(trained):
    expected = scores_of_the_training(trained)
    run = python(
        "-m", "label_image", "--graph", "tf_files/retrained_graph.pb", "--image", "photos", "--format=jsonl",
        cwd=trained, timeout_s=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(rows) == 2 * len(variants(scene(0)))
    differences = {}
    for row in rows:
        given = {one["label"]: one["score"] for one in row["guesses"]}
        sha = hashlib.sha256((trained / row["path"]).read_bytes()).hexdigest()
        differences[row["path"]] = float(np.abs(expected[sha] - [given["one"], given["two"]]).max())
    assert {path: far for path, far in differences.items() if far > MOST} == {}


def test_no_format_was_left_out(trained):
    with (trained / "tf_files" / "retrained_graph.split.csv").open(newline="") as file:
        used = {row["path"] for row in csv.DictReader(file)}
    assert used == {f"{kind}/{name}" for kind in ("one", "two") for name in variants(scene(0))}
