"""Models that may do more than calculate, after somebody said that they trust them: in a child process with limits."""

from __future__ import annotations

import numpy as np

from retrain.images import Floats
from retrain.runtimes.runtime import Fill
from retrain.sandbox import SandboxedModel


class TrustedRuntime:
    """A model in the sandbox.

    Args:
        model: open there.
        height: pixels of its input.
        width: pixels.
    """

    def __init__(self, model: SandboxedModel, height: int, width: int) -> None:
        self._model, self._shape = model, (1, height, width, 3)

    def scores(self, fill: Fill) -> Floats:
        """Score one picture, see Runtime; one at a time, whoever asks."""
        picture = np.empty(self._shape, np.float32)
        fill(picture)
        return self._model.scores(picture)

    def close(self) -> None:
        """End the child process."""
        self._model.close()
