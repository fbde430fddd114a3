"""Distorted views of a training photograph: what is drawn, and how a picture is made from it.

The original draws a new distortion for every photograph of every training step and runs the whole backbone on it.
Here each training photograph has a fixed number of views, which are extracted once and cached; a training step draws
among them. A view is decided by the seed, the photograph's bytes and its own number alone: not by the order of files,
their names, the thread or how many views there are.

The arithmetic, in this order; H and W are the backbone's input size:
    quarter turns   the upright photograph is turned by 0, 90, 180 or 270 degrees (not in the original)
    crop and scale  it is resized to (int(H m s), int(W m s)), where m = 1 + random_crop / 100 and s is uniform in
                    [1, 1 + random_scale / 100]; the aspect ratio is not kept; H x W of it are cut out, each place alike
    flip            half of the views are mirrored left to right
    brightness      all values are multiplied by one factor, uniform in [1 - b / 100, 1 + b / 100]
    colour          each of R, G and B is multiplied by a factor of its own, uniform in [1 - c / 100, 1 + c / 100]
                    (not in the original)
Values are neither rounded nor clipped after the multiplications: 255 may become 280, as in the original. The resize is
this project's antialiased one, where the original's read single pixels.

Turns and mirrorings are dealt, not drawn one by one: any eight views in a row show each of the eight symmetries of the
square once (with flip alone four of them are mirrored), and a view by itself has each of them with equal probability.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from retrain.images import Floats, InputSpec, resize_rgb

# Part of every view's key: raise it when the same draw would give other pixels.
VERSION = 1
_SYMMETRIES = 8


@dataclass(frozen=True, slots=True)
class View:
    """One distorted picture, in numbers.

    Args:
        quarter_turns: 0 to 3, counter-clockwise.
        enlargement: what height and width are multiplied by before the cut, at least 1.
        top: where the cut begins, as a share of the room there is, 0 to below 1.
        left: the same from the left.
        mirrored: whether it is flipped left to right.
        gains: factors of R, G and B.
    """

    quarter_turns: int = 0
    enlargement: float = 1.0
    top: float = 0.0
    left: float = 0.0
    mirrored: bool = False
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Distortion:
    """What views may differ by; the names are those of the flags.

    Args:
        flip_left_right: mirror half of the views.
        random_crop: margin cut away, in percent of the input size.
        random_scale: enlarge by up to so many percent.
        random_brightness: brighten and darken by up to so many percent.
        random_quarter_turns: turn by a multiple of 90 degrees.
        random_colour: brighten and darken each colour channel by up to so many percent.
        seed: of the draws.
    """

    flip_left_right: bool = False
    random_crop: int = 0
    random_scale: int = 0
    random_brightness: int = 0
    random_quarter_turns: bool = False
    random_colour: int = 0
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        """All that decides a view of a given photograph besides its number, as text."""
        parts = [f"{name}={int(value)}" for name, value in asdict(self).items()]
        return " ".join([f"distortion={VERSION}", *parts])

    def draw(self, sha256: bytes, number: int) -> View:
        """Decide one view.

        Args:
            sha256: digest of the photograph's bytes.
            number: which view, from 0.

        Returns:
            The same for the same arguments, on every machine and in every version of Python and NumPy.
        """
        turns, mirrored = self._symmetry(sha256, number)

        def uniform(what: str) -> float:
            return _uniform(f"{self.seed} {number} {what}", sha256)

        def gain(percent: int, what: str) -> float:
            return 1 + percent / 100 * (2 * uniform(what) - 1) if percent else 1.0

        scale = 1 + self.random_scale / 100 * uniform("scale")
        enlargement = self._margin * scale
        # Without room to choose from, equal views are to be equal in every number, so that one pass serves them.
        room = self.random_crop or self.random_scale
        brightness = gain(self.random_brightness, "brightness")
        red, green, blue = (brightness * gain(self.random_colour, colour) for colour in ("red", "green", "blue"))
        return View(
            quarter_turns=turns,
            enlargement=enlargement,
            top=uniform("top") if room else 0.0,
            left=uniform("left") if room else 0.0,
            mirrored=mirrored,
            gains=(red, green, blue),
        )

    def least_size(self, spec: InputSpec) -> tuple[int, int]:
        """Say how large a decoded photograph is to be at least, so that no view is enlarged from less.

        Args:
            spec: size of the backbone's input.

        Returns:
            height, width, pixels; the same for every view of a photograph, whichever are asked for.
        """
        height, width = enlarged_size(self._margin * (1 + self.random_scale / 100), spec)
        return (max(height, width),) * 2 if self.random_quarter_turns else (height, width)

    @property
    def _margin(self) -> float:
        return 1 + self.random_crop / 100

    def _symmetry(self, sha256: bytes, number: int) -> tuple[int, bool]:
        start = int(_SYMMETRIES * _uniform(f"{self.seed} symmetry", sha256))
        place = (start + number) % _SYMMETRIES
        # Four in a row have four different turns, two in a row are one of each kind; eight are all eight.
        turns, mirrored = place % 4, (place + place // 4) % 2 == 1
        return turns if self.random_quarter_turns else 0, mirrored and self.flip_left_right


UNDISTORTED = Distortion()


def _uniform(what: str, sha256: bytes) -> float:
    """Hash to a number in 0 to below 1, with 53 random bits."""
    digest = hashlib.sha256(f"retrain view {VERSION} {what} ".encode() + sha256).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


def enlarged_size(enlargement: float, spec: InputSpec) -> tuple[int, int]:
    """Say to what size a picture is brought before the cut.

    Args:
        enlargement: at least 1.
        spec: size of the backbone's input.

    Returns:
        height, width, pixels: products in single precision, cut off, as the original computes them.
    """
    factor = np.float32(enlargement)
    return int(np.float32(spec.height) * factor), int(np.float32(spec.width) * factor)


def apply(image: Image.Image, view: View, spec: InputSpec) -> Floats:
    """Make the picture of a view.

    Args:
        image: the photograph, RGB, upright, of any size.
        view: what to make of it.
        spec: size of the backbone's input.

    Returns:
        float32 (H, W, 3), RGB, 0 to 255 times the gains.
    """
    height, width = enlarged_size(view.enlargement, spec)
    # Resizing first and turning the small picture is the same for less work; so the sizes are swapped here.
    before = (width, height) if view.quarter_turns % 2 else (height, width)
    pixels = np.rot90(resize_rgb(image, *before), view.quarter_turns)
    top = int(view.top * (height - spec.height + 1))
    left = int(view.left * (width - spec.width + 1))
    cut = pixels[top : top + spec.height, left : left + spec.width]
    if view.mirrored:
        cut = cut[:, ::-1]
    return np.multiply(cut, np.array(view.gains, np.float32), dtype=np.float32)
