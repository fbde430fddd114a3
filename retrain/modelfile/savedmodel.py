"""SavedModels: what ours say of themselves, and what a stranger's can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retrain.bundle import ASSET, Bundle, bundle_from_json
from retrain.errors import ModelError, WeightsError
from retrain.graphs import SAVED_MODEL
from retrain.graphs.checked import MAX_GRAPH_BYTES
from retrain.graphs.savedmodel import find_entry, parse_saved_model, tell_functions
from retrain.modelfile.files import MAX_TEXT_BYTES, read_model_file
from retrain.modelfile.kinds import folder_of


def saved_model_bundle(path: Path) -> Bundle | None:
    """Read what a SavedModel says of itself.

    Args:
        path: its folder, or the saved_model.pb in it; not trusted, not run.

    Returns:
        The description; None where it has none, and another tool wrote it.

    Raises:
        ModelError: its description is damaged or cannot be read.
    """
    asset = folder_of(path) / "assets" / ASSET
    if not asset.exists():
        return None
    return bundle_from_json(read_model_file(asset, "a SavedModel's description", MAX_TEXT_BYTES), str(path))


def read_saved_model(path: Path) -> Any:  # noqa: ANN401 - protobuf's classes have no types
    """Read the graph of a SavedModel; its variables stay where they are.

    Args:
        path: its folder, or the saved_model.pb in it; not trusted, not run.

    Returns:
        Its MetaGraphDef.

    Raises:
        ModelError: it cannot be read, is too large, or of TensorFlow 1.
    """
    data = read_model_file(folder_of(path) / SAVED_MODEL, "a SavedModel", MAX_GRAPH_BYTES)
    try:
        return parse_saved_model(data, str(path))
    except WeightsError as error:
        raise ModelError(str(error)) from error


def saved_model_facts(path: Path) -> dict[str, Any]:
    """Say what a stranger's SavedModel can be asked.

    Args:
        path: its folder, or the saved_model.pb in it; not trusted, not run.

    Returns:
        Facts by name.

    Raises:
        ModelError: as of read_saved_model, or it is damaged.
    """
    meta = read_saved_model(path)
    try:
        facts: dict[str, Any] = {"functions": tell_functions(meta)}
    except WeightsError as error:
        raise ModelError(f"{path}: {error}") from error
    try:
        entry = find_entry(meta, str(path))
    except WeightsError as error:
        return {**facts, "labels_with": f"nothing: {error}"}
    return {
        **facts,
        "labels_with": entry.name,
        "input_height": entry.height or "any",
        "input_width": entry.width or "any",
        "output": entry.output_name,
        "classes": entry.features or "not said",
    }
