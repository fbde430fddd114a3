"""Frozen graphs: what ours say of themselves."""

from __future__ import annotations

from pathlib import Path

from retrain.bundle import GRAPH_NODE, Bundle, bundle_from_json
from retrain.errors import ModelError
from retrain.modelfile.files import read_model_file
from retrain.modelfile.wire import find_text_constant


def read_graph_bundle(graph: Path) -> Bundle:
    """Read what a frozen graph of ours says of itself; nothing in it is run.

    Args:
        graph: a .pb file.

    Returns:
        The description.

    Raises:
        ModelError: the file is not a graph, or not one that this tool wrote.
    """
    bundle = graph_bundle(read_model_file(graph, "a model"), str(graph))
    if bundle is None:
        raise ModelError(f"{graph} does not say what it is: it was not written by this tool")
    return bundle


def graph_bundle(data: bytes, source: str) -> Bundle | None:
    """Read what a frozen graph says of itself.

    Args:
        data: a serialised GraphDef; not trusted, not run.
        source: its path, for messages.

    Returns:
        The description; None where it has none, and another tool wrote it.

    Raises:
        ModelError: the bytes are no graph, or its description is damaged.
    """
    text = find_text_constant(data, GRAPH_NODE)
    if text is not None:
        return bundle_from_json(text, source)
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    try:
        definition = GraphDef.FromString(data)
    except DecodeError as error:
        raise ModelError(f"{source} is not a frozen TensorFlow graph: {error}") from error
    if any(node.name == GRAPH_NODE for node in definition.node):
        raise ModelError(f"{source}: its description is not readable (it holds no text); train the model again")
    return None
