"""Photographs and class folders moved, added and put back, with a journal; nothing is ever replaced or deleted.

The journal is on the disk before anything changes. Then each photograph is carried as ``python -m retrain separate``
does it (retrain/getting/moves.py): its new name is claimed first, which fails where it is taken. What fails half way is
put back at once; what is killed half way is put back by undo_fix.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from retrain import fsio
from retrain.console import printable
from retrain.errors import UsageError
from retrain.getting.moves import carry, folder_fault
from retrain.insight.corrections import (
    JOURNAL,
    Correction,
    append_journal,
    below,
    last_fix,
    read_journal,
    write_journal,
)
from retrain.insight.free_names import FreeNames

# What is taken out of its class goes there: hidden, so no run looks into it.
REMOVED = ".removed"
_LOCK = ".fixing"
_LOCK_WAIT_S = 2.0
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR)


def clashes(root: Path, corrections: Sequence[Correction]) -> list[str]:
    """Say why photographs cannot be moved.

    Args:
        root: the image folder.
        corrections: of photographs, no folders.

    Returns:
        One sentence a problem.
    """
    problems = []
    first: dict[str, str] = {}
    for one in corrections:
        # Where large and small letters are one, two names would be one file.
        other = first.setdefault(one.new.casefold(), one.old)
        if other != one.old:
            problems.append(f"{printable(other)} and {printable(one.old)} would both become {printable(one.new)}")
        if os.path.lexists(one.target(root)):
            problems.append(f"{printable(one.new)} is there already; rename it or {printable(one.old)}")
        if os.path.islink(one.source(root)):  # noqa: PTH114 - asked for each row
            problems.append(f"{printable(one.old)} is a link, and links are not moved")
    problems += _outside(root, corrections)
    return list(dict.fromkeys(problems))


def _outside(root: Path, corrections: Sequence[Correction]) -> list[str]:
    """Refuse folders that are links: what lies behind them is not in the image folder."""
    places = {place for one in corrections for path in one if path for place in _folders_of(path)}
    return [fault for place in sorted(places) if (fault := folder_fault(below(root, place)))]


def _folders_of(path: str) -> list[str]:
    parts = path.rstrip("/").split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def correct(root: Path, corrections: Sequence[Correction]) -> int:
    """Move photographs, rename class folders, make and take away empty ones; undo_fix takes all of it back at once.

    Args:
        root: the image folder.
        corrections: none of whose targets is there. Folders that photographs go to are made.

    Returns:
        How many were moved or renamed.

    Raises:
        UsageError: the last fix was interrupted; or a name was taken, a file went away or the disk refused since it
            was planned: what was moved until then has been put back.
    """
    if not corrections:
        return 0
    with _changing(root):
        refuse_interrupted(root)
        number, _ = last_fix(root)
        batch = [*_missing_folders(root, corrections), *corrections]
        append_journal(root, number + 1, batch)
        for count, one in enumerate(batch):
            try:
                _do(root, one)
            except (FileExistsError, FileNotFoundError) as error:
                _give_up(root, batch[:count], error)
            except OSError as error:  # it may have been moved all the same
                _give_up(root, batch[: count + 1], error)
        _sync(one.target(root).parent for one in corrections if one.moves)
    return sum(one.moves for one in corrections)


@contextlib.contextmanager
def _changing(root: Path) -> Iterator[None]:
    with fsio.locked(root / _LOCK, timeout_s=_LOCK_WAIT_S):
        yield


def _missing_folders(root: Path, corrections: Sequence[Correction]) -> list[Correction]:
    """List the folders that photographs go to and that are not there, those above first."""
    given = {one.made for one in corrections}
    wanted = [place for one in corrections if not one.made for place in _folders_of(one.new)]
    return [
        Correction("", f"{place}/")
        for place in dict.fromkeys(wanted)
        if place not in given and not below(root, place).is_dir()
    ]


def _do(root: Path, one: Correction) -> None:
    if one.made:
        fsio.make_folder(below(root, one.made))
    elif one.dropped:
        _drop(below(root, one.dropped))
    else:
        _carry(one.source(root), one.target(root), folder=one.is_folder)


def _give_up(root: Path, done: Sequence[Correction], error: OSError) -> None:
    """Put back what was moved before something failed, and say what that was."""
    name = printable(str(error.filename or root))
    if isinstance(error, FileExistsError):
        what = f"{name} was made meanwhile"
    elif isinstance(error, FileNotFoundError):
        what = f"{name} is gone since it was listed"
    else:
        what = f"{name}: {error.strerror or error}"
    try:
        left = _put_back(root, done)
        write_journal(root, read_journal(root)[:-1])
    except OSError as second:
        raise UsageError(
            f"{what}; what was moved before could not be put back ({second.strerror or second}): free the disk or its "
            "permissions, then undo (python -m retrain fix --undo, or Undo in the studio)"
        ) from error
    gone = f", but {len(left)} had gone elsewhere" if left else ""
    raise UsageError(f"{what}; all others were put back{gone}; look at the folder again, then try again") from error


def _sync(folders: Iterable[Path]) -> None:
    """Have the disk hold what moved, once for all of it: until then the journal tells what may have."""
    for folder in sorted(set(folders)):
        if folder.is_dir():
            fsio.sync_folder(folder)


def _carry(source: Path, target: Path, *, folder: bool) -> None:
    if not folder:
        carry(source, target, lasting=False)
        return
    if os.path.lexists(target):  # a rename would replace an empty folder
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    fsio.move(source, target)


def _drop(folder: Path) -> None:
    """Take an empty folder away; one that something came into meanwhile stays."""
    try:
        fsio.remove_folder(folder)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise


def add(
    root: Path, files: Sequence[tuple[str, Callable[[], bytes]]], number: int = 0
) -> tuple[list[str], list[tuple[str, str]], int]:
    """Write photographs that came from elsewhere; undo_fix moves them to the folder of what was taken out.

    Args:
        root: the image folder.
        files: path that each would like to have, below the image folder, and what reads its bytes.
        number: of the fix that they belong to, if that is the last one; else they are one of their own.

    Returns:
        The paths that they got, in order; those that could not be written, and why; the number of the fix.

    Raises:
        UsageError: the last fix was interrupted, or a folder is a link.
    """
    added: list[str] = []
    faults: list[tuple[str, str]] = []
    with _changing(root):
        refuse_interrupted(root)
        last, earlier = last_fix(root)
        joins = last == number and any(one.is_added for one in earlier)
        number = last if joins else last + 1
        names = FreeNames(root)
        wanted = [Correction("", names.take(path)) for path, _ in files]
        problems = _outside(root, wanted)
        if problems:
            raise UsageError(problems)
        folders = _missing_folders(root, wanted)
        append_journal(root, number, [*folders, *wanted])
        for one, (_, read) in zip(wanted, files, strict=True):
            try:
                fsio.write_new(one.target(root), read())
                added.append(one.new)
            except OSError as error:
                faults.append((one.new, error.strerror or str(error)))
        if faults:
            _journal_without(root, {one.new for one in wanted} - set(added))
    return added, faults, number


def _journal_without(root: Path, never_came: set[str]) -> None:
    """Forget what was announced and could not be written, so that undo takes nothing for it that comes later."""
    batches = read_journal(root)
    kept = [one for one in batches[-1] if not (one.is_added and one.new in never_came)]
    write_journal(root, [*batches[:-1], *([kept] if any(one.is_added for one in kept) else [])])


def undo_fix(root: str | Path) -> tuple[int, list[str]]:
    """Put back what the last fix moved.

    What it added goes to the folder of what was taken out; folders that it made go where they are empty.

    Args:
        root: the image folder.

    Returns:
        How many went back, and the names of those that are no longer where they were put.

    Raises:
        UsageError: nothing was fixed here, or names are taken; nothing is moved then.
    """
    root = Path(root)
    if not root.is_dir() or not last_fix(root)[0]:
        raise UsageError(f"expected a folder with {JOURNAL} in it, got {printable(str(root))}; nothing to undo there")
    with _changing(root):
        batches = read_journal(root)
        if not batches:
            raise UsageError(f"{printable(str(root))}: the last fix was undone meanwhile; nothing more to undo")
        batch = batches[-1]
        _drop_claims(root, batch)
        problems = _outside(root, batch)
        problems += [
            f"{printable(one.old)} is there again; rename it"
            for one in batch
            if one.moves and os.path.lexists(one.source(root)) and os.path.lexists(one.target(root))
        ]
        if problems:
            raise UsageError(list(dict.fromkeys(problems)))
        back = sum(os.path.lexists(one.target(root)) for one in batch if one.moves or one.is_added)
        gone = _put_back(root, batch)
        write_journal(root, batches[:-1])
    return back, gone


def _put_back(root: Path, batch: Sequence[Correction]) -> list[str]:
    """Undo corrections, the last one first; say which photographs are neither here nor there."""
    gone, names = [], FreeNames(root)
    for one in reversed(batch):
        if one.made:
            _drop(below(root, one.made))
        elif one.dropped:
            fsio.make_folder(below(root, one.dropped))
        elif one.is_added:
            fsio.forget_new(one.target(root))
            if os.path.lexists(one.target(root)):
                carry(one.target(root), below(root, names.take(f"{REMOVED}/{one.new}")), lasting=False)
        elif not os.path.lexists(one.source(root)):
            if os.path.lexists(one.target(root)):
                _carry(one.target(root), one.source(root), folder=one.is_folder)
            else:
                gone.append(one.new)
    _sync(one.source(root).parent for one in batch if one.moves)
    return gone[::-1]


def _drop_claims(root: Path, batch: Sequence[Correction]) -> None:
    """Take away the empty files with which an interrupted move had claimed its target."""
    for one in batch:
        if not one.moves:
            continue
        for empty, other in ((one.target(root), one.source(root)), (one.source(root), one.target(root))):
            if _is_empty_file(empty) and other.is_file() and not _is_empty_file(other):
                fsio.remove(empty)


def _is_empty_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == 0


def refuse_interrupted(root: Path) -> None:
    """Refuse to go on where the last fix moved a part of its photographs only.

    Args:
        root: the image folder.

    Raises:
        UsageError: it was interrupted.
    """
    _, batch = last_fix(root)
    moves = [one for one in batch if one.moves]
    unmoved = [one for one in moves if os.path.lexists(one.source(root)) and not _moved(root, one)]
    if unmoved and len(unmoved) < len(moves):
        raise UsageError(
            f"expected the last fix in {printable(str(root))} to be whole, but {len(unmoved)} of {len(moves)} files "
            "were not moved (it was interrupted, or files were put back by hand); undo it first: Undo in the studio, "
            "or --undo"
        )


def _moved(root: Path, one: Correction) -> bool:
    target = one.target(root)
    return os.path.lexists(target) and not _is_empty_file(target)
