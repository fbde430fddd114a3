"""Starts processes that read mutants, and says what became of them: used by CI, and by scripts/soak with larger numbers."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from commands import ROOT, environment

CHILD = ROOT / "tests" / "hostile" / "mutants_child.py"


class Ended(Exception):  # noqa: N818 - no error of this program, but what a test reports
    """A process that did not come to its end."""


def start(*words: object, record: Path) -> subprocess.Popen[str]:
    """Start a process: seed, first and count, or "--files" and none but files."""
    ahead, behind = ([words[0]], list(words[1:])) if words[0] == "--files" else (list(words), [])
    # One thread each, so that what they take is theirs; libtiff writes what it dislikes to the error output.
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with Path(f"{record}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, str(CHILD), *map(str, [*ahead, record, *behind])],
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env=environment() | one,
        )  # fmt: skip


def finish(child: subprocess.Popen[str], record: Path) -> dict[str, Any]:
    """Wait for a process.

    Returns:
        What it says: "counts", "broken" (number, way and traceback of each), "warned", "rss" in bytes.

    Raises:
        Ended: it crashed or hung; which mutant did it is in the text.
    """
    said = child.communicate()[0]
    if child.returncode == 0:
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found
    log = Path(f"{record}.log").read_text(errors="replace")[-1500:]
    raise Ended(f"{how(child.returncode)} at {at_work(record)}, arguments {child.args[2:]!r}: {log}")


def how(code: int) -> str:
    """Say in words how a process ended."""
    if code in (-signal.SIGPROF, -signal.SIGALRM):
        return "hung"
    return f"crashed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def at_work(record: Path) -> int:
    """Which mutant a process was at; -1 before the first."""
    data = record.read_bytes() if record.exists() else b""
    return int(struct.unpack("<q", data[:8])[0]) if len(data) >= 8 else -1


def run(seed: int, first: int, count: int, folder: Path, processes: int = 0) -> list[dict[str, Any]]:
    """Read mutants in several processes at once.

    Args:
        seed: of all of them.
        first: number of the first.
        count: how many.
        folder: for what the processes write.
        processes: 0: one a core.

    Raises:
        Ended: as of finish.
    """
    parts = processes or len(os.sched_getaffinity(0))
    edges = [first + count * part // parts for part in range(parts + 1)]
    records = [folder / f"{seed}-{edge}" for edge in edges[:-1]]
    children = [
        start(seed, begin, end - begin, record=record)
        for begin, end, record in zip(edges, edges[1:], records, strict=False)
    ]
    try:
        return [finish(child, record) for child, record in zip(children, records, strict=True)]
    finally:
        for child in children:
            child.kill()
            child.wait()
