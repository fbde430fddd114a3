"""The folder changed from a page: photographs moved, added and taken out; classes made, renamed, merged and split.

All of it is real: files move on the disk, so that the folder is what the page shows and every other tool sees it. Each
change is one entry of the journal of ``python -m retrain fix`` (insight/corrections.py), written before the first file
moves; undo takes back the last one, whoever made it. Nothing is deleted: what is taken out goes to ``.removed``, which
no run looks into, and so does what was added when that is undone. No name is ever replaced, and none leads out of the
image folder.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrain import fsio
from retrain.console import printable
from retrain.dataset import TRAINING, Catalog
from retrain.dataset.scan import IMAGE_SUFFIXES
from retrain.errors import ImageError, UsageError
from retrain.getting.moves import folder_fault
from retrain.getting.names import FORBIDDEN, label_fault, twins
from retrain.images import ImageLimits, decode_upright
from retrain.insight.carrying import REMOVED, add, clashes, correct, undo_fix
from retrain.insight.corrections import Correction, last_fix
from retrain.insight.fixing import place_in
from retrain.insight.free_names import FreeNames

# What a page may add: 25 megapixels, 20 MB each.
LIMITS = ImageLimits(max_bytes=20_000_000, max_pixels=25_000_000)
_MOST_BYTES = 180


@dataclass(frozen=True)
class Added:
    """What came of an upload.

    Args:
        paths: below the image folder, of those that were taken.
        refused: what the page called each of the others, and why.
        fix: number in the journal; 0 where none was taken.
    """

    paths: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    fix: int = 0


def move_photographs(catalog: Catalog, paths: Sequence[str], to: str) -> int:
    """Move photographs to a class, which is made where it is not there.

    Args:
        catalog: the folder as it is.
        paths: below the image folder.
        to: name of the class folder.

    Returns:
        How many were moved; those that are in the class already stay.

    Raises:
        UsageError: a photograph is not there, the class can have no such name, or names are taken.
    """
    return correct(Path(catalog.root), _planned_moves(catalog, paths, to))


def _planned_moves(catalog: Catalog, paths: Sequence[str], to: str) -> list[Correction]:
    root = Path(catalog.root)
    _check_class(root, to, _class_names(catalog))
    by_path = {record.path: record for record in catalog.records}
    _refuse_strangers(paths, by_path)
    wanted = [(path, place_in(by_path[path], to, catalog)) for path in dict.fromkeys(paths)]
    names = FreeNames(root)
    corrections = [Correction(old, names.take(new)) for old, new in wanted if old != new]
    _refuse(clashes(root, corrections))
    return corrections


def take_out(catalog: Catalog, paths: Sequence[str]) -> int:
    """Take photographs out of their classes; they are kept in a folder that no run looks into.

    Args:
        catalog: the folder as it is.
        paths: below the image folder.

    Returns:
        How many.

    Raises:
        UsageError: a photograph is not there.
    """
    root = Path(catalog.root)
    _refuse_strangers(paths, {record.path: record for record in catalog.records})
    names = FreeNames(root)
    corrections = [Correction(path, names.take(f"{REMOVED}/{path}")) for path in dict.fromkeys(paths)]
    _refuse(clashes(root, corrections))
    return correct(root, corrections)


def make_class(root: Path, name: str) -> None:
    """Make an empty class folder.

    Args:
        root: the image folder.
        name: of the class.

    Raises:
        UsageError: there can be none of that name, or there is one.
    """
    fsio.make_folder(root)
    _check_class(root, name, _folders(root))
    if os.path.lexists(root / name):
        raise UsageError(f"{printable(name)} is there already")
    correct(root, [Correction("", f"{name}/")])


def rename_class(root: Path, old: str, new: str) -> None:
    """Rename a class folder with all that is in it.

    Args:
        root: the image folder.
        old: its name.
        new: the name it gets.

    Raises:
        UsageError: there is no such class, or the name cannot be had.
    """
    _check_there(root, old)
    if old == new:
        return
    _check_class(root, new, _folders(root) - {old})
    if os.path.lexists(root / new):
        raise UsageError(f"{printable(new)} is there already; merge the two, or choose another name")
    correct(root, [Correction(old, new)])


def merge_classes(catalog: Catalog, old: str, into: str) -> int:
    """Move all photographs of a class into another; its folder goes when nothing is left in it.

    Args:
        catalog: the folder as it is.
        old: the class that goes.
        into: the class that stays.

    Returns:
        How many photographs were moved.

    Raises:
        UsageError: there is no such class, or it is the same one.
    """
    root = Path(catalog.root)
    _check_there(root, old)
    _check_there(root, into)
    if old == into:
        raise UsageError(f"expected two classes to merge, got {printable(old)} twice")
    paths = [one.path for one in catalog.records if catalog.path_of_class(one).split("/", 1)[0] == old]
    corrections = _planned_moves(catalog, paths, into) if paths else []
    if {entry.name for entry in os.scandir(root / old)} <= {path.split("/", 1)[1] for path in paths}:
        corrections.append(Correction(f"{old}/", ""))
    return correct(root, corrections)


def drop_class(root: Path, name: str) -> None:
    """Take away the folder of a class that is empty.

    Args:
        root: the image folder.
        name: of the class.

    Raises:
        UsageError: there is no such class, or files are in it.
    """
    _check_there(root, name)
    if any((root / name).iterdir()):
        raise UsageError(f"{printable(name)} is not empty; move its photographs, or take them out, first")
    correct(root, [Correction(f"{name}/", "")])


def add_photographs(
    root: Path, to: str, files: Sequence[tuple[str, Callable[[], bytes]]], catalog: Catalog | None, fix: int = 0
) -> Added:
    """Put photographs that came from a page into a class.

    Args:
        root: the image folder.
        to: name of the class folder, made where it is not there.
        files: what the page calls each, of which only the last part counts, and what reads its bytes.
        catalog: the folder as it is; None where it cannot be read. Where it has folders of sides, photographs go to
            that of training.
        fix: of an earlier upload that these belong to; what is undone is undone together.

    Returns:
        Where they are, and which were not taken.

    Raises:
        UsageError: there can be no such class.
    """
    fsio.make_folder(root)
    _check_class(root, to, _class_names(catalog) if catalog else _folders(root))
    above = _folder_of_training(catalog) if catalog else ""
    wanted, refused = [], []
    for name, read in files:
        fault = _fault_of(read())
        if fault:
            refused.append((name, fault))
        else:
            wanted.append((f"{above}{to}/{file_name(name)}", read))
    if not wanted:
        return Added((), tuple(refused))
    added, faults, number = add(root, wanted, fix)
    return Added(tuple(added), (*refused, *faults), number)


def _fault_of(data: bytes) -> str:
    """Say why a photograph is not taken; it is decoded for that, small."""
    try:
        decode_upright(data, 8, 8, LIMITS)
    except ImageError as error:
        return str(error)
    return ""


def _folder_of_training(catalog: Catalog) -> str:
    return next((f"{name}/" for name, side in catalog.side_folders.items() if side == TRAINING), "")


def undo(root: Path) -> tuple[int, list[str]]:
    """Take back the last change that is in the journal.

    Args:
        root: the image folder.

    Returns:
        As undo_fix.

    Raises:
        UsageError: there is none, or names are taken.
    """
    return undo_fix(root)


def last_change(root: Path) -> str:
    """Say what undo would take back.

    Args:
        root: the image folder.

    Returns:
        A few words; empty where there is nothing to undo.
    """
    _, batch = last_fix(root) if root.is_dir() else (0, ())
    renamed = next((one for one in batch if one.is_folder), None)
    if renamed is not None:
        return f"{printable(renamed.old)} was renamed {printable(renamed.new)}"
    moved = [one for one in batch if one.moves or one.is_added]
    if not moved:
        return _said_of_folders(batch)
    last = printable(moved[0].new.rsplit("/", 1)[-1] if moved[0].is_added else moved[0].old.rsplit("/", 1)[-1])
    what = last if len(moved) == 1 else f"{len(moved)} photographs"
    targets = {one.new.split("/", 1)[0] for one in moved}
    if targets == {REMOVED}:
        return f"{what} taken out"
    place = printable(min(targets)) if len(targets) == 1 else f"{len(targets)} classes"
    return f"{what} {'added' if moved[0].is_added else 'moved'} to {place}"


def _said_of_folders(batch: Sequence[Correction]) -> str:
    for one in batch:
        if one.made or one.dropped:
            return f"{printable(one.made or one.dropped)} was {'made' if one.made else 'taken away'}"
    return ""


def _check_class(root: Path, name: str, others: set[str]) -> None:
    """Refuse a class that photographs cannot go to; one that is there may have any name."""
    fault = None if name in others else label_fault(name)
    if fault:
        raise UsageError(f"expected a name for a class folder, got {printable(name)[:80]!r}: {fault}")
    folder = folder_fault(root / name)
    if folder:
        raise UsageError(folder)
    if name not in others:
        _refuse(twins([name], others))


def _folders(root: Path) -> set[str]:
    with os.scandir(root) as entries:
        return {entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()}


def _class_names(catalog: Catalog) -> set[str]:
    """Name the class folders, empty ones as well."""
    root = Path(catalog.root)
    if not catalog.side_folders:
        return _folders(root)
    return {name for side in catalog.side_folders for name in _folders(root / side)}


def _check_there(root: Path, name: str) -> None:
    if name not in _folders(root):
        raise UsageError(f"expected a class that there is, got {printable(name)[:80]!r}; reload the page")
    fault = folder_fault(root / name)
    if fault:
        raise UsageError(fault)


def _refuse_strangers(paths: Sequence[str], known: Mapping[str, object]) -> None:
    strange = [path for path in paths if path not in known]
    if strange:
        shown = ", ".join(printable(path)[:120] for path in strange[:3])
        raise UsageError(f"{len(strange)} of {len(paths)} photographs are not there any more: {shown}; reload the page")


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise UsageError(list(problems))


def file_name(name: str) -> str:
    """Make a name for a file of what a page called it.

    Args:
        name: any text; only what follows the last slash counts.

    Returns:
        The name, but for what a file cannot have on every system; with a suffix that runs read.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    stem, suffix = os.path.splitext(last)
    if suffix.lower() not in IMAGE_SUFFIXES or not suffix:
        suffix = ".jpg"
    kept = "".join(c if c.isprintable() and c not in FORBIDDEN else "_" for c in stem)
    kept = kept.encode()[:_MOST_BYTES].decode(errors="ignore").strip(" .")
    if not kept or label_fault(kept):
        kept = f"photograph {kept}".strip()
    return kept + suffix.lower()
