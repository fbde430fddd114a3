"""LiteRT models: an interpreter a thread, made when the thread first asks."""

from __future__ import annotations

import threading

from retrain.errors import ModelError
from retrain.graphs.checked import BOTTLENECK_NODE
from retrain.images import Floats
from retrain.litert import OpenModel, open_model
from retrain.modelfile.tflite import Tensor, tflite_facts
from retrain.runtimes.runtime import Fill


class LiteRuntime:
    """A LiteRT model.

    Args:
        content: the bytes of a .tflite file; not trusted.
        height: pixels of its input.
        width: pixels.
        source: its path, for messages.
        feature_width: of a model of ours, how long its bottleneck vector is: it may give that second. 0: it may not.

    Raises:
        ModelError: it is damaged, too large, or holds an operation that is not run.
    """

    def __init__(
        self, content: bytes, height: int, width: int, source: str = "the .tflite file", feature_width: int = 0
    ) -> None:
        facts = tflite_facts(content, source)
        outputs = facts.outputs
        if len(outputs) == 2 and [_is_vector(one, feature_width) for one in outputs] == [False, True]:
            outputs = outputs[:1]
        for what, tensors in (("input", facts.inputs), ("output", outputs)):
            if len(tensors) != 1 or tensors[0].kind != "float32":
                told = ", ".join(f"{one.name} {one.kind} {one.shape}" for one in tensors) or "none"
                raise ModelError(f"expected {source} to have one {what}, float32, got {told}; convert it to float32")
        self._content, self._shape, self._source = content, (1, height, width, 3), source
        self._local = threading.local()

    def scores(self, fill: Fill) -> Floats:
        """Score one picture, see Runtime."""
        row: Floats = self._model().run(fill).reshape(-1)
        return row

    def scores_and_vector(self, fill: Fill) -> tuple[Floats, Floats | None]:
        """Score one picture and give its bottleneck vector, see Runtime."""
        row, vector = self._model().run_both(fill)
        return row.reshape(-1), None if vector is None else vector.reshape(-1)

    def close(self) -> None:
        """Nothing to let go of: each thread's interpreter goes with it."""

    def _model(self) -> OpenModel:
        if not hasattr(self._local, "model"):
            try:
                self._local.model = open_model(self._content, self._shape)
            except (ValueError, RuntimeError) as error:
                raise ModelError(f"{self._source} cannot be run at {self._shape}: {error}") from error
        model: OpenModel = self._local.model
        return model


def _is_vector(tensor: Tensor, width: int) -> bool:
    return width > 0 and (tensor.name, tensor.kind, tensor.shape) == (BOTTLENECK_NODE, "float32", (1, width))
