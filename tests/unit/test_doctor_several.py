"""What the doctor, and the cache's command, make of photographs that may have several labels each."""

import csv
import json

import numpy as np
import pytest
from support import encode, scene, write_tree

from retrain.alike.fingerprints import fingerprint, gathered
from retrain.commands.doctor import doctor
from retrain.config import RunConfig
from retrain.console import Console, HeldConsole
from retrain.doctor import STOPS, diagnose, diagnosis, report_json
from retrain.doctor.report import terminal_lines
from retrain.doctor.shortcuts import LEAST_PHOTOGRAPHS, find_label_shortcuts, label_shortcut_findings
from retrain.errors import UsageError, WeightsError

LABELS = {0: ("dog",), 1: ("dog", "snow"), 2: ("cat",), 3: ("cat", "snow"), 4: ("cat", "dog", "snow")}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Thirty scenes in two folders that mean nothing, each with a text file; no backbone."""

    def none(*_):
        raise WeightsError("this is a test")

    monkeypatch.setattr(diagnosis, "prepare", none)
    monkeypatch.chdir(tmp_path)
    tree = {"": {}, "deep": {}}
    for n in range(30):
        folder = "deep" if n % 2 else ""
        tree[folder] |= {f"{n}.jpg": encode(scene(n), "JPEG"), f"{n}.jpg.txt": "\n".join(LABELS[n % 5]).encode()}
    return write_tree(tmp_path / "photos", tree)


def examined(**flags):
    return diagnose(RunConfig(image_dir="photos", multi_label=True, **flags), Console(quiet=True))


def kinds_of(report):
    return {one.kind for one in report.findings}


def test_labels_are_counted_and_text_files_of_labels_are_no_stray_files(photos):
    report = examined()
    assert report.labels == ("cat", "dog", "snow")
    assert report.counts == report.readable == (18, 18, 18)
    assert report.several == (30, 30)
    assert kinds_of(report).isdisjoint(
        {"loose-images", "too-deep", "elsewhere", "other", "layout", "labels", "settings"}
    )
    lines = terminal_lines(report)
    assert lines[0] == "A run would use 30 photographs with 3 labels:"
    assert "photographs to train on" in report.split
    assert json.loads(report_json(report))["photographs"] == {"taken": 30, "readable": 30}
    few = next(one for one in report.findings if one.kind == "few-photographs")
    assert few.text.startswith("labels with fewer than 20 photographs")
    assert few.examples == ("cat: 18", "dog: 18", "snow: 18")


def test_a_stray_file_is_still_found_and_a_broken_photograph_takes_from_all_its_labels(photos):
    (photos / "deep" / "odd.jpgg").write_bytes(encode(scene(77), "JPEG"))
    (photos / "notes.txt").write_text("of nobody's")
    (photos / "4.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    report = examined()
    assert [one.examples for one in report.findings if one.kind == "other"] == [("notes.txt",)]
    assert [one.examples for one in report.findings if one.kind == "unknown-suffix"] == [("deep/odd.jpgg",)]
    assert report.counts == (18, 18, 18)
    assert report.readable == (17, 17, 17)
    assert report.several == (30, 29)
    assert "A run would use 29 photographs (1 more cannot be read) with 3 labels:" in terminal_lines(report)


def test_a_photograph_without_labels_stops_a_run(photos):
    (photos / "deep" / "3.jpg.txt").unlink()
    (photos / "2.jpg.txt").write_text("")
    problems = [one.text for one in examined().findings if one.severity == STOPS]
    assert any("3.jpg.txt" in text for text in problems)
    assert any("2.jpg.txt" in text for text in problems)


def test_copies_with_other_labels_are_told_from_copies_with_the_same(photos):
    (photos / "same.png").write_bytes(encode(scene(0).resize((120, 96))))
    (photos / "same.png.txt").write_text("dog\n")
    (photos / "other.png").write_bytes(encode(scene(1).resize((120, 96))))
    (photos / "other.png.txt").write_text("dog\n")
    report = examined()
    found = {one.kind: one for one in report.findings}
    assert "with different labels" in found["near-duplicate-across-classes"].text
    assert found["near-duplicate-across-classes"].examples == ("other.png = deep/1.jpg",)
    assert "with the same labels" in found["near-duplicate"].text
    rows = list(csv.DictReader(report.duplicates.splitlines()))
    assert {row["path"]: row["label"] for row in rows}["deep/1.jpg"] == "dog;snow"


def test_the_command_knows_the_flag_and_what_does_not_go_with_it(photos):
    console = HeldConsole()
    assert doctor(["--image_dir=photos", "--multi_label", "--no_features", "--output_dir=out"], console) == 0
    with pytest.raises(UsageError, match="--recursive and --multi_label"):
        doctor(["--image_dir=photos", "--multi_label", "--recursive", "--output_dir=out"], console)


def printed(count, grey_of):
    noise = np.random.default_rng(4)
    files = []
    for n in range(count):
        pixels = np.clip(noise.integers(-40, 41, (64, 80, 3)) + grey_of(n), 0, 255).astype(np.uint8)
        files.append(encode(pixels, "JPEG", quality=90))
    return gathered([f"{n}.jpg" for n in range(count)], map(fingerprint, files))


def test_what_gives_one_of_several_labels_away_is_named():
    truth = np.stack([np.arange(80) % 2 == 0, np.arange(80) % 3 == 0], axis=1)
    prints = printed(80, lambda n: 190 if n % 3 == 0 else 60)
    found = find_label_shortcuts(prints, truth, ("even", "third"))
    assert {one.label for one in found} == {1}
    assert "brightness" in {one.property.kind for one in found}
    (finding,) = [one for one in label_shortcut_findings(prints, truth, ("even", "third")) if "brightness" in one.kind]
    assert "'third' from photographs without it" in finding.text


@pytest.mark.parametrize("seed", range(5))
def test_labels_without_reason_raise_no_alarm(seed):
    truth = np.random.default_rng(seed).random((80, 4)) < 0.4
    assert find_label_shortcuts(printed(80, lambda n: 120), truth, tuple("abcd")) == []


def test_labels_on_too_few_photographs_are_not_tried():
    truth = np.zeros((40, 1), np.bool_)
    truth[: LEAST_PHOTOGRAPHS - 1] = True
    assert find_label_shortcuts(printed(40, lambda n: 250 if truth[n] else 10), truth, ("rare",)) == []
