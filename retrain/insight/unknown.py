"""Photographs that are like none that was trained on: the cosine to the nearest ones, and its threshold.

Sun, Ming, Zhu and Li, "Out-of-distribution detection with deep nearest neighbors", 2022, ICML. Measured against
Mahalanobis' distance with a shared covariance (Lee et al., 2018, NeurIPS), the energy of the logits (Liu et al., 2020,
NeurIPS) and the largest probability: bench/unknown.py, figures in docs/insight.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import ModelError

# How many of the nearest training photographs count: the mean of three is less at the mercy of a single odd one.
NEIGHBOURS = 3
METHOD = "cosine of the nearest"
# No cosine is below it.
NEVER = -1.0


@dataclass(frozen=True)
class Unknown:
    """When a photograph counts as unknown.

    Args:
        min_cosine: mean cosine to the NEIGHBOURS nearest training photographs, below which it does.
        false_alarms: share of photographs of the trained kinds that are to be refused at most, 0 to 1.
        photographs: how many the threshold was found with.
        memory_sha256: hash of the file that holds the training vectors.
        rows: how many vectors that has.
    """

    min_cosine: float
    false_alarms: float
    photographs: int
    memory_sha256: str
    rows: int

    def facts(self) -> dict[str, Any]:
        """Spell it out for the model's description.

        Returns:
            JSON's types only; `unknown_of` reads it.
        """
        return {
            "method": METHOD,
            "neighbours": NEIGHBOURS,
            "min_cosine": self.min_cosine,
            "false_alarms": self.false_alarms,
            "photographs": self.photographs,
            "memory_sha256": self.memory_sha256,
            "rows": self.rows,
        }


def unknown_of(facts: Mapping[str, Any], source: str) -> Unknown | None:
    """Read what a model's description says.

    Args:
        facts: its field unknown; not trusted.
        source: the model's path, for messages.

    Returns:
        The threshold; None where the description has none.

    Raises:
        ModelError: it is damaged, or of another method.
    """
    if not facts:
        return None
    numbers = [facts.get(name) for name in ("min_cosine", "false_alarms")]
    counts = [facts.get(name) for name in ("photographs", "rows")]
    digest = facts.get("memory_sha256")
    known = facts.get("method") == METHOD and facts.get("neighbours") == NEIGHBOURS
    finite = all(type(one) in (int, float) and -1 <= one <= 1 for one in numbers)  # type: ignore[operator]
    whole = all(type(one) is int and one >= 0 for one in counts)
    if not (known and finite and whole and isinstance(digest, str)):
        raise ModelError(
            f"{source}: what its description says of the unknown is damaged, or of another version; train again"
        )
    return Unknown(facts["min_cosine"], facts["false_alarms"], facts["photographs"], digest, facts["rows"])


def fewest_for(false_alarms: float) -> int:
    """Say how many photographs a threshold needs.

    Args:
        false_alarms: above 0, below 1.

    Returns:
        The fewest of which one may be refused.
    """
    return math.ceil(1 / false_alarms - 1e-9) - 1


def min_cosine_at(cosines: npt.NDArray[np.float64], false_alarms: float) -> float | None:
    """Find the threshold that refuses a stated share of photographs of the trained kinds.

    Args:
        cosines: float64 (N,), of photographs to the others, with none of their own group among these.
        false_alarms: the share, above 0, below 1.

    Returns:
        The k-th smallest, k = floor((N + 1) * false_alarms): one more photograph from the same source lies below it
        with a probability of at most that share (Vovk et al., "Algorithmic learning in a random world", 2005). None
        where N is below fewest_for.
    """
    rank = math.floor((len(cosines) + 1) * false_alarms + 1e-9)
    if rank < 1:
        return None
    return float(np.partition(cosines, rank - 1)[rank - 1])
