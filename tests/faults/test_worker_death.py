"""A decoder that ends its process: the file is put aside after two tries, all others are extracted, nobody is left."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import fake_run
import numpy as np
import pytest
import worker_extractors
from commands import environment
from worker_extractors import Obedient

from retrain.engines import LocalEngine, SeparateEngine, process, separate
from retrain.engines.endings import CRASH, MEMORY, ending_of, memory_kills
from retrain.errors import NumericalError, RetrainError
from retrain.extraction import Job

HERE = Path(__file__).resolve().parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def helpers_are_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def written(folder: Path, endings: dict[int, bytes], count: int = 80) -> list[Job]:
    """So many files, some of them with an ending that their decoder obeys."""
    for n in range(count):
        (folder / f"{n}.jpg").write_bytes(b"photo %d " % n + endings.get(n, b""))
    return [Job(n, str(folder / f"{n}.jpg")) for n in range(count)]


def told(answers):
    """All of the answers that can be compared."""
    plain = [(a.index, a.sha256, a.stamp, a.error and (a.error.reason, a.error.detail)) for a in answers]
    numbers = [[part if part is None else part.tobytes() for part in (a.vector, a.views)] for a in answers]
    return [(*one, *two) for one, two in zip(plain, numbers, strict=True)]


def processes(log: Path) -> Counter:
    """How many pictures each process decoded."""
    return Counter(log.read_text().split())


def is_alive(pid: str) -> bool:
    stat = Path("/proc", pid, "stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def until(holds, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_answers_are_those_of_this_process(tmp_path):
    jobs = [*written(tmp_path, {7: b"DAMAGED"}), Job(80, str(tmp_path / "gone.jpg")), Job(81, str(tmp_path), (2, 0))]
    jobs[3] = Job(3, jobs[3].path, (4, 0, 2))
    known = {LocalEngine(Obedient()).extract(jobs[5:6], ()).__next__().sha256}
    here, there = (told(list(engine(Obedient(), 2).extract(jobs, known))) for engine in (LocalEngine, SeparateEngine))
    assert here == there
    assert sum(one[4] is not None for one in here) == 77
    assert here[3][5] is not None


def test_names_that_are_no_utf8_come_through(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff.jpg"
    with open(name, "wb") as file:  # noqa: PTH123
        file.write(b"photo")
    odd, gone = Job(0, os.fsdecode(name)), Job(1, os.fsdecode(name) + "x")
    found, missing = SeparateEngine(Obedient(), 1).extract([odd, gone], ())
    assert found.vector is not None
    assert missing.error.reason == "unreadable"


class Asked:
    """Digests that can only be asked for, not listed."""

    def __init__(self, known):
        self.known = known

    def __contains__(self, digest):
        return digest in self.known


def test_known_contents_that_cannot_be_listed_have_no_vector_either(tmp_path):
    jobs = written(tmp_path, {}, 6)
    shas = [answer.sha256 for answer in LocalEngine(Obedient()).extract(jobs, ())]
    answers = list(SeparateEngine(Obedient(), 1).extract(jobs, Asked(set(shas[:3]))))
    assert [answer.vector is None for answer in answers] == [True] * 3 + [False] * 3


def test_without_jobs_no_process_is_started(monkeypatch):
    monkeypatch.setattr(process, "CHILD", "no.such.module")
    assert list(SeparateEngine(Obedient()).extract([], ())) == []


def test_what_only_this_process_can_read_is_read_in_it(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    files.pipe("/worker/a.jpg", b"photo")
    log = tmp_path / "log"
    (answer,) = SeparateEngine(Obedient(str(log))).extract([Job(0, "memory://worker/a.jpg")], ())
    files.rm("/worker", recursive=True)
    assert answer.vector is not None
    assert processes(log) == {str(os.getpid()): 1}


def test_urls_are_read_in_the_process(tmp_path):
    pytest.importorskip("fsspec")
    (job,) = written(tmp_path, {}, 1)
    (answer,) = SeparateEngine(Obedient()).extract([Job(0, f"file://{job.path}")], ())
    assert answer.vector is not None


DEATHS = [
    (b"ABORT", CRASH, "SIGABRT"),
    (b"SEGV", CRASH, "SIGSEGV"),
    (b"KILL", CRASH, "SIGKILL"),
    (b"EXIT", CRASH, "exit code 3"),
    (b"MEMORY", MEMORY, "memory ran out"),
]


@linux
@pytest.mark.parametrize(("ending", "reason", "said"), DEATHS)
def test_the_file_that_ends_its_process_twice_is_put_aside(tmp_path, ending, reason, said):
    log = tmp_path / "log"
    jobs = written(tmp_path, {30: ending})
    answers = list(SeparateEngine(Obedient(str(log)), 2).extract(jobs, set()))
    assert [answer.index for answer in answers] == list(range(80))
    assert [answer.index for answer in answers if answer.vector is None] == [30]
    assert answers[30].error.reason == reason
    assert said in answers[30].error.detail
    assert "twice" in answers[30].error.detail
    # The first died with others at hand, one did these again up to it, which it did not survive; one or two did the rest.
    assert 3 <= len(processes(log)) <= 4
    assert not any(map(is_alive, processes(log)))


@linux
def test_each_of_several_is_put_aside(tmp_path):
    bad = {0: b"ABORT", 1: b"SEGV", 40: b"ABORT", 79: b"EXIT"}
    answers = list(SeparateEngine(Obedient(), 3).extract(written(tmp_path, bad), set()))
    assert {answer.index for answer in answers if answer.vector is None} == set(bad)
    alone = LocalEngine(Obedient()).extract([Job(5, str(tmp_path / "5.jpg"))], ())
    assert np.array_equal(answers[5].vector, next(alone).vector)


def test_many_in_a_row_are_not_the_photographs_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(separate, "CRASHES_IN_A_ROW", 3)
    endings = dict.fromkeys(range(2, 12), b"ABORT")
    answers = []
    with pytest.raises(RetrainError, match=r"3 photographs one after the other.*4\.jpg.*SIGABRT.*is kept"):
        answers.extend(SeparateEngine(Obedient(), 1).extract(written(tmp_path, endings, 12), set()))
    assert [answer.index for answer in answers] == [0, 1, 2, 3]


@pytest.mark.parametrize("engine", [LocalEngine, SeparateEngine])
def test_a_feature_that_is_no_number_names_its_file(tmp_path, engine):
    jobs = written(tmp_path, {9: b"NAN"}, 20)
    with pytest.raises(NumericalError, match=r"/9\.jpg: a feature is not a finite number"):
        list(engine(Obedient(), 2).extract(jobs, set()))


def test_a_mistake_is_raised_as_it_was_there(tmp_path):
    with pytest.raises(KeyError, match="a mistake") as raised:
        list(SeparateEngine(Obedient(), 1).extract(written(tmp_path, {1: b"BUG"}, 3), set()))
    assert "in <lambda>" in raised.value.__notes__[0]


class Nowhere(Obedient):
    """Made by a module that is not there, or that ends its process."""

    def __init__(self, maker):
        self.maker = maker

    def description(self):
        return worker_extractors.Description(self.maker, {})


def test_a_process_that_cannot_start_says_so(tmp_path, monkeypatch):
    jobs = written(tmp_path, {}, 2)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        list(SeparateEngine(Nowhere("no_such_module:f")).extract(jobs, set()))
    (tmp_path / "deadly.py").write_text("import os, sys\nprint('last words', file=sys.stderr)\nos._exit(5)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RetrainError, match=r"to start, but ended with exit code 5; it said: last words"):
        list(SeparateEngine(Nowhere("deadly:f")).extract(jobs, set()))


def test_what_libraries_say_there_is_said_here(tmp_path, capfd):
    assert len(list(SeparateEngine(Obedient(), 1).extract(written(tmp_path, {1: b"NOISE"}, 3), set()))) == 3
    assert capfd.readouterr().err == "a library says something\n"


@linux
def test_who_stops_asking_leaves_no_process(tmp_path):
    log = tmp_path / "log"
    answers = SeparateEngine(Obedient(str(log)), 2).extract(written(tmp_path, {}), set())
    next(answers)
    answers.close()
    assert not any(map(is_alive, processes(log)))


@pytest.mark.parametrize(
    ("code", "kills", "reason", "said"),
    [
        (-9, (4, 5), MEMORY, "the kernel killed the process because memory ran out (SIGKILL, counted in /proc/vmstat)"),
        (-9, (4, 4), CRASH, "somebody killed the process (SIGKILL, and not by the kernel)"),
        (-9, (None, None), CRASH, "somebody killed the process (SIGKILL; whether memory ran out is not told here)"),
        (-6, (4, 5), MEMORY, "the process ended with SIGABRT; it said: what():  std::bad_alloc"),
        (-200, (4, 4), MEMORY, "the process ended with signal 200; it said: what():  std::bad_alloc"),
        (0, (4, 4), CRASH, "the process ended with exit code 0; it said: what():  std::bad_alloc"),
        (None, (4, 4), CRASH, "the process closed its output; it said: what():  std::bad_alloc"),
    ],
)
def test_an_end_is_told_by_its_code_and_the_kernels_count(code, kills, reason, said):
    assert ending_of(code, ["terminate called", "what():  std::bad_alloc"], *kills) == (reason, said)


def test_the_kernels_count_is_read_where_there_is_one(tmp_path):
    listing = tmp_path / "vmstat"
    assert memory_kills(listing) is None
    listing.write_text("pgfault 3\n")
    assert memory_kills(listing) is None
    listing.write_text("pgfault 3\noom_kill 12\noom_kill_x 4\n")
    assert memory_kills(listing) == 12


def spoilt(folder: Path, photographs: int, endings: dict[int, bytes], *more: str) -> list[str]:
    """A run's flags; some of its photographs have an ending that their decoder obeys."""
    flags = fake_run.prepare(folder, photographs)
    for place, path in enumerate(sorted((folder / "photos").rglob("*.png"), key=lambda path: path.name)):
        path.write_bytes(path.read_bytes() + endings.get(place, b""))
    return [*flags, *more]


def listed(folder: Path) -> dict[str, str]:
    lines = (folder / "out" / "model.skipped.csv").read_text().splitlines()[1:]
    return {line.split(",")[0]: line.split(",")[1] for line in lines}


@linux
def test_a_run_goes_on_and_ends_with_the_list(tmp_path, capfd):
    flags = spoilt(tmp_path, 40, {6: b"SEGV", 11: b"ABORT"})
    log = tmp_path / "log"
    assert worker_extractors.run(flags, str(log)) == 0
    assert listed(tmp_path) == {"class_0/0006.png": CRASH, "class_2/0011.png": CRASH}
    assert f"2 {CRASH}" in capfd.readouterr().out
    assert len(fake_run.cache_rows(tmp_path)) == 38
    assert str(os.getpid()) not in processes(log)


@linux
def test_the_files_are_those_of_a_run_without_it(tmp_path):
    """What a crash leaves is what a folder without that photograph would have given, but for the list and its count."""
    for name, endings in (("with", {4: b"ABORT"}), ("without", {})):
        flags = spoilt(tmp_path / name, 24, endings)
        if name == "without":
            next((tmp_path / name / "photos").rglob("0004.png")).unlink()
        assert worker_extractors.run(flags) == 0
    rows = [fake_run.cache_rows(tmp_path / name) for name in ("with", "without")]
    assert rows[0] == rows[1]
    exported = [fake_run.artefacts(tmp_path / name)["out/labels.txt"] for name in ("with", "without")]
    assert exported[0] == exported[1]


def started(folder: Path, log: Path, flags: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(HERE / "worker_extractors.py"), str(log), *flags],
        cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


SLOW = dict.fromkeys(range(60), b"SLOW")


@linux
def test_a_run_that_is_killed_leaves_nobody(tmp_path):
    log = tmp_path / "log"
    child = started(tmp_path, log, spoilt(tmp_path, 60, SLOW))
    until(log.exists)
    child.kill()
    child.wait()
    child.stderr.close()
    until(lambda: not any(map(is_alive, processes(log))), seconds=5)


@linux
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_what_was_extracted(tmp_path, number, code):
    log = tmp_path / "log"
    child = started(tmp_path, log, spoilt(tmp_path, 60, SLOW))
    until(lambda: log.exists() and len(log.read_text().split()) > 12)
    os.killpg(child.pid, number)  # as a terminal does
    _, said = child.communicate(timeout=30)
    assert child.returncode == code, said
    assert b"Traceback" not in said
    assert len(fake_run.cache_rows(tmp_path)) >= 10
    assert not any(map(is_alive, processes(log)))
    assert worker_extractors.run(spoilt(tmp_path, 60, {})) == 0
