"""The stages of a run; each looks first whether its result is there."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.errors import UsageError, WeightsError
from scripts.distillation.crops import crop_shards, held_out_images, write_crops
from scripts.distillation.export import KERAS_TOLERANCE, keras_difference, settle_variances, unpack, write_weights
from scripts.distillation.photographs import Photograph, saved_list
from scripts.distillation.processes import run_in_processes
from scripts.distillation.recipe import CropRecipe, TrainingRecipe, Workshop, remember
from scripts.distillation.shards import Items, Shards, check_room

_MAP_SHARE = 1024 / (32 * 32 * 3)  # bytes of a feature map, by bytes of its crop
_HELD_OUT = "held_out.npy"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def training_part(photographs: Sequence[Photograph]) -> list[Photograph]:
    """The photographs that are trained on."""
    return [one for one in photographs if not one.held_out]


def list_stage(shop: Workshop, crops: CropRecipe) -> list[Photograph]:
    """List the photographs; those held out are decoded at once."""
    remember(crops, shop.out / "crops.json")
    path = shop.out / "photographs.json"
    photographs = saved_list(path, shop.photographs, shop.keep_out, crops.held_out_every)
    held_out = [one for one in photographs if one.held_out]
    _say(f"{len(photographs) - len(held_out)} photographs to train on, {len(held_out)} held out")
    if not held_out or len(held_out) == len(photographs):
        raise UsageError("expected photographs on both sides; give more, or another --held_out_every")
    if not (shop.out / _HELD_OUT).exists():
        file = io.BytesIO()
        np.save(file, held_out_images(shop.photographs, held_out))
        fsio.write_bytes(shop.out / _HELD_OUT, file.getvalue())
    return photographs


def crops_stage(shop: Workshop, recipe: CropRecipe, photographs: Sequence[Photograph], most_gb: float) -> None:
    """Cut the crops that are missing."""
    listed = training_part(photographs)
    shards = crop_shards(shop.out, len(listed), recipe)
    todo = shards.missing()
    if todo:
        crop_bytes = shards.items * int(np.prod(shards.item))
        check_room(int(crop_bytes * (1 + _MAP_SHARE)), shop.out, most_gb)
        _say(f"cutting {shards.items} crops, {crop_bytes / 1e9:.1f} GB")
        work = [(part, shop.photographs, listed, shards, recipe) for part in _shares(todo, shop.processes)]
        run_in_processes(write_crops, work)


def labels_stage(shop: Workshop, recipe: CropRecipe, photographs: Sequence[Photograph]) -> None:
    """Run the teacher over the crops that have no feature maps yet."""
    from scripts.distillation.labels import map_shards, write_maps

    crops = crop_shards(shop.out, len(training_part(photographs)), recipe)
    maps = map_shards(shop.out, crops)
    todo = maps.missing()
    if todo:
        _say(f"labelling {len(todo)} of {maps.count} shards")
        run_in_processes(write_maps, [(part, shop.teacher, crops, maps) for part in _shares(todo, shop.processes)])


def _shares(todo: Sequence[int], processes: int) -> list[list[int]]:
    shares = [list(todo[rank::processes]) for rank in range(processes)]
    return [share for share in shares if share]


def start_stage(
    shop: Workshop, recipe: CropRecipe, training: TrainingRecipe, photographs: Sequence[Photograph]
) -> None:
    """Fit the student by least squares, unless it starts from a checkpoint."""
    if shop.start is not None or (shop.out / "start.pt").exists():
        return
    import torch

    from scripts.distillation.checkpoints import write_checkpoint
    from scripts.distillation.labels import read_teacher
    from scripts.distillation.start import least_squares_start

    crops = crop_shards(shop.out, len(training_part(photographs)), recipe)
    numbers = np.random.default_rng(recipe.seed).permutation(crops.items)[: shop.start_crops]
    _say(f"least squares on {len(numbers)} crops")
    torch.set_num_threads(shop.processes)
    student = least_squares_start(read_teacher(shop.teacher), _images(crops, numbers), training.alpha)
    write_checkpoint(shop.out / "start.pt", partial(torch.save, student.state()))


def _images(crops: Shards, numbers: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401 - a torch.Tensor
    import torch

    return torch.from_numpy(Items(crops).take(np.sort(numbers)))


def train_stage(
    shop: Workshop, crops: CropRecipe, training: TrainingRecipe, photographs: Sequence[Photograph], meeting: Path
) -> None:
    """Train to the last step."""
    from scripts.distillation.training import CHECKPOINT, train

    if not (shop.out / CHECKPOINT).exists():
        (shop.out / "training.json").unlink(missing_ok=True)
    remember(training, shop.out / "training.json")
    count = len(training_part(photographs))
    if training.batch * training.processes > count * crops.views:
        raise UsageError(f"expected more crops than one step takes, got {count * crops.views}; give a smaller --batch")
    work = [(rank, meeting, shop, crops, training, count) for rank in range(training.processes)]
    run_in_processes(train, work)


def export_stage(shop: Workshop, training: TrainingRecipe) -> None:
    """Write the averaged student as .npz, and check it against Keras."""
    import torch

    from scripts.distillation.labels import pooled_features, read_teacher
    from scripts.distillation.network import from_keras, to_keras
    from scripts.distillation.student import read_student

    student, teacher = read_student(shop.out / "student.pt"), read_teacher(shop.teacher)
    # The student's classifier is the teacher's on projected features: linear, so it is one matrix.
    kernel, bias = student.kernel @ teacher.kernel, teacher.logits(student.bias)
    name = f"mobilenet_{training.alpha:.2f}_224"
    path = write_weights(shop.out, name, settle_variances(to_keras(student.layers)), (kernel.numpy(), bias.numpy()))
    images = np.load(shop.out / _HELD_OUT)[:16]
    wanted = pooled_features(from_keras(unpack(path)), images, torch.float32).numpy()
    difference = keras_difference(path, training.alpha, images, wanted)
    if difference is not None and difference > KERAS_TOLERANCE:
        raise WeightsError(f"Keras' features differ from PyTorch's by {difference:.2g}, over {KERAS_TOLERANCE:g}")
    checked = "TensorFlow is not installed: not checked" if difference is None else f"off Keras by {difference:.1g}"
    _say(f"wrote {path} ({checked})")
