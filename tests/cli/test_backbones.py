"""One architecture of each kind, with random weights: built, converted, compared with Keras."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.backbones.table import table

pytestmark = pytest.mark.tensorflow


def test_every_kind_of_backbone_converts_and_agrees_with_keras(kinds: list[dict[str, Any]]) -> None:
    for row in kinds:
        assert "error" not in row, row
        assert row["width"] == table()[row["name"]].feature_width
        # Random weights leave features of any size: what counts is the difference beside the largest one.
        assert row["scale"] > 0
        assert row["difference"] <= 1e-3 * row["scale"], row
