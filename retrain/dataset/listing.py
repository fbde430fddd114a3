"""A list of photographs in place of class folders: a CSV of path,label."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.labels import make_labels
from retrain.dataset.several import Labelled, several_catalog, split_labels
from retrain.errors import did_you_mean

COLUMNS = ("path", "label")
# A list of ten million photographs has about as much.
MAX_LIST_BYTES = 1 << 30
MOST_PROBLEMS = 50


class _Row(NamedTuple):
    """One line of the list: its number, from 1, and its two fields as they are written."""

    line: int
    path: str
    label: str


class _LineError(Exception):
    """What is wrong with a line, in words."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def scan_list(path: str, image_dir: str, label_style: str, *, several: bool = False) -> Catalog:
    """Look up the photographs that a list names.

    Args:
        path: an existing CSV file, UTF-8, with the columns path and label.
        image_dir: the folder that its paths are relative to and lie below; empty: the list's own folder.
        label_style: "folder" keeps labels as they are written, "poets" normalises them, see labels.make_labels.
        several: whether a photograph may have several labels: on several lines, or on one with ';' between.

    Returns:
        What was found, problems included; nothing is raised for a bad list.
    """
    root = image_dir or os.path.dirname(path) or os.curdir  # noqa: PTH120 - as it was typed
    faults: list[_LineError] = []
    rows = _rows(path, faults)
    where = f"--image_dir={image_dir}" if image_dir else f"the folder of the list, {root}"
    if several:
        labelled = _look_up_several(rows, root, where, faults)
        return several_catalog(path, root, labelled, label_style, faults=tuple(_sentences(path, faults)))
    found = _look_up(rows, root, where, faults)
    names = sorted({row.label for row in rows})
    labels, problems = make_labels(names, label_style, noun="label")
    if len(labels) < 2 and not faults:
        told = f"only {names[0]!r}" if names else "none"
        problems.append(f"{path}: expected photographs of at least two labels, got {told}; add lines of another label")
    number = {name: index for index, name in enumerate(names)}
    records = (_record(place, number[row.label], status) for row, place, status in found)
    ordered = tuple(sorted(records, key=lambda record: (record.label, record.path)))
    return Catalog(root, labels, ordered, problems=(*_sentences(path, faults), *problems))


def _sentences(path: str, faults: list[_LineError]) -> Iterator[str]:
    for fault in sorted(faults, key=lambda one: one.line)[:MOST_PROBLEMS]:
        yield f"{path}, line {fault.line}: {fault}"
    if len(faults) > MOST_PROBLEMS:
        yield f"{path}: {len(faults) - MOST_PROBLEMS:,} more lines like these"


def _rows(path: str, faults: list[_LineError]) -> list[_Row]:
    """Read the lines that can be read; the others become faults."""
    rows: list[_Row] = []
    try:
        reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
        try:
            header = _header(next(reader, []))
            for fields in reader:
                if fields:
                    _add_row(rows, faults, reader.line_num, fields, header)
        except csv.Error as error:
            raise _LineError(reader.line_num, f"not to be read as CSV: {error}; check its quotes") from error
    except _LineError as fault:
        faults.append(fault)
    return rows


def _text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise _LineError(1, f"cannot be read: {error.strerror}; check its permissions") from error
    if len(data) > MAX_LIST_BYTES:
        raise _LineError(1, f"expected a list of at most {MAX_LIST_BYTES:,} bytes, got more; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _LineError(line, "expected UTF-8, got other bytes; save the list as UTF-8") from error


def _header(names: list[str]) -> list[str]:
    problems = [f"no column {name!r}" for name in COLUMNS if name not in names]
    problems += [f"unknown column {name!r}{did_you_mean(name, COLUMNS)}" for name in names if name not in COLUMNS]
    problems += [f"column {name!r} twice" for name in COLUMNS if names.count(name) > 1]
    if problems:
        hint = " (fields are parted by commas)" if any(mark in "".join(names) for mark in ";\t") else ""
        raise _LineError(
            1, f"expected the header path,label, got {', '.join(problems)}{hint}; write it as the first line"
        )
    return names


def _add_row(rows: list[_Row], faults: list[_LineError], line: int, fields: list[str], header: list[str]) -> None:
    if len(fields) != len(header):
        what = f"expected {len(header)} fields, got {len(fields)}; a path or label with a comma needs quotes around it"
        faults.append(_LineError(line, what))
        return
    values = dict(zip(header, fields, strict=True))
    empty = [name for name in COLUMNS if not values[name].strip()]
    if empty:
        faults.append(_LineError(line, f"expected a path and a label, got no {' and no '.join(empty)}; fill it in"))
        return
    rows.append(_Row(line, values["path"], values["label"]))


def _look_up(
    rows: Iterable[_Row], root: str, where: str, faults: list[_LineError]
) -> list[tuple[_Row, str, os.stat_result]]:
    """Find each file: the row, its path below the root with forward slashes, its state."""
    found: list[tuple[_Row, str, os.stat_result]] = []
    lines: dict[str, int] = {}
    for row, place in _placed(rows, root, where, faults):
        earlier = lines.setdefault(os.path.normcase(place), row.line)
        if earlier != row.line:
            faults.append(_LineError(row.line, f"{row.path!r} is on line {earlier} already; take one of them out"))
            continue
        status = _status(os.path.join(root, place), row.path, where)
        if isinstance(status, str):
            faults.append(_LineError(row.line, status))
        else:
            found.append((row, place.replace(os.sep, "/"), status))
    return found


def _placed(rows: Iterable[_Row], root: str, where: str, faults: list[_LineError]) -> Iterator[tuple[_Row, str]]:
    """Say where below the root each row's file is to lie; what lies elsewhere becomes a fault."""
    below = _Below(root)
    for row in rows:
        place = below.place_of(row.path)
        if place is None:
            what = f"{row.path!r} lies outside of {where}; give the folder above all photographs as --image_dir"
            faults.append(_LineError(row.line, what))
        else:
            yield row, place


def _look_up_several(rows: Iterable[_Row], root: str, where: str, faults: list[_LineError]) -> list[Labelled]:
    """Find each file, with the labels of all its rows."""
    lines: dict[str, dict[str, int]] = {}
    places: dict[str, tuple[_Row, str]] = {}
    for row, place in _placed(rows, root, where, faults):
        key = os.path.normcase(place)
        places.setdefault(key, (row, place))
        earlier = lines.setdefault(key, {})
        labels, problem = split_labels(row.label)
        if problem:
            faults.append(_LineError(row.line, f"{row.path!r} {problem}" if labels else problem))
        for label in dict.fromkeys(labels):
            if label in earlier:
                what = f"{row.path!r} has the label {label!r} on line {earlier[label]} already; take one of them out"
                faults.append(_LineError(row.line, what))
            earlier.setdefault(label, row.line)
    found = []
    for key, (row, place) in places.items():
        status = _status(os.path.join(root, place), row.path, where)
        if isinstance(status, str):
            faults.append(_LineError(row.line, status))
        elif lines[key]:
            found.append(Labelled(place.replace(os.sep, "/"), tuple(lines[key]), status))
    return found


class _Below:
    """Tells what lies below a folder, and where; links in the folder's own path do not matter."""

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        self._prefixes = {os.path.join(self._root, ""), os.path.join(os.path.realpath(root), "")}

    def place_of(self, path: str) -> str | None:
        """A path relative to the folder, with the system's separators; None for what lies elsewhere."""
        full = os.path.normpath(os.path.join(self._root, path))
        for prefix in self._prefixes:
            if os.path.normcase(full).startswith(os.path.normcase(prefix)):
                return full[len(prefix) :]
        return None


def _status(full: str, written: str, where: str) -> os.stat_result | str:
    try:
        status = os.stat(full)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = ", and paths are written with '/'" if "\\" in written and os.sep == "/" else ""
        return f"cannot find {written!r} below {where} ({reason}){hint}; check its spelling"
    if stat.S_ISREG(status.st_mode):
        return status
    return f"expected {written!r} to be a photograph, got {'a folder' if stat.S_ISDIR(status.st_mode) else 'no file'}"


def _record(place: str, label: int, status: os.stat_result) -> ImageRecord:
    return ImageRecord(place, label, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
