"""Heat maps of the worst mistakes, for the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from retrain import report
from retrain.backbones import FrozenBackbone
from retrain.bottlenecks import labels_of
from retrain.console import Console
from retrain.errors import ImageError
from retrain.images import Floats, Pixels, decode_rgb
from retrain.insight.heat import occlusion_map
from retrain.judging import Judgement
from retrain.litert import usable_cores
from retrain.publish import Training
from retrain.report.thumbnails import ReadPhotograph
from retrain.threads import in_order

MADE = "By covering the photograph piece by piece and watching the score; red speaks for the answer, blue against it."


def heat_of_mistakes(
    training: Training, found: Judgement, read: ReadPhotograph, console: Console
) -> tuple[report.Heat, ...] | None:
    """Find what speaks for the wrong answers of which heads were surest.

    Args:
        training: what the model is made of; --heat_maps says how many.
        found: what heads said that had not seen the photograph.
        read: gives the bytes of a photograph.
        console: shown how far it is.

    Returns:
        One a mistake, the surest first; None where none were asked for.
    """
    wanted = training.config.heat_maps
    if not wanted:
        return None
    frozen, head = FrozenBackbone(training.backbone.tflite, training.bundle.input_spec), training.head
    threads = training.config.threads or usable_cores()

    def score_many(pictures: Iterable[Pixels]) -> Iterator[Floats]:
        return in_order(lambda one: head.probabilities(frozen.features(one)[None])[0], pictures, threads, 4 * threads)

    made = []
    mistakes = _worst(training, found)[:wanted]
    with console.stage("Heat maps", len(mistakes), "photographs") as advance:
        for row, guess in mistakes:
            pixels = _pixels(training, read, row)
            if pixels is not None:
                said = f"what speaks for {training.bundle.labels[guess]}"
                made.append(report.Heat(row, occlusion_map(score_many, pixels, guess), said))
            advance()
    return tuple(made)


def _worst(training: Training, found: Judgement) -> list[tuple[int, int]]:
    """Rows and wrong guesses, the surest first."""
    labels = labels_of(training.features)
    if found.cooled is None:
        rows, first = np.unique(found.test_rows, return_index=True)
        scores = found.test_scores[first]
    else:
        rows, scores = np.arange(len(labels)), found.cooled
    guesses = scores.argmax(axis=1)
    wrong = np.flatnonzero(guesses != labels[rows])
    order = wrong[np.argsort(-scores[wrong, guesses[wrong]], kind="stable")]
    return [(int(rows[place]), int(guesses[place])) for place in order]


def _pixels(training: Training, read: ReadPhotograph, row: int) -> Pixels | None:
    data = read(row)
    try:
        return None if data is None else decode_rgb(data, training.bundle.input_spec)
    except ImageError:
        return None  # the report shows a grey tile of a photograph that is gone
