"""What is measured and written of a head for several labels, with labels that are hostile text."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from test_judging import NAMES, QUIET, training_of

from retrain.bottlenecks import Material, MemoryMatrix, labels_of, material_of
from retrain.console import HeldConsole
from retrain.dataset import TESTING, TRAINING, VALIDATION
from retrain.head import Recipe
from retrain.head.multilabel import fit_labels
from retrain.several import cross_labels, discover_labels, judge_labels, targets_of
from retrain.several.showing import facts_of_labels, outcome_of_labels

RECIPE = Recipe(1, 0.01, 1, 0.0, kind="logistic")


def several(tmp_path, **flags):
    """A training on photographs of two labels, every third of which has both; its crossed scores; and the head."""
    training = training_of(tmp_path, count=90, multi_label=True, **flags)
    catalog, rows = training.features.catalog, training.features.rows.take(np.arange(90))
    sets = {one.path: (0, 1) if n % 3 == 0 else (one.label,) for n, one in enumerate(catalog.records)}
    both = np.array([len(sets[one.path]) == 2 for one in catalog.records])
    rows[both] = np.random.default_rng(1).standard_normal((both.sum(), 4)).astype(np.float32) + np.float32(
        [3, -3, 0, 0]
    )
    features = replace(training.features, catalog=replace(catalog, label_sets=sets), rows=MemoryMatrix(rows))
    material = material_of(features, None)
    crossed = cross_labels(training.config, features, material, training.split, RECIPE, QUIET)
    kept = training.split.indices(TRAINING)
    fitted = fit_labels(rows, targets_of(features, material), training.split.indices(VALIDATION), RECIPE, kept)
    bundle = replace(training.bundle, thresholds=tuple(map(float, fitted.thresholds)))
    return replace(training, features=features, head=fitted.head, bundle=bundle), crossed


def test_a_run_is_judged_and_all_of_it_is_written(tmp_path):
    training, crossed = several(tmp_path)
    console = HeldConsole()
    found = judge_labels(training, crossed, console)
    assert found.test.exact.count == len(training.split.indices(TESTING))
    assert found.cross_validated.exact.count == 90
    assert found.cross_validated.mean_average_precision.value > 0.9
    facts = json.loads((tmp_path / "m.metrics.json").read_text())
    assert list(facts["thresholds"]) == list(NAMES)
    assert facts["numbers"]["cross_validated"] == found.cross_validated.numbers_json()
    table = list(csv.DictReader((tmp_path / "m.predictions.csv").read_text().splitlines()))
    assert len(table) == 90
    assert not [cell for row in table for cell in row.values() if cell.startswith("=")]
    assert table[0]["label"].count(";") == 1
    assert {row["out_of_fold"] for row in table} >= {table[0]["label"]}
    card = (tmp_path / "m.model_card.md").read_text()
    assert "](javascript" not in card
    assert "<b>" not in card
    assert "### Label by label" in card


def test_without_cross_validation_there_are_empty_cells_and_no_numbers_of_it(tmp_path):
    training, crossed = several(tmp_path, cross_validation_folds=0)
    assert crossed is None
    found = judge_labels(training, None, QUIET)
    assert found.cross_validated is None
    assert "cross-validation was left out" in found.sentence
    with (tmp_path / "m.predictions.csv").open() as file:
        assert {row["out_of_fold"] for row in csv.DictReader(file)} == {""}
    outcome = outcome_of_labels(training, found)
    assert np.isnan(outcome.scores).all(axis=1).sum() == 90 - found.test.exact.count
    assert outcome.kind == "final test"
    assert [guess != "" for guess in outcome.several.guesses] == (training.split.sides == TESTING).tolist()


def test_the_report_says_why_there_is_no_confusion(tmp_path):
    training, crossed = several(tmp_path)
    found = judge_labels(training, crossed, QUIET)
    discovery = discover_labels(training.config, training.features, training.split, training.head)
    assert discovery.insight.rule is None
    assert not [note for note in discovery.insight.notes if "sets of labels" in note]
    facts = facts_of_labels(training, found, discovery, [])
    assert facts.judged == ()
    assert "several labels" in facts.missing["confusion"]
    assert facts.class_numbers.f1.shape == (2, 3)
    outcome = outcome_of_labels(training, found)
    assert (outcome.several.truth.sum(axis=0) == training.features.catalog.count_with_label()).all()
    assert "](javascript" not in outcome.summary


def test_views_have_the_labels_of_their_photographs(tmp_path):
    training, _ = several(tmp_path, cross_validation_folds=0)
    own = training.features.catalog.targets()
    views_of = np.full(90, -1, np.intp)
    views_of[[7, 3]] = [0, 1]  # not in their order
    rows = MemoryMatrix(np.zeros((94, 4), np.float32))
    labels = np.concatenate([labels_of(training.features), np.zeros(4, np.intp)])
    found = targets_of(training.features, Material(rows, labels, 90, views_of, 2))
    assert (found[:90] == own).all()
    assert (found[90:] == own[[7, 7, 3, 3]]).all()


@pytest.mark.parametrize("count", [0, 1])
def test_a_label_without_photographs_in_the_test_is_said_to_be_so(tmp_path, count):
    training, crossed = several(tmp_path)
    sides = np.full(90, TRAINING, np.uint8)
    sides[1 : 1 + count] = TESTING
    console = HeldConsole()
    found = judge_labels(replace(training, split=replace(training.split, sides=sides)), crossed, console)
    assert found.test.exact.count == count
    assert ("1 of 2 labels are on no photograph" in " ".join(found.test.notes)) == (count == 1)
