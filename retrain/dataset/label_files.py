"""A text file of labels beside each photograph: ``m13.jpg.txt`` for ``m13.jpg``, a label a line.

As in the fork of the original retrain.py for several labels a photograph; the folders mean nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from retrain.console import printable
from retrain.dataset.catalog import Catalog
from retrain.dataset.listing import MOST_PROBLEMS
from retrain.dataset.nested import walk_class
from retrain.dataset.scan import IMAGE_SUFFIXES, list_folder, record_of
from retrain.dataset.several import SEPARATOR, Labelled, several_catalog

ENDING = ".txt"
# Some thousand labels of one photograph; more is another kind of file.
MAX_BYTES = 1 << 16


def scan_label_files(root: str, label_style: str, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> Catalog:
    """List the photographs of a folder and of all folders below it, with the labels of the text files beside them.

    Args:
        root: an existing folder.
        label_style: as of several.several_catalog.
        suffixes: of scan.suffixes_for.

    Returns:
        What was found, problems included: a photograph without a label is one. Nothing is raised for a bad folder.
    """
    left_out: Counter[str] = Counter()
    top = list_folder(root)
    if isinstance(top, str):
        return Catalog(root, (), (), problems=(top,))
    found, faults = [], []
    for folder, entries in walk_class(".", top, left_out):
        for entry in _photographs(entries):
            record = record_of(entry, folder, 0, left_out, suffixes)
            if record is None:
                continue
            labels, problems = read_label_file(entry.path + ENDING)
            faults += problems
            if not problems:
                found.append(Labelled(record.path.removeprefix("./"), labels, entry.stat()))
    if not found and not faults:
        faults = [
            f"no photographs found in {printable(root)}; give the folder that they lie in, or below, as --image_dir"
        ]
    shown = faults[:MOST_PROBLEMS]
    if len(faults) > MOST_PROBLEMS:
        shown.append(f"{len(faults) - MOST_PROBLEMS:,} more problems like these")
    return several_catalog(f"the text files in {printable(root)}", root, found, label_style, left_out, shown)


def _photographs(entries: list[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    """Leave out the text files of labels, which are no photographs that something is wrong with."""
    names = {entry.name for entry in entries}
    for entry in entries:
        if not (entry.name.endswith(ENDING) and entry.name.removesuffix(ENDING) in names):
            yield entry


def read_label_file(path: str) -> tuple[tuple[str, ...], list[str]]:
    """Read the labels of one photograph.

    Args:
        path: of the text file, UTF-8; white space around a label and empty lines are left out.

    Returns:
        The labels in their order, and one sentence a problem.
    """
    shown = printable(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        return (), [f"{shown} is missing: expected it beside its photograph, a label a line; write it"]
    except OSError as error:
        return (), [f"{shown} cannot be read: {error.strerror}; check its permissions"]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return (), [f"{shown}, line {line}: expected UTF-8, got other bytes; save it as UTF-8"]
    if len(data) > MAX_BYTES:
        return (), [f"{shown}: expected at most {MAX_BYTES:,} bytes of labels, got more; is it the right file?"]
    return _labels(text, shown)


def _labels(text: str, shown: str) -> tuple[tuple[str, ...], list[str]]:
    lines: dict[str, int] = {}
    problems = []
    # Not splitlines, which breaks at what may be part of a label's name.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        label = line.strip()
        if not label:
            continue
        if SEPARATOR in label:
            problems.append(f"{shown}, line {number}: expected one label a line, got {printable(label)!r}; make two")
        elif label in lines:
            problems.append(
                f"{shown}, line {number}: {printable(label)!r} is on line {lines[label]} already; take one of them out"
            )
        lines.setdefault(label, number)
    if not lines:
        problems.append(
            f"{shown}: expected at least one label, got none; one that shows nothing of it gets a label, "
            "too, such as 'none'"
        )
    return tuple(lines), problems
