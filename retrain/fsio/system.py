"""The calls that change a disk, and the one place where they can be watched.

fsio makes every such call through this module. Tests watch them to keep a log, from which they build what a loss of
power may leave; where nobody watches, a call costs one comparison more. SQLite's own files are not among them.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from retrain.fsio.room import raise_named

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CREATE, WRITE, TRUNCATE, SYNC, DATE = "create", "write", "truncate", "sync", "date"
RENAME, LINK, REMOVE = "rename", "link", "remove"
MAKE_FOLDER, REMOVE_FOLDER, SYNC_FOLDER = "make_folder", "remove_folder", "sync_folder"


class Operation(NamedTuple):
    """A call that is about to change the disk.

    Args:
        kind: CREATE makes an empty file, in place of what was there; RENAME replaces what is at its target; LINK makes
            a symbolic link; REMOVE takes a file away, REMOVE_FOLDER an empty folder; the others say it.
        path: of the file or folder.
        data: bytes of WRITE; None of all others.
        number: byte at which WRITE begins, size in bytes after TRUNCATE; else 0.
        target: where RENAME goes, what LINK points at; else empty.
    """

    kind: str
    path: str
    data: bytes | None = None
    number: int = 0
    target: str = ""


Hook = Callable[[Operation], object]
_hook: Hook | None = None


@contextlib.contextmanager
def watching(hook: Hook) -> Iterator[None]:
    """Have every call told before it is made; files that are open already are not watched.

    Args:
        hook: called in the thread that makes the call; what it raises is raised in place of the call.

    Yields:
        Nothing; the hook is called inside the block.
    """
    global _hook
    earlier, _hook = _hook, hook
    try:
        yield
    finally:
        _hook = earlier


def _tell(kind: str, path: str | Path, data: bytes | None = None, number: int = 0, target: str | Path = "") -> None:
    if _hook is not None:
        _hook(Operation(kind, str(path), data, number, str(target)))


class _File(io.FileIO):
    """A file whose writes are told, and whose errors say which file it was: the system's own do not."""

    def write(self, data: ReadableBuffer, /) -> int:
        if _hook is not None:
            at = os.fstat(self.fileno()).st_size if "a" in self.mode else self.tell()
            _tell(WRITE, _name(self), bytes(data), at)
        try:
            return super().write(data)
        except OSError as error:
            raise_named(error, _name(self), memoryview(data).nbytes)

    def truncate(self, size: int | None = None, /) -> int:
        _tell(TRUNCATE, _name(self), None, self.tell() if size is None else size)
        try:
            return super().truncate(size)
        except OSError as error:
            raise_named(error, _name(self))


def _name(file: io.FileIO | BinaryIO) -> str:
    return os.fspath(cast(str | Path, file.name))


def open_file(path: Path, mode: str) -> BinaryIO:
    """Open a file to change it.

    Args:
        path: of the file.
        mode: "wb", "xb" or "a+b".

    Returns:
        A binary file, buffered.
    """
    if _hook is not None and ("a" not in mode or not path.exists()):
        if "x" in mode and os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        _tell(CREATE, path)
    file = _File(path, mode.replace("b", ""))
    return cast(BinaryIO, io.BufferedRandom(file) if "+" in mode else io.BufferedWriter(file))


def append(file: BinaryIO, data: memoryview) -> None:
    """Write to the end of a file of open_partial at once.

    Past Python's buffer, which would try again, when the file is closed, to write what a full disk refused.

    Args:
        file: of which nothing is left in the buffer.
        data: any bytes.
    """
    view = data.cast("B")
    if _hook is not None:
        _tell(WRITE, _name(file), bytes(view), os.fstat(file.fileno()).st_size)
    while view:
        view = view[os.write(file.fileno(), view) :]


def sync(file: BinaryIO) -> None:
    """Have the disk itself hold what was written to a file.

    Args:
        file: open; what is in its buffer goes first.
    """
    file.flush()
    _tell(SYNC, _name(file))
    try:
        os.fsync(file.fileno())
    except OSError as error:
        raise_named(error, _name(file))


def sync_path(path: Path) -> None:
    """Have the disk hold a file that is not open any more.

    Args:
        path: of the file.
    """
    _tell(SYNC, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable.

    Args:
        folder: the folder.
    """
    # A rename is only durable once its directory is; Windows has no such call and needs none.
    if sys.platform == "win32":
        return
    _tell(SYNC_FOLDER, folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Rename a file or a folder on one file system; a file that is at the target is replaced.

    Args:
        source: as it is.
        target: where it goes.
    """
    _tell(RENAME, source, target=target)
    source.replace(target)


def link(path: Path, target: str) -> None:
    """Make a symbolic link.

    Args:
        path: must not be there.
        target: what it points at.

    Raises:
        FileExistsError: something is there.
    """
    _tell(LINK, path, target=target)
    path.symlink_to(target)


def set_date(path: Path, accessed_ns: int, changed_ns: int) -> None:
    """Say when a file was read and changed last.

    Args:
        path: of the file.
        accessed_ns: nanoseconds since the epoch.
        changed_ns: nanoseconds since the epoch.
    """
    _tell(DATE, path)
    os.utime(path, ns=(accessed_ns, changed_ns))


def make_folder(folder: str | Path) -> None:
    """Make a folder, and those that it lies in, unless it is there.

    Args:
        folder: its path.

    Raises:
        FileExistsError: a file is there.
    """
    folder = Path(folder)
    if folder.is_dir():
        return
    missing = [one for one in (*reversed(folder.parents), folder) if not one.exists()]
    for one in missing:
        _tell(MAKE_FOLDER, one)
    folder.mkdir(parents=True, exist_ok=True)
    # A file in a new folder is only safe once the folder's own name is.
    for one in missing:
        sync_folder(one.parent)


def remove_file(path: Path) -> bool:
    """Take a file or a link away.

    Args:
        path: of the file.

    Returns:
        Whether there was one.
    """
    if _hook is not None and os.path.lexists(path):
        _tell(REMOVE, path)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def remove_folder(folder: Path) -> None:
    """Take an empty folder away.

    Args:
        folder: its path.

    Raises:
        OSError: it is not empty.
    """
    _tell(REMOVE_FOLDER, folder)
    folder.rmdir()


def remove_tree(folder: Path, *, ignore_errors: bool = False) -> None:
    """Take a folder away with all that is in it; links in it are not followed.

    Args:
        folder: a folder, not a link to one.
        ignore_errors: leave what cannot be taken away.
    """
    if _hook is not None:
        for place, folders, files in os.walk(folder, topdown=False):
            for name in (*files, *(name for name in folders if Path(place, name).is_symlink())):
                _tell(REMOVE, Path(place, name))
            _tell(REMOVE_FOLDER, place)
    shutil.rmtree(folder, ignore_errors=ignore_errors)
