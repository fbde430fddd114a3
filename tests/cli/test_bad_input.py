"""What a person gets wrong: one exit code, every problem at once, no traceback, nothing written."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import environment
from conftest import PHOTOS, Place
from PIL import Image

NOISE = np.random.default_rng(0)


def make_photo(path: Path, size: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(NOISE.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(path, "JPEG")


def test_all_problems_are_listed_at_once_and_nothing_is_written(tmp_path: Path, model_dir: Path) -> None:
    place = Place(tmp_path, model_dir)
    (tmp_path / "photos" / "only one").mkdir(parents=True)
    run = place.retrain(
        "--testing_percentage=120", "--learning-rate", "fast", "--architecture=mobilenet_0.50_225", "--random_crop=101",
        "--output_labels=photos", "--colour", "red", image_dir="photos",
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.splitlines() == [
        "retrain: 9 problems:",
        "  - unknown flag --colour; did you mean --random_colour?",
        "  - expected --learning_rate to be a number, got 'fast'; its default is -1",
        "  - expected --testing_percentage to be 0 to 99, got --testing_percentage=120; see --help for its meaning and default",
        "  - expected --random_crop to be 0 to 100, got --random_crop=101; see --help for its meaning and default",
        "  - cannot write --output_labels=photos: it is a folder, not a file; choose another place",
        "  - --output_labels=photos lies inside --image_dir=photos, where every folder is a class; choose a place outside",
        "  - expected --architecture to be a row of `python -m retrain backbones`, got 'mobilenet_0.50_225'; did you mean mobilenet_0.50_224?",
        "  - class folder 'photos/only one' holds no images; put photographs into it or take it away",
        "  - Only one valid folder of images found at photos - multiple classes are needed for classification: make one sub-folder a class and put its photographs there",
    ]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["only one", "photos"]


def test_a_misspelt_folder_is_answered_with_the_nearest(place: Place) -> None:
    (place.folder / "cluster_photos").mkdir()
    run = place.retrain("--architecture=mobilenet_0.50_244", image_dir="cluster_photo")
    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        "retrain: 2 problems:",
        "  - Image directory 'cluster_photo' not found; did you mean cluster_photos?; check the spelling and the current "
        "folder",
        "  - expected --architecture to be a row of `python -m retrain backbones`, got 'mobilenet_0.50_244'; "
        "did you mean mobilenet_0.50_224?",
    ]


def test_one_class_and_an_empty_class_are_refused(place: Place) -> None:
    make_photo(place.folder / "photos/one/1.jpg")
    run = place.retrain(image_dir="photos")
    assert run.returncode == 2
    assert run.stderr == (
        "retrain: Only one valid folder of images found at photos - multiple classes are needed for classification: make "
        "one sub-folder a class and put its photographs there\n"
    )
    (place.folder / "photos/two/deep").mkdir(parents=True)
    run = place.retrain(image_dir="photos")
    assert run.returncode == 2
    assert run.stderr == (
        "retrain: class folder 'photos/two' holds no images (its sub-folder 'deep' is not read: photographs must lie "
        "directly in it, or --recursive be given); put photographs into it or take it away\n"
    )
    assert not (place.folder / "tf_files").exists()


@pytest.mark.tensorflow
def test_broken_and_misnamed_images_are_skipped_counted_and_listed(place: Place) -> None:
    photos = place.folder / "photos"
    shutil.copytree(PHOTOS, photos)
    good = (PHOTOS / "open cluster/m44.jpg").read_bytes()
    (photos / "open cluster/cut.jpg").write_bytes(good[: len(good) // 2])
    (photos / "open cluster/text.jpg").write_text("not a photograph")
    (photos / "open cluster/empty.png").write_bytes(b"")
    (photos / "open cluster/notes.txt").write_text("left out by its suffix")
    Image.open(
        PHOTOS / "open cluster/m45.jpg"
        if (PHOTOS / "open cluster/m45.jpg").exists()
        else PHOTOS / "open cluster/m44.jpg"
    ).rotate(5).save(photos / "open cluster/png inside.jpg", "PNG")
    run = place.retrain("--how_many_training_steps=10", image_dir="photos")
    assert run.returncode == 0, run.stderr
    assert "WARNING: left out 1: suffix of no known image format" in run.stdout
    listing = "tf_files/retrained_graph.skipped.csv"
    assert f"WARNING: skipped 3 files (1 damaged, 1 empty, 1 not an image), listed in {listing}" in run.stdout
    rows = (place.folder / listing).read_text().splitlines()
    assert rows[0] == "path,reason,detail"
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["open cluster/cut.jpg", "damaged"],
        ["open cluster/empty.png", "empty"],
        ["open cluster/text.jpg", "not an image"],
    ]
    assert "85 bottleneck files created" in run.stdout


@pytest.mark.tensorflow
def test_too_many_broken_images_stop_the_run_with_the_flag_that_allows_them(place: Place) -> None:
    for name in ("a", "b"):
        for number in range(6):
            make_photo(place.folder / f"photos/{name}/{number}.jpg")
        (place.folder / f"photos/{name}/broken.jpg").write_bytes(b"nothing")
    run = place.retrain(image_dir="photos")
    assert run.returncode == 3
    assert run.stderr == (
        "retrain: too many images cannot be read: 2 of 14 (2 not an image), at most 5 % may be: a/broken.jpg (not an image); "
        "b/broken.jpg (not an image). Mend or remove them, or raise --max_skipped_percentage.\n"
    )
    assert (place.folder / "tf_files/retrained_graph.skipped.csv").exists()
    assert not (place.folder / "tf_files/retrained_graph.pb").exists()
    again = place.retrain("--max_skipped_percentage=20", "--how_many_training_steps=5", image_dir="photos")
    assert again.returncode == 0, again.stderr


@pytest.mark.tensorflow
def test_a_learning_rate_that_leaves_the_numbers_exports_nothing(place: Place) -> None:
    run = place.retrain("--learning_rate=1e30")
    assert run.returncode == 7
    assert "training left the numbers. Lower --learning_rate" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (place.folder / "tf_files/retrained_graph.pb").exists()


@pytest.mark.tensorflow
@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_what_was_done_and_the_same_command_goes_on(place: Place, number: int, code: int) -> None:
    for index in range(3000):
        make_photo(place.folder / f"photos/{'ab'[index % 2]}/{index}.jpg", 48)
    assert place.retrain("--how_many_training_steps=1").returncode == 0  # so that the backbone is converted
    words = [sys.executable, "-m", "retrain", *place.flags("photos"), "--how_many_training_steps=10"]
    child = subprocess.Popen(
        words, cwd=place.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    cache = next((place.folder / "tf_files/bottlenecks").glob("mobilenet*.sqlite"))
    while count_vectors(cache) < 84 + 300 and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(number)
    start = time.monotonic()
    _, stderr = child.communicate(timeout=20)
    assert time.monotonic() - start < 10
    assert child.returncode == code
    assert "what was cached is kept, the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    kept = count_vectors(cache) - 84
    assert 300 <= kept < 3000
    assert not list(place.folder.rglob("*.tmp"))
    again = place.retrain("--how_many_training_steps=10", "--cross_validation_folds=0", image_dir="photos")
    assert again.returncode == 0, again.stderr
    assert f"{3000 - kept} bottleneck files created. 3000 bottlenecks in use" in again.stdout


def count_vectors(cache: Path) -> int:
    with contextlib.closing(sqlite3.connect(cache)) as db:
        return int(db.execute("SELECT count(*) FROM vectors").fetchone()[0])


def test_label_image_lists_all_problems_at_once(place: Place) -> None:
    run = place.label(
        "--image", "nothing.jpg", "--graph", "nowhere.pb", "--input_height=7", "--input_std=0", "--lables=x"
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.splitlines() == [
        "label_image: 5 problems:",
        "  - unknown flag --lables; did you mean --labels?",
        "  - expected --input_height to be 32 to 4096, got 7; leave it away to use the model's own",
        "  - expected --input_std to be other than 0, got 0; leave it away to use the model's own",
        "  - expected --image to be a file, but nothing.jpg is not there; check the spelling",
        "  - expected --graph to be a .pb, .tflite, .lite or .onnx file, or the folder of a SavedModel, but nowhere.pb is not there; train one with python -m retrain",
    ]
