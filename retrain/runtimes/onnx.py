"""ONNX models, run by onnxruntime, which is an extra."""

from __future__ import annotations

import importlib.util

import numpy as np

from retrain.errors import ModelError, first_line
from retrain.images import Floats
from retrain.modelfile.onnxfile import onnx_facts
from retrain.onnx_runtime import open_session
from retrain.runtimes.runtime import Fill

INSTALL = "python -m pip install 'retrain-photos[onnx]'"


class OnnxRuntime:
    """An ONNX model.

    Args:
        content: the bytes of an .onnx file; not trusted.
        height: pixels of its input.
        width: pixels.
        source: its path, for messages.

    Raises:
        ModelError: onnxruntime is not installed; or the model is damaged, or does what is not run.
    """

    def __init__(self, content: bytes, height: int, width: int, source: str) -> None:
        facts = onnx_facts(content, source)
        if len(facts.inputs) != 1 or facts.inputs[0].kind != "float32" or len(facts.inputs[0].shape) != 4:
            told = ", ".join(f"{one.name} {one.kind} {one.shape}" for one in facts.inputs) or "none"
            raise ModelError(f"expected {source} to take one float32 (N, height, width, 3), got {told}")
        if importlib.util.find_spec("onnxruntime") is None:
            raise ModelError(f"expected onnxruntime to run {source}, found none; {INSTALL}, or use the .tflite")
        self._shape, self._source = (1, height, width, 3), source
        self._input, self._output = facts.inputs[0].name, facts.outputs[0].name
        self._session = open_session(content, source)

    def scores(self, fill: Fill) -> Floats:
        """Score one picture, see Runtime."""
        picture = np.empty(self._shape, np.float32)
        fill(picture)
        try:
            (answer,) = self._session.run([self._output], {self._input: picture})
        except Exception as error:  # onnxruntime's own are thirteen classes that share no base
            raise ModelError(f"{self._source} cannot be run at {self._shape}: {first_line(error)}") from error
        row: Floats = np.asarray(answer, np.float32).reshape(-1)
        return row

    def close(self) -> None:
        """Let go of the session."""
        del self._session
