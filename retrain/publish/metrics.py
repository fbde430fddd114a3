"""What was measured, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from retrain import fsio
from retrain.evaluate import plain


def write_metrics(path: str, facts: Mapping[str, object]) -> None:
    """Write what was measured.

    Args:
        path: the JSON file.
        facts: names and values; records of retrain.evaluate and arrays are spelt out, and what is no number is null.

    Raises:
        TypeError: a value has no JSON form.
    """
    fsio.write_text(path, json.dumps(plain(facts), indent=1, allow_nan=False) + "\n")


def add_metrics(path: str, facts: Mapping[str, object]) -> None:
    """Add to what write_metrics wrote.

    Args:
        path: the JSON file.
        facts: names and values.
    """
    write_metrics(path, {**json.loads(Path(path).read_text(encoding="utf-8")), **facts})
