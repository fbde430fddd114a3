"""The faster order of a network's operations: the same result, the same gradients."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import ROOT, python

pytestmark = pytest.mark.tensorflow

# Case -> how many poolings come before the bias and activation of a convolution.
PLAIN = {
    "cnn3_40:float32:training": 3,
    "cnn6_24_grey:float32:training": 3,
    "inception_cnn_33:float32:training": 0,
    "mnist_cnn_29_grey:float32:calm": 2,
    "overlapping:float32:training": 2,
    "normalised:float32:training": 1,
}
MIXED = "cnn3_40:mixed_bfloat16:training"


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    done = python(ROOT / "tests" / "cli" / "reordered_parts.py", *PLAIN, MIXED, timeout_s=600)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line.removeprefix("ROW ")) for line in done.stdout.splitlines() if line.startswith("ROW ")]
    return dict(rows)


@pytest.mark.parametrize("case", PLAIN)
def test_result_and_gradients_are_the_same(told: dict[str, Any], case: str) -> None:
    facts = told[case]
    assert facts["moved"] == PLAIN[case]
    assert facts["apart"] < 1e-5
    assert facts["gradients_above_0"]
    assert facts["gradients"] < 1e-4


def test_result_is_the_same_to_the_last_bit(told: dict[str, Any]) -> None:
    assert told["cnn3_40:float32:training"]["same"]


def test_batch_normalisation_still_counts_along(told: dict[str, Any]) -> None:
    assert told["normalised:float32:training"]["kept"] < 1e-6


def test_mixed_precision_multiplies_in_bfloat16_as_well(told: dict[str, Any]) -> None:
    facts = told[MIXED]
    assert facts["moved"] == 3
    assert facts["apart"] < 0.02
    assert facts["gradients"] < 0.1
