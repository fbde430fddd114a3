"""The blocks that networks are put together from, and what each of their numbers may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrain.errors import did_you_mean

# Only what every format of export knows, TensorFlow 1.15 among them; "linear" is none.
ACTIVATIONS = ("relu", "relu6", "sigmoid", "tanh", "linear")
PADDINGS = ("same", "valid")
POOLINGS = ("max", "average")
MAX_FILTERS, MAX_UNITS, MAX_KERNEL = 4096, 65_536, 31


def _number(default: float | None, least: float, most: float) -> Any:  # noqa: ANN401
    metadata = {"least": least, "most": most}
    return (
        dataclasses.field(metadata=metadata)
        if default is None
        else dataclasses.field(default=default, metadata=metadata)
    )


def _choice(default: str, choices: Sequence[str]) -> Any:  # noqa: ANN401
    return dataclasses.field(default=default, metadata={"choices": choices})


@dataclass(frozen=True)
class Block:
    """One of the blocks below."""


@dataclass(frozen=True)
class Convolution(Block):
    """A convolution, a bias and an activation.

    Args:
        filters: channels of its result.
        kernel: pixels, height and width.
        stride: pixels from one result to the next.
        padding: "same", zeros around the picture so that its size stays, or "valid", none.
        activation: one of ACTIVATIONS.
        bias: whether a number is added to each channel; needless where Normalise follows.
    """

    filters: int = _number(None, 1, MAX_FILTERS)
    kernel: int = _number(3, 1, MAX_KERNEL)
    stride: int = _number(1, 1, 8)
    padding: str = _choice("same", PADDINGS)
    activation: str = _choice("relu", ACTIVATIONS)
    bias: bool = True


@dataclass(frozen=True)
class Pool(Block):
    """The largest or the mean value of each small square.

    Args:
        size: pixels, height and width of a square.
        stride: pixels from one square to the next; 0: its size, so that none overlap.
        kind: "max" or "average".
        padding: "valid", what does not fill a square at the edge is left out, or "same".
    """

    size: int = _number(2, 1, MAX_KERNEL)
    stride: int = _number(0, 0, MAX_KERNEL)
    kind: str = _choice("max", POOLINGS)
    padding: str = _choice("valid", PADDINGS)


@dataclass(frozen=True)
class GlobalPool(Block):
    """The largest or the mean value of each channel: from a picture to a vector, whatever the picture's size.

    Args:
        kind: "average" or "max".
    """

    kind: str = _choice("average", POOLINGS)


@dataclass(frozen=True)
class Normalise(Block):
    """Batch normalisation. Ioffe and Szegedy, "Batch normalization", 2015, ICML.

    Args:
        momentum: share of the old mean and variance that stays at each step.
        epsilon: added to the variance.
    """

    momentum: float = _number(0.99, 0.0, 0.9999)
    epsilon: float = _number(0.001, 1e-7, 1.0)


@dataclass(frozen=True)
class Activation(Block):
    """An activation by itself, as after Normalise.

    Args:
        kind: one of ACTIVATIONS.
    """

    kind: str = _choice("relu", ACTIVATIONS)


@dataclass(frozen=True)
class Inception(Block):
    """An inception module: four roads side by side, joined.

    Szegedy et al., "Going deeper with convolutions", 2015, CVPR. The roads are convolutions of 1x1, of 3x3, of
    5x5, and a max-pooling of 3x3 with a convolution of 1x1 behind it.

    Args:
        filters: channels of the result; the roads share them.
        share_1x1: share of them that the first road makes, rounded down, at least one.
        share_3x3: the second one's.
        share_5x5: the third one's; the fourth makes the rest.
        reduction: channels that a convolution of 1x1 in front of those of 3x3 and 5x5 leaves, as a share of what they
            make; 0: no such convolution.
        activation: of every convolution; one of ACTIVATIONS.
    """

    filters: int = _number(None, 4, MAX_FILTERS)
    share_1x1: float = _number(0.2, 0.0, 1.0)
    share_3x3: float = _number(0.3, 0.0, 1.0)
    share_5x5: float = _number(0.3, 0.0, 1.0)
    reduction: float = _number(0.0, 0.0, 4.0)
    activation: str = _choice("relu", ACTIVATIONS)

    @property
    def roads(self) -> tuple[int, int, int, int]:
        """Channels that each road makes; the last may be too few, see ``measure``."""
        # Rounded first, because 0.3 * 10 is a little less than 3.
        first, second, third = (
            max(1, int(round(share * self.filters, 6))) for share in (self.share_1x1, self.share_3x3, self.share_5x5)
        )
        return first, second, third, self.filters - first - second - third

    def reduced(self, filters: int) -> int:
        """Say how many channels are left in front of a larger convolution.

        Args:
            filters: that this convolution makes.

        Returns:
            Their number; 0: nothing stands in front of it.
        """
        return max(1, int(round(self.reduction * filters, 6))) if self.reduction else 0


@dataclass(frozen=True)
class Flatten(Block):
    """From a picture to a vector: all its values in a row."""


@dataclass(frozen=True)
class Dense(Block):
    """A layer in which every value is connected to every unit.

    Args:
        units: values of its result.
        activation: one of ACTIVATIONS.
        bias: whether a number is added to each.
    """

    units: int = _number(None, 1, MAX_UNITS)
    activation: str = _choice("relu", ACTIVATIONS)
    bias: bool = True


@dataclass(frozen=True)
class Dropout(Block):
    """In training, values are left out at random. Srivastava et al., "Dropout", 2014, JMLR.

    Args:
        share: of the values that are left out.
    """

    share: float = _number(0.5, 0.0, 0.95)


KINDS: dict[str, type[Block]] = {
    "convolution": Convolution,
    "pool": Pool,
    "global_pool": GlobalPool,
    "normalise": Normalise,
    "activation": Activation,
    "inception": Inception,
    "flatten": Flatten,
    "dense": Dense,
    "dropout": Dropout,
}
NAMES = {kind: name for name, kind in KINDS.items()}


def problems_of_block(block: Block, where: str) -> list[str]:
    """Say what is wrong with a block's own numbers.

    Args:
        block: any.
        where: it is, for the sentences.

    Returns:
        One sentence a problem.
    """
    if type(block) not in NAMES:
        return [f"{where}: expected a block of retrain.networks, got {type(block).__name__}"]
    found = [problem_of_value(field, getattr(block, field.name), where) for field in dataclasses.fields(block)]
    return [problem for problem in found if problem]


def problem_of_value(field: dataclasses.Field[Any], value: object, where: str) -> str:
    """Say what is wrong with one value of a block.

    Args:
        field: of the block's class; its type is a name.
        value: what was given.
        where: the block is.

    Returns:
        A sentence, or nothing.
    """
    start, got = f"{where}: expected {field.name} to be", f", got {value!r}"[:80]
    if field.type == "bool":
        return "" if isinstance(value, bool) else f"{start} true or false{got}"
    if field.type == "str":
        choices = field.metadata["choices"]
        if value in choices:
            return ""
        return f"{start} one of {', '.join(choices)}{got}{did_you_mean(str(value), choices)}"
    least, most = field.metadata["least"], field.metadata["most"]
    whole = field.type == "int"
    is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if is_number and least <= value <= most:
        return ""
    return f"{start} a {'whole ' if whole else ''}number from {least} to {most}{got}"
