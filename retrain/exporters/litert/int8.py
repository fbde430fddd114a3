"""A LiteRT file in 8-bit integers: a third of the size, about twice as fast, and close to the float32 model.

TensorFlow converts it in the process of worker.py (child/quantise.py). Rounding every activation of a backbone to 8
bits shifts its features by a tenth, much of it always in the same direction. A head of one layer is converted, too, and
then fitted anew: one that knows the shift makes up for some of it. Share of photographs with the float32 model's first
label, without and with, MobileNet 0.50: flowers 99.5 and 100 % of 375; TrashNet 95.5 % of 400 and 97.2 % of 600, which
is refused. Any other head stays in float32, because what a layer before the last makes of shifted features no fit of
the last can undo, and is given features from which their mean shift has been taken (bias correction: Nagel et al.,
"Data-free quantization through weight equalization and bias correction", 2019, ICCV).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.bundle import Bundle
from retrain.errors import ModelError
from retrain.exporters.frozen.head import read_head
from retrain.exporters.litert.appending import Appender, pack
from retrain.exporters.litert.model import append_head, described
from retrain.exporters.worker import TensorFlowWorker
from retrain.graphs.checked import BOTTLENECK_NODE
from retrain.head import Head
from retrain.head.layers import NOTHING
from retrain.images import Floats, InputSpec, Pixels, normalise
from retrain.litert import open_model

Indices = npt.NDArray[np.intp]

# Each costs a slow pass of the converter's.
MOST_CALIBRATED = 200
# How much the fit holds on to the trained weights, in units of the features' mean variance.
_RIDGE = 0.25


def calibration_rows(labels: Indices, training: Indices, seed: int) -> Indices:
    """Choose training photographs to calibrate on, as many of each class as there are, up to MOST_CALIBRATED in all.

    Args:
        labels: intp (N,), the class of each photograph.
        training: intp (T,), those that were trained on.
        seed: of the draw.

    Returns:
        intp (M,), class after class in turn, none twice.
    """
    shuffled = np.random.default_rng([seed, 4]).permutation(training)
    place = np.zeros(len(shuffled), np.intp)
    for label in np.unique(labels[shuffled]):
        mine = labels[shuffled] == label
        place[mine] = np.arange(mine.sum())
    return shuffled[np.argsort(place, kind="stable")][:MOST_CALIBRATED]


def int8_model(graph: Path, tflite: bytes, bundle: Bundle, pixels: Pixels, worker: TensorFlowWorker) -> bytes:
    """Make the int8 model.

    Args:
        graph: path of the frozen graph of backbone and head.
        tflite: the float32 LiteRT model of the same.
        bundle: goes inside; names the scores.
        pixels: uint8 (N, H, W, 3), RGB, photographs of the training to calibrate on.
        worker: converts.

    Returns:
        A .tflite file: float32 (1, H, W, 3) -> float32 (1, C), scores, and no bottleneck vector, which would be none
        of the training's; integers in between, builtin operations.

    Raises:
        ModelError: the architecture cannot be converted.
    """
    head = read_head(graph.read_bytes(), bundle, str(graph))
    if head.before or head.after == NOTHING:
        return _with_float_head(graph, tflite, head, bundle, pixels, worker)
    return _whole(graph, tflite, head, bundle, pixels, worker)


def _whole(graph: Path, tflite: bytes, head: Head, bundle: Bundle, pixels: Pixels, worker: TensorFlowWorker) -> bytes:
    """Make integers of backbone and head, which is one layer that is fitted anew."""
    from ai_edge_litert import schema_py_generated as schema

    converted, spec = _converted(graph, bundle, bundle.output_node, pixels, worker), bundle.input_spec
    model = schema.ModelT.InitFromPackedBuf(converted, 0)
    logits = head.logits(_given_to_head(tflite, pixels, spec))
    fitted = fitted_head(head, _given_to_head(converted, pixels, spec), logits)
    _set_head(model, _head_layer(model), fitted)
    return described(model, bundle, len(converted))


def _with_float_head(
    graph: Path, tflite: bytes, head: Head, bundle: Bundle, pixels: Pixels, worker: TensorFlowWorker
) -> bytes:
    """Make integers of the backbone, and put the head behind it in float32."""
    from ai_edge_litert import schema_py_generated as schema

    converted, spec = _converted(graph, bundle, BOTTLENECK_NODE, pixels, worker), bundle.input_spec
    shift = (_vectors(tflite, pixels, spec) - _vectors(converted, pixels, spec)).mean(axis=0, keepdims=True)
    model = schema.ModelT.InitFromPackedBuf(converted, 0)
    (vector,) = model.subgraphs[0].outputs
    made = Appender(model)
    places = made.constant("bottleneck/shift", shift), made.result("bottleneck/shifted", shift.size)
    shifted = made.operation("ADD", [vector, places[0]], places[1], options="AddOptions")
    model.subgraphs[0].outputs = [append_head(model, shifted, head, bundle.output_node)]
    return described(model, bundle, len(converted))


def fitted_head(head: Head, features: Floats, logits: Floats) -> Head:
    """Fit a head to features that are off, so that it gives the same logits: ridge regression towards its weights.

    Args:
        head: trained on exact features.
        features: float32 (N, D), the inexact ones.
        logits: float32 (N, C), what the head gives for the exact ones.

    Returns:
        The head for inexact features.
    """
    centre = features.mean(axis=0, dtype=np.float64)
    x = features - centre
    gram = x.T @ x
    ridge = _RIDGE * np.trace(gram) / len(gram) + 1e-9
    wanted = logits - logits.mean(axis=0, dtype=np.float64) - x @ head.weights
    weights = head.weights + np.linalg.solve(gram + ridge * np.eye(len(gram)), x.T @ wanted)
    biases = logits.mean(axis=0, dtype=np.float64) - centre @ weights
    return replace(head, weights=weights.astype(np.float32), biases=biases.astype(np.float32))


def _converted(graph: Path, bundle: Bundle, last: str, pixels: Pixels, worker: TensorFlowWorker) -> bytes:
    with tempfile.TemporaryDirectory(prefix="retrain-int8-") as folder:
        place = Path(folder)
        with fsio.replacing(place / "pixels.npy") as file:
            np.save(file, pixels, allow_pickle=False)
        facts = {"pixels": str(place / "pixels.npy"), "place": str(place / "int8.tflite")}
        scaling = {"mean": bundle.input_mean, "std": bundle.input_std}
        try:
            worker.call("quantise:build", graph=str(graph), output_node=last, **facts, **scaling)
        except ModelError as error:
            raise ModelError(f"{bundle.architecture} cannot be converted to int8; leave it away. {error}") from error
        return (place / "int8.tflite").read_bytes()


def _head_layer(model: Any) -> Any:  # noqa: ANN401
    """Find the operation of the head: the last FULLY_CONNECTED."""
    from ai_edge_litert import schema_py_generated as schema

    wanted = schema.BuiltinOperator.FULLY_CONNECTED
    for operator in reversed(model.subgraphs[0].operators):
        if model.operatorCodes[operator.opcodeIndex].builtinCode == wanted:
            return operator
    raise ModelError("expected the converted model to end in the head's FULLY_CONNECTED, it has none")


def _given_to_head(content: bytes, pixels: Pixels, spec: InputSpec) -> Floats:
    """Compute what the head of a model is given: float32 (N, D); integers are read as the numbers they stand for."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, layer = model.subgraphs[0], _head_layer(model)
    source = layer.inputs[0]
    tensor = graph.tensors[source]
    scale, zero = (1.0, 0) if tensor.type == schema.TensorType.FLOAT32 else _scale_of(tensor)
    graph.operators = graph.operators[: graph.operators.index(layer)]
    graph.outputs, model.signatureDefs = [source], None
    return (_run(pack(model, len(content)), pixels, spec) - np.float32(zero)) * np.float32(scale)


def _vectors(content: bytes, pixels: Pixels, spec: InputSpec) -> Floats:
    """Compute the bottleneck vectors, a model's last output: float32 (N, D)."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.subgraphs[0].outputs, model.signatureDefs = [model.subgraphs[0].outputs[-1]], None
    return _run(pack(model, len(content)), pixels, spec)


def _run(content: bytes, pixels: Pixels, spec: InputSpec) -> Floats:
    opened = open_model(content)
    return np.stack([opened.run(partial(normalise, picture, spec)).ravel() for picture in pixels]).astype(np.float32)


def _set_head(model: Any, layer: Any, head: Head) -> None:  # noqa: ANN401
    """Put a head's numbers in the place of those that are there, in the integers of that place."""
    tensors = model.subgraphs[0].tensors
    source, weights, biases = (tensors[index] for index in layer.inputs)
    scale, _ = _scale_of(source)
    rows = head.weights.T.astype(np.float64)
    steps = np.abs(rows).max(axis=1) / 127
    if len(weights.quantization.scale) == 1:
        steps[:] = steps.max()
    steps = np.maximum(steps, np.finfo(np.float32).tiny * 1e6)
    _set_numbers(model, weights, np.rint(rows / steps[:, None]).astype(np.int8), steps)
    limits = np.iinfo(np.int32)
    whole = np.rint(head.biases / (scale * steps)).clip(limits.min, limits.max)
    _set_numbers(model, biases, whole.astype("<i4"), scale * steps)


def _set_numbers(model: Any, tensor: Any, values: npt.NDArray[Any], steps: npt.NDArray[np.float64]) -> None:  # noqa: ANN401
    if list(tensor.shape) != list(values.shape):
        raise ModelError(f"expected the converted head to have shape {values.shape}, got {tuple(tensor.shape)}")
    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    tensor.quantization.scale = steps[: len(tensor.quantization.scale)].astype(np.float32)
    tensor.quantization.min = tensor.quantization.max = None


def _scale_of(tensor: Any) -> tuple[float, int]:  # noqa: ANN401
    if tensor.quantization is None or tensor.quantization.scale is None:
        raise ModelError("expected the converted head to take integers, it takes floating-point numbers")
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
