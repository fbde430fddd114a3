"""Read a folder of class folders, by directory entries alone: no file is opened here."""

from __future__ import annotations

import os
from collections import Counter

from retrain.console import printable
from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.labels import make_labels
from retrain.dataset.layout import Inside, find_layout
from retrain.dataset.nested import walk_class

# Files with other suffixes are counted and left out; inside, it is the magic bytes that decide (retrain/images).
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ""})
# Files that are taken besides with --sky_limits.
SKY_SUFFIXES = frozenset({".fits", ".fit", ".fts", ".fz", ".fits.gz", ".fit.gz", ".fts.gz", ".tif", ".tiff"})
SKY = "FITS or TIFF, which --sky_limits reads"
UNKNOWN_SUFFIX = "suffix of no known image format"
HIDDEN = "hidden (name starts with a dot)"


def suffixes_for(*, sky: bool) -> frozenset[str]:
    """Say by which suffixes files are taken for photographs.

    Args:
        sky: whether FITS and TIFF are read.

    Returns:
        Suffixes as of `suffix_of`, the empty one among them.
    """
    return IMAGE_SUFFIXES | SKY_SUFFIXES if sky else IMAGE_SUFFIXES


def scan_folder(
    root: str,
    label_style: str,
    *,
    subfolder_splits: bool = True,
    recursive: bool = False,
    suffixes: frozenset[str] = IMAGE_SUFFIXES,
) -> Catalog:
    """List the photographs of every class.

    Args:
        root: an existing folder with one sub-folder a class, or with such folders in train, val and test.
        label_style: "folder" or "poets", see labels.make_labels.
        subfolder_splits: whether train, val and test may be sides, see layout.find_layout.
        recursive: whether the folders below a class folder belong to the class, see nested.walk_class.
        suffixes: of suffixes_for.

    Returns:
        What was found, problems included; nothing is raised for a bad layout.
    """
    left_out: Counter[str] = Counter()
    top = list_folder(root)
    if isinstance(top, str):
        return Catalog(root, (), (), problems=(top,))
    folders = [entry.name for entry in top if _is_folder(entry) and not is_hidden(entry.name, left_out)]
    loose = sum(1 for entry in top if not entry.name.startswith(".") and _is_image_name(entry, suffixes))
    if loose:
        left_out["image directly in the image folder, in no class"] = loose
    layout = find_layout(
        folders, lambda name: _inside(os.path.join(root, name), suffixes), subfolder_splits=subfolder_splits
    )
    labels, problems = make_labels(list(layout.classes), label_style)
    problems += layout.problems
    records: list[ImageRecord] = []
    for index, places in enumerate(layout.classes.values()):
        for place in places:
            found = _scan_class(root, place, index, left_out, suffixes, recursive=recursive)
            if isinstance(found, str):
                problems.append(found)
            else:
                records.extend(found)
    above = os.path.join(root, layout.training_folder) if layout.sides else root
    problems += _class_count_problems(above, list(layout.classes), loose)
    return Catalog(root, labels, tuple(records), dict(left_out), tuple(problems), layout.sides)


def is_hidden(name: str, left_out: Counter[str]) -> bool:
    """Tell a hidden entry by its name, and count it.

    Args:
        name: of a file or folder.
        left_out: reason -> how many; counted up.

    Returns:
        Whether it is left out.
    """
    if not name.startswith("."):
        return False
    left_out[HIDDEN] += 1
    return True


def list_folder(path: str) -> list[os.DirEntry[str]] | str:
    """List a folder.

    Args:
        path: of it.

    Returns:
        Its entries by name, or one sentence that says why not.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        return f"cannot read the folder {printable(path)}: {error.strerror}; check its permissions"


def _inside(path: str, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> Inside:
    entries = list_folder(path)
    if isinstance(entries, str):  # said when it is scanned as a class
        return Inside((), 0)
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    return Inside(tuple(e.name for e in visible if _is_folder(e)), sum(_is_image_name(e, suffixes) for e in visible))


def _is_image_name(entry: os.DirEntry[str], suffixes: frozenset[str]) -> bool:
    suffix = suffix_of(entry.name)
    try:
        return suffix in suffixes and suffix != "" and entry.is_file()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _scan_class(
    root: str, folder: str, label: int, left_out: Counter[str], suffixes: frozenset[str], *, recursive: bool
) -> list[ImageRecord] | str:
    path = os.path.join(root, folder)
    entries = list_folder(path)
    if isinstance(entries, str):
        return entries
    sky_before = left_out[SKY]
    listings = walk_class(folder, entries, left_out) if recursive else [(folder, entries)]
    records = [
        record
        for place, listing in listings
        for entry in listing
        if (record := record_of(entry, place, label, left_out, suffixes)) is not None
    ]
    if records:
        return records
    nested = next((entry.name for entry in entries if _is_folder(entry) and not recursive), None)
    return empty_class(path, nested, left_out[SKY] - sky_before)


def record_of(
    entry: os.DirEntry[str],
    folder: str,
    label: int,
    left_out: Counter[str],
    suffixes: frozenset[str] = IMAGE_SUFFIXES,
) -> ImageRecord | None:
    """Make a record of a directory entry.

    Args:
        entry: of any kind.
        folder: its place below the image folder, with forward slashes.
        label: index of its class.
        left_out: reason -> how many; counted up where it is no photograph.
        suffixes: of suffixes_for.

    Returns:
        The record; None where it is left out.
    """
    # Asked 100,000 times: the usual answer first, each question once, and no pathlib.
    name = entry.name
    try:
        # A pipe, socket or device would block or never end; a broken link has no bytes.
        reason = "" if entry.is_file() else "not a regular file"
        if name.startswith("."):
            reason = HIDDEN
        elif reason:
            reason = "sub-folder of a class folder" if _is_folder(entry) else reason
        elif (suffix := suffix_of(name)) not in suffixes:
            reason = SKY if suffix in SKY_SUFFIXES else UNKNOWN_SUFFIX
        else:
            status = entry.stat()
            return ImageRecord(f"{folder}/{name}", label, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except OSError:
        reason = HIDDEN if name.startswith(".") else "cannot be examined"
    left_out[reason] += 1
    return None


def suffix_of(name: str) -> str:
    """Take the suffix of a name.

    Args:
        name: of a file, not hidden.

    Returns:
        In lower case with its dot, ".fits.gz" for both of two; empty where there is none.
    """
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot > 0 else ""
    if suffix != ".gz":
        return suffix
    before = name.rfind(".", 0, dot)
    return name[before:].lower() if before > 0 else suffix


def _class_count_problems(root: str, folders: list[str], loose: int) -> list[str]:
    if len(folders) > 1:
        return []
    only = os.path.join(root, folders[0]) if folders else ""
    inner = _inside(only).folders if only else ()
    return [too_few_classes(root, loose, only, len(inner))]


def too_few_classes(root: str, loose: int, only: str, inner: int) -> str:
    """Say that there are fewer than two class folders, and what may have been meant.

    Args:
        root: the image folder.
        loose: images directly in it.
        only: its one class folder; empty: there is none.
        inner: sub-folders of that one.

    Returns:
        One sentence.
    """
    advice = "make one sub-folder a class and put its photographs there"
    if not only:
        what = f"; {loose} images lie directly in it" if loose else ""
        return f"No valid folders of images found at {root}{what}: {advice}"
    if inner > 1:
        advice = f"{only} itself has sub-folders, so --image_dir {only} may be what is meant"
    return f"Only one valid folder of images found at {root} - multiple classes are needed for classification: {advice}"


def empty_class(where: str, nested: str | None, sky: int = 0) -> str:
    """Say that a class folder holds no images.

    Args:
        where: the class folder.
        nested: one of its sub-folders, or None.
        sky: how many FITS and TIFF files it holds, which were left out.

    Returns:
        One sentence.
    """
    if sky:
        held = f"{printable(where)!r} holds no images but {sky} file{'s'[: sky != 1]} of FITS or TIFF"
        return f"class folder {held}; give --sky_limits=percentile to read them"
    advice = "photographs must lie directly in it, or --recursive be given"
    hint = f" (its sub-folder {printable(nested)!r} is not read: {advice})" if nested else ""
    return f"class folder {printable(where)!r} holds no images{hint}; put photographs into it or take it away"
