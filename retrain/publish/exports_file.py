"""``.exports.json``: which formats a model was written in, and how each answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from retrain import fsio


@dataclass(frozen=True)
class Row:
    """One export.

    Args:
        format: its name.
        file: its name beside the record; a folder's ends in "/".
        sha256: of its contents; of a folder, of the names and hashes of its files.
        bytes: its size.
        ms: median milliseconds of one photograph on one core, without decoding.
        photographs: how many it was compared on.
        right: how many of them it named as their folders do.
        agreeing: how many have the same first label as the model's.
        ties: of the others, those between whose two labels the model itself cannot choose.
        largest_difference: of a score.
        max_difference: the limit.
        min_agreement: the limit.
        files: how many it was fed as files and could decode; 0 for what does not decode.
        files_unread: how many more it could not decode.
        files_agreeing: how many of these have the same first label.
        files_largest_difference: of a score.
        compared_with: whose answers it was compared with.
        run_by: the library that ran it.
        kept: it keeps to its limits; what does not is deleted.
    """

    format: str
    file: str
    sha256: str
    bytes: int
    ms: float
    photographs: int
    right: int
    agreeing: int
    ties: int
    largest_difference: float
    max_difference: float
    min_agreement: float
    files: int
    files_unread: int
    files_agreeing: int
    files_largest_difference: float
    compared_with: str
    run_by: str
    kept: bool

    @property
    def shares(self) -> dict[str, float]:
        """What the counts say: shares of the photographs, 0 to 1."""
        return {"accuracy": self.right / self.photographs, "agreement": self.agreeing / self.photographs}


_FIELDS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True)
class Record:
    """All exports of one model.

    Args:
        graph_sha256: of the frozen graph: which model it is.
        photographs_sha256: of the hashes of the photographs that were compared on.
        photographs: which these are, in words.
        rows: one an export.
    """

    graph_sha256: str
    photographs_sha256: str
    photographs: str
    rows: tuple[Row, ...] = ()


def read_record(path: str | Path) -> Record | None:
    """Read the record of earlier exports.

    Args:
        path: of the file.

    Returns:
        The record; None where there is none that can be read, which only means that all is measured anew.
    """
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = tuple(Row(**{name: row[name] for name in _FIELDS}) for row in raw["exports"])
        return Record(raw["graph_sha256"], raw["photographs_sha256"], raw["photographs"], rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(path: str | Path, record: Record) -> None:
    """Write the record.

    Args:
        path: of the file.
        record: what goes in.
    """
    facts = {
        "graph_sha256": record.graph_sha256,
        "photographs": record.photographs,
        "photographs_sha256": record.photographs_sha256,
        "exports": [asdict(row) | row.shares for row in record.rows],
    }
    fsio.write_text(path, json.dumps(facts, indent=1) + "\n")


def with_row(rows: Sequence[Row], row: Row) -> tuple[Row, ...]:
    """Put a row in the place of the one of its format.

    Args:
        rows: as they are.
        row: the new one.

    Returns:
        The rows, those of other formats unchanged.
    """
    return (*(one for one in rows if one.format != row.format), row)


def fingerprint(path: Path) -> tuple[str, int]:
    """Hash and measure an export.

    Args:
        path: file or folder.

    Returns:
        64 hexadecimal digits, and how many bytes it has.
    """
    if path.is_file():
        return fsio.sha256_file(path), path.stat().st_size
    files = sorted(one for one in path.rglob("*") if one.is_file())
    lines = [f"{fsio.sha256_file(one)} {one.relative_to(path).as_posix()}\n" for one in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest(), sum(one.stat().st_size for one in files)
