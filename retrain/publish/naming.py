"""Where the files of a model go."""

from __future__ import annotations

from pathlib import Path

from retrain.config import FORMATS


def beside(output_graph: str | Path, ending: str) -> str:
    """Name a file that belongs to a model.

    Args:
        output_graph: path of the model, ``.../retrained_graph.pb``.
        ending: ".tflite", ".split.csv" and so on.

    Returns:
        ``.../retrained_graph<ending>``.
    """
    return str(Path(output_graph).with_suffix("")) + ending


def place_of(output_graph: str | Path, name: str) -> Path:
    """Name the file or folder of an export.

    Args:
        output_graph: path of the model.
        name: of the format.

    Returns:
        Its path.
    """
    return Path(beside(output_graph, FORMATS[name].ending))
