"""A model that an earlier run left on the disk, with all that further exports of it need."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retrain import fsio, storage
from retrain.bundle import Bundle
from retrain.config.inputs import ARCHIVE_FILES, ARCHIVE_MB, archive_kind
from retrain.console import Console
from retrain.dataset import TESTING, TRAINING, find_folder
from retrain.dataset.several import SEPARATOR
from retrain.dataset.sides import SIDE_NAMES
from retrain.dataset.tables import read_own
from retrain.dataset.unpacking import step_into
from retrain.errors import ModelError, UsageError
from retrain.exporters.litert.int8 import calibration_rows
from retrain.exporters.making import Source
from retrain.exporters.parity import Indices, parity_rows
from retrain.exporters.yardstick import Truth
from retrain.modelfile import read_graph_bundle
from retrain.publish.exporting import Compared, record_path
from retrain.publish.exports_file import Record, read_record
from retrain.publish.naming import beside, place_of
from retrain.publish.of_run import words_for

_Row = Mapping[str, str]


@dataclass(frozen=True)
class EarlierRun:
    """What a run left.

    Args:
        graph: path of its model.
        bundle: the model's description.
        rows: of its split: path, label, split, sha256.
        image_dir: where the photographs lay.
        model_dir: where its weights lay.
        weights: the --weights that it was given, or nothing.
        seed: its seed.
    """

    graph: Path
    bundle: Bundle
    rows: tuple[_Row, ...]
    image_dir: str
    model_dir: str
    weights: str
    seed: int

    def record(self, compared: Compared) -> Record:
        """Read what is known of its exports.

        Args:
            compared: the photographs that further ones are compared on.

        Returns:
            The record; an empty one where there is none of this model.
        """
        sha256 = fsio.sha256_file(self.graph)
        record = read_record(record_path(self.graph))
        if record is not None and record.graph_sha256 == sha256:
            return record
        return Record(sha256, compared.sha256, compared.words)

    def compared(self) -> Compared:
        """Choose the photographs that exports are compared on: the same that the run chose.

        Returns:
            The photographs.
        """
        testing = self._side(TESTING)
        chosen = parity_rows(testing, len(self.rows), self.seed)
        digest = hashlib.sha256(b"".join(bytes.fromhex(self.rows[i]["sha256"]) for i in chosen)).hexdigest()
        words, thresholds = words_for(len(chosen), len(testing)), self.bundle.thresholds
        labels = self._truth()[chosen] if thresholds else self._labels()[chosen]
        return Compared(self._paths(chosen), labels, digest, words, thresholds)

    def source(self, weights: Path | None) -> Source:
        """Say what exports are made of.

        Args:
            weights: the backbone's, where they are needed.

        Returns:
            The source.
        """
        chosen = calibration_rows(self._labels(), self._side(TRAINING), self.seed)
        return Source(self.graph, place_of(self.graph, "tflite"), self.bundle, self._paths(chosen), weights)

    def missing(self) -> list[str]:
        """Name the photographs that are not where they were.

        Returns:
            Their paths; those of a URL are not asked for.
        """
        if storage.is_url(self.image_dir):
            return []
        return [path for path in self._paths(np.arange(len(self.rows))) if not os.path.isfile(path)]  # noqa: PTH113

    def moved(self, folder: str) -> EarlierRun:
        """Look for the photographs elsewhere: in a folder, or in the only folder in it.

        Args:
            folder: an unpacked archive.

        Returns:
            The run, whose photographs need not be there either.
        """
        return min(
            (replace(self, image_dir=place) for place in (folder, str(step_into(Path(folder))))),
            key=lambda run: len(run.missing()),
        )

    def _labels(self) -> Indices:
        """The class of each photograph; of several labels the rarest, as in the run's catalog."""
        truth = self._truth()
        rarest: Indices = np.where(truth, truth.sum(axis=0), len(truth) + 1).argmin(axis=1)
        return rarest

    def _truth(self) -> Truth:
        number = {label: index for index, label in enumerate(self.bundle.labels)}
        truth = np.zeros((len(self.rows), len(number)), np.bool_)
        for index, row in enumerate(self.rows):
            labels = row["label"].split(SEPARATOR) if self.bundle.thresholds else [row["label"]]
            truth[index, [number[label] for label in labels]] = True
        return truth

    def _side(self, side: int) -> Indices:
        return np.array([i for i, row in enumerate(self.rows) if row["split"] == SIDE_NAMES[side]], np.intp)

    def _paths(self, chosen: Indices) -> tuple[str, ...]:
        return tuple(os.path.join(self.image_dir, *self.rows[index]["path"].split("/")) for index in chosen)


def open_run(given: str, image_dir: str = "", console: Console | None = None) -> EarlierRun:
    """Find what a run left.

    Args:
        given: path of its .pb, or of the folder that this lies in.
        image_dir: where the photographs lie now, or the archive with them; empty: where they lay then.
        console: shown how far unpacking is; None says nothing.

    Returns:
        The run.

    Raises:
        UsageError: there is no model, or the photographs are not there.
        ModelError: what there is does not belong together.
    """
    graph = _graph_of(Path(given))
    bundle = read_graph_bundle(graph)
    tflite = place_of(graph, "tflite")
    if not tflite.is_file() or fsio.sha256_file(tflite) != bundle.tflite_sha256:
        raise ModelError(f"{tflite} is not the file that {graph} was written with; copy both from one run")
    config = _config_of(graph)
    run = EarlierRun(
        graph, bundle, _split_of(graph, bundle), image_dir or config["image_root"], config["model_dir"],
        config["weights"], config["seed"],
    )  # fmt: skip
    missing = run.missing()
    archive = image_dir or config["image_dir"]
    if missing and archive_kind(archive):
        bounds = config["archive_max_files"], config["archive_max_mb"]
        run = run.moved(find_folder(archive, config["bottleneck_dir"], *bounds, console=console or Console(quiet=True)))
        missing = run.missing()
    if missing:
        raise UsageError(
            f"expected the {len(run.rows)} photographs of the run in {run.image_dir}, but {len(missing)} are not there "
            f"({missing[0]}); say where they lie now with --image_dir"
        )
    return run


def _graph_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.pb"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.name for one in found) or "none"
    raise UsageError(f"expected one .pb in {path}, got {names}; name the file")


def _config_of(graph: Path) -> dict[str, Any]:
    path = beside(graph, ".metrics.json")
    try:
        metrics = json.loads(Path(path).read_text(encoding="utf-8"))
        config: dict[str, Any] = metrics["config"]
        names = ("image_dir", "bottleneck_dir", "model_dir", "weights", "seed")
        # Where the photographs lay: not --image_dir where that is an archive, or none and a list in its place.
        return {name: config[name] for name in names} | {
            "image_root": metrics.get("image_root", config["image_dir"]),
            "archive_max_files": config.get("archive_max_files", ARCHIVE_FILES),
            "archive_max_mb": config.get("archive_max_mb", ARCHIVE_MB),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"expected {path}, which the run wrote, to say what it was told: {error}") from error


def _split_of(graph: Path, bundle: Bundle) -> tuple[_Row, ...]:
    path = beside(graph, ".split.csv")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"expected {path}, which the run wrote: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != bundle.split_sha256:
        raise ModelError(f"{path} is not the file that {graph} was written with; copy both from one run")
    return tuple(read_own(data.decode("utf-8")))
