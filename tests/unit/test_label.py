import dataclasses
import io
import os
import sys

import numpy as np
import pytest
from label_support import CLASSES, write_model
from support import encode, tiny_tflite

from retrain.errors import UsageError
from retrain.label import FLAGS, LabelConfig, main, read_flags


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model of seven classes whose scores do not depend on the photograph, and a photograph, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path)
    (tmp_path / "p.png").write_bytes(encode(np.zeros((4, 4, 3), np.uint8)))
    return tmp_path


PLAIN = ["--graph=m.pb", "--image=p.png"]


def test_the_five_best_labels_are_printed_in_the_originals_layout(model, capsys):
    assert main(PLAIN) == 0
    blank, took, empty, *lines = capsys.readouterr().out.splitlines()
    assert (blank, empty) == ("", "")
    assert took.startswith("Evaluation time (1-image): ")
    assert took.endswith("s")
    scores = np.exp(np.arange(7)) / np.exp(np.arange(7)).sum()
    assert lines == [f"{CLASSES[i]} (score={scores[i]:.5f})" for i in (6, 5, 4, 3, 2)]


def test_labels_of_a_file_replace_the_models_own(model, capsys):
    (model / "labels.txt").write_text("".join(f"new {label}\n" for label in CLASSES))
    assert main([*PLAIN, "--labels=labels.txt"]) == 0
    assert "new g (score=" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("input_mean", "0", 0.0), ("input_mean", "-1.5", -1.5), ("input_std", "1", 1.0), ("input_height", "224", 224)],
)
def test_a_value_of_nought_is_a_value(model, name, text, value):
    # The original ignores --input_mean 0.
    assert getattr(read_flags([*PLAIN, f"--{name}={text}"]), name) == value
    assert read_flags([*PLAIN, f"--{name.replace('_', '-')}", text]).overrides == {name: value}


def test_flags_that_are_not_given_have_their_defaults_and_leave_the_models_own(model):
    config = read_flags(PLAIN)
    assert config.overrides == {}
    assert config.given == {"graph", "image"}
    assert (config.image, config.format, config.top_k, config.output) == (("p.png",), "text", 5, None)


def test_the_table_of_flags_and_the_config_have_the_same_fields():
    assert {field.name for field in dataclasses.fields(LabelConfig)} == {*FLAGS, "given"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "text"),
        (["--output=x.CSV"], "csv"),
        (["--output=x.jsonl"], "jsonl"),
        (["--output=x.json", "--format=csv"], "csv"),
        (["--output=x.txt"], "text"),
        (["--output=csv"], "csv"),
    ],
)
def test_the_format_is_the_one_named_else_that_of_the_outputs_suffix(model, words, expected):
    assert read_flags([*PLAIN, *words]).format == expected


def test_image_takes_several_words_and_may_be_repeated(model):
    (model / "q.png").write_bytes(b"q")
    words = ["--graph=m.pb", "--image", "p.png", "q.png", "--top_k=1", "--image", "p.png"]
    assert read_flags(words).image == ("p.png", "q.png", "p.png")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input_std=0"], "expected --input_std to be other than 0, got 0"),
        (["--input_height=31"], "expected --input_height to be 32 to 4096, got 31"),
        (["--input_width=5000"], "expected --input_width to be 32 to 4096, got 5000"),
        (["--input_height=big"], "expected --input_height to be a number, got 'big'"),
        (["--input_mean=nan"], "expected --input_mean to be"),
        (["--input_std=inf"], "expected --input_std to be"),
        (["--grpah=m.pb"], "unknown flag --grpah; did you mean --graph?"),
        (["p.png"], "got the word 'p.png' that belongs to no flag"),
        (["--image=gone.png"], "expected --image to be a file, but gone.png is not there; check the spelling"),
        (
            ["--graph=."],
            "expected --graph to be a .pb, .tflite, .lite or .onnx file, or the folder of a SavedModel, but . is",
        ),
        (["--graph=p.png"], "but p.png is none; train one with python -m retrain"),
        (["--resize=tf2"], "expected --resize to be tf1, got 'tf2'; leave it away for: as the model says"),
        (["--labels=gone.txt"], "expected --labels to be a file, but gone.txt is not there; leave it away"),
        (["--image=empty"], "expected --image to hold images, but the folder empty has none"),
        (["--image=*.gif"], "expected --image to match a file, but nothing matches *.gif"),
        (["--image=@list"], "expected --image=@list to name a list, but list is no file"),
        (["--image=pipe"], "expected --image to be a file, but pipe is a pipe or device; give -"),
        (["--image", "-", "@-"], "expected - or @- once in --image"),
        (
            ["--format=cvs"],
            "expected --format to be one of text, csv, json, jsonl, parquet, got 'cvs'; did you mean csv?",
        ),
        (["--format=parquet"], "expected --output with --format=parquet"),
        (["--output=empty"], "cannot write --output=empty: it is a folder, not a file"),
        (["--output=p.png"], "expected --output to be another file than those that are read, got p.png"),
        (["--sort_into=p.png"], "cannot write --sort_into=p.png: it is a file, not a folder"),
        (["--sort_into=.", "--image=*.png"], "expected ., where photographs are written, not to hold *.png"),
        (["--sort_into=.", "--image=full"], "expected ., where photographs are written, not to hold full, which is"),
        (["--sort_links"], "expected --sort_into with --sort_links"),
        (["--sort_links", "--sort_into=s", "--image=-"], "expected files with --sort_links"),
        (["--annotate=out.png", "--image=m.pb"], "expected --annotate to be a folder for several photographs"),
        (["--top_k=0"], "expected --top_k to be 1 to 10000, got 0; leave it away for 5"),
        (["--top_k=x"], "expected --top_k to be a number, got 'x'; leave it away for: 5"),
        (["--min_score=1.5"], "expected --min_score to be 0 to 1, got 1.5"),
        (["--threads=-1"], "expected --threads to be 0 to 256, got -1; leave it away for 0"),
        (["--batch_size=0"], "expected --batch_size to be 1 to 100000, got 0"),
        (["--watch_interval_s=1"], "expected --watch with --watch_interval_s"),
        (["--watch=empty"], "expected --image or --watch, got both"),
    ],
)
def test_what_cannot_be_used_is_one_problem_that_names_what_came(model, words, said):
    (model / "empty").mkdir()
    (model / "full").mkdir()
    (model / "full/1.png").write_bytes(b"x")
    os.mkfifo(model / "pipe")
    with pytest.raises(UsageError) as caught:
        read_flags([*PLAIN, *words])
    (problem,) = caught.value.problems
    assert said in problem


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--watch=gone"], "expected --watch to be a folder, but gone is not there; make it first"),
        (["--watch=p.png"], "expected --watch to be a folder, but p.png is a file"),
        (["--watch=in", "--format=json"], "expected --format to be text, csv or jsonl with --watch, got json"),
        (["--watch=in", "--output=o.txt"], "expected --format=csv or jsonl with --watch and --output, got text"),
        (["--watch=in", "--output=old.csv"], "expected --output=old.csv to be new, or to have its journal"),
        (["--watch=in", "--sort_into=in"], "expected in, where photographs are written, not to hold in, which is read"),
    ],
)
def test_a_watch_that_cannot_work_is_refused(model, words, said):
    (model / "in").mkdir()
    (model / "old.csv").write_text("something of somebody's\n")
    with pytest.raises(UsageError) as caught:
        read_flags(["--graph=m.pb", *words])
    (problem,) = caught.value.problems
    assert said in problem


def test_without_pyarrow_parquet_is_refused_with_the_command_that_installs_it(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'retrain-photos\[parquet\]'"):
        read_flags([*PLAIN, "--output=x.parquet"])


def test_a_photograph_from_standard_input_is_printed_in_the_originals_layout(model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((model / "p.png").read_bytes())))
    assert main(["--graph=m.pb", "--image", "-", "--top_k=1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert (out[0], out[2], out[3:]) == ("", "", ["g (score=0.63270)"])


def test_a_best_score_that_is_too_low_is_unknown(model, capsys):
    assert main([*PLAIN, "--min_score=0.7", "--top_k=1"]) == 0
    assert capsys.readouterr().out.splitlines()[3:] == ["unknown", "g (score=0.63270)"]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], ["unknown", "g (score=0.63270)"]),
        (["--min_score=0.6"], ["g (score=0.63270)"]),
        (["--min_score=0"], ["g (score=0.63270)"]),
    ],
)
def test_without_min_score_the_models_own_threshold_counts(model, capsys, words, lines):
    write_model(model, unknown_threshold=0.7)
    assert main([*PLAIN, "--top_k=1", *words]) == 0
    assert capsys.readouterr().out.splitlines()[3:] == lines
    assert main([*PLAIN, "--top_k=1", "--format=csv", *words]) == 0
    assert capsys.readouterr().out.splitlines()[1].split(",")[1] == lines[0].split(" (")[0]


def test_what_was_assumed_of_a_strangers_model_goes_to_standard_error(model, capsys):
    (model / "s.tflite").write_bytes(tiny_tflite())
    (model / "labels.txt").write_text("".join(f"{letter}\n" for letter in "abcdefghijkl"))
    assert main(["--graph=s.tflite", "--image=p.png", "--top_k=1"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[3:] == ["a (score=0.08333)"]
    assert [line.startswith("label_image: ") for line in err.splitlines()] == [True] * 3
    assert "(value - 127.5) / 127.5 is assumed" in err


def test_what_was_named_by_itself_may_be_sorted_into_the_folder_it_lies_in(model, monkeypatch, capsys):
    data = (model / "p.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["--graph=m.pb", "--image", "p.png", "-", "--sort_into=."]) == 0
    assert [path.read_bytes() for path in sorted((model / "g").iterdir())] == [data, data]
    assert [path.name for path in sorted((model / "g").iterdir())] == ["p.png", "stdin.png"]


def test_one_photograph_can_be_written_sorted_and_annotated(model, capsys):
    assert main([*PLAIN, "--output=o.txt", "--sort_into=s", "--annotate=a.png"]) == 0
    assert capsys.readouterr().out == ""
    assert (model / "o.txt").read_text().splitlines()[3] == "g (score=0.63270)"
    assert (model / "s/g/p.png").read_bytes() == (model / "p.png").read_bytes()
    assert (model / "a.png").read_bytes().startswith(b"\x89PNG")


def test_several_problems_are_listed_at_once(model, capsys):
    assert main(["--image=x", "--graph=y", "--input_std=0", "--grpah=z"]) == 2
    assert capsys.readouterr().err.startswith("label_image: 4 problems:\n  - ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input_layer=Mul"], "expected --input_layer to be 'input'"),
        (["--output_layer=softmax"], "expected --output_layer to be 'final_result'"),
        (["--labels=two.txt"], "expected labels to have 7 lines, one a class of m.pb, got 2 in two.txt"),
    ],
)
def test_flags_that_do_not_fit_the_model_are_refused(model, capsys, words, said):
    (model / "two.txt").write_text("one\ntwo\n")
    assert main([*PLAIN, *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--input_layer=import/input:0"], ["--output_layer=final_result:0"]])
def test_the_originals_spellings_of_node_names_are_taken(model, words):
    assert main([*PLAIN, *words]) == 0


@pytest.mark.parametrize(
    ("name", "content", "code"), [("p.png", b"text", 3), ("p.png", b"", 3), ("m.pb", b"text", 6), ("m.tflite", b"", 6)]
)
def test_damaged_files_end_with_their_exit_code(model, capsys, name, content, code):
    (model / name).write_bytes(content)
    assert main(PLAIN) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("label_image: ")


def test_a_label_cannot_steer_the_terminal(model, capsys):
    (model / "labels.txt").write_text("".join(f"\x1b[31m{label}\n" for label in CLASSES))
    assert main([*PLAIN, "--labels=labels.txt"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f"--{name}" in out for name in FLAGS)
