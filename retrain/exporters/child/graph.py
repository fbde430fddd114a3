"""In the TensorFlow child: runs a frozen graph over photographs, fed as numbers or as files, as old clients feed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

from retrain.errors import ModelError
from retrain.exporters.child.scoring import Pictures, score_pixels
from retrain.exporters.child.scoring import score_files as _score_files
from retrain.exporters.frozen.decoding import CONTENTS_NODE
from retrain.graphs.checked import INPUT_NODE, source_name
from retrain.graphs.sessions import import_sessions
from retrain.litert import usable_cores
from retrain.modelfile.graph import graph_bundle


def score(*, place: str, **given: Unpack[Pictures]) -> dict[str, float]:
    """Feed decoded photographs at ``input``.

    Args:
        place: path of the frozen graph; it ends in one operation, or its bundle names the one that is asked for.
        given: the photographs.

    Returns:
        "ms": median milliseconds of one photograph.

    Raises:
        ModelError: it cannot be told which operation gives the scores.
    """
    return score_pixels(_runner(place, INPUT_NODE), usable_cores(), **given)


def score_files(*, place: str, files: list[str], scores: str) -> dict[str, float]:
    """Feed files at ``DecodeJpeg/contents``.

    Args:
        place: path of the frozen graph.
        files: paths of JPEG, PNG or GIF files.
        scores: path of the .npy to write, float32 (N, C).

    Returns:
        "ms": median milliseconds of one photograph, its decoding included, on one thread.

    Raises:
        ModelError: it cannot be told which operation gives the scores.
    """
    return _score_files(_runner(place, CONTENTS_NODE), files=files, scores=scores, threads=usable_cores())


def _runner(place: str, feed: str) -> Any:  # noqa: ANN401 - of what is fed
    """Open a graph in a session that calculates in the thread that asks, whatever else this process runs."""
    tf, data = import_sessions(), Path(place).read_bytes()
    definition = tf.graph_def.FromString(data)
    output = _output_node(definition, data, place)
    with tf.graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    config = tf.config(intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1)
    return tf.session(graph=graph, config=config).make_callable(f"{output}:0", feed_list=[f"{feed}:0"])


def _output_node(definition: Any, data: bytes, place: str) -> str:  # noqa: ANN401
    bundle = graph_bundle(data, place)
    if bundle is not None:
        return bundle.output_node
    taken = {source_name(source) for node in definition.node for source in node.input}
    ends = [node.name for node in definition.node if node.name not in taken]
    if len(ends) != 1:
        raise ModelError(f"expected {place} to end in one operation, got {', '.join(ends[:5]) or 'none'}")
    return str(ends[0])
