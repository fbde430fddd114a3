"""Why a process that decoded photographs ended: a crash, memory that ran out, or somebody who killed it."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from retrain.console import printable

CRASH, MEMORY = "crashes the decoder", "takes too much memory"
# Counts what the kernel killed because memory ran out, that of control groups (containers) among it.
_VMSTAT = Path("/proc/vmstat")
# What C++ says before it aborts.
_NO_MEMORY = ("bad_alloc", "out of memory", "Cannot allocate memory")


class Ending(NamedTuple):
    """How a process ended.

    Args:
        reason: a short name that equal endings share.
        detail: what exactly was found.
    """

    reason: str
    detail: str


def memory_kills(vmstat: Path = _VMSTAT) -> int | None:
    """Count what the kernel has killed so far because memory ran out.

    Args:
        vmstat: where Linux counts it.

    Returns:
        Processes since the machine started; None where nobody counts them.
    """
    with contextlib.suppress(OSError):
        found = re.search(r"^oom_kill (\d+)$", vmstat.read_text(), re.MULTILINE)
        return int(found[1]) if found else None
    return None


def ending_of(code: int | None, said: Sequence[str], kills_before: int | None, kills_now: int | None) -> Ending:
    """Say how a process ended.

    Args:
        code: as subprocess has it: negative is a signal; None: it closed its output and goes on.
        said: its last lines on standard error.
        kills_before: memory_kills when it was started.
        kills_now: memory_kills after it had ended.

    Returns:
        A reason and a sentence.
    """
    last = "".join(f"; it said: {printable(line)}" for line in said[-1:])
    if code is None or code >= 0:
        how = "closed its output" if code is None else f"ended with exit code {code}"
        return Ending(CRASH, f"the process {how}{last}")
    name = _signal_name(-code)
    if name == "SIGKILL" and (kills_before, kills_now) != (None, None) and kills_now != kills_before:
        return Ending(MEMORY, "the kernel killed the process because memory ran out (SIGKILL, counted in /proc/vmstat)")
    if name == "SIGKILL":
        unsure = "; whether memory ran out is not told here" if kills_now is None else ", and not by the kernel"
        return Ending(CRASH, f"somebody killed the process (SIGKILL{unsure})")
    reason = MEMORY if any(mark in line for line in said for mark in _NO_MEMORY) else CRASH
    return Ending(reason, f"the process ended with {name}{last}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
