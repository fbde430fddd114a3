"""--split_file: a table of path,label,split and perhaps group,sha256 that decides on which side photographs lie."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from retrain import fsio, storage
from retrain.console import printable
from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.sides import SIDE_NAMES, SIDE_WORDS, side_named
from retrain.dataset.tables import Row, match_rows, read_table, shorten, spelt, unguarded
from retrain.errors import did_you_mean

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_Found = Sequence[tuple[Row, ImageRecord]]


@dataclass(frozen=True)
class SplitFile:
    """What the table says.

    Args:
        sides: path -> TRAINING, VALIDATION or TESTING.
        groups: path -> name of its group; None: the table has no such column.
        sha256s: path -> the hash of the photograph's bytes, 32 bytes.
    """

    sides: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, str] | None = None
    sha256s: Mapping[str, bytes] = field(default_factory=dict)


def read_split_file(file: str, catalog: Catalog) -> tuple[SplitFile, list[str]]:
    """Read it, and compare it with the photographs that there are, without opening these.

    Args:
        file: path of the CSV.
        catalog: the photographs.

    Returns:
        What it says, and one sentence a problem.
    """
    rows, problems = read_table(file, ("path", "label", "split"))
    rows = [replace(row, cells={name: unguarded(cell) for name, cell in row.cells.items()}) for row in rows]
    found, strange = match_rows(rows, catalog)
    problems += strange + _wrong_labels(found, catalog) + _wrong_sides(found) + _wrong_digests(found)
    sides = {r.path: side for row, r in found if (side := side_named(row.cells["split"].strip())) is not None}
    has_groups = any("group" in row.cells for row, _ in found)
    groups = {r.path: name for row, r in found if (name := row.cells.get("group", ""))} if has_groups else None
    problems += _torn_groups(groups or {}, sides)
    digests = {r.path: bytes.fromhex(text) for row, r in found if (text := _digest(row)) and _HEX.fullmatch(text)}
    return SplitFile(sides, groups, digests), [f"--split_file={file}: {problem}" for problem in problems]


def _wrong_labels(found: _Found, catalog: Catalog) -> list[str]:
    wrong = [
        f"line {row.line}: expected the label {printable(catalog.label_text(record))!r} "
        f"of {printable(record.path)!r}, got {printable(row.cells['label'])!r}"
        for row, record in found
        if row.cells["label"] != spelt(catalog.label_text(record))
    ]
    return shorten(wrong, "move the photographs or mend the rows")


def _wrong_sides(found: _Found) -> list[str]:
    wrong = [(row.line, word) for row, _ in found if side_named(word := row.cells["split"].strip()) is None]
    return shorten(
        [
            f"line {line}: expected a split of {', '.join(SIDE_WORDS)}, got {printable(word)!r}"
            f"{did_you_mean(word.lower(), SIDE_WORDS)}"
            for line, word in wrong
        ]
    )


def _digest(row: Row) -> str:
    return row.cells.get("sha256", "").strip()


def _wrong_digests(found: _Found) -> list[str]:
    return shorten(
        [
            f"line {row.line}: expected 64 hexadecimal digits as sha256, or nothing, got {printable(_digest(row))!r}"
            for row, _ in found
            if _digest(row) and not _HEX.fullmatch(_digest(row))
        ]
    )


def _torn_groups(groups: Mapping[str, str], sides: Mapping[str, int]) -> list[str]:
    sides_of = defaultdict(set)
    for path, name in groups.items():
        if path in sides:
            sides_of[name].add(sides[path])
    torn = [
        f"group {printable(name)!r} lies in {' and '.join(SIDE_NAMES[side] for side in sorted(found))}"
        for name, found in sides_of.items()
        if len(found) > 1
    ]
    return shorten(torn, "a group lies on one side; put all of its rows there")


def other_contents(file: str, expected: Mapping[str, bytes], here: Mapping[str, bytes]) -> list[str]:
    """Compare the photographs' hashes with those of the table.

    Args:
        file: path of the table.
        expected: path -> SHA-256 that it gives.
        here: path -> SHA-256 of what is there.

    Returns:
        One sentence a problem.
    """
    wrong = [
        f"{printable(path)!r} has the SHA-256 {here[path].hex()[:12]}..., the file says {sha.hex()[:12]}..."
        for path, sha in expected.items()
        if path in here and here[path] != sha
    ]
    return [
        f"--split_file={file}: {problem}"
        for problem in shorten(wrong, "it was edited or replaced; mend the rows, or leave the column sha256 away")
    ]


def hash_photographs(catalog: Catalog, paths: Sequence[str]) -> dict[str, bytes]:
    """Hash photographs on a disk.

    Args:
        catalog: where they lie; nothing under a URL is read.
        paths: of records.

    Returns:
        path -> SHA-256; without those that cannot be read, which the run finds itself and counts.
    """
    if storage.is_url(catalog.root) or not paths:
        return {}
    wanted = set(paths)
    records = [record for record in catalog.records if record.path in wanted]
    with ThreadPoolExecutor(thread_name_prefix="hash") as pool:
        hashes = pool.map(_hash_or_none, map(catalog.full_path, records))
        return {record.path: sha for record, sha in zip(records, hashes, strict=True) if sha is not None}


def _hash_or_none(path: str) -> bytes | None:
    try:
        return bytes.fromhex(fsio.sha256_file(path))
    except OSError:
        return None
