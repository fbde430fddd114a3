import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from label_support import BY_COLOUR, COLOURS, patch, write_model
from support import encode

from retrain.label import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with a model that tells colours, and twelve photographs named by their colour."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path, BY_COLOUR, COLOURS)
    for number in range(12):
        colour = COLOURS[number % 3]
        path = tmp_path / "in" / colour / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(patch(colour)))
    return tmp_path


def run(*words):
    return main(["--graph=m.pb", *words])


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("words", [[], ["--threads=1", "--batch_size=1"], ["--threads=7", "--batch_size=3"]])
def test_rows_come_in_the_order_of_the_photographs(place, capsys, words):
    assert run("--image", "in", "--format=csv", *words) == 0
    rows = rows_of(capsys.readouterr().out)
    expected = sorted(str(path.relative_to(place)) for path in (place / "in").rglob("*.png"))
    assert [row["path"] for row in rows] == expected
    assert all(row["label"] in row["path"] for row in rows)


def test_a_broken_photograph_is_a_row_and_the_exit_code_tells(place, capsys):
    (place / "in/red/00.png").write_bytes(b"no image")
    (place / "list").write_text("gone.png\nin/blue/02.png\n")
    assert run("--image", "in/red/00.png", "@list", "--format=jsonl") == 9
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["path"], row["label"]) for row in rows] == [
        ("in/red/00.png", None), ("gone.png", None), ("in/blue/02.png", "blue"),
    ]  # fmt: skip
    assert rows[0]["error"].startswith("not an image: ")
    assert rows[1]["error"] == "unreadable: No such file or directory"
    assert "label_image: 2 of 3 photographs could not be done (not an image: 1, unreadable: 1)" in err


def test_one_photograph_of_another_format_than_text_is_a_row_too(place, capsys):
    (place / "bad.png").write_bytes(b"no image")
    assert run("--image=bad.png", "--format=csv") == 9
    assert rows_of(capsys.readouterr().out)[0]["error"].startswith("not an image: ")


def test_text_of_several_has_a_line_with_the_path(place, capsys):
    assert run("--image", "in/red/*.png", "--top_k=1") == 0
    blocks = capsys.readouterr().out.split("\n\n")[:-1]
    assert [block.splitlines()[0] for block in blocks] == [f"in/red/{n:02}.png" for n in (0, 3, 6, 9)]
    assert all(block.splitlines()[1].startswith("red (score=") for block in blocks)


@pytest.mark.parametrize("name", ["o.csv", "o.json", "o.txt", "o.parquet"])
def test_an_output_appears_whole_or_not_at_all(place, monkeypatch, name):
    if name == "o.parquet":
        pytest.importorskip("pyarrow")
    (place / name).write_text("before")
    with monkeypatch.context() as patched:
        patched.setattr("retrain.label.handling.Tally.add", _interrupt)
        assert run("--image", "in", f"--output={name}") == 130
    assert (place / name).read_text() == "before"
    assert [path.name for path in place.glob(".*")] == []
    assert run("--image", "in", f"--output={name}") == 0
    assert (place / name).read_bytes() != b"before"


def _interrupt(*_):
    raise KeyboardInterrupt


def test_json_lines_are_kept_when_it_is_interrupted(place, monkeypatch, capsys):
    (place / "o.jsonl").write_text("of an earlier run, and longer than a row" * 100)
    monkeypatch.setattr("retrain.label.handling.Tally.add", _interrupt)
    assert run("--image", "in", "--output=o.jsonl") == 130
    (line,) = (place / "o.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == "in/blue/02.png"
    assert "rows of jsonl and --watch are kept" in capsys.readouterr().err


def test_parquet_has_the_columns_of_csv_with_types(place):
    parquet = pytest.importorskip("pyarrow.parquet")
    (place / "in/red/00.png").write_bytes(b"no image")
    assert run("--image", "in", "--output=o.parquet", "--top_k=2") == 9
    table = parquet.read_table("o.parquet")
    types = ["string", "string", "float", "string", "float", "string"]
    assert [str(field.type) for field in table.schema] == types
    assert table.schema.names == ["path", "label", "score", "label_2", "score_2", "error"]
    rows = table.to_pylist()
    assert len(rows) == 12
    broken = [row for row in rows if row["error"]]
    assert [(row["path"], row["label"], row["score"]) for row in broken] == [("in/red/00.png", None, None)]


def test_parquet_is_written_in_groups_of_rows(place, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("retrain.label.writers._ROW_GROUP", 5)
    assert run("--image", "in", "--output=o.parquet") == 0
    file = parquet.ParquetFile("o.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [5, 5, 2]


def test_photographs_are_sorted_into_folders_that_are_not_named_themselves(place, capsys):
    for _ in range(2):
        assert run("--image", ".", "--sort_into=sorted", "--annotate=drawn", "--format=csv") == 0
        assert len(rows_of(capsys.readouterr().out)) == 12
    counts = {folder.name: len(list(folder.iterdir())) for folder in (place / "sorted").iterdir()}
    assert counts == dict.fromkeys(COLOURS, 8)
    assert len(list((place / "drawn").iterdir())) == 24


def test_what_cannot_be_sorted_is_a_row_with_its_error(place, monkeypatch, capsys):
    from retrain.errors import ImageError
    from retrain.label.sorting import Sorter

    def fail(self, photograph, row):
        raise ImageError("unreadable", "gone meanwhile")

    monkeypatch.setattr(Sorter, "__call__", fail)
    assert run("--image", "in/red", "--sort_into=s", "--format=csv") == 9
    rows = rows_of(capsys.readouterr().out)
    assert [(row["label"], row["error"]) for row in rows] == [("red", "unreadable: gone meanwhile")] * 4


def test_below_min_score_photographs_are_unknown_and_sorted_so(place, capsys):
    assert run("--image", "in/red", "--min_score=0.9999", "--sort_into=s", "--format=csv") == 0
    rows = rows_of(capsys.readouterr().out)
    assert {row["label"] for row in rows} == {"unknown"}
    assert all(0.99 < float(row["score"]) < 0.9999 for row in rows)
    assert [folder.name for folder in (place / "s").iterdir()] == ["unknown"]


def test_no_more_photographs_are_begun_than_batch_size_says(place):
    from retrain.classifier import Classifier

    begun = []

    def images():
        for path in sorted((place / "in").rglob("*.png")):
            begun.append(path)
            yield path

    results = Classifier.open("m.pb").classify_many(images(), in_flight=3)
    for done, _ in enumerate(results):
        assert len(begun) <= done + 3
    assert len(begun) == 12


def test_the_model_is_opened_once_a_thread(place, monkeypatch, capsys):
    from retrain.runtimes import litert

    opened = []
    real = litert.open_model
    monkeypatch.setattr(litert, "open_model", lambda *words: opened.append(1) or real(*words))
    assert run("--image", "in", "--threads=2", "--format=csv") == 0
    assert 2 <= len(opened) <= 3


def test_what_was_left_out_and_how_fast_it_was_goes_to_standard_error(place, capsys):
    (place / "in/notes.txt").write_text("x")
    assert run("--image", "in", "--format=jsonl") == 0
    out, err = capsys.readouterr()
    assert all(json.loads(line) for line in out.splitlines())
    assert "label_image: left out 1: suffix of no known image format" in err
    assert "label_image: 12 photographs in " in err


def test_rows_stay_on_standard_output_while_a_bar_is_live(place, monkeypatch):
    """rich's bar on a terminal takes sys.stdout; the rows must not end up in it."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    piped, terminal = io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stdout", piped)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run("--image", "in", "--format=csv") == 0
    assert len(rows_of(piped.getvalue())) == 12
    assert ".png" not in terminal.getvalue()


def test_labels_of_a_file_replace_the_models_own_in_every_format(place, capsys):
    (place / "labels.txt").write_text("rot\ngrün\nblau\n")
    assert run("--image", "in/green", "--labels=labels.txt", "--format=csv") == 0
    assert {row["label"] for row in rows_of(capsys.readouterr().out)} == {"grün"}


def test_a_name_that_is_not_utf8_is_written_as_escapes(place, capsys):
    Path(os.fsdecode(b"in/caf\xe9.png")).write_bytes(encode(np.zeros((4, 4, 3), np.uint8)))
    assert run("--image", "in", "--output=o.csv") == 0
    assert "in/caf\\udce9.png" in (place / "o.csv").read_text()
