"""Pictures for TensorBoard: the confusion matrix, and photographs that were taken for something else."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

_CELL, _MARGIN, _FONT_SIZE = 56, 150, 14
# Beyond that many classes the cells' numbers and names cannot be read, and the matrix is drawn without them.
_MAX_NAMED = 24
_SMALL_CELL = 6
_INK, _PAPER = (20, 20, 24), (255, 255, 255)
# A full cell; empty ones are paper.
_FULL = np.array([8, 69, 148], np.float64)


def confusion_picture(
    matrix: npt.NDArray[np.int64], names: tuple[str, ...], totals: npt.NDArray[np.integer[Any]] | None = None
) -> bytes:
    """Draw a confusion matrix: a row a true class, a column a guess, darker for a larger share of the row.

    Args:
        matrix: int64 (C, C).
        names: of the classes.
        totals: (C,), photographs of each class where some were taken for classes that are not shown; None: all were
            taken for one of these.

    Returns:
        A PNG file.
    """
    named = len(names) <= _MAX_NAMED
    cell, margin = (_CELL, _MARGIN) if named else (_SMALL_CELL, 0)
    side = margin + cell * len(names)
    picture = Image.new("RGB", (side, side), _PAPER)
    draw = ImageDraw.Draw(picture)
    photographs = matrix.sum(axis=1) if totals is None else totals
    shares = matrix / np.maximum(photographs[:, None], 1)
    font = ImageFont.load_default(_FONT_SIZE)
    for row, name in enumerate(names):
        for column in range(len(names)):
            place = (margin + column * cell, margin + row * cell)
            share = float(shares[row, column])
            draw.rectangle((*place, place[0] + cell - 1, place[1] + cell - 1), fill=_shade(share))
            if named:
                ink = _PAPER if share > 0.5 else _INK
                middle = (place[0] + cell // 2, place[1] + cell // 2)
                draw.text(middle, str(matrix[row, column]), fill=ink, font=font, anchor="mm")
        if named:
            _write_name(picture, draw, font, name, margin + row * cell + cell // 2)
    return png(picture)


def _shade(share: float) -> tuple[int, int, int]:
    mixed = (1 - share) * np.array(_PAPER) + share * _FULL
    return int(mixed[0]), int(mixed[1]), int(mixed[2])


def _write_name(
    picture: Image.Image, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, name: str,
    middle: int,
) -> None:  # fmt: skip
    """Write a class's name beside its row, and turned by a quarter above its column."""
    shown = fitting(name, font, _MARGIN - 12)
    draw.text((_MARGIN - 6, middle), shown, fill=_INK, font=font, anchor="rm")
    strip = Image.new("RGB", (_MARGIN - 6, _CELL), _PAPER)
    ImageDraw.Draw(strip).text((0, _CELL // 2), shown, fill=_INK, font=font, anchor="lm")
    picture.paste(strip.rotate(90, expand=True), (middle - _CELL // 2, 0))


def fitting(name: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Cut a name so that it fits, with dots for what is left out.

    Args:
        name: any text; what cannot be printed is left out.
        font: what it is written in.
        width: pixels.

    Returns:
        The name, or its beginning.
    """
    plain = "".join(letter for letter in name if letter.isprintable())
    if font.getlength(plain) <= width:
        return plain
    while plain and font.getlength(plain + "...") > width:
        plain = plain[:-1]
    return plain + "..."


def png(picture: Image.Image) -> bytes:
    """Write a picture.

    Args:
        picture: any.

    Returns:
        A PNG file.
    """
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
