"""What the doctor says of the split that a run would draw."""

import json

import pytest
from support import encode, scene, write_tree

from retrain.commands.doctor import doctor
from retrain.config import RunConfig
from retrain.console import Console
from retrain.doctor import COSTS, diagnose, diagnosis, report_json
from retrain.doctor.report import terminal_lines
from retrain.errors import WeightsError

SOUND = "no photograph has a duplicate on another side of it."


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two classes of twelve scenes, each there once more, smaller; no backbone."""

    def none(*_):
        raise WeightsError("this is a test")

    monkeypatch.setattr(diagnosis, "prepare", none)
    monkeypatch.chdir(tmp_path)
    tree = {}
    for label, first in (("a", 0), ("b", 50)):
        pictures = [scene(first + n) for n in range(12)]
        tree[label] = {f"{n}.jpg": encode(one, "JPEG", quality=90) for n, one in enumerate(pictures)}
        tree[label] |= {f"{n} small.png": encode(one.resize((120, 96))) for n, one in enumerate(pictures)}
    return write_tree(tmp_path / "photos", tree)


def examined(**flags):
    return diagnose(RunConfig(image_dir="photos", **flags), Console(quiet=True))


def leaks(report):
    return [one for one in report.findings if one.kind == "near-duplicate-across-sides"]


def test_a_run_leaks_nothing_and_the_doctor_says_so(photos):
    report = examined(testing_percentage=20, validation_percentage=20)
    assert report.split.endswith(SOUND)
    assert "photographs to train on" in report.split
    assert report.split in terminal_lines(report)
    assert json.loads(report_json(report))["split"] == report.split
    assert leaks(report) == []


@pytest.mark.parametrize("flags", [{"near_duplicates": "ignore"}, {"split_rule": "poets"}])
def test_what_would_lie_on_two_sides_is_found(photos, flags):
    report = examined(testing_percentage=30, validation_percentage=30, **flags)
    (finding,) = leaks(report)
    assert finding.severity == COSTS
    assert finding.count > 0
    assert " small.png" in finding.examples[0]
    assert report.split.endswith(f"{finding.count} of 24 groups of duplicates lie on two sides of it.")


def test_groups_of_names_do_it_as_well(photos):
    report = examined(testing_percentage=30, near_duplicates="ignore", group_by="regex:/([0-9]+)")
    assert report.split.endswith(SOUND)


def test_a_list_that_puts_them_on_two_sides_is_found(photos):
    sides = ["training", "testing"] + ["training"] * 46
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.glob("*/*"))
    assert paths[:2] == ["a/0 small.png", "a/0.jpg"]
    rows = "".join(f"{path},{path[0]},{side}\n" for path, side in zip(paths, sides, strict=True))
    (photos.parent / "sides.csv").write_text(f"path,label,split\n{rows}")
    (finding,) = leaks(examined(split_file="sides.csv"))
    assert finding.examples == ("a/0 small.png = a/0.jpg",)


def test_flags_that_a_run_would_refuse_are_told_and_no_split_is_drawn(photos):
    (photos.parent / "sides.csv").write_text("path,label,split\na/0.jpg,b,training\n")
    report = examined(split_file="sides.csv")
    assert any(one.kind == "settings" and "expected the label 'a'" in one.text for one in report.findings)
    assert report.split.startswith("The split could not be drawn: ")
    assert leaks(report) == []


def test_the_command_takes_the_flags_of_a_run(photos, capsys):
    more = ["--testing_percentage", "30", "--validation-percentage=30", "--no_subfolder_splits"]
    words = ["--image_dir", "photos", "--no_features", "--near_duplicates=ignore", *more]
    assert doctor(words, Console()) == 0
    assert "groups of duplicates lie on two sides of it" in capsys.readouterr().out
    assert doctor([*words[:-4], *more, "--near_duplicates=together", "--strict"], Console()) == 0
    assert SOUND in capsys.readouterr().out
