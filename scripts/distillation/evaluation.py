"""What a student is worth while it learns: agreement with the teacher on photographs that neither is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from scripts.distillation.labels import Teacher, pooled_features
from scripts.distillation.network import Layer, feature_map, turned
from scripts.distillation.shards import Bytes, Items
from scripts.distillation.student import Student

_BATCH = 64


def recalibrate(layers: Sequence[Layer], crops: Items, batches: int, still: int, dtype: torch.dtype) -> None:
    """Set means and variances to what the layers see: the average over batches of crops.

    Averaged weights were never run in training, so they have no statistics of their own.

    Args:
        layers: changed in place.
        crops: the training crops; the same ones are taken each time.
        batches: how many batches of 64.
        still: layers before this one keep theirs.
        dtype: float32 for weights that will be exported, as that is how they will be run.
    """
    random = np.random.default_rng(1)
    with torch.no_grad():
        for number in range(batches):
            images = crops.take(np.sort(random.integers(0, len(crops), _BATCH)))
            feature_map(layers, turned(torch.from_numpy(images), dtype), still, momentum=1 / (number + 1))


def agreement(student: Student, teacher: Teacher, images: Bytes, wanted: Tensor) -> dict[str, float]:
    """Compare student and teacher on whole photographs.

    Args:
        student: with statistics of its own.
        teacher: for its classifier.
        images: uint8 (N, 224, 224, 3).
        wanted: the teacher's pooled features of them.

    Returns:
        "unexplained": share of the variance of pooled features that is missed; "divergence": of the logits, in nats;
        "same_first": share of photographs with the same first class; "first_in_five": share where the teacher's first
        class is among the student's five.
    """
    with torch.no_grad():
        got = student.project(pooled_features(student.layers, images))
        said, meant = teacher.logits(got), teacher.logits(wanted)
        first, five = meant.argmax(1), said.topk(5).indices
        divergence = functional.kl_div(
            said.log_softmax(1), meant.log_softmax(1), log_target=True, reduction="batchmean"
        )
        spread = (wanted - wanted.mean(0)).square().sum()
        return {
            "unexplained": float((got - wanted).square().sum() / spread),
            "divergence": float(divergence),
            "same_first": float((five[:, 0] == first).float().mean()),
            "first_in_five": float((five == first[:, None]).any(1).float().mean()),
        }
