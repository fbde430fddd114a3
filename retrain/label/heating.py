"""A photograph with what in it speaks for its label: red for it, blue against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from retrain import fsio
from retrain.classifier import Classifier
from retrain.images import Floats, Pixels, decode_rgb, decode_upright
from retrain.insight.heat import occlusion_map, overlay, png
from retrain.label.rows import Row
from retrain.label.sorting import NamesTaken, contents, file_name
from retrain.label.sources import Photograph
from retrain.litert import usable_cores
from retrain.threads import in_order

# Pixels a side at which the photograph is decoded for the overlay.
_MAX_SIDE = 768


class HeatMapper:
    """Writes a heat map of each photograph, in a folder in which nothing is overwritten.

    Args:
        folder: where.
        classifier: the model.
        threads: that score covered photographs; 0: one a core.
    """

    def __init__(self, folder: str, classifier: Classifier, threads: int = 0) -> None:
        self._folder, self._classifier, self._threads = Path(folder), classifier, threads or usable_cores()
        self._names_taken = NamesTaken()

    def __call__(self, photograph: Photograph, row: Row) -> None:
        """Make one heat map, of the best guess.

        Args:
            photograph: that was named.
            row: with its guesses.

        Raises:
            ImageError: it cannot be read any more.
        """
        data, bundle = contents(photograph), self._classifier.bundle
        pixels = decode_rgb(data, bundle.input_spec)
        heat = occlusion_map(self._score_many, pixels, bundle.labels.index(row.guesses[0].label))
        picture = png(overlay(decode_upright(data, _MAX_SIDE, _MAX_SIDE), heat))
        name = Path(file_name(photograph)).with_suffix(".png").name
        self._names_taken.put(self._folder, name, lambda target: fsio.write_new(target, picture))

    def _score_many(self, pictures: Iterable[Pixels]) -> Iterator[Floats]:
        return in_order(self._classifier.scores, pictures, self._threads, 4 * self._threads)
