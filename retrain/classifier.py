"""The inference side: open a model and classify photographs, without importing TensorFlow.

Only models that describe themselves are opened; what runs is the .tflite beside the graph, whose hash the
description names, so that the two can never be of different runs.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from retrain.bundle import GRAPH_NODE, Bundle, bundle_from_json
from retrain.errors import ModelError
from retrain.images import Floats, decode_rgb, normalise, read_image_file
from retrain.litert import OpenModel, open_model

# No graph of ours is larger, and protobuf itself stops at 2 GiB.
MAX_MODEL_BYTES = 1 << 30


@dataclass(frozen=True)
class Guess:
    """One label with its score.

    Args:
        label: class name.
        score: probability, 0 to 1.
    """

    label: str
    score: float


class Classifier:
    """A trained model, open for classifying; may be used from several threads.

    Args:
        bundle: what the model says of itself.
        content: the bytes of its .tflite file.

    Raises:
        ModelError: the file does not answer with one score a label.
    """

    def __init__(self, bundle: Bundle, content: bytes) -> None:
        self.bundle = bundle
        self._content = content
        self._local = threading.local()
        answer = self._model().run(lambda out: out.fill(0))
        if answer.shape != (1, len(bundle.labels)):
            raise ModelError(f"expected {len(bundle.labels)} scores, one a label, the model gives {answer.shape[-1]}")

    @classmethod
    def open(cls, graph: str | Path, **overrides: Any) -> Self:  # noqa: ANN401
        """Open a model.

        Args:
            graph: ``retrained_graph.pb``; its .tflite must stand beside it.
            overrides: fields of its description to replace: input_height, input_width, input_mean, input_std.

        Returns:
            The classifier.

        Raises:
            ModelError: the file is not a model of this tool, or its .tflite is not the one it was written with.
        """
        graph = Path(graph)
        bundle = read_graph_bundle(graph)
        sibling = graph.with_suffix(".tflite")
        content = _read(sibling, f"the .tflite that {graph.name} was written with")
        if hashlib.sha256(content).hexdigest() != bundle.tflite_sha256:
            raise ModelError(f"{sibling} is not the file that {graph} was written with; copy both from one run")
        return cls(replace(bundle, **overrides), content)

    def scores(self, image: str | Path | bytes) -> Floats:
        """Score one photograph.

        Args:
            image: a path, or the bytes of an image file.

        Returns:
            float32 (C,), probabilities in the order of ``bundle.labels``.

        Raises:
            ImageError: it is not an image that is read.
        """
        data = image if isinstance(image, bytes) else read_image_file(image)
        spec = self.bundle.input_spec
        pixels = decode_rgb(data, spec)
        scores: Floats = self._model().run(lambda out: normalise(pixels, spec, out))[0]
        return scores

    def classify(self, image: str | Path | bytes) -> list[Guess]:
        """Name one photograph.

        Args:
            image: a path, or the bytes of an image file.

        Returns:
            Every label with its score, best first.

        Raises:
            ImageError: it is not an image that is read.
        """
        scores = self.scores(image)
        return [Guess(self.bundle.labels[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]

    def _shape(self) -> tuple[int, int, int, int]:
        return (1, self.bundle.input_height, self.bundle.input_width, 3)

    def _model(self) -> OpenModel:
        if not hasattr(self._local, "model"):
            try:
                self._local.model = open_model(self._content, self._shape())
            except (ValueError, RuntimeError) as error:
                raise ModelError(f"the .tflite file cannot be run at {self._shape()}: {error}") from error
        model: OpenModel = self._local.model
        return model


def read_graph_bundle(graph: Path) -> Bundle:
    """Read what a frozen graph says of itself; nothing in it is run.

    Args:
        graph: a .pb file.

    Returns:
        The description.

    Raises:
        ModelError: the file is not a graph, or not one that this tool wrote.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    data = _read(graph, "a model")
    try:
        definition = GraphDef.FromString(data)
    except DecodeError as error:
        raise ModelError(f"{graph} is not a frozen TensorFlow graph: {error}") from error
    for node in definition.node:
        if node.name == GRAPH_NODE and node.op == "Const" and node.attr["value"].tensor.string_val:
            return bundle_from_json(node.attr["value"].tensor.string_val[0], str(graph))
    raise ModelError(
        f"{graph} does not say what it is: it was not written by this tool. Labelling with other tools' graphs "
        "is not in this version; train one with python -m retrain"
    )


def _read(path: Path, what: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_MODEL_BYTES:
            raise ModelError(f"expected {path} to be {what}, got {size} bytes, at most {MAX_MODEL_BYTES} are read")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"expected {path} to be {what}: {error.strerror}; train one with python -m retrain") from error
