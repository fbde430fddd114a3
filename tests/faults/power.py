"""What may lie on a disk after the power went: states built from the log of a program's calls.

After ALICE (Pillai et al., OSDI 2014, "All File Systems Are Not Created Equal"). What POSIX promises is little: the
bytes of a file are there once the file was synced, an entry of a folder once the folder was. Before that, anything may
have reached the disk, in any order: the name without the bytes, the length without the bytes, some of the bytes,
rubbish in their place, the second rename without the first. What was renamed is there under one of both names, never
under none. SQLite's files are not part of this: it keeps its promises by other means.

``Disk`` takes the log of fsio (retrain.fsio.system.watching) and gives states; ``lay`` puts one on a real disk, for the
code that reads what is there.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retrain.fsio import system
from retrain.fsio.system import Operation

Tree = dict[str, bytes]
# How a file that was not synced may be found.
LOST, EMPTY, ZEROS, RUBBISH, TORN, ALL = "lost", "empty", "zeros", "rubbish", "torn", "all"
_SQLITE = ".sqlite"
FATES = (LOST, EMPTY, ZEROS, RUBBISH, TORN, ALL)


@dataclass(eq=False)
class File:
    """A file, by whatever name: what the disk holds for certain, and what was written since.

    Of a file that is only appended to, what was synced stays: ``floor`` is the first byte that was touched since.
    """

    durable: bytes = b""
    data: bytes = b""
    floor: int = 0

    def fate(self, kind: str, chance: random.Random) -> bytes:
        """What may be found of it."""
        if self.data == self.durable or kind == ALL:
            return self.data
        sure, rest = self.durable[: self.floor], max(0, len(self.data) - self.floor)
        found = {
            LOST: lambda: self.durable,
            EMPTY: lambda: sure,
            ZEROS: lambda: sure + bytes(rest),
            RUBBISH: lambda: sure + chance.randbytes(rest),
            TORN: lambda: sure + self.data[self.floor :][: chance.randrange(rest + 1)],
        }
        return found[kind]()

    def put(self, at: int, data: bytes) -> None:
        """Write."""
        self.data = self.data[:at].ljust(at, b"\0") + data + self.data[at + len(data) :]
        self.floor = min(self.floor, at)

    def cut(self, size: int) -> None:
        """Make shorter or longer."""
        self.data = self.data[:size].ljust(size, b"\0")
        self.floor = min(self.floor, size)

    def sync(self) -> None:
        """Have the disk hold it."""
        self.durable, self.floor = self.data, len(self.data)


@dataclass(eq=False)
class Folder:
    """A folder: its entries as the disk holds them for certain."""

    durable: dict[str, File | Folder | str] = field(default_factory=dict)


@dataclass(eq=False)
class Change:
    """A change of entries that the disk may or may not have; each folder has its share once it was synced."""

    steps: list[tuple[Folder, str, File | Folder | str | None]]
    synced: set[int] = field(default_factory=set)


class Disk:
    """A disk below one folder, as a program changes it.

    Args:
        root: the folder; what is in it now counts as synced.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._top = self._read(root)
        self._changes: list[Change] = []
        self.log: list[Operation] = []

    def take(self, operation: Operation) -> None:
        """Do what a program does; a hook for watching()."""
        if not Path(operation.path).is_relative_to(self.root):
            return
        self.log.append(operation)
        getattr(self, f"_{operation.kind}")(operation)

    def now(self) -> Tree:
        """What a program sees that lives: path -> bytes; a link's bytes are where it points."""
        return self._built(self._changes, lambda: ALL, random.Random(0))

    def states(self, seed: int, more: int = 2, fates: Sequence[str] = FATES) -> Iterator[Tree]:
        """What may be there if the power goes now.

        Args:
            seed: of what is left to chance.
            more: so many choices of changes at random.
            fates: how files that were not synced may be found.

        Yields:
            Trees; some may be equal.
        """
        chance = random.Random(seed)
        open_changes = [change for change in self._changes if not self._is_done(change)]
        ways: list[list[Change]] = [open_changes, [], open_changes[-1:], open_changes[:-1], open_changes[:1]]
        ways += [[change for change in open_changes if chance.random() < 0.5] for _ in range(more)]
        for chosen in ways:
            wanted = set(map(id, chosen))
            kept = [change for change in self._changes if self._is_done(change) or id(change) in wanted]
            for kind in fates:
                yield self._built(kept, lambda kind=kind: kind, chance)
            for _ in range(more):  # each file its own
                yield self._built(kept, lambda: chance.choice(fates), chance)

    def _is_done(self, change: Change) -> bool:
        # A rename between two folders is one change: one synced folder is enough to have it.
        return bool(change.synced)

    def _built(self, changes: Sequence[Change], fate: Callable[[], str], chance: random.Random) -> Tree:
        entries: dict[int, dict[str, File | Folder | str]] = {}

        def of(folder: Folder) -> dict[str, File | Folder | str]:
            return entries.setdefault(id(folder), dict(folder.durable))

        for change in changes:
            for folder, name, what in change.steps:
                if what is None:
                    of(folder).pop(name, None)
                else:
                    of(folder)[name] = what
        tree: Tree = {}

        def walk(folder: Folder, path: str) -> None:
            for name, what in of(folder).items():
                below = f"{path}{name}"
                if isinstance(what, Folder):
                    walk(what, f"{below}/")
                else:
                    tree[below] = what.encode() if isinstance(what, str) else what.fate(fate(), chance)

        walk(self._top, "")
        return tree

    def _read(self, path: Path) -> Folder:
        folder = Folder()
        for entry in sorted(path.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                folder.durable[entry.name] = self._read(entry)
            elif not (entry.is_symlink() or _SQLITE in entry.name):
                data = entry.read_bytes()
                folder.durable[entry.name] = File(data, data, len(data))
        return folder

    def _parts(self, path: str) -> tuple[Folder, str]:
        """The folder that a path lies in, as the program sees it, and its name there."""
        *folders, name = Path(path).relative_to(self.root).parts
        place = self._top
        for one in folders:
            found = self._live(place)[one]
            assert isinstance(found, Folder), path
            place = found
        return place, name

    def _live(self, folder: Folder) -> dict[str, File | Folder | str]:
        found = dict(folder.durable)
        for change in self._changes:
            for where, name, what in change.steps:
                if where is folder:
                    found.pop(name, None)
                    if what is not None:
                        found[name] = what
        return found

    def _what(self, path: str) -> File | Folder | str:
        place, name = self._parts(path)
        return self._live(place)[name]

    def _file(self, path: str) -> File:
        found = self._what(path)
        assert isinstance(found, File), path
        return found

    def _change(self, *steps: tuple[Folder, str, File | Folder | str | None]) -> None:
        self._changes.append(Change(list(steps)))

    def _create(self, operation: Operation) -> None:
        place, name = self._parts(operation.path)
        there = self._live(place).get(name)
        if isinstance(there, File):
            there.cut(0)
        else:
            self._change((place, name, File()))

    def _write(self, operation: Operation) -> None:
        file = self._file(operation.path)
        assert operation.data is not None
        file.put(operation.number, operation.data)

    def _truncate(self, operation: Operation) -> None:
        self._file(operation.path).cut(operation.number)

    def _sync(self, operation: Operation) -> None:
        self._file(operation.path).sync()

    def _sync_folder(self, operation: Operation) -> None:
        folder = self._top if operation.path == str(self.root) else self._what(operation.path)
        for change in self._changes:
            if any(where is folder for where, _, _ in change.steps):
                change.synced.add(id(folder))

    def _rename(self, operation: Operation) -> None:
        place, name = self._parts(operation.path)
        there, new = self._parts(operation.target)
        what = self._live(place)[name]
        self._change((place, name, None), (there, new, what))

    def _link(self, operation: Operation) -> None:
        place, name = self._parts(operation.path)
        self._change((place, name, operation.target))

    def _remove(self, operation: Operation) -> None:
        place, name = self._parts(operation.path)
        self._change((place, name, None))

    def _make_folder(self, operation: Operation) -> None:
        place, name = self._parts(operation.path)
        self._change((place, name, Folder()))

    def _date(self, operation: Operation) -> None:
        """Dates are not followed."""

    _remove_folder = _remove


def crash_states(
    root: Path, work: Callable[[], object], seed: int, more: int = 2, fates: Sequence[str] = FATES
) -> Iterator[tuple[int, Tree]]:
    """Work, and say what may be on the disk if the power goes before any of its calls, or after the last.

    Args:
        root: the folder that is watched.
        work: what changes it; done once, for real.
        seed: of what is left to chance.
        more: as of Disk.states.
        fates: as of Disk.states.

    Yields:
        How many calls were made, and a tree; no tree twice.
    """
    found: list[tuple[int, Tree]] = []
    disk, seen, busy = Disk(root), set[int](), threading.Lock()

    def note() -> None:
        for tree in disk.states(seed + len(disk.log), more, fates):
            key = hash(frozenset(tree.items()))  # bytes remember their hash
            if key not in seen:
                seen.add(key)
                found.append((len(disk.log), tree))

    def hook(operation: Operation) -> None:
        with busy:  # a run writes from more than one thread
            before = len(disk.log)
            disk.take(operation)
            if len(disk.log) > before:
                note()

    note()
    with system.watching(hook):
        work()
    assert disk.now() == read_tree(root, disk.now()), "the log does not say what is on the disk"
    yield from found


def read_tree(root: Path, like: Tree) -> Tree:
    """Read the files of a tree that are on the disk."""
    found = {}
    for path in like:
        where = root / path
        if where.is_symlink():
            found[path] = str(where.readlink()).encode()
        elif where.exists():
            found[path] = where.read_bytes()
    return found


def lay(tree: Tree, place: Path) -> Path:
    """Put a tree on the disk, in place of the one that was laid before."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for path, data in tree.items():
        where = place / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
    return place
