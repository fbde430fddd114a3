"""A photograph with its guesses drawn beside it."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from retrain import fsio
from retrain.classifier import Guess
from retrain.console import printable
from retrain.images import LIMITS, SkyStretch, decode_upright, resize_rgb
from retrain.label.rows import UNKNOWN, Row
from retrain.label.sorting import NamesTaken, contents, file_name
from retrain.label.sources import Photograph

# Pixels. A photograph is made smaller to fit, never larger.
_MAX_SIDE = 768
_PANEL_WIDTH = 360
_MARGIN = 16
_FONT_SIZE = 18
_LINE = 46
_BAR = 10
_INK, _PAPER, _BAR_INK, _BAR_PAPER = (33, 33, 33), (255, 255, 255), (33, 102, 172), (224, 224, 224)
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


class Annotator:
    """Writes each photograph with its guesses.

    Args:
        place: a file, written over, or a folder in which nothing is.
        one_file: which of the two.
        sky: of the model: how pictures with more than 8 bits a value are stretched.
    """

    def __init__(self, place: str, *, one_file: bool, sky: SkyStretch | None = None) -> None:
        self._place, self._one_file, self._sky = Path(place), one_file, sky
        self._names_taken = NamesTaken()

    def __call__(self, photograph: Photograph, row: Row) -> None:
        """Annotate one photograph.

        Args:
            photograph: that was named.
            row: with its guesses.

        Raises:
            ImageError: it cannot be read any more.
        """
        picture = annotated(decode_upright(contents(photograph), _MAX_SIDE, _MAX_SIDE, LIMITS, self._sky), row)
        if self._one_file:
            fsio.write_bytes(self._place, _encoded(picture, _FORMATS[self._place.suffix.lower()]))
            return
        data = _encoded(picture, "JPEG")
        name = Path(file_name(photograph)).with_suffix(".jpg").name
        self._names_taken.put(self._place, name, lambda target: fsio.write_new(target, data))


def annotated(picture: Image.Image, row: Row) -> Image.Image:
    """Draw guesses beside a photograph.

    Args:
        picture: RGB, upright.
        row: label and guesses.

    Returns:
        RGB: the photograph, at most 768 pixels a side, and on its right a line and a bar a guess.
    """
    share = min(1.0, _MAX_SIDE / max(picture.size))
    width, height = (max(1, round(side * share)) for side in picture.size)
    small = Image.fromarray(resize_rgb(picture, height, width)) if share < 1 else picture
    rows = len(row.guesses) + (row.label == UNKNOWN)
    sheet = Image.new("RGB", (width + _PANEL_WIDTH, max(height, rows * _LINE + 2 * _MARGIN)), _PAPER)
    sheet.paste(small, (0, 0))
    _draw_panel(ImageDraw.Draw(sheet), width + _MARGIN, row)
    return sheet


def _draw_panel(draw: ImageDraw.ImageDraw, left: int, row: Row) -> None:
    font, top = ImageFont.load_default(_FONT_SIZE), _MARGIN
    if row.is_unknown:
        draw.text((left, top), UNKNOWN, _INK, font)
        top += _LINE
    for guess in row.guesses:
        _draw_guess(draw, left, top, guess, font)
        top += _LINE


def _draw_guess(
    draw: ImageDraw.ImageDraw,
    left: int,
    top: int,
    guess: Guess,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    full = _PANEL_WIDTH - 2 * _MARGIN
    score = f"{guess.score:.1%}"
    room = full - draw.textlength(score, font) - _MARGIN
    draw.text((left, top), _shortened(draw, printable(guess.label), room, font), _INK, font)
    draw.text((left + full - draw.textlength(score, font), top), score, _INK, font)
    bar = top + _FONT_SIZE + 8
    draw.rectangle((left, bar, left + full, bar + _BAR), _BAR_PAPER)
    if guess.score > 0:
        draw.rectangle((left, bar, left + round(full * guess.score), bar + _BAR), _BAR_INK)


def _shortened(
    draw: ImageDraw.ImageDraw, text: str, room: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    if draw.textlength(text, font) <= room:
        return text
    while text and draw.textlength(text + "...", font) > room:
        text = text[:-1]
    return text + "..."


def _encoded(picture: Image.Image, image_format: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, image_format, quality=90)
    return file.getvalue()
