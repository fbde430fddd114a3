"""Child processes that end with the one that started them, also where that is killed and has no say in it.

Whoever is started by ``child`` holds one end of a pipe whose other end only this process holds. When this process is
gone, however that came, the kernel kills the child, whatever that is doing: importing, converting, waiting. A child
that reads its input would notice only when it next does.

Runs as ``python -m retrain.leash DESCRIPTOR MODULE WORDS...``, which is how a child begins.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from typing import NamedTuple

# Linux's own numbers (fcntl.h, asm-generic); Python's fcntl names the first only from 3.12 on.
_F_SETSIG, _SIGKILL = 10, 9


class Command(NamedTuple):
    """What subprocess.Popen is given.

    Args:
        words: the command line.
        descriptors: for pass_fds.
    """

    words: list[str]
    descriptors: tuple[int, ...]


def child(module: str, *words: str) -> Command:
    """Say how to start a module of this package as a process that ends with this one.

    Args:
        module: its name; it is run as ``python -m`` does.
        words: its command line.

    Returns:
        The command. On Windows the child is not tied: it ends with its input, or when it is done.
    """
    if os.name != "posix":
        return Command([sys.executable, "-m", module, *words], ())
    held = _pipe(os.getpid())[0]
    return Command([sys.executable, "-m", "retrain.leash", str(held), module, *words], (held,))


@functools.lru_cache(maxsize=1)
def _pipe(pid: int) -> tuple[int, int]:
    """Make the pipe, which is not inherited; a process that was forked makes its own."""
    return os.pipe()


def tie(descriptor: int) -> None:
    """Have this process killed when nobody holds the other end of the pipe any more.

    Args:
        descriptor: this process's end.

    Raises:
        OSError: it is no pipe.
    """
    if sys.platform != "linux":
        threading.Thread(target=_wait_and_end, args=(descriptor,), name="leash", daemon=True).start()
        return
    import fcntl
    import select

    # A description of its own: owner and signal belong to it, and sisters inherited the same one.
    # PR_SET_PDEATHSIG would kill when the *thread* that started this process ends.
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(own, _F_SETSIG, _SIGKILL)
    fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
    held = select.poll()
    held.register(own, 0)
    if held.poll(0):  # it was gone before this line
        os._exit(1)


def _wait_and_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os._exit(1)


def main() -> None:
    """Be tied, then be the module on the command line."""
    import runpy

    descriptor, module = int(sys.argv[1]), sys.argv[2]
    tie(descriptor)
    del sys.argv[:2]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
