"""What an earlier run was told, as its metrics.json has it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from retrain.config import RunConfig
from retrain.errors import ModelError
from retrain.publish.naming import beside


def metrics_path(output_graph: str) -> Path:
    """Say where a run's metrics lie.

    Args:
        output_graph: path of its model.

    Returns:
        The JSON file beside it.
    """
    return Path(beside(output_graph, ".metrics.json"))


def told_config(output_graph: str) -> RunConfig:
    """Read what the run that wrote a model was told.

    Args:
        output_graph: path of the model.

    Returns:
        Its config, as it was.

    Raises:
        ModelError: there was no run, or what it wrote is damaged or of another version.
    """
    path = metrics_path(output_graph)
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["config"]
        known = {one.name: one.default for one in dataclasses.fields(RunConfig)}
        strange = sorted(set(said) - set(known))
        if strange:
            raise ModelError(f"{path}: the run was told {', '.join(strange)}, which this version does not know")
        wrong = [name for name, value in said.items() if not _is_like(value, known[name])]
        if wrong:
            raise ModelError(f"{path}: what it says of {', '.join(wrong)} is damaged; train again")
        return RunConfig(**said)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"expected {path}, which a run writes, to say what it was told ({error}); train first, or name the model "
            "with --graph, or give --image_dir and --no_refit"
        ) from error


def _is_like(value: object, default: object) -> bool:
    return type(value) is type(default) or (isinstance(default, float) and type(value) is int)
