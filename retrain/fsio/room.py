"""What a disk has room for, and errors that say it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

# No room left, a quota that is used up, a file larger than `ulimit -f` allows.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Errors of a write or of its disk, which the system raises without a name.
_NAMELESS = (*_NO_ROOM, errno.EIO, errno.EROFS)


class NoRoomError(OSError):
    """A disk has no room for a file; the sentence is in strerror, as with every OSError."""


def free_bytes(path: str | Path) -> int:
    """Ask how much room there is on the disk of a file that need not exist yet.

    Args:
        path: the file or folder.

    Returns:
        Bytes; 0 where it cannot be asked.
    """
    place = Path(path).absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return 0


def room_words(path: str | Path, needed_bytes: int = 0) -> str:
    """Say what is needed and what there is.

    Args:
        path: of the file that was to be written.
        needed_bytes: of it, as far as that is known; 0 where it is not.

    Returns:
        A phrase: bytes needed, bytes free, and the limit on the size of a file where there is one.
    """
    needed = f"expected room for at least {needed_bytes:,} bytes, got" if needed_bytes else "there are"
    words = f"{needed} {free_bytes(path):,} bytes free in {Path(path).parent}"
    limit = _file_limit()
    return f"{words}, and no file may have more than {limit:,} bytes here (ulimit -f)" if limit else words


def _file_limit() -> int:
    # Trap: a write beyond it would end the process with SIGXFSZ; Python ignores that signal, and gets EFBIG instead.
    if sys.platform == "win32":
        return 0
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return 0 if limit == resource.RLIM_INFINITY else limit


def raise_named(error: OSError, target: str | Path, needed_bytes: int = 0, temporary: Path | None = None) -> NoReturn:
    """Raise an error of writing a file again: with the file's name, and with needed and free bytes where it lacks room.

    Args:
        error: as the system raised it, or this function.
        target: the file.
        needed_bytes: of it, as far as that is known.
        temporary: what the file is called until it is whole; errors of it become errors of the file.

    Raises:
        OSError: it, or a NoRoomError from it.
    """
    is_ours = error.filename in (None, str(target), str(temporary))
    if error.errno in _NO_ROOM and is_ours:
        words = f"{os.strerror(error.errno)}: {room_words(target, needed_bytes)}; make room and run the command again"
        raise NoRoomError(error.errno, words, str(target)) from error
    if error.errno in _NAMELESS and is_ours:
        error.filename = str(target)
    raise error
