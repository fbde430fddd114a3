"""Which step of the training is kept, and when it need not go on: the lowest validation loss decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from retrain.head.sampling import Indices
from retrain.head.scaling import Floats

# Choosing the best step needs the same validation photographs each time, but not all of a large set.
MAX_VALIDATION_FOR_CHOICE = 2000
# Fewer can prefer step 30 by chance; then the last step is kept.
MIN_VALIDATION_FOR_CHOICE = 10

_State = TypeVar("_State")


class StepChoice(Generic[_State]):
    """Remembers the step with the lowest validation loss.

    Args:
        count: how many validation photographs are looked at, the same at every step.
        patience: steps without a lower loss after which to stop; 0: never stop.
    """

    def __init__(self, count: int, patience: int = 0) -> None:
        self._enough = count >= MIN_VALIDATION_FOR_CHOICE
        self._patience = patience
        self._best_loss = np.inf
        self._best: tuple[int, _State] | None = None

    def offer(self, step: int, losses: Floats, copy: Callable[[], _State]) -> bool:
        """Take a step into account.

        Args:
            step: counted from 0, later than all before.
            losses: float32 (count,), of the validation photographs.
            copy: gives what the step came to, the caller's no longer; called only where the step is the best so far.

        Returns:
            Whether to stop here.
        """
        mean = float(losses.mean())
        if mean < self._best_loss:
            self._best_loss, self._best = mean, (step, copy())
            return False
        waited = step - (self._best[0] if self._best else 0)
        return self._enough and 0 < self._patience <= waited

    def best(self, last_step: int, last: _State) -> tuple[int, _State]:
        """Give the step to keep.

        Args:
            last_step: the one that training ended with.
            last: its state.

        Returns:
            The step and its state: the last one where there were too few photographs to choose by.
        """
        return self._best if self._best is not None and self._enough else (last_step, last)


def spread(count: int, limit: int) -> Indices:
    """Pick at most ``limit`` of ``count`` rows, evenly.

    Args:
        count: how many there are.
        limit: how many to take at most.

    Returns:
        intp, ascending.
    """
    return np.arange(count) if count <= limit else np.linspace(0, count - 1, limit).astype(np.intp)
