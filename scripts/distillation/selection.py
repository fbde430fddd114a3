"""Which of the teacher's channels a student keeps: greedy column subset selection, from the last layer back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scripts.distillation.labels import Teacher
from scripts.distillation.network import LAYERS, Layer, convolve, fold, kept_widths, turned

_BATCH = 32
_POSITIONS = 100
BLOCKS = 13


@dataclass(frozen=True)
class Moments:
    """What the teacher's layers do on photographs.

    Args:
        covariances: of the inputs of each pointwise convolution, and last of the feature map; float64 (C, C).
        alive: of each of the 27 layers, the share of positions at which a channel is between 0 and 6.
    """

    covariances: list[Tensor]
    alive: list[Tensor]


def measure_teacher(teacher: Teacher, images: Tensor) -> Moments:
    """Run photographs through the teacher and gather second moments.

    Args:
        teacher: the network.
        images: uint8 (N, size, size, 3).

    Returns:
        The moments.
    """
    sums = [_Sums() for _ in range(BLOCKS + 1)]
    alive: list[Tensor] = [torch.zeros(())] * LAYERS
    for batch in images.split(_BATCH):
        x = turned(batch, torch.float32)
        for number, layer in enumerate(teacher.layers):
            before = convolve(x, *fold(layer), layer.stride)
            alive[number] = alive[number] + ((before > 0) & (before < 6)).float().mean((0, 2, 3)) * len(batch)
            x = before.clamp(0, 6)
            if number % 2 == 1 or number == LAYERS - 1:
                sums[number // 2].add(sample_positions(x, _POSITIONS))
    return Moments([one.covariance() for one in sums], [one / len(images) for one in alive])


class _Sums:
    def __init__(self) -> None:
        self.first: Tensor = torch.zeros(())
        self.second: Tensor = torch.zeros(())
        self.rows = 0

    def add(self, rows: Tensor) -> None:
        wide = rows.double()
        self.first, self.second = self.first + wide.sum(0), self.second + wide.T @ wide
        self.rows += len(rows)

    def covariance(self) -> Tensor:
        mean = self.first / self.rows
        return self.second / self.rows - torch.outer(mean, mean)


def sample_positions(x: Tensor, most: int) -> Tensor:
    """Take vectors out of feature maps.

    Args:
        x: (N, C, H, W).
        most: positions a picture; spread evenly, the same ones for all maps of a size.

    Returns:
        (N * positions, C).
    """
    rows = x.permute(0, 2, 3, 1).flatten(1, 2)
    count = rows.shape[1]
    if count > most:
        rows = rows[:, torch.linspace(0, count - 1, most).long()]
    return rows.flatten(0, 1)


def choose_channels(teacher: Teacher, moments: Moments, alpha: float) -> list[Tensor]:
    """Choose the channels to keep after the stem and after each pointwise convolution.

    Args:
        teacher: the network.
        moments: of measure_teacher.
        alpha: the student's width.

    Returns:
        14 sorted tensors of channel numbers.
    """
    widths = kept_widths(alpha)
    kept = [torch.zeros(0, dtype=torch.long)] * (BLOCKS + 1)
    kept[BLOCKS] = select(moments.covariances[BLOCKS], _wanted_of_map(teacher, moments.covariances[BLOCKS]), widths[-1])
    for block in range(BLOCKS, 0, -1):
        wanted = _wanted_of_block(teacher.layers, moments, block, kept[block])
        kept[block - 1] = select(moments.covariances[block - 1], wanted, widths[block - 1])
    return kept


def select(covariance: Tensor, wanted: Tensor, count: int) -> Tensor:
    """Choose columns from which linear functions of all columns can be rebuilt best, one after the other.

    Args:
        covariance: of the columns, float64 (C, C).
        wanted: the functions, (C, functions).
        count: how many columns to choose.

    Returns:
        Their numbers, sorted.
    """
    rest = covariance + 1e-6 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=covariance.dtype)
    products = rest @ wanted
    chosen: list[int] = []
    for _ in range(count):
        gain = products.square().sum(1) / rest.diagonal().clamp_min(1e-9)
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        # What the chosen column explains is taken out of all others: a step of a Cholesky factorisation.
        share = rest[:, best] / rest[best, best]
        products = products - torch.outer(share, products[best])
        rest = rest - torch.outer(share, rest[best])
    return torch.tensor(sorted(chosen))


def _wanted_of_map(teacher: Teacher, covariance: Tensor) -> Tensor:
    """The classifier's logits and the channels themselves, counting alike."""
    logits = teacher.kernel.double()
    logits = logits - logits.mean(1, keepdim=True)
    deviation = covariance.diagonal().sqrt().clamp_min(1e-2)
    channels = torch.diag(1 / deviation.sqrt())
    return torch.cat([logits / logits.norm(), channels / channels.norm()], 1)


def _wanted_of_block(layers: Sequence[Layer], moments: Moments, block: int, kept: Tensor) -> Tensor:
    """The pointwise convolution's kept outputs, weighted by how much they are alive and used."""
    pointwise = fold(layers[2 * block])[0][:, :, 0, 0].double()[kept]
    deviation = ((pointwise @ moments.covariances[block - 1]) * pointwise).sum(1).clamp_min(1e-12).sqrt()
    alive = moments.alive[2 * block][kept].double().clamp_min(0.02).sqrt()
    weight = alive * _use(layers, moments, block, kept)
    return (pointwise / deviation[:, None] * weight[:, None]).T


def _use(layers: Sequence[Layer], moments: Moments, block: int, kept: Tensor) -> Tensor:
    if block == BLOCKS:
        return torch.ones(len(kept), dtype=torch.double)
    following = fold(layers[2 * block + 2])[0][:, kept, 0, 0].double().norm(dim=0)
    use = (following * moments.covariances[block].diagonal().sqrt()[kept]).clamp_min(1e-3)
    return (use / use.mean()).sqrt()
