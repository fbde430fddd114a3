import os
import threading
import time

import pytest
from support import digest, fake_features

from retrain.bottlenecks import Job
from retrain.engines import LocalEngine, local, pace, work
from retrain.engines.budget import BudgetClosedError, ByteBudget
from retrain.engines.pace import Pace
from retrain.errors import ImageError, NumericalError
from retrain.images import read_image_file
from retrain.litert import usable_cores


@pytest.fixture
def jobs(tmp_path):
    """40 files with a content each."""
    for n in range(40):
        (tmp_path / f"{n}.jpg").write_bytes(b"photo %d" % n)
    return [Job(n, str(tmp_path / f"{n}.jpg")) for n in range(40)]


def test_every_job_is_answered_in_order_with_what_was_read(jobs):
    def slow_at_first(data):
        time.sleep(0.01 if data in (b"photo 0", b"photo 5") else 0)
        return fake_features(data)

    before = time.time_ns()
    answers = list(LocalEngine(slow_at_first, threads=4).extract(jobs, set()))
    assert [answer.index for answer in answers] == list(range(40))
    for n, answer in enumerate(answers):
        assert answer.sha256 == digest(b"photo %d" % n)
        assert (answer.vector == fake_features(b"photo %d" % n)).all()
        assert answer.error is None
        assert before <= answer.read_ns <= time.time_ns()
        assert answer.stamp.size == len(b"photo %d" % n)
        assert answer.stamp.mtime_ns == os.stat(jobs[n].path).st_mtime_ns


def test_known_contents_are_hashed_but_not_extracted(jobs):
    extracted = []
    known = {digest(b"photo %d" % n) for n in range(0, 40, 2)}
    engine = LocalEngine(lambda data: (extracted.append(data), fake_features(data))[1], threads=2)
    answers = list(engine.extract(jobs, known))
    assert sorted(extracted) == sorted(b"photo %d" % n for n in range(1, 40, 2))
    assert [answer.vector is None for answer in answers] == [True, False] * 20
    assert all(answer.error is None and answer.sha256 for answer in answers)


def test_what_is_no_image_becomes_an_answer_with_its_error(jobs, tmp_path):
    def picky(data):
        if data == b"photo 3":
            raise ImageError("damaged", "no picture")
        return fake_features(data)

    os.mkfifo(tmp_path / "pipe")
    odd = [*jobs[:5], Job(5, str(tmp_path / "gone.jpg")), Job(6, str(tmp_path)), Job(7, str(tmp_path / "pipe"))]
    answers = list(LocalEngine(picky, threads=2).extract(odd, set()))
    assert [answer.error and answer.error.reason for answer in answers] == [
        None, None, None, "damaged", None, "unreadable", "not a file", "not a file",
    ]  # fmt: skip
    assert answers[3].sha256 == digest(b"photo 3")
    assert answers[5].sha256 is None
    assert all(answer.vector is None for answer in answers if answer.error)


def no_thread_is_left():
    """Wait until the pools' threads have ended; they are told to, not waited for."""
    deadline = time.monotonic() + 10
    while [thread for thread in threading.enumerate() if thread.name.startswith(("extract", "read"))]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("error", [NumericalError("nan"), ZeroDivisionError("a bug"), MemoryError()])
def test_any_other_error_ends_the_extraction(jobs, error):
    def failing(data):
        if data == b"photo 7":
            raise error
        return fake_features(data)

    answers = []
    with pytest.raises(type(error)):
        answers.extend(LocalEngine(failing, threads=2).extract(jobs, set()))
    no_thread_is_left()


def test_a_photograph_that_changes_while_it_is_read_has_no_stamp(jobs, monkeypatch):
    def meddling(path):
        data = read_image_file(path)
        with open(path, "ab") as file:  # noqa: PTH123
            file.write(b"more")
        return data

    monkeypatch.setattr(work, "read_image_file", meddling)
    (answer,) = LocalEngine(fake_features, threads=1).extract([jobs[2]], set())
    assert answer.stamp is None
    assert answer.sha256 == digest(b"photo 2")


class Counted:
    """A long list of jobs that knows how many were taken from it."""

    def __init__(self, job, count):
        self.job, self.count, self.taken = job, count, 0

    def __iter__(self):
        for _ in range(self.count):
            self.taken += 1
            yield self.job


@pytest.mark.parametrize("threads", [1, 3])
def test_only_a_few_jobs_a_thread_are_taken_ahead(jobs, threads):
    many = Counted(jobs[0], 1000)
    answers = LocalEngine(fake_features, threads).extract(many, set())
    for taken in range(1, 101):
        next(answers)
        assert many.taken <= taken + local.AHEAD
    answers.close()
    assert many.taken <= 101 + local.AHEAD


class Reads:
    """In place of read_image_file: takes a while, and knows how many reads were going on at once, and in which threads."""

    def __init__(self, seconds):
        self.seconds, self.going_on, self.most, self.threads = seconds, 0, 0, set()
        self.lock = threading.Lock()

    def __call__(self, path):
        with self.lock:
            self.threads.add(threading.current_thread().name.split("_")[0])
            self.going_on += 1
            self.most = max(self.most, self.going_on)
        time.sleep(self.seconds)
        with self.lock:
            self.going_on -= 1
        return read_image_file(path)


def test_slow_files_are_read_ahead(jobs, monkeypatch):
    reads = Reads(0.01)
    monkeypatch.setattr(work, "read_image_file", reads)
    answers = list(LocalEngine(fake_features, threads=1).extract(jobs * 3, set()))
    assert [answer.sha256 for answer in answers] == [digest(b"photo %d" % n) for n in range(40)] * 3
    assert reads.threads == {"extract", "read"}
    assert reads.most > 2  # there is one extracting thread


def test_fast_files_are_read_by_those_who_extract_them(jobs, monkeypatch):
    reads = Reads(0)
    monkeypatch.setattr(work, "read_image_file", reads)
    monkeypatch.setattr(pace, "_WORTH_READING_AHEAD", 1e9)
    assert len(list(LocalEngine(fake_features, threads=2).extract(jobs * 3, set()))) == 120
    assert reads.threads == {"extract"}


@pytest.mark.parametrize(("reading_s", "slow"), [(0.0001, False), (0.0005, False), (0.001, True), (1, True)])
def test_reading_is_slow_beside_what_is_done_with_it(reading_s, slow):
    seen = Pace()
    for number in range(40):
        assert seen.is_slow_to_read() == (slow and number >= 16)
        seen.note(reading_s, 0.003)


def test_what_was_long_ago_is_forgotten():
    seen = Pace()
    for reading_s, slow in ((0.01, True), (0.0, False), (0.01, True)):
        for _ in range(60):
            seen.note(reading_s, 0.003)
        assert seen.is_slow_to_read() == slow


@pytest.mark.parametrize("limit", [20, 7, 1])  # two files of 7 or 8 bytes; not one of them, but one goes alone
def test_bytes_read_ahead_are_bounded(jobs, monkeypatch, limit):
    out, most, lock = 0, 0, threading.Lock()

    def counted(path):
        nonlocal out, most
        data = read_image_file(path)
        with lock:
            out += len(data)
            most = max(most, out)
        return data

    def slow(data):
        nonlocal out
        time.sleep(0.001)
        with lock:
            out -= len(data)
        return fake_features(data)

    monkeypatch.setattr(local, "MAX_READ_AHEAD_BYTES", limit)
    monkeypatch.setattr(Pace, "is_slow_to_read", lambda self: True)
    monkeypatch.setattr(work, "read_image_file", counted)
    assert [answer.index for answer in LocalEngine(slow, threads=2).extract(jobs, set())] == list(range(40))
    assert most <= max(limit, 8)


def test_a_closed_budget_wakes_and_refuses():
    budget = ByteBudget(10)
    budget.take(10)
    refused = []

    def wait():
        try:
            budget.take(1)
        except BudgetClosedError:
            refused.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    budget.close()
    waiting.join(timeout=10)
    assert refused == [True]
    with pytest.raises(BudgetClosedError):
        budget.take(1)


def test_closing_in_the_middle_leaves_no_thread_behind(jobs):
    answers = LocalEngine(fake_features, threads=3).extract(jobs, set())
    next(answers)
    answers.close()
    no_thread_is_left()


def test_no_jobs_have_no_answers():
    assert list(LocalEngine(fake_features, threads=2).extract([], set())) == []


def test_as_many_threads_work_at_once_as_asked_for(jobs):
    meeting = threading.Barrier(3, timeout=10)

    def meet(data):
        meeting.wait()
        return fake_features(data)

    assert len(list(LocalEngine(meet, threads=3).extract(jobs[:3], set()))) == 3


def test_without_a_number_there_is_a_thread_a_core(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert LocalEngine(fake_features)._threads == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
