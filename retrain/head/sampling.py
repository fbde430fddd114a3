"""Batches as the original draws them: a class at random, then one of its photographs, both with replacement.

So training is balanced over the classes whatever their sizes, and the accuracies logged during training are
class-balanced ones.

In distorted training the rows are views, and every photograph has the same number of them: a row of a class at random
is then a photograph of the class at random, and one of its views at random.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


class ClassBalancedSampler:
    """Draws photographs, or views of them, class by class.

    Args:
        labels: intp (N,), the class of each; every class that occurs is drawn alike.
        generator: where the randomness comes from.
    """

    def __init__(self, labels: Indices, generator: np.random.Generator) -> None:
        self._order = np.argsort(labels, kind="stable")
        _, self._first, self._count = np.unique(labels[self._order], return_index=True, return_counts=True)
        self._generator = generator

    def draw(self, size: int) -> Indices:
        """Draw a batch.

        Args:
            size: how many; -1 for each once, in order.

        Returns:
            intp (size,), indices into the labels.
        """
        if size < 0:
            return np.sort(self._order)
        classes = self._generator.integers(len(self._first), size=size)
        within = (self._generator.random(size) * self._count[classes]).astype(np.intp)
        drawn: Indices = self._order[self._first[classes] + within]
        return drawn


class EvenSampler:
    """Draws photographs, or views of them, each alike: a class as often as it has photographs.

    Args:
        labels: intp (N,), the class of each; only their number matters.
        generator: where the randomness comes from.
    """

    def __init__(self, labels: Indices, generator: np.random.Generator) -> None:
        self._count = len(labels)
        self._generator = generator

    def draw(self, size: int) -> Indices:
        """Draw a batch, with replacement.

        Args:
            size: how many; -1 for each once, in order.

        Returns:
            intp (size,), indices into the labels.
        """
        if size < 0:
            return np.arange(self._count)
        return self._generator.integers(self._count, size=size, dtype=np.intp)
