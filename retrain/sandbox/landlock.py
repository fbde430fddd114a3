"""Landlock: the kernel refuses this process every file but those named. Linux 5.13 and later; needs no privilege.

See https://docs.kernel.org/userspace-api/landlock.html; the structures and numbers are those of <linux/landlock.h>.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

# The same on every processor.
_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# Kinds of access to files that each version of Landlock can refuse: so many of the lowest bits.
_FILE_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_FILE_BITS_NOW = 16
_TCP_BIND_AND_CONNECT = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def landlock_version() -> int:
    """Ask the kernel what it can.

    Returns:
        The version of its Landlock; 0 where it has none.
    """
    return max(0, _call(_CREATE, 0, 0, _GET_VERSION))


def allow_reading_only(paths: Iterable[Path]) -> None:
    """Refuse this thread, and all that it starts, every file but these; and to write any.

    Trap: threads that are there already are not restricted.

    Args:
        paths: files, and folders with all below them, that may be read; what is not there is left out.

    Raises:
        OSError: the kernel cannot.
    """
    version = landlock_version()
    if not version:
        raise OSError("the kernel has no Landlock")
    files = (1 << _FILE_BITS.get(version, _FILE_BITS_NOW)) - 1
    words = [files, _TCP_BIND_AND_CONNECT if version >= 4 else 0, _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0]
    attributes = struct.pack("=3Q", *words)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = _checked(_call(_CREATE, ctypes.c_char_p(attributes), len(attributes), 0))
    try:
        for path in paths:
            _allow(ruleset, path)
        _checked(_call(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    # Trap: never closed. A rule is about an inode, and /proc makes a new one when nobody holds the old one.
    access = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
    rule = struct.pack("=Qi", access, place)
    _checked(_call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0))


def _call(number: int, *words: int | ctypes.c_char_p) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    # Trap: a plain Python integer is passed as a C int, whose upper half the kernel would read as it happens to be.
    given = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    return int(library.syscall(ctypes.c_long(number), *given))


def _checked(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
