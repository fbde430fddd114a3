"""Ctrl-C and SIGTERM at any moment, a second one, and readers that go away. More moments: python -m scripts.soak signals"""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import fake_run
import pytest
from commands import PHOTOS, ROOT, environment
from kills import is_alive, outlived_s, real_flags, temporaries
from signals_ import (
    CODES,
    DONE_S,
    FAKE,
    REAL,
    Interrupted,
    interrupt,
    judge,
    started,
    wait_for_child,
    wait_until_it_says,
)

BOTH = pytest.mark.parametrize("number", list(CODES))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Converted backbones, which all real runs share."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fake") / "run"
    return Interrupted(folder, [*FAKE, *fake_run.prepare(folder)], seed=25)


def test_a_run_interrupted_again_and_again_comes_to_the_same(fake):
    whole = fake_run.artefacts(fake.folder)
    fake.clean()
    for _ in range(10):
        fake.once()
    fake.complete()
    assert fake_run.artefacts(fake.folder) == whole
    assert fake.longest_s <= DONE_S


@BOTH
@pytest.mark.parametrize("moment_s", [0.06, 0.15, 0.3])
def test_the_very_beginning_of_the_real_command(tmp_path, models, number, moment_s):
    with started([*REAL, *real_flags(tmp_path, models)], tmp_path) as child:
        time.sleep(moment_s)
        ended = interrupt(child, number)
    judge(ended, number, tmp_path, models)
    assert ended.took_s <= DONE_S


@pytest.mark.tensorflow
@BOTH
def test_while_a_backbone_is_converted(tmp_path, number):
    empty = tmp_path / "models"
    with started([*REAL, *real_flags(tmp_path, empty)], tmp_path) as child:
        wait_for_child(child.pid, "retrain.backbones.convert")
        time.sleep(0.7)
        ended = interrupt(child, number)
    judge(ended, number, tmp_path)
    assert ended.code == CODES[number]
    assert ended.took_s <= DONE_S


@pytest.mark.tensorflow
@pytest.mark.parametrize("later_s", [0.0, 1.0])
def test_while_tensorflow_is_imported_and_photographs_are_read(tmp_path, models, later_s):
    with started([*REAL, *real_flags(tmp_path, models)], tmp_path) as child:
        wait_for_child(child.pid, "retrain.exporters.child.serve")
        time.sleep(later_s)
        ended = interrupt(child, signal.SIGINT)
    judge(ended, signal.SIGINT, tmp_path, models)
    assert ended.took_s <= DONE_S


def small(tmp_path, text):
    """A command of a few lines, begun and ended as the real ones are."""
    (tmp_path / "small.py").write_text(
        "import sys, time\nfrom retrain.commandline import exit_codes\n"
        "def main():\n    with exit_codes('small') as code:\n"
        + "".join(f"        {line}\n" for line in text.splitlines())
        + "    return code[0]\n"
    )
    lines = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]; from retrain.interrupts import program; program('small')"
    return started(["-c", lines], tmp_path)


HANGS = """try:
    print('ready', flush=True)
    time.sleep(60)
finally:
    print('cleaning', flush=True)
    time.sleep(60)"""


@BOTH
def test_what_does_not_end_is_ended(tmp_path, number):
    with small(tmp_path, HANGS) as child:
        wait_until_it_says(child, "ready")
        ended = interrupt(child, number)
    assert ended.code == CODES[number]
    assert ended.took_s <= DONE_S
    assert "at once" in ended.said


def test_a_second_one_ends_it_at_once(tmp_path):
    with small(tmp_path, HANGS) as child:
        wait_until_it_says(child, "ready")
        child.send_signal(signal.SIGINT)
        wait_until_it_says(child, "cleaning")
        ended = interrupt(child, signal.SIGINT)
    assert ended.code == 130
    assert ended.took_s < 1.0  # before the time that it is given otherwise is over
    assert "at once" in ended.said


def test_an_import_under_way_is_finished_first(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\nprint('importing', flush=True)\ntime.sleep(0.5)\nprint('whole', flush=True)\n"
    )
    with small(tmp_path, "import slow\ntime.sleep(60)") as child:
        wait_until_it_says(child, "importing")
        ended = interrupt(child, signal.SIGINT)
    assert (ended.code, "whole" in ended.said, "interrupted;" in ended.said) == (130, True, True)
    judge(ended, signal.SIGINT)


def test_one_that_python_would_swallow_is_not_lost(tmp_path):
    text = """class Last:
    def __del__(self):
        print('deleting', flush=True)
        time.sleep(0.3)
        print('deleted', flush=True)
one = Last()
del one
time.sleep(60)"""
    with small(tmp_path, text) as child:
        wait_until_it_says(child, "deleting")
        ended = interrupt(child, signal.SIGTERM)
    assert (ended.code, "deleted" in ended.said, "terminated;" in ended.said) == (143, True, True)
    judge(ended, signal.SIGTERM)


def test_a_file_that_is_being_written_is_whole_or_gone(tmp_path):
    text = f"""from retrain import fsio
print('ready', flush=True)
while True:
    with fsio.staging({str(tmp_path / "place")!r}) as folder:
        fsio.write_text(folder / 'a', 'x')
    for _ in range(2000):
        pass"""
    for _ in range(4):
        with small(tmp_path, text) as child:
            wait_until_it_says(child, "ready")
            ended = interrupt(child, signal.SIGINT)
        judge(ended, signal.SIGINT, tmp_path)
        assert ended.code == 130


PATIENT = """from retrain.interrupts import GRACE_S, Interrupts
try:
    print('ready', flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    with Interrupts.patiently():
        print('writing', flush=True)
        time.sleep(GRACE_S + 0.5)
        print('written', flush=True)
    raise"""


def test_who_needs_longer_to_end_in_good_order_gets_it(tmp_path):
    with small(tmp_path, PATIENT) as child:
        wait_until_it_says(child, "ready")
        ended = interrupt(child, signal.SIGINT)
    assert (ended.code, "written" in ended.said, "interrupted;" in ended.said) == (130, True, True)


def test_but_not_where_it_is_asked_again(tmp_path):
    with small(tmp_path, PATIENT) as child:
        wait_until_it_says(child, "ready")
        child.send_signal(signal.SIGINT)
        wait_until_it_says(child, "writing")
        ended = interrupt(child, signal.SIGINT)
    assert (ended.code, "written" in ended.said) == (130, False)
    judge(ended, signal.SIGINT)


def test_what_ignores_ctrl_c_from_outside_goes_on_ignoring_it(tmp_path):
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); from retrain.commandline import exit_codes\n"
    )
    code += "with exit_codes('x'):\n    signal.raise_signal(signal.SIGINT)\n    print('went on')"
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert child.stdout == "went on\n"


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path, fake):
    fake.complete()
    model = fake.folder / "out" / "model.pb"
    commands = (
        [*fake.words, "--seed=1"],
        ["-m", "label_image", f"--graph={model}", f"--image={PHOTOS}"],
        ["-m", "retrain", "doctor", f"--image_dir={PHOTOS}"],
    )
    for words in commands:
        child = subprocess.Popen(
            [sys.executable, *map(str, words)], cwd=ROOT, env={**environment(), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        with child.stdout, child.stderr:
            assert child.stdout.readline()
            child.stdout.close()
            said = child.stderr.read()
        assert child.wait(60) == 141, said
        assert "Traceback" not in said
        assert "Exception ignored" not in said
        assert "BrokenPipe" not in said


@pytest.mark.tensorflow
@pytest.mark.parametrize("later_s", [0.0, 1.5])
def test_kill_9_leaves_nobody(tmp_path, models, later_s):
    with started([*REAL, *real_flags(tmp_path, models)], tmp_path) as child:
        worker = wait_for_child(child.pid, "retrain.exporters.child.serve")
        time.sleep(later_s)
        child.kill()
        assert outlived_s([worker]) <= 5.0
    assert not is_alive(worker)


def test_temporaries_are_recognised(tmp_path):
    (tmp_path / ".model.pb.7.tmp").touch()
    (tmp_path / "model.pb").touch()
    assert temporaries(tmp_path) == [str(tmp_path / ".model.pb.7.tmp")]
