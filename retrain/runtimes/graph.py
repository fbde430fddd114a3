"""Plain graphs made from checked operations, run by TensorFlow in this process; it is imported only here."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrain.errors import ModelError, first_line
from retrain.graphs.foreign import MAX_ACTIVATIONS
from retrain.graphs.sessions import import_sessions
from retrain.images import Floats
from retrain.runtimes.runtime import Fill


class GraphRuntime:
    """A plain graph.

    Args:
        graph: a serialised GraphDef that graphs/ made from what it checked; never a file as it came.
        tensors: names of its input and its output.
        height: pixels of its input.
        width: pixels.
        source: the model's path, for messages.

    Raises:
        ModelError: TensorFlow cannot run it, or it is too large.
    """

    def __init__(self, graph: bytes, tensors: tuple[str, str], height: int, width: int, source: str) -> None:
        self._shape, self._source = (1, height, width, 3), source
        self._session, self._ask = self._opened(graph, *tensors)

    def scores(self, fill: Fill) -> Floats:
        """Score one picture, see Runtime."""
        picture = np.empty(self._shape, np.float32)
        fill(picture)
        try:
            row: Floats = np.asarray(self._ask(picture), np.float32).reshape(-1)
        except self._errors as error:
            raise ModelError(f"TensorFlow cannot run {self._source} at {self._shape}: {first_line(error)}") from error
        return row

    def close(self) -> None:
        """Let go of the session."""
        self._session.close()

    def _opened(self, graph: bytes, source: str, result: str) -> tuple[Any, Any]:
        tf = import_sessions()
        self._errors = (tf.error, ValueError, TypeError, RuntimeError)
        # A picture a thread, as with LiteRT: -1 runs the operations in the thread that asks.
        config = tf.config(intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1)
        try:
            with tf.graph().as_default() as whole:
                picture = tf.placeholder(tf.float32, self._shape, name="picture")
                (answer,) = tf.import_graph_def(
                    tf.graph_def.FromString(graph), input_map={_tensor(source): picture},
                    return_elements=[_tensor(result)], name="model",
                )  # fmt: skip
                self._check_sizes(whole)
            session = tf.session(graph=whole, config=config)
            return session, session.make_callable(answer, feed_list=[picture])
        except self._errors as error:
            raise ModelError(f"TensorFlow cannot open {self._source}: {first_line(error)}") from error

    def _check_sizes(self, whole: Any) -> None:  # noqa: ANN401
        """Before anything is calculated: a few operations can ask for more memory than there is."""
        for tensor in (one for operation in whole.get_operations() for one in operation.outputs):
            size = tensor.shape.num_elements()
            if size is not None and size > MAX_ACTIVATIONS and tensor.op.type != "Const":
                raise ModelError(
                    f"{self._source}: {tensor.name} is of shape {tensor.shape}, at most {MAX_ACTIVATIONS} numbers are "
                    "calculated at once"
                )


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"
