"""What the new layer looks like at a step, under the original's tags."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Histograms of at most this many steps a run: more than the plot can tell apart, at a tenth of the time.
MAX_HISTOGRAM_STEPS = 100


def layer_scalars(weights: Floats, biases: Floats) -> dict[str, float]:
    """Summarise the layer's variables under the original's tags.

    Args:
        weights: float32 (D, C).
        biases: float32 (C,).

    Returns:
        tag -> value. The ``_1`` is the original's: a scope of the bare name exists beside each.
    """
    return {tag: value for name, v in (("weights", weights), ("biases", biases)) for tag, value in _statistics(name, v)}


def _statistics(name: str, values: Floats) -> Iterator[tuple[str, float]]:
    scope = f"final_training_ops/{name}/summaries"
    yield f"{scope}/mean_1", float(values.mean())
    yield f"{scope}/stddev_1", float(values.std())
    yield f"{scope}/max_1", float(values.max())
    yield f"{scope}/min_1", float(values.min())


def layer_histograms(weights: Floats, biases: Floats, logits: Floats, probabilities: Floats) -> dict[str, Floats]:
    """Name the layer's values as the original's histograms do.

    Args:
        weights: float32 (D, C).
        biases: float32 (C,).
        logits: float32 (B, C).
        probabilities: float32 (B, C).

    Returns:
        tag -> values.
    """
    return {
        "final_training_ops/weights/summaries/histogram": weights,
        "final_training_ops/biases/summaries/histogram": biases,
        "final_training_ops/Wx_plus_b/pre_activations": logits,
        "activations": probabilities,
    }
