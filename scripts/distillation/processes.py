"""The same function in several processes of one machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from retrain.errors import RetrainError

_POLL_S = 0.2


def run_in_processes(work: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
    """Call a function once a process, and wait for all.

    Args:
        work: a function of a module, so that a new process can import it.
        arguments: the arguments of each call.

    Raises:
        RetrainError: one of them failed; the others were ended.
    """
    # Fresh interpreters: a fork of one that has run PyTorch's or BLAS' threads may hang.
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_in_child, args=(work, args), daemon=True) for args in arguments]
    for child in children:
        child.start()
    try:
        _wait(children)
    finally:
        for child in children:
            if child.is_alive():
                child.terminate()
            child.join()


def _in_child(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    work(*arguments)


def _leave_with_parent() -> None:
    # A parent that was killed cannot end its children, and they would go on writing beside its successor's.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _wait(children: Sequence[Any]) -> None:
    while any(child.is_alive() for child in children):
        failed = [child.exitcode for child in children if child.exitcode]
        if failed:
            break
        time.sleep(_POLL_S)
    failed = [child.exitcode for child in children if child.exitcode]
    if failed:
        raise RetrainError(f"a process ended with {failed[0]}; what it said is above. Run again to go on.")
