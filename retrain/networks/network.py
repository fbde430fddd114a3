"""A network: blocks in a row, from the picture up to the vector that the last layer classifies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from retrain.networks.blocks import Block

GREY = "_grey"
OPTIMIZERS = ("sgd", "momentum", "adam")
# Of ITU-R BT.601, as Pillow's conversion to grey has them; they add up to 1, so that -1 to 1 stays -1 to 1.
LUMA = (0.299, 0.587, 0.114)


class Usual(NamedTuple):
    """How a network is trained where no flag says otherwise.

    Args:
        epochs: times that each photograph is gone through.
        batch_size: photographs a step.
        learning_rate: of every layer.
        optimizer: "sgd", "momentum" or "adam".
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    optimizer: str = "adam"


USUAL = Usual()


@dataclass(frozen=True)
class Network:
    """A network without its last layer, which the labels decide.

    Args:
        name: letters, digits, "_", "-" and "."; what files and models call it.
        blocks: from the picture up; the last one gives a vector.
        size: pixels, height and width of its input.
        channels: 3, or 1: the picture is turned grey first.
        usual: how it is trained where no flag says otherwise.
    """

    name: str
    blocks: tuple[Block, ...]
    size: int
    channels: int = 3
    usual: Usual = USUAL
