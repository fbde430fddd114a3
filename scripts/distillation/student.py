"""The student: a small MobileNet and the projection that makes the teacher's features of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from retrain.errors import WeightsError
from scripts.distillation.network import LAYERS, Layer, layer_strides

# Names of a layer's tensors in a checkpoint; those of torch.nn, as the first version of these scripts had them.
_NAMES = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")


@dataclass
class Student:
    """What is trained.

    Args:
        layers: of the small MobileNet.
        kernel: of the projection, (student's width, teacher's width).
        bias: of the projection.
    """

    layers: list[Layer]
    kernel: Tensor
    bias: Tensor

    def project(self, features: Tensor) -> Tensor:
        """Map the student's features to the teacher's: (..., C) -> (..., 1024), float32."""
        return (features @ self.kernel.to(features.dtype)).float() + self.bias

    def parameters(self, still: int = 0) -> list[Tensor]:
        """What is trained, without the first layers that stand still."""
        inner = [tensor for layer in self.layers[still:] for tensor in layer.trained()]
        return [*inner, self.kernel, self.bias]

    def copy(self) -> Student:
        """A copy that shares nothing."""
        layers = [Layer.of([tensor.detach().clone() for tensor in one.tensors()], one.stride) for one in self.layers]
        return Student(layers, self.kernel.detach().clone(), self.bias.detach().clone())

    def state(self) -> dict[str, Any]:
        """Everything as plain tensors, for a checkpoint."""
        tensors = {
            f"layers.{number}.{name}": tensor.detach().clone()
            for number, layer in enumerate(self.layers)
            for name, tensor in zip(_NAMES, layer.tensors(), strict=True)
        }
        return {"student": tensors, "proj": (self.kernel.detach().clone(), self.bias.detach().clone())}


def student_from(state: Mapping[str, Any]) -> Student:
    """Make a student of a checkpoint's tensors: the inverse of Student.state."""
    tensors, strides = state["student"], layer_strides()
    layers = [
        Layer.of([tensors[f"layers.{number}.{name}"].clone().contiguous() for name in _NAMES], strides[number])
        for number in range(LAYERS)
    ]
    kernel, bias = state["proj"]
    return Student(layers, kernel.clone(), bias.clone())


def read_student(path: Path) -> Student:
    """Read a student from a checkpoint of these scripts.

    Args:
        path: a .pt file.

    Returns:
        The student.

    Raises:
        WeightsError: it is not such a file.
    """
    try:
        return student_from(torch.load(path, weights_only=True))
    except Exception as error:  # torch raises whatever a damaged or foreign archive led it to
        raise WeightsError(f"expected a checkpoint with a student and its projection, but {path}: {error}") from error
