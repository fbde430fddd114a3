"""Feature extraction, ours against the standard Keras idiom: interleaved rounds in one invocation."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import BENCH, median

from retrain.backbones import FrozenBackbone, PreparedBackbone
from retrain.bottlenecks import BottleneckStore, Features, collect_features
from retrain.console import Console
from retrain.dataset import Catalog, scan_folder
from retrain.engines import LocalEngine
from retrain.images import decode_rgb, read_image_file

MAX_COMPARED = 256


@dataclass(frozen=True)
class Speed:
    """One round of one side."""

    photographs: int
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Photographs a second."""
        return self.photographs / self.wall_s

    @property
    def per_cpu_s(self) -> float:
        """Photographs a second of processor time."""
        return self.photographs / self.cpu_s


@dataclass(frozen=True)
class Comparison:
    """All rounds of both sides, and how far their features lie apart on the same pixels."""

    ours: list[Speed]
    keras: list[Speed]
    compared: int
    largest_difference: float

    def ratio(self, name: str) -> float:
        """Median over rounds of ours divided by Keras' of the same round."""
        return median([getattr(a, name) / getattr(b, name) for a, b in zip(self.ours, self.keras, strict=True)])


class KerasPeer:
    """The other side: a child process that stays."""

    def __init__(self, backbone: PreparedBackbone) -> None:
        words = [sys.executable, str(BENCH / "keras_peer.py"), backbone.spec.name, str(backbone.weights.path)]
        self._child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._answer()

    def ask(self, **question: str) -> dict[str, Any]:
        """Ask one question and wait for its answer."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the child by ending its input."""
        self._child.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"the Keras side ended with {self._child.wait()}; run bench/keras_peer.py to see why")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def keras_peer(backbone: PreparedBackbone) -> Iterator[KerasPeer]:
    """Keep the Keras side alive for as long as it is needed."""
    peer = KerasPeer(backbone)
    try:
        yield peer
    finally:
        peer.close()


def gather(catalog: Catalog, backbone: PreparedBackbone, cache: Path) -> Features:
    """Extract as a run does: our engine, our backbone, our cache."""
    engine = LocalEngine(FrozenBackbone(backbone.tflite, backbone.spec.input_spec))
    with BottleneckStore(cache, backbone.fingerprint, backbone.spec.feature_width) as store:
        listing = str(cache.with_suffix(".skipped.csv"))
        return collect_features(catalog, store, engine, Console(quiet=True), 5.0, listing)


@contextmanager
def enlarged(folder: Path, copies: int) -> Iterator[Path]:
    """Lay out a set several times over, each copy with other bytes behind the picture.

    So that both sides run long enough to reach their pace (tf.data tunes its threads as it goes), and that our cache,
    which knows a photograph by its bytes, has no fewer to extract.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        for source in folder.glob("*/*"):
            for number in range(copies):
                target = Path(temp) / source.parent.name / f"{number}-{source.name}"
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(source.read_bytes() + b"copy %d" % number)
        yield Path(temp)


def compare(folder: Path, backbone: PreparedBackbone, rounds: int, copies: int) -> Comparison:
    """Time both sides in turn, after a round of each that does not count, then compare their features."""
    ours, keras = [], []
    with keras_peer(backbone) as peer, enlarged(folder, copies) as large:
        for number in range(rounds + 1):
            pair = _our_round(large, backbone), Speed(**peer.ask(folder=str(large)))
            if number:
                ours.append(pair[0])
                keras.append(pair[1])
        compared, difference = _difference(folder, backbone, peer)
    return Comparison(ours, keras, compared, difference)


def _our_round(folder: Path, backbone: PreparedBackbone) -> Speed:
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        wall, cpu = time.perf_counter(), time.process_time()
        features = gather(scan_folder(str(folder), "folder"), backbone, Path(temp) / "cache.sqlite")
        return Speed(len(features.matrix), time.perf_counter() - wall, time.process_time() - cpu)


def _difference(folder: Path, backbone: PreparedBackbone, peer: KerasPeer) -> tuple[int, float]:
    catalog, spec = scan_folder(str(folder), "folder"), backbone.spec.input_spec
    records = catalog.records[:: max(1, len(catalog.records) // MAX_COMPARED)]
    pixels = np.stack([decode_rgb(read_image_file(catalog.full_path(record)), spec) for record in records])
    run = FrozenBackbone(backbone.tflite, spec)
    ours = np.stack([run.features(picture) for picture in pixels])
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        given, answer = Path(temp) / "pixels.npy", Path(temp) / "features.npy"
        np.save(given, pixels)
        peer.ask(pixels=str(given), answer=str(answer))
        return len(ours), float(np.abs(ours - np.load(answer)).max())
