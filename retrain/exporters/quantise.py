"""Convert a frozen graph to LiteRT in 8-bit integers; the only exporter that imports TensorFlow.

Runs as a process of its own (``python -m retrain.exporters.quantise``), started by tflite_int8.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retrain import fsio
from retrain.images import InputSpec, normalise


def main() -> int:
    """Convert one graph.

    Returns:
        0; a failure is a traceback, whose last lines the parent shows.
    """
    parser = argparse.ArgumentParser(prog="python -m retrain.exporters.quantise", description=__doc__)
    parser.add_argument("graph", type=Path, help="frozen graph: backbone and head")
    parser.add_argument("output_node")
    parser.add_argument("pixels", type=Path, help=".npy, uint8 (N, H, W, 3), photographs to calibrate on")
    parser.add_argument("mean", type=float)
    parser.add_argument("std", type=float)
    parser.add_argument("tflite", type=Path, help="where to write")
    given = parser.parse_args()
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type] # Keras would import it, for nothing that is used
    pixels = np.load(given.pixels, mmap_mode="r", allow_pickle=False)
    spec = InputSpec(pixels.shape[1], pixels.shape[2], given.mean, given.std)
    fsio.write_bytes(given.tflite, quantise(given.graph.read_bytes(), given.output_node, pixels, spec))
    return 0


def quantise(graph: bytes, output_node: str, pixels: Any, spec: InputSpec) -> bytes:  # noqa: ANN401
    """Convert weights to int8 (a scale a channel) and activations to int8, ranges from photographs.

    The method is Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", after training. Input and output stay float32, so that whoever runs the model need not know.

    Args:
        graph: serialised GraphDef with the node ``input``.
        output_node: its softmax.
        pixels: uint8 (N, H, W, 3), RGB, photographs to calibrate on.
        spec: how they are scaled.

    Returns:
        A .tflite file: float32 (1, H, W, 3) -> float32 (1, C), of builtin operations.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
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

    definition = extract_sub_graph(tf.compat.v1.GraphDef.FromString(graph), [output_node])
    for node in definition.node:
        if node.name == "input":
            shape = tf.TensorShape((1, spec.height, spec.width, 3)).as_proto()
            node.attr["shape"].shape.CopyFrom(shape)
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    ends = [wrapped.graph.get_tensor_by_name(f"{name}:0") for name in ("input", output_node)]
    return wrapped.prune(*ends)


if __name__ == "__main__":
    sys.exit(main())
