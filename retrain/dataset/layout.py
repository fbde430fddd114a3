"""Which folders hold the classes: those of the image folder, or those of its train, val and test folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from retrain.console import printable
from retrain.dataset.sides import SIDE_NAMES, TRAINING, side_named


@dataclass(frozen=True)
class Inside:
    """What lies directly in a folder.

    Args:
        folders: names of its visible sub-folders, in order.
        images: how many files in it are named as images are.
    """

    folders: tuple[str, ...]
    images: int


@dataclass(frozen=True)
class Layout:
    """Where the photographs of each class lie.

    Args:
        classes: class folder's name -> its places below the image folder, with forward slashes, in order.
        sides: folder of a side -> TRAINING, VALIDATION or TESTING; empty where the image folder holds the classes.
        problems: one sentence each.
    """

    classes: Mapping[str, tuple[str, ...]]
    sides: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def training_folder(self) -> str:
        """The folder of the training side; empty where the image folder holds the classes."""
        return next((name for name, side in self.sides.items() if side == TRAINING), "")


def find_layout(folders: Sequence[str], look: Callable[[str], Inside], *, subfolder_splits: bool) -> Layout:
    """Tell train, val and test folders from class folders.

    They are taken for sides only where it is unmistakable: all visible folders have such names, one is training, no two
    name one side, and each holds folders and no images.

    Args:
        folders: visible folders of the image folder, in order.
        look: says what is in one of them; not asked where the names alone decide.
        subfolder_splits: False: they are classes, whatever their names.

    Returns:
        The layout.
    """
    sides = {name: side for name in folders if (side := side_named(name)) is not None}
    named = len(sides) == len(folders) == len(set(sides.values())) >= 2 and TRAINING in sides.values()
    inside = {name: look(name) for name in folders} if named and subfolder_splits else {}
    if not inside or any(found.images or not found.folders for found in inside.values()):
        return Layout({name: (name,) for name in folders})
    names = sorted({name for found in inside.values() for name in found.folders})
    classes = {
        name: tuple(f"{side}/{name}" for side, found in inside.items() if name in found.folders) for name in names
    }
    return Layout(classes, sides, tuple(_untrained(classes, sides)))


def layout_note(sides: Mapping[str, int]) -> str:
    """Say that sub-folders decide the sides.

    Args:
        sides: folder -> side, of a layout that has them.

    Returns:
        One sentence.
    """
    told = ", ".join(f"{printable(name)} ({SIDE_NAMES[side]})" for name, side in sides.items())
    missing = [name for side, name in enumerate(SIDE_NAMES) if side not in sides.values()]
    drawn = f"; {' and '.join(missing)} drawn from training by --split_rule" if missing else ""
    return f"Sub-folders decide the sides: {told}{drawn} (--no_subfolder_splits takes them for classes)"


def _untrained(classes: Mapping[str, tuple[str, ...]], sides: Mapping[str, int]) -> list[str]:
    training = next(name for name, side in sides.items() if side == TRAINING)
    return [
        f"class {printable(name)!r} has a folder in {', '.join(place.split('/')[0] for place in places)} but none in "
        f"{training}, so that it cannot be learnt; add {training}/{printable(name)} or take it away"
        for name, places in classes.items()
        if f"{training}/{name}" not in places
    ]
