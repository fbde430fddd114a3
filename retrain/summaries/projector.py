"""The bottleneck vectors for TensorBoard's projector: a map of the photographs, with thumbnails and labels.

Format: tensorboard/plugins/projector/projector_config.proto; vectors as raw float32, the rest as tables and a JPEG.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from retrain import fsio
from retrain.bottlenecks import Rows
from retrain.head import Floats, Indices
from retrain.images import Pixels

VECTORS, TABLE, SPRITE, CONFIG = "bottlenecks.bytes", "bottlenecks.tsv", "sprite.jpg", "projector_config.pbtxt"
PROJECTOR_FILES = (VECTORS, TABLE, SPRITE, CONFIG)
# What an earlier version wrote in place of it.
EARLIER_SPRITE = "sprite.png"
# The page keeps all points in the browser's memory, and asks for fewer from here on.
MAX_POINTS = 5000
# A texture of WebGL may be this wide and high on every machine.
MAX_SPRITE_SIDE = 8192
_LARGEST_THUMBNAIL = 64
_GREY = 128
# Of the sprite: as PNG that of 3,670 photographs took 1.5 s and 31 MB.
_QUALITY = 80

# What rows' photographs look like: uint8 (side, side, 3) of each for a side, None where it cannot be read any more.
Squares = Callable[[Sequence[int], int], Sequence[Pixels | None]]


def write_projector(
    folder: Path, rows: Rows, columns: dict[str, Sequence[str]], labels: Indices, squares: Squares
) -> int:
    """Write what the projector shows.

    Args:
        folder: a run's folder, which holds an event file as well.
        rows: (N, D).
        columns: heading -> a cell a photograph, N each; two at least.
        labels: intp (N,), so that each class keeps its share where not all are shown.
        squares: gives the pictures of rows.

    Returns:
        How many photographs are on the map.
    """
    shown = sample(labels, MAX_POINTS)
    vectors = rows.take(shown).astype("<f4", copy=False)
    fsio.write_bytes(folder / VECTORS, np.ascontiguousarray(vectors).tobytes())
    fsio.write_text(folder / TABLE, table(columns, shown))
    side = thumbnail_side(len(shown))
    fsio.write_bytes(folder / SPRITE, sprite(squares(shown.tolist(), side), side))
    fsio.write_text(folder / CONFIG, config(vectors, side))
    return len(shown)


def sample(labels: Indices, most: int) -> Indices:
    """Pick at most ``most`` photographs, each class by its share, evenly over its photographs.

    Args:
        labels: intp (N,).
        most: at least 1.

    Returns:
        intp (M,), ascending.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    by_class = np.argsort(labels, kind="stable")
    places = np.linspace(0, len(labels) - 1, most).astype(np.intp)
    chosen: Indices = np.sort(by_class[places])
    return chosen


def table(columns: dict[str, Sequence[str]], shown: Indices) -> str:
    """Write cells with tabs between; a tab or line break inside one would shift all behind it.

    Args:
        columns: heading -> cells.
        shown: intp (M,), which rows.

    Returns:
        A heading and M lines.
    """
    lines = ["\t".join(map(_cell, columns))]
    lines += ["\t".join(_cell(cells[row]) for cells in columns.values()) for row in shown]
    return "".join(line + "\n" for line in lines)


def _cell(text: str) -> str:
    plain = text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)
    return plain or " "


def thumbnail_side(count: int) -> int:
    """Find how large thumbnails can be.

    Args:
        count: photographs on the sprite, at most MAX_POINTS.

    Returns:
        Pixels a side.
    """
    across = math.ceil(math.sqrt(max(count, 1)))
    return min(_LARGEST_THUMBNAIL, MAX_SPRITE_SIDE // across)


def sprite(thumbnails: Sequence[Pixels | None], side: int) -> bytes:
    """Put thumbnails side by side into one picture, row by row, as many rows as columns.

    Args:
        thumbnails: uint8 (side, side, 3) each, RGB; None becomes grey.
        side: pixels of each, wide and high.

    Returns:
        A JPEG file.
    """
    across = math.ceil(math.sqrt(max(len(thumbnails), 1)))
    canvas = np.full((across, side, across, side, 3), _GREY, np.uint8)
    for number, pixels in enumerate(thumbnails):
        if pixels is not None:
            canvas[number // across, :, number % across] = pixels
    file = io.BytesIO()
    Image.fromarray(canvas.reshape(across * side, across * side, 3)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def config(vectors: Floats, side: int) -> str:
    """Describe the files.

    Args:
        vectors: float32 (M, D).
        side: pixels of a thumbnail.

    Returns:
        A ProjectorConfig as text.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    described = ProjectorConfig()
    one = described.embeddings.add(
        tensor_name="bottlenecks", tensor_shape=vectors.shape, tensor_path=VECTORS, metadata_path=TABLE
    )
    one.sprite.image_path = SPRITE
    one.sprite.single_image_dim.extend([side, side])
    text: str = text_format.MessageToString(described)
    return text
