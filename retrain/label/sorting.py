"""Photographs into a folder a label: copied or linked, and never over anything that is there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from retrain import fsio
from retrain.images import deep_format, read_image_file, sniff_format
from retrain.label.rows import UNKNOWN, Row
from retrain.label.sources import STDIN, Photograph
from retrain.storage import is_url

# A name may have 255 bytes on most systems; the number behind one that is taken needs a few.
_MAX_NAME_BYTES = 200
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{kind}{number}" for kind in ("COM", "LPT") for number in range(1, 10))}
)


class Sorter:
    """Puts each photograph into the folder of its label.

    Args:
        folder: the folder above.
        labels: of the model.
        links: symbolic links in place of copies.
    """

    def __init__(self, folder: str, labels: Sequence[str], *, links: bool) -> None:
        self._root, self._links = Path(folder), links
        self._names = folder_names([*labels, UNKNOWN])
        self._names_taken = NamesTaken()

    def __call__(self, photograph: Photograph, row: Row) -> None:
        """Sort one photograph.

        Args:
            photograph: that was named.
            row: with its label.

        Raises:
            ImageError: it cannot be read any more.
        """
        if row.label is None:
            return
        place = fsio.safe_join(self._root, self._names[row.label])
        name = file_name(photograph)
        if self._links:
            source = os.path.abspath(str(photograph.image))
            self._names_taken.put(place, name, lambda target: _link(source, target))
        else:
            data = contents(photograph)
            target = self._names_taken.put(place, name, lambda target: fsio.write_new(target, data))
            _keep_date(photograph, target)


class NamesTaken:
    """Finds names that are free: ``1.jpg``, else ``1-2.jpg``, ``1-3.jpg`` and so on."""

    def __init__(self) -> None:
        # Only of names that were taken: grows with collisions, not with photographs.
        self._last: Counter[Path] = Counter()

    def put(self, folder: Path, name: str, make: Callable[[Path], object]) -> Path:
        """Make a file under the first name that is free.

        Args:
            folder: where.
            name: the name that is wanted.
            make: makes the file; raises FileExistsError where there is one.

        Returns:
            Where it is.
        """
        wanted = folder / name
        number = self._last.get(wanted, 1)
        while True:
            target = wanted if number == 1 else wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
            try:
                make(target)
            except FileExistsError:
                number += 1
                self._last[wanted] = number
                continue
            return target


def folder_names(labels: Sequence[str]) -> dict[str, str]:
    """Make labels safe as names of folders, on every system.

    Args:
        labels: any text.

    Returns:
        Label -> name; different labels have different names, even where large and small letters are one.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in dict.fromkeys(labels):
        plain = _safe(label)
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        names[label] = name
    return names


def _safe(label: str) -> str:
    text = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in label)
    text = text.encode("utf-8", errors="replace")[:_MAX_NAME_BYTES].decode("utf-8", errors="ignore").rstrip(". ")
    # A leading dot hides a folder, and "." and ".." are no names at all.
    text = f"_{text[1:]}" if text.startswith(".") else text
    return f"_{text}" if not text or text.split(".")[0].strip().upper() in _DEVICES else text


def file_name(photograph: Photograph) -> str:
    """Name the copy of a photograph.

    Args:
        photograph: that was named.

    Returns:
        The name it has; of one from standard input ``stdin.jpg``, by its format.
    """
    if photograph.path == STDIN and isinstance(photograph.image, bytes):
        image_format = deep_format(photograph.image) or sniff_format(photograph.image)
        return f"stdin.{image_format.lower().replace('jpeg', 'jpg')}"
    if is_url(photograph.path):
        return _safe(photograph.path.rstrip("/").rsplit("/", 1)[-1])
    return Path(photograph.path).name


def contents(photograph: Photograph) -> bytes:
    """Read a photograph.

    Args:
        photograph: path, URL or bytes.

    Returns:
        Its bytes.

    Raises:
        ImageError: it cannot be read.
    """
    return photograph.image if isinstance(photograph.image, bytes) else read_image_file(photograph.image)


def _link(source: str, target: Path) -> None:
    fsio.make_folder(target.parent)
    try:
        fsio.link(target, source)
    except FileExistsError:
        # The same command once more makes no second link to the same photograph.
        if not (target.is_symlink() and os.readlink(target) == source):  # noqa: PTH115
            raise


def _keep_date(photograph: Photograph, target: Path) -> None:
    if isinstance(photograph.image, str) and not is_url(photograph.image):
        status = os.stat(photograph.image)
        fsio.set_date(target, status.st_atime_ns, status.st_mtime_ns)
