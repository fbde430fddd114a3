"""Reads what is to be had: a file of addresses under one label, or a CSV of url,label."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from retrain.console import printable
from retrain.errors import UsageError
from retrain.getting.names import label_fault, twins

_COLUMNS = ("url", "label")


class Wanted(NamedTuple):
    """One photograph that is to be had.

    Args:
        url: as it is spelt in the list.
        label: name of its class folder.
    """

    url: str
    label: str


def read_urls(path: str | Path, label: str) -> list[Wanted]:
    """Read a file with an address a line.

    Args:
        path: the file, UTF-8; empty lines and lines that start with ``#`` are passed over.
        label: of all of them.

    Returns:
        Each address once, in the order of the file.

    Raises:
        UsageError: the file cannot be read.
    """
    lines = (line.strip() for line in _text(path).splitlines())
    return list(dict.fromkeys(Wanted(line, label) for line in lines if line and not line.startswith("#")))


def read_csv(path: str | Path) -> list[Wanted]:
    """Read a table with the columns url and label; others are passed over.

    Args:
        path: the file, UTF-8, with a line of column names.

    Returns:
        Each pair once, in the order of the file.

    Raises:
        UsageError: the file cannot be read, a column is missing, or rows lack one of the two; all rows are named.
    """
    return list(dict.fromkeys(_rows(path)))


def _rows(path: str | Path) -> Iterator[Wanted]:
    table = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    short = []
    try:
        missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            got = ", ".join(map(printable, table.fieldnames or ())) or "none"
            raise UsageError(f"expected {path} to start with the line url,label, got the columns {got}")
        for row in table:
            url, label = ((row[name] or "").strip() for name in _COLUMNS)
            if url and label:
                yield Wanted(url, label)
            else:
                short.append(f"line {table.line_num} of {path} lacks its {'label' if url else 'url'}")
    except csv.Error as error:
        raise UsageError(f"line {table.line_num} of {path} is not CSV: {error}") from error
    if short:
        raise UsageError(short)


def _text(path: str | Path) -> str:
    try:
        if not os.path.isfile(path):  # noqa: PTH113 - false, not an error, for a NUL; a pipe would wait for ever
            raise UsageError(f"expected a file with addresses, got {printable(str(path))}; check the spelling")
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"expected {path} to be UTF-8 text, got {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def list_problems(wanted: Iterable[Wanted], folders: Iterable[str]) -> list[str]:
    """Find what is wrong with a list as a whole.

    Args:
        wanted: that is to be had.
        folders: class folders that are there already.

    Returns:
        One sentence a problem.
    """
    labels: dict[str, str] = {}
    problems = []
    for one in wanted:
        if labels.setdefault(one.url, one.label) != one.label:
            both = f"{labels[one.url]!r} and {one.label!r}"
            problems.append(f"{printable(one.url)} is listed under the labels {both}; take one of them out")
    names = list(dict.fromkeys(labels.values()))
    faults = ((name, label_fault(name)) for name in names)
    problems += [f"the label {name!r} cannot be a folder: {fault}; rename it" for name, fault in faults if fault]
    return problems + twins(names, folders)
