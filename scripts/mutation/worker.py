"""A room's mutants, run: ``python -m scripts.mutation.worker ORDER.json``, in the copy of the tree.

It is a pytest of its own with another loop: the tests are collected once, run once under coverage, and then run again
in forks, each of which has one function changed in place.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import pytest

from scripts.mutation.operators import Mutant, mutants_of

# What a fork may take: so many times as long as its tests took, and some seconds.
TIMES_AS_LONG, AND_SECONDS = 5.0, 5.0
# No mutant has more tests than this; those that take the least go first.
MOST_TESTS = 200


class Loop:
    """The plugin that runs the tests its own way.

    Args:
        order: modules (paths), sample (0: all), seed, results (where to write, a line a mutant).
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._failed: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._live: list[FunctionType] = []
        self._caches: list[functools._lru_cache_wrapper[Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep how long a test took and whether it is of use."""
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if not report.passed:  # one that is left out could notice nothing either
            self._failed.add(report.nodeid)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all once, then the mutants."""
        items = {item.nodeid: item for item in session.items}
        reached = self._reached(session.items)
        about = {name for lines in reached.values() for names in lines.values() for name in names}
        useful = self._useful_in_a_fork([items[name] for name in items if name in about - self._failed])
        self._look_for_functions()
        print(f"{len(items)} tests, {len(items) - len(self._failed)} passed, {len(useful)} of use", flush=True)
        with Path(self._order["results"]).open("w", encoding="utf-8") as file:
            for path, mutant in self._drawn():
                names = {name for line in range(mutant.lines[0], mutant.lines[1] + 1)
                         for name in reached[path].get(line, ()) if name in useful}  # fmt: skip
                tests = sorted(names, key=lambda name: self._seconds[name])[:MOST_TESTS]
                file.write(json.dumps(self._judged(path, mutant, [items[name] for name in tests])) + "\n")
                file.flush()
        return True

    def _reached(self, items: Sequence[pytest.Item]) -> dict[str, dict[int, list[str]]]:
        """Run all tests; say of each line of each module which of them reach it."""
        modules = self._order["modules"]
        watch = coverage.Coverage(data_file=None, include=modules, config_file=False)
        watch.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            watch.switch_context(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        watch.stop()
        data = watch.get_data()
        return {path: data.contexts_by_lineno(path) for path in modules}

    def _useful_in_a_fork(self, items: list[pytest.Item]) -> set[str]:
        """Leave out tests that a fork cannot run, such as of libraries whose threads stayed behind."""
        useful: set[str] = set()
        while items:
            passed, last = _forked_one_by_one(items, self, self._seconds)
            useful |= passed
            items = items[last + 1 :]
        return useful

    def _look_for_functions(self) -> None:
        modules = set(self._order["modules"])
        every = gc.get_objects()
        self._live = [one for one in every if isinstance(one, FunctionType) and one.__code__.co_filename in modules]
        self._caches = [one for one in every if isinstance(one, functools._lru_cache_wrapper)]

    def change(self, old: CodeType, new: CodeType) -> bool:
        """Put the new code in place of the old in every function that has it.

        Args:
            old: as it is in the module's source.
            new: what takes its place.

        Returns:
            True.

        Raises:
            LookupError: no function has it.
        """
        found = [one for one in self._live if _same(one.__code__, old)]
        if not found:
            raise LookupError(old.co_qualname)
        for function in found:
            function.__code__ = new
        for cache in self._caches:
            cache.cache_clear()
        return True

    def _drawn(self) -> list[tuple[str, Mutant]]:
        every = [(path, mutant) for path in self._order["modules"] for mutant in mutants_of(Path(path).read_text())]
        sample = self._order["sample"]
        drawn = random.Random(self._order["seed"]).sample(every, min(sample, len(every))) if sample else every
        print(f"{len(every)} mutants, {len(drawn)} drawn", flush=True)
        return drawn

    def _judged(self, path: str, mutant: Mutant, items: list[pytest.Item]) -> dict[str, Any]:
        tree, said = mutant.made()
        told = {"module": Path(path).name, "function": mutant.function, "line": mutant.lines[0], "change": said}
        try:
            old = _code_of(compile(Path(path).read_text(), path, "exec"), mutant)
            new = _code_of(compile(tree, path, "exec"), mutant)
        except (SyntaxError, ValueError) as error:
            return told | {"fate": "invalid", "why": str(error)}
        if _same(old, new):
            return told | {"fate": "invalid", "why": "the same program"}
        if not items:
            return told | {"fate": "no tests"}
        limit_s = AND_SECONDS + TIMES_AS_LONG * sum(self._seconds[item.nodeid] for item in items)
        return told | {"fate": _fate(old, new, items, self, limit_s), "tests": len(items)}

    def fails(self, item: pytest.Item) -> bool:
        """Run one test.

        Args:
            item: the test.

        Returns:
            Whether it failed.
        """
        self._failed.discard(item.nodeid)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return item.nodeid in self._failed


def _same(one: CodeType, other: CodeType) -> bool:
    return one == other and one.co_consts == other.co_consts


def _code_of(module: CodeType, mutant: Mutant) -> CodeType:
    """Find a function's code within its module's."""
    return next(code for code in _codes(module) if code.co_qualname == mutant.function)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


def _fate(old: CodeType, new: CodeType, items: Sequence[pytest.Item], loop: Loop, limit_s: float) -> str:
    child = os.fork()
    if child == 0:
        _end_as(lambda: loop.change(old, new) and any(loop.fails(item) for item in items))
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return {0: "survived", 1: "killed", 2: "lost"}.get(os.waitstatus_to_exitcode(status), "crashed")
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "too slow"


def _end_as(failing: Any) -> None:  # noqa: ANN401 - a function without arguments
    """Be a fork: answer by the exit code, and end without what would be done at the end."""
    os.setsid()
    _be_silent()
    code = 1
    try:
        code = int(bool(failing()))
    except LookupError:
        code = 2
    finally:
        os._exit(code)


def _be_silent() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nothing, number)


def _forked_one_by_one(items: Sequence[pytest.Item], loop: Loop, seconds: Mapping[str, float]) -> tuple[set[str], int]:
    """Run tests in one fork until one does not come back.

    Returns:
        Names of those that passed, and which one was the last that was begun.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _end_as(lambda: [os.write(writing, b"F" if loop.fails(item) else b"P") for item in items] and False)
    os.close(writing)
    fates = b""
    while len(fates) < len(items):
        limit_s = AND_SECONDS + TIMES_AS_LONG * seconds[items[len(fates)].nodeid]
        if not select.select([reading], [], [], limit_s)[0]:
            break
        more = os.read(reading, 1)
        if not more:
            break
        fates += more
    os.close(reading)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    passed = {item.nodeid for item, fate in zip(items, fates.decode(), strict=False) if fate == "P"}
    return passed, min(len(fates), len(items) - 1)


def main(words: Sequence[str]) -> int:
    """Run the order.

    Args:
        words: the path of the order.

    Returns:
        pytest's exit code.
    """
    # Trap: a mutant of the question whether a process lives, os.kill(pid, 0), hangs up on this one.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    order = json.loads(Path(words[0]).read_text())
    flags = ["-q", "-p", "no:cacheprovider", "-m", "not tensorflow and not ray", *order["tests"]]
    return int(pytest.main(flags, plugins=[Loop(order)]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
