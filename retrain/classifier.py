"""The inference side: open a model and classify photographs.

Which file is run by what, the room of runtimes knows; a model of this tool is run without TensorFlow.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

import numpy as np
from PIL import Image

from retrain.bundle import Bundle
from retrain.errors import ImageError, ModelError
from retrain.images import LIMITS, Floats, ImageLimits, Pixels, decode_rgb, normalise, pixels_of, read_image_file
from retrain.litert import usable_cores
from retrain.threads import in_order

if TYPE_CHECKING:
    from retrain.runtimes.request import Overrides
    from retrain.runtimes.runtime import Fill, Runtime

TF1 = "tf1"
RESIZES = ("", TF1)
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
        bundle: what the model says of itself, or what was found out of a stranger's.
        runtime: runs it.
        resize: "" for the resize of the training, "tf1" for the one of the codelab's label_image.
        notes: what a person should know of how it was opened; a sentence each.

    Raises:
        ModelError: the file does not answer with one score a label.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime, *, resize: str = "", notes: Sequence[str] = ()) -> None:
        self.bundle, self.notes = bundle, tuple(notes)
        self._runtime, self._resize = runtime, resize
        answer = runtime.scores(lambda out: out.fill(0))
        if answer.shape != (len(bundle.labels),):
            raise ModelError(f"expected {len(bundle.labels)} scores, one a label, the model gives {answer.size}")
        if not np.isfinite(answer).all():
            raise ModelError("expected scores, the model gives numbers that are not finite; it is damaged")

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        labels: str | Path | Sequence[str] | None = None,
        resize: str = "",
        trust_model: bool = False,
        input_layer: str = "",
        output_layer: str = "",
        **overrides: Unpack[Overrides],
    ) -> Self:
        """Open a model, of this tool or a stranger's.

        Args:
            path: ``retrained_graph.pb``, beside which its .tflite must stand; a .tflite, .lite or .onnx file; the
                folder of a SavedModel; or a frozen graph that another tool wrote.
            labels: a file of labels, a line each, or the labels; None takes the model's own, or those of a file beside
                it that fits.
            resize: "" for the resize of the training, "tf1" for the one of the codelab's label_image.
            trust_model: run a model that may do more than calculate, in a child process with limits; without, it is
                refused.
            input_layer: of a stranger's graph, the node that takes pictures; empty to find it.
            output_layer: of a stranger's graph, the node that gives scores; empty to find it.
            overrides: in place of what the model says: input_height, input_width, input_mean, input_std.

        Returns:
            The classifier.

        Raises:
            ModelError: the file is no model, is damaged or is refused; or its .tflite is not the one it was written
                with.
            UsageError: labels or node names that were given do not fit it.
            ValueError: resize or a name in overrides is none of these.
        """
        from retrain.runtimes.opening import open_any
        from retrain.runtimes.request import Overrides, Request

        legal = tuple(Overrides.__annotations__)
        if resize not in RESIZES or not set(overrides) <= set(legal):
            raise ValueError(f"expected resize of {RESIZES} and {legal}, got {resize!r} and {tuple(overrides)}")
        opened = open_any(Request(Path(path), labels, input_layer, output_layer, trust_model, overrides))
        try:
            return cls(opened.bundle, opened.runtime, resize=resize, notes=opened.notes)
        except BaseException:
            opened.runtime.close()
            raise

    def close(self) -> None:
        """Let go of the model; of a trusted one, end its child process. It may not be used any more."""
        self._runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
        return self._runtime.scores(self._filler(image))

    def scores_and_bottleneck(self, image: ImageLike) -> tuple[Floats, Floats | None]:
        """Score one photograph, and give its bottleneck vector of the same pass.

        Args:
            image: a path or URL, the bytes of an image file, uint8 (H, W, 3) in RGB, or a Pillow image.

        Returns:
            float32 (C,), scores in the order of ``bundle.labels``; and float32 (D,), the vector that the head was
            given, to be compared with those of the training photographs: None where the file does not give it (a
            ``.tflite`` of an earlier version, int8, ONNX, a SavedModel, a model of others).

        Raises:
            ImageError: it is not an image that is read.
            TypeError: it is none of these kinds.
        """
        from retrain.runtimes.runtime import GivesVectors

        fill = self._filler(image)
        if isinstance(self._runtime, GivesVectors):
            return self._runtime.scores_and_vector(fill)
        return self._runtime.scores(fill), None

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

    def give_labels(self, image: ImageLike) -> list[Guess]:
        """Say which labels one photograph has.

        Args:
            image: as of classify.

        Returns:
            Labels with their scores, best first: of a model that gives several (``--multi_label``) each whose score is
            at least its threshold, which may be none; of any other the best one.

        Raises:
            ImageError: it is not an image that is read.
            TypeError: it is none of these kinds.
        """
        return self.labels_of(self.scores(image))

    def labels_of(self, scores: Floats, thresholds: Sequence[float] = ()) -> list[Guess]:
        """Say which labels follow from scores.

        Args:
            scores: float32 (C,), of one photograph.
            thresholds: C of them, in place of the model's own.

        Returns:
            As give_labels.
        """
        order, own = np.argsort(-scores, kind="stable"), thresholds or self.bundle.thresholds
        chosen = order[scores[order] >= np.array(own, np.float32)[order]] if own else order[:1]
        return [Guess(self.bundle.labels[i], float(scores[i])) for i in chosen]

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

        return in_order(name, enumerate(images), threads or usable_cores(), in_flight)

    def _filler(self, image: ImageLike) -> Fill:
        spec, pixels = self.bundle.input_spec, self._pixels(image)
        return lambda out: normalise(pixels, spec, out)

    def _pixels(self, image: ImageLike) -> Pixels | Floats:
        spec = self.bundle.input_spec
        if isinstance(image, str | Path):
            return self._decoded(read_image_file(image))
        if isinstance(image, bytes | bytearray):
            if len(image) > LIMITS.max_bytes:
                raise ImageError("too large", f"{len(image)} bytes, at most {LIMITS.max_bytes} are read")
            return self._decoded(bytes(image))
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise ImageError("not an image", f"expected uint8 (H, W, 3), RGB, got {image.dtype} {image.shape}")
            image = Image.fromarray(image)
        if not isinstance(image, Image.Image):
            raise TypeError(f"expected a path, bytes, a uint8 array or a Pillow image, got {type(image).__name__}")
        if self._resize != TF1:
            return pixels_of(image, spec)
        # Trap: a picture that keeps the limits is larger as a BMP than a file may be.
        data = _lossless(image)
        return self._decoded(data, replace(LIMITS, max_bytes=len(data)))

    def _decoded(self, data: bytes, limits: ImageLimits = LIMITS) -> Pixels | Floats:
        if self._resize != TF1:
            return decode_rgb(data, self.bundle.input_spec, limits)
        from retrain.images.tf1 import decode_tf1

        return decode_tf1(data, self.bundle.input_spec, limits)


def _lossless(picture: Image.Image) -> bytes:
    """Make a file of a picture, for a decoder that takes nothing else."""
    file = io.BytesIO()
    try:
        picture.convert("RGB").save(file, "BMP")
    except Exception as error:  # as in decode_rgb: one opened from a damaged file is decoded only here
        raise ImageError("damaged", f"{picture.format or 'picture'}: {str(error) or type(error).__name__}") from error
    return file.getvalue()
