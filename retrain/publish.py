"""What a run leaves on the disk: the model in its formats, its labels, and the lists beside it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from retrain import fsio
from retrain.backbones import PreparedBackbone
from retrain.bottlenecks import Features, labels_of
from retrain.bundle import Bundle
from retrain.config import INT8_ENDING, RunConfig
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, Split
from retrain.evaluate import Accuracy
from retrain.exporters import frozen_graph, int8_model, tflite_model
from retrain.exporters.parity import (
    Indices,
    compare_models,
    parity_rows,
    read_pixels,
    require_parity,
    tflite_scorer,
)
from retrain.exporters.tflite_int8 import Calibration, calibration_rows
from retrain.head import Head, Recipe

DISTRIBUTION = "retrain-photos"


def beside(output_graph: str, ending: str) -> str:
    """Name a file that belongs to a model.

    Args:
        output_graph: path of the model, ``.../retrained_graph.pb``.
        ending: ".tflite", ".split.csv" and so on.

    Returns:
        ``.../retrained_graph<ending>``.
    """
    return str(Path(output_graph).with_suffix("")) + ending


def describe(
    backbone: PreparedBackbone,
    labels: tuple[str, ...],
    output_node: str,
    recipe: Recipe,
    split_table: str,
    marks: Mapping[str, float],
) -> Bundle:
    """Say what a model is, before it is trained: all but the step that its head will be taken after.

    Args:
        backbone: what it stands on.
        labels: class names in index order.
        output_node: name of its softmax.
        recipe: how its head is trained.
        split_table: the split as CSV.
        marks: what else shaped the head: the flags of distorted training, and what is to be known of its features.

    Returns:
        The description.
    """
    spec = backbone.spec
    return Bundle(
        labels=labels,
        input_height=spec.input_spec.height,
        input_width=spec.input_spec.width,
        input_mean=spec.input_spec.mean,
        input_std=spec.input_spec.std,
        input_node="input",
        output_node=output_node,
        architecture=spec.name,
        weights_source=backbone.weights.source,
        weights_sha256=backbone.weights.sha256,
        feature_width=spec.feature_width,
        head_step=-1,
        split_sha256=hashlib.sha256(split_table.encode("utf-8", "backslashreplace")).hexdigest(),
        training=asdict(recipe) | dict(marks),
        versions=versions(),
    )


def write_model(
    config: RunConfig, backbone: PreparedBackbone, head: Head, bundle: Bundle, split_table: str
) -> tuple[str, ...]:
    """Write the model and what belongs to it, together.

    Args:
        config: where.
        backbone: what the model stands on.
        head: its trained layer.
        bundle: its description.
        split_table: the split as CSV.

    Returns:
        The paths written.
    """
    bundle = replace(bundle, head_step=head.step)
    tflite = tflite_model(backbone.tflite.read_bytes(), head, bundle)
    bundle = replace(bundle, tflite_sha256=hashlib.sha256(tflite).hexdigest())
    files = {
        beside(config.output_graph, ".split.csv"): split_table.encode("utf-8", "backslashreplace"),
        config.output_labels: "".join(f"{label}\n" for label in bundle.labels).encode(),
        beside(config.output_graph, ".tflite"): tflite,
        config.output_graph: frozen_graph(backbone.graph.read_bytes(), head, bundle),
    }
    fsio.write_together(files)
    return tuple(files)


def remove_old_int8(config: RunConfig, console: Console) -> None:
    """Take away the int8 model of the model that is about to be replaced: beside another one it would mislead.

    Args:
        config: where.
        console: told if there was one.
    """
    path = Path(beside(config.output_graph, INT8_ENDING))
    if path.exists():
        path.unlink()
        console.line(f"Removed {path}: it was of the model that is replaced now (..._quantized writes one anew)")


def write_int8(
    config: RunConfig, bundle: Bundle, features: Features, split: Split, head: Head, console: Console
) -> str:
    """Write the int8 model beside the others, once it has shown that it answers as they do.

    Args:
        config: where; its model is written already.
        bundle: its description.
        features: the photographs.
        split: which of them were trained on, and which are for the test.
        head: the trained layer.
        console: told how it goes.

    Returns:
        The path written.

    Raises:
        ParityError: it does not answer as the float32 model; nothing is written.
        ModelError: the architecture cannot be converted.
    """
    path, spec = beside(config.output_graph, INT8_ENDING), bundle.input_spec
    console.line("Converting to int8 (TensorFlow takes some seconds, minutes with a large backbone).")
    rows = calibration_rows(labels_of(features), split.indices(TRAINING), config.seed)
    logits = features.rows.take(rows) @ head.weights + head.biases
    calibration = Calibration(read_pixels(_paths(features, rows), spec), logits)
    graph = Path(config.output_graph).read_bytes()
    content = int8_model(graph, head, replace(bundle, head_step=head.step), calibration)
    whole = tflite_scorer(Path(beside(config.output_graph, ".tflite")).read_bytes(), spec)
    compared = _paths(features, parity_rows(split.indices(TESTING), len(features.sha256s), config.seed))
    parity = compare_models(whole, tflite_scorer(content, spec), compared, spec)
    console.line(parity.sentence("int8 export"))
    add_metrics(beside(config.output_graph, ".metrics.json"), {"int8": parity.facts()})
    require_parity(parity, "int8 export")
    fsio.write_bytes(path, content)
    return path


def _paths(features: Features, rows: Indices) -> list[str]:
    return [features.catalog.full_path(features.catalog.records[row]) for row in rows]


def versions() -> dict[str, str]:
    """Name the versions that shape the numbers.

    Returns:
        distribution name -> version.
    """
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in (DISTRIBUTION, "ai-edge-litert", "numpy", "pillow"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a clone that was never installed
            found[name] = "not installed"
    return found


def write_metrics(path: str, facts: Mapping[str, object]) -> None:
    """Write what was measured.

    Args:
        path: the JSON file.
        facts: names and values; Accuracy and arrays are spelt out.
    """
    fsio.write_text(path, json.dumps(facts, indent=1, default=_plain) + "\n")


def add_metrics(path: str, facts: Mapping[str, object]) -> None:
    """Add to what write_metrics wrote.

    Args:
        path: the JSON file.
        facts: names and values.
    """
    write_metrics(path, {**json.loads(Path(path).read_text(encoding="utf-8")), **facts})


def _plain(value: object) -> object:
    if isinstance(value, Accuracy):
        share = value.value if value.count else None
        return {
            "accuracy": share,
            "right": value.right,
            "count": value.count,
            "low_95": value.low,
            "high_95": value.high,
        }
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
