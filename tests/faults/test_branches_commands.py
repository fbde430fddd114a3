"""The small commands in this process, on what a run with the fake backbone left: export, compare, fix, fetch."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from unittest import mock

import pytest
from fake_run import NumpyWorker, prepare, run_here
from photo_server import page, serving
from support import encode, noise

from retrain import commands
from retrain.console import Console
from retrain.errors import ModelError, PartError, UsageError, WeightsError
from retrain.publish import further
from retrain.publish.earlier import open_run


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """What a run left: nothing changes it."""
    folder = tmp_path_factory.mktemp("left") / "run"
    assert run_here([*prepare(folder, photographs=24), "--testing_percentage=25"]) == 0
    return folder


@pytest.fixture
def out(left, tmp_path):
    """The same, to be changed; the photographs are where they were."""
    return Path(shutil.copytree(left / "out", tmp_path / "out"))


def do(*words):
    with mock.patch.object(further, "TensorFlowWorker", NumpyWorker):
        return commands.main([str(word) for word in words], Console())


# Export


def test_a_format_is_written_compared_and_not_written_again(out, capsys):
    assert do("export", out / "model.pb", "--format", "tflite_fp16") == 0
    said = capsys.readouterr().out
    assert "Wrote" in said
    (written,) = out.glob("*fp16*")
    first = written.read_bytes()
    record = json.loads((out / "model.exports.json").read_text())
    assert "tflite_fp16" in json.dumps(record)
    assert do("export", out, "--format", "tflite_fp16") == 0
    assert "Nothing to do: tflite_fp16, as recorded in model.exports.json" in capsys.readouterr().out
    assert written.read_bytes() == first


def test_a_record_of_another_model_is_not_believed(out, left, capsys):
    text = (out / "model.exports.json").read_text()
    (out / "model.exports.json").write_text(text.replace(json.loads(text)["graph_sha256"], "0" * 64))
    assert do("export", out / "model.pb", "--format", "tflite_fp16") == 0
    assert "Wrote" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("nowhere.pb", "--format", "onnx"),
            "expected RUN to be a model's .pb or its folder, but nowhere.pb is not there",
        ),
        (("nowhere.pb", "--format", "onxn"), "did you mean onnx"),
        (("nowhere.pb",), "--format"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(words, said):
    with pytest.raises(UsageError) as refused:
        do("export", *words)
    assert said in "\n".join(refused.value.problems)


def test_keras_asks_for_the_weights_that_the_run_had(out, tmp_path):
    metrics = json.loads((out / "model.metrics.json").read_text())
    metrics["config"]["model_dir"] = str(tmp_path / "models")
    metrics["config"]["weights"] = str(tmp_path / "gone.npz")
    (out / "model.metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(WeightsError, match=r"gone\.npz"):
        do("export", out / "model.pb", "--format", "keras")
    with pytest.raises(WeightsError, match=r"other\.npz"):
        do("export", out / "model.pb", "--format", "keras", "--weights", tmp_path / "other.npz")


# What a run left


def test_a_folder_with_no_model_or_with_two_asks_for_the_file(out, tmp_path):
    (out / "other.pb").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"expected one \.pb in .*, got model\.pb, other\.pb; name the file"):
        open_run(str(out))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="got none; name the file"):
        open_run(str(tmp_path / "empty"))
    assert open_run(str(out / "model.pb")).graph == out / "model.pb"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (
            lambda out: (out / "model.tflite").write_bytes(b"other"),
            "model.tflite is not the file that .* was written with",
        ),
        (lambda out: (out / "model.tflite").unlink(), "model.tflite is not the file that .* was written with"),
        (
            lambda out: (out / "model.split.csv").write_bytes(b"other"),
            "split.csv is not the file that .* was written with",
        ),
        (lambda out: (out / "model.split.csv").unlink(), "split.csv, which the run wrote: No such file or directory"),
        (lambda out: (out / "model.metrics.json").unlink(), "which the run wrote, to say what it was told"),
        (lambda out: (out / "model.metrics.json").write_text("[]"), "which the run wrote, to say what it was told"),
        (lambda out: (out / "model.metrics.json").write_text("{"), "which the run wrote, to say what it was told"),
        (lambda out: (out / "model.metrics.json").write_text('{"config": {}}'), "to say what it was told: 'image_dir'"),
    ],
)
def test_files_of_different_runs_are_not_put_together(out, harm, words):
    harm(out)
    with pytest.raises(ModelError, match=words):
        open_run(str(out))


def test_photographs_that_moved_are_asked_for_and_found_where_they_are_said_to_be(left, out, tmp_path):
    moved = Path(shutil.copytree(left / "photos", tmp_path / "moved"))
    metrics = json.loads((out / "model.metrics.json").read_text())
    metrics["image_root"] = metrics["config"]["image_dir"] = str(tmp_path / "gone")
    (out / "model.metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UsageError, match=r"expected the 24 photographs of the run in .*gone, but 24 are not there"):
        open_run(str(out))
    assert open_run(str(out), str(moved)).missing() == []
    (moved / "class_0" / "0000.png").unlink()
    with pytest.raises(UsageError, match=r"but 1 are not there \(.*0000\.png\); say where they lie now"):
        open_run(str(out), str(moved))


def test_photographs_in_an_archive_are_unpacked_for_it(left, out, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for path in sorted((left / "photos").rglob("*.png")):
            file.write(path, Path("all") / path.relative_to(left / "photos"))
    metrics = json.loads((out / "model.metrics.json").read_text())
    metrics["config"]["bottleneck_dir"] = str(tmp_path / "bottlenecks")
    (out / "model.metrics.json").write_text(json.dumps(metrics))
    run = open_run(str(out), str(tmp_path / "photos.zip"))
    assert run.missing() == []
    assert run.image_dir.endswith("/all")


def test_photographs_under_a_url_are_not_looked_for(left, out):
    assert open_run(str(out), "memory://photos").missing() == []


def test_the_photographs_compared_are_those_of_the_run(left, out):
    run = open_run(str(out))
    compared = run.compared()
    recorded = json.loads((out / "model.exports.json").read_text())
    assert compared.sha256 in json.dumps(recorded)
    assert len(compared.paths) == len(compared.labels) == 24  # fewer than 50 in the final test: all of them


# Fetch


def test_photographs_are_fetched_by_the_command_and_what_is_missing_ends_in_its_exit_code(tmp_path, capsys):
    with serving() as server:
        server.pages["/a.png"] = page(encode(noise(20, 20), "PNG"))
        (tmp_path / "urls.txt").write_text(
            "".join(f"{server.url}/{name}.png\n" for name in ["a", *map(str, range(12))])
        )
        words = (
            "--urls", tmp_path / "urls.txt", "--label", "cat", "--image_dir", tmp_path / "photos", "--pause_s", "0",
            "--per_second", "1000", "--tries", "1", "--allow_http", "--allow_private",
        )  # fmt: skip
        with pytest.raises(PartError, match=r"12 of 13 photographs could not be had; .* says why"):
            do("fetch", *words)
        said = capsys.readouterr().out
        assert "... and 2 more" in said
        assert len(list((tmp_path / "photos" / "cat").iterdir())) == 1
        with pytest.raises(PartError):
            do("fetch", *words)
        assert "1 kept, 12 refused; 13 of these settled in an earlier run" in capsys.readouterr().out


def test_an_empty_list_of_photographs_is_said_to_be_empty(tmp_path, capsys):
    (tmp_path / "list.csv").write_text("url,label\n")
    assert do("fetch", "--csv", tmp_path / "list.csv", "--image_dir", tmp_path / "photos") == 0
    assert "the list is empty" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--label", "x", "--image_dir", "d"), "expected --urls or --csv, got neither"),
        (("--urls", "a", "--csv", "b", "--label", "x", "--image_dir", "d"), "got both"),
        (("--urls", "nowhere", "--image_dir", "d"), "expected --label together with --urls"),
        (("--csv", "nowhere"), "expected --image_dir, got none"),
        (("--csv", "nowhere", "--image_dir", "d", "--pause_s", "nan"), "expected --pause_s from 0 to 3600, got 'nan'"),
        (("--csv", "nowhere", "--image_dir", "d", "--parallel", "1.5"), "expected --parallel from 1 to 64, got '1.5'"),
        (("--csv", "nowhere", "--image_dir", "d", "--tries", "99"), "expected --tries from 1 to 20, got '99'"),
        (("--csv", "nowhere", "--image_dir", "d"), "nowhere"),
    ],
)
def test_a_fetch_that_cannot_be_meant_is_refused_with_all_problems(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused:
        do("fetch", *words)
    assert said in "\n".join(refused.value.problems)
    assert list(tmp_path.iterdir()) == []
