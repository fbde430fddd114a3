"""In the TensorFlow child: runs an export over photographs, one at a time, and writes its scores down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from retrain import fsio
from retrain.images import Floats, InputSpec, normalise

# How many photographs the time is the median of, after one that warms up.
TIMED = 20
# In place of the scores of a file that an export cannot decode.
UNREAD = -1.0


class Pictures(TypedDict):
    """What an export is run on, as score_pixels takes it by name.

    Args:
        pixels: path of a .npy, uint8 (N, height, width, 3), RGB.
        scores: path of the .npy to write, float32 (N, C).
        height: pixels.
        width: pixels.
        mean: subtracted from each channel value (0 to 255).
        std: what the difference is divided by.
    """

    pixels: str
    scores: str
    height: int
    width: int
    mean: float
    std: float


def score_pixels(run: Callable[[Floats], Any], threads: int = 1, **given: Unpack[Pictures]) -> dict[str, float]:
    """Run an export on decoded photographs.

    Args:
        run: float32 (1, height, width, 3), scaled -> anything NumPy takes for (1, C) or (C,), probabilities.
        threads: that may call run at a time, once its time is taken.
        given: the photographs.

    Returns:
        "ms": median milliseconds of one photograph.
    """
    spec = InputSpec(given["height"], given["width"], given["mean"], given["std"])
    pictures = np.load(given["pixels"], mmap_mode="r", allow_pickle=False)
    return _score(lambda picture: run(normalise(picture, spec)), pictures, given["scores"], threads)


def score_files(
    run: Callable[[bytes], Any], *, files: Sequence[str], scores: str, threads: int = 1
) -> dict[str, float]:
    """Run an export that decodes by itself.

    Args:
        run: bytes of an image file -> anything NumPy takes for (1, C) or (C,), probabilities.
        files: paths of image files.
        scores: path of the .npy to write, float32 (N, C).
        threads: that may call run at a time, once its time is taken.

    Returns:
        "ms": median milliseconds of one photograph, its decoding included. The scores of a file that it cannot decode
        are all UNREAD.
    """

    def attempt(name: str) -> Any:  # noqa: ANN401
        try:
            return run(Path(name).read_bytes())
        except Exception:  # noqa: BLE001
            # TensorFlow's errors have no common root; whatever it is, this file is one that the export cannot decode.
            return UNREAD

    return _score(attempt, files, scores, threads)


def _score(run: Callable[[Any], Any], items: Sequence[Any], scores: str, threads: int) -> dict[str, float]:
    rows, seconds = [], []
    for item in items[: TIMED + 1]:
        start = time.perf_counter()
        rows.append(_row(run(item)))
        seconds.append(time.perf_counter() - start)
    with ThreadPoolExecutor(threads) as pool:
        rows += pool.map(lambda item: _row(run(item)), items[TIMED + 1 :])
    width = max(len(row) for row in rows)
    with fsio.replacing(Path(scores)) as file:
        np.save(file, np.stack([np.broadcast_to(row, width) for row in rows]), allow_pickle=False)
    return {"ms": 1000 * statistics.median(seconds[1:] or seconds)}


def _row(answer: Any) -> Floats:  # noqa: ANN401
    return np.asarray(answer, np.float32).reshape(-1)


def one_thread() -> None:
    """Have TensorFlow calculate on one thread, where nothing has been calculated yet in this process."""
    import tensorflow as tf

    for setting in (tf.config.threading.set_intra_op_parallelism_threads,
                    tf.config.threading.set_inter_op_parallelism_threads):  # fmt: skip
        try:
            setting(1)
        except RuntimeError as error:
            # Another export was first: how many threads there are is settled, and changes no score.
            if "initialization" not in str(error):
                raise
