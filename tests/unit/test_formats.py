"""The table of export formats, the record of exports, and what is kept: without TensorFlow."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support import bundle_of, encode, noise, tiny_tflite

from retrain.config import ALWAYS, BESIDE_GRAPH, FORMATS, RunConfig, format_problems, split_formats
from retrain.console import Console
from retrain.errors import ParityError, RetrainError
from retrain.exporters import making, tflite_model
from retrain.exporters.making import Answers, Source
from retrain.exporters.worker import TensorFlowWorker
from retrain.head import Head
from retrain.publish import (
    Compared,
    Export,
    Record,
    Row,
    export_formats,
    place_of,
    raise_for_failures,
    read_record,
    record_path,
    write_record,
)
from retrain.publish.exports_file import fingerprint, with_row

HEAD = Head(np.random.default_rng(0).standard_normal((12, 2)).astype(np.float32), np.zeros(2, np.float32), 7)
ROW = Row(
    "onnx", "m.onnx", "ab", 10, 1.5, 84, 83, 84, 0, 1e-7, 1e-5, 1.0, 0, 0, 0, 0.0, "tflite", "onnxruntime 1", True
)


def test_formats_are_read_in_the_tables_order_each_once():
    assert split_formats(" ONNX ,graph,,tflite_int8,onnx") == ("graph", "tflite_int8", "onnx")
    assert split_formats(RunConfig.export) == ALWAYS
    assert len({one.ending for one in FORMATS.values()}) == len(FORMATS)
    assert {one.ending for one in FORMATS.values()} - {".pb"} <= set(BESIDE_GRAPH)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got nothing"),
        (" , ", "got nothing"),
        ("onx", "got 'onx'; did you mean onnx?"),
        ("graph,tflite16", "got 'tflite16'; did you mean tflite"),
    ],
)
def test_formats_that_are_none_are_named(text, said):
    (problem,) = format_problems(text, "export")
    assert problem.startswith("expected --export to name formats (graph, tflite, ")
    assert said in problem
    assert problem in RunConfig(export=text).problems()


def test_the_record_makes_the_round_trip_and_a_damaged_one_counts_as_none(tmp_path):
    record = Record("cd", "ef", "84 photographs", (ROW, replace(ROW, format="keras", kept=False)))
    path = record_path(tmp_path / "m.pb")
    assert read_record(path) is None
    write_record(path, record)
    assert read_record(path) == record
    raw = json.loads((tmp_path / "m.exports.json").read_text())
    assert raw["exports"][0]["largest_difference"] == 1e-7
    assert (raw["exports"][0]["accuracy"], raw["exports"][0]["agreement"]) == (83 / 84, 1.0)
    del raw["exports"][0]["ms"]
    (tmp_path / "m.exports.json").write_text(json.dumps(raw))
    assert read_record(path) is None


def test_a_row_takes_the_place_of_the_one_of_its_format():
    newer = replace(ROW, ms=9.0)
    assert with_row((ROW, replace(ROW, format="keras")), newer) == (replace(ROW, format="keras"), newer)


def test_a_folders_fingerprint_is_its_files_and_their_names(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "x.bin").write_bytes(b"12345")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    assert fingerprint(tmp_path / "a")[1] == 5
    (tmp_path / "b/deep/x.bin").rename(tmp_path / "b/deep/y.bin")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


@pytest.fixture
def model(tmp_path):
    """A model of four weights on the disk, six photographs, and what exports are made with."""
    tflite = tflite_model(tiny_tflite(), HEAD, bundle_of())
    place_of(tmp_path / "m.pb", "tflite").write_bytes(tflite)
    paths = []
    for number in range(6):
        paths.append(str(tmp_path / f"{number}.png"))
        (tmp_path / f"{number}.png").write_bytes(encode(noise(2, 2, number)))
    compared = Compared(tuple(paths), np.zeros(6, np.intp), "99", "6 photographs")
    graph = str(tmp_path / "m.pb")
    export = Export(graph, bundle_of().input_spec, compared, TensorFlowWorker(), Console())
    source = Source(tmp_path / "m.pb", place_of(graph, "tflite"), bundle_of(), tuple(paths), None)
    return export, source, Record("cd", "99", "6 photographs")


def test_an_export_is_measured_kept_recorded_and_not_made_again(model, tmp_path, capsys):
    export, source, record = model
    record, written = export_formats(export, ("graph", "tflite", "tflite_fp16"), source, record)
    assert written == [tmp_path / "m_fp16.tflite"]
    (row,) = record.rows
    assert (row.format, row.file, row.photographs, row.agreeing, row.kept) == (
        "tflite_fp16",
        "m_fp16.tflite",
        6,
        6,
        True,
    )
    assert row.bytes == written[0].stat().st_size
    assert row.ms > 0
    assert read_record(record_path(export.output_graph)) == record
    assert "tflite_fp16" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
    assert export_formats(export, ("tflite_fp16",), source, record) == (record, [])
    written[0].write_bytes(b"changed by somebody")
    assert export_formats(export, ("tflite_fp16",), source, record)[1] == written


def test_an_export_that_answers_otherwise_is_deleted_and_said(model, tmp_path, monkeypatch, capsys):
    export, source, record = model
    (tmp_path / "m_fp16.tflite").write_bytes(b"of an earlier model")
    run = making._RUNNERS["tflite"]

    def turned(*given):
        answers = run(*given)
        return Answers(answers.scores[:, ::-1], answers.ms)

    monkeypatch.setitem(making._RUNNERS, "tflite_fp16", turned)
    record, written = export_formats(export, ("tflite_fp16",), source, record)
    assert written == []
    assert not (tmp_path / "m_fp16.tflite").exists()
    assert not record.rows[0].kept
    assert "NOT KEPT" in capsys.readouterr().out
    said = r"tflite_fp16 does not answer as the model does: the same answer on 0 of 6 photographs"
    with pytest.raises(ParityError, match=said):
        raise_for_failures(record, ("tflite_fp16",))
    raise_for_failures(record, ("onnx",))


def test_a_format_that_cannot_be_made_loses_nothing_of_those_before_it(model, tmp_path):
    export, source, record = model
    with pytest.raises(RetrainError, match=r"the weights of mobilenet_0\.50_224 are not at hand"):
        export_formats(export, ("tflite_fp16", "keras"), source, record)
    assert (tmp_path / "m_fp16.tflite").exists()
    assert read_record(record_path(export.output_graph)).rows[0].kept
