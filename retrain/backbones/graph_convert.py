"""Converts a frozen graph of another tool into a backbone's files. TensorFlow gets the copy that foreign.py made."""

from __future__ import annotations

import os
from pathlib import Path

from retrain.backbones.convert import write_files
from retrain.errors import WeightsError
from retrain.graphs.checked import BOTTLENECK_NODE, INPUT_NODE
from retrain.graphs.foreign import MAX_ACTIVATIONS, ForeignGraph, inference_graph


def convert_graph(graph: bytes, description: ForeignGraph, stem: Path) -> None:
    """Write ``<stem>.tflite``, ``<stem>.pb`` and, last, ``<stem>.json`` with their hashes. Imports TensorFlow.

    Args:
        graph: what was described.
        description: of describe_graph.
        stem: where to write, without suffix.

    Raises:
        WeightsError: the graph is not allowed, too large, or TensorFlow cannot run it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    frozen = inference_graph(graph, description)
    import tensorflow as tf

    try:
        tflite = _tflite(inference_graph(graph, description, batch=1), description.feature_width)
    except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise WeightsError(f"TensorFlow {tf.__version__} cannot convert the graph: {reason[0]}") from error
    write_files(stem, tflite, frozen, tf.__version__)


def _tflite(frozen: bytes, features: int) -> bytes:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(frozen)
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    for tensor in (tensor for operation in wrapped.graph.get_operations() for tensor in operation.outputs):
        size = tensor.shape.num_elements()
        if size is None or size > MAX_ACTIVATIONS:
            raise WeightsError(f"{tensor.name} is of shape {tensor.shape}: at most {MAX_ACTIVATIONS} numbers")
    model = wrapped.prune(f"{INPUT_NODE}:0", f"{BOTTLENECK_NODE}:0")
    if tuple(model.outputs[0].shape) != (1, features):
        raise WeightsError(f"the bottleneck gives {tuple(model.outputs[0].shape)} for a picture, not (1, {features})")
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([model]).convert())
