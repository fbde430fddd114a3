"""Photographs with several labels each, from the list to label_image: clusters, and which of them are bright pictures."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, Place, python
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from retrain.modelfile import read_graph_bundle

pytestmark = pytest.mark.tensorflow

KINDS = ("globular cluster", "open cluster")


def labels_by_path() -> dict[str, list[str]]:
    """Each photograph's kind, and "bright" for the half of them that is."""
    found = [(kind, path) for kind in KINDS for path in sorted((PHOTOS / kind).iterdir()) if path.suffix == ".jpg"]
    means = [float(np.asarray(Image.open(path).convert("L").resize((32, 32))).mean()) for _, path in found]
    border = np.median(means)
    return {
        f"{kind}/{path.name}": [kind, "bright"] if mean > border else [kind]
        for (kind, path), mean in zip(found, means, strict=True)
    }


@dataclass(frozen=True)
class Several:
    """A finished run, with the labels that its photographs have."""

    place: Place
    labels: dict[str, list[str]]
    said: str

    @property
    def folder(self) -> Path:
        return self.place.folder / "tf_files"

    def retrain(self, *more: str) -> str:
        done = self.place.retrain("--multi_label", "--image_list", "list.csv", "--export=onnx", *more)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Several:
    place, labels = Place(tmp_path_factory.mktemp("several"), model_dir), labels_by_path()
    with (place.folder / "list.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        for number, (path, own) in enumerate(labels.items()):  # both ways to say it
            table.writerows([[path, "; ".join(own)]] if number % 2 else [[path, label] for label in own])
    return Several(place, labels, Several(place, labels, "").retrain())


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_run_says_how_good_each_label_is_and_all_together(several: Several) -> None:
    assert "Looking for images with label 'bright': 42" in several.said
    assert "Cross-validated: mean average precision" in several.said
    assert "every label right on" in several.said
    assert "Confusion" not in several.said
    metrics = json.loads((several.folder / "retrained_graph.metrics.json").read_text(encoding="utf-8"))
    crossed = metrics["numbers"]["cross_validated"]
    assert crossed["exact"]["count"] == 84
    assert crossed["exact"]["accuracy"] > 0.6
    assert metrics["mean_average_precision"]["cross_validated"] > 0.85
    mean = crossed["mean_average_precision"]
    assert mean["low_95"] < mean["value"] == metrics["mean_average_precision"]["cross_validated"] < mean["high_95"] < 1
    assert f"{100 * mean['value']:.1f} % ({100 * mean['low_95']:.1f} to {100 * mean['high_95']:.1f} %)" in several.said
    assert len(crossed["average_precisions"]) == 3
    assert crossed["hamming_loss"]["value"] < 0.2
    assert [one["label"] for one in crossed["labels"]] == ["bright", *KINDS]
    assert all(one["f1"]["low_95"] <= one["f1"]["value"] <= one["f1"]["high_95"] for one in crossed["labels"])
    card = (several.folder / "retrained_graph.model_card.md").read_text(encoding="utf-8")
    assert "each by itself, several or none: bright, globular cluster, open cluster" in card
    assert "mean average precision" in card


def test_the_model_has_a_threshold_a_label(several: Several) -> None:
    bundle = read_graph_bundle(several.folder / "retrained_graph.pb")
    assert bundle.labels == ("bright", *KINDS)
    assert len(bundle.thresholds) == 3
    assert all(0 < threshold < 1 for threshold in bundle.thresholds)
    assert bundle.sets == {}
    assert bundle.temperature == 1


def test_every_format_gives_each_photograph_the_labels_that_the_run_gave_it(several: Several) -> None:
    table = rows_of(several.folder / "retrained_graph.predictions.csv")
    assert {row["path"]: sorted(row["label"].split(";")) for row in table} == {
        path: sorted(own) for path, own in several.labels.items()
    }
    given = {row["path"]: row["predicted"] for row in table}
    assert any(";" in one for one in given.values())
    for name in ("retrained_graph.pb", "retrained_graph.onnx"):
        out = several.place.label("--graph", f"tf_files/{name}", "--image", PHOTOS, "--format=csv", "--min_cosine=0")
        assert out.returncode == 0, out.stderr
        rows = list(csv.DictReader(out.stdout.splitlines()))
        found = {Path(row["path"]).relative_to(PHOTOS).as_posix(): row["label"] for row in rows}
        in_order = {path: sorted(one.split(";")) for path, one in found.items()}
        assert in_order == {path: sorted(one.split(";")) for path, one in given.items()}
    record = json.loads((several.folder / "retrained_graph.exports.json").read_text(encoding="utf-8"))
    assert {row["format"]: row["agreeing"] for row in record["exports"]} == {"graph": 84, "tflite": 84, "onnx": 84}


def test_one_photograph_is_printed_with_its_labels(several: Several) -> None:
    path = next(path for path, own in several.labels.items() if len(own) == 1)
    out = several.place.label("--image", PHOTOS / path)
    assert out.stdout.splitlines()[3].startswith(f"labels: {path.split('/')[0]} ")


def test_report_and_tensorboard_show_labels_and_no_confusion(several: Several) -> None:
    page = (several.folder / "report.html").read_text(encoding="utf-8")
    assert "A photograph may have several labels here" in page
    assert "the rarest of their labels" in page
    assert "not judged" not in page
    assert "84 photographs with 3 labels" in page
    assert " missed on 84 photographs." in page
    assert "<p>Got <bdi>bright</bdi> and do not have it:</p>" in page
    (file,) = (several.folder / "training_summaries" / "results").glob("events.out.tfevents.*")
    tags = {value.tag for event in LegacyEventFileLoader(str(file)).Load() for value in event.summary.value}
    assert {"pr_curve/bright", "pr_curve/open cluster", "results/test_mean_average_precision", "summary"} <= tags
    assert not [tag for tag in tags if tag.startswith(("confusion", "misclassified"))]


def test_the_same_command_writes_the_same_bytes_and_a_changed_label_another_model(several: Several) -> None:
    graph = several.folder / "retrained_graph.pb"
    before = graph.read_bytes()
    said = several.retrain()
    assert graph.read_bytes() == before
    assert "Exporting" not in said
    table = several.place.folder / "list.csv"
    text = table.read_text(encoding="utf-8")
    try:
        table.write_text(text.replace("; bright", "", 1), encoding="utf-8")
        several.retrain()
        assert graph.read_bytes() != before
    finally:
        table.write_text(text, encoding="utf-8")
        several.retrain()
    assert graph.read_bytes() == before


def test_doctor_and_cache_take_the_photographs_as_the_run_does(several: Several) -> None:
    flags = ("--multi_label", "--image_list", "list.csv", "--image_dir", PHOTOS)
    done = python("-m", "retrain", "doctor", *flags, "--model_dir", several.place.model_dir, cwd=several.place.folder)
    assert done.returncode == 0, done.stderr
    assert "A run would use 84 photographs with 3 labels:\n       42  bright\n" in done.stdout
    assert "0 bottleneck files created" in done.stdout
    done = python("-m", "retrain", "cache", "verify", *flags, cwd=several.place.folder)
    assert done.returncode == 0, done.stderr
    assert "84 files read again, nothing wrong" in done.stdout
    refused = python("-m", "retrain", "fix", "--apply", "list.csv", cwd=several.place.folder)
    assert refused.returncode == 2
    assert "mend them there" in refused.stderr


def test_labels_may_lie_in_text_files_in_one_folder(place: Place, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "deeper").mkdir(parents=True)
    for number, (path, own) in enumerate(labels_by_path().items()):
        target = photos / ("deeper" if number % 3 else ".") / Path(path).name
        shutil.copyfile(PHOTOS / path, target)
        Path(f"{target}.txt").write_text("\n".join(own), encoding="utf-8")
    done = place.retrain("--multi_label", "--cross_validation_folds=0", "--flip_left_right", "--distorted_views=2",
                         "--no_report", image_dir=photos)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Final test: mean average precision" in done.stdout
    assert "cross-validation was left out" in done.stdout
    Path(f"{next((photos / 'deeper').glob('*.jpg'))}.txt").write_text("", encoding="utf-8")
    refused = place.retrain("--multi_label", "--head=knn", image_dir=photos)
    assert refused.returncode == 2
    assert "--head knn" in refused.stderr
    assert "expected at least one label, got none" in refused.stderr
