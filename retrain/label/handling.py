"""What becomes of each answer, once or while watching: a row, a copy, a picture; and the count of what failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from retrain.bundle import Bundle
from retrain.classifier import Classifier, Result
from retrain.errors import ImageError
from retrain.images import SkyStretch
from retrain.label.flags import LabelConfig
from retrain.label.rows import Row, Tally, row_of
from retrain.label.sources import Photograph

# Does something with a photograph and its row; an ImageError becomes that row's error.
Step = Callable[[Photograph, Row], None]


def named(
    classifier: Classifier, photographs: Iterable[Photograph], config: LabelConfig
) -> Iterator[tuple[Photograph, Result]]:
    """Name photographs on all cores.

    Args:
        classifier: the model.
        photographs: taken as the answers are.
        config: top_k, threads and batch_size.

    Yields:
        Each photograph with its answer, in their order.
    """
    begun: deque[Photograph] = deque()

    def images() -> Iterator[str | bytes]:
        for photograph in photographs:
            begun.append(photograph)
            yield photograph.image

    results = classifier.classify_many(
        images(), top_k=config.top_k, threads=config.threads, in_flight=config.batch_size
    )
    for result in results:
        yield begun.popleft(), result


def steps_of(config: LabelConfig, labels: tuple[str, ...], sky: SkyStretch | None = None) -> list[Step]:
    """Say what is done with each photograph beside its row.

    Args:
        config: sort_into and annotate.
        labels: of the model.
        sky: of the model: how pictures with more than 8 bits a value are stretched.

    Returns:
        In the order in which it is done; nothing is written yet.
    """
    steps: list[Step] = []
    if config.sort_into is not None:
        from retrain.label.sorting import Sorter

        steps.append(Sorter(config.sort_into, labels, links=config.sort_links))
    if config.annotate is not None:
        from retrain.label.annotate import Annotator
        from retrain.label.checks import annotates_one_file

        steps.append(Annotator(config.annotate, one_file=annotates_one_file(config), sky=sky))
    return steps


def threshold_of(config: LabelConfig, bundle: Bundle) -> float:
    """Say below which score a photograph is unknown.

    Args:
        config: min_score.
        bundle: of the model, which has a threshold of its own.

    Returns:
        0 to 1; 0 where nothing is unknown.
    """
    return bundle.unknown_threshold if config.min_score is None else config.min_score


class Handler:
    """Does all that is done with an answer.

    Args:
        config: min_score and the steps.
        bundle: of the model: its labels and its threshold.
        write: what the row goes to.
    """

    def __init__(self, config: LabelConfig, bundle: Bundle, write: Callable[[Row], None]) -> None:
        self._min_score, self._write = threshold_of(config, bundle), write
        self._steps = steps_of(config, bundle.labels, bundle.sky)
        self.tally = Tally()

    def __call__(self, photograph: Photograph, result: Result) -> None:
        """Handle one answer.

        Args:
            photograph: that was named.
            result: what came of it.
        """
        row, failure = row_of(photograph.path, result, self._min_score), result.error
        if failure is None:
            try:
                for step in self._steps:
                    step(photograph, row)
            except ImageError as error:  # gone or changed since it was named
                row, failure = replace(row, error=str(error)), error
        self._write(row)
        self.tally.add(failure)
