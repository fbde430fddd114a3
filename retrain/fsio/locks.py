"""Locks between processes of one machine."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from retrain.errors import RetrainError
from retrain.fsio import system


@contextlib.contextmanager
def locked(target: str | Path, *, timeout_s: float = 600.0, stays: bool = True) -> Iterator[None]:
    """Hold a lock that other processes on this machine respect, and that a killed process gives up by itself.

    Args:
        target: what is locked; the lock is the file ``<target>.lock`` beside it.
        timeout_s: how long to wait for another process.
        stays: leave that file there afterwards.

    Yields:
        Nothing; the lock is held inside the block.

    Raises:
        RetrainError: another process still held it after the timeout.
    """
    path = Path(f"{target}.lock")
    system.make_folder(path.parent)
    with _wait(path, time.monotonic() + timeout_s, timeout_s) as file:
        try:
            yield
        finally:
            if not stays:
                with contextlib.suppress(OSError):  # Windows keeps a file that is open
                    system.remove_file(path)
            _unlock(file)


def _wait(path: Path, deadline: float, timeout_s: float) -> IO[bytes]:
    """Open and lock the file; again where who held it has removed it meanwhile."""
    while True:
        file = system.open_file(path, "a+b")
        try:
            while not _try_lock(file):
                if time.monotonic() > deadline:
                    raise RetrainError(f"another process has held {path} for {timeout_s:.0f} s; end it and try again")
                time.sleep(0.05)
            if _is_at(path, file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


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
