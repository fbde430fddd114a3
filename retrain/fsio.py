"""Every write to disk: a temporary file beside the target, fsync, rename; locks; and checks made before any of it.

A reader therefore sees the old file or the new one, never half of one, whatever moment the process or the
machine stops at. (SQLite files are the exception: SQLite keeps that promise itself, see bottlenecks/cache.py.)
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO

from retrain.errors import RetrainError, UsageError

# How long a temporary file of a vanished process may lie about where we cannot ask whether the process lives.
STALE_TEMPORARY_S = 24 * 3600.0


def _temporary_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")


def _process_is_gone(pid: int) -> bool:
    # Trap: on Windows os.kill(pid, 0) ends the process instead of asking about it.
    if sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _sweep_stale_temporaries(target: Path) -> None:
    """Remove what a killed process left beside the target, so that kills do not fill the disk."""
    for leftover in target.parent.glob(f".{_escape_glob(target.name)}.*.tmp"):
        pid_text = leftover.name.split(".")[-2]
        if not pid_text.isdigit() or int(pid_text) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            old = time.time() - leftover.stat().st_mtime > STALE_TEMPORARY_S
            if old or _process_is_gone(int(pid_text)):
                leftover.unlink()


def _escape_glob(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _sync_directory(folder: Path) -> None:
    # A rename is only durable once its directory is; Windows has no such call and needs none.
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary_for(target: Path) -> Iterator[Path]:
    """Make room for a file that will become ``target``; it is gone afterwards unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep_stale_temporaries(target)
    temporary = _temporary_path(target)
    try:
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _synced(temporary: Path) -> Iterator[BinaryIO]:
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _rename(temporary: Path, target: Path) -> None:
    temporary.replace(target)
    _sync_directory(target.parent)


@contextlib.contextmanager
def replacing(target: str | Path) -> Iterator[BinaryIO]:
    """Write a file so that it appears whole or not at all.

    Args:
        target: the file to create or replace; its folder is made.

    Yields:
        A binary file to write into. On an exception the target stays as it was and no temporary file remains.
    """
    target = Path(target)
    with _temporary_for(target) as temporary:
        with _synced(temporary) as file:
            yield file
        _rename(temporary, target)


def write_together(files: Mapping[str, bytes]) -> None:
    """Write files that belong together: none is replaced before all are safely on the disk under other names.

    Args:
        files: path -> contents; replaced in this order.
    """
    with contextlib.ExitStack() as stack:
        pairs = []
        for name, data in files.items():
            target = Path(name)
            temporary = stack.enter_context(_temporary_for(target))
            with _synced(temporary) as file:
                file.write(data)
            pairs.append((temporary, target))
        for temporary, target in pairs:
            _rename(temporary, target)


def write_bytes(target: str | Path, data: bytes) -> None:
    """Write bytes whole or not at all.

    Args:
        target: the file to create or replace.
        data: its new contents.
    """
    write_together({str(target): data})


def write_text(target: str | Path, text: str) -> None:
    """Write UTF-8 text whole or not at all, with bare newlines on every system.

    Args:
        target: the file to create or replace.
        text: its new contents; lone surrogates (from file names that are not UTF-8) are written as escapes.
    """
    write_bytes(target, text.encode("utf-8", errors="backslashreplace"))


def open_log(target: str | Path) -> BinaryIO:
    """Open a new append-only log (an event file), which readers may follow while it grows.

    Args:
        target: a file that must not exist yet; its folder is made.

    Returns:
        A binary file, buffered.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.open("xb")


def open_partial(target: str | Path) -> BinaryIO:
    """Open a file that grows over several tries, such as a download, to go on at its end.

    Args:
        target: a file that need not exist yet and that no reader takes for the finished one; its folder is made.

    Returns:
        A binary file to read and to append to, whatever was sought; it may be truncated. The caller syncs it.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.open("a+b")


def scratch(folder: str | Path) -> BinaryIO:
    """Make a file without a name, which is gone with the process however that ends.

    Args:
        folder: on which disk; it must exist.

    Returns:
        A binary file to read and write, unbuffered.
    """
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def move(source: str | Path, target: str | Path) -> None:
    """Rename a file within one file system, making the folder it goes to.

    Args:
        source: the file as it is.
        target: where it goes; replaced if it exists.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    Path(source).replace(target)
    _sync_directory(target.parent)


def sha256_file(path: str | Path) -> str:
    """Hash a file's contents.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_fault(path: Path, checksum: str) -> str:
    """Compare a file with its published checksum.

    Args:
        path: the file.
        checksum: MD5 or SHA-256, lower-case hexadecimal; empty where none is published.

    Returns:
        What is wrong, or nothing.
    """
    if not checksum:
        return ""
    name = {32: "md5", 64: "sha256"}[len(checksum)]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()
    if found == checksum:
        return ""
    return f"expected a file with the {name.upper().replace('SHA', 'SHA-')} {checksum}, got {found}"


def why_not_writable(path: str | Path, *, folder: bool) -> str | None:
    """Say what stands in the way of writing, without touching the disk.

    Args:
        path: a file or folder that need not exist.
        folder: whether the path is to be a folder.

    Returns:
        A phrase such as "it is a folder", or None where nothing stands in the way.
    """
    path = Path(path)
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _why_no_new_entry(path)
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be looked into, a NUL
        return getattr(error, "strerror", None) or str(error)
    if folder and not os.path.isdir(path):  # noqa: PTH112 - false, not an error, where it may not be asked
        return "it is a file, not a folder"
    if not folder and os.path.isdir(path):  # noqa: PTH112
        return "it is a folder, not a file"
    if not os.access(path, os.W_OK):
        return "there is no permission to write to it"
    return None if folder else _why_no_new_entry(path)


def _why_no_new_entry(path: Path) -> str | None:
    parent = path.absolute().parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        return f"{parent} is a file, not a folder"
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"there is no permission to write in {parent}"
    return None


def safe_join(root: str | Path, *parts: str) -> Path:
    """Join names to a folder and refuse to leave it.

    Args:
        root: the folder.
        parts: names below it, from a source that is not to be trusted.

    Returns:
        The joined path.

    Raises:
        UsageError: a part is absolute, holds a NUL, or climbs out with "..".
    """
    root = Path(root)
    joined = root.joinpath(*parts)
    inside = os.path.normpath(joined) != os.path.normpath(root)
    below = Path(os.path.normpath(joined)).is_relative_to(os.path.normpath(root))
    if "\0" in "".join(parts) or not (inside and below):
        raise UsageError(f"expected a name inside {root}, got {'/'.join(parts)!r}")
    return joined


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
