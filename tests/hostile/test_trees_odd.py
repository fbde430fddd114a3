"""Odd things among the photographs, through whole runs: none hangs, none steers anything, what is sound is trained on.

tests/unit/test_odd_trees.py says of each by itself whether it is taken for a photograph.
"""

from __future__ import annotations

import csv
import sys

import pytest
from test_names import Elements
from trees_drawn import lay_out
from trees_entries import ENTRIES, PHOTO, PHOTOGRAPHS
from trees_judge import FAKE, judge_all
from trees_runs import MOST_S, Runs, no_longer_than

from retrain import cli

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names, pipes and devices as Linux has them")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("entries"))


def laid_out(runs, *names):
    """Two classes of six, the first with these entries; beside the image folder lies another photograph."""
    root = runs.fresh()
    lay_out(root, [["new"] * 6] * 2)
    (runs.place / "beside").mkdir()
    (runs.place / "beside" / "1.png").write_bytes(PHOTO)
    for name in names:
        ENTRIES[name](root / "class 0" / name)
    return root


def test_there_are_more_than_forty():
    assert len(ENTRIES) >= 40


@pytest.mark.parametrize("recursive", [False, True])
def test_a_run_and_the_doctor_get_through_all_of_them(runs, recursive, capsys):
    root = laid_out(runs, *ENTRIES)
    more = ["--recursive"] if recursive else []
    # What cannot be read, as /proc/self/mem, is skipped and listed; it may be more than 5 % here.
    ended = runs.run("--max_skipped_percentage=50", *more)
    assert ended.code == 0, ended
    with (runs.place / "out" / "model.split.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    used = {row["path"] for row in rows}
    photographs = {f"class 0/{name}" for name, make in ENTRIES.items() if make is ENTRIES["[x].png"] and name[0] != "."}
    spelt = {name.encode("utf-8", "backslashreplace").decode() for name in photographs}
    assert len(spelt) == PHOTOGRAPHS
    assert spelt <= used
    assert "memory.png" not in str(used)
    page = Elements((runs.place / "out" / "report.html").read_text("utf-8"))
    assert all(character.isprintable() or character in "\n\t" for character in " ".join(page.text))
    words = [f"--image_dir={root}", f"--output_dir={runs.place / 'doctor'}", "--no_features", *more]
    with no_longer_than(MOST_S), pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrain.doctor.diagnosis._prepared", lambda *given: (None, "this is a test"))
        assert cli.main(["doctor", *words, f"--bottleneck_dir={runs.place / 'bottlenecks'}"]) == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


@pytest.mark.parametrize("name", [name for name, make in ENTRIES.items() if make is not ENTRIES["[x].png"]], ids=ascii)
def test_a_thing_that_is_no_photograph_stops_no_run(runs, name):
    laid_out(runs, name)
    ended = runs.run("--max_skipped_percentage=10")
    assert ended.code == 0, ended


def test_a_split_that_was_written_is_read_again_whatever_the_files_are_called(runs):
    laid_out(runs, *(name for name, make in ENTRIES.items() if make is ENTRIES["[x].png"]))
    assert runs.run().code == 0
    split = runs.place / "out" / "model.split.csv"
    before = split.read_bytes()
    kept = runs.place / "kept.csv"
    kept.write_bytes(before)
    ended = runs.run(f"--split_file={kept}")
    assert ended.code == 0, ended
    assert split.read_bytes() == before


def test_what_may_not_be_read_is_listed_and_not_waited_for(runs):
    laid_out(runs, "locked.png")
    (answer,) = judge_all([[str(runs.place), FAKE, *runs.flags, "--max_skipped_percentage=10"]])
    assert (answer["code"], answer["err"]) == (0, "")
    with (runs.place / "out" / "model.skipped.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["class 0/locked.png"]
    laid_out(runs, "locked")
    (answer,) = judge_all([[str(runs.place), FAKE, *runs.flags, "--recursive"]])
    assert (answer["code"], answer["err"]) == (0, "")
    assert "left out 1: folder below a class folder that cannot be read" in answer["out"]
