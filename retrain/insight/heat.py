"""What in a photograph speaks for a label: the photograph is covered piece by piece, and the score watched.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, ECCV. Covering needs nothing but
scores, so it is the same for every head, backbone and format of model; class activation maps (Zhou et al., 2016, CVPR)
need the last feature map, which a pooled feature vector and a stranger's model do not give, and a linear head.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrain.images import Floats, Pixels, resize_rgb

# Cells a side; each is the middle of one cover: 196 scores a photograph.
CELLS = 14
# Side of a cover in cells: large enough to hide a flower's middle, small enough to find it.
_COVER_CELLS = 3
# Log-odds that colour fully where nothing in the photograph changes more: half a unit takes 0.50 to 0.38.
_WEAKEST_FULL = 0.5
_TINIEST = 1e-6
_MAX_SIDE = 768
_FOR, _AGAINST = (215, 25, 28), (44, 123, 182)
_STRONGEST_TINT = 0.65

# Scores a stream of pictures uint8 (H, W, 3), in order: float32 (C,) each.
ScoreMany = Callable[[Iterable[Pixels]], Iterable[Floats]]


def occlusion_map(score_many: ScoreMany, pixels: Pixels, label: int, cells: int = CELLS) -> npt.NDArray[np.float64]:
    """Find what speaks for a label.

    Args:
        score_many: scores pictures of the size of this one.
        pixels: uint8 (H, W, 3), RGB, the photograph in the size of the model's input.
        label: index of the label.
        cells: a side.

    Returns:
        float64 (cells, cells): by how much the log-odds of the label fall when a cover of the photograph's mean colour
        lies over that place: above 0 for what speaks for it, below 0 for what speaks against it.
    """
    whole, *covered = (float(scores[label]) for scores in score_many([pixels, *_covered(pixels, cells)]))
    return log_odds(whole) - np.array([log_odds(score) for score in covered]).reshape(cells, cells)


def log_odds(score: float) -> float:
    """Turn a score into log-odds, so that a loss shows where the score is near 1, too.

    Args:
        score: 0 to 1.

    Returns:
        Finite.
    """
    bounded = min(max(score, _TINIEST), 1 - _TINIEST)
    return float(np.log(bounded / (1 - bounded)))


def _covered(pixels: Pixels, cells: int) -> Iterator[Pixels]:
    height, width = pixels.shape[:2]
    colour = np.rint(pixels.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    for row in range(cells):
        for column in range(cells):
            picture = pixels.copy()
            picture[_span(row, cells, height), _span(column, cells, width)] = colour
            yield picture


def _span(cell: int, cells: int, pixels: int) -> slice:
    margin = (_COVER_CELLS - 1) / 2
    start, end = (cell - margin) * pixels / cells, (cell + 1 + margin) * pixels / cells
    return slice(max(0, round(start)), min(pixels, round(end)))


def overlay(picture: Image.Image, heat: npt.NDArray[np.float64]) -> Image.Image:
    """Lay a map over a photograph.

    Args:
        picture: RGB, upright.
        heat: float64 (cells, cells), of occlusion_map.

    Returns:
        RGB, at most 768 pixels a side: red what speaks for the label, blue what speaks against it, fully coloured
        where the map is largest; a map that is nearly flat stays pale.
    """
    share = min(1.0, _MAX_SIDE / max(picture.size))
    width, height = (max(1, round(side * share)) for side in picture.size)
    grey = np.repeat(np.asarray(picture.convert("L"))[..., None], 3, axis=2)
    base = resize_rgb(Image.fromarray(grey), height, width).astype(np.float32)
    relative = (heat / max(_WEAKEST_FULL, float(np.abs(heat).max()))).astype(np.float32)
    spread = np.asarray(Image.fromarray(relative).resize((width, height), Image.Resampling.BILINEAR))
    tint = (np.abs(spread) * _STRONGEST_TINT)[..., None]
    colour = np.where(spread[..., None] >= 0, np.array(_FOR, np.float32), np.array(_AGAINST, np.float32))
    return Image.fromarray(np.rint(base * (1 - tint) + colour * tint).astype(np.uint8))


def png(picture: Image.Image) -> bytes:
    """Write a picture.

    Args:
        picture: RGB.

    Returns:
        PNG, without a date.
    """
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=False)
    return file.getvalue()
