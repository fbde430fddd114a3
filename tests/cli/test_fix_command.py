"""Photographs in the wrong folder: fix moves them and trains again, compare says what that changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import PHOTOS, Place, python

pytestmark = pytest.mark.tensorflow

MOVED = ("m10.jpg", "m13.jpg")


def test_a_fix_moves_trains_and_is_compared_by_contents(place: Place, tmp_path: Path) -> None:
    photos, results = tmp_path / "photos", place.folder / "tf_files"
    shutil.copytree(PHOTOS, photos)
    for name in MOVED:
        (photos / "globular cluster" / name).rename(photos / "open cluster" / name)
    first = place.retrain("--how_many_training_steps=200", image_dir=photos)
    assert first.returncode == 0, first.stderr
    shutil.copytree(results, tmp_path / "before")
    rows = "".join(f"open cluster/{name},globular cluster\n" for name in MOVED)
    (tmp_path / "moves.csv").write_text(f"path,to\n{rows}")
    done = python("-m", "retrain", "fix", "--apply", tmp_path / "moves.csv", cwd=place.folder)
    assert done.returncode == 0, done.stderr
    assert all((photos / "globular cluster" / name).exists() for name in MOVED)
    assert "0 bottleneck files created. 84 bottlenecks in use" in done.stdout
    assert "2 photographs have another label than before" in done.stdout
    assert "On the 84 photographs that are in both runs and were held out in both (by cross-validation)" in done.stdout
    compared = python("-m", "retrain", "compare", tmp_path / "before", results, "--json", cwd=place.folder)
    change = json.loads(compared.stdout)
    assert (change["compared"], change["relabelled"], change["new_photographs"]) == (84, 2, 0)
    assert change["right_after"] - change["right_before"] == len(change["gained"]) - len(change["lost"])
    told = json.loads((results / "retrained_graph.metrics.json").read_text())["config"]
    assert told["how_many_training_steps"] == 200
    undone = python("-m", "retrain", "fix", "--undo", "--no_refit", cwd=place.folder)
    assert undone.returncode == 0, undone.stderr
    assert all((photos / "open cluster" / name).exists() for name in MOVED)
