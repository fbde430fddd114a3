"""Locks between processes of one machine."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from retrain.errors import RetrainError


@contextlib.contextmanager
def locked(target: str | Path, *, timeout_s: float = 600.0) -> Iterator[None]:
    """Hold a lock that other processes on this machine respect, and that a killed process gives up by itself.

    Args:
        target: what is locked; the lock is the file ``<target>.lock`` beside it, which stays.
        timeout_s: how long to wait for another process.

    Yields:
        Nothing; the lock is held inside the block.

    Raises:
        RetrainError: another process still held it after the timeout.
    """
    path = Path(f"{target}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        deadline = time.monotonic() + timeout_s
        while not _try_lock(file):
            if time.monotonic() > deadline:
                raise RetrainError(f"another process has held {path} for {timeout_s:.0f} s; end it and try again")
            time.sleep(0.05)
        try:
            yield
        finally:
            _unlock(file)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
