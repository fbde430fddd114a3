"""What becomes of each answer, once or while watching: a row, a copy, a picture; and the count of what failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from retrain.bundle import Bundle
from retrain.classifier import Classifier
from retrain.errors import ImageError, UsageError
from retrain.label.flags import LabelConfig
from retrain.label.judging import Judge, Judged
from retrain.label.rows import Row, Tally, row_of
from retrain.label.sources import Photograph
from retrain.litert import usable_cores
from retrain.threads import in_order

# Does something with a photograph and its row; an ImageError becomes that row's error.
Step = Callable[[Photograph, Row], None]


def named(judge: Judge, photographs: Iterable[Photograph], config: LabelConfig) -> Iterator[tuple[Photograph, Judged]]:
    """Name photographs on all cores.

    Args:
        judge: of the model.
        photographs: taken as the answers are.
        config: threads and batch_size.

    Yields:
        Each photograph with its answer, in their order.
    """
    begun: deque[Photograph] = deque()

    def images() -> Iterator[tuple[int, str | bytes]]:
        for index, photograph in enumerate(photographs):
            begun.append(photograph)
            yield index, photograph.image

    for result in in_order(judge.judge_or_error, images(), config.threads or usable_cores(), config.batch_size):
        yield begun.popleft(), result


def steps_of(config: LabelConfig, classifier: Classifier) -> list[Step]:
    """Say what is done with each photograph beside its row.

    Args:
        config: sort_into, annotate and heat_map.
        classifier: the model.

    Returns:
        In the order in which it is done; nothing is written yet.

    Raises:
        UsageError: photographs are to be sorted, and the model may give one several labels.
    """
    steps: list[Step] = []
    if config.sort_into is not None:
        if classifier.bundle.thresholds:
            raise UsageError(
                f"got --sort_into, which has one folder for each photograph, and {config.graph}, which may give it "
                "several labels; leave --sort_into away"
            )
        from retrain.label.sorting import Sorter

        steps.append(Sorter(config.sort_into, classifier.bundle.labels, links=config.sort_links))
    if config.annotate is not None:
        from retrain.label.annotate import Annotator
        from retrain.label.checks import annotates_one_file

        steps.append(Annotator(config.annotate, one_file=annotates_one_file(config), sky=classifier.bundle.sky))
    if config.heat_map is not None:
        from retrain.label.heating import HeatMapper

        steps.append(HeatMapper(config.heat_map, classifier, config.threads))
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
        classifier: the model.
        write: what the row goes to.
    """

    def __init__(self, config: LabelConfig, classifier: Classifier, write: Callable[[Row], None]) -> None:
        self._min_score, self._write = threshold_of(config, classifier.bundle), write
        self._steps = steps_of(config, classifier)
        self.tally = Tally()

    def __call__(self, photograph: Photograph, result: Judged) -> None:
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
