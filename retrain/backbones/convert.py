"""Build a backbone with Keras and write it as LiteRT and as a frozen graph that TensorFlow 1.15 reads, too.

Runs as a process of its own (``python -m retrain.backbones.convert``): TensorFlow's 1.1 GB, its seconds of import
and its chatter stay out of the run, and are paid once a backbone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from retrain import fsio
from retrain.backbones.table import BackboneSpec, find_backbone
from retrain.errors import RetrainError, WeightsError

INPUT_NODE = "input"
BOTTLENECK_NODE = "bottleneck"

# The attributes that TensorFlow 1.15 knows of the operations that backbones are made of. Newer TensorFlows write more
# (explicit_paddings, grad_a, ...), and 1.15 refuses a graph that has them even at their default; tests/tf proves it.
ATTRIBUTES_OF_1_15 = {
    "Add": {"T"},
    "AddV2": {"T"},
    "BiasAdd": {"T", "data_format"},
    "Const": {"dtype", "value"},
    "Conv2D": {
        "T",
        "data_format",
        "dilations",
        "explicit_paddings",
        "padding",
        "strides",
        "use_cudnn_on_gpu",
    },
    "DepthwiseConv2dNative": {"T", "data_format", "dilations", "padding", "strides"},
    "Identity": {"T"},
    "MatMul": {"T", "transpose_a", "transpose_b"},
    "Mean": {"T", "Tidx", "keep_dims"},
    "Mul": {"T"},
    "Pad": {"T", "Tpaddings"},
    "Placeholder": {"dtype", "shape"},
    "PlaceholderWithDefault": {"dtype", "shape"},
    "Relu6": {"T"},
    "Rsqrt": {"T"},
    "Softmax": {"T"},
    "Sub": {"T"},
}
# What a graph says it was made by; 1.15 itself says this.
_PRODUCER_OF_1_15 = 134


def main() -> int:
    """Convert one backbone; called by prepare.py in a child process.

    Returns:
        An exit code of retrain.errors.
    """
    parser = argparse.ArgumentParser(prog="python -m retrain.backbones.convert", description=__doc__)
    parser.add_argument("architecture")
    parser.add_argument("weights", type=Path, help=".npz or .h5, in the order of Keras' get_weights()")
    parser.add_argument("stem", type=Path, help="path of the files to write, without suffix")
    arguments = parser.parse_args()
    # Keras imports scikit-learn where it finds it, for wrappers that are not used here: 0.7 of the child's 4 s.
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]
    try:
        convert(find_backbone(arguments.architecture), arguments.weights, arguments.stem)
    except RetrainError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def convert(spec: BackboneSpec, weights: Path, stem: Path) -> None:
    """Write ``<stem>.tflite``, ``<stem>.pb`` and, last, ``<stem>.json`` with their hashes.

    Args:
        spec: the architecture.
        weights: its pretrained weights.
        stem: where to write.

    Raises:
        WeightsError: the weights do not fit the architecture.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    model = build(spec, weights)
    shape = (spec.input_spec.height, spec.input_spec.width, 3)
    graph = _tidy(_frozen(model, (None, *shape)))  # first, so that its names carry no "_1"
    tflite = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(model, (1, *shape))]).convert()
    fsio.write_bytes(stem.with_name(stem.name + ".tflite"), tflite)
    fsio.write_bytes(stem.with_name(stem.name + ".pb"), graph)
    manifest = {
        "tflite_sha256": fsio.sha256_file(f"{stem}.tflite"),
        "graph_sha256": fsio.sha256_file(f"{stem}.pb"),
        "tensorflow": tf.__version__,
    }
    fsio.write_text(f"{stem}.json", json.dumps(manifest, indent=1))


def build(spec: BackboneSpec, weights: Path) -> Any:  # noqa: ANN401 - a keras.Model; Keras has no types
    """Build the Keras model of a backbone.

    Args:
        spec: the architecture.
        weights: a .npz in the order of ``get_weights()``, or Keras' .h5.

    Returns:
        A keras.Model: float32 (N, H, W, 3) in -1 to 1 -> float32 (N, feature_width), average-pooled.

    Raises:
        WeightsError: the weights do not fit the architecture.
    """
    import keras

    shape = (spec.input_spec.height, spec.input_spec.width, 3)
    model = keras.applications.MobileNet(
        input_shape=shape, alpha=spec.width, include_top=False, weights=None, pooling="avg"
    )
    try:
        if weights.suffix == ".npz":
            model.set_weights(_read_npz(weights))
        else:
            model.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{weights} does not hold the weights of {spec.name}: {error}") from error
    return model


def _read_npz(path: Path) -> list[Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return [archive[name].astype(np.float32) for name in sorted(archive.files)]


def _frozen(model: Any, shape: tuple[int | None, ...]) -> Any:  # noqa: ANN401
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def forward(images: Any) -> Any:  # noqa: ANN401
        return tf.identity(model(images, training=False), name=BOTTLENECK_NODE)

    signature = tf.TensorSpec(shape, tf.float32, name=INPUT_NODE)
    return convert_variables_to_constants_v2(tf.function(forward).get_concrete_function(signature))


def _tidy(frozen: Any) -> bytes:  # noqa: ANN401
    """Cut a frozen function down to input -> bottleneck, its constants folded, in words that 1.15 understands."""
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
    from tensorflow.python.framework import graph_util
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training.saver import export_meta_graph

    graph = graph_util.extract_sub_graph(frozen.graph.as_graph_def(), [BOTTLENECK_NODE])
    meta = export_meta_graph(graph_def=graph, graph=frozen.graph)
    fetch = meta_graph_pb2.CollectionDef()
    fetch.node_list.value.extend([INPUT_NODE, BOTTLENECK_NODE])
    meta.collection_def["train_op"].CopyFrom(fetch)
    config = config_pb2.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.meta_optimizer_iterations = rewrite.ONE
    rewrite.optimizers.append("constfold")
    folded = tf_optimizer.OptimizeGraph(config, meta)
    stripped = strip_for_1_15(graph_util.extract_sub_graph(folded, [BOTTLENECK_NODE]))
    return bytes(stripped.SerializeToString(deterministic=True))


def strip_for_1_15(graph: Any) -> Any:  # noqa: ANN401 - a GraphDef, of whichever package
    """Take out of a graph what TensorFlow 1.15 does not know.

    Args:
        graph: a GraphDef; changed in place.

    Returns:
        The same graph.

    Raises:
        WeightsError: the graph has an operation whose attributes are not in the table.
    """
    for node in graph.node:
        if node.op not in ATTRIBUTES_OF_1_15:
            raise WeightsError(f"operation {node.op} ({node.name}) is not in the table of TensorFlow 1.15's attributes")
        for name in set(node.attr) - ATTRIBUTES_OF_1_15[node.op]:
            del node.attr[name]
        node.device = ""
        kept = [source for source in node.input if not source.startswith("^")]
        del node.input[:]
        node.input.extend(kept)
    graph.ClearField("library")
    graph.versions.producer = _PRODUCER_OF_1_15
    graph.versions.min_consumer = 0
    return graph


if __name__ == "__main__":
    sys.exit(main())
