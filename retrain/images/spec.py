"""What a model wants to be fed, and how much of an image is too much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.images.sky import SkyStretch

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ImageLimits:
    """What is refused from size and header, before anything is decoded.

    Args:
        max_bytes: size of the file.
        max_pixels: width times height.
        max_side: width and height; resizing keeps as many rows of the model's width, or columns of its height.
        max_jpeg_scans: scans of a JPEG; each costs a pass over all pixels (libjpeg-turbo's own cap).
    """

    max_bytes: int = 100_000_000
    max_pixels: int = 100_000_000
    max_side: int = 65_535
    max_jpeg_scans: int = 100


LIMITS = ImageLimits()


@dataclass(frozen=True)
class InputSpec:
    """What a model wants to be fed.

    Args:
        height: pixels.
        width: pixels.
        mean: subtracted from each channel value (0 to 255).
        std: what the difference is divided by.
        sky: how pictures with more than 8 bits a value are stretched; None: FITS and TIFF are not read, and of 16 bits
            the upper 8 are kept.
    """

    height: int
    width: int
    mean: float
    std: float
    sky: SkyStretch | None = None

    @property
    def numbers(self) -> dict[str, int | float]:
        """Size and scaling, by the names of their fields: all that matters once a picture is decoded."""
        return {"height": self.height, "width": self.width, "mean": self.mean, "std": self.std}
