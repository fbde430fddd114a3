"""How good a head for several labels is: out-of-fold scores, final test, and the files that tell of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from retrain import fsio, journal
from retrain.console import Console
from retrain.dataset import TESTING
from retrain.evaluate import LabelNumbers, group_numbers, labels_sentence, measure_labels
from retrain.head import Floats, Indices
from retrain.head.label_folds import CrossedLabels
from retrain.publish import Training, beside, label_card, label_predictions_csv, write_metrics

Said = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelJudgement:
    """How good a head for several labels is.

    Args:
        truth: bool (N, C), which photographs have which labels.
        scores: float32 (N, C), the model's, of all photographs, those it was trained on too.
        said: bool (N, C), which labels it gives.
        test_rows: intp (M,), photographs of the final test.
        test: their numbers.
        crossed: out-of-fold scores, and which labels follow by thresholds chosen on others; None when it was left out.
        cross_validated: their numbers; None when it was left out.
        sentence: what the numbers can and cannot tell.
    """

    truth: Said
    scores: Floats
    said: Said
    test_rows: Indices
    test: LabelNumbers
    crossed: tuple[Floats, Said] | None
    cross_validated: LabelNumbers | None
    sentence: str


def judge_labels(training: Training, crossed: CrossedLabels | None, console: Console) -> LabelJudgement:
    """Measure how good a head is, say it, and write it down beside the model.

    Args:
        training: what the model is made of; its bundle has the thresholds.
        crossed: out-of-fold scores; None when cross-validation was left out.
        console: where to say it.

    Returns:
        What was found.
    """
    features = training.features
    names, groups = features.catalog.labels, group_numbers(training.split.keys)
    targets = features.catalog.targets()
    truth, rows = targets == 1, training.split.indices(TESTING)
    scores = training.head.classify(features.rows, np.arange(len(truth)))
    said = scores >= np.array(training.bundle.thresholds, np.float32)
    test = measure_labels(scores[rows], truth[rows], said[rows], names, None if groups is None else groups[rows])
    both = numbers = None
    if crossed is not None:
        both = crossed.scores, crossed.said_by_others(targets)
        numbers = measure_labels(crossed.scores, truth, both[1], names, groups)
    sentence = labels_sentence(test, numbers)
    found = LabelJudgement(truth, scores, said, rows, test, both, numbers, sentence)
    journal.tell_label_results(test, numbers, sentence, console)
    _write(training, found)
    return found


def _write(training: Training, found: LabelJudgement) -> None:
    config, backbone, features = training.config, training.backbone, training.features
    crossed, labels = found.cross_validated, features.catalog.labels
    facts = {
        "config": asdict(config),
        "image_root": features.catalog.root,
        "labels": labels,
        "thresholds": dict(zip(labels, training.bundle.thresholds, strict=True)),
        "weights": {"source": backbone.weights.source, "sha256": backbone.weights.sha256},
        "kept_step": training.head.step,
        "test": found.test.exact,
        "cross_validated": None if crossed is None else crossed.exact,
        "mean_average_precision": {
            "test": found.test.mean_average_precision.value,
            "cross_validated": None if crossed is None else crossed.mean_average_precision.value,
        },
        "sentence": found.sentence,
        "numbers": {
            "test": found.test.numbers_json(),
            "cross_validated": None if crossed is None else crossed.numbers_json(),
        },
        **training.noted,
    }
    write_metrics(beside(config.output_graph, ".metrics.json"), facts)
    table = label_predictions_csv(
        features.catalog, features.sha256s, training.split, found.scores, found.said, found.crossed
    )
    fsio.write_text(beside(config.output_graph, ".predictions.csv"), table)
    card = label_card(training, found.test, crossed, found.sentence)
    fsio.write_text(beside(config.output_graph, ".model_card.md"), card)
