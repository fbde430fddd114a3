"""In the TensorFlow child: converts a frozen graph to LiteRT in 8-bit integers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retrain import fsio
from retrain.images import InputSpec, normalise


def build(*, graph: str, output_node: str, pixels: str, place: str, mean: float, std: float) -> dict[str, Any]:
    """Convert a graph.

    Args:
        graph: path of the frozen graph: backbone and head.
        output_node: the last that is wanted: its scores, or the bottleneck vector.
        pixels: path of a .npy, uint8 (N, H, W, 3), photographs to calibrate on.
        place: where to write.
        mean: subtracted from each channel value (0 to 255).
        std: what the difference is divided by.

    Returns:
        Nothing.
    """
    pictures = np.load(pixels, mmap_mode="r", allow_pickle=False)
    spec = InputSpec(pictures.shape[1], pictures.shape[2], mean, std)
    fsio.write_bytes(place, quantise(Path(graph).read_bytes(), output_node, pictures, spec))
    return {}


def quantise(graph: bytes, output_node: str, pixels: Any, spec: InputSpec) -> bytes:  # noqa: ANN401
    """Convert weights to int8 (a scale a channel) and activations to int8, ranges from photographs.

    The method is Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", after training. Input and output stay float32, so that whoever runs the model need not know.

    Args:
        graph: serialised GraphDef with the node ``input``.
        output_node: the last node that is wanted.
        pixels: uint8 (N, H, W, 3), RGB, photographs to calibrate on.
        spec: how they are scaled.

    Returns:
        A .tflite file: float32 (1, H, W, 3) -> float32, what the node gives, of builtin operations.
    """
    import tensorflow as tf

    def photographs() -> Iterator[list[Any]]:
        for picture in pixels:
            yield [normalise(picture, spec)]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([_function(graph, output_node, spec)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = photographs
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


def _function(graph: bytes, output_node: str, spec: InputSpec) -> Any:  # noqa: ANN401
    """Cut a frozen graph to input -> output, one photograph at a time."""
    import tensorflow as tf
    from tensorflow.python.framework.graph_util import extract_sub_graph

    definition = tf.compat.v1.GraphDef.FromString(graph)
    for node in definition.node:
        if node.name == "input":  # what decodes photographs stands before it
            node.op = "Placeholder"
            del node.input[:]
            node.attr["shape"].shape.CopyFrom(tf.TensorShape((1, spec.height, spec.width, 3)).as_proto())
    definition = extract_sub_graph(definition, [output_node])
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    ends = [wrapped.graph.get_tensor_by_name(f"{name}:0") for name in ("input", output_node)]
    return wrapped.prune(*ends)
