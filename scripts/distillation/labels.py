"""The teacher: its feature maps of all crops, stored as uint8 (ReLU6's 0 to 6 becomes 0 to 255)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scripts.distillation.network import Layer, feature_map, from_keras, turned
from scripts.distillation.shards import Bytes, Shards
from scripts.distillation.slim import classifier_arrays, keras_arrays, read_slim_variables

STEPS_A_UNIT = 42.5
_BATCH = 32
# A crop is this many times as high as its feature map.
REDUCTION = 32
TEACHER_WIDTH = 1024


@dataclass(frozen=True)
class Teacher:
    """Google's MobileNet V1 1.0_224.

    Args:
        layers: its 27 layers.
        kernel: of its classifier, (1024, 1001).
        bias: of its classifier, (1001,).
    """

    layers: list[Layer]
    kernel: Tensor
    bias: Tensor

    def logits(self, pooled: Tensor) -> Tensor:
        """Classify pooled features: (N, 1024) -> (N, 1001)."""
        return pooled @ self.kernel + self.bias


def read_teacher(graph: Path) -> Teacher:
    """Read the teacher from a frozen graph with slim's variables."""
    variables = read_slim_variables(graph)
    kernel, bias = classifier_arrays(variables)
    return Teacher(from_keras(keras_arrays(variables)), torch.from_numpy(kernel), torch.from_numpy(bias))


def map_shards(out: Path, crops: Shards) -> Shards:
    """Say where the feature maps of crops lie."""
    side = crops.item[0] // REDUCTION
    return Shards(out / "maps", (side, side, TEACHER_WIDTH), crops.items, crops.per_shard)


def stored(features: Tensor) -> Tensor:
    """Feature maps (N, C, H, W) in 0 to 6 -> uint8 (N, H, W, C)."""
    return (features.float() * STEPS_A_UNIT).round().to(torch.uint8).permute(0, 2, 3, 1)


def restored(maps: Bytes) -> Tensor:
    """The inverse of stored, as float32 (N, H, W, C)."""
    return torch.from_numpy(maps).float().mul_(1 / STEPS_A_UNIT)


def write_maps(todo: Sequence[int], graph: Path, crops: Shards, maps: Shards) -> None:
    """Write shards of the teacher's feature maps.

    Args:
        todo: numbers of the shards to write.
        graph: the teacher's frozen graph.
        crops: where crops lie.
        maps: where their feature maps go.
    """
    torch.set_num_threads(1)
    teacher = read_teacher(graph)
    with torch.no_grad():
        for shard in todo:
            images = crops.open(shard)
            parts = [
                stored(feature_map(teacher.layers, turned(torch.from_numpy(images[first : first + _BATCH].copy()))))
                for first in range(0, len(images), _BATCH)
            ]
            maps.write(shard, np.concatenate([part.numpy() for part in parts]))


def pooled_features(layers: Sequence[Layer], images: Bytes, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Average-pooled features of whole photographs: uint8 (N, size, size, 3) -> float32 (N, C)."""
    with torch.no_grad():
        parts = [
            feature_map(layers, turned(torch.from_numpy(images[first : first + _BATCH].copy()), dtype))
            .float()
            .mean((2, 3))
            for first in range(0, len(images), _BATCH)
        ]
        return torch.cat(parts)
