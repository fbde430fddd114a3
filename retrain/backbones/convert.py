"""Build a backbone with Keras and write it as LiteRT and as a frozen graph that TensorFlow 1.15 reads, too.

Runs as a process of its own (``python -m retrain.backbones.convert``): TensorFlow's 1.1 GB, its seconds of import
and its chatter stay out of the run, and are paid once a backbone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retrain import fsio, networks
from retrain.backbones.savedweights import read_saved_weights
from retrain.backbones.slim import read_slim_mobilenet
from retrain.backbones.table import BackboneSpec, find_backbone
from retrain.errors import NumericalError, RetrainError, WeightsError
from retrain.graphs.checked import BOTTLENECK_NODE, INPUT_NODE
from retrain.graphs.compat import strip_for_1_15
from retrain.graphs.foreign import describe_graph
from retrain.images import Floats, InputSpec

# Means and standard deviations of ImageNet's channels, as the trainings had them.
_CAFFE_MEANS_BGR = (103.939, 116.779, 123.68)
_TORCH_MEANS = (0.485, 0.456, 0.406)
_TORCH_STDS = (0.229, 0.224, 0.225)


def main() -> int:
    """Convert one backbone; called by prepare.py in a child process.

    Returns:
        An exit code of retrain.errors.
    """
    parser = argparse.ArgumentParser(prog="python -m retrain.backbones.convert", description=__doc__)
    parser.add_argument("architecture")
    parser.add_argument("weights", type=Path, help=".npz or .h5, in the order of get_weights(), .pb, or a SavedModel")
    parser.add_argument("stem", type=Path, help="path of the files to write, without suffix")
    parser.add_argument("--graph", action="store_true", help="the .pb is the backbone itself, not just its weights")
    parser.add_argument("--bottleneck_tensor", default="", help="where the graph's features are")
    parser.add_argument("--hub", action="store_true", help="the SavedModel is the backbone itself")
    parser.add_argument("--input_height", type=int, default=0, help="pixels that the SavedModel is fed")
    parser.add_argument("--input_width", type=int, default=0, help="pixels that the SavedModel is fed")
    parser.add_argument("--definition", action="store_true", help="read the blocks of a network, JSON, from stdin")
    arguments = parser.parse_args()
    # Keras imports scikit-learn where it finds it, for wrappers that are not used here: 0.7 of the child's 4 s.
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]
    try:
        if arguments.graph:
            _convert_graph(arguments.weights, arguments.bottleneck_tensor, arguments.stem)
        elif arguments.hub:
            _convert_hub(arguments)
        else:
            definition = sys.stdin.read() if arguments.definition else ""
            convert(find_backbone(arguments.architecture, definition), arguments.weights, arguments.stem)
    except RetrainError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _convert_graph(graph: Path, bottleneck_tensor: str, stem: Path) -> None:
    from retrain.backbones.graph_convert import convert_graph  # here, because it stands on this file

    data = graph.read_bytes()
    convert_graph(data, describe_graph(data, bottleneck_tensor), stem)


def _convert_hub(arguments: argparse.Namespace) -> None:
    from retrain.backbones.hub_convert import convert_module  # here, because it stands on this file

    input_spec = InputSpec(arguments.input_height, arguments.input_width, 127.5, 127.5)
    convert_module(arguments.weights, arguments.bottleneck_tensor, input_spec, arguments.stem)


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
    model = build(spec, weights)
    write_converted(lambda images: model(as_trained(images, spec.preprocessing), training=False), spec.input_spec, stem)


def write_converted(forward: Callable[[Any], Any], input_spec: InputSpec, stem: Path) -> None:
    """Write a backbone's files from a function on tensors.

    Args:
        forward: float32 tensor (N, H, W, 3), RGB, -1 to 1 -> float32 tensor (N, feature_width).
        input_spec: gives height and width.
        stem: where to write.

    Raises:
        WeightsError: the graph has an operation that the table of TensorFlow 1.15 does not.
    """
    import tensorflow as tf

    shape = (None, input_spec.height, input_spec.width, 3)
    graph = _tidy(_frozen(forward, shape, BOTTLENECK_NODE))  # first, so that its names carry no "_1"
    write_files(stem, tflite_of(forward, input_spec), graph, tf.__version__)


def tflite_of(forward: Callable[[Any], Any], input_spec: InputSpec, result: str = BOTTLENECK_NODE) -> bytes:
    """Convert a function on tensors to LiteRT.

    Args:
        forward: float32 tensor (N, H, W, 3), RGB, -1 to 1 -> float32 tensor (N, D).
        input_spec: gives height and width.
        result: what the output is called.

    Returns:
        A .tflite file: float32 (1, H, W, 3) -> float32 (1, D).
    """
    import tensorflow as tf

    function = _frozen(forward, (1, input_spec.height, input_spec.width, 3), result)
    converted: bytes = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    return converted


def write_files(stem: Path, tflite: bytes, graph: bytes, tensorflow: str) -> None:
    """Write a converted backbone; the manifest last, as it says that the others are whole.

    Args:
        stem: where to write, without suffix.
        tflite: float32 (1, H, W, 3) -> (1, feature_width).
        graph: frozen GraphDef with the nodes ``input`` and ``bottleneck``.
        tensorflow: the version that converted it.
    """
    hashes = {
        "tflite_sha256": hashlib.sha256(tflite).hexdigest(),
        "graph_sha256": hashlib.sha256(graph).hexdigest(),
    }
    manifest = json.dumps({**hashes, "tensorflow": tensorflow}, indent=1).encode()
    fsio.write_together({f"{stem}.tflite": tflite, f"{stem}.pb": graph, f"{stem}.json": manifest})


def build(spec: BackboneSpec, weights: Path) -> Any:  # noqa: ANN401 - a keras.Model; Keras has no types
    """Build the Keras model of a backbone.

    Args:
        spec: the architecture.
        weights: a .npz in the order of ``get_weights()``, Keras' .h5, a .pb of Google's MobileNet V1, or the folder of
            a SavedModel.

    Returns:
        A keras.Model: float32 (N, H, W, 3), what its training was fed -> float32 (N, feature_width), average-pooled.

    Raises:
        WeightsError: the weights do not fit the architecture.
        NumericalError: a weight is not a finite number.
    """
    model = build_untrained(spec)
    try:
        if weights.is_dir():
            model.set_weights(read_saved_weights(model, weights))
        elif weights.suffix == ".npz":
            model.set_weights(read_npz(weights))
        elif weights.suffix == ".pb":
            model.set_weights(list(read_slim_mobilenet(weights.read_bytes()).arrays))
        else:
            model.load_weights(weights)
        settle_normalization(model)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{weights} does not hold the weights of {spec.name}: {error}") from error
    import numpy as np

    if bad := sum(not np.isfinite(array).all() for array in model.get_weights()):
        wrong = f"expected finite numbers in {weights}, got NaN or infinity in {bad} of its arrays"
        raise NumericalError(f"{wrong}; nothing was converted: get the file again, or give an earlier one")
    return model


def build_untrained(spec: BackboneSpec) -> Any:  # noqa: ANN401
    """Build the Keras model of a backbone with the weights that Keras draws at random.

    Args:
        spec: the architecture.

    Returns:
        A keras.Model that takes what its training was fed, see BackboneSpec.preprocessing.
    """
    if spec.network is not None:
        return networks.build(spec.network)
    import keras

    shape = (spec.input_spec.height, spec.input_spec.width, 3)
    builder = getattr(keras.applications, spec.builder)
    model = builder(input_shape=shape, include_top=False, weights=None, pooling="avg", **spec.arguments)
    ungroup(model)
    return model


def settle_normalization(model: Any) -> None:  # noqa: ANN401
    """Have the layers that normalise pixels (EfficientNet's) take up the weights that they were given.

    Trap: set_weights leaves them as they were; only load_weights brings them up to date. And Keras' EfficientNet has a
    layer more where it fetches its weights by itself: their "variances" are standard deviations, so it divides once
    more by their root. Squared, they are variances, and the layer is not needed. (tensorflow issue 49930)

    Args:
        model: a keras.Model whose weights were set.
    """
    import numpy as np

    for layer in model._flatten_layers():
        if type(layer).__name__ == "Normalization" and layer.weights:
            mean, variance, count = layer.get_weights()
            if np.allclose(variance, _TORCH_STDS, rtol=1e-3):
                layer.set_weights([mean, variance**2, count])
            layer.finalize_state()


def ungroup(model: Any) -> None:  # noqa: ANN401
    """Compute convolutions of one channel a group (ConvNeXt's) as the depthwise convolutions that they are.

    Trap: Keras hands grouped convolutions to XLA, whose calls neither LiteRT nor a frozen graph can hold.

    Args:
        model: a keras.Model; what is saved of it stays Keras' own.

    Raises:
        WeightsError: it has groups of more than one channel.
    """
    import tensorflow as tf

    def depthwise(inputs: Any, kernel: Any) -> Any:  # noqa: ANN401
        return tf.nn.depthwise_conv2d(inputs, tf.transpose(kernel, (0, 1, 3, 2)), (1, 1, 1, 1), "SAME")

    for layer in model._flatten_layers():
        if type(layer).__name__ == "Conv2D" and layer.groups > 1:
            if layer.groups != layer.filters or layer.strides != (1, 1) or layer.padding != "same":
                raise WeightsError(f"layer {layer.name} has groups of channels that cannot be converted")
            layer.convolution_op = depthwise


def as_trained(images: Any, preprocessing: str) -> Any:  # noqa: ANN401
    """Turn RGB in -1 to 1 into what a backbone's training was fed, as keras.applications' preprocess_input does.

    Args:
        images: float32 tensor (N, H, W, 3), RGB, -1 to 1.
        preprocessing: see BackboneSpec.

    Returns:
        float32 tensor (N, H, W, 3).
    """
    import tensorflow as tf

    if preprocessing == "tf":
        return images
    matrix, offset = scaling_of(preprocessing)
    # A 1x1 convolution scales, turns RGB to BGR and shifts in one operation that every runtime has.
    return tf.nn.conv2d(images, tf.constant(matrix[None, None]), 1, "VALID") + tf.constant(offset)


def scaling_of(preprocessing: str) -> tuple[Floats, Floats]:
    """Say what turns RGB in -1 to 1 into what a backbone's training was fed: a matrix and what is added.

    Args:
        preprocessing: see BackboneSpec.

    Returns:
        float32 (3, 3), from our channels to its own, and float32 (3,), to add.
    """
    import numpy as np

    if preprocessing == "tf":
        return np.eye(3, dtype=np.float32), np.zeros(3, np.float32)
    matrix, offset = np.eye(3) * 127.5, np.full(3, 127.5)
    if preprocessing == "caffe":
        matrix, offset = matrix[:, ::-1], offset - np.array(_CAFFE_MEANS_BGR)
    elif preprocessing == "torch":
        stds = np.array(_TORCH_STDS)
        matrix, offset = matrix / (255 * stds), (offset / 255 - np.array(_TORCH_MEANS)) / stds
    return np.ascontiguousarray(matrix, np.float32), offset.astype(np.float32)


def read_npz(path: Path) -> list[Floats]:
    """Read the arrays of a .npz file.

    Args:
        path: the file.

    Returns:
        float32 arrays, in the order of their names, numbers in them counted: arr_2 before arr_10, 999 before 1000.

    Raises:
        OSError, ValueError: it is none, or holds what is no array of numbers.
    """
    import numpy as np

    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return [archive[name].astype(np.float32) for name in sorted(archive.files, key=_counted)]


def _counted(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


def _frozen(forward: Callable[[Any], Any], shape: tuple[int | None, ...], result: str) -> Any:  # noqa: ANN401
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def named(images: Any) -> Any:  # noqa: ANN401
        return tf.identity(forward(images), name=result)

    signature = tf.TensorSpec(shape, tf.float32, name=INPUT_NODE)
    return convert_variables_to_constants_v2(tf.function(named).get_concrete_function(signature))


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


if __name__ == "__main__":
    sys.exit(main())
