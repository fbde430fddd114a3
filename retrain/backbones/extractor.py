"""The frozen backbone as a function from pixels to a bottleneck vector, on LiteRT with XNNPACK.

Each thread has its own one-thread interpreter at batch 1: measured the fastest exact engine on a CPU (docs/design.md),
and a vector does not depend on which others were computed with it.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from retrain.errors import NumericalError
from retrain.images import Floats, InputSpec, Pixels, decode_rgb, normalise
from retrain.litert import OpenModel, open_model


class FrozenBackbone:
    """Turns photographs into bottleneck vectors; may be called from any number of threads.

    Args:
        tflite: the converted backbone.
        input_spec: size and scaling of its input.
    """

    def __init__(self, tflite: Path, input_spec: InputSpec) -> None:
        self._content = tflite.read_bytes()
        self._input_spec = input_spec
        self._local = threading.local()

    def features(self, pixels: Pixels) -> Floats:
        """Run the backbone on one picture.

        Args:
            pixels: uint8 (H, W, 3), RGB, 0 to 255, of the backbone's input size.

        Returns:
            float32 (feature_width,).

        Raises:
            NumericalError: a feature is not a finite number.
        """
        vector: Floats = self._open().run(lambda out: normalise(pixels, self._input_spec, out))[0]
        if not np.isfinite(vector).all():
            raise NumericalError("the backbone gave a feature that is not a finite number; its weights are damaged")
        return vector

    def __call__(self, data: bytes) -> Floats:
        """Decode one image file and run the backbone on it.

        Args:
            data: the bytes of an image file.

        Returns:
            float32 (feature_width,).

        Raises:
            ImageError: the bytes are not an image that is read.
        """
        return self.features(decode_rgb(data, self._input_spec))

    def _open(self) -> OpenModel:
        if not hasattr(self._local, "model"):
            self._local.model = open_model(self._content)
        model: OpenModel = self._local.model
        return model
