"""Distillation: one cosine over a fixed number of steps, in one or several processes whose gradients are averaged.

A step depends on the recipe, the crops and the step before, on no clock: the same machine gives the same bits, and a
run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed

from retrain.errors import NumericalError
from scripts.distillation.checkpoints import Log, write_checkpoint
from scripts.distillation.crops import crop_shards
from scripts.distillation.evaluation import agreement, recalibrate
from scripts.distillation.labels import map_shards, pooled_features, read_teacher, restored
from scripts.distillation.loss import channel_weights, distillation_losses, loss_weights
from scripts.distillation.network import feature_map, turned
from scripts.distillation.recipe import CropRecipe, TrainingRecipe, Workshop
from scripts.distillation.shards import Items
from scripts.distillation.student import Student, read_student, student_from

CHECKPOINT = "checkpoint.pt"
STUDENT = "student.pt"
HELD_OUT = "held_out.npy"
_LONGEST_GRADIENT = 5.0
_BETAS = (0.9, 0.99)
# Crops whose feature maps tell the variance of each channel.
_SAMPLE = 2048
_QUICK_BATCHES, _FINAL_BATCHES = 8, 32


def learning_rate(recipe: TrainingRecipe, step: int) -> float:
    """Learning rate of a step: a straight rise, and a cosine over all steps."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    rate = recipe.final_rate + (recipe.peak_rate - recipe.final_rate) * cosine
    return rate * min(1.0, (step + 1) / max(1, recipe.warmup_steps))


def crops_of_step(recipe: TrainingRecipe, crops: int, step: int, rank: int) -> npt.NDArray[np.int64]:
    """Say which crops a process takes in a step: every epoch is a new order, from the seed and its number alone.

    Args:
        recipe: batch, processes and seed.
        crops: how many there are.
        step: counted from 0.
        rank: number of the process.

    Returns:
        int64 (batch,), numbers of crops.
    """
    whole = recipe.batch * recipe.processes
    steps_an_epoch = crops // whole
    epoch, place = divmod(step, steps_an_epoch)
    order = np.random.default_rng([recipe.seed, epoch]).permutation(crops)
    first = place * whole + rank * recipe.batch
    return order[first : first + recipe.batch]


class Trainer:
    """One process' part of the training.

    Args:
        shop: where things lie.
        crop_recipe: of the crops.
        recipe: of the training.
        photographs: how many are trained on.
        rank: number of this process; the first one writes files.
    """

    def __init__(
        self, shop: Workshop, crop_recipe: CropRecipe, recipe: TrainingRecipe, photographs: int, rank: int
    ) -> None:
        self.shop, self.recipe, self.rank = shop, recipe, rank
        shards = crop_shards(shop.out, photographs, crop_recipe)
        self.crops, self.maps = Items(shards), Items(map_shards(shop.out, shards))
        self.teacher = read_teacher(shop.teacher)
        self.weights = channel_weights(restored(self.maps.take(_spread(len(self.maps)))))
        self.loss_weights = loss_weights(recipe)
        self.log = Log(shop.out / "log.jsonl")
        self.student = read_student(shop.start or shop.out / "start.pt")
        self.average = self.student.copy()
        self.parameters = self.student.parameters(recipe.still_layers)
        self.optimiser = _optimiser(self.parameters, recipe)
        self.step = 0
        self._resume()
        for tensor in self.parameters:
            tensor.requires_grad_(True)
        self._held_out = np.load(shop.out / HELD_OUT) if rank == 0 else None
        self._wanted = pooled_features(self.teacher.layers, self._held_out) if self._held_out is not None else None

    def run(self) -> None:
        """Take all steps that are left."""
        losses, began, since = torch.zeros(3), time.monotonic(), self.step
        while self.step < self.recipe.steps:
            losses += self.take_step()
            if self.step % self.shop.log_every == 0:
                taken = self.step - since
                self._say(losses / taken, taken * self.views_a_step / (time.monotonic() - began))
                losses, began, since = torch.zeros(3), time.monotonic(), self.step
            self._keep()

    @property
    def views_a_step(self) -> int:
        """Crops that all processes together see in a step."""
        return self.recipe.batch * self.recipe.processes

    def take_step(self) -> Tensor:
        """Take one step; returns the three losses, averaged over processes."""
        losses = self._backward(crops_of_step(self.recipe, len(self.crops), self.step, self.rank))
        losses = self._share(losses)
        if not bool(torch.isfinite(losses).all()):
            raise NumericalError(f"a loss at step {self.step} is not finite; a lower --peak_rate may help")
        torch.nn.utils.clip_grad_norm_(self.parameters, _LONGEST_GRADIENT)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        self.optimiser.step()
        self.step += 1
        self._move_average()
        return losses

    def _backward(self, numbers: npt.NDArray[np.int64]) -> Tensor:
        self.optimiser.zero_grad()
        images, wanted = torch.from_numpy(self.crops.take(numbers)), restored(self.maps.take(numbers))
        features = feature_map(self.student.layers, turned(images), live_from=self.recipe.still_layers)
        projected = self.student.project(features.permute(0, 2, 3, 1))
        losses = distillation_losses(projected, wanted, self.weights, self.teacher, self.recipe.temperature)
        (losses * self.loss_weights).sum().backward()
        return losses.detach()

    def _share(self, losses: Tensor) -> Tensor:
        """Average gradients and losses over the processes, in one message."""
        if self.recipe.processes == 1:
            return losses
        flat = torch.cat([*(_gradient(tensor).flatten() for tensor in self.parameters), losses])
        distributed.all_reduce(flat)
        flat /= self.recipe.processes
        *parts, losses = flat.split([*(tensor.numel() for tensor in self.parameters), len(losses)])
        for tensor, part in zip(self.parameters, parts, strict=True):
            _gradient(tensor).copy_(part.view_as(tensor))
        return losses

    def _move_average(self) -> None:
        # A young average forgets quickly, or it would remember the start for thousands of steps.
        kept = min(self.recipe.averaging, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, tensor in zip(self.average.parameters(self.recipe.still_layers), self.parameters, strict=True):
                mean.lerp_(tensor, 1 - kept)

    def _say(self, losses: Tensor, views_a_second: float) -> None:
        if self.rank == 0:
            parts = dict(zip(("map", "pooled", "logits"), losses.tolist(), strict=True))
            rate = learning_rate(self.recipe, self.step - 1)
            facts = {"step": self.step, "views": self.step * self.views_a_step, **parts, "rate": rate}
            self.log.say(**facts, views_a_second=views_a_second, time=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
            print(f"step {self.step} of {self.recipe.steps}: {parts}, {views_a_second:.0f} views/s", file=sys.stderr)

    def _keep(self) -> None:
        last = self.step == self.recipe.steps
        if self.rank == 0 and (last or self.step % self.shop.evaluate_every == 0):
            self._evaluate(last=last)
        if self.rank == 0 and (last or self.step % self.shop.save_every == 0):
            write_checkpoint(self.shop.out / CHECKPOINT, partial(torch.save, self._state()))

    def _evaluate(self, *, last: bool) -> None:
        student = self.average.copy()
        batches, dtype = (_FINAL_BATCHES, torch.float32) if last else (_QUICK_BATCHES, torch.bfloat16)
        recalibrate(student.layers, self.crops, batches, self.recipe.still_layers, dtype)
        assert self._held_out is not None and self._wanted is not None  # noqa: S101, PT018 - of the first process
        measured = agreement(student, self.teacher, self._held_out, self._wanted)
        self.log.say(step=self.step, **measured)
        print(f"step {self.step}, on held-out photographs: {measured}", file=sys.stderr)
        state = {**student.state(), "step": self.step, "metrics": measured}
        write_checkpoint(self.shop.out / STUDENT, partial(torch.save, state))

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "live": self.student.state(),
            "average": self.average.state(),
            "optimiser": self.optimiser.state_dict(),
        }

    def _resume(self) -> None:
        path = self.shop.out / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        _copy(student_from(state["live"]), self.student)
        _copy(student_from(state["average"]), self.average)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def _copy(source: Student, target: Student) -> None:
    # Into the tensors that are there: the optimiser holds on to them.
    for old, new in zip(target.parameters(), source.parameters(), strict=True):
        old.copy_(new)
    for before, after in zip(target.layers, source.layers, strict=True):
        before.mean.copy_(after.mean)
        before.variance.copy_(after.variance)


def _spread(items: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, items - 1, min(_SAMPLE, items)).astype(np.int64))


def _gradient(tensor: Tensor) -> Tensor:
    if tensor.grad is None:
        raise NumericalError("a tensor that is trained got no gradient")
    return tensor.grad


def _optimiser(parameters: Sequence[Tensor], recipe: TrainingRecipe) -> Any:  # noqa: ANN401 - a torch.optim.AdamW
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=_BETAS)


def train(
    rank: int, meeting: Path, shop: Workshop, crop_recipe: CropRecipe, recipe: TrainingRecipe, photographs: int
) -> None:
    """Be one of the processes that train.

    Args:
        rank: number of this process.
        meeting: a file, not there yet, over which the processes find each other.
        shop: where things lie.
        crop_recipe: of the crops.
        recipe: of the training.
        photographs: how many are trained on.
    """
    torch.set_num_threads(1)  # a process a core is faster than threads here
    if recipe.processes > 1:
        distributed.init_process_group(
            "gloo", init_method=meeting.absolute().as_uri(), rank=rank, world_size=recipe.processes
        )
    Trainer(shop, crop_recipe, recipe, photographs, rank).run()
    if recipe.processes > 1:
        distributed.destroy_process_group()
