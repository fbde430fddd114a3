"""From a finished training to files: the model measured and written, then its other formats."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retrain import fsio
from retrain.backbones import FrozenBackbone, PreparedBackbone, is_quantized
from retrain.bottlenecks import Features, labels_of
from retrain.bundle import Bundle
from retrain.config import ALWAYS, RunConfig, split_formats
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, Split
from retrain.evaluate import Accuracy
from retrain.exporters.litert.int8 import calibration_rows
from retrain.exporters.making import Source
from retrain.exporters.parity import FEWEST, Indices, parity_rows, read_pixels
from retrain.exporters.worker import TensorFlowWorker
from retrain.head import Head
from retrain.images import Floats
from retrain.publish.exporting import (
    Compared,
    Export,
    export_formats,
    measure_base,
    raise_for_failures,
    record_path,
)
from retrain.publish.exports_file import Record, read_record, write_record
from retrain.publish.model import make_model, remove_old_exports, write_model
from retrain.publish.naming import place_of
from retrain.trainer.outcome import Trained


@dataclass(frozen=True, eq=False)
class NetworkTraining:
    """How a whole network was trained.

    Args:
        trained: its epochs, and which of them is kept.
        yardstick: name of the backbone on which a new layer was trained for comparison.
        compared: what that layer is worth on the photographs of the final test.
    """

    trained: Trained
    yardstick: str
    compared: Accuracy


@dataclass(frozen=True)
class Training:
    """What a training came to.

    Args:
        config: what was asked for.
        backbone: what the head stands on.
        features: of all photographs.
        split: the side of each.
        table: the split as CSV.
        head: the trained layer.
        bundle: the model's description, without the date and what the head says of itself.
        more: ending of a file beside the model -> its contents, written together with it.
        network: how it was trained, if it is a whole network.
        noted: what .metrics.json holds beside how good it is.
    """

    config: RunConfig
    backbone: PreparedBackbone
    features: Features
    split: Split
    table: str
    head: Head
    bundle: Bundle
    more: Mapping[str, bytes] = field(default_factory=dict)
    network: NetworkTraining | None = None
    noted: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """A model that is on the disk.

    Args:
        bundle: its description.
        files: the paths written.
        record: of its exports so far.
        export: what further ones are made with.
    """

    bundle: Bundle
    files: tuple[str, ...]
    record: Record
    export: Export


def save_model(training: Training, worker: TensorFlowWorker, console: Console) -> Saved:
    """Measure graph and LiteRT file, and write them with what belongs to them.

    Args:
        training: what the model is made of.
        worker: runs the graph.
        console: told how it goes.

    Returns:
        What was written.

    Raises:
        ParityError: the LiteRT file does not answer as the training does; nothing was written.
    """
    config = training.config
    model = make_model(config, training.backbone, training.head, training.bundle)
    compared, rows = _compared(training)
    export = Export(config.output_graph, model.bundle.input_spec, compared, worker, console)
    earlier = read_record(record_path(config.output_graph))
    fsio.sweep(Path(config.output_graph).parent)
    record = measure_base(export, model, earlier, _expected(training, rows, compared))
    remove_old_exports(config, model, console)
    files = write_model(config, model, training.table, training.more)
    if not _graph_is_kept(record):
        fsio.remove(config.output_graph)
        files = tuple(file for file in files if file != config.output_graph)
    write_record(record_path(config.output_graph), record)
    return Saved(model.bundle, files, record, export)


def save_exports(training: Training, saved: Saved, console: Console) -> tuple[str, ...]:
    """Write the model in the other formats that were asked for.

    Args:
        training: what the model was made of.
        saved: of save_model.
        console: told how it goes.

    Returns:
        The paths written.

    Raises:
        ParityError: a format does not answer as the model; all others are written.
        RetrainError: one of them cannot be made; those before it are written.
    """
    formats = formats_of(training.config)
    if not _graph_is_kept(saved.record):
        raise_for_failures(saved.record, formats)
    record, written = export_formats(saved.export, formats, _source(training, saved.bundle), saved.record)
    if written:
        console.line("Wrote " + ", ".join(map(str, written)))
    raise_for_failures(record, formats)
    return tuple(map(str, written))


def _graph_is_kept(record: Record) -> bool:
    return any(row.kept for row in record.rows if row.format == "graph")


def formats_of(config: RunConfig) -> tuple[str, ...]:
    """List the formats that a run writes.

    Args:
        config: --export, and --architecture, whose ending _quantized asks for int8.

    Returns:
        Names, graph and tflite first.
    """
    asked = split_formats(config.export)
    quantized = ("tflite_int8",) if is_quantized(config.architecture) else ()
    return tuple(dict.fromkeys((*ALWAYS, *asked, *quantized)))


def _compared(training: Training) -> tuple[Compared, Indices]:
    """Choose the photographs that exports are compared on; give their rows as well."""
    features, testing = training.features, training.split.indices(TESTING)
    rows = parity_rows(testing, len(features.sha256s), training.config.seed)
    digest = hashlib.sha256(b"".join(features.sha256s[row] for row in rows)).hexdigest()
    words = words_for(len(rows), len(testing))
    paths, thresholds = _paths(features, rows), training.bundle.thresholds
    if thresholds:
        return Compared(paths, features.catalog.targets()[rows] == 1, digest, words, thresholds), rows
    return Compared(paths, labels_of(features)[rows], digest, words), rows


def words_for(compared: int, testing: int) -> str:
    """Say which photographs exports are compared on.

    Args:
        compared: how many.
        testing: how many there are for the final test.

    Returns:
        Words.
    """
    if testing >= FEWEST:
        return f"{compared} photographs of the final test"
    return f"{compared} photographs of training, validation and test together: no measure of accuracy"


def _expected(training: Training, rows: Indices, compared: Compared) -> Floats:
    """Say what the training makes of the photographs, in float32: from the cache, where that is this program's own."""
    backbone, head = training.backbone, training.head
    if backbone.precision == "float32" and not training.config.use_unverified:
        return head.probabilities(training.features.rows.take(rows))
    exact = FrozenBackbone(backbone.tflite, backbone.spec.input_spec)
    pixels = read_pixels(compared.paths, backbone.spec.input_spec)
    return head.probabilities(np.stack([exact.features(picture) for picture in pixels]))


def _source(training: Training, bundle: Bundle) -> Source:
    """Say what exports are made of."""
    graph = training.config.output_graph
    rows = calibration_rows(labels_of(training.features), training.split.indices(TRAINING), training.config.seed)
    photographs, weights = _paths(training.features, rows), training.backbone.weights.path
    return Source(Path(graph), place_of(graph, "tflite"), bundle, photographs, weights)


def _paths(features: Features, rows: Indices) -> tuple[str, ...]:
    return tuple(features.catalog.full_path(features.catalog.records[row]) for row in rows)
