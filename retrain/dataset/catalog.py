"""What was found: labels, and a record of each photograph."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One photograph, as the directory lists it.

    Args:
        path: relative to the image folder, with forward slashes: "globular cluster/m13.jpg".
        label: index into Catalog.labels.
        size: bytes.
        mtime_ns: time of the last change of its contents, nanoseconds.
        ctime_ns: time of the last change of its inode, nanoseconds (creation on Windows).
    """

    path: str
    label: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class Catalog:
    """What a scan found.

    Args:
        root: the image folder as it was typed.
        labels: class names in index order.
        records: photographs by class, then by name.
        left_out: reason -> number of entries that were not taken.
        problems: one sentence each; a run must not start while there are any.
        side_folders: folder directly in the image folder -> side, where these hold the class folders (layout.py).
        label_sets: path -> the indices of all its labels, ascending, where a photograph may have several: its record
            then has the rarest of them. Empty where each has one. Photographs that are not in ``records`` may be there.
    """

    root: str
    labels: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    side_folders: Mapping[str, int] = field(default_factory=dict)
    label_sets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def full_path(self, record: ImageRecord) -> str:
        """Say where a photograph lies.

        Args:
            record: one of ``records``.

        Returns:
            Its path, joined to the root as it was typed.
        """
        return os.path.join(self.root, *record.path.split("/"))

    def side_of(self, record: ImageRecord) -> int | None:
        """Say on which side a photograph's folder puts it.

        Args:
            record: one of ``records``.

        Returns:
            TRAINING, VALIDATION or TESTING; None where folders are classes only.
        """
        return self.side_folders[record.path.split("/", 1)[0]] if self.side_folders else None

    def path_of_class(self, record: ImageRecord) -> str:
        """Say where a photograph lies, whatever side its folder puts it on.

        Args:
            record: one of ``records``.

        Returns:
            Its path from the class folder on: "globular cluster/m13.jpg".
        """
        return record.path.split("/", 1)[1] if self.side_folders else record.path

    def count_by_label(self) -> list[int]:
        """Count the photographs a class.

        Returns:
            One number a label.
        """
        counts = Counter(record.label for record in self.records)
        return [counts[index] for index in range(len(self.labels))]

    def set_of(self, record: ImageRecord) -> tuple[int, ...]:
        """List the labels of a photograph.

        Args:
            record: one of ``records``.

        Returns:
            Indices into ``labels``, ascending; one, where each photograph has one.
        """
        return self.label_sets[record.path] if self.label_sets else (record.label,)

    def label_text(self, record: ImageRecord) -> str:
        """Write the labels of a photograph into one cell.

        Args:
            record: one of ``records``.

        Returns:
            Its label; of several, all of them with ';' between.
        """
        return ";".join(self.labels[label] for label in self.set_of(record))

    def count_with_label(self) -> list[int]:
        """Count the photographs that have a label, whatever others they have.

        Returns:
            One number a label.
        """
        counts = Counter(label for record in self.records for label in self.set_of(record))
        return [counts[index] for index in range(len(self.labels))]

    def targets(self) -> npt.NDArray[np.float32]:
        """Spell out which photograph has which labels.

        Returns:
            float32 (N, C), 1 where a photograph has a label, else 0.
        """
        made = np.zeros((len(self.records), len(self.labels)), np.float32)
        for row, record in enumerate(self.records):
            made[row, list(self.set_of(record))] = 1
        return made
