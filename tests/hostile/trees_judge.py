"""Runs command lines, one after another, in a process that has no more rights than its user: what each came to.

python tests/hostile/trees_judge.py < list.json     a list of command lines: a folder to be in, and words

For each a line of JSON: exit code, what was printed, which of TensorFlow and Keras was imported by then, the processes
that were started, and the seconds that it took. The superuser may write everywhere, so its right to pass over
permissions is laid down first.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

# linux/capability.h: to pass over the permissions of files, over those of reading, and over who owns them.
_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER = 1, 2, 3
_VERSION_3 = 0x20080522
FAKE = "fake"
HEAVY = ("tensorflow", "keras", "ai_edge_litert")


def lay_down_rights() -> None:
    """Have the superuser of Linux be held to the permissions of files, as everybody else is.

    Raises:
        OSError: the system refuses.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    # Two words each of effective, permitted and inheritable rights; the first three are those of rights 0 to 31.
    rights = (ctypes.c_uint32 * 6)()
    keep = ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH | 1 << _FOWNER) & 0xFFFFFFFF
    if libc.capget(header, rights):
        raise OSError(ctypes.get_errno(), "capget")
    for word in range(3):
        rights[word] &= keep
    if libc.capset(header, rights):
        raise OSError(ctypes.get_errno(), "capset")


def judged(words: Sequence[str]) -> dict[str, Any]:
    """Run one command line.

    Args:
        words: behind ``python -m retrain``; behind FAKE those of a fake run (tests/faults/fake_run.py).

    Returns:
        What it came to.
    """
    from retrain.cli import main

    if words[0] == FAKE:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
        main, words = import_module("fake_run").run_here, words[1:]
    started: list[str] = []
    real = subprocess.Popen.__init__

    def noted(self: Any, args: Any, *more: Any, **options: Any) -> None:
        started.append(str(args))
        real(self, args, *more, **options)

    out, err = io.StringIO(), io.StringIO()
    begin = time.perf_counter()
    subprocess.Popen.__init__ = noted  # type: ignore[method-assign]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(words))
    finally:
        subprocess.Popen.__init__ = real  # type: ignore[method-assign]
    took = time.perf_counter() - begin
    heavy = [name for name in HEAVY if name in sys.modules]
    return {
        "code": code,
        "out": out.getvalue(),
        "err": err.getvalue(),
        "heavy": heavy,
        "started": started,
        "seconds": took,
    }


def judge_all(commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Run command lines in a process of their own.

    Args:
        commands: each a folder to be in, and the words behind ``python -m retrain``.

    Returns:
        What each came to, as of judged.

    Raises:
        AssertionError: the process itself failed.
    """
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve())], check=False, timeout=300, text=True,
        input=json.dumps([list(words) for words in commands]), capture_output=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    lay_down_rights()
    for place, *one in json.load(sys.stdin):
        os.chdir(place)
        print(json.dumps(judged(one)), flush=True)
