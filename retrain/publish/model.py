"""The model itself: frozen graph and LiteRT file, with the labels and the split beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from retrain import fsio
from retrain.backbones import PreparedBackbone
from retrain.bundle import Bundle
from retrain.config import FORMATS, RunConfig
from retrain.console import Console
from retrain.exporters import frozen_graph, tflite_model
from retrain.head import Head
from retrain.publish.describing import dated
from retrain.publish.exports_file import read_record
from retrain.publish.naming import beside, place_of


@dataclass(frozen=True)
class Model:
    """A model that is not on the disk yet.

    Args:
        bundle: the graph's description.
        graph: the frozen graph.
        tflite: the LiteRT file, whose hash the graph's description names.
    """

    bundle: Bundle
    graph: bytes
    tflite: bytes


def make_model(config: RunConfig, backbone: PreparedBackbone, head: Head, bundle: Bundle) -> Model:
    """Put backbone and head together.

    Args:
        config: where the model will lie.
        backbone: what it stands on.
        head: its trained layer.
        bundle: its description, without the date and what the head says of itself.

    Returns:
        The model.
    """
    told = replace(bundle, head_step=head.step, temperature=head.temperature)
    bundle = dated(told, place_of(config.output_graph, "tflite"))
    tflite = tflite_model(backbone.tflite.read_bytes(), head, bundle)
    bundle = replace(bundle, tflite_sha256=hashlib.sha256(tflite).hexdigest())
    return Model(bundle, frozen_graph(backbone.graph.read_bytes(), head, bundle), tflite)


def write_model(config: RunConfig, model: Model, split_table: str, more: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write the model and what belongs to it, together.

    Args:
        config: where.
        model: of make_model.
        split_table: the split as CSV.
        more: ending of a file beside the model -> its contents.

    Returns:
        The paths written.
    """
    # The order matters to who reads after a kill: with the new .tflite and the old graph nothing is opened, so nobody
    # meets the old model with new labels. The graph comes last, and with it all is of one run.
    files = {
        str(place_of(config.output_graph, "tflite")): model.tflite,
        beside(config.output_graph, ".split.csv"): split_table.encode("utf-8", "backslashreplace"),
        **{beside(config.output_graph, ending): data for ending, data in more.items()},
        config.output_labels: "".join(f"{label}\n" for label in model.bundle.labels).encode(),
        config.output_graph: model.graph,
    }
    fsio.write_together(files)
    return tuple(files)


def remove_old_exports(config: RunConfig, model: Model, console: Console) -> None:
    """Take away the exports of the model that is about to be replaced: beside another one they would mislead.

    Args:
        config: where.
        model: the new one; nothing is removed where it is the one that is there.
        console: told what is removed.
    """
    record = read_record(beside(config.output_graph, ".exports.json"))
    if record is not None and record.graph_sha256 == hashlib.sha256(model.graph).hexdigest():
        return
    known = (
        {row.format for row in record.rows} if record is not None else {"tflite_int8"}
    )  # of before there were records
    for name in FORMATS:
        path = place_of(config.output_graph, name)
        if name in known and name not in ("graph", "tflite") and fsio.remove(path):
            console.line(f"Removed {path}: it was of the model that is replaced now (--export {name} writes it anew)")
