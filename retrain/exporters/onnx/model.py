"""An ONNX file of backbone and head: float32 (batch, H, W, 3) -> float32 (batch, C), probabilities.

Made from the frozen graph by the modules beside this one, without TensorFlow: graph.py reads what is calculated,
operations.py (with windows.py, moves.py, affine.py and sizes.py) says it in ONNX's words, writer.py keeps track of
where channels are.

What there was: tf2onnx 1.17.0 (2026), whose readme asks for a new maintainer. With TensorFlow 2.21, NumPy 2.4 and
protobuf 7 it still converts the bundled MobileNet once PlaceholderWithDefault is taken out by hand, but it imports
TensorFlow (5 s of processor time against 0.1 s here), and leaves each batch normalisation as a Mul and an Add behind
its convolution, for the runtime to fold. Keras' own export to ONNX calls tf2onnx, and has no head and no metadata.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from retrain.bundle import METADATA_ENTRY, Bundle
from retrain.errors import ModelError, UsageError
from retrain.exporters.onnx.graph import BATCH, PlainGraph, Shape, Tensor, Value, read_plain_graph
from retrain.exporters.onnx.operations import convert
from retrain.exporters.onnx.writer import IR_VERSION, OPSET, Writer, dimension
from retrain.exporters.parity import Scorer
from retrain.images import Floats, InputSpec, Pixels, normalise
from retrain.onnx_runtime import open_session

PACKAGES = ("onnx", "onnxruntime")
_PRODUCER = "retrain-photos"


def problem(packages: Sequence[str] = PACKAGES) -> str:
    """Say whether this machine can write ONNX files and check them; costs no import.

    Args:
        packages: what is needed; onnxruntime alone runs a file that is there.

    Returns:
        A sentence, or nothing where all is well.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    return (
        f"expected {' and '.join(packages)} for the format onnx, found no {' and no '.join(missing)}; "
        "python -m pip install 'retrain-photos[onnx]'"
    )


def onnx_model(graph: bytes, bundle: Bundle) -> bytes:
    """Write a frozen graph as ONNX.

    Args:
        graph: of backbone and head, a serialised GraphDef; what stands before ``bundle.input_node`` is left out.
        bundle: names input and output, and goes inside as the metadata entry ``retrain.bundle``.

    Returns:
        A .onnx file, the same bytes for the same arguments: ``bundle.input_node``, float32 (batch, H, W, 3), scaled
        as everywhere here -> ``bundle.output_node``, float32 (batch, C).

    Raises:
        ModelError: an operation has no counterpart; the text names it.
        UsageError: the package onnx is not installed.
    """
    _require(("onnx",))
    import onnx

    plain = read_plain_graph(graph, bundle.input_node, bundle.output_node)
    shape = (BATCH, *_input_size(plain, bundle), 3)
    writer = Writer(plain.readers)
    result = _convert_all(writer, plain, Tensor(bundle.input_node, shape), bundle)
    model = _assemble(writer, shape, result, bundle)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(
            f"the ONNX model of {bundle.architecture} is not valid, which is a fault of ours: {error}"
        ) from error
    return bytes(model.SerializeToString(deterministic=True))


def onnx_scorer(content: bytes, spec: InputSpec) -> Scorer:
    """Make a scorer of an ONNX model.

    Args:
        content: a .onnx file: float32 (batch, H, W, 3) -> float32 (batch, C).
        spec: its input.

    Returns:
        The scorer; one thread a call, and safe to call from several.

    Raises:
        ModelError: onnxruntime does not open it.
        UsageError: the package onnxruntime is not installed.
    """
    _require(("onnxruntime",))
    session = open_session(content)
    source = session.get_inputs()[0].name

    def score(pixels: Pixels) -> Floats:
        answer: Floats = session.run(None, {source: normalise(pixels, spec)})[0][0]
        return answer

    return score


def _require(packages: Sequence[str]) -> None:
    missing = problem(packages)
    if missing:
        raise UsageError(missing)


def _input_size(plain: PlainGraph, bundle: Bundle) -> tuple[int, int]:
    said = (bundle.input_height, bundle.input_width)
    if plain.input_shape not in (None, said):
        raise ModelError(
            f"expected the graph to take pictures of {said[0]} x {said[1]} pixels, as its description says, "
            f"it takes {plain.input_shape}; train the model again"
        )
    return said


def _convert_all(writer: Writer, plain: PlainGraph, source: Tensor, bundle: Bundle) -> Tensor:
    values: dict[str, Value] = {**plain.constants, source.name: writer.add_input(source)}
    for operation in plain.operations:
        values[operation.name] = convert(writer, operation, [values[name] for name in operation.sources])
    result = values[bundle.output_node]
    expected = (BATCH, len(bundle.labels))
    if not isinstance(result, Tensor) or result.shape != expected:
        raise ModelError(
            f"expected {bundle.output_node} to give {expected[1]} scores a photograph, one a label, it does not; "
            "train the model again"
        )
    if result.name == bundle.output_node:
        return result
    return writer.emit("Identity", [writer.in_order(result, first=False)], Tensor(bundle.output_node, expected))


def _assemble(writer: Writer, shape: Shape, result: Tensor, bundle: Bundle) -> Any:  # noqa: ANN401
    from onnx import TensorProto, helper, numpy_helper

    nodes, arrays = writer.used(result.name)
    graph = helper.make_graph(
        [
            helper.make_node(node.kind, node.inputs, [name], name=name, **node.attributes)
            for name, node in nodes.items()
        ],
        bundle.architecture,
        [helper.make_tensor_value_info(bundle.input_node, TensorProto.FLOAT, list(map(dimension, shape)))],
        [helper.make_tensor_value_info(result.name, TensorProto.FLOAT, list(map(dimension, result.shape)))],
        [numpy_helper.from_array(_stored(values), name) for name, values in arrays.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name=_PRODUCER, producer_version=bundle.versions.get(_PRODUCER, ""),
    )  # fmt: skip
    helper.set_model_props(model, _properties(bundle))
    return model


def _stored(values: Any) -> Any:  # noqa: ANN401
    kind = np.int64 if values.dtype.kind == "i" else np.float32
    return np.ascontiguousarray(values, kind).reshape(values.shape)  # ascontiguousarray makes (1,) of ()


def _properties(bundle: Bundle) -> dict[str, str]:
    """Say in the words of a person what the model is, beside the record itself."""
    return {
        METADATA_ENTRY: bundle.to_json().decode(),
        "architecture": bundle.architecture,
        "input": (
            f"{bundle.input_node}: float32 (batch, {bundle.input_height}, {bundle.input_width}, 3), "
            f"{bundle.colour_order}, (value - {bundle.input_mean:g}) / {bundle.input_std:g} of values from 0 to 255"
        ),
        "labels": "\n".join(bundle.labels),
        "output": f"{bundle.output_node}: float32 (batch, {len(bundle.labels)}), probabilities in the order of labels",
    }
