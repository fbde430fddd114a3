"""Whether an export answers as the model it was made from: measured on photographs, and refused when it does not.

Every export that computes with other code or other numbers than the reference goes through here: give both as
functions from pixels to scores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.errors import ImageError, ParityError
from retrain.head import Head
from retrain.images import Floats, InputSpec, Pixels, decode_rgb, normalise, read_image_file
from retrain.litert import OpenModel, open_model, usable_cores

Indices = npt.NDArray[np.intp]
# uint8 (H, W, 3), RGB, of the model's input size -> float32 (C,), probabilities.
Scorer = Callable[[Pixels], Floats]

# Of the photographs this share must get the same first label.
MIN_AGREEMENT = 0.98
# Fewer test photographs than this say too little; then all photographs are looked at.
FEWEST = 50
# More than this would make the check take minutes and tell no more.
MOST = 1000


@dataclass(frozen=True)
class Parity:
    """How far an export's answers lie from the reference's.

    Args:
        photographs: how many were compared.
        agreeing: on how many both give the same first label.
        largest_difference: of one label's score, 0 to 1.
    """

    photographs: int
    agreeing: int
    largest_difference: float

    @property
    def agreement(self) -> float:
        """Share of the photographs with the same first label, 0 to 1."""
        return self.agreeing / self.photographs

    def sentence(self, what: str) -> str:
        """Say it in a line.

        Args:
            what: the export.

        Returns:
            Words for a person.
        """
        return (
            f"{what}: the same first label as the float32 model on {self.agreeing} of {self.photographs} photographs "
            f"({100 * self.agreement:.1f} %), scores at most {self.largest_difference:.3f} apart"
        )

    def facts(self) -> dict[str, float]:
        """Spell it out for the metrics.

        Returns:
            Names and values.
        """
        return {
            "photographs": self.photographs,
            "agreeing": self.agreeing,
            "agreement": self.agreement,
            "largest_difference": self.largest_difference,
        }


def compare_scores(reference: Floats, candidate: Floats) -> Parity:
    """Compare scores of the same photographs.

    Args:
        reference: float32 (N, C), N at least 1.
        candidate: float32 (N, C).

    Returns:
        How far they lie apart; an answer that is not a number agrees with nothing.
    """
    sound = np.isfinite(candidate).all(axis=1)
    same = (reference.argmax(axis=1) == np.nan_to_num(candidate).argmax(axis=1)) & sound
    largest = float(np.abs(reference - candidate).max()) if sound.all() else float("inf")
    return Parity(len(reference), int(same.sum()), largest)


def compare_models(reference: Scorer, candidate: Scorer, paths: Sequence[str], spec: InputSpec) -> Parity:
    """Have two models score the same photographs, each decoded once.

    Args:
        reference: what was measured to be good; called from several threads.
        candidate: the export; called from several threads.
        paths: of the photographs, at least one.
        spec: the models' input.

    Returns:
        How far they lie apart.

    Raises:
        ImageError: a photograph cannot be read any more.
    """

    def both(path: str) -> tuple[Floats, Floats]:
        pixels = pixels_of(path, spec)
        return reference(pixels), candidate(pixels)

    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="parity") as pool:
        ours, theirs = zip(*pool.map(both, paths), strict=True)
    return compare_scores(np.stack(ours), np.stack(theirs))


def pixels_of(path: str, spec: InputSpec) -> Pixels:
    """Read and decode one photograph of the run.

    Args:
        path: where it lies.
        spec: the size wanted.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ImageError: it cannot be read any more; the text names it.
    """
    try:
        return decode_rgb(read_image_file(path), spec)
    except ImageError as error:
        raise ImageError(error.reason, f"{path}, which was read before: {error.detail}") from error


def read_pixels(paths: Sequence[str], spec: InputSpec) -> Pixels:
    """Read and decode photographs of the run.

    Args:
        paths: where they lie; at least one.
        spec: the size wanted.

    Returns:
        uint8 (N, H, W, 3), RGB.

    Raises:
        ImageError: one cannot be read any more.
    """
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode") as pool:
        return np.stack(list(pool.map(lambda path: pixels_of(path, spec), paths)))


def tflite_scorer(content: bytes, spec: InputSpec) -> Scorer:
    """Make a scorer of a LiteRT model.

    Args:
        content: a .tflite file: float32 (1, H, W, 3) -> float32 (1, C).
        spec: its input.

    Returns:
        The scorer; each thread has an interpreter of its own.
    """
    local = threading.local()

    def score(pixels: Pixels) -> Floats:
        if not hasattr(local, "model"):
            local.model = open_model(content)
        model: OpenModel = local.model
        answer: Floats = model.run(lambda out: normalise(pixels, spec, out))[0]
        return answer

    return score


def parity_rows(testing: Indices, total: int, seed: int) -> Indices:
    """Choose the photographs to compare on.

    Args:
        testing: intp (T,), those of the final test.
        total: how many photographs there are.
        seed: of the draw, where there are more than MOST.

    Returns:
        intp (N,), the test photographs, or all where these are fewer than FEWEST; no more than MOST, in order.
    """
    rows = testing if len(testing) >= FEWEST else np.arange(total)
    if len(rows) <= MOST:
        return rows
    return np.sort(np.random.default_rng([seed, 3]).choice(rows, MOST, replace=False))


@dataclass(frozen=True)
class Drift:
    """How far feature vectors computed in another precision lie from float32's.

    Args:
        photographs: how many were compared.
        median: relative difference, the length of the difference over the length of float32's vector.
        largest: the same, of the worst photograph.
        agreeing: on how many the trained head gives the same first label.
    """

    photographs: int
    median: float
    largest: float
    agreeing: int

    def sentence(self, precision: str) -> str:
        """Say it in a line.

        Args:
            precision: what was compared with float32.

        Returns:
            Words for a person.
        """
        return (
            f"Features in {precision} differ from float32 by {100 * self.median:.2f} % (at most "
            f"{100 * self.largest:.2f} %); the same first label on {self.agreeing} of {self.photographs} photographs"
        )


def measure_drift(exact: Floats, drifted: Floats, head: Head) -> Drift:
    """Compare feature vectors of the same photographs.

    Args:
        exact: float32 (N, D), in float32; N at least 1.
        drifted: float32 (N, D), in another precision.
        head: the trained layer.

    Returns:
        How far they lie apart.
    """
    lengths = np.maximum(np.linalg.norm(exact, axis=1), np.finfo(np.float32).tiny)
    relative = np.linalg.norm(drifted - exact, axis=1) / lengths
    same = head.probabilities(exact).argmax(axis=1) == head.probabilities(drifted).argmax(axis=1)
    return Drift(len(exact), float(np.median(relative)), float(relative.max()), int(same.sum()))


def require_parity(parity: Parity, what: str) -> None:
    """Refuse an export that answers otherwise.

    Args:
        parity: as measured.
        what: the export.

    Raises:
        ParityError: the first label differs on too many photographs.
    """
    if parity.agreement < MIN_AGREEMENT:
        raise ParityError(
            f"{parity.sentence(what)}; at least {100 * MIN_AGREEMENT:g} % must agree, so it is not kept. The float32 "
            "model is written and whole; use that one, or train on more photographs of the labels that are confused"
        )
