"""Weights for the package: float16 arrays '000', '001' ... in the order of Keras' get_weights()."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.errors import NumericalError

Arrays = Sequence[npt.NDArray[Any]]
# The largest difference of a pooled feature, 0 to 6, between PyTorch and Keras in float32.
KERAS_TOLERANCE = 1e-3
# float16 has no finite number above this, and few digits below the other.
_LARGEST, _SMALLEST_VARIANCE = 6e4, 1e-4
_ARRAYS_A_LAYER = 5
_GAMMA, _VARIANCE = 1, 4
_EPSILON = 1e-3  # of batch normalisation


def settle_variances(arrays: Arrays) -> list[npt.NDArray[Any]]:
    """Raise the variances of channels that hardly speak to what float16 can hold; what the network does stays the same.

    Args:
        arrays: in the order of ``get_weights()``.

    Returns:
        The arrays, gamma and variance of such channels changed.
    """
    settled = list(arrays)
    for first in range(0, len(settled), _ARRAYS_A_LAYER):
        gamma, variance = settled[first + _GAMMA], settled[first + _VARIANCE]
        raised = np.maximum(variance, 2 * _SMALLEST_VARIANCE)
        settled[first + _GAMMA] = gamma * np.sqrt((raised + _EPSILON) / (variance + _EPSILON))
        settled[first + _VARIANCE] = raised
    return settled


def pack(arrays: Arrays) -> bytes:
    """Pack weights as the package keeps them.

    Args:
        arrays: in the order of ``get_weights()``.

    Returns:
        The bytes of a .npz; equal arrays give equal bytes.

    Raises:
        NumericalError: a number is not finite, or does not fit into float16.
    """
    for number, array in enumerate(arrays):
        if not np.isfinite(array).all() or np.abs(array).max() > _LARGEST:
            raise NumericalError(f"array {number:03d} holds numbers that float16 cannot")
        if number % _ARRAYS_A_LAYER == _VARIANCE and array.min() < _SMALLEST_VARIANCE:
            raise NumericalError(f"array {number:03d}: a variance of {array.min():.1e} is too small for float16")
    return _npz({f"{number:03d}": array.astype(np.float16) for number, array in enumerate(arrays)})


def _npz(arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpack(path: Path) -> list[npt.NDArray[np.float32]]:
    """Read packed weights back, as float32."""
    with np.load(path, allow_pickle=False) as archive:
        return [archive[name].astype(np.float32) for name in sorted(archive.files)]


def pack_head(kernel: npt.NDArray[Any], bias: npt.NDArray[Any]) -> bytes:
    """Pack a classifier on the student's pooled features.

    Args:
        kernel: (width, 1001), background first.
        bias: (1001,).

    Returns:
        The bytes of a .npz with float16 "kernel" and "bias".
    """
    return _npz({"kernel": kernel.astype(np.float16), "bias": bias.astype(np.float16)})


def write_weights(out: Path, name: str, arrays: Arrays, head: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> Path:
    """Write <name>.npz and head1001.npz together; returns the first's path."""
    path = out / f"{name}.npz"
    fsio.write_together({str(path): pack(arrays), str(out / "head1001.npz"): pack_head(*head)})
    return path


def keras_difference(path: Path, alpha: float, images: npt.NDArray[np.uint8], wanted: npt.NDArray[Any]) -> float | None:
    """Load packed weights into Keras and compare.

    Args:
        path: of write_weights.
        alpha: the student's width.
        images: uint8 (N, 224, 224, 3).
        wanted: pooled features, (N, width).

    Returns:
        The largest difference of a feature; None where TensorFlow is not installed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        return None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import keras

    model = keras.applications.MobileNet(
        input_shape=images.shape[1:], alpha=alpha, include_top=False, weights=None, pooling="avg"
    )
    model.set_weights(unpack(path))
    got = np.asarray(model(images.astype(np.float32) / 127.5 - 1, training=False))
    return float(np.abs(got - wanted).max())
