"""What a run says beyond its accuracy, through the command lines: unknown, sets, evidence, suspects, fix and compare."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, Place, Trained, python
from PIL import Image

from retrain.modelfile import read_graph_bundle

pytestmark = pytest.mark.tensorflow


def noise(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).resize((256, 256)).save(path)
    return path


def test_a_run_leaves_its_memory_and_the_model_names_its_hash(trained: Trained) -> None:
    folder = trained.place.folder / "tf_files"
    bundle = read_graph_bundle(folder / "retrained_graph.pb")
    memory = (folder / "retrained_graph.memory.npz").read_bytes()
    assert hashlib.sha256(memory).hexdigest() == bundle.unknown["memory_sha256"]
    assert bundle.unknown["false_alarms"] == 0.05
    assert bundle.sets["coverage"] == 0.9
    with (folder / "retrained_graph.suspects.csv").open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["path", "label", "suggested", "score", "likely", "accept"]


def test_noise_is_unknown_and_a_training_photograph_is_its_own_nearest(trained: Trained, tmp_path: Path) -> None:
    place = trained.place
    said = place.label("--image", noise(tmp_path / "noise.png")).stdout
    assert "unknown (nearest: " in said
    photograph = sorted((PHOTOS / "open cluster").iterdir())[0]
    out = place.label("--image", photograph, "--format=json", "--evidence", "--sets", "--heat_map", tmp_path / "maps")
    (fact,) = json.loads(out.stdout)
    assert fact["set"]
    assert len(fact["nearest"]) == 3
    assert [path.suffix for path in (tmp_path / "maps").iterdir()] == [".png"]


def test_mislabelled_photographs_are_suspected_moved_and_put_back(place: Place, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(PHOTOS, photos)
    flipped = sorted((photos / "globular cluster").glob("m1*.jpg"))[:3]
    for path in flipped:
        path.rename(photos / "open cluster" / path.name)
    assert place.retrain(image_dir=photos).returncode == 0
    table = place.folder / "tf_files/retrained_graph.suspects.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {Path(row["path"]).name for row in rows if row["suggested"] == "globular cluster"}
    assert len(names & {path.name for path in flipped}) >= 2
    for row in rows:
        row["accept"] = "yes" if Path(row["path"]).name in {path.name for path in flipped} else ""
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    shutil.copytree(place.folder / "tf_files", tmp_path / "before")
    done = python("-m", "retrain", "fix", "--apply", tmp_path / "before/retrained_graph.suspects.csv", cwd=place.folder)
    assert done.returncode == 0, done.stderr
    assert "photographs have another label than before" in done.stdout
    assert "McNemar's exact test" in done.stdout
    compared = python("-m", "retrain", "compare", tmp_path / "before", "tf_files", "--json", cwd=place.folder)
    facts = json.loads(compared.stdout)
    assert facts["relabelled"] >= 2
    assert facts["judged_by"] == "cross-validation"
    assert facts["compared"] == 84
    assert facts["right_after"] > 60
    undone = python("-m", "retrain", "fix", "--undo", "--no_refit", cwd=place.folder)
    assert undone.returncode == 0, undone.stderr
    assert all((photos / "open cluster" / path.name).exists() for path in flipped)
