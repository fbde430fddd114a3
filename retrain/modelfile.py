"""Model files, read without running anything in them: the description that travels inside."""

from __future__ import annotations

import struct
from pathlib import Path

from retrain.bundle import GRAPH_NODE, METADATA_ENTRY, Bundle, bundle_from_json
from retrain.errors import ModelError

# No graph of ours is larger, and protobuf itself stops at 2 GiB.
MAX_MODEL_BYTES = 1 << 30
# Ours have one or two entries.
_MAX_METADATA = 64


def read_graph_bundle(graph: Path) -> Bundle:
    """Read what a frozen graph says of itself; nothing in it is run.

    Args:
        graph: a .pb file.

    Returns:
        The description.

    Raises:
        ModelError: the file is not a graph, or not one that this tool wrote.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    data = read_model_file(graph, "a model")
    try:
        definition = GraphDef.FromString(data)
    except DecodeError as error:
        raise ModelError(f"{graph} is not a frozen TensorFlow graph: {error}") from error
    for node in definition.node:
        if node.name == GRAPH_NODE and node.op == "Const" and node.attr["value"].tensor.string_val:
            return bundle_from_json(node.attr["value"].tensor.string_val[0], str(graph))
    raise ModelError(
        f"{graph} does not say what it is: it was not written by this tool. Labelling with other tools' graphs "
        "is not in this version; train one with python -m retrain"
    )


def read_tflite_bundle(content: bytes, source: str) -> Bundle:
    """Read what a LiteRT model says of itself; nothing in it is run.

    Args:
        content: a .tflite file; not trusted.
        source: its path, for messages.

    Returns:
        The description.

    Raises:
        ModelError: it is no LiteRT model, or not one that this tool wrote.
    """
    from ai_edge_litert import schema_py_generated as schema

    if content[4:8] != b"TFL3":
        raise ModelError(f"{source} is not a LiteRT model; train one with python -m retrain")
    try:
        model = schema.Model.GetRootAs(content, 0)
        for index in range(min(model.MetadataLength(), _MAX_METADATA)):
            entry = model.Metadata(index)
            if entry.Name() == METADATA_ENTRY.encode():
                text = model.Buffers(entry.Buffer()).DataAsNumpy()
                return bundle_from_json(bytes(text), source)
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as error:
        # flatbuffers follows the offsets that it finds, wherever they lead.
        raise ModelError(f"{source} is damaged: {error}; train the model again") from error
    raise ModelError(
        f"{source} does not say what it is: it was not written by this tool. Labelling with other tools' models "
        "is not in this version; train one with python -m retrain"
    )


def read_model_file(path: Path, what: str) -> bytes:
    """Read a model file.

    Args:
        path: the file.
        what: it should be, for messages.

    Returns:
        Its bytes.

    Raises:
        ModelError: it cannot be read, or is too large.
    """
    try:
        size = path.stat().st_size
        if size > MAX_MODEL_BYTES:
            raise ModelError(f"expected {path} to be {what}, got {size} bytes, at most {MAX_MODEL_BYTES} are read")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"expected {path} to be {what}: {error.strerror}; train one with python -m retrain") from error
