"""The table of formats in code: how each is made of the model, and how each is run to see what it answers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from retrain import fsio
from retrain.bundle import Bundle
from retrain.errors import ModelError
from retrain.exporters import keras_weights
from retrain.exporters.child.scoring import TIMED
from retrain.exporters.litert.fp16 import fp16_model
from retrain.exporters.litert.int8 import int8_model
from retrain.exporters.parity import Scorer, read_pixels, score_all, tflite_scorer
from retrain.exporters.tfjs.files import graph_of, tfjs_files
from retrain.exporters.worker import TensorFlowWorker
from retrain.exporters.yardstick import Yardstick
from retrain.images import Floats, InputSpec


@dataclass(frozen=True)
class Source:
    """What every export is made of: the model's two files, and what it was trained with.

    Args:
        graph: the frozen graph.
        tflite: the LiteRT file that belongs to it.
        bundle: the graph's.
        calibration: paths of training photographs.
        weights: the backbone's weight file; None where it is not at hand.
    """

    graph: Path
    tflite: Path
    bundle: Bundle
    calibration: tuple[str, ...]
    weights: Path | None


@dataclass(frozen=True)
class Answers:
    """What an export says of photographs.

    Args:
        scores: float32 (N, C).
        ms: median milliseconds of one photograph on one core, without its decoding.
    """

    scores: Floats
    ms: float


Make = Callable[[Source, TensorFlowWorker, Path], object]
Run = Callable[[Path, Yardstick, TensorFlowWorker], Answers]


def make(name: str, source: Source, worker: TensorFlowWorker, place: Path) -> None:
    """Make an export.

    Args:
        name: of the format.
        source: what it is made of.
        worker: converts where TensorFlow has to.
        place: file or folder to write; not there yet.

    Raises:
        RetrainError: the model cannot be written in this format.
    """
    _MAKERS[name](source, worker, place)


def answers_of(name: str, place: Path, yardstick: Yardstick, worker: TensorFlowWorker) -> Answers:
    """Run an export on decoded photographs.

    Args:
        name: of the format.
        place: its file or folder.
        yardstick: the photographs.
        worker: runs it where TensorFlow has to.

    Returns:
        Its scores.

    Raises:
        RetrainError: it cannot be run.
    """
    return _RUNNERS[name](place, yardstick, worker)


def answers_to_files(name: str, place: Path, files: list[str], folder: Path, worker: TensorFlowWorker) -> Floats:
    """Run an export that decodes by itself on the files of photographs.

    Args:
        name: "graph" or "saved_model".
        place: its file or folder.
        files: paths of M photographs, of ``Yardstick.files``.
        folder: for what the child process writes.
        worker: runs it.

    Returns:
        float32 (M, C).

    Raises:
        RetrainError: it cannot be run.
    """
    scores = folder / f"{name}_files.npy"
    worker.call(f"{_CHILD_OF[name]}:score_files", place=str(place), files=files, scores=str(scores))
    return _load(scores)


def _make_fp16(source: Source, _: TensorFlowWorker, place: Path) -> None:
    fsio.write_bytes(place, fp16_model(source.tflite.read_bytes()))


def _make_int8(source: Source, worker: TensorFlowWorker, place: Path) -> None:
    pixels = read_pixels(source.calibration, source.bundle.input_spec)
    fsio.write_bytes(place, int8_model(source.graph, source.tflite.read_bytes(), source.bundle, pixels, worker))


def _make_onnx(source: Source, _: TensorFlowWorker, place: Path) -> None:
    from retrain.exporters.onnx.model import onnx_model  # here, because onnx is an extra

    fsio.write_bytes(place, onnx_model(source.graph.read_bytes(), source.bundle))


def _make_tfjs(source: Source, _: TensorFlowWorker, place: Path) -> None:
    for name, data in tfjs_files(source.graph.read_bytes(), source.bundle).items():
        fsio.write_bytes(place / name, data)


def _make_saved_model(source: Source, worker: TensorFlowWorker, place: Path) -> None:
    worker.call("saved_model:build", **_common(source, place))


def _make_keras(source: Source, worker: TensorFlowWorker, place: Path) -> None:
    if source.weights is None:
        raise ModelError(
            f"the weights of {source.bundle.architecture} are not at hand; give the file with the SHA-256 "
            f"{source.bundle.weights_sha256} as --weights"
        )
    facts = {"architecture": source.bundle.architecture, "weights": str(source.weights)}
    worker.call("keras_model:build", **_common(source, place), **facts)


def _common(source: Source, place: Path) -> dict[str, str]:
    return {"graph": str(source.graph), "bundle": source.bundle.to_json().decode(), "place": str(place)}


_MAKERS: dict[str, Make] = {
    "tflite_fp16": _make_fp16,
    "tflite_int8": _make_int8,
    "saved_model": _make_saved_model,
    "onnx": _make_onnx,
    "keras": _make_keras,
    "tfjs": _make_tfjs,
}
_CHILD_OF = {"graph": "graph", "saved_model": "saved_model", "keras": "keras_model"}


def _run_in_child(name: str) -> Run:
    def run(place: Path, yardstick: Yardstick, worker: TensorFlowWorker) -> Answers:
        scores = yardstick.folder / f"{name}.npy"
        facts: dict[str, Any] = {"pixels": str(yardstick.pixels_file()), "scores": str(scores)}
        facts |= yardstick.spec.numbers
        said = worker.call(f"{_CHILD_OF[name]}:score", place=str(place), **facts)
        return Answers(_load(scores), float(said["ms"]))

    return run


def _run_tfjs(place: Path, yardstick: Yardstick, worker: TensorFlowWorker) -> Answers:
    """Read back what was written, and run that; its time in a browser is another one."""
    graph = yardstick.folder / "tfjs.pb"
    fsio.write_bytes(graph, graph_of({path.name: path.read_bytes() for path in sorted(place.iterdir())}))
    return _run_in_child("graph")(graph, yardstick, worker)


def _run_here(open_scorer: Callable[[bytes, InputSpec], Scorer]) -> Run:
    def run(place: Path, yardstick: Yardstick, _: TensorFlowWorker) -> Answers:
        scorer = open_scorer(place.read_bytes(), yardstick.spec)
        scores, seconds = score_all(scorer, yardstick.pixels), []
        for picture in yardstick.pixels[: TIMED + 1]:
            start = time.perf_counter()
            scorer(picture)
            seconds.append(time.perf_counter() - start)
        return Answers(scores, 1000 * statistics.median(seconds[1:] or seconds))

    return run


def _open_onnx(content: bytes, spec: InputSpec) -> Scorer:
    from retrain.exporters.onnx.model import onnx_scorer

    return onnx_scorer(content, spec)


_RUNNERS: dict[str, Run] = {
    "graph": _run_in_child("graph"),
    "tflite": _run_here(tflite_scorer),
    "tflite_fp16": _run_here(tflite_scorer),
    "tflite_int8": _run_here(tflite_scorer),
    "saved_model": _run_in_child("saved_model"),
    "onnx": _run_here(_open_onnx),
    "keras": _run_in_child("keras"),
    "tfjs": _run_tfjs,
}


def _load(path: Path) -> Floats:
    scores: Floats = np.load(path, allow_pickle=False)
    return scores


def describe_tools(name: str) -> str:
    """Say what an export was run with.

    Args:
        name: of the format.

    Returns:
        Names and versions for ``exports.json``.
    """
    tool = {"onnx": "onnxruntime"}.get(name, "ai-edge-litert" if name.startswith("tflite") else "tensorflow")
    try:
        return f"{tool} {metadata.version(tool)}"
    except metadata.PackageNotFoundError:
        return tool


def problems_of_formats(formats: Iterable[str], architecture: str) -> list[str]:
    """Say which formats cannot be written, before anything is touched; nothing heavy is imported.

    Args:
        formats: their names.
        architecture: what the model stands on, as its description has it.

    Returns:
        One sentence a problem.
    """
    found = []
    if "keras" in formats:
        found.append(keras_weights.problem(architecture))
    if "onnx" in formats:
        from retrain.exporters.onnx import model as onnx_model

        found.append(onnx_model.problem())
    return [problem for problem in found if problem]
