import hashlib
from dataclasses import replace

import numpy as np
import pytest
from support import bundle_of, encode, tiny_graph, tiny_tflite

from retrain.errors import UsageError
from retrain.exporters import frozen_graph, tflite_model
from retrain.head import Head
from retrain.label import FLAGS, main, read_flags

CLASSES = tuple("abcdefg")
HEAD = Head(np.zeros((12, 7), np.float32), np.arange(7, dtype=np.float32), 3)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model of seven classes whose scores do not depend on the photograph, and a photograph, in the current folder."""
    monkeypatch.chdir(tmp_path)
    bundle = bundle_of(CLASSES)
    tflite = tflite_model(tiny_tflite(), HEAD, bundle)
    bundle = replace(bundle, tflite_sha256=hashlib.sha256(tflite).hexdigest())
    (tmp_path / "m.tflite").write_bytes(tflite)
    (tmp_path / "m.pb").write_bytes(frozen_graph(tiny_graph(), HEAD, bundle))
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
    assert read_flags([*PLAIN, f"--{name}={text}"])[name] == value
    assert read_flags([*PLAIN, f"--{name.replace('_', '-')}", text])[name] == value


def test_flags_that_are_not_given_leave_the_models_own(model):
    assert read_flags(PLAIN) == {"graph": "m.pb", "image": "p.png"}


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
        (["--graph=."], "expected --graph to be a file, but . is a folder; train one with python -m retrain"),
        (["--labels=gone.txt"], "expected --labels to be a file, but gone.txt is not there; leave it away"),
    ],
)
def test_what_cannot_be_used_is_one_problem_that_names_what_came(model, words, said):
    with pytest.raises(UsageError) as caught:
        read_flags([*PLAIN, *words])
    (problem,) = caught.value.problems
    assert said in problem


def test_several_problems_are_listed_at_once(model, capsys):
    assert main(["--image=x", "--graph=y", "--input_std=0", "--grpah=z"]) == 2
    assert capsys.readouterr().err.startswith("label_image: 4 problems:\n  - ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input_layer=Mul"], "expected --input_layer to be 'input'"),
        (["--output_layer=softmax"], "expected --output_layer to be 'final_result'"),
        (["--labels=two.txt"], "expected --labels to have 7 lines, one a class of m.pb, got 2 in two.txt"),
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
