"""What may lie among photographs that is none, or bears a name that nobody would give: how each is made."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from trees_runs import photograph

PHOTO = photograph(0)


def _photo(path: Path) -> None:
    # Of its own, so that it is nobody's copy.
    path.write_bytes(photograph(sum(os.fsencode(path.name))))


def _locked(path: Path) -> None:
    path.write_bytes(PHOTO)
    path.chmod(0)


def _locked_folder(path: Path) -> None:
    path.mkdir()
    (path / "1.png").write_bytes(PHOTO)
    path.chmod(0)


def _deep(path: Path) -> None:
    folder = path
    for _ in range(12):
        folder = folder / "deeper"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(PHOTO)


def _socket(path: Path) -> None:
    with contextlib.suppress(PermissionError):  # macOS lets only root do so
        os.mknod(path, stat.S_IFSOCK | 0o600)


def _device(path: Path) -> None:
    with contextlib.suppress(PermissionError):  # only root may
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _hole(path: Path) -> None:
    """A file that says it has a terabyte, of which nothing is on the disk."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


# Name -> how it is made. Whether a photograph lies there that a run may use is for tests/unit/test_odd_trees.py to say.
ENTRIES: dict[str, Callable[[Path], None]] = {
    "pipe.png": os.mkfifo,
    "socket.png": _socket,
    "device.png": _device,
    "zero.png": _link("/dev/zero"),
    "stdin.png": _link("/dev/stdin"),
    "memory.png": _link("/proc/self/mem"),
    "messages.png": _link("/proc/kmsg"),
    "gone.png": _link("nowhere"),
    "loop.png": _link("loop.png"),
    "ring a": _link("ring b"),
    "ring b": _link("ring a"),
    "up": _link(".."),
    "here": _link("."),
    "root": _link("/"),
    "system": _link("/proc"),
    "outside.png": _link("../../../beside/1.png"),
    "outside": _link("../../../beside"),
    "another class": _link("../class 1"),
    "locked.png": _locked,
    "locked": _locked_folder,
    "deep": _deep,
    "empty folder.png": Path.mkdir,
    "hole.png": _hole,
    ".hidden.png": _photo,
    "._shadow.png": _photo,
    ".DS_Store": lambda path: path.write_bytes(b"\0\0\0\1Bud1") and None,
    "Thumbs.db": lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0") and None,
    "[x].png": _photo,
    "a*b?.png": _photo,
    " spaces .png": _photo,
    "new\nline.png": _photo,
    "re\rturn.png": _photo,
    "tab\t.png": _photo,
    "line\u2028line.png": _photo,
    "next\x85line.png": _photo,
    "page\x0cpage.png": _photo,
    "\x1b[31mred.png": _photo,
    "-rf.png": _photo,
    "--image_dir=x.png": _photo,
    "~.png": _photo,
    "$HOME.png": _photo,
    "=1+1.png": _photo,
    "100%d.png": _photo,
    "quote'\".png": _photo,
    "back\\slash.png": _photo,
    "x" * 251 + ".png": _photo,
    "\u00e9" * 125 + ".png": _photo,
    "\u00e9.png": _photo,
    "e\u0301.png": _photo,
    "Case.png": _photo,
    "case.PNG": _photo,
    "\udcff\udcfe.png": _photo,
    "\u202egnp.exe.png": _photo,
    "\u9280\u6cb3.png": _photo,
    "no_suffix": _photo,
    "nul.png": _photo,
}
PHOTOGRAPHS = sum(make is _photo and not name.startswith(".") for name, make in ENTRIES.items())
