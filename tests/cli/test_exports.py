"""Every format of one model, made after the training: measured, recorded, kept or deleted; and the date."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PHOTOS, ROOT, Place, Trained, python

from retrain.config import FORMATS
from retrain.modelfile import read_graph_bundle, read_tflite_bundle

pytestmark = pytest.mark.tensorflow
OTHERS = [name for name in FORMATS if name not in ("graph", "tflite")]


@pytest.fixture(scope="module")
def copy(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the shared run with the files that belong to it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("exports") / "run"
    folder.mkdir()
    for path in trained.graph.parent.glob("retrained_graph.*"):
        shutil.copy2(path, folder)
    return folder


def export(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return python("-m", "retrain", "export", *words, timeout_s=300)


def rows_of(folder: Path) -> dict[str, dict[str, object]]:
    record = json.loads((folder / "retrained_graph.exports.json").read_text())
    return {row["format"]: row for row in record["exports"]}


def test_every_format_passes_its_gate_on_the_clusters(copy: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = export(copy, "--format", ",".join(OTHERS))
    assert done.returncode == 0, done.stderr
    rows = rows_of(copy)
    assert set(rows) == set(FORMATS)
    for name, row in rows.items():
        entry = FORMATS[name]
        assert row["kept"], name
        assert row["photographs"] == 84
        assert row["largest_difference"] <= entry.max_difference
        assert row["agreeing"] + row["ties"] >= 84 * entry.min_agreement
        assert (copy / str(row["file"])).exists()
    assert rows["saved_model"]["files"] == rows["graph"]["files"] == 84
    assert rows["saved_model"]["files_largest_difference"] <= 1e-4
    assert [path.name for path in copy.iterdir() if path.name.startswith(".")] == []
    again = export(copy / "retrained_graph.pb", "--format", ",".join(OTHERS))
    assert again.returncode == 0
    assert again.stdout.startswith("Nothing to do: ")
    assert rows_of(copy) == rows


def test_every_format_says_what_it_is(copy: Path) -> None:
    own = read_graph_bundle(copy / "retrained_graph.pb")
    for name in FORMATS:
        path = copy / f"retrained_graph{FORMATS[name].ending}"
        if not path.exists():
            pytest.skip(f"{name} was not written by the test before")
        shown = python("-m", "retrain", "show", path, "--json")
        assert shown.returncode == 0, shown.stderr
        facts = json.loads(shown.stdout)
        assert facts["written_by"] == "this tool"
        assert tuple(facts["labels"]) == own.labels
        for field in (
            "date",
            "manifest_sha256",
            "split_sha256",
            "weights_sha256",
            "input_mean",
            "resize",
            "temperature",
        ):
            assert facts[field] == getattr(own, field), (name, field)


def test_photographs_that_moved_are_asked_for(copy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(copy, run)
    metrics = json.loads((run / "retrained_graph.metrics.json").read_text())
    metrics["config"]["image_dir"] = metrics["image_root"] = str(tmp_path / "gone")
    (run / "retrained_graph.metrics.json").write_text(json.dumps(metrics))
    (run / "retrained_graph_fp16.tflite").unlink(missing_ok=True)
    refused = export(run, "--format", "tflite_fp16")
    assert refused.returncode == 2
    assert "but 84 are not there" in refused.stderr
    assert "say where they lie now with --image_dir" in refused.stderr
    assert export(run, "--format", "tflite_fp16", "--image_dir", PHOTOS).returncode == 0
    assert (run / "retrained_graph_fp16.tflite").exists()


def test_what_does_not_belong_together_is_refused(copy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(copy, run)
    (run / "retrained_graph.split.csv").write_text("path,label,split,sha256\n")
    refused = export(run, "--format", "tflite_fp16")
    assert refused.returncode == 6
    assert "retrained_graph.split.csv is not the file that" in refused.stderr
    (run / "retrained_graph.tflite").write_bytes(b"another")
    assert "retrained_graph.tflite is not the file that" in export(run, "--format", "tflite_fp16").stderr
    (run / "second.pb").write_bytes(b"x")
    ambiguous = export(run, "--format", "tflite_fp16")
    assert ambiguous.returncode == 2
    assert "got retrained_graph.pb, second.pb; name the file" in ambiguous.stderr


def test_all_that_is_wrong_with_the_command_is_said_at_once(tmp_path: Path) -> None:
    refused = export(tmp_path / "nothing", "--format", "onx,keras")
    assert refused.returncode == 2
    assert "got 'onx'; did you mean onnx?" in refused.stderr
    assert "nothing is not there" in refused.stderr


def test_an_unknown_format_stops_a_run_before_it_begins(place: Place) -> None:
    run = place.retrain("--export", "graph,savedmodel")
    assert run.returncode == 2
    assert "got 'savedmodel'; did you mean saved_model?" in run.stderr
    assert not (place.folder / "tf_files").exists()


def test_keras_needs_a_backbone_of_keras_and_says_so_before_the_run(place: Place, trained: Trained) -> None:
    run = place.retrain("--backbone_graph", trained.graph, "--export", "keras")
    assert run.returncode == 2
    assert "which Keras has no layers for" in run.stderr
    assert not (place.folder / "tf_files").exists()


def test_the_clock_is_the_only_thing_that_two_runs_of_a_command_do_not_share(place: Place) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    words = [sys.executable, "-m", "retrain", *place.flags(), "--how_many_training_steps", "20"]
    written = []
    for _ in range(2):
        environment["PYTHONPATH"] = str(ROOT)
        run = subprocess.run(words, cwd=place.folder, env=environment, check=True, capture_output=True, text=True)
        written.append((place.folder / "tf_files/retrained_graph.pb").read_bytes())
        assert "Exports, run on" in run.stdout or len(written) == 2
    assert written[0] == written[1]
    date = read_tflite_bundle((place.folder / "tf_files/retrained_graph.tflite").read_bytes(), "x").date
    assert time.strftime("%Y-") in date
    assert "Exports, run on" not in run.stdout  # measured before, on the same photographs


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a group are POSIX")
def test_ctrl_c_in_the_middle_of_an_export_leaves_nothing_half_done(copy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(copy, run)
    shutil.rmtree(run / "retrained_graph_saved_model", ignore_errors=True)
    before = sorted(path.name for path in run.iterdir())
    words = [sys.executable, "-m", "retrain", "export", str(run), "--format", "saved_model", "--image_dir", str(PHOTOS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline().startswith("Exporting saved_model")
        time.sleep(0.5)
        os.killpg(started.pid, signal.SIGINT)
        started.stdout.read()
        assert started.wait(timeout=10) == 130
    assert sorted(path.name for path in run.iterdir()) == before
