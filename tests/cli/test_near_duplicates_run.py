"""Near duplicates of real photographs, planted: a run keeps each on the side of its original."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from conftest import PHOTOS, Place
from PIL import Image

pytestmark = pytest.mark.tensorflow  # the backbone is converted once
QUICK = ("--how_many_training_steps", "20", "--cross_validation_folds", "0", "--testing_percentage", "30")


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def planted(folder: Path) -> Path:
    """Photographs of the repository, a third of them scaled, a third compressed anew, a third cut by 5 %."""
    for path in sorted(PHOTOS.glob("*/*.jpg")):
        label = folder / path.parent.name
        label.mkdir(parents=True, exist_ok=True)
        (label / path.name).write_bytes(path.read_bytes())
        image = Image.open(path).convert("RGB")
        width, height = image.size
        copies = (
            lambda: jpeg(image.resize((int(width * 0.6), int(height * 0.6)), Image.Resampling.BICUBIC)),  # noqa: B023
            lambda: jpeg(image, 40),  # noqa: B023
            lambda: jpeg(image.crop((int(width * 0.02), 0, int(width * 0.97), int(height * 0.95)))),  # noqa: B023
        )
        number = len(list(label.iterdir()))
        (label / f"{path.stem} again.jpg").write_bytes(copies[number % 3]())
    return folder


def sides(table: Path) -> dict[str, str]:
    return {row["path"]: row["split"] for row in csv.DictReader(io.StringIO(table.read_text()))}


def torn(found: dict[str, str]) -> int:
    again = [path for path in found if path.endswith(" again.jpg")]
    assert len(again) * 2 == len(found) > 100
    return sum(found[path] != found[path.replace(" again", "")] for path in again)


def test_no_planted_near_duplicate_lies_on_two_sides(place: Place) -> None:
    photos = planted(place.folder / "photos")
    run = place.retrain(*QUICK, image_dir=photos)
    assert run.returncode == 0, run.stderr
    table = place.folder / "tf_files" / "retrained_graph.split.csv"
    with_groups = sides(table)
    assert torn(with_groups) == 0
    count = len(with_groups)
    assert f"{count} photographs are near duplicates of others ({count // 2} groups); each group lies" in run.stdout
    assert "tells more" not in run.stdout

    first = table.read_bytes()
    again = place.retrain(*QUICK, "--split_file", table, image_dir=photos)
    assert again.returncode == 0, again.stderr
    assert table.read_bytes() == first

    ignored = place.retrain(*QUICK, "--near_duplicates", "ignore", image_dir=photos)
    assert ignored.returncode == 0, ignored.stderr
    assert torn(sides(table)) > 10
    assert "near duplicates" not in ignored.stdout


def test_a_run_begins_with_what_is_wrong_with_the_folders(place: Place) -> None:
    photos = place.folder / "photos"
    for name in ("cats", "Cats", "dogs"):
        (photos / name).mkdir(parents=True)
        for number, path in enumerate(sorted(PHOTOS.glob("*/*.jpg"))[len(name) :: 12]):
            (photos / name / f"{number}.jpg").write_bytes(path.read_bytes())
    run = place.retrain(*QUICK, image_dir="photos")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    at = lines.index("python -m retrain doctor --image_dir photos tells more")
    assert lines[at - 1].startswith("WARNING: classes whose names differ by case, spaces or Unicode form only")
    assert lines[at + 1].startswith("Backbone ")
