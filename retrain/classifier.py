"""The inference side: open a model and classify photographs, without importing TensorFlow.

Only models that describe themselves are opened; what runs is the .tflite beside the graph, whose hash the
description names, so that the two can never be of different runs; or a .tflite by itself, which describes itself, too.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from retrain.bundle import Bundle
from retrain.errors import ImageError, ModelError
from retrain.images import LIMITS, Floats, Pixels, decode_rgb, normalise, pixels_of, read_image_file
from retrain.litert import OpenModel, open_model, usable_cores
from retrain.modelfile import read_graph_bundle, read_model_file, read_tflite_bundle

# Photographs begun or done and not yet handed out by classify_many: enough that no thread waits for its neighbour.
IN_FLIGHT = 64

# A path or URL, the bytes of an image file, uint8 (H, W, 3) RGB, or a Pillow image.
ImageLike = str | Path | bytes | bytearray | Pixels | Image.Image


@dataclass(frozen=True)
class Guess:
    """One label with its score.

    Args:
        label: class name.
        score: probability, 0 to 1.
    """

    label: str
    score: float


@dataclass(frozen=True)
class Result:
    """What came of one of many photographs.

    Args:
        index: its place among those given, from 0.
        path: as it was given; None where it was given as bytes, an array or a picture.
        guesses: best first; empty when it could not be read.
        error: why not; None when it could.
    """

    index: int
    path: str | None
    guesses: tuple[Guess, ...]
    error: ImageError | None = None


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
            graph: ``retrained_graph.pb``, beside which its .tflite must stand, or a .tflite by itself: that one or
                ``retrained_graph_int8.tflite``.
            overrides: fields of its description to replace: input_height, input_width, input_mean, input_std.

        Returns:
            The classifier.

        Raises:
            ModelError: the file is not a model of this tool, or its .tflite is not the one it was written with.
        """
        graph = Path(graph)
        if graph.suffix == ".tflite":
            content = read_model_file(graph, "a model")
            return cls(replace(read_tflite_bundle(content, str(graph)), **overrides), content)
        bundle = read_graph_bundle(graph)
        sibling = graph.with_suffix(".tflite")
        content = read_model_file(sibling, f"the .tflite that {graph.name} was written with")
        if hashlib.sha256(content).hexdigest() != bundle.tflite_sha256:
            raise ModelError(f"{sibling} is not the file that {graph} was written with; copy both from one run")
        return cls(replace(bundle, **overrides), content)

    def scores(self, image: ImageLike) -> Floats:
        """Score one photograph.

        Args:
            image: a path or URL, the bytes of an image file, uint8 (H, W, 3) in RGB, or a Pillow image.

        Returns:
            float32 (C,), probabilities in the order of ``bundle.labels``.

        Raises:
            ImageError: it is not an image that is read.
            TypeError: it is none of these kinds.
        """
        spec = self.bundle.input_spec
        pixels = self._pixels(image)
        scores: Floats = self._model().run(lambda out: normalise(pixels, spec, out))[0]
        return scores

    def classify(self, image: ImageLike, top_k: int | None = None) -> list[Guess]:
        """Name one photograph.

        Args:
            image: a path or URL, the bytes of an image file, uint8 (H, W, 3) in RGB, or a Pillow image. All go through
                the same resize.
            top_k: how many guesses at most, 1 or more; None gives every label.

        Returns:
            Labels with their scores, best first.

        Raises:
            ImageError: it is not an image that is read.
            TypeError: it is none of these kinds.
            ValueError: top_k is below 1.
        """
        if top_k is not None and top_k < 1:
            raise ValueError(f"expected top_k to be 1 or more, got {top_k}; None gives every label")
        scores = self.scores(image)
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [Guess(self.bundle.labels[i], float(scores[i])) for i in best]

    def classify_many(
        self, images: Iterable[ImageLike], *, top_k: int | None = None, threads: int = 0, in_flight: int = IN_FLIGHT
    ) -> Iterator[Result]:
        """Name many photographs, on all cores, with a memory that does not grow with their number.

        Args:
            images: any iterable of what classify takes; read as the answers are fetched, never all at once.
            top_k: how many guesses each at most, 1 or more; None gives every label.
            threads: that read, decode and run the model; 0 means one a core.
            in_flight: photographs begun or done and not yet fetched, 1 or more.

        Returns:
            One result a photograph, in the order given. A photograph that cannot be read is a result with its error.

        Raises:
            TypeError: images is a single image (that is for classify); or, when it is reached, an item is no image.
            ValueError: top_k, threads or in_flight is out of its range.
        """
        one_array = isinstance(images, np.ndarray) and images.ndim < 4 and images.dtype.kind not in "OSU"
        if one_array or isinstance(images, str | Path | bytes | bytearray | Image.Image):
            raise TypeError("expected an iterable of images, got a single one; classify() takes it")
        if (top_k is not None and top_k < 1) or threads < 0 or in_flight < 1:
            raise ValueError(
                f"expected top_k from 1, threads from 0, in_flight from 1, got {top_k}, {threads} and {in_flight}"
            )

        def name(numbered: tuple[int, ImageLike]) -> Result:
            index, image = numbered
            path = str(image) if isinstance(image, str | Path) else None
            try:
                return Result(index, path, tuple(self.classify(image, top_k)))
            except ImageError as error:
                return Result(index, path, (), error)

        return _in_order(name, enumerate(images), threads or usable_cores(), in_flight)

    def _pixels(self, image: ImageLike) -> Pixels:
        spec = self.bundle.input_spec
        if isinstance(image, str | Path):
            return decode_rgb(read_image_file(image), spec)
        if isinstance(image, bytes | bytearray):
            if len(image) > LIMITS.max_bytes:
                raise ImageError("too large", f"{len(image)} bytes, at most {LIMITS.max_bytes} are read")
            return decode_rgb(bytes(image), spec)
        if isinstance(image, Image.Image):
            return pixels_of(image, spec)
        if not isinstance(image, np.ndarray):
            raise TypeError(f"expected a path, bytes, a uint8 array or a Pillow image, got {type(image).__name__}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ImageError("not an image", f"expected uint8 (H, W, 3), RGB, got {image.dtype} {image.shape}")
        return pixels_of(Image.fromarray(image), spec)

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


def _in_order(
    do: Callable[[tuple[int, ImageLike]], Result], items: Iterator[tuple[int, ImageLike]], threads: int, in_flight: int
) -> Iterator[Result]:
    """Do something with each item in a pool of threads; answers in the order of the items, taken as they are wanted."""
    from concurrent.futures import Future, ThreadPoolExecutor  # 4 ms that a single photograph need not pay

    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="classify")
    try:
        for item in items:
            waiting.append(pool.submit(do, item))
            del item  # a picture of many megabytes, perhaps
            if len(waiting) >= in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
