"""What can be taken along: every format with its row, folders as archives, names in any alphabet."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from studio_rooms import TOKEN, app_of, serving
from studio_runs import trained

from retrain.config import ALWAYS, FORMATS
from retrain.errors import ModelError, UsageError
from retrain.publish import read_record, record_path, write_record
from retrain.studio import using
from retrain.studio.model_routes import ModelRoutes
from retrain.studio.workshop import Standing


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("left") / "run", "--export=tflite_fp16")


@pytest.fixture
def graph(left, tmp_path):
    return str(Path(shutil.copytree(Path(left.output_graph).parent, tmp_path / "out")) / "model.pb")


def facts_of(graph, name):
    (facts,) = [one for one in using.exports(graph) if one["format"] == name]
    return facts


def test_every_format_is_listed_and_those_that_are_there_with_what_was_measured(graph):
    assert [one["format"] for one in using.exports(graph)] == list(FORMATS)
    for name in ("graph", "tflite", "tflite_fp16"):
        facts = facts_of(graph, name)
        assert facts["there"]
        assert facts["bytes"] > 0
        assert facts["measured"]["kept"]
        assert facts["measured"]["agreeing"] == facts["measured"]["photographs"]
        assert 0 <= facts["measured"]["largest_difference"] <= facts["measured"]["limit"]
    assert not facts_of(graph, "onnx")["there"]
    assert facts_of(graph, "onnx")["measured"] is None


def test_a_format_that_failed_is_listed_as_not_kept(graph):
    record = read_record(record_path(graph))
    rows = tuple(replace(row, kept=False) if row.format == "tflite_fp16" else row for row in record.rows)
    write_record(record_path(graph), replace(record, rows=rows))
    Path(graph).with_name("model_fp16.tflite").unlink()
    facts = facts_of(graph, "tflite_fp16")
    assert (facts["there"], facts["measured"]["kept"]) == (False, False)


def test_every_file_that_is_listed_can_be_had(graph):
    listed = [one["file"] for one in using.exports(graph) if one["there"]]
    listed += [one["file"] for one in using.files(graph)]
    assert {"model.pb", "model.metrics.json", "report.html"} <= set(listed)
    for name in listed:
        data, save_as = using.download(graph, name)
        assert data == Path(graph).with_name(name).read_bytes()
        assert save_as == name


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../out/model.pb", "labels.txt/..", "model.reviewed.json", "model.pb/"]
)
def test_nothing_else_can_be_had(graph, name):
    with pytest.raises(UsageError, match="one of the files of the run"):
        using.download(graph, name)


def test_a_folder_is_sent_as_an_archive(graph):
    folder = Path(graph).with_name(FORMATS["saved_model"].ending.join(("model", "")))
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"a graph")
    (folder / "variables" / "one").write_bytes(b"a number")
    (folder / "strange").symlink_to("/etc/passwd")
    facts = facts_of(graph, "saved_model")
    assert facts["there"]
    data, save_as = using.download(graph, facts["file"])
    assert save_as == f"{folder.name}.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"{folder.name}/saved_model.pb": b"a graph",
            f"{folder.name}/variables/one": b"a number",
        }


def test_a_folder_that_is_too_large_is_refused(graph, monkeypatch):
    folder = Path(graph).with_name(FORMATS["saved_model"].ending.join(("model", "")))
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"a graph")
    monkeypatch.setattr(using, "_MOST_BYTES", 3)
    with pytest.raises(ModelError, match="copy it from the disk"):
        using.download(graph, facts_of(graph, "saved_model")["file"])


def test_a_file_that_has_gone_is_a_sentence(graph):
    Path(graph).with_suffix(".tflite").unlink()
    with pytest.raises(ModelError, match="cannot read"):
        using.download(graph, "model.tflite")


@pytest.mark.parametrize("name", ["model.pb", "モデル.pb", 'a"b\\c;d.zip', "line\r\nbreak.pb", "Blüten.tflite"])
def test_the_name_of_a_download_is_a_header_in_any_alphabet(name):
    header = using.disposition(name)
    assert header.encode("latin-1").isascii()
    assert "\n" not in header
    assert "\r" not in header
    assert header.count('"') == 2
    assert header.startswith("attachment; ")


def test_the_next_run_writes_what_is_there(left, graph):
    config = replace(left, export="", output_graph=graph)
    assert set(using.formats_of_next(config)) == {"tflite_fp16"}
    assert set(using.formats_of_next(config, ("onnx",))) == {"onnx", "tflite_fp16"}
    assert not set(using.formats_of_next(replace(left, export="", output_graph="nowhere.pb"))) - set(ALWAYS)


def test_commands_are_written_as_a_shell_takes_them():
    words = using.commands("a folder/it's.pb", "http://127.0.0.1:1")
    assert "a folder/it's.pb" in shlex.split(words["label_image"])
    assert words["curl"].endswith("http://127.0.0.1:1/api/classify")
    assert repr("a folder/it's.pb") in words["python"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("token", ["", TOKEN])
def test_the_curl_line_is_answered_as_it_stands(token, left):
    """Pasted into a shell whose folder has photo.jpg, and which knows the token where one is wanted."""
    photo = next(Path(left.image_dir).rglob("*.png"))
    with serving(app_of(left, token)) as (host, port):
        line = using.commands(left.output_graph, f"http://{host}:{port}", wants_token=bool(token))["curl"]
        line = line.replace("photo.jpg", shlex.quote(str(photo)))
        said = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, env={**os.environ, "TOKEN": token}, check=True
        )
        wrong = {**os.environ, "TOKEN": "another-token-of-25-signs"}
        other = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=wrong, check=True)
    assert json.loads(said.stdout)["scores"], said
    assert ("error" in json.loads(other.stdout)) == bool(token)
    assert TOKEN not in line


@pytest.mark.parametrize(("standing", "is_its", "expected"), [
    (Standing(1, fitted=SimpleNamespace(manifest="m"), fitted_revision=1), True, ("export", False)),
    (Standing(1, fitted=SimpleNamespace(manifest="m"), fitted_revision=1), False, ("run", True)),
    (Standing(1), False, ("export", False)),
    (Standing(2, fitted=SimpleNamespace(manifest="m"), fitted_revision=1, trouble="one class"), False, ("export", False)),
])  # fmt: skip
def test_a_format_is_made_of_the_model_as_it_is_unless_the_photographs_were_changed(left, standing, is_its, expected):
    routes, started = routes_with(left, standing, is_its)
    assert (routes._export("onnx"), started) == (expected[1], [expected[0]])


def test_a_format_is_not_made_while_nobody_knows_whether_the_model_is_of_these_photographs(left):
    standing = Standing(2, fitted=SimpleNamespace(manifest="m"), fitted_revision=1)
    routes, started = routes_with(left, standing, True)
    with pytest.raises(UsageError, match="wait until the head is fitted"):
        routes._export("onnx")
    assert started == []


def routes_with(config, standing, is_its):
    """Model routes of a desk that starts nothing and keeps what it was to start."""
    started = []

    def start(config, formats=()):
        started.append("export" if formats else "run")

    models = SimpleNamespace(is_there=lambda: True, was_trained_on=lambda manifest: is_its)
    shop = SimpleNamespace(config=config, standing=standing)
    return ModelRoutes(SimpleNamespace(workshop=shop, models=models, trainer=SimpleNamespace(start=start))), started
