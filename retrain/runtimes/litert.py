"""LiteRT models: an interpreter a thread, made when the thread first asks."""

from __future__ import annotations

import threading

from retrain.errors import ModelError
from retrain.images import Floats
from retrain.litert import OpenModel, open_model
from retrain.modelfile.tflite import tflite_facts
from retrain.runtimes.runtime import Fill


class LiteRuntime:
    """A LiteRT model.

    Args:
        content: the bytes of a .tflite file; not trusted.
        height: pixels of its input.
        width: pixels.
        source: its path, for messages.

    Raises:
        ModelError: it is damaged, too large, or holds an operation that is not run.
    """

    def __init__(self, content: bytes, height: int, width: int, source: str = "the .tflite file") -> None:
        facts = tflite_facts(content, source)
        for what, tensors in (("input", facts.inputs), ("output", facts.outputs)):
            if len(tensors) != 1 or tensors[0].kind != "float32":
                told = ", ".join(f"{one.name} {one.kind} {one.shape}" for one in tensors) or "none"
                raise ModelError(f"expected {source} to have one {what}, float32, got {told}; convert it to float32")
        self._content, self._shape, self._source = content, (1, height, width, 3), source
        self._local = threading.local()

    def scores(self, fill: Fill) -> Floats:
        """Score one picture, see Runtime."""
        row: Floats = self._model().run(fill).reshape(-1)
        return row

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
