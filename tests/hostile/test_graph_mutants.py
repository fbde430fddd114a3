"""Mutants of frozen graphs and SavedModels; scripts/soak/graphs.py opens a million."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from graph_mutants import as_backbone, as_module, as_scorer, changed, judge, seeds

from retrain.errors import WeightsError

QUICK = 3000


def test_the_sound_files_are_understood():
    (inception, stranger, ours, scores), module = seeds()
    as_backbone(inception)
    as_backbone(ours)
    as_scorer(stranger)
    as_scorer(scores)
    as_module(module)
    with pytest.raises(WeightsError):
        as_backbone(module)


def test_mutants_are_understood_or_refused():
    found = sum((judge(seed) for seed in range(QUICK)), Counter())
    assert found["refused"] > QUICK / 2
    assert found["understood"] > QUICK / 100  # the mutants are not all so broken that nothing was looked at


def test_a_seed_makes_the_same_mutant_again():
    data = seeds()[0][0]
    assert changed(data, random.Random(7)) == changed(data, random.Random(7)) != data
