"""``python -m retrain doctor`` as a person types it."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from conftest import PHOTOS, Place, python
from support import encode, noise, write_tree

pytestmark = pytest.mark.tensorflow  # the backbone is converted once
PHOTO = encode(noise(64, 64))


def doctor(place: Place, *words: str | Path):
    return python("-m", "retrain", "doctor", "--model_dir", place.model_dir, *words, cwd=place.folder)


@pytest.fixture
def photos(place: Place) -> Path:
    many = {f"{i}.png": encode(noise(64, 64, i)) for i in range(30)}
    return write_tree(place.folder / "photos", {"cats": many, "dogs": dict(reversed(many.items()))})


def test_the_photographs_of_the_repository_are_sound(place: Place) -> None:
    run = doctor(place, "--image_dir", PHOTOS, "--strict")
    assert "STOPS A RUN: nothing found" in run.stdout, run.stderr
    assert "measured on a sample of them" in run.stdout
    facts = json.loads((place.folder / "tf_files/doctor/doctor.json").read_text())
    assert facts["prediction"]["photographs"] == sum(row["readable"] for row in facts["classes"]) > 0
    costs = [one for one in facts["findings"] if one["severity"] != "worth knowing"]
    assert run.returncode == (1 if costs else 0)


def test_what_is_wrong_is_said_and_written_and_ends_with_1_where_strict(place: Place, photos: Path) -> None:
    (photos / "cats" / "=cut.png").write_bytes(PHOTO[:500])
    os.mkfifo(photos / "cats" / "pipe.png")
    (photos / "cats" / "new\nline.png").write_bytes(b"\x1b[31mred")
    run = doctor(place, "--image_dir", photos, "--output_dir", "said")
    assert run.returncode == 0, run.stderr
    assert "\x1b" not in run.stdout + run.stderr
    assert "cut off before its end" in run.stdout
    assert "Wrote said/doctor.json, said/bad_images.csv, said/duplicates.csv" in run.stdout
    rows = list(csv.DictReader(io.StringIO((place.folder / "said/bad_images.csv").read_text())))
    assert {row["path"]: row["reason"] for row in rows} == {
        "cats/=cut.png": "truncated",
        "cats/new\\nline.png": "not-an-image",
    }
    assert doctor(place, "--image_dir", photos, "--strict").returncode == 1


def test_the_cache_is_filled_and_what_is_there_twice_is_listed(place: Place, photos: Path) -> None:
    first = doctor(place, "--image_dir", photos)
    assert "60 of 60 photographs are not cached yet" in first.stdout, first.stderr
    assert "60 bottlenecks in use, cached in tf_files/bottlenecks" in first.stdout
    assert "by looks and by the features of mobilenet_0.50_224" in first.stdout
    facts = json.loads((place.folder / "tf_files/doctor/doctor.json").read_text())
    found = {one["kind"]: one for one in facts["findings"]}
    assert found["exact-duplicate-across-classes"]["count"] == 30
    rows = list(csv.DictReader(io.StringIO((place.folder / "tf_files/doctor/duplicates.csv").read_text())))
    assert len(rows) == 60
    second = doctor(place, "--image_dir", photos, "--no_features")
    assert "60 bottlenecks in use" not in second.stdout
    assert "by looks alone (--no_features)" in second.stdout
    assert len(list((place.folder / "tf_files/bottlenecks").glob("doctor-*.sqlite"))) == 1
    told = []
    for words in ([], ["--verify_cache"], ["--archive_max_files", "5"]):  # what is kept says the same as the files
        assert doctor(place, "--image_dir", photos, *words).returncode == 0
        said = json.loads((place.folder / "tf_files/doctor/doctor.json").read_text())
        del said["prediction"]  # of a clock
        told.append(said)
    assert told[0] == told[1] == told[2]


def test_an_archive_is_unpacked_and_looked_at_as_its_folder(place: Place, photos: Path) -> None:
    with zipfile.ZipFile(place.folder / "photos.zip", "w") as packed:
        for path in sorted(photos.rglob("*.png")):
            packed.write(path, path.relative_to(photos))
    run = doctor(place, "--image_dir", "photos.zip", "--no_features", "--archive_max_files", "59")
    assert run.returncode == 2
    assert "at most 59 files, got 60; raise --archive_max_files" in run.stderr
    assert not (place.folder / "tf_files/unpacked").exists()
    run = doctor(place, "--image_dir", "photos.zip", "--no_features", "--archive_max_files", "60")
    assert "A run would use 60 photographs in 2 classes" in run.stdout, run.stderr


def test_a_whole_disk_is_refused_unread(place: Place) -> None:
    run = doctor(place, "--image_dir", Path(place.folder.anchor), "--output_dir", "said")
    assert run.returncode == 2
    assert "which is a whole disk" in run.stderr


def test_all_that_cannot_be_done_is_listed_and_nothing_is_written(place: Place, photos: Path) -> None:
    run = doctor(place, "--image_dir", "phtos", "--architecture", "mobilnet", "--output_dir", photos / "cats" / "1.png")
    assert run.returncode == 2
    for said in ("3 problems", "did you mean photos", "mobilnet", "it is a file, not a folder"):
        assert said in run.stderr
    inside = doctor(place, "--image_dir", photos, "--output_dir", photos / "said")
    assert inside.returncode == 2
    assert "where every folder is looked into" in inside.stderr
    assert sorted(path.name for path in place.folder.iterdir()) == ["photos"]
