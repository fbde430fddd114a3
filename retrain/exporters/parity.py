"""Whether an export answers as the model it was made from: measured on photographs, and refused when it does not.

Every export, whatever it computes with, comes down to scores of the same photographs, which are compared here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.errors import ImageError
from retrain.images import Floats, InputSpec, Pixels, decode_rgb, normalise, read_image_file
from retrain.litert import OpenModel, open_model, usable_cores

Indices = npt.NDArray[np.intp]
_Flags = npt.NDArray[np.bool_]
# uint8 (H, W, 3), RGB, of the model's input size -> float32 (C,), probabilities.
Scorer = Callable[[Pixels], Floats]

# Fewer test photographs than this say too little; then all photographs are looked at.
FEWEST = 50
# More would keep TensorFlow busy after all else is done: 15 ms of processor time each. If 200 give the same answer, at
# most 1.5 % of others do not, with 95 % confidence.
MOST = 200


@dataclass(frozen=True)
class Parity:
    """How far an export's answers lie from the reference's.

    Args:
        photographs: how many were compared.
        agreeing: on how many both give the same first label; of several labels, the same ones.
        ties: of the others, those whose labels the reference holds to be as good as equal, see compare_scores.
        largest_difference: of one label's score, 0 to 1; infinite where a score is not a number.
        weakest: of several labels, the share of the photographs on which the one that differs most often is the same or
            a tie, 0 to 1: each is a question of its own, so each is held to the limit, and a photograph with twenty
            labels is not to be twenty times as strict. None where a photograph has one.
    """

    photographs: int
    agreeing: int
    ties: int
    largest_difference: float
    weakest: float | None = None

    @property
    def agreement(self) -> float:
        """Share of the photographs with the same first label, or one just as good, 0 to 1; or the weakest label's."""
        if self.weakest is not None:
            return self.weakest
        return (self.agreeing + self.ties) / self.photographs

    def passes(self, max_difference: float, min_agreement: float) -> bool:
        """Hold it against limits.

        Args:
            max_difference: of a score, 0 to 1.
            min_agreement: share, 0 to 1.

        Returns:
            Whether both hold.
        """
        return self.largest_difference <= max_difference and self.agreement >= min_agreement


def compare_scores(reference: Floats, candidate: Floats, tie: float = 0.0, thresholds: Sequence[float] = ()) -> Parity:
    """Compare scores of the same photographs.

    Args:
        reference: float32 (N, C), N at least 1.
        candidate: float32 (N, C).
        tie: the candidate's first label counts as a tie where the reference scores it at most this far below its own.
            An export that may differ by d can turn two labels round that are up to 2 d apart; nobody could tell which
            of them is right. Of several labels, those are ties that the reference scores at most half of this from
            their threshold.
        thresholds: of the labels, where a photograph may have several: all of them are compared, not the first.

    Returns:
        How far they lie apart; an answer that is not a number agrees with nothing.
    """
    sound = np.isfinite(candidate).all(axis=1)
    theirs = np.nan_to_num(candidate)
    weakest = None
    if len(thresholds):
        alike, close = _compare_each(reference, theirs, tie, np.array(thresholds, np.float32))
        same, tied = alike.all(axis=1), close.all(axis=1)
        weakest = float((close & np.expand_dims(sound, 1)).mean(axis=0).min())
    else:
        same, tied = _compare_first(reference, theirs, tie)
    same, tied = same & sound, ~same & tied & sound
    largest = float(np.abs(reference - candidate).max()) if sound.all() else float("inf")
    return Parity(len(reference), int(same.sum()), int(tied.sum()), largest, weakest)


def _compare_first(reference: Floats, theirs: Floats, tie: float) -> tuple[_Flags, _Flags]:
    best, other, rows = reference.argmax(axis=1), theirs.argmax(axis=1), np.arange(len(reference))
    return best == other, reference[rows, best] - reference[rows, other] <= tie


def _compare_each(reference: Floats, theirs: Floats, tie: float, thresholds: Floats) -> tuple[_Flags, _Flags]:
    alike = (reference >= thresholds) == (theirs >= thresholds)
    near = np.abs(reference - thresholds) <= tie / 2
    return alike, alike | near


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


def score_all(scorer: Scorer, pixels: Pixels) -> Floats:
    """Run a model on photographs, on all cores.

    Args:
        scorer: may be called from several threads.
        pixels: uint8 (N, H, W, 3).

    Returns:
        float32 (N, C).
    """
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="score") as pool:
        return np.stack(list(pool.map(scorer, pixels)))


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
