"""What the Data page lists: classes with their counts, and photographs a page at a time, out of 100,000 as quickly."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from retrain.dataset import Catalog, ImageRecord
from retrain.insight.corrections import JOURNAL
from retrain.studio import editing
from retrain.studio.review import photograph_facts
from retrain.studio.workshop import Standing


class _Index(NamedTuple):
    """What is worked out once of a catalog.

    Trap: two catalogs are told apart by identity; comparing 100,000 records would take longer than listing them.
    """

    catalog: Catalog
    by_folder: Mapping[str, Sequence[ImageRecord]]
    paths: frozenset[str]


class Listing:
    """Lists the folder as it was last looked at; may be asked from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index: _Index | None = None
        self._latest: tuple[Catalog, str, str, Sequence[ImageRecord]] | None = None
        self._change: tuple[tuple[int, ...], str] = ((), "")

    def classes(self, root: Path, catalog: Catalog | None) -> list[dict[str, Any]]:
        """List the class folders, empty ones as well.

        Args:
            root: the image folder.
            catalog: what was found in it; None where it cannot be read.

        Returns:
            Folder and count of each, by name.
        """
        counts = {name: len(found) for name, found in self._of(catalog).by_folder.items()} if catalog else {}
        if catalog is not None and not catalog.side_folders and root.is_dir():
            for entry in os.scandir(root):
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    counts.setdefault(entry.name, 0)
        return [{"folder": folder, "count": counts[folder]} for folder in sorted(counts)]

    def page(self, standing: Standing, folder: str, find: str, start: int, count: int) -> dict[str, Any]:
        """List photographs.

        Args:
            standing: what is known.
            folder: of the class; empty: of all.
            find: text that paths must hold, casefolded; empty: any.
            start: the first one, from 0.
            count: how many at most.

        Returns:
            How many there are in all, and facts of those asked for.
        """
        catalog = standing.catalog
        chosen = self._chosen(catalog, folder, find) if catalog else ()
        items = [photograph_facts(record, catalog) for record in chosen[start : start + count]] if catalog else []
        return {"revision": standing.revision, "total": len(chosen), "items": items}

    def is_listed(self, standing: Standing, path: str) -> bool:
        """Tell whether a photograph is one of those that were found.

        Args:
            standing: what is known.
            path: below the image folder.
        """
        return standing.catalog is not None and path in self._of(standing.catalog).paths

    def last_change(self, root: Path) -> str:
        """Say what undo would take back; the journal is read again only where it has changed.

        Args:
            root: the image folder.

        Returns:
            As editing.last_change.
        """
        try:
            status = os.lstat(root / JOURNAL)
        except OSError:
            return ""
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
        if self._change[0] != stamp:
            self._change = (stamp, editing.last_change(root))
        return self._change[1]

    def _of(self, catalog: Catalog) -> _Index:
        with self._lock:
            if self._index is None or self._index.catalog is not catalog:
                by_folder: dict[str, list[ImageRecord]] = {}
                for record in catalog.records:
                    by_folder.setdefault(catalog.path_of_class(record).split("/", 1)[0], []).append(record)
                self._index = _Index(catalog, by_folder, frozenset(record.path for record in catalog.records))
            return self._index

    def _chosen(self, catalog: Catalog, folder: str, find: str) -> Sequence[ImageRecord]:
        """Pick photographs; a page that scrolls asks for the same ones again and again."""
        chosen = self._of(catalog).by_folder.get(folder, ()) if folder else catalog.records
        if not find:
            return chosen
        latest = self._latest
        if latest is None or latest[0] is not catalog or latest[1:3] != (folder, find):
            found = [record for record in chosen if find in record.path.casefold()]
            self._latest = latest = (catalog, folder, find, found)
        return latest[3]
