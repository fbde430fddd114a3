"""The photographs that exports are compared on, and what the float32 model says of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from retrain import fsio
from retrain.exporters.parity import Indices, read_pixels
from retrain.images import Floats, InputSpec, Pixels, deep_format, read_image_file
from retrain.storage import is_url

Truth = npt.NDArray[np.bool_]


class Yardstick:
    """Photographs, each decoded once, as pixels and as files.

    Args:
        paths: of the photographs, or their URLs; at least one.
        labels: intp (N,), the class of each; of several labels, bool (N, C).
        spec: the model's input.
        folder: for what a child process is handed.
        thresholds: of the labels, where a photograph may have several.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: Indices | Truth,
        spec: InputSpec,
        folder: Path,
        thresholds: Sequence[float] = (),
    ) -> None:
        self.paths, self.labels, self.spec, self.folder = list(paths), labels, spec, folder
        self._thresholds = np.array(thresholds, np.float32)

    @cached_property
    def pixels(self) -> Pixels:
        """uint8 (N, H, W, 3), RGB."""
        return read_pixels(self.paths, self.spec)

    def pixels_file(self) -> Path:
        """Write the pixels down, once.

        Returns:
            Path of a .npy.
        """
        path = self.folder / "pixels.npy"
        if not path.exists():
            with fsio.replacing(path) as file:
                np.save(file, self.pixels, allow_pickle=False)
        return path

    def right(self, scores: Floats) -> int:
        """Count the photographs whose first label is their class, or which get the very labels that they have.

        Args:
            scores: float32 (N, C).

        Returns:
            How many.
        """
        if len(self._thresholds):
            return int(((scores >= self._thresholds) == self.labels).all(axis=1).sum())
        return int((scores.argmax(axis=1) == self.labels).sum())

    def files(self, name: str) -> tuple[list[int], list[str]]:
        """List the files that an export which decodes by itself is fed.

        Args:
            name: of the format. A frozen graph has the original's DecodeJpeg and turns nothing, so that only upright
                JPEGs in colour or grey say something about it. No export can stretch a picture of the sky.

        Returns:
            Which of the photographs, and their paths on this machine.
        """
        chosen: dict[int, str] = {}
        for number, path in enumerate(self.paths):
            data = read_image_file(path)
            if self.spec.sky is not None and deep_format(data):
                continue
            if name != "graph" or _is_upright_jpeg(data):
                chosen[number] = self._on_this_machine(number, data)
        return list(chosen), list(chosen.values())

    def _on_this_machine(self, number: int, data: bytes) -> str:
        if not is_url(self.paths[number]):
            return self.paths[number]
        copy = self.folder / f"photograph_{number}"
        if not copy.exists():
            fsio.write_bytes(copy, data)
        return str(copy)


def _is_upright_jpeg(data: bytes) -> bool:
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    with Image.open(io.BytesIO(data)) as image:
        return image.mode in ("RGB", "L") and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
