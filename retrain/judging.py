"""How good a head is: cross-validation, temperature, final test, learning curve, and the files that tell of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from retrain import fsio, journal
from retrain.bottlenecks import Material, labels_of
from retrain.config import RunConfig
from retrain.console import Console
from retrain.dataset import TESTING, Split
from retrain.evaluate import (
    Growth,
    Numbers,
    cool_by_others,
    cooled_scores,
    group_numbers,
    grow,
    measure,
    measure_repeated,
    plain_sentence,
    useful_temperature,
)
from retrain.head import ClassBalancedSampler, Crossed, Floats, Head, Indices, Recipe, cross_validate_again
from retrain.head.layers import SOFTMAX
from retrain.head.learning import fits_of, learning_curve
from retrain.publish import NetworkTraining, Training, beside, model_card, predictions_csv, write_metrics


@dataclass(frozen=True, eq=False)
class Judgement:
    """How good a head is.

    Args:
        test_rows: intp (M,), photographs of the final test; where they are drawn, one may be there twice.
        test_scores: float32 (M, C), the model's.
        test: numbers of the final test; "before" are the scores of the head as it was trained.
        crossed: out-of-fold scores as the heads were trained; None when cross-validation was left out.
        cooled: float32 (N, C), the same at the model's temperature, mean of the repeats; None when it was left out.
        cross_validated: their numbers; None when it was left out.
        growth: what the learning curve says; None when it was left out.
        sentence: what the numbers can and cannot tell.
        scores: float32 (N, C), the model's, of all photographs, those it was trained on too.
    """

    test_rows: Indices
    test_scores: Floats
    test: Numbers
    crossed: Crossed | None
    cooled: Floats | None
    cross_validated: Numbers | None
    growth: Growth | None
    sentence: str
    scores: Floats


def cross(
    config: RunConfig, material: Material, split: Split, recipe: Recipe, class_count: int, console: Console
) -> Crossed | None:
    """Cross-validate, as often as was asked for.

    Args:
        config: how many folds and repeats.
        material: what heads are trained and tested on.
        split: photographs with the same key are never told apart.
        recipe: of the head.
        class_count: C.
        console: shown how far it is.

    Returns:
        Out-of-fold scores; None where cross-validation is off.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    folds, repeats = config.folds, config.cross_validation_repeats
    if not folds:
        return None
    with console.stage("Cross-validating", folds * repeats, "folds") as advance:
        return cross_validate_again(
            material.rows,
            material.labels,
            split.keys,
            recipe,
            class_count,
            folds,
            repeats,
            advance,
            material.training_rows,
            by_size=split.is_grouped,
        )


def calibrated(head: Head, crossed: Crossed | None, labels: Indices) -> Head:
    """Divide a head's logits by the temperature that its out-of-fold scores call for.

    Args:
        head: as trained.
        crossed: out-of-fold scores; None leaves the head as it is.
        labels: intp (N,), of the photographs.

    Returns:
        The head; as it is where cooling is of no use, and where its scores are no softmax of logits.
    """
    if crossed is None or head.after != SOFTMAX:
        return head
    temperature = useful_temperature(crossed.scores, labels[: crossed.scores.shape[1]], crossed.folds)
    return head if temperature == 1 else head.cooled(temperature)


def judge(
    training: Training, material: Material, recipe: Recipe | None, crossed: Crossed | None, console: Console
) -> Judgement:
    """Measure how good a head is, say it, and write it down beside the model.

    Args:
        training: what the model is made of; its head is the one that is saved, its temperature folded in.
        material: what heads are trained and tested on.
        recipe: of the head; None of a whole network, which has no learning curve.
        crossed: of ``cross``; None when it was left out.
        console: where to say it.

    Returns:
        What was found.

    Raises:
        NumericalError: a feature, the loss or a weight became NaN or infinite.
    """
    config, head = training.config, training.head
    features, names = training.features, training.features.catalog.labels
    labels, groups = labels_of(features), group_numbers(training.split.keys)
    rows = tested_rows(config, labels, training.split.indices(TESTING))
    scores = head.classify(features.rows, np.arange(len(labels)))
    as_trained = head.cooled(1 / head.temperature).classify(features.rows, rows)
    tested = measure_test(as_trained, training.split, rows, labels, names, head.temperature, scores[rows])
    cooled, numbers = _crossed_numbers(crossed, labels, names, groups, head.temperature)
    growth = _growth(config, material, training, recipe, crossed, groups, console)
    sentence = plain_sentence(tested.accuracy, None if numbers is None else numbers.accuracy)
    found = Judgement(rows, scores[rows], tested, crossed, cooled, numbers, growth, sentence, scores)
    accuracy = None if numbers is None else numbers.accuracy
    journal.tell_results(tested.accuracy, accuracy, console, numbers or tested, growth)
    if config.print_misclassified_test_images:
        journal.tell_misclassified(features.catalog, rows, found.test_scores, console)
    _write(training, found)
    return found


def measure_test(
    scores: Floats, split: Split, rows: Indices, labels: Indices, names: tuple[str, ...],
    temperature: float = 1.0, cooled: Floats | None = None,
) -> Numbers:  # fmt: skip
    """Measure the final test.

    Args:
        scores: float32 (M, C), of the head as it was trained, rows sum to 1.
        split: photographs of the same group are not independent answers.
        rows: intp (M,), of ``tested_rows``; a photograph that was drawn twice is one answer.
        labels: intp (N,), of all photographs.
        names: of the classes, C of them.
        temperature: of the cooled scores.
        cooled: float32 (M, C); None: the scores at that temperature.

    Returns:
        The numbers.
    """
    groups = group_numbers(split.keys)
    drawn = rows if len(np.unique(rows)) < len(rows) else None
    counted = drawn if groups is None else groups[rows]
    return measure(scores, labels[rows], names, counted, temperature, cooled)


def tested_rows(config: RunConfig, labels: Indices, rows: Indices) -> Indices:
    """Choose what the final test is made on.

    Args:
        config: may ask for a batch that is drawn, --test_batch_size.
        labels: intp (N,), of all photographs.
        rows: intp (M,), those of the testing side.

    Returns:
        intp, all of these, or as many as the batch has; one may be there twice then.
    """
    if not len(rows) or config.test_batch_size <= 0:
        return rows
    drawn: Indices = rows[
        ClassBalancedSampler(labels[rows], np.random.default_rng([config.seed, 2])).draw(config.test_batch_size)
    ]
    return drawn


def _crossed_numbers(
    crossed: Crossed | None, labels: Indices, names: tuple[str, ...], groups: Indices | None, temperature: float
) -> tuple[Floats | None, Numbers | None]:
    """Measure out-of-fold scores; what is told of the cooled ones is told of temperatures not found on them."""
    if crossed is None:
        return None, None
    scores = crossed.mean_scores
    by_others = np.stack(
        [
            cool_by_others(repeat, labels, folds) if temperature != 1 else repeat
            for repeat, folds in zip(crossed.scores, crossed.folds, strict=True)
        ]
    ).mean(axis=0, dtype=np.float32)
    accuracy = measure_repeated(crossed.scores, labels, groups)
    numbers = measure(scores, labels, names, groups, temperature, by_others, accuracy)
    return cooled_scores(crossed.scores, temperature), numbers


def _growth(
    config: RunConfig,
    material: Material,
    training: Training,
    recipe: Recipe | None,
    crossed: Crossed | None,
    groups: Indices | None,
    console: Console,
) -> Growth | None:
    if not config.learning_curve or crossed is None or recipe is None:
        return None
    names, folds = training.features.catalog.labels, len(np.unique(crossed.folds[0]))
    own = material.labels[: material.photographs]
    with console.stage("Learning curve", fits_of(own, folds, whole_is_known=True), "heads") as advance:
        curve = learning_curve(
            material.rows,
            material.labels,
            training.split.keys,
            recipe,
            len(names),
            folds,
            advance,
            crossed.scores[0].argmax(axis=1),
            material.training_rows,
            by_size=training.split.is_grouped,
        )
    return grow(curve, names, groups, config.seed)


def _network_facts(network: NetworkTraining) -> dict[str, object]:
    trained = network.trained
    return {
        "epochs": trained.history,
        "best_epoch": trained.best_epoch,
        "steps": trained.step,
        "parameters_trained": trained.trained,
        "parameters_frozen": trained.frozen,
        "compared_with": network.yardstick,
        "its_test": network.compared,
    }


def _write(training: Training, found: Judgement) -> None:
    config, backbone, features = training.config, training.backbone, training.features
    crossed = found.cross_validated
    facts = {
        "config": asdict(config),
        "image_root": features.catalog.root,
        "labels": features.catalog.labels,
        "weights": {"source": backbone.weights.source, "sha256": backbone.weights.sha256},
        "kept_step": training.head.step,
        "temperature": training.head.temperature,
        "test": found.test.accuracy,
        "test_confusion": found.test.confusion,
        "cross_validated": None if crossed is None else crossed.accuracy,
        "cross_validated_confusion": None if crossed is None else crossed.confusion,
        "sentence": found.sentence,
        "numbers": {
            "test": found.test.numbers_json(),
            "cross_validated": None if crossed is None else crossed.numbers_json(),
        },
        "learning_curve": found.growth,
        **({} if training.network is None else {"network": _network_facts(training.network)}),
        **training.noted,
    }
    write_metrics(beside(config.output_graph, ".metrics.json"), facts)
    table = predictions_csv(features.catalog, features.sha256s, training.split, found.scores, found.cooled)
    fsio.write_text(beside(config.output_graph, ".predictions.csv"), table)
    card = model_card(training, found.test, crossed, found.growth, found.sentence)
    fsio.write_text(beside(config.output_graph, ".model_card.md"), card)
