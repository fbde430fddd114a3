"""What was measured, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from retrain import fsio
from retrain.evaluate import Accuracy


def write_metrics(path: str, facts: Mapping[str, object]) -> None:
    """Write what was measured.

    Args:
        path: the JSON file.
        facts: names and values; Accuracy and arrays are spelt out.
    """
    fsio.write_text(path, json.dumps(facts, indent=1, default=_plain) + "\n")


def add_metrics(path: str, facts: Mapping[str, object]) -> None:
    """Add to what write_metrics wrote.

    Args:
        path: the JSON file.
        facts: names and values.
    """
    write_metrics(path, {**json.loads(Path(path).read_text(encoding="utf-8")), **facts})


def _plain(value: object) -> object:
    if isinstance(value, Accuracy):
        share = value.value if value.count else None
        return {
            "accuracy": share,
            "right": value.right,
            "count": value.count,
            "low_95": value.low,
            "high_95": value.high,
        }
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
