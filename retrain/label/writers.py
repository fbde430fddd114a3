"""Rows onto standard output or into a file, in five formats; nothing of a row is kept once it is written."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, TextIO

from retrain.classifier import Guess
from retrain.console import FORMULA_STARTS, printable
from retrain.label.flags import LabelConfig
from retrain.label.rows import EVIDENCE, SET, UNKNOWN, Row, columns, rounded

WriteRow = Callable[[Row], None]
# Rows of a Parquet file that are held until they are written together.
_ROW_GROUP = 10_000


def more_columns(config: LabelConfig) -> tuple[str, ...]:
    """Name the columns that are asked for beside the usual ones.

    Args:
        config: evidence and sets.

    Returns:
        Of EVIDENCE and SET.
    """
    return (EVIDENCE if config.evidence else ()) + ((SET,) if config.sets else ())


@contextlib.contextmanager
def row_writer(config: LabelConfig, top_k: int) -> Iterator[WriteRow]:
    """Open what the rows go to.

    Args:
        config: format and output.
        top_k: guesses a row, no more than there are labels.

    Yields:
        A function that writes one row. A file is there when the block has ended without an exception, whole; with
        jsonl it grows row by row.
    """
    more = more_columns(config)
    if config.format == "parquet":
        with _parquet(str(config.output), top_k, more) as write:
            yield write
        return
    with (
        text_stream(config.output, grows=config.format == "jsonl") as stream,
        text_rows(config.format, stream, top_k, more=more) as write,
    ):
        yield write


@contextlib.contextmanager
def text_stream(output: str | None, *, grows: bool = False) -> Iterator[TextIO]:
    """Open a place for text.

    Args:
        output: the file; None for standard output.
        grows: written as it goes and kept when the block ends early; else whole or not at all.

    Yields:
        The place.
    """
    if output is None:
        yield sys.stdout
        return
    from retrain import fsio  # 5 ms that one photograph on standard output need not pay

    if grows:
        with contextlib.closing(fsio.open_partial(output)) as file:
            file.truncate(0)
            with as_text(file, line_by_line=True) as stream:
                yield stream
    else:
        with fsio.replacing(output) as file, as_text(file) as stream:
            yield stream


@contextlib.contextmanager
def as_text(file: BinaryIO, *, line_by_line: bool = False) -> Iterator[TextIO]:
    """Write text into a binary file.

    Args:
        file: stays open.
        line_by_line: whether each line is handed to the system at once.

    Yields:
        UTF-8, bare newlines on every system; what UTF-8 lacks (a file name's odd bytes) is written as escapes.
    """
    stream = io.TextIOWrapper(
        file, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=line_by_line
    )
    try:
        yield stream
    finally:
        stream.detach()  # flushes first


@contextlib.contextmanager
def text_rows(
    name: str, stream: TextIO, top_k: int, *, head: bool = True, more: Sequence[str] = ()
) -> Iterator[WriteRow]:
    """Write rows as text, CSV, JSON or JSON lines.

    Args:
        name: of the format.
        stream: where to.
        top_k: guesses a row.
        head: whether a CSV begins with the names of its columns.
        more: columns of EVIDENCE and SET that are asked for.

    Yields:
        A function that writes one row.
    """
    if name == "csv":
        import csv

        table = csv.writer(stream, lineterminator="\n")
        if head:
            table.writerow(columns(top_k, more))
        yield lambda row: _ignore(table.writerow(_csv_cells(row, top_k, more)))
    elif name == "jsonl":
        yield lambda row: _ignore(stream.write(_json(row, more) + "\n"))
    elif name == "json":
        yield from _json_array(stream, more)
    else:
        yield lambda row: _ignore(stream.write(text_block(row, more)))


def text_block(row: Row, more: Sequence[str] = ()) -> str:
    """Write a row for a person to read.

    Args:
        row: of one of many photographs.
        more: columns of EVIDENCE and SET that are asked for.

    Returns:
        A line with the path, a line a guess as the original writes it, and an empty line.
    """
    lines = [printable(row.path), *answer_lines(row, more)]
    if row.error is not None:
        lines.append(f"error: {printable(row.error)}")
    return "\n".join(lines) + "\n\n"


def answer_lines(row: Row, more: Sequence[str] = ()) -> list[str]:
    """Write an answer as the original writes it, and what is known beside it.

    Args:
        row: of a photograph.
        more: columns of EVIDENCE and SET that are asked for.

    Returns:
        A line a guess; before them the labels over their thresholds, where the model gives several, or "unknown" where
        the best one does not count, with the most alike training photograph where that is why; behind them the set and
        the nearest photographs, where they are asked for.
    """
    lines = [_unknown_line(row)] if row.is_unknown else []
    if row.given is not None and not row.is_unknown:
        lines.append(_given_line(row.given))
    lines += [f"{printable(guess.label)} (score={guess.score:.5f})" for guess in row.guesses]
    if SET in more and row.label_set is not None:
        lines.append(f"set: {', '.join(map(printable, row.label_set))}")
    if EVIDENCE[0] in more:
        lines += [
            f"nearest: {printable(one.path)} ({printable(one.label)}, cosine={one.cosine:.2f})" for one in row.nearest
        ]
    return lines


def _given_line(given: Sequence[Guess]) -> str:
    said = ", ".join(f"{printable(one.label)} {one.score:.2f}" for one in given)
    return f"labels: {said or 'none over its threshold'}"


def _unknown_line(row: Row) -> str:
    if not (row.is_far and row.nearest):
        return UNKNOWN
    name = printable(row.nearest[0].path.rsplit("/", 1)[-1])
    return f"{UNKNOWN} (nearest: {name}, {row.nearest[0].cosine:.2f})"


def _ignore(written: object) -> None:
    """Make a function that returns nothing of one that returns how much it wrote."""


def _csv_cells(row: Row, top_k: int, more: Sequence[str]) -> list[str]:
    cells = row.cells(top_k, more)
    return ["" if cell is None else f"{cell:.7f}" if isinstance(cell, float) else _guarded(cell) for cell in cells]


def _guarded(cell: str) -> str:
    # As retrain.dataset.tables.guarded, whose import one photograph need not pay: no spreadsheet calculates a name.
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA_STARTS) else cell


def _json(row: Row, more: Sequence[str]) -> str:
    guesses = [{"label": guess.label, "score": rounded(guess.score)} for guess in row.guesses]
    facts: dict[str, Any] = {
        "path": row.path,
        "label": row.label,
        "score": rounded(row.score),
        "guesses": guesses,
        "error": row.error,
    }
    if row.given is not None:
        facts["labels"] = [{"label": one.label, "score": rounded(one.score)} for one in row.given]
    if SET in more:
        facts[SET] = row.label_set
    if EVIDENCE[0] in more:
        facts["nearest"] = [
            {"path": one.path, "label": one.label, "cosine": rounded(one.cosine)} for one in row.nearest
        ]
    return json.dumps(facts, ensure_ascii=False)


def _json_array(stream: TextIO, more: Sequence[str]) -> Iterator[WriteRow]:
    before = "[\n"

    def write(row: Row) -> None:
        nonlocal before
        stream.write(before + _json(row, more))
        before = ",\n"

    yield write
    stream.write(f"{before}]\n" if before == "[\n" else "\n]\n")


@contextlib.contextmanager
def _parquet(output: str, top_k: int, more: Sequence[str]) -> Iterator[WriteRow]:
    import pyarrow as pa
    from pyarrow import parquet

    from retrain import fsio

    names = columns(top_k, more)
    floats = ("score", "cosine")
    schema = pa.schema([(name, pa.float32() if name.startswith(floats) else pa.string()) for name in names])
    held: list[list[Any]] = []

    with fsio.replacing(output) as file, parquet.ParquetWriter(file, schema) as table:

        def put() -> None:
            turned = zip(*held, strict=True) if held else [[] for _ in schema]
            table.write_table(pa.table([list(cells) for cells in turned], schema=schema))
            held.clear()

        def write(row: Row) -> None:
            # Parquet holds UTF-8 only, file names anything.
            held.append([_utf8(cell) if isinstance(cell, str) else cell for cell in row.cells(top_k, more)])
            if len(held) >= _ROW_GROUP:
                put()

        yield write
        put()


def _utf8(text: str) -> str:
    return text.encode("utf-8", errors="backslashreplace").decode()
