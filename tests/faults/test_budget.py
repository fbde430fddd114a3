"""Photographs that cannot be read: listed by reason, bounded in number, and never another one in their place."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import fake_run
import pytest
import worker_extractors
from commands import python

from retrain.engines.endings import CRASH

PHOTOGRAPHS = 100


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no picture at all")


def crashing(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"ABORT")


# How a photograph is spoilt -> the reason that is listed.
WAYS = {cut: "damaged", empty: "empty", text: "not an image", crashing: CRASH}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs, a run's flags, and the model of a run over all of them."""
    place = tmp_path_factory.mktemp("budget")
    flags = [*fake_run.prepare(place, PHOTOGRAPHS), "--cross_validation_folds=0", "--near_duplicates=ignore"]
    assert fake_run.run_here(flags) == 0
    return place, flags


@pytest.fixture
def planted(folder):
    """Spoils so many photographs; put right afterwards."""
    place, flags = folder
    kept = place / "kept"
    shutil.copytree(place / "photos", kept)

    def plant(count):
        paths = sorted((place / "photos").rglob("*.png"), key=lambda path: path.name)[:: PHOTOGRAPHS // count][:count]
        ways = [list(WAYS)[place % len(WAYS)] for place in range(count)]
        for path, way in zip(paths, ways, strict=True):
            way(path)
        return {str(path.relative_to(place / "photos")): WAYS[way] for path, way in zip(paths, ways, strict=True)}

    yield place, flags, plant
    shutil.rmtree(place / "photos")
    kept.rename(place / "photos")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("count", [1, 5])
def test_a_few_are_left_out_and_listed_by_reason(planted, capfd, count):
    place, flags, plant = planted
    spoilt = plant(count)
    assert worker_extractors.run(flags) == 0
    listed = rows(place / "out" / "model.skipped.csv")
    assert {row["path"]: row["reason"] for row in listed} == spoilt
    said = capfd.readouterr().out
    for reason, number in Counter(spoilt.values()).items():
        assert f"{number} {reason}" in said
    # Nobody stands in for them: the sides have all others, once.
    split = [row["path"] for row in rows(place / "out" / "model.split.csv")]
    assert len(split) == len(set(split)) == PHOTOGRAPHS - count
    assert not set(split) & set(spoilt)


@pytest.mark.parametrize("count", [6, 10])
def test_too_many_end_the_run_and_replace_nothing(planted, capfd, count):
    place, flags, plant = planted
    assert fake_run.run_here(flags) == 0
    before = fake_run.artefacts(place)
    before.pop("out/model.skipped.csv", None)
    spoilt = plant(count)
    capfd.readouterr()
    assert worker_extractors.run(flags) == 3
    said = capfd.readouterr().err
    assert f"too many images cannot be read: {count} of {PHOTOGRAPHS} (" in said
    assert "at most 5 % may be" in said
    assert "--max_skipped_percentage" in said
    assert {row["path"]: row["reason"] for row in rows(place / "out" / "model.skipped.csv")} == spoilt
    after = fake_run.artefacts(place)
    assert {name: after[name] for name in before} == before
    assert worker_extractors.run([*flags, f"--max_skipped_percentage={count}"]) == 0


def test_label_image_has_a_row_for_each_and_says_which_are_none(planted):
    place, _, plant = planted
    plant(10)
    for path in (place / "photos").rglob("*.png"):  # it decodes in its own process
        path.write_bytes(path.read_bytes().removesuffix(b"ABORT"))
    run = python(
        "-m", "label_image", "--image", place / "photos", "--graph", place / "out" / "model.pb", "--labels",
        place / "out" / "labels.txt", "--output", place / "answers.csv",
    )  # fmt: skip
    assert run.returncode == 9, run.stderr
    answers = rows(place / "answers.csv")
    assert len(answers) == PHOTOGRAPHS
    reasons = Counter(row["error"].split(":")[0] for row in answers if row["error"])
    assert reasons == {"damaged": 3, "empty": 3, "not an image": 2}
