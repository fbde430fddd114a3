"""Makes exports, measures each on photographs, keeps those that answer as the model does and deletes the others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from retrain import fsio
from retrain.config import ALWAYS, FORMATS
from retrain.config.formats import MAX_DIFFERENCE_DECODED, MAX_DIFFERENCE_DECODED_AGREEING, Format
from retrain.console import Console
from retrain.errors import ParityError
from retrain.exporters.child.scoring import UNREAD
from retrain.exporters.making import Answers, Source, answers_of, answers_to_files, describe_tools, make
from retrain.exporters.parity import Indices, Parity, compare_scores, score_all, tflite_scorer
from retrain.exporters.worker import TensorFlowWorker
from retrain.exporters.yardstick import Truth, Yardstick
from retrain.images import Floats, InputSpec
from retrain.publish.exports_file import Record, Row, fingerprint, with_row, write_record
from retrain.publish.model import Model
from retrain.publish.naming import beside, place_of


@dataclass(frozen=True)
class _Fed:
    """What came of feeding files to an export that decodes by itself."""

    parity: Parity = field(default_factory=lambda: Parity(0, 0, 0, 0.0))
    unread: int = 0

    def passes(self, entry: Format) -> bool:
        if self.parity.photographs == 0:
            return True
        agrees = self.parity.agreeing == self.parity.photographs
        limit = MAX_DIFFERENCE_DECODED_AGREEING if agrees else MAX_DIFFERENCE_DECODED
        return self.parity.passes(limit, entry.min_agreement)


@dataclass(frozen=True)
class Compared:
    """The photographs that exports are compared on.

    Args:
        paths: where they lie; at least one.
        labels: intp (N,), the class of each; of several labels, bool (N, C).
        sha256: over the hashes of their contents.
        words: which they are.
        thresholds: of the labels, where a photograph may have several; all of them are compared then.
    """

    paths: tuple[str, ...]
    labels: Indices | Truth
    sha256: str
    words: str
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Export:
    """What exports are made with.

    Args:
        output_graph: path of the model; exports stand beside it.
        spec: the model's input.
        compared: the photographs.
        worker: runs what needs TensorFlow.
        console: told how it goes.
    """

    output_graph: str
    spec: InputSpec
    compared: Compared
    worker: TensorFlowWorker
    console: Console


def measure_base(export: Export, model: Model, record: Record | None, expected: Floats | None) -> Record:
    """Measure graph and LiteRT file before they replace those of an earlier run.

    Args:
        export: where and with what.
        model: not on the disk yet.
        record: of earlier exports; where it is of this very model on these very photographs, it is the answer.
        expected: float32 (N, C), what the training says of the photographs; None where that is not the float32 model's.

    Returns:
        The record, with the rows of the two; the graph's may say that it is not to be kept.

    Raises:
        ParityError: the LiteRT file does not answer as the training run does; nothing was written.
    """
    graph_sha256 = hashlib.sha256(model.graph).hexdigest()
    if record is not None and _is_of(record, graph_sha256, export.compared):
        return record
    fresh = Record(graph_sha256, export.compared.sha256, export.compared.words)
    with fsio.staging(Path(export.output_graph).parent) as folder:
        fsio.write_bytes(folder / "model.pb", model.graph)
        fsio.write_bytes(folder / "model.tflite", model.tflite)
        scale = _Scale(export, folder, model.tflite)
        # The LiteRT file first: its answers are what the graph's are compared with.
        measured = [
            scale.measure(name, folder / f"model{FORMATS[name].ending}", expected) for name in ("tflite", "graph")
        ]
        rows = tuple(reversed(measured))
    tell_header(export.compared, export.console)
    for row in rows:
        tell_row(row, export.console)
    _raise_for([row for row in rows if row.format == "tflite"], "nothing was written; an earlier model is as it was")
    return replace(fresh, rows=rows)


def export_formats(export: Export, formats: Sequence[str], source: Source, record: Record) -> tuple[Record, list[Path]]:
    """Write exports of a model that is on the disk.

    Args:
        export: where and with what.
        formats: names; those of ALWAYS are passed over.
        source: what they are made of.
        record: of the exports so far.

    Returns:
        The record with their rows, failed ones among them, and the paths written.

    Raises:
        RetrainError: one of them cannot be made; those before it are written.
    """
    wanted = [name for name in formats if name not in ALWAYS and not _is_whole(export, name, record)]
    if not wanted:
        return record, []
    written = []
    export.console.line(f"Exporting {', '.join(wanted)} (conversions take seconds; minutes for a large backbone).")
    with fsio.staging(Path(export.output_graph).parent) as folder:
        _tell_sky(export, wanted)
        scale = _Scale(export, folder, source.tflite.read_bytes())
        tell_header(export.compared, export.console)
        for name in wanted:
            place, target = folder / f"model{FORMATS[name].ending}", place_of(export.output_graph, name)
            make(name, source, export.worker, place)
            row = scale.measure(name, place, None)
            tell_row(row, export.console)
            if row.kept:
                fsio.move_folder(place, target) if place.is_dir() else fsio.move(place, target)
                written.append(target)
            else:
                fsio.remove(target)  # one of an earlier model that the record did not know
            record = replace(record, rows=with_row(record.rows, row))
            write_record(record_path(export.output_graph), record)
    return record, written


def raise_for_failures(record: Record, formats: Sequence[str]) -> None:
    """Refuse to call it done where an export was not kept.

    Args:
        record: with the rows of all formats.
        formats: those that were asked for.

    Raises:
        ParityError: names them.
    """
    _raise_for(
        [row for row in record.rows if row.format in formats],
        "deleted. The .tflite is written and whole, and so is every other export; use those, or train on more "
        "photographs of the labels that are confused",
    )


def tell_header(compared: Compared, console: Console) -> None:
    """Print the head of the table of exports.

    Args:
        compared: the photographs that they are compared on.
        console: where to say it.
    """
    right, same = ("all right", "same labels") if compared.thresholds else ("accuracy", "same first label")
    console.line(f"Exports, run on {compared.words}:")
    console.line(f"  {'format':<12} {'MB':>6} {'ms':>6} {right:>8}  largest difference of a score, {same}")


def tell_row(row: Row, console: Console) -> None:
    """Print a row of it.

    Args:
        row: the export.
        console: where to say it.
    """
    numbers = f"{row.bytes / 1e6:>6.2f} {row.ms:>6.1f} {100 * row.right / row.photographs:>7.1f}%"
    agreed = f"{row.agreeing}/{row.photographs}"
    verdict = "" if row.kept else "  NOT KEPT"
    console.line(f"  {row.format:<12} {numbers}  {row.largest_difference:.1e}, {agreed}{_fed_words(row)}{verdict}")


def _tell_sky(export: Export, formats: Sequence[str]) -> None:
    decoding = [name for name in formats if FORMATS[name].decodes]
    if export.spec.sky is not None and decoding:
        export.console.line(
            f"{', '.join(decoding)} cannot stretch pictures of the sky: pixels that were, or 8-bit files, are for it. "
            "FITS, TIFF and 16-bit PNGs are not given to it as files here, either."
        )


def _fed_words(row: Row) -> str:
    if not row.files + row.files_unread:
        return ""
    unread = f", {row.files_unread} unread" if row.files_unread else ""
    return f"; fed as files {row.files_largest_difference:.1e}, {row.files_agreeing}/{row.files}{unread}"


class _Scale:
    """Measures exports against one model."""

    def __init__(self, export: Export, folder: Path, tflite: bytes) -> None:
        self._export, self._folder = export, folder
        compared = export.compared
        self._yardstick = Yardstick(compared.paths, compared.labels, export.spec, folder, compared.thresholds)
        self._tflite = tflite

    @cached_property
    def _reference(self) -> Floats:
        return score_all(tflite_scorer(self._tflite, self._export.spec), self._yardstick.pixels)

    def measure(self, name: str, place: Path, expected: Floats | None) -> Row:
        """Run one export and say how it answers."""
        entry, yardstick = FORMATS[name], self._yardstick
        answers = answers_of(name, place, yardstick, self._export.worker)
        if name == "tflite":
            self._reference = answers.scores  # it is that very file: no need to run it again
        reference = self._reference if expected is None or name != "tflite" else expected
        # Reduced precision is held to the plain count.
        tie = 2 * entry.max_difference if entry.min_agreement == 1 else 0.0
        parity = compare_scores(reference, answers.scores, tie, self._export.compared.thresholds)
        files = self._files(name, place) if entry.decodes else _Fed()
        return self._row(entry, place, answers, parity, files, reference is self._reference)

    def _files(self, name: str, place: Path) -> _Fed:
        numbers, files = self._yardstick.files(name)
        if not numbers:
            return _Fed()
        scores = answers_to_files(name, place, files, self._folder, self._export.worker)
        read = (scores != UNREAD).any(axis=1)
        unread = int((~read).sum())
        if unread == len(numbers):
            return _Fed(unread=unread)
        reference, thresholds = self._reference[np.array(numbers)[read]], self._export.compared.thresholds
        return _Fed(compare_scores(reference, scores[read], 2 * MAX_DIFFERENCE_DECODED, thresholds), unread)

    def _row(self, entry: Format, place: Path, answers: Answers, parity: Parity, fed: _Fed, own: bool) -> Row:
        sha256, size = fingerprint(place)
        target = place_of(self._export.output_graph, entry.name).name
        return Row(
            format=entry.name,
            file=f"{target}/" if entry.is_folder else target,
            sha256=sha256,
            bytes=size,
            ms=round(answers.ms, 3),
            photographs=parity.photographs,
            right=self._yardstick.right(answers.scores),
            agreeing=parity.agreeing,
            ties=parity.ties,
            largest_difference=parity.largest_difference,
            max_difference=entry.max_difference,
            min_agreement=entry.min_agreement,
            files=fed.parity.photographs,
            files_unread=fed.unread,
            files_agreeing=fed.parity.agreeing,
            files_largest_difference=fed.parity.largest_difference,
            compared_with="tflite" if own else "the training run",
            run_by=describe_tools(entry.name),
            kept=parity.passes(entry.max_difference, entry.min_agreement) and fed.passes(entry),
        )


def _is_of(record: Record, graph_sha256: str, compared: Compared) -> bool:
    same = record.graph_sha256 == graph_sha256 and record.photographs_sha256 == compared.sha256
    return same and {row.format for row in record.rows if row.kept} >= set(ALWAYS)


def _is_whole(export: Export, name: str, record: Record) -> bool:
    """Whether an earlier run wrote and measured it, and it is still that."""
    path = place_of(export.output_graph, name)
    rows = [row for row in record.rows if row.format == name and row.kept]
    return bool(rows) and path.exists() and fingerprint(path)[0] == rows[0].sha256


def _raise_for(rows: Sequence[Row], what_now: str) -> None:
    problems = [_words(row) for row in rows if not row.kept]
    if problems:
        raise ParityError("\n".join([*problems, what_now]))


def _words(row: Row) -> str:
    files = ""
    if row.files:
        files = f"; from files {row.files_agreeing} of {row.files}, {row.files_largest_difference:.2g} apart"
    return (
        f"{row.format} does not answer as the model does: the same answer on {row.agreeing} of {row.photographs} "
        f"photographs, scores at most {row.largest_difference:.2g} apart{files}; expected {100 * row.min_agreement:g} "
        f"% and {row.max_difference:g}"
    )


def record_path(output_graph: str | Path) -> str:
    """Name the record of a model's exports.

    Args:
        output_graph: path of the model.

    Returns:
        Its path.
    """
    return beside(output_graph, ".exports.json")
