"""What a run is asked to do; everything that decides its outcome is in here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from retrain import fsio
from retrain.errors import UsageError


@dataclass(frozen=True)
class CropRecipe:
    """How photographs become crops.

    Args:
        size: height and width of a crop, pixels; a multiple of 32.
        views: crops a photograph.
        seed: decides where they are cut.
        held_out_every: one photograph in so many is never trained on.
    """

    size: int
    views: int
    seed: int
    held_out_every: int


@dataclass(frozen=True)
class TrainingRecipe:
    """How the student is trained. The same recipe on the same crops and kind of machine gives the same weights.

    Args:
        alpha: the student's width.
        steps: optimiser steps of the whole cosine.
        batch: crops a step in each process.
        processes: processes whose gradients are averaged.
        peak_rate: highest learning rate.
        final_rate: learning rate of the last step.
        warmup_steps: steps over which the rate rises from nothing.
        still_layers: so many layers from the image on keep their starting weights and statistics.
        map_weight: weight of the loss on the feature map.
        pooled_weight: weight of the loss on pooled features.
        logits_weight: weight of the Kullback-Leibler divergence of the teacher's classifier's outputs.
        temperature: what the logits are divided by first.
        weight_decay: of convolutions and projection.
        averaging: decay of the moving average of weights that is evaluated and exported.
        seed: decides the order of the crops.
    """

    alpha: float
    steps: int
    batch: int
    processes: int
    peak_rate: float
    final_rate: float
    warmup_steps: int
    still_layers: int
    map_weight: float
    pooled_weight: float
    logits_weight: float
    temperature: float
    weight_decay: float
    averaging: float
    seed: int


@dataclass(frozen=True)
class Workshop:
    """Where a run reads and writes, and what may change between its pieces.

    Args:
        out: folder of everything the run writes.
        teacher: frozen graph with the slim variables of MobileNet V1 1.0.
        photographs: folders and tars to learn from.
        keep_out: folders and tars whose photographs, and near-copies of them, are not learnt from.
        start: a checkpoint to go on from; None for the least-squares start.
        processes: processes that cut and label.
        start_crops: crops that the least squares are fitted on.
        log_every: steps between lines of the log.
        save_every: steps between checkpoints.
        evaluate_every: steps between evaluations.
    """

    out: Path
    teacher: Path
    photographs: tuple[Path, ...]
    keep_out: tuple[Path, ...]
    start: Path | None
    processes: int
    start_crops: int
    log_every: int
    save_every: int
    evaluate_every: int


def remember(recipe: CropRecipe | TrainingRecipe, path: Path) -> None:
    """Write a recipe beside what it makes, or check that it is the one that is there.

    Args:
        recipe: what is asked for now.
        path: the JSON file.

    Raises:
        UsageError: the folder was begun with another recipe; every difference is listed.
    """
    if not path.exists():
        fsio.write_text(path, json.dumps(asdict(recipe), indent=1) + "\n")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    problems = [
        f"{path.parent} was begun with {field.name} {before.get(field.name)}, not {getattr(recipe, field.name)}"
        for field in fields(recipe)
        if before.get(field.name) != getattr(recipe, field.name)
    ]
    if problems:
        raise UsageError([*problems, "go on with the old values, or give another --out"])
