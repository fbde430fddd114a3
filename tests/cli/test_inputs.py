"""Runs on what is not a plain folder of class folders: an archive, a list, nested folders."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from conftest import PHOTOS, ROOT, Place, Trained, python

pytestmark = pytest.mark.tensorflow

QUICK = ("--how_many_training_steps=50", "--cross_validation_folds=0")
STEM = "tf_files/retrained_graph"


def photographs() -> list[Path]:
    return sorted(path for path in PHOTOS.glob("*/*") if path.suffix == ".jpg")


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / f"{STEM}.split.csv").read_text().splitlines()))


def what_lies_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_zip_is_as_good_as_its_folder_and_can_be_exported_later(place: Place, trained: Trained) -> None:
    archive = place.folder / "photos.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in photographs():
            packed.write(path, path.relative_to(PHOTOS.parent))
    run = place.retrain(image_dir="photos.zip")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[:3] == [
        "Unpacking photos.zip into tf_files/unpacked, once.",
        "Looking for images in 'globular cluster': 46",
        "Looking for images in 'open cluster': 38",
    ]
    # The same photographs in the same order: the same split, and the same model, bit for bit.
    assert rows(place.folder) == rows(trained.place.folder)
    assert (place.folder / f"{STEM}.tflite").read_bytes() == trained.graph.with_suffix(".tflite").read_bytes()
    metrics = json.loads((place.folder / f"{STEM}.metrics.json").read_text())
    assert metrics["config"]["image_dir"] == "photos.zip"
    assert Path(metrics["image_root"]).parts[:2] == ("tf_files", "unpacked")
    (unpacked,) = (path.stem for path in (place.folder / "tf_files/unpacked").glob("*.json"))
    assert {path.name for path in (place.folder / "tf_files/unpacked").iterdir()} == {unpacked, f"{unpacked}.json"}
    again = place.retrain(*QUICK, image_dir="photos.zip")
    assert "Unpacking" not in again.stdout
    assert "0 bottleneck files created. 84 bottlenecks in use" in again.stdout
    shutil.rmtree(place.folder / "tf_files/unpacked")
    export = python("-m", "retrain", "export", f"{STEM}.pb", "--format", "tflite_fp16", cwd=place.folder)
    assert export.returncode == 0, export.stderr
    archive.unlink()
    export = python("-m", "retrain", "export", f"{STEM}.pb", "--format", "tflite_fp16", cwd=place.folder)
    assert export.returncode == 0, export.stderr  # what is unpacked is enough


def test_a_list_keeps_its_labels_and_its_photographs_are_found_by_an_export(place: Place) -> None:
    lines = ["path,label", *(f"{path.relative_to(PHOTOS)},{path.parent.name.title()} !" for path in photographs())]
    (place.folder / "list.csv").write_text("\n".join(lines) + "\n")
    run = place.retrain("--image_list", "list.csv", *QUICK)
    assert run.returncode == 0, run.stderr
    labels = (place.folder / "tf_files/retrained_labels.txt").read_text().splitlines()
    assert labels == ["Globular Cluster !", "Open Cluster !"]
    assert Counter(row["label"] for row in rows(place.folder)) == {labels[0]: 46, labels[1]: 38}
    export = python("-m", "retrain", "export", f"{STEM}.pb", "--format", "tflite_fp16", cwd=place.folder)
    assert export.returncode == 0, export.stderr
    label = place.label("--image", ROOT / "tf_files/test_photos/1.jpg")
    assert label.returncode == 0, label.stderr


def test_nested_folders_belong_to_their_class(place: Place) -> None:
    for number, path in enumerate(photographs()):
        target = place.folder / "photos" / path.parent.name / f"night {number % 3}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    without = place.retrain(*QUICK, image_dir="photos")
    assert without.returncode == 2
    assert "or --recursive be given" in without.stderr
    run = place.retrain("--recursive", *QUICK, image_dir="photos")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[:2] == [
        "Looking for images in 'globular cluster': 46",
        "Looking for images in 'open cluster': 38",
    ]
    assert rows(place.folder)[0]["path"].startswith("globular cluster/night 0/")


def test_a_hostile_archive_is_refused_with_all_other_problems_and_nothing_is_written(place: Place) -> None:
    with tarfile.open(place.folder / "p.tgz", "w:gz") as packed:
        for name, kind in (("../evil.jpg", tarfile.REGTYPE), ("a/1.jpg", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            packed.addfile(info)
    run = place.retrain("--learning_rate=0", image_dir="p.tgz")
    assert run.returncode == 2
    assert run.stdout == ""
    advice = (
        "so it is not unpacked; pack the photographs again, or, if you trust it, unpack it yourself and give the folder "
        "as --image_dir"
    )
    assert run.stderr.splitlines() == [
        "retrain: 3 problems:",
        "  - expected --learning_rate above 0, or -1 for its usual value, got 0",
        f"  - p.tgz: its member '../evil.jpg' leads out of the folder that it is unpacked into, {advice}",
        f"  - p.tgz: its member 'a/1.jpg' is a symbolic link, {advice}",
    ]
    assert what_lies_in(place.folder) == {"p.tgz"}


@pytest.mark.skipif(os.name == "nt", reason="no Ctrl-C for one process there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_unpacking_leaves_nothing(place: Place, number: int, code: int) -> None:
    with zipfile.ZipFile(place.folder / "p.zip", "w") as packed:
        for index in range(20_000):
            packed.writestr(f"{'ab'[index % 2]}/{index}.jpg", b"x")
    command = [sys.executable, "-m", "retrain", *place.flags("p.zip"), "--archive_max_files=20000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=place.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "Unpacking p.zip into tf_files/unpacked, once.\n"
        while not any((place.folder / "tf_files/unpacked").glob(".staging.*/*/*/1*.jpg")):
            assert run.poll() is None
        run.send_signal(number)
        _, said = run.communicate(timeout=60)
    assert run.returncode == code
    assert "Traceback" not in said
    assert what_lies_in(place.folder) == {"p.zip"}
