"""Backbones of the tests on Ray. A module of its own, since the workers import it, too."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from support import fake_features

from retrain.errors import ImageError, NumericalError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Where workers and drivers in other processes find the package and the helpers.
PYTHONPATH = os.pathsep.join(map(str, (ROOT, HERE.parent, HERE)))


def said(data: bytes) -> np.ndarray:
    """float32 (8,), a function of the bytes; content may ask for something else."""
    if data.startswith(b"poison"):
        os._exit(1)
    if data.startswith(b"bad"):
        raise ImageError("damaged", "starts with bad")
    if data.startswith(b"nan"):
        raise NumericalError("not finite")
    if data.startswith(b"bug"):
        raise ZeroDivisionError("a bug")
    return fake_features(data)


class Slow:
    """Takes its time, and writes down each photograph and the process that does it.

    Args:
        log: a file on a disk that all see.
        seconds: a photograph.
    """

    def __init__(self, log: Path, seconds: float) -> None:
        self.log, self.seconds = str(log), seconds

    def __call__(self, data: bytes) -> np.ndarray:
        time.sleep(self.seconds)
        with open(self.log, "ab", buffering=0) as file:  # noqa: PTH123 - one write is one line, whoever else writes
            file.write(b"%d %s\n" % (os.getpid(), data))
        return fake_features(data)


def logged(log: Path) -> list[tuple[int, bytes]]:
    """What Slow wrote: process, content."""
    lines = log.read_bytes().splitlines() if log.exists() else []
    return [(int(line.split(b" ", 1)[0]), line.split(b" ", 1)[1]) for line in lines]


def ended(process, within_s=90.0):
    """Whether a process ends in time; one that its parent has not yet asked for has ended."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            with open(f"/proc/{process}/stat") as file:  # noqa: PTH123
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False
