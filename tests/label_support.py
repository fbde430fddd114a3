"""A model for the tests of label_image: seven classes, whose scores are the same for every photograph, or follow it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from support import bundle_of, tiny_graph, tiny_tflite

from retrain.classifier import Classifier
from retrain.exporters import frozen_graph, tflite_model
from retrain.head import Head
from retrain.runtimes.litert import LiteRuntime

CLASSES = tuple("abcdefg")
CONSTANT = Head(np.zeros((12, 7), np.float32), np.arange(7, dtype=np.float32), 3)
COLOURS = ("red", "green", "blue")
# The score of a colour is its share of the four pixels that the model sees.
BY_COLOUR = Head(np.tile(np.eye(3, dtype=np.float32), (4, 1)), np.zeros(3, np.float32), 3)


def write_model(folder: Path, head: Head = CONSTANT, labels: tuple[str, ...] = CLASSES, **changes: object) -> Path:
    """Write m.pb and m.tflite; the path of m.pb."""
    bundle = bundle_of(labels, **changes)
    tflite = tflite_model(tiny_tflite(), head, bundle)
    bundle = replace(bundle, tflite_sha256=hashlib.sha256(tflite).hexdigest())
    (folder / "m.tflite").write_bytes(tflite)
    (folder / "m.pb").write_bytes(frozen_graph(tiny_graph(), head, bundle))
    return folder / "m.pb"


def by_colour() -> Classifier:
    """A classifier that says which of red, green and blue a photograph is."""
    bundle = bundle_of(COLOURS)
    model = tflite_model(tiny_tflite(), BY_COLOUR, bundle)
    return Classifier(bundle, LiteRuntime(model, 2, 2, feature_width=bundle.feature_width))


def patch(colour: str, side: int = 8) -> np.ndarray:
    """uint8 (side, side, 3) of one colour."""
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[..., COLOURS.index(colour)] = 255
    return pixels
