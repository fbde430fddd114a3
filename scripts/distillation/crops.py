"""Photographs -> views of them. A view depends on the photograph's bytes and the seed alone, not on its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from retrain.images import InputSpec, decode_rgb
from scripts.distillation.photographs import Photograph, Reader, open_upright
from scripts.distillation.recipe import CropRecipe
from scripts.distillation.shards import PHOTOGRAPHS_A_SHARD, Bytes, Shards

# Share of the photograph's area that a view shows, lowest and highest, in turn; the first view of all is the whole of
# it, as a photograph is shown to the finished backbone.
AREAS = ((0.5, 1.0), (0.25, 0.8), (0.1, 0.5), (0.6, 1.0), (0.35, 0.9), (0.2, 0.7), (0.4, 1.0))
_STRETCH = 0.29  # a view's aspect ratio is off by at most e^0.29 = 4/3
HELD_OUT_SIZE = 224


def cut_views(data: bytes, digest: str, recipe: CropRecipe) -> Bytes:
    """Cut the views of one photograph.

    Args:
        data: the file's bytes.
        digest: their sha256, 64 hexadecimal digits.
        recipe: size, number and seed.

    Returns:
        uint8 (views, size, size, 3), RGB.

    Raises:
        ImageError: it is not a whole image.
    """
    image = open_upright(data, 2 * recipe.size)
    random = np.random.default_rng([recipe.seed, int(digest[:16], 16)])
    return np.stack([_view(image, number, recipe.size, random) for number in range(recipe.views)])


def _view(image: Image.Image, number: int, size: int, random: np.random.Generator) -> Bytes:
    low, high = AREAS[(number - 1) % len(AREAS)]
    box = _whole(image) if number == 0 else _random_box(image, low, high, random)
    view = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if random.random() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(view)


def _whole(image: Image.Image) -> tuple[float, float, float, float]:
    return 0.0, 0.0, float(image.width), float(image.height)


def _random_box(
    image: Image.Image, low: float, high: float, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """Draw a box of a share of the area; its shape lies between the photograph's and a square's, give or take."""
    width, height = image.size
    for _ in range(10):
        area = random.uniform(low, high) * width * height
        ratio = (width / height) ** random.uniform(0, 1) * np.exp(random.uniform(-_STRETCH, _STRETCH))
        wide, high_px = (area * ratio) ** 0.5, (area / ratio) ** 0.5
        if wide <= width and high_px <= height:
            left, top = random.uniform(0, width - wide), random.uniform(0, height - high_px)
            return left, top, left + wide, top + high_px
    return _whole(image)


def crop_shards(out: Path, photographs: int, recipe: CropRecipe) -> Shards:
    """Say where the crops of a run lie."""
    item = (recipe.size, recipe.size, 3)
    return Shards(out / "crops", item, photographs * recipe.views, PHOTOGRAPHS_A_SHARD * recipe.views)


def write_crops(
    todo: Sequence[int], sources: Sequence[Path], listed: Sequence[Photograph], shards: Shards, recipe: CropRecipe
) -> None:
    """Write shards of crops.

    Args:
        todo: numbers of the shards to write.
        sources: folders and tars.
        listed: photographs to train on.
        shards: where crops lie.
        recipe: how they are cut.
    """
    with Reader(sources) as reader:
        for shard in todo:
            part = listed[shard * PHOTOGRAPHS_A_SHARD : (shard + 1) * PHOTOGRAPHS_A_SHARD]
            shards.write(shard, np.concatenate([cut_views(reader.read(one), one.digest, recipe) for one in part]))


def held_out_images(sources: Sequence[Path], listed: Sequence[Photograph]) -> Bytes:
    """Decode held-out photographs as the finished backbone will see photographs.

    Args:
        sources: folders and tars.
        listed: the held-out photographs.

    Returns:
        uint8 (N, 224, 224, 3), whole, the aspect ratio not kept.
    """
    spec = InputSpec(HELD_OUT_SIZE, HELD_OUT_SIZE, 127.5, 127.5)
    with Reader(sources) as reader:
        return np.stack([decode_rgb(reader.read(one), spec) for one in listed])
