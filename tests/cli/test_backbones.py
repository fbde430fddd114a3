"""One architecture of each kind, with random weights: built, converted, compared with Keras."""

from __future__ import annotations

import json

import pytest
from conftest import ROOT, python

from retrain.backbones.table import table

pytestmark = pytest.mark.tensorflow

ONE_OF_EACH_KIND = (
    "mobilenet_1.0_224",
    "inception_v3",
    "vgg16",
    "resnet50",
    "resnet50_v2",
    "xception",
    "densenet121",
    "mobilenet_v2_0.35_224",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "convnext_tiny",
    "nasnet_mobile",
)


def test_every_kind_of_backbone_converts_and_agrees_with_keras() -> None:
    run = python(ROOT / "tests/cli/convert_all.py", *ONE_OF_EACH_KIND, timeout_s=1200)
    assert run.returncode == 0, run.stderr[-2000:]
    rows = [json.loads(line[4:]) for line in run.stdout.splitlines() if line.startswith("ROW ")]
    assert sorted(row["name"] for row in rows) == sorted(ONE_OF_EACH_KIND)
    for row in rows:
        assert "error" not in row, row
        assert row["width"] == table()[row["name"]].feature_width
        # Random weights leave features of any size: what counts is the difference beside the largest one.
        assert row["scale"] > 0
        assert row["difference"] <= 1e-3 * row["scale"], row
