"""In the sandbox: TensorFlow opens the model. Nothing of Python that a model brings is run.

A SavedModel is loaded as a graph with signatures: Keras' and TensorFlow's object loaders, which make Python objects of
what the files say, are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import ModelError
from retrain.sandbox.bounds import INPUT_FLAG, OUTPUT_FLAG

_SHOWN = 8


@dataclass(frozen=True)
class Opened:
    """A model that is ready.

    Args:
        run: float32 (N, H, W, 3) -> an array of numbers.
        input_node: the tensor that takes the picture.
        output_node: the tensor that gives the scores.
        shape: of the input; -1 where it is open; empty where the model does not say.
    """

    run: Callable[[npt.NDArray[np.float32]], Any]
    input_node: str
    output_node: str
    shape: tuple[int, ...]


def load_tensorflow() -> None:
    """Import all of TensorFlow that is needed later, when its files cannot be read any more."""
    import tensorflow  # noqa: F401
    from tensorflow.python.saved_model import loader, signature_constants, tag_constants  # noqa: F401


def open_graph(data: bytes, input_node: str, output_node: str, threads: int) -> Opened:
    """Open a frozen graph.

    Args:
        data: a serialised GraphDef; not trusted.
        input_node: a node or tensor; empty to find it.
        output_node: a node or tensor; empty to find it.
        threads: that calculate.

    Returns:
        The model.

    Raises:
        ModelError: it is no graph, or input or output cannot be told.
        Exception: whatever TensorFlow says to it.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        definition: Any = tf.compat.v1.GraphDef.FromString(data)
    except DecodeError as error:
        raise ModelError(f"expected a frozen TensorFlow graph, got bytes that are none: {error}") from error
    place = tf.Graph()
    with place.as_default():
        tf.import_graph_def(definition, name="")
    nodes = {node.name: node for node in definition.node}
    source = _tensor(input_node or _only(_picture_inputs(nodes), "input", INPUT_FLAG))
    result = _tensor(output_node or _only(_ends(nodes), "output", OUTPUT_FLAG))
    return _opened(place, _session(place, threads), source, result)


def open_saved_model(folder: Path, input_node: str, output_node: str, threads: int) -> Opened:
    """Open a SavedModel by one of its signatures.

    Args:
        folder: it; not trusted.
        input_node: a signature's input, a node or a tensor; empty to find it.
        output_node: the same for the scores.
        threads: that calculate.

    Returns:
        The model.

    Raises:
        ModelError: no signature takes pictures and gives scores, or several do.
        Exception: whatever TensorFlow says to it.
    """
    import tensorflow as tf
    from tensorflow.python.saved_model import loader

    place = tf.Graph()
    session = _session(place, threads)
    with place.as_default():
        meta: Any = loader.load(session, ["serve"], str(folder))
    inputs = {key: info for one in meta.signature_def.values() for key, info in one.inputs.items()}
    outputs = {key: info for one in meta.signature_def.values() for key, info in one.outputs.items()}
    source = _by_signature(input_node, inputs) or _only(_takes_pictures(meta), "input of a signature", INPUT_FLAG)
    result = _by_signature(output_node, outputs) or _only(
        _answers(meta, source), "output of the signature", OUTPUT_FLAG
    )
    return _opened(place, session, source, result)


def _session(place: Any, threads: int) -> Any:  # noqa: ANN401
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    return tf.compat.v1.Session(graph=place, config=config)


def _opened(place: Any, session: Any, source: str, result: str) -> Opened:  # noqa: ANN401
    tensors = {}
    for name in (source, result):
        try:
            tensors[name] = place.get_tensor_by_name(name)
        except (KeyError, ValueError) as error:
            raise ModelError(f"the model has no tensor {name}; python -m retrain show prints what it has") from error
    run = session.make_callable(tensors[result], feed_list=[tensors[source]])
    shape = tensors[source].shape
    sizes = () if shape.rank is None else tuple(-1 if size is None else int(size) for size in shape.as_list())
    return Opened(run, source, result, sizes)


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _only(names: list[str], what: str, flag: str) -> str:
    if len(names) == 1:
        return names[0]
    found = ", ".join(names[:_SHOWN]) + (" and more" if len(names) > _SHOWN else "") or "none"
    raise ModelError(f"expected exactly one {what} that could be meant, got {found}; name it with {flag}")


def _picture_inputs(nodes: Mapping[str, Any]) -> list[str]:
    from tensorflow.core.framework import types_pb2

    kinds = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
    found = [name for name, node in nodes.items() if node.op in kinds and _is_picture(node.attr["shape"].shape)]
    return [name for name in found if nodes[name].attr["dtype"].type == types_pb2.DT_FLOAT]


def _is_picture(shape: Any) -> bool:  # noqa: ANN401
    return bool(shape.unknown_rank or not shape.dim or (len(shape.dim) == 4 and shape.dim[3].size in (3, -1)))


def _ends(nodes: Mapping[str, Any]) -> list[str]:
    """Nodes that nothing else takes; of several, the softmax."""
    used = {source.removeprefix("^").split(":")[0] for node in nodes.values() for source in node.input}
    silent = ("Const", "NoOp", "Assert", "Placeholder")
    ends = [name for name, node in nodes.items() if name not in used and node.op not in silent]
    best = [name for name in ends if nodes[name].op == "Softmax"]
    return best if len(best) == 1 else ends


def _by_signature(name: str, known: Mapping[str, Any]) -> str:
    return "" if not name else known[name].name if name in known else _tensor(name)


def _takes_pictures(meta: Any) -> list[str]:  # noqa: ANN401
    """Tensors that a signature takes a picture by, alone; of several signatures, the one that serves by default."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.saved_model.signature_constants import DEFAULT_SERVING_SIGNATURE_DEF_KEY

    found = {}
    for key, signature in meta.signature_def.items():
        inputs = list(signature.inputs.values())
        if len(inputs) == 1 and inputs[0].dtype == types_pb2.DT_FLOAT and _is_picture(inputs[0].tensor_shape):
            found[key] = inputs[0].name
    default = found.get(DEFAULT_SERVING_SIGNATURE_DEF_KEY)
    return [default] if default else sorted(set(found.values()))


def _answers(meta: Any, source: str) -> list[str]:  # noqa: ANN401
    """Tensors of numbers that the signature with this input gives."""
    from tensorflow.core.framework import types_pb2

    found = set()
    for signature in meta.signature_def.values():
        if source in [info.name for info in signature.inputs.values()]:
            found |= {info.name for info in signature.outputs.values() if info.dtype == types_pb2.DT_FLOAT}
    return sorted(found)
