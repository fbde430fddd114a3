"""How gradients move the variables of a network: descent, momentum or Adam, with decay, schedule and rates a block.

The state is variables of our own and one operation of TensorFlow a variable, so that a step stays one graph and all of
it can be written down and taken up again to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from retrain.head.recipe import ADAM, COSINE_SCHEDULE, MOMENTUM, OPTIMIZERS
from retrain.images import Floats
from retrain.trainer.job import Settings

# As in Keras, so that the same network with the same flags learns alike there and here.
MOMENTUM_SHARE = 0.9
ADAM_FIRST, ADAM_SECOND, ADAM_FLOOR = 0.9, 0.999, 1e-7
_SLOTS = {MOMENTUM: 1, ADAM: 2}


def rate_of(settings: Settings, steps: int, step: int, rate: float) -> float:
    """Give the learning rate of a step, of the last layer.

    The cosine is of Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, ICLR; the
    warm-up of Goyal et al., "Accurate, large minibatch SGD", 2017.

    Args:
        settings: schedule and warm-up.
        steps: of the whole training.
        step: counted from 0.
        rate: the full one.

    Returns:
        The rate: it rises in equal parts over the warm-up, and with the cosine falls towards 0 at the last step.
    """
    if step < settings.warmup_steps:
        return rate * (step + 1) / settings.warmup_steps
    if settings.schedule == COSINE_SCHEDULE:
        done = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
        return rate * (1 + math.cos(math.pi * done)) / 2
    return rate


class Optimiser:
    """Moves the variables that are trained; made where the strategy has variables made.

    Weight decay is decoupled from the gradient: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019,
    ICLR. Rates fall from the head down by layer_decay a block: Howard and Ruder, "Universal language model fine-tuning
    for text classification", 2018, ACL (discriminative fine-tuning).

    Args:
        settings: which optimiser, its decay, layer_decay.
        blocks: tf.Variables a block, from the picture up; the last block is the head.
        decayed: those of them that shrink.

    Raises:
        ValueError: the settings name no optimiser that is known.
    """

    def __init__(self, settings: Settings, blocks: Sequence[Sequence[Any]], decayed: Sequence[Any]) -> None:
        import tensorflow as tf

        if settings.optimizer not in OPTIMIZERS:
            raise ValueError(f"expected an optimizer sgd, momentum or adam, got {settings.optimizer!r}")
        self._settings = settings
        self.variables: list[Any] = [variable for block in blocks for variable in block]
        self._shares = [settings.layer_decay ** (len(blocks) - 1 - i) for i, block in enumerate(blocks) for _ in block]
        shrinking = {id(variable) for variable in decayed} if settings.weight_decay else set()
        self._shrinks = [id(variable) in shrinking for variable in self.variables]
        self._slots = [
            [tf.Variable(tf.zeros(variable.shape), trainable=False) for variable in self.variables]
            for _ in range(_SLOTS.get(settings.optimizer, 0))
        ]

    @property
    def state(self) -> list[Any]:
        """tf.Variables that a checkpoint needs besides the network's; zeros at the beginning."""
        return [variable for slot in self._slots for variable in slot]

    @staticmethod
    def numbers(rate: float, count: int) -> Floats:
        """Say what a step needs to know.

        Args:
            rate: of the last layer.
            count: steps taken before.

        Returns:
            float32 (3,): the rate, and the powers of Adam's two shares that correct its averages.
        """
        # Powers are taken here, in 64 bits: a float32 multiplied on and on would hang on where a training was resumed.
        return np.array([rate, ADAM_FIRST ** (count + 1), ADAM_SECOND ** (count + 1)], np.float32)

    def apply(self, gradients: Sequence[Any], numbers: Any) -> None:  # noqa: ANN401
        """Move every variable; in a graph.

        Args:
            gradients: a float32 tensor a variable, in their order.
            numbers: float32 tensor (3,), see numbers().
        """
        for i, (variable, gradient) in enumerate(zip(self.variables, gradients, strict=True)):
            rate = numbers[0] if self._shares[i] == 1 else numbers[0] * self._shares[i]
            if self._shrinks[i]:
                _descend(variable, rate * self._settings.weight_decay, variable.read_value())
            self._move(i, variable, gradient, rate, numbers)

    def _move(self, i: int, variable: Any, gradient: Any, rate: Any, numbers: Any) -> None:  # noqa: ANN401
        import tensorflow as tf

        slots = [slot[i].handle for slot in self._slots]
        if self._settings.optimizer == ADAM:
            # Kingma and Ba, "Adam: a method for stochastic optimization", 2015, ICLR; the floor where Keras has it.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=slots[0], v=slots[1], beta1_power=numbers[1], beta2_power=numbers[2], lr=rate,
                beta1=ADAM_FIRST, beta2=ADAM_SECOND, epsilon=ADAM_FLOOR, grad=gradient,
            )  # fmt: skip
        elif self._settings.optimizer == MOMENTUM:
            # Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle, accum=slots[0], lr=rate, grad=gradient, momentum=MOMENTUM_SHARE
            )
        else:
            _descend(variable, rate, gradient)


def _descend(variable: Any, rate: Any, gradient: Any) -> None:  # noqa: ANN401
    import tensorflow as tf

    tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
