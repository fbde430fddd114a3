import csv
import dataclasses
import io
import json
import os
import shutil
import socket
import unicodedata
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import encode, noise, write_tree
from trees import TREES, grow

from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import scan_folder, scan_photographs
from retrain.doctor import COSTS, NOTE, SEVERITIES, STOPS, Finding, bad_images_csv, diagnose, diagnosis, report_json
from retrain.doctor.checkup import by_severity, is_serious
from retrain.doctor.report import terminal_lines
from retrain.survey.entries import survey_folder
from retrain.survey.findings import MAX_EXAMPLES, merged, of_names
from retrain.survey.layout import layout_findings, start_lines
from retrain.survey.names import same_but_for_spelling, same_on_other_disks, twins

PHOTO = encode(noise(40, 40))
TWO = {"cats": {"1.png": PHOTO}, "dogs": {"2.png": PHOTO}}


@pytest.fixture
def two(tmp_path):
    return write_tree(tmp_path / "photos", TWO)


def found_in(root, style="folder", outputs=None):
    """kind -> finding."""
    found = layout_findings(scan_folder(str(root), style), survey_folder(str(root)), style, outputs)
    assert [one.severity for one in found] == sorted((o.severity for o in found), key=SEVERITIES.index)
    return {one.kind: one for one in found}


def test_two_good_folders_are_nothing_to_speak_of(two):
    assert found_in(two) == {}


def test_what_a_run_would_refuse_is_what_stops_it(tmp_path):
    root = write_tree(tmp_path / "p", {"cats": {"1.png": PHOTO}, "empty": {}})
    found = layout_findings(scan_folder(str(root), "folder"), survey_folder(str(root)), "folder")
    assert [one.text for one in found if one.severity == STOPS] == list(scan_folder(str(root), "folder").problems)


def test_loose_images_are_counted_and_the_folder_above_is_named_where_this_is_a_class(two):
    (two / "loose.jpg").write_bytes(PHOTO)
    loose = found_in(two)["loose-images"]
    assert (loose.severity, loose.examples, loose.count) == (COSTS, ("loose.jpg",), 1)
    assert f"python -m retrain separate {two}" in loose.fix
    assert f"--image_dir {two}" in found_in(two / "cats")["loose-images"].fix


def test_a_loose_image_in_a_folder_without_neighbours_does_not_name_the_one_above(tmp_path):
    root = write_tree(tmp_path / "a" / "b", {})
    root.mkdir(parents=True)
    (root / "1.jpg").write_bytes(PHOTO)
    assert "separate" in found_in(root)["loose-images"].fix


def test_images_that_lie_too_deep_are_counted_with_a_command(two):
    write_tree(two / "cats", {"more": {"3.png": PHOTO, "4.png": PHOTO, "x.txt": b""}})
    deep = found_in(two)["too-deep"]
    assert (deep.count, deep.examples[0]) == (2, "cats/more/3.png")
    assert f"find {two}/cats -mindepth 2 -type f -exec mv -n {{}} {two}/cats ';'" in deep.fix


def test_class_folders_one_level_deeper_are_named(tmp_path):
    write_tree(tmp_path / "up" / "photo set", TWO)
    assert found_in(tmp_path / "up")["too-deep"].fix.endswith(f"--image_dir '{tmp_path}/up/photo set'")


def test_sides_of_a_split_that_are_taken_for_classes_are_told(tmp_path):
    root = write_tree(tmp_path / "p", {"train": {"1.png": PHOTO}, "Test": {"2.png": PHOTO}})
    split = found_in(root)["split-folders"]
    assert split.severity == COSTS
    assert split.fix.endswith(f"--image_dir {root}/train")
    first, more = start_lines(scan_folder(str(root), "folder"), str(root))
    assert first.startswith("the folders look like the sides")
    assert first.endswith(f"training photographs from test photographs: Test, train; {split.fix}")
    assert more == f"python -m retrain doctor --image_dir {root} tells more"


def test_a_run_begins_with_nothing_for_a_sound_folder_whatever_is_worth_knowing_only(two):
    (two / "cats" / ".hidden.png").write_bytes(PHOTO)
    (two / "cats" / "é.png").write_bytes(PHOTO)
    (two / "cats" / "É.png").write_bytes(PHOTO)
    (two / "model.pb").write_bytes(b"")
    assert start_lines(scan_folder(str(two), "folder"), str(two)) == []


def test_a_run_begins_with_five_findings_at_most_and_opens_no_file(two, monkeypatch):
    for number, name in enumerate(("Cats", "CATS ", "train", "test", "valid")):
        write_tree(two, {name: {f"{number}.png": PHOTO}})
    (two / "gone").symlink_to(two / "nowhere")
    (two / "again").symlink_to(two / "dogs")
    (two / "tf_files").mkdir()
    monkeypatch.setattr("builtins.open", None)
    monkeypatch.setattr(Path, "open", None)
    catalog = scan_folder(str(two), "folder")
    lines = start_lines(catalog, f"{two}/it's")
    assert len(lines) == 6
    assert lines[0].startswith("folder of a program's output")
    assert any(line.startswith("class folder that is a link into the same image folder") for line in lines)
    assert lines[-1].startswith("python -m retrain doctor --image_dir '")


def test_what_a_run_leaves_out_is_reason_enough_to_name_the_doctor(two):
    (two / "loose.png").write_bytes(PHOTO)
    assert start_lines(scan_folder(str(two), "folder"), str(two), "my list.csv") == [
        f"python -m retrain doctor --image_list 'my list.csv' --image_dir {two} tells more"
    ]


def test_a_url_is_judged_by_its_class_names(two):
    files = fsspec.filesystem("memory")
    write_tree(two, {"Dogs": {"3.png": PHOTO}})
    files.put(str(two), "/judged", recursive=True)
    try:
        lines = start_lines(scan_photographs("memory://judged", "folder"), "memory://judged")
    finally:
        files.rm("/judged", recursive=True)
    assert [line[:25] for line in lines] == ["classes whose names diffe", "python -m retrain doctor "]


def test_a_folder_that_can_no_longer_be_listed_stops_no_run(two):
    catalog = scan_folder(str(two), "folder")
    assert start_lines(dataclasses.replace(catalog, root=str(two / "gone")), "gone") == []


def test_output_folders_among_the_classes_stop_a_run(two):
    (two / "bottlenecks").mkdir()
    (two / "mine").mkdir()
    (two / "retrained_graph.pb").write_bytes(b"")
    found = found_in(two, outputs={"summaries_dir": str(two / "mine")})
    assert found["output-folder"].examples == ("bottlenecks", "mine")
    assert found["output-folder"].fix.startswith(f"move it away: mv {two}/bottlenecks ")
    assert found["output-file"].examples == ("retrained_graph.pb",)


def test_a_class_of_photographs_may_be_called_as_an_output_folder(two):
    write_tree(two, {"bottlenecks": {"1.png": PHOTO}})
    assert "output-folder" not in found_in(two)


def test_class_names_that_are_nearly_the_same_are_told(two):
    composed, apart = unicodedata.normalize("NFC", "Café"), unicodedata.normalize("NFD", "Café")
    write_tree(two, {name: {"1.png": PHOTO} for name in ("Cats", "open_cluster", "Open Cluster", composed, apart)})
    twin = found_in(two)["class-twins"]
    assert (twin.severity, twin.count) == (COSTS, 3)
    assert "'Cats' = 'cats'" in twin.examples
    lines = start_lines(scan_folder(str(two), "folder"), str(two))
    assert len(lines) == 2
    assert lines[0].startswith("classes whose names differ by case")


def test_labels_that_collide_under_the_poets_rule_are_worth_knowing_or_stop_a_run(two):
    write_tree(two, {"a+b": {"1.png": PHOTO}, "a&b": {"1.png": PHOTO}})
    assert found_in(two)["poets-twins"].severity == NOTE
    assert found_in(two, "poets")["layout"].severity == STOPS


def test_names_that_trouble_other_disks_are_told(two):
    cats = two / "cats"
    for name in ("A.png", "a.png", "x" * 210 + ".png", "new\nline.png"):
        (cats / name).write_bytes(PHOTO)
    with open(os.path.join(os.fsencode(cats), b"\xff.png"), "wb") as file:  # noqa: PTH123 - bytes
        file.write(PHOTO)
    found = found_in(two)
    for kind in ("name-twins", "long-name", "control-character", "not-utf8"):
        assert (found[kind].severity, found[kind].count) == (NOTE, 1), kind
    assert found["name-twins"].examples == ("cats/A.png = a.png",)


def test_links_are_told_by_where_they_lead(two, tmp_path):
    (tmp_path / "far.png").write_bytes(PHOTO)
    cats = two / "cats"
    (cats / "out.png").symlink_to(tmp_path / "far.png")
    (cats / "in.png").symlink_to(two / "dogs" / "2.png")
    (cats / "gone.png").symlink_to("nowhere")
    (cats / "loop.png").symlink_to("loop.png")
    found = found_in(two)
    assert found["outer-link"].examples == ("cats/out.png",)
    assert found["inner-link"].examples == ("cats/in.png",)
    assert found["broken-link"].examples == ("cats/gone.png",)
    assert found["link-loop"].examples == ("cats/loop.png",)
    (two / "again").symlink_to("cats")
    (two / "self").symlink_to(".")
    assert found_in(two)["linked-class"].examples == ("again", "self")


def test_hidden_files_and_what_is_no_file_are_told(two):
    (two / "cats" / "._1.png").write_bytes(b"")
    os.mkfifo(two / "cats" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(two / "dogs")
        bound.bind("socket.png")
    write_tree(two, {".git": {"x.png": PHOTO}})
    found = layout_findings(scan_folder(str(two), "folder"), survey_folder(str(two)), "folder")
    assert [(one.kind, one.examples) for one in found] == [
        ("hidden", (".git", "cats/._1.png")),
        ("not-a-file", ("cats/pipe.png",)),
        ("not-a-file", ("dogs/socket.png",)),
    ]


def test_a_survey_ends_at_its_limit_and_says_so(two):
    survey = survey_folder(str(two), 3)
    assert len(survey.entries) == 3
    assert not survey.is_whole
    found = layout_findings(scan_folder(str(two), "folder"), survey, "folder")
    assert [one.kind for one in found] == ["not-all-seen"]
    assert survey_folder(str(two), 4).is_whole


def test_a_folder_that_cannot_be_listed_is_told(two, monkeypatch):
    write_tree(two / "cats", {"deep": {"1.png": PHOTO}})
    listing = os.scandir

    def denied(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert found_in(two)["unlisted"].examples == ("cats/deep",)


def test_findings_of_one_kind_are_added_up_and_the_worst_stand_first():
    many = [Finding(NOTE, "a", "text", "", (str(i),)) for i in range(9)]
    found = merged([*many, Finding(STOPS, "b", "text", "")])
    assert [(one.kind, one.count, len(one.examples)) for one in found] == [("b", 1, 0), ("a", 9, MAX_EXAMPLES)]
    assert of_names(NOTE, "a", "text", "", []) == []
    assert by_severity([]) == {severity: [] for severity in SEVERITIES}
    assert is_serious(found)
    assert not is_serious(many)


@given(st.text(max_size=12))
def test_names_are_reduced_once_and_for_all(name):
    for reduce in (same_but_for_spelling, same_on_other_disks):
        assert reduce(reduce(name)) == reduce(name)
        assert twins([name, f"{name}x", name], reduce)[0] == (name, name)


# --- whole examinations of trees that nobody would make


def examined(root, **more):
    return diagnose(RunConfig(image_dir=str(root), **more), Console(quiet=True))


@pytest.fixture(autouse=True)
def _no_backbone(monkeypatch):
    monkeypatch.setattr(diagnosis, "_prepared", lambda *given: (None, "this is a test"))


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tree=TREES, style=st.sampled_from(["folder", "poets"]))
def test_any_tree_is_examined_without_a_traceback(tree, style, tmp_path_factory):
    place = tmp_path_factory.mktemp("t")
    root, beside = place / "photos", place / "beside"
    write_tree(beside, {"other": {"1.png": PHOTO}})
    root.mkdir()
    grow(root, tree, beside)
    try:
        report = examined(root, label_style=style)
        assert all(line.isprintable() for line in terminal_lines(report))
        assert json.loads(report_json(report))["bad_images"] == len(report.bad)
        rows = list(csv.reader(io.StringIO(bad_images_csv(report.bad))))
        assert len(rows) == len(report.bad) + 1
        assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") for row in rows for cell in row)
        counted = sum(report.counts)
        assert counted == len(scan_folder(str(root), style).records)
        assert sum(report.readable) <= counted == sum(report.formats.values())
        stops = {one.text for one in report.findings if one.severity == STOPS}
        assert stops >= set(scan_folder(str(root), style).problems)
    finally:
        shutil.rmtree(place)


def test_what_a_person_reads_says_what_is_used_found_and_done(two):
    (two / "cats" / "=cmd.jpg").write_bytes(b"")
    report = examined(two)
    text = "\n".join(terminal_lines(report))
    assert "A run would use 2 photographs (1 more cannot be read) in 2 classes:" in text
    assert "        1  cats (1 more cannot be read)" in text
    assert "STOPS A RUN: nothing found" in text
    assert (
        "        1  empty, 0 bytes: skipped, counted and listed by a run\n           cats/=cmd.jpg\n           -> "
        in text
    )
    assert text.endswith("Run time not predicted: this is a test.")
    rows = list(csv.DictReader(io.StringIO(bad_images_csv(report.bad))))
    assert rows == [
        {
            "path": "cats/=cmd.jpg",
            "reason": "no-bytes",
            "treatment": "skipped, counted and listed by a run",
            "detail": "0 bytes",
        }
    ]


def test_a_name_that_begins_a_formula_is_behind_an_apostrophe(two):
    write_tree(two, {"=1+1": {"x.jpg": b""}})
    assert "\n'=1+1/x.jpg,no-bytes," in bad_images_csv(examined(two).bad)


def test_settings_that_a_run_would_refuse_are_told(two):
    report = examined(two, bottleneck_dir=str(two / "cats"))
    (finding,) = [one for one in report.findings if one.kind == "settings"]
    assert finding.severity == STOPS
    assert "--bottleneck_dir" in finding.text


def test_nothing_in_the_folder_is_changed(two, monkeypatch):
    monkeypatch.chdir(two.parent)
    before = sorted((str(p), p.stat().st_mtime_ns) for p in two.rglob("*"))
    examined(two)
    assert sorted((str(p), p.stat().st_mtime_ns) for p in two.rglob("*")) == before
    assert [path.name for path in two.parent.iterdir()] == ["photos"]
