"""Converts a SavedModel: the child's side of hub.py. TensorFlow gets the graph of inline.py, never the SavedModel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from retrain import fsio
from retrain.backbones.archive import unpack_module
from retrain.backbones.convert import write_converted
from retrain.errors import WeightsError
from retrain.graphs import SAVED_MODEL
from retrain.graphs.checkpoint import Checkpoint, fill
from retrain.graphs.foreign import MAX_ACTIVATIONS
from retrain.graphs.inline import IMAGES, Skeleton, write_out
from retrain.graphs.savedmodel import find_entry, parse_saved_model
from retrain.images import InputSpec


def convert_module(path: Path, output: str, input_spec: InputSpec, stem: Path) -> None:
    """Write ``<stem>.tflite``, ``<stem>.pb`` and, last, ``<stem>.json`` with their hashes.

    Args:
        path: folder or archive of a SavedModel; not trusted.
        output: name of the output that the features are, or empty to find it.
        input_spec: gives height and width.
        stem: where to write, without suffix.

    Raises:
        WeightsError: the SavedModel is not allowed, is damaged, or TensorFlow cannot run it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    if path.is_dir():
        _convert_folder(path, output, input_spec, stem)
        return
    # A name that is always the same, under the lock of prepare.py: what a killed run left is found and removed.
    unpacked = stem.with_name(f"{stem.name}.unpacked")
    fsio.discard(unpacked)
    try:
        unpack_module(path, unpacked)
        _convert_folder(unpacked, output, input_spec, stem)
    finally:
        fsio.discard(unpacked)


def _convert_folder(folder: Path, output: str, input_spec: InputSpec, stem: Path) -> None:
    meta = parse_saved_model((folder / SAVED_MODEL).read_bytes(), str(folder))
    entry = find_entry(meta, str(folder), output)
    skeleton = write_out(meta, entry, input_spec.height, input_spec.width)
    if skeleton.variables:
        fill(skeleton.graph, skeleton.variables, meta.object_graph_def.nodes, Checkpoint(folder))
    import tensorflow as tf

    try:
        write_converted(_forward(skeleton), input_spec, stem)
    except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise WeightsError(f"TensorFlow {tf.__version__} cannot convert {folder}: {reason[0]}") from error


def _forward(skeleton: Skeleton) -> Any:  # noqa: ANN401 - a function on tensors
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(skeleton.graph.SerializeToString())
    result = skeleton.result if ":" in skeleton.result else f"{skeleton.result}:0"

    def forward(images: Any) -> Any:  # noqa: ANN401
        # The hub's convention is 0 to 1, this project's -1 to 1.
        unit = (images + 1.0) * 0.5
        (features,) = tf.graph_util.import_graph_def(
            definition, input_map={f"{IMAGES}:0": unit}, return_elements=[result], name="backbone"
        )
        _check_sizes(features, images.shape[0], skeleton.features)
        return features

    return forward


def _check_sizes(features: Any, batch: int | None, wanted: int) -> None:  # noqa: ANN401
    """Before anything is calculated; what depends on the number of photographs is known when that is one."""
    if batch == 1 and tuple(features.shape) != (1, wanted):
        raise WeightsError(
            f"expected the SavedModel to give float32 (1, {wanted}) for a photograph, got {tuple(features.shape)}; "
            "only rows of features can be trained on"
        )
    for tensor in (tensor for operation in features.graph.get_operations() for tensor in operation.outputs):
        size = tensor.shape.num_elements()
        if size is not None and size > MAX_ACTIVATIONS:
            raise WeightsError(f"{tensor.name} is of shape {tensor.shape}: at most {MAX_ACTIVATIONS} numbers")
