import os
import signal
import sys

import pytest

from retrain import errors
from retrain.commandline import Parser, canonical, exit_codes


@pytest.mark.parametrize(
    ("word", "flag"),
    [
        ("--image-dir", "--image_dir"),
        ("--image_dir", "--image_dir"),
        ("--image-dir=my-photos/a--b", "--image_dir=my-photos/a--b"),
        ("--no-offline", "--no_offline"),
        ("--no-print_misclassified-test_images", "--no_print_misclassified_test_images"),
        ("-1", "-1"),
        ("my-photos", "my-photos"),
        ("--", "--"),
        ("", ""),
    ],
)
def test_a_flag_may_be_written_with_dashes_and_its_value_is_left_alone(word, flag):
    assert canonical(word) == flag


def parser():
    made = Parser(prog="x")
    made.add_argument("--image_dir")
    made.add_argument("--seed")
    return made


@pytest.mark.parametrize(
    ("words", "given", "problems"),
    [
        (["--seed", "1"], {"seed": "1"}, []),
        (["--imge_dir=x", "--seed=1"], {"seed": "1"}, ["unknown flag --imge_dir; did you mean --image_dir?"]),
        (["--imge-dir", "x"], {}, ["unknown flag --imge_dir; did you mean --image_dir?"]),
        (["--imag"], {}, ["unknown flag --imag"]),
        (["--zzz"], {}, ["unknown flag --zzz; see --help"]),
        (["loose"], {}, ["got the word 'loose' that belongs to no flag"]),
        (["--zzz", "1", "loose"], {}, ["unknown flag --zzz", "got the word 'loose'"]),
        (["--zzz=1", "loose"], {}, ["unknown flag --zzz", "got the word 'loose'"]),
        (["-x"], {}, ["unknown flag -x"]),
    ],
)
def test_words_that_are_not_understood_are_each_reported_once(words, given, problems):
    got, said = parser().parse(words)
    assert {name: value for name, value in got.items() if value is not None} == given
    assert len(said) == len(problems)
    for sentence, start in zip(said, problems, strict=True):
        assert sentence.startswith(start)


def test_a_flag_without_its_value_is_a_usage_error_and_not_an_exit():
    with pytest.raises(errors.UsageError, match="seed"):
        parser().parse(["--seed"])


def test_a_block_without_an_error_ends_with_0(capsys):
    with exit_codes("retrain") as code:
        pass
    assert code == [0]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.RetrainError("so"), 1, "retrain: so\n"),
        (errors.UsageError("so"), 2, "retrain: so\n"),
        (errors.UsageError(["so", "and so"]), 2, "retrain: 2 problems:\n  - so\n  - and so\n"),
        (errors.ImageError("empty", "0 bytes"), 3, "retrain: empty: 0 bytes\n"),
        (errors.WeightsError("two\nlines"), 4, "retrain: two\nlines\n"),
        (errors.CacheError("so"), 5, "retrain: so\n"),
        (errors.ModelError("\x1b[2J"), 6, "retrain: \\x1b[2J\n"),
        (errors.NumericalError("so"), 7, "retrain: so\n"),
        (OSError(28, "No space left on device", "x.pb"), 1, "retrain: x.pb: No space left on device; nothing was"),
        (OSError("odd"), 1, "retrain: disk: odd; nothing was"),
        (KeyboardInterrupt(), 130, "\nretrain: interrupted; what was cached is kept"),
    ],
)
def test_an_error_becomes_a_sentence_and_an_exit_code(capsys, error, code, text):
    with exit_codes("retrain") as got:
        raise error
    out, err = capsys.readouterr()
    assert got == [code]
    assert out == ""
    assert err.startswith(text)


def test_sigterm_unwinds_and_ends_with_143(capsys):
    unwound = []
    with exit_codes("retrain") as code:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            unwound.append(True)
    assert code == [143]
    assert unwound == [True]
    assert "terminated" in capsys.readouterr().err


def test_a_bug_is_not_swallowed():
    with pytest.raises(ZeroDivisionError), exit_codes("retrain"):
        raise ZeroDivisionError


def test_a_reader_that_has_read_enough_ends_it_without_a_word_and_with_141(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with exit_codes("label_image") as code:
            print("one line")
        monkeypatch.undo()
        assert capsys.readouterr().err == ""
    assert code == [141]


def test_a_pipe_of_our_own_that_breaks_is_a_bug_and_shown():
    with pytest.raises(BrokenPipeError), exit_codes("retrain"):
        raise BrokenPipeError
