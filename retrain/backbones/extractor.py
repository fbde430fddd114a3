"""The frozen backbone as a function from pixels to a bottleneck vector, on LiteRT with XNNPACK.

Each thread has its own one-thread interpreter at batch 1: measured the fastest exact engine on a CPU (docs/design.md),
and a vector does not depend on which others were computed with it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from retrain.distortions import UNDISTORTED, Distortion, apply
from retrain.errors import NumericalError
from retrain.extraction import Description
from retrain.images import LIMITS, Floats, InputSpec, Pixels, SkyStretch, decode_rgb, decode_upright, normalise
from retrain.litert import OpenModel, open_model


class FrozenBackbone:
    """Turns photographs into bottleneck vectors; may be called from any number of threads.

    Args:
        tflite: the converted backbone.
        input_spec: size and scaling of its input.
        distortion: what ``views`` draws from; by default nothing is distorted.
    """

    def __init__(self, tflite: Path, input_spec: InputSpec, distortion: Distortion = UNDISTORTED) -> None:
        self._tflite = tflite
        self._input_spec = input_spec
        self._distortion = distortion
        self._local = threading.local()

    @functools.cached_property
    def _content(self) -> bytes:
        # Read where it is used: who hands the work to another process does not hold it.
        return self._tflite.read_bytes()

    def description(self) -> Description:
        """Say how another process of this machine makes the same extractor.

        Returns:
            Who makes it, and of what.
        """
        return Description(f"{__name__}:described", describe(self._tflite, self._input_spec, self._distortion))

    def __getstate__(self) -> dict[str, object]:
        # For workers in other processes: an open interpreter belongs to its thread, and is opened anew there. They may
        # be on other machines, which have no such file.
        _ = self._content
        return {name: value for name, value in self.__dict__.items() if name != "_local"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()

    def features(self, pixels: Pixels | Floats) -> Floats:
        """Run the backbone on one picture.

        Args:
            pixels: uint8 or, when distorted, float32 (H, W, 3), RGB, 0 to 255, of the backbone's input size.

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

    def views(self, data: bytes, sha256: bytes, numbers: Sequence[int]) -> Floats:
        """Decode one image file once and run the backbone on distorted views of it.

        Args:
            data: the bytes of an image file.
            sha256: their digest.
            numbers: which views, V of them.

        Returns:
            float32 (V, feature_width).

        Raises:
            ImageError: the bytes are not an image that is read.
        """
        spec = self._input_spec
        image = decode_upright(data, *self._distortion.least_size(spec), LIMITS, spec.sky)
        drawn = [self._distortion.draw(sha256, number) for number in numbers]
        # Flips and turns alone make only 8 pictures; each different one is run once.
        vectors = {view: self.features(apply(image, view, spec)) for view in dict.fromkeys(drawn)}
        return np.stack([vectors[view] for view in drawn])

    def _open(self) -> OpenModel:
        if not hasattr(self._local, "model"):
            self._local.model = open_model(self._content)
        model: OpenModel = self._local.model
        return model


def describe(tflite: Path, input_spec: InputSpec, distortion: Distortion) -> dict[str, Any]:
    """Write down what an extractor is made of.

    Args:
        tflite: the converted backbone.
        input_spec: size and scaling of its input.
        distortion: what views are drawn from.

    Returns:
        What JSON can hold.
    """
    return {"tflite": str(tflite.absolute()), "input_spec": asdict(input_spec), "distortion": asdict(distortion)}


def parts(
    tflite: str, input_spec: Mapping[str, Any], distortion: Mapping[str, Any]
) -> tuple[Path, InputSpec, Distortion]:
    """Read what describe wrote.

    Args:
        tflite: path of the converted backbone.
        input_spec: fields of an InputSpec.
        distortion: fields of a Distortion.

    Returns:
        What describe was given.
    """
    sky = input_spec["sky"]
    stretch = None if sky is None else SkyStretch(**sky)
    return Path(tflite), InputSpec(**{**input_spec, "sky": stretch}), Distortion(**distortion)


def described(**described_as: Any) -> FrozenBackbone:  # noqa: ANN401
    """Make an extractor of its description.

    Args:
        described_as: what describe wrote.

    Returns:
        The extractor.
    """
    return FrozenBackbone(*parts(**described_as))
