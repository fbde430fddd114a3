"""The model on the disk, opened once and again when it changes: what pages and scripts have photographs named by."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain.classifier import Classifier
from retrain.errors import ModelError
from retrain.label.flags import read_flags
from retrain.label.judging import Judge, Judged
from retrain.studio.forms import check_pixels

# What tells one state of the model's files from another.
_Stamp = tuple[tuple[int, int, int], ...]


# A run writes the files of its model one after the other: how often, and how long, an opening waits for the others.
_PATIENCE, _BETWEEN_S = 5, 0.1


@dataclass(frozen=True, eq=False)
class _Open:
    """A model, and the state of its files when it was opened; or why it could not be."""

    stamp: _Stamp
    judge: Judge | None = None
    fault: str = ""


class Models:
    """Names photographs with the model of a run folder, whichever that is at the moment.

    Args:
        graph: path of ``retrained_graph.pb``.
    """

    def __init__(self, graph: str) -> None:
        self.graph = graph
        self._lock = threading.Lock()
        self._open: _Open | None = None

    def is_there(self) -> bool:
        """Whether there is a model."""
        return Path(self.graph).is_file()

    def judge(self, data: bytes) -> Judged:
        """Name one photograph.

        Args:
            data: bytes of an image file.

        Returns:
            All labels with their scores, best first, and what it is most alike to.

        Raises:
            ModelError: there is no model, or it cannot be opened.
            ImageError: the bytes are no image that is read.
        """
        judge = self._current()
        check_pixels(data)
        return judge.judge(data)

    def facts(self) -> dict[str, Any]:
        """Say which model it is.

        Returns:
            JSON's types only.

        Raises:
            ModelError: there is none, or it cannot be opened.
        """
        bundle = self._current().classifier.bundle
        return {
            "labels": list(bundle.labels),
            "architecture": bundle.architecture,
            "date": bundle.date,
            "tflite_sha256": bundle.tflite_sha256,
            "unknown": bool(bundle.unknown),
            "input": [bundle.input_height, bundle.input_width],
        }

    def was_trained_on(self, manifest: str) -> bool:
        """Say whether the model is one of these photographs with these labels.

        Args:
            manifest: hash of their contents and labels.

        Returns:
            Whether its description says so; not where there is no model, or one that cannot be opened.
        """
        try:
            return self._current().classifier.bundle.manifest_sha256 == manifest
        except ModelError:
            return False

    def _current(self) -> Judge:
        with self._lock:
            if self._open is None or self._open.stamp != _stamp_of(self.graph):
                # Trap: requests may still run on the one before; it goes when the last of them is done with it.
                self._open = self._newly_opened()
            if self._open.judge is None:
                raise ModelError(self._open.fault)
            return self._open.judge

    def _newly_opened(self) -> _Open:
        """Open what there is; files that change meanwhile are those of a model that is being written."""
        found = _Open(())
        for _ in range(_PATIENCE):
            stamp = _stamp_of(self.graph)
            try:
                found = _Open(stamp, self._opened())
            except ModelError as error:
                found = _Open(stamp, fault=str(error))
            if _stamp_of(self.graph) == stamp and found.judge is not None:
                break
            if not self.is_there():
                break
            time.sleep(_BETWEEN_S)
        return found

    def _opened(self) -> Judge:
        if not self.is_there():
            raise ModelError(f"expected a model at {self.graph}, which is not there; train first")
        classifier = Classifier.open(self.graph)
        words = ["--graph", self.graph, "--top_k", str(len(classifier.bundle.labels))]
        return Judge(classifier, read_flags([*words, "--image", "-"]))


def _stamp_of(graph: str) -> _Stamp:
    stem = graph.removesuffix(".pb")
    found = []
    for name in (graph, f"{stem}.tflite", f"{stem}.memory.npz"):
        try:
            status = os.stat(name)
        except OSError:
            continue
        found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
