"""Everything that the process in the sandbox gives up before it sees the model, and what this system cannot refuse it.

Each step says in a sentence what now holds; what cannot be enforced here is said, too, and never passed over.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrain.sandbox.bounds import Bounds
from retrain.sandbox.landlock import allow_reading_only
from retrain.sandbox.seccomp import allow_calculating_only

# What TensorFlow still asks for when the model is there: random numbers for its hash tables, the processor's kind, and
# the words that this process was started with, without which it aborts.
STILL_READ = ("/dev/urandom", "/proc/cpuinfo", "/sys/devices/system/cpu", "/proc/self/cmdline")
_CLONE_NEWUSER, _CLONE_NEWIPC, _CLONE_NEWNET = 0x10000000, 0x08000000, 0x40000000
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CAPABILITIES_VERSION = 0x20080522
_F_SETSIG, _SIGKILL = 10, 9


@dataclass
class Lockdown:
    """What is enforced and what is not, in sentences.

    Args:
        limits: what is.
        unenforced: what is not, and why.
    """

    limits: list[str] = field(default_factory=list)
    unenforced: list[str] = field(default_factory=list)

    def step(self, what: str, do: Callable[[], object]) -> bool:
        """Try to give something up, and write down whether it worked.

        Args:
            what: holds if ``do`` returns; a sentence.
            do: raises OSError, ValueError or ImportError where this system cannot.

        Returns:
            Whether it worked.
        """
        try:
            do()
        except (AttributeError, ImportError, OSError, ValueError) as error:
            self.unenforced.append(f"{what}: {_reason(error)}")
            return False
        self.limits.append(what)
        return True


def lock_down(readable: Iterable[Path], bounds: Bounds, threads: int, leash: int | None) -> Lockdown:
    """Give up everything that running a model does not need; there is no way back.

    Args:
        readable: files and folders that may still be read; all else may not.
        bounds: how much may be used.
        threads: that will calculate.
        leash: a pipe's end that this process was given; when nobody holds the other one any more, it dies.

    Returns:
        What is enforced now and what is not.
    """
    done = Lockdown()
    done.step("it dies with the process that started it, also when that is killed", lambda: _tie(leash))
    _limit_resources(done, bounds, threads)
    only = "it reads no file but the model's own folder and writes none (Landlock)"
    networks = _attempt(_leave_networks)
    _attempt(_drop_privileges)
    done.step(only, lambda: _read_only([*readable, *map(Path, STILL_READ)]))
    _attempt(lambda: _prctl(_PR_SET_DUMPABLE, 0))
    calls = _attempt(allow_calculating_only)
    done.step("it reaches no network" + _by(networks, calls), lambda: _either(networks, calls))
    done.step("it starts no process, and signals none (seccomp)", lambda: _either(calls))
    done.step("it opens no file for writing, and renames and deletes none (seccomp)", lambda: _either(calls))
    return done


def _limit_resources(done: Lockdown, bounds: Bounds, threads: int) -> None:
    seconds = bounds.cpu_s(bounds.load_s, threads)
    amount = f"{bounds.memory_bytes / 2**30:.3g} GiB"
    # Trap: RLIMIT_AS would count what is only reserved: TensorFlow maps gigabytes that it never touches.
    done.step(f"it allocates at most {amount} of memory", lambda: _limit("RLIMIT_DATA", bounds.memory_bytes))
    # Soft: the caller moves it with every picture.
    done.step("its processor seconds are limited, a picture's too", lambda: _limit("RLIMIT_CPU", seconds, hard=False))
    done.step(f"it has at most {bounds.open_files} files open", lambda: _limit("RLIMIT_NOFILE", bounds.open_files))
    done.step("no file that it writes can have content", lambda: _limit("RLIMIT_FSIZE", 0))
    done.step("it leaves no memory dump", lambda: _limit("RLIMIT_CORE", 0))


def _limit(name: str, amount: int, *, hard: bool = True) -> None:
    if sys.platform != "linux" and name == "RLIMIT_DATA":
        raise OSError("only Linux counts it")
    resource: Any = importlib.import_module("resource")  # not on Windows
    kind = getattr(resource, name)
    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        amount = min(amount, most)
    resource.setrlimit(kind, (amount, amount if hard else most))


def _tie(leash: int | None) -> None:
    """Have the kernel kill this process when the other end of the pipe is closed, whatever it is doing then.

    PR_SET_PDEATHSIG would do so when the *thread* that started it ends.
    """
    if sys.platform != "linux" or leash is None:
        raise OSError(f"{sys.platform} has no signal for it; it ends when it next waits for a picture")
    import fcntl

    fcntl.fcntl(leash, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(leash, _F_SETSIG, _SIGKILL)
    fcntl.fcntl(leash, fcntl.F_SETFL, fcntl.fcntl(leash, fcntl.F_GETFL) | os.O_ASYNC)


def _leave_networks() -> None:
    """Move into a network of its own, without even loopback; a namespace of users allows it to anybody."""
    _linux_call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC)


def _drop_privileges() -> None:
    """Root keeps no capability; nobody gets one back by starting a program."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    header, nothing = struct.pack("=Ii", _CAPABILITIES_VERSION, 0), bytes(24)
    _linux_call("capset", ctypes.c_char_p(header), ctypes.c_char_p(nothing))


def _read_only(readable: list[Path]) -> None:
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise OSError(f"{threads} threads run already, which it would not reach")
    allow_reading_only(readable)


def _prctl(option: int, word: int) -> None:
    _linux_call("prctl", *map(ctypes.c_ulong, (option, word, 0, 0, 0)))


def _linux_call(name: str, *words: object) -> None:
    if sys.platform != "linux":
        raise OSError(f"{sys.platform} has none")
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*words):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _attempt(do: Callable[[], object]) -> Exception | None:
    try:
        do()
    except (AttributeError, OSError, ValueError) as error:
        return error
    return None


def _either(*failures: Exception | None) -> None:
    if all(failures):
        raise OSError("; ".join(_reason(failure) for failure in failures if failure))


def _by(networks: Exception | None, calls: Exception | None) -> str:
    ways = [way for way, failure in (("a namespace of its own", networks), ("seccomp", calls)) if failure is None]
    return f" ({' and '.join(ways)})" if ways else ""


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
