"""What became of each address: a line of JSON each in the image folder, so that a second run asks nothing twice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from retrain import fsio
from retrain.errors import UsageError
from retrain.getting.lists import Wanted

NAME = "fetched.jsonl"

KEPT = "kept"  # it is there
DUPLICATE = "duplicate"  # the same picture is there already, under the same label
CONFLICT = "conflict"  # the same picture is there under another label: a person decides
REFUSED = "refused"  # it may not be asked, or what came is no picture that is read; asked again with --again only
FAILED = "failed"  # it could not be had this time; asked again
STATUSES = (KEPT, DUPLICATE, CONFLICT, REFUSED, FAILED)
HAD = (KEPT, DUPLICATE)


@dataclass(frozen=True)
class Row:
    """What became of one address.

    Args:
        url: as it was spelt in the list.
        label: of the list.
        status: one of STATUSES.
        path: of the picture, relative to the image folder, or of the one that it is the same as.
        sha256: of its bytes; empty where there are none.
        final_url: where it came from after all; empty: from url.
        date: of the answer, ISO 8601, UTC.
        reason: why it could not be had.
    """

    url: str
    label: str
    status: str
    path: str = ""
    sha256: str = ""
    final_url: str = ""
    date: str = ""
    reason: str = ""

    @property
    def wanted(self) -> Wanted:
        """What it is the answer to."""
        return Wanted(self.url, self.label)


class Manifest:
    """The rows so far, and a file to which more are added.

    Args:
        path: of the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[Wanted, Row] = {}
        self._whole = 0
        if path.is_file():
            self._read()

    def _read(self) -> None:
        data = self.path.read_bytes()
        # A machine that stopped in the middle of a line leaves a piece of one: that address is asked again.
        self._whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[: self._whole].splitlines(), 1):
            row = _parse(line)
            if row is None:
                raise UsageError(f"line {number} of {self.path} is not one that fetch writes; move the file away")
            self.rows[row.wanted] = row

    @contextmanager
    def open(self) -> Iterator[Writer]:
        """Open it for more rows, behind the last whole one.

        Yields:
            What adds them.
        """
        with fsio.open_partial(self.path) as file:
            file.truncate(self._whole)
            yield Writer(file, self.rows)


class Writer:
    """Adds rows; each is on the disk before the next one.

    Args:
        file: to append to.
        rows: added to as well.
    """

    def __init__(self, file: BinaryIO, rows: dict[Wanted, Row]) -> None:
        self._file, self._rows = file, rows

    def add(self, row: Row) -> None:
        """Add a row.

        Args:
            row: it takes the place of an earlier one of the same address and label.
        """
        self._file.write(json.dumps(dataclasses.asdict(row)).encode() + b"\n")
        fsio.sync(self._file)
        self._rows[row.wanted] = row


def _parse(line: bytes) -> Row | None:
    try:
        values = json.loads(line)
        row = Row(**values)
    except (ValueError, TypeError, RecursionError):
        return None
    whole = all(isinstance(value, str) for value in values.values())
    return row if whole and row.status in STATUSES else None
