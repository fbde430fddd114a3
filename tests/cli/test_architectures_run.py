"""Two architectures compared in one run, the winner exported; the command of the report makes the same model again.

No network: a MobileNet's weights do not depend on the size of its input, so the bundled ones of 224 pixels stand in for
those of 128, put where ``weights import`` puts them.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from html import unescape
from pathlib import Path

import pytest
from conftest import PHOTOS, Place, python

from retrain.backbones import find_backbone
from retrain.backbones.weights import bundled_weights, imported_path
from retrain.modelfile import read_graph_bundle

pytestmark = pytest.mark.tensorflow

SMALL, LARGE = "mobilenet_0.50_128", "mobilenet_0.50_224"
ROW = re.compile(r"(mobilenet_0\.50_\d+) +(\w+) +(\d+\.\d) % \(\d+ to \d+\) +(\d+\.\d+) +(\d+)( +\S.*)?")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str]:
    folder = tmp_path_factory.mktemp("architectures")
    place = Place(folder, folder / "models")
    place.model_dir.mkdir()
    weights = bundled_weights(find_backbone(LARGE))
    assert weights is not None
    shutil.copyfile(weights.path, imported_path(find_backbone(SMALL), place.model_dir))
    done = place.retrain("--architecture", f"{SMALL},{LARGE}", "--head=auto", "--how_many_training_steps=200")
    assert done.returncode == 0, done.stderr
    return place, done.stdout


def winner_of(said: str) -> tuple[str, str]:
    rows = [match for match in map(ROW.fullmatch, said.splitlines()) if match]
    assert {row[1] for row in rows} == {SMALL, LARGE}
    assert len({(row[1], row[2]) for row in rows}) == len(rows) == 10
    # A picture of 128 pixels costs a third of one of 224: the two are not the same backbone under two names.
    assert len({row[3] for row in rows}) > 1
    (won,) = [row for row in rows if row[6]]
    return won[1], won[2]


def test_a_table_of_both_with_all_heads_is_printed_and_the_winner_is_exported(compared: tuple[Place, str]) -> None:
    place, said = compared
    assert "Backbone mobilenet_0.50_128, imported weights" in said
    assert "Backbone mobilenet_0.50_224, bundled weights" in said
    architecture, kind = winner_of(said)
    bundle = read_graph_bundle(place.folder / "tf_files" / "retrained_graph.pb")
    assert (bundle.architecture, bundle.training.get("kind", "softmax")) == (architecture, kind)
    assert bundle.input_width == int(architecture.rpartition("_")[2])
    assert "A choice made like this one is right in" in said


def test_label_image_names_photographs_by_the_winner(compared: tuple[Place, str]) -> None:
    place, _ = compared
    done = place.label("--image", PHOTOS, "--format=json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    right = sum(Path(row["path"]).parent.name == row["label"] for row in rows)
    assert len(rows) == 84
    assert right > 70


def test_the_command_of_report_and_card_repeats_the_comparison(compared: tuple[Place, str]) -> None:
    place, said = compared
    folder = place.folder / "tf_files"
    page = (folder / "report.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"<code>(python -m retrain --[^<]*)</code>", page)
    command = unescape(command)
    assert command in (folder / "retrained_graph.model_card.md").read_text(encoding="utf-8").splitlines()
    assert f"--architecture={SMALL},{LARGE}" in shlex.split(command)
    config = json.loads((folder / "retrained_graph.metrics.json").read_text(encoding="utf-8"))["config"]
    assert config["architecture"] == f"{SMALL},{LARGE}"
    graph = (folder / "retrained_graph.pb").read_bytes()
    again = python(*shlex.split(command)[1:], cwd=place.folder)
    assert again.returncode == 0, again.stderr
    assert winner_of(again.stdout) == winner_of(said)
    assert (folder / "retrained_graph.pb").read_bytes() == graph
