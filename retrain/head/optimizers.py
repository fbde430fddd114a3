"""How a gradient moves a parameter, in place: plain descent, momentum, Adam; and the schedule of the learning rate."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from retrain.head.recipe import ADAM, COSINE_SCHEDULE, MOMENTUM, SGD, Recipe
from retrain.head.scaling import Floats

# As of the original's successors (Keras, PyTorch): the share of the last step that goes on.
MOMENTUM_SHARE = np.float32(0.9)
ADAM_FIRST, ADAM_SECOND, ADAM_FLOOR = 0.9, 0.999, 1e-8


class Optimizer(Protocol):
    """Moves one parameter."""

    def unit(self, rate: np.float32) -> np.float32:
        """Give what gradients are to be multiplied by, where that is cheapest: in the errors of a batch."""

    def apply(self, parameter: Floats, gradient: Floats, rate: np.float32) -> None:
        """Move the parameter.

        Args:
            parameter: float32, written to.
            gradient: the same shape, already times unit(rate); may be written to.
            rate: the learning rate of this step.
        """


class Sgd:
    """Plain gradient descent, as the original."""

    def unit(self, rate: np.float32) -> np.float32:
        """See Optimizer."""
        return rate

    def apply(self, parameter: Floats, gradient: Floats, rate: np.float32) -> None:
        """See Optimizer."""
        parameter -= gradient


class Momentum:
    """Gradient descent with momentum: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    Args:
        shape: of the parameter.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._step = np.zeros(shape, np.float32)

    def unit(self, rate: np.float32) -> np.float32:
        """See Optimizer."""
        return rate

    def apply(self, parameter: Floats, gradient: Floats, rate: np.float32) -> None:
        """See Optimizer."""
        self._step *= MOMENTUM_SHARE
        self._step += gradient
        parameter -= self._step


class Adam:
    """Kingma and Ba, "Adam: a method for stochastic optimization", 2015, ICLR.

    The decay of the weights stays outside of it: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019,
    ICLR.

    Args:
        shape: of the parameter.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._first, self._second = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._root = np.empty(shape, np.float32)
        self._count = 0

    def unit(self, rate: np.float32) -> np.float32:
        """See Optimizer."""
        return np.float32(1)

    def apply(self, parameter: Floats, gradient: Floats, rate: np.float32) -> None:
        """See Optimizer."""
        self._count += 1
        self._first *= np.float32(ADAM_FIRST)
        self._second *= np.float32(ADAM_SECOND)
        np.square(gradient, out=self._root)
        self._root *= np.float32(1 - ADAM_SECOND)
        self._second += self._root
        gradient *= np.float32(1 - ADAM_FIRST)
        self._first += gradient
        np.sqrt(self._second, out=self._root)
        self._root *= np.float32(1 / np.sqrt(1 - ADAM_SECOND**self._count))
        self._root += np.float32(ADAM_FLOOR)
        np.divide(self._first, self._root, out=self._root)
        self._root *= np.float32(float(rate) / (1 - ADAM_FIRST**self._count))
        parameter -= self._root


def optimizer(recipe: Recipe, shape: tuple[int, ...]) -> Optimizer:
    """Make what moves a parameter.

    Args:
        recipe: names it.
        shape: of the parameter.

    Returns:
        One for this parameter alone.

    Raises:
        ValueError: the recipe names none that is known.
    """
    if recipe.optimizer == SGD:
        return Sgd()
    if recipe.optimizer == MOMENTUM:
        return Momentum(shape)
    if recipe.optimizer == ADAM:
        return Adam(shape)
    raise ValueError(f"expected an optimizer sgd, momentum or adam, got {recipe.optimizer!r}")


def rate_of(recipe: Recipe, step: int) -> np.float32:
    """Give the learning rate of a step.

    Args:
        recipe: its learning rate, schedule and number of steps.
        step: counted from 0.

    Returns:
        The rate; with COSINE_SCHEDULE half a cosine from the full rate down towards 0.
    """
    rate = np.float32(recipe.learning_rate)
    if recipe.schedule == COSINE_SCHEDULE:
        return np.float32(rate * (1 + np.cos(np.pi * step / recipe.steps)) / 2)
    return rate
