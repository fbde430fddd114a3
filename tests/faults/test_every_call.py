"""Every call that a run makes to the disk fails, each once and from there on for ever; scripts/soak/disk.py does all.

Here a sample, the same each time: of each error as many kinds of calls as the seconds allow.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import zip_longest
from pathlib import Path

import fake_run
import pytest
from failing_disk import CALLS, ERRORS, LOOKS, STARTS, Case, Trials, build

from retrain import fsio
from retrain.fsio import system

# Cases of each error; with the two runs of each they are the minute that this may take.
SAMPLE = {"ENOSPC": 12, "EIO": 16, "EACCES": 8, "EMFILE": 4, "EROFS": 8}
# Where calls are, the most telling first.
PLACES = ("out", "bottlenecks", "summaries", "models", "photos", "")
FUNCTIONS = ("write", "rename", "fsync", "pwrite64", "open64", "mkdir", "read", "pread64", "unlink")


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")
    library = build(folder)
    if library is None:
        pytest.skip("a disk that fails is a library in C for Linux: expected a compiler named cc, found none")
    with Trials(library, folder) as trials:
        yield trials


def kinds(calls):
    """The calls of a run by what is done where: (function, top folder) -> how many."""
    found = Counter()
    for call in calls:
        function, path = call.split(" ", 1)
        found[function, next((one for one in PLACES if f"/run/{one}/" in path), "")] += 1
    return found


def rank(kind):
    function, place = kind
    return FUNCTIONS.index(function) if function in FUNCTIONS else len(FUNCTIONS), PLACES.index(place), function


def chosen(trials, error, wanted, calls=CALLS):
    """As many kinds of calls as wanted, in turn of each function, once and for ever, with a model there and without.

    A case names the function and the folder: the threads of a run take turns as they like.
    """
    whole = {start: trials.try_one(Case(0, error, False, start, calls)) for start in STARTS}
    assert [(one.code, one.failed, one.problems) for one in whole.values()] == [(0, 0, [])] * 2
    numbers = {start: kinds(one.calls) for start, one in whole.items()}
    turns = defaultdict(list)
    for function, place in sorted(numbers["old"].keys() & numbers["fresh"].keys(), key=rank):
        turns[function].append((function, place))
    in_turn = [kind for turn in zip_longest(*turns.values()) for kind in turn if kind and kind[1]][:wanted]
    cases = []
    for n, kind in enumerate(in_turn):
        start = STARTS[(n + 1) // 2 % 2]
        cases.append(Case((numbers[start][kind] + 1) // 2, error, n % 2 == 0, start, calls, *kind))
    return cases


def checked(trials, cases):
    findings = [trials.try_one(case) for case in cases]
    assert [finding for finding in findings if finding.problems] == []
    return findings


@pytest.mark.parametrize("error", ERRORS)
def test_whichever_call_fails_the_run_says_it_or_does_without_and_the_next_one_heals(trials, error):
    found = checked(trials, chosen(trials, error, SAMPLE[error]))
    failed = [finding for finding in found if finding.failed]
    assert len(failed) >= len(found) * 3 // 4  # the order of threads moves some beyond the last call
    assert any(finding.code for finding in failed)


def test_the_calls_of_sqlite_fail_too(trials):
    """Without which this would test Python's files alone."""
    found = (trials.try_one(Case(number, "ENOSPC", for_ever=True)) for number in range(8, 60, 4))
    full = next(finding for finding in found if ".sqlite" in finding.first and finding.code == 5)
    assert full.problems == []
    assert "bytes free" in full.said


def test_a_question_whether_a_file_is_there_may_fail_as_well(trials):
    checked(trials, chosen(trials, "EIO", 6, LOOKS))


def test_each_file_of_a_model_is_written_once(tmp_path, capsys):
    """Written a second time with more in it, a file would be neither old nor new in between."""
    flags, told = fake_run.prepare(tmp_path), []
    with fsio.watching(told.append):
        assert fake_run.run_here(flags) == 0
    written = Counter(one.target for one in told if one.kind == system.RENAME and ".staging." not in one.target)
    assert {Path(name).name for name in written} >= {"model.pb", "model.metrics.json", "report.html"}
    assert set(written.values()) == {1}
