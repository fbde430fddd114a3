"""List a folder of class folders under a fsspec URL, by listings alone: no photograph is opened here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from retrain import storage
from retrain.console import printable
from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.labels import make_labels
from retrain.dataset.layout import Inside, find_layout
from retrain.dataset.scan import (
    IMAGE_SUFFIXES,
    SKY,
    SKY_SUFFIXES,
    UNKNOWN_SUFFIX,
    empty_class,
    is_hidden,
    scan_folder,
    suffix_of,
    too_few_classes,
)
from retrain.storage import RemoteFile

# Class folders listed at a time: a listing is waiting, not work.
_LISTINGS = 16


@dataclass(frozen=True)
class RemoteCatalog(Catalog):
    """A catalog whose root is a URL."""

    def full_path(self, record: ImageRecord) -> str:
        """Say where a photograph lies.

        Args:
            record: one of ``records``.

        Returns:
            Its URL.
        """
        return _join(self.root, record.path)


def scan_photographs(
    root: str, label_style: str, *, subfolder_splits: bool = True, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> Catalog:
    """List the photographs of every class, on a disk or under a URL.

    Args:
        root: an existing folder, or the URL of one, with one sub-folder a class.
        label_style: "folder" or "poets", see labels.make_labels.
        subfolder_splits: whether train, val and test may be sides, see layout.find_layout.
        suffixes: of scan.suffixes_for.

    Returns:
        What was found, problems included; nothing is raised for a bad layout.
    """
    scan = scan_url if storage.is_url(root) else scan_folder
    return scan(root, label_style, subfolder_splits=subfolder_splits, suffixes=suffixes)


def scan_url(
    root: str, label_style: str, *, subfolder_splits: bool = True, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> RemoteCatalog:
    """List the photographs of every class under a URL.

    Args:
        root: URL of a folder with one sub-folder a class.
        label_style: "folder" or "poets", see labels.make_labels.
        subfolder_splits: whether train, val and test may be sides, see layout.find_layout.
        suffixes: of scan.suffixes_for.

    Returns:
        What was found, problems included; nothing is raised for a bad layout.
    """
    top = _list(root)
    if isinstance(top, str):
        return RemoteCatalog(root, (), (), problems=(top,))
    left_out: Counter[str] = Counter()
    folders = [entry.name for entry in top if entry.is_folder and not is_hidden(entry.name, left_out)]
    loose = sum(not entry.is_folder and not entry.name.startswith(".") and _is_image(entry, suffixes) for entry in top)
    if loose:
        left_out["image directly in the image folder, in no class"] = loose
    layout = find_layout(folders, lambda name: _inside(_join(root, name), suffixes), subfolder_splits=subfolder_splits)
    labels, problems = make_labels(list(layout.classes), label_style)
    problems += layout.problems
    places = [(label, place) for label, all_of in enumerate(layout.classes.values()) for place in all_of]
    records: list[ImageRecord] = []
    with ThreadPoolExecutor(_LISTINGS, thread_name_prefix="list") as pool:
        listings = pool.map(_list, [_join(root, place) for _, place in places])
        for (label, place), listing in zip(places, listings, strict=True):
            found = _take_class(root, place, label, listing, left_out, suffixes)
            if isinstance(found, str):
                problems.append(found)
            else:
                records.extend(found)
    above = _join(root, layout.training_folder) if layout.sides else root
    problems += _class_count_problems(above, list(layout.classes), loose)
    return RemoteCatalog(root, labels, tuple(records), dict(left_out), tuple(problems), layout.sides)


def _inside(url: str, suffixes: frozenset[str]) -> Inside:
    listing = _list(url)
    if isinstance(listing, str):  # said when it is listed as a class
        return Inside((), 0)
    visible = [entry for entry in listing if not entry.name.startswith(".")]
    folders = tuple(entry.name for entry in visible if entry.is_folder)
    return Inside(folders, sum(not entry.is_folder and _is_image(entry, suffixes) for entry in visible))


def _join(root: str, name: str) -> str:
    return f"{root}{name}" if root.endswith("/") else f"{root}/{name}"


def _list(url: str) -> list[RemoteFile] | str:
    try:
        return storage.list_folder(url)
    except OSError as error:
        return f"cannot list {printable(url)}: {error}; check that it may be read"


def _is_image(entry: RemoteFile, suffixes: frozenset[str]) -> bool:
    """Whether a file that lies in no class is named as an image is."""
    suffix = suffix_of(entry.name)
    return suffix != "" and suffix in suffixes


def _take_class(
    root: str,
    folder: str,
    label: int,
    listing: list[RemoteFile] | str,
    left_out: Counter[str],
    suffixes: frozenset[str],
) -> list[ImageRecord] | str:
    if isinstance(listing, str):
        return listing
    sky_before = left_out[SKY]
    records = [r for entry in listing if (r := _record(entry, folder, label, left_out, suffixes)) is not None]
    if records:
        return records
    nested = next((entry.name for entry in listing if entry.is_folder), None)
    return empty_class(_join(root, folder), nested, left_out[SKY] - sky_before)


def _record(
    entry: RemoteFile, folder: str, label: int, left_out: Counter[str], suffixes: frozenset[str]
) -> ImageRecord | None:
    if is_hidden(entry.name, left_out):
        return None
    if entry.is_folder:
        left_out["sub-folder of a class folder"] += 1
        return None
    if (suffix := suffix_of(entry.name)) not in suffixes:
        left_out[SKY if suffix in SKY_SUFFIXES else UNKNOWN_SUFFIX] += 1
        return None
    return ImageRecord(f"{folder}/{entry.name}", label, entry.size, entry.mtime_ns, entry.tag)


def _class_count_problems(root: str, folders: Sequence[str], loose: int) -> list[str]:
    if len(folders) > 1:
        return []
    only = _join(root, folders[0]) if folders else ""
    inner = _list(only) if only else []
    return [too_few_classes(root, loose, only, 0 if isinstance(inner, str) else sum(e.is_folder for e in inner))]
