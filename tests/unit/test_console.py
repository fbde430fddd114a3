import io
import re
import sys

import pytest

from retrain import console as console_module
from retrain.commandline import exit_codes
from retrain.console import Console, HeldConsole, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("globular cluster", "globular cluster"),
        ("银河 é", "银河 é"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r", "a\\nb\\r"),
        ("\udcff", "\\udcff"),
        ("\u202egpj", "\\u202egpj"),
        ("", ""),
    ],
)
def test_text_that_could_steer_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown


def test_lines_go_to_standard_output(capsys):
    console = Console()
    console.line("one")
    console.warn("two")
    assert capsys.readouterr() == ("one\nWARNING: two\n", "")


def test_a_stamped_line_starts_as_the_originals_do(capsys):
    Console().stamped("Step 0: Train accuracy = 91.0%")
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?"
    assert re.fullmatch(stamp + r": Step 0: Train accuracy = 91\.0%\n", capsys.readouterr().out)


def test_a_quiet_console_says_nothing(capsys, monkeypatch):
    monkeypatch.setattr(console_module, "PLAIN_INTERVAL_S", 0.0)
    console = Console(quiet=True)
    console.line("one")
    console.warn("two")
    console.stamped("three")
    with console.stage("Working", 3, "things") as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_pipe_is_plain_lines_on_standard_error(capsys, monkeypatch):
    monkeypatch.setattr(console_module, "PLAIN_INTERVAL_S", 0.0)
    with Console().stage("Working", 10, "things") as advance:
        advance()
        advance(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"Working: 1/10 things, [\d.]+/s, \d+:\d\d left\nWorking: 5/10 things, [\d.]+/s, \d+:\d\d left\n", err
    )


def test_progress_in_a_pipe_speaks_only_every_few_seconds(capsys):
    with Console().stage("Working", 10, "things") as advance:
        for _ in range(10):
            advance()
    assert capsys.readouterr().err == ""


def test_a_stage_without_items_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(console_module, "PLAIN_INTERVAL_S", 0.0)
    with Console().stage("Working", 0, "things") as advance:
        advance()
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with Console().stage("Working", 4, "things") as advance:
        advance(4)
    assert "Working" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()


def test_a_label_that_the_terminals_encoding_lacks_does_not_end_the_run(monkeypatch):
    # A pipe on Windows is cp1252, whatever the folder names are.
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="cp1252"))
    with exit_codes("retrain") as code:
        Console().line("Looking for images in '银河': 30")
    assert code == [0]
    assert b"Looking for images" in kept.getvalue()


def test_lines_that_are_held_come_behind_those_of_others_and_once(capsys):
    held, console = HeldConsole(), Console()
    held.line("beside")
    held.warn("careful")
    console.line("the main thing")
    held.release(console)
    held.release(console)
    held.line("later")
    assert capsys.readouterr().out == "the main thing\nbeside\nWARNING: careful\nlater\n"
