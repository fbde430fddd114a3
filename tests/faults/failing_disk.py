"""Whole runs on a disk whose Nth call fails, hundreds of them in one process; failing_disk.c is what fails.

A case is a run with one fault in it and one after it with none. The first has to end with a sentence and an exit code,
or to have done all; whatever it left is whole, old or new, and the second one makes of it what it would have made of
an undisturbed disk, byte for byte.

    python tests/faults/failing_disk.py FOLDER        cases as JSON on standard input, a line each; findings on output
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import io
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Self

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fake_run
from commands import environment

SOURCE = Path(__file__).with_suffix(".c")
ERRORS = ("ENOSPC", "EIO", "EACCES", "EMFILE", "EROFS")
# On an empty disk, or where a run with another learning rate left a model.
STARTS = ("fresh", "old")
# Calls that count: those that change a disk, open files and read; and those that only ask whether a file is there.
CALLS, LOOKS = 127, 128
# A run takes less than a second; one that takes this long waits for what never comes.
HANGS_S = 120.0
_OTHER = "--learning_rate=0.02"
_OUTPUTS = ("bottlenecks", "out", "summaries")
# What sentences say that a person can do nothing with.
_UGLY = ("Traceback", 'File "', "Error:", "Exception")


class Case(NamedTuple):
    """A fault.

    Args:
        number: which call fails, from 1; 0 fails none.
        error: with what.
        for_ever: whether all calls behind it fail as well.
        start: what was there.
        calls: the kinds that count.
        function: where it is not empty, calls of it alone count.
        place: where it is not empty, calls below it alone count, such as "out".
    """

    number: int
    error: str = "EIO"
    for_ever: bool = False
    start: str = "fresh"
    calls: int = CALLS
    function: str = ""
    place: str = ""


class Finding(NamedTuple):
    """What came of a case.

    Args:
        case: the fault.
        counted: calls that could have failed so.
        failed: calls that did.
        first: name and path of the first that did.
        code: exit code of the run.
        said: what it said on standard error.
        calls: name and path of each call that counted, where the case has the number 0.
        lesser: of a run that ended with 0, the files that are not what an undisturbed one writes.
        problems: what is not as it has to be; empty where all is well.
    """

    case: Case
    counted: int
    failed: int
    first: str
    code: int
    said: str
    calls: list[str]
    lesser: list[str]
    problems: list[str]


def build(folder: Path) -> Path | None:
    """Compile the shim.

    Args:
        folder: for the library.

    Returns:
        Its path; None where there is no compiler, or no Linux.
    """
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "failing_disk.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SOURCE, "-ldl", "-lpthread"]
    subprocess.run(words, check=True, capture_output=True)
    return library


class Trials:
    """Tries cases in a process of its own, in which the shim is; ends it at the end of a with block.

    Args:
        library: of build.
        folder: for the runs.
    """

    def __init__(self, library: Path, folder: Path) -> None:
        self._words = (folder / "words.txt").open("w+")
        given = {**environment(), "LD_PRELOAD": str(library), "SOURCE_DATE_EPOCH": fake_run.DATE}
        self._child = subprocess.Popen(
            [sys.executable, __file__, str(folder / "bench")],
            env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, text=True,
            start_new_session=True,  # a Ctrl-C is for who started it, not for the run that is tried
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate()
        self._words.close()

    def try_one(self, case: Case) -> Finding:
        """Run with a fault, and once more without.

        Raises:
            AssertionError: the process ended: a crash, or a run that hangs; its last words say where.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(f"{json.dumps(case)}\n")
            self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            self._words.seek(0)
            raise AssertionError(f"{case} ended the process with {self._child.wait()}:\n{self._words.read()[-4000:]}")
        told, *rest = json.loads(line)
        return Finding(Case(*told), *rest)


class _Disk:
    """The shim, which is in this process already."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.fsencode(folder)
        self._library = ctypes.CDLL(None)
        self._library.failing_disk_arm.argtypes = [
            ctypes.c_char_p, ctypes.c_long, *[ctypes.c_int] * 3, *[ctypes.c_char_p] * 2
        ]  # fmt: skip
        self._library.failing_disk_first.restype = self._library.failing_disk_trace.restype = ctypes.c_char_p
        for name in ("disarm", "failed"):
            getattr(self._library, f"failing_disk_{name}").restype = ctypes.c_long

    def arm(self, case: Case) -> None:
        code = getattr(errno, case.error)
        place = self._folder + os.fsencode(f"/{case.place}/") if case.place else b""
        given = case.number, code, int(case.for_ever), case.calls, os.fsencode(case.function), place
        self._library.failing_disk_arm(self._folder, *given)

    def disarm(self) -> tuple[int, int, str]:
        counted = self._library.failing_disk_disarm()
        return counted, self._library.failing_disk_failed(), os.fsdecode(self._library.failing_disk_first())

    def trace(self) -> list[str]:
        return os.fsdecode(self._library.failing_disk_trace()).splitlines()


class Bench:
    """A folder in which a case is tried, again and again.

    Args:
        folder: emptied.
    """

    def __init__(self, folder: Path) -> None:
        self._place, self._kept = folder / "run", folder / "old"
        shutil.rmtree(folder, ignore_errors=True)
        self._flags = fake_run.prepare(self._place)
        assert _run([*self._flags, _OTHER])[0] == 0
        self._old = fake_run.artefacts(self._place)
        for name in (*_OUTPUTS, "models"):
            shutil.copytree(self._place / name, self._kept / name)
        self._restore("fresh")
        assert _run(self._flags)[0] == 0
        self._new = fake_run.artefacts(self._place)
        self._rows = fake_run.cache_rows(self._place)
        self._disk = _Disk(self._place)

    def try_one(self, case: Case) -> Finding:
        """Run with a fault, and once more without."""
        self._restore(case.start)
        self._disk.arm(case)
        try:
            code, said = _run(self._flags)
        finally:
            counted, failed, first = self._disk.disarm()
        calls = self._disk.trace()
        problems = [*_problems_of_end(code, said), *self._problems_of_files(case, code)]
        lesser = self._other_files() if code == 0 else []
        again, words = _run(self._flags)
        if again != 0:
            problems.append(f"the next run ended with {again}: {words}")
        else:
            problems += self._problems_of_healed()
        return Finding(case, counted, failed, first, code, said, calls, lesser, problems)

    def _restore(self, start: str) -> None:
        for name in (*_OUTPUTS, "models"):
            shutil.rmtree(self._place / name, ignore_errors=True)
        for name in _OUTPUTS if start == "old" else ():
            shutil.copytree(self._kept / name, self._place / name)
        shutil.copytree(self._kept / "models", self._place / "models")

    def _problems_of_files(self, case: Case, code: int) -> list[str]:
        """Say what is neither old nor new: half a file, or one that a run that failed has made of the fault."""
        found, problems = fake_run.artefacts(self._place), []
        for name in {**self._old, **found}:
            legal = {self._new.get(name), self._old.get(name) if case.start == "old" else None}
            if not name.startswith("out/") or name == "out/model.exports.json" or case.start == "fresh":
                legal.add(None)  # moved away before the new ones come, or not there yet
            if found.get(name) not in legal and not _is_temporary(name) and code != 0:
                problems.append(f"{name} is neither old nor new")
        return problems

    def _other_files(self) -> list[str]:
        found = fake_run.artefacts(self._place)
        return sorted(name for name in {**self._new, **found} if found.get(name) != self._new.get(name))

    def _problems_of_healed(self) -> list[str]:
        problems = [f"after the next run {name} is not what it has to be" for name in self._other_files()]
        if fake_run.cache_rows(self._place) != self._rows:
            problems.append("after the next run the cache does not hold what it has to")
        left = [str(path.relative_to(self._place)) for path in self._place.rglob("*") if _is_temporary(path.name)]
        return problems + [f"after the next run {name} is left" for name in left]


def _is_temporary(name: str) -> bool:
    return Path(name).name.endswith(".tmp") or ".staging." in name or ".replaced." in name


def _problems_of_end(code: int, said: str) -> list[str]:
    if code == 0:
        return []
    problems = [f"the run says {ugly}" for ugly in _UGLY if ugly in said]
    if not 1 <= code <= 8:
        problems.append(f"expected an exit code of errors.py, got {code}")
    if not said.strip():
        problems.append("the run failed and said nothing")
    return problems


def _run(flags: list[str]) -> tuple[int, str]:
    """Run in this process: exit code, -1 where an exception escaped, and what was said on standard error."""
    said = io.StringIO()
    faulthandler.dump_traceback_later(HANGS_S, exit=True)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            code = fake_run.run_here(flags)
        except BaseException:  # noqa: BLE001 - it is the find
            traceback.print_exc(file=said)
            code = -1
    faulthandler.cancel_dump_traceback_later()
    return code, said.getvalue()


def main(folder: Path, lines: Iterable[str], tell: Callable[[str], object]) -> None:
    """Try cases, as the process of findings does."""
    bench = Bench(folder)
    for line in lines:
        tell(json.dumps(bench.try_one(Case(*json.loads(line)))) + "\n")


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "w", buffering=1)
    main(Path(sys.argv[1]).resolve(), sys.stdin, out.write)
