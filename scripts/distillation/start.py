"""The student's first weights, in closed form: kept channels of the teacher, pointwise convolutions by least squares.

Layer by layer, teacher and student run side by side on the same photographs; each pointwise convolution of the student
is fitted so that, given the student's own inputs, it gives the teacher's kept channels before their ReLU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from scripts.distillation.labels import Teacher
from scripts.distillation.network import EPSILON, Layer, convolve, fold, turned
from scripts.distillation.selection import choose_channels, measure_teacher, sample_positions
from scripts.distillation.student import Student

_BATCH = 32
_POSITIONS = 150
_RIDGE = 1e-3
_PROJECTION_RIDGE = 1e-2
# Far outside of ReLU6's range the exact value does not matter, and would outweigh what does.
_LOWEST, _HIGHEST = -2.0, 8.0


def least_squares_start(teacher: Teacher, images: Tensor, alpha: float) -> Student:
    """Fit a student without training.

    Args:
        teacher: the network to imitate.
        images: uint8 (N, size, size, 3); a thousand will do. 2.5 GB of memory a thousand of 160 px.
        alpha: the student's width.

    Returns:
        The student with its projection.
    """
    with torch.no_grad():
        kept = choose_channels(teacher, measure_teacher(teacher, images), alpha)
        layers, mine, theirs = _fit_layers(teacher, kept, images)
        rows = [_rows_of_map(x) for x in (mine, theirs)]
        kernel, bias = _solve(_Fit.of(rows[0], rows[1]), _PROJECTION_RIDGE)
        return Student(layers, kernel.float(), bias.float())


def _fit_layers(teacher: Teacher, kept: list[Tensor], images: Tensor) -> tuple[list[Layer], Tensor, Tensor]:
    """Fit all layers; returns them with the student's and the teacher's last feature maps."""
    mine = _batched(images, lambda batch: turned(batch, torch.float32))
    theirs = mine
    layers: list[Layer] = []
    for number, layer in enumerate(teacher.layers):
        weight, bias = fold(layer)
        if number % 2 == 0 and number:
            weight, bias = _fit_pointwise(mine, theirs, weight[kept[number // 2]], bias[kept[number // 2]])
        else:
            # Stem and depthwise layers see one picture or one channel: the kept ones are taken as they are.
            part = kept[number // 2]
            weight, bias = weight[part], bias[part]
        layers.append(_layer(weight, bias, mine, layer.stride))
        mine = _advance(mine, layers[-1])
        theirs = _advance(theirs, layer)
    return layers, mine, theirs


def _batched(x: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
    # float16 halves the memory; the values are small and the fit averages over many.
    parts = [work(batch).half().contiguous(memory_format=torch.channels_last) for batch in x.split(_BATCH)]
    return torch.cat(parts)


def _advance(x: Tensor, layer: Layer) -> Tensor:
    return _batched(x, lambda batch: convolve(batch.float(), *fold(layer), layer.stride).clamp(0, 6))


def _layer(weight: Tensor, bias: Tensor, inputs: Tensor, stride: int) -> Layer:
    """Write a convolution with bias as one of unit variance and a batch normalisation that undoes it."""
    mean, variance = _output_moments(weight, inputs, stride)
    deviation = variance.sqrt().clamp_min(1e-3)
    scaled = variance / deviation.square()
    return Layer(
        weight=(weight / deviation.view(-1, 1, 1, 1)).float().contiguous(),
        gamma=((scaled + EPSILON).sqrt() * deviation).float(),
        beta=(mean + bias).float(),
        mean=(mean / deviation).float(),
        variance=scaled.float(),
        stride=stride,
    )


def _output_moments(weight: Tensor, inputs: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    first: Tensor = torch.zeros(())
    second: Tensor = torch.zeros(())
    for batch in inputs.split(_BATCH):
        outputs = convolve(batch.float(), weight, None, stride)
        first = first + outputs.mean((0, 2, 3)).double() * len(batch)
        second = second + outputs.square().mean((0, 2, 3)).double() * len(batch)
    mean = first / len(inputs)
    return mean, (second / len(inputs) - mean.square()).clamp_min(0)


@dataclass
class _Fit:
    """Sums of a least squares problem with a constant: rows of inputs x (with a 1 put last) and of outputs y."""

    xx: Tensor
    xy: Tensor
    rows: int

    @staticmethod
    def of(inputs: Tensor, outputs: Tensor) -> _Fit:
        x = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
        return _Fit(x.T @ x, x.T @ outputs.double(), len(x))

    def __add__(self, other: _Fit) -> _Fit:
        return _Fit(self.xx + other.xx, self.xy + other.xy, self.rows + other.rows)


def _solve(fit: _Fit, ridge: float) -> tuple[Tensor, Tensor]:
    """Solve with a ridge on all but the constant; returns kernel (in, out) and bias, float64."""
    left = fit.xx / fit.rows
    inner = left[:-1, :-1].diagonal()
    inner.add_(ridge * inner.mean())
    solution = torch.linalg.solve(left, fit.xy / fit.rows)
    return solution[:-1], solution[-1]


def _fit_pointwise(mine: Tensor, theirs: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    total: _Fit | None = None
    for own, other in zip(mine.split(_BATCH), theirs.split(_BATCH), strict=True):
        wanted = convolve(other.float(), weight, bias, 1).clamp(_LOWEST, _HIGHEST)
        part = _Fit.of(sample_positions(own.float(), _POSITIONS), sample_positions(wanted, _POSITIONS))
        total = part if total is None else total + part
    assert total is not None  # noqa: S101 - there is at least one picture
    kernel, constant = _solve(total, _RIDGE)
    return kernel.T.float()[:, :, None, None].contiguous(), constant.float()


def _rows_of_map(x: Tensor) -> Tensor:
    return x.float().permute(0, 2, 3, 1).flatten(0, 2)
