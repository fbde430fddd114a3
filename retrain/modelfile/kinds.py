"""Which format a model file is of, by its name and what lies in a folder; whether it is one is seen when it is read."""

from __future__ import annotations

from pathlib import Path

from retrain.graphs import SAVED_MODEL

_BY_ENDING = {".pb": "graph", ".tflite": "tflite", ".lite": "tflite", ".onnx": "onnx", ".keras": "keras"}
TFJS_MODEL = "model.json"
# What can be labelled with; the others are only shown.
LABELLED = ("graph", "tflite", "onnx", "saved_model")
SAID = "a .pb, .tflite, .lite, .onnx or .keras file, a SavedModel's folder, or a TensorFlow.js folder or its model.json"
SAID_FOR_LABELLING = "a .pb, .tflite, .lite or .onnx file, or the folder of a SavedModel"


def kind_of(path: Path) -> str:
    """Tell the format of a model.

    Args:
        path: a file or folder.

    Returns:
        "graph", "tflite", "onnx", "keras", "saved_model" or "tfjs"; empty where it is none, or not there.
    """
    if path.is_dir():
        return "saved_model" if (path / SAVED_MODEL).is_file() else "tfjs" if (path / TFJS_MODEL).is_file() else ""
    if not path.is_file():
        return ""
    if path.name in (SAVED_MODEL, TFJS_MODEL):
        return "saved_model" if path.name == SAVED_MODEL else "tfjs"
    return _BY_ENDING.get(path.suffix.lower(), "")


def folder_of(path: Path) -> Path:
    """Give the folder of a SavedModel or TensorFlow.js model.

    Args:
        path: the folder, or its saved_model.pb or model.json.

    Returns:
        The folder.
    """
    return path if path.is_dir() else path.parent
