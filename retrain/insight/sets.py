"""Sets of labels that hold the right one as often as promised: split conformal prediction.

LAC: all labels whose probability reaches a threshold: the smallest sets on average (Sadinle, Lei and Wasserman, "Least
ambiguous set-valued classifiers with bounded error levels", 2019, JASA 114). APS: labels from the best on until their
probabilities come to a threshold: larger sets, fairer to hard photographs (Romano, Sesia and Candes, "Classification
with valid and adaptive coverage", 2020, NeurIPS).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import ModelError

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
METHODS = LAC, APS = "lac", "aps"
# Two-sided 95 % of a normal distribution.
_Z95 = 1.959963984540054
# What two runtimes may differ by: a label at the threshold stays in.
_SLACK = 1e-6


@dataclass(frozen=True)
class SetRule:
    """Which labels are in a set.

    Args:
        method: LAC or APS.
        threshold: of a label's nonconformity, 0 to 1: those up to it are in.
        coverage: share of photographs whose set is to hold the right label, 0 to 1.
        photographs: how many the threshold was found with.
    """

    method: str
    threshold: float
    coverage: float
    photographs: int

    def facts(self) -> dict[str, Any]:
        """Spell it out for the model's description; JSON's types only."""
        return {
            "method": self.method,
            "threshold": self.threshold,
            "coverage": self.coverage,
            "photographs": self.photographs,
        }

    def sets(self, probabilities: Floats) -> npt.NDArray[np.bool_]:
        """Make the set of each photograph.

        Args:
            probabilities: float32 (N, C), rows sum to 1.

        Returns:
            bool (N, C). The best label is always in: an empty set would help nobody, and one more label cannot make
            the coverage smaller.
        """
        chosen: npt.NDArray[np.bool_] = nonconformity(probabilities, self.method) <= self.threshold + _SLACK
        chosen[np.arange(len(chosen)), probabilities.argmax(axis=1)] = True
        return chosen

    def spread(self) -> tuple[float, float]:
        """Say between which coverages the truth lies in 19 of 20 runs, given how few photographs set the threshold.

        Returns:
            Lower and upper end, 0 to 1: coverage given the photographs is Beta distributed (Vovk, "Conditional
            validity of inductive conformal predictors", 2012, ACML); here by the normal distribution of its mean and
            variance.
        """
        n, rank = self.photographs, _rank(self.photographs, self.coverage)
        mean = rank / (n + 1)
        half = _Z95 * math.sqrt(mean * (1 - mean) / (n + 2))
        return max(0.0, mean - half), min(1.0, mean + half)


def rule_of(facts: Mapping[str, Any], source: str) -> SetRule | None:
    """Read what a model's description says.

    Args:
        facts: its field sets; not trusted.
        source: the model's path, for messages.

    Returns:
        The rule; None where the description has none.

    Raises:
        ModelError: it is damaged.
    """
    if not facts:
        return None
    numbers = [facts.get(name) for name in ("threshold", "coverage")]
    sound = all(type(one) in (int, float) and 0 <= one <= 1 + _SLACK for one in numbers)  # type: ignore[operator]
    count = facts.get("photographs")
    if facts.get("method") not in METHODS or not sound or type(count) is not int or count < 1:
        raise ModelError(f"{source}: what its description says of sets of labels is damaged; train again")
    return SetRule(facts["method"], facts["threshold"], facts["coverage"], count)


def nonconformity(probabilities: Floats, method: str) -> npt.NDArray[np.float64]:
    """Say how little each label fits.

    Args:
        probabilities: float32 (N, C), rows sum to 1.
        method: LAC or APS.

    Returns:
        float64 (N, C), 0 to 1: 1 minus the probability; or the probability of all labels before this one, so that
        the label that brings the sum to the threshold is in, and the best one always.
    """
    wide = probabilities.astype(np.float64)
    if method == LAC:
        return 1 - wide
    order = np.argsort(-wide, axis=1, kind="stable")
    falling = np.take_along_axis(wide, order, axis=1)
    sums = np.cumsum(falling, axis=1) - falling
    result = np.empty_like(wide)
    np.put_along_axis(result, order, sums, axis=1)
    return result


def fewest_for(coverage: float) -> int:
    """Say how many photographs a promise needs.

    Args:
        coverage: above 0, below 1.

    Returns:
        ceil(1 / (1 - coverage)) - 1: with fewer, only the set of all labels keeps it.
    """
    return math.ceil(1 / (1 - coverage) - 1e-9) - 1


def find_rule(probabilities: Floats, labels: Indices, coverage: float, method: str = LAC) -> SetRule | None:
    """Find the threshold that keeps a promise.

    Args:
        probabilities: float32 (N, C), of photographs that the head had not seen: out-of-fold, at the temperature of
            the exported head.
        labels: intp (N,).
        coverage: above 0, below 1.
        method: LAC or APS.

    Returns:
        The rule; None where N is below fewest_for, and nothing can be promised. For scores of one and the same head
        one more photograph from the same source has its label in the set with at least this probability. Out-of-fold
        scores are of other heads than the one exported, trained on about as many photographs, so that it holds as far
        as these answer alike (cross-conformal prediction, Vovk, "Cross-conformal predictors", 2015, AMAI 74); it is
        measured in bench/coverage.py. It is a promise over all photographs, not for each class.
    """
    if len(labels) < fewest_for(coverage):
        return None
    own = nonconformity(probabilities, method)[np.arange(len(labels)), labels]
    rank = _rank(len(labels), coverage)
    return SetRule(method, float(np.partition(own, rank - 1)[rank - 1]), coverage, len(labels))


def _rank(count: int, coverage: float) -> int:
    return min(count, math.ceil((count + 1) * coverage - 1e-9))
