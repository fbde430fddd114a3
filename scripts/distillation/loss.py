"""How far the student is from the teacher: in the feature map, in pooled features, and in what it would call things."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from scripts.distillation.labels import Teacher
from scripts.distillation.recipe import TrainingRecipe

# Added to each channel's variance, as a share of the mean one: channels that hardly ever speak are not shouted down.
_FLOOR = 0.1


@dataclass(frozen=True)
class ChannelWeights:
    """One over the variance of the teacher's channels: at map positions, and pooled."""

    positions: Tensor
    pooled: Tensor


def channel_weights(maps: Tensor) -> ChannelWeights:
    """Measure the variances on a sample.

    Args:
        maps: the teacher's feature maps, float32 (N, H, W, C).

    Returns:
        The weights.
    """
    return ChannelWeights(_inverse(maps.flatten(0, 2).var(0)), _inverse(maps.mean((1, 2)).var(0)))


def _inverse(variance: Tensor) -> Tensor:
    return 1 / (variance + _FLOOR * variance.mean())


def distillation_losses(
    projected: Tensor, wanted: Tensor, weights: ChannelWeights, teacher: Teacher, t: float
) -> Tensor:
    """Compare feature maps.

    Args:
        projected: the student's, projected, float32 (N, H, W, C).
        wanted: the teacher's, of the same crops.
        weights: of the channels.
        teacher: for its classifier.
        t: temperature of the logits.

    Returns:
        Three losses: feature map, pooled features, divergence of the logits times t squared.
    """
    difference = projected - wanted
    of_map = (difference.square().mean((0, 1, 2)) * weights.positions).mean()
    pooled, off = wanted.mean((1, 2)), difference.mean((1, 2))
    of_pooled = (off.square().mean(0) * weights.pooled).mean()
    said = (teacher.logits(pooled + off) / t).log_softmax(1)
    meant = (teacher.logits(pooled) / t).log_softmax(1)
    of_logits = functional.kl_div(said, meant, log_target=True, reduction="batchmean") * t**2
    return torch.stack([of_map, of_pooled, of_logits])


def loss_weights(recipe: TrainingRecipe) -> Tensor:
    """The weights of the three losses."""
    return torch.tensor([recipe.map_weight, recipe.pooled_weight, recipe.logits_weight])
