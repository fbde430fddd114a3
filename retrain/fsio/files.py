"""Files: written beside their target, fsynced, renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from retrain.fsio import system
from retrain.fsio.room import raise_named

# How long a temporary file of a vanished process may lie about where we cannot ask whether the process lives.
STALE_TEMPORARY_S = 24 * 3600.0


# Bytes of a name; with what is put around it, it must keep below the 255 that most disks allow.
_LONGEST_STEM = 200


def _stem(target: Path) -> str:
    """Name what a temporary file is for; a long name by its hash."""
    name = os.fsencode(target.name)
    return target.name if len(name) <= _LONGEST_STEM else hashlib.sha256(name).hexdigest()


def _temporary_path(target: Path) -> Path:
    return target.with_name(f".{_stem(target)}.{os.getpid()}.tmp")


def process_is_gone(pid: int) -> bool:
    """Say whether a process has ended.

    Args:
        pid: its number.

    Returns:
        False where it lives, or where that cannot be asked.
    """
    # Trap: on Windows os.kill(pid, 0) ends the process instead of asking about it.
    if sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # a number that no process has
        return True
    except OSError:
        return False
    return False


def sweep_temporaries(target: Path) -> None:
    """Remove what a killed process left beside the target, so that kills do not fill the disk.

    Args:
        target: that it was writing.
    """
    for leftover in target.parent.glob(f".{_escape_glob(_stem(target))}.*.tmp"):
        pid_text = leftover.name.split(".")[-2]
        if not pid_text.isdecimal() or int(pid_text) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            old = time.time() - leftover.stat().st_mtime > STALE_TEMPORARY_S
            if old or process_is_gone(int(pid_text)):
                system.remove_file(leftover)


def _escape_glob(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


@contextlib.contextmanager
def _temporary_for(target: Path, needed_bytes: int = 0, *, sweeps: bool = True) -> Iterator[Path]:
    """Make room for a file that will become ``target``; it is gone afterwards unless it was renamed."""
    temporary = _temporary_path(target)
    try:
        system.make_folder(target.parent)
        if sweeps:
            sweep_temporaries(target)
        yield temporary
    except OSError as error:
        raise_named(error, target, max(needed_bytes, _size(temporary)), temporary)
    finally:
        with contextlib.suppress(OSError):
            system.remove_file(temporary)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextlib.contextmanager
def _synced(temporary: Path) -> Iterator[BinaryIO]:
    with system.open_file(temporary, "wb") as file:
        yield file
        system.sync(file)


def _rename(temporary: Path, target: Path) -> None:
    system.rename(temporary, target)
    system.sync_folder(target.parent)


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


def fill_claimed(target: Path, data: bytes) -> None:
    """Put the contents into a file that was just made, whole or not at all.

    Nothing lies beside a name that was free, so nothing is looked for: in a folder of many files that would take longer
    than to write.

    Args:
        target: the file; it is empty.
        data: its contents.
    """
    with _temporary_for(target, len(data), sweeps=False) as temporary:
        with _synced(temporary) as file:
            file.write(data)
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
            temporary = stack.enter_context(_temporary_for(target, len(data)))
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
    system.make_folder(target.parent)
    return system.open_file(target, "xb")


def open_partial(target: str | Path) -> BinaryIO:
    """Open a file that grows over several tries, such as a download, to go on at its end.

    Args:
        target: a file that need not exist yet and that no reader takes for the finished one; its folder is made.

    Returns:
        A binary file to read and to append to, whatever was sought; it may be truncated. The caller syncs it.
    """
    target = Path(target)
    system.make_folder(target.parent)
    return system.open_file(target, "a+b")


def scratch(folder: str | Path) -> BinaryIO:
    """Make a file without a name, which is gone with the process however that ends.

    Args:
        folder: on which disk; it must exist.

    Returns:
        A binary file to read and write, unbuffered.
    """
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def move(source: str | Path, target: str | Path, *, lasting: bool = True) -> None:
    """Rename a file within one file system, making the folder it goes to.

    Args:
        source: the file as it is; synced, so that the disk never has the new name without the bytes.
        target: where it goes; replaced if it exists.
        lasting: False: nothing is synced; who moves thousands of files syncs their folders once, with sync_folder,
            and knows how to go on where power was lost before.
    """
    source, target = Path(source), Path(target)
    system.make_folder(target.parent)
    if lasting and source.is_file() and not source.is_symlink():
        system.sync_path(source)
    system.rename(source, target)
    if lasting:
        system.sync_folder(target.parent)
