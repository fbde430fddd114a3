"""Follows a picture through a network without building it: what does not fit, how wide the result is, what it costs."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retrain.errors import UsageError, did_you_mean
from retrain.networks.blocks import (
    Block,
    Convolution,
    Dense,
    Flatten,
    GlobalPool,
    Inception,
    Normalise,
    Pool,
    problems_of_block,
)
from retrain.networks.network import LUMA, OPTIMIZERS, Network, Usual

MAX_SIZE, MAX_BLOCKS = 1024, 200
# As many numbers as a frozen graph may have, see retrain/graphs/checked.py; a step needs about four times that.
MAX_PARAMETERS = 100_000_000
# Numbers that one block makes of one picture: a batch of 16 is kept whole until the gradients are known.
MAX_VALUES = 1 << 26
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_USUAL_RANGES = {"epochs": (1, 100_000), "batch_size": (1, 65_536), "learning_rate": (1e-9, 1e3)}

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """What a network comes to.

    Args:
        feature_width: length of its vector.
        parameters: numbers that are trained.
        multiply_adds: of one picture.
        arrays: how many arrays its weights are, those that are not trained among them.
        shapes: of what each block makes of one picture: (H, W, C) or (D,).
    """

    feature_width: int
    parameters: int
    multiply_adds: int
    arrays: int
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class _Step:
    """What one block does: the shape of its result, and what it is made of."""

    shape: Shape
    parameters: int = 0
    multiply_adds: int = 0
    arrays: int = 0
    problem: str = ""


def problems_of(network: Network) -> list[str]:
    """Say all that is wrong with a network.

    Args:
        network: as a person put it together.

    Returns:
        One sentence a problem.
    """
    problems = _problems_of_frame(network)
    for number, block in enumerate(network.blocks, 1):
        problems += problems_of_block(block, _where(number, block))
    return problems or _problems_of_row(network)


def measure(network: Network) -> Measured:
    """Follow a picture through a network.

    Args:
        network: any.

    Returns:
        What it comes to.

    Raises:
        UsageError: all that is wrong with it.
    """
    problems = problems_of(network)
    if problems:
        raise UsageError(problems)
    steps = list(_steps(network))
    grey = _Step((), multiply_adds=3 * network.size**2, arrays=1) if network.channels == 1 else _Step(())
    return Measured(
        feature_width=steps[-1].shape[0],
        parameters=sum(step.parameters for step in steps),
        multiply_adds=sum(step.multiply_adds for step in [grey, *steps]),
        arrays=sum(step.arrays for step in [grey, *steps]),
        shapes=tuple(step.shape for step in steps),
    )


def least_size(network: Network) -> int:
    """Find the smallest input that a network's windows fit into.

    Args:
        network: its blocks fit together.

    Returns:
        Pixels; 0 where no size will do.
    """
    for size in range(1, MAX_SIZE + 1):
        if not any(step.problem for step in _steps(replace(network, size=size))):
            return size
    return 0


def _problems_of_frame(network: Network) -> list[str]:
    problems = []
    if not isinstance(network.name, str) or not _NAME.fullmatch(network.name):
        problems.append(
            f"expected name to be letters, digits, _, - and ., at most 40, a letter or digit first, got "
            f"{str(network.name)[:60]!r}"
        )
    if not _is_whole(network.size) or not 1 <= network.size <= MAX_SIZE:
        problems.append(f"expected size to be a whole number from 1 to {MAX_SIZE}, got {network.size!r}")
    if not _is_whole(network.channels) or network.channels not in (1, len(LUMA)):
        problems.append(f"expected channels to be 3, or 1 for grey, got {network.channels!r}")
    if not 1 <= len(network.blocks) <= MAX_BLOCKS:
        problems.append(f"expected 1 to {MAX_BLOCKS} blocks, got {len(network.blocks)}")
    return problems + _problems_of_usual(network.usual)


def _problems_of_usual(usual: Usual) -> list[str]:
    problems = []
    for name, (least, most) in _USUAL_RANGES.items():
        value = getattr(usual, name)
        fits = _is_whole(value) or (name == "learning_rate" and isinstance(value, float))
        if not fits or not least <= value <= most:
            problems.append(f"expected usual {name} to be a number from {least:g} to {most:g}, got {value!r}")
    if usual.optimizer not in OPTIMIZERS:
        hint = did_you_mean(str(usual.optimizer), OPTIMIZERS)
        problems.append(f"expected usual optimizer to be one of {', '.join(OPTIMIZERS)}, got {usual.optimizer!r}{hint}")
    return problems


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _problems_of_row(network: Network) -> list[str]:
    """Follow the shapes; behind the first that does not fit, all others would not fit either."""
    steps = []
    for number, (block, step) in enumerate(zip(network.blocks, _steps(network), strict=True), 1):
        if step.problem:
            return [f"{_where(number, block)}: {step.problem}{_hint(network, step)}"]
        if math.prod(step.shape) > MAX_VALUES:
            return [f"{_where(number, block)}: makes {math.prod(step.shape)} values of a picture, at most {MAX_VALUES}"]
        steps.append(step)
    problems = []
    if len(steps[-1].shape) != 1:
        problems.append("expected the last block to give a vector; put a flatten or global_pool behind it")
    parameters = sum(step.parameters for step in steps)
    if not parameters:
        problems.append("expected a block with weights, convolution, inception or dense; got none")
    if parameters > MAX_PARAMETERS:
        problems.append(
            f"expected at most {MAX_PARAMETERS} weights, got {parameters}; pool more, or make its layers narrower"
        )
    return problems


def _hint(network: Network, step: _Step) -> str:
    """Name the smallest size that does, where a window is larger than what is left of the picture."""
    least = least_size(network) if "pixels" in step.problem else 0
    return f"; the least size of {network.name} is {least}" if least else ""


def _where(number: int, block: object) -> str:
    return f"block {number} ({type(block).__name__})"


def _steps(network: Network) -> Iterator[_Step]:
    shape: Shape = (network.size, network.size, network.channels)
    for block in network.blocks:
        step = _step(block, shape)
        yield step
        shape = step.shape


def _step(block: Block, shape: Shape) -> _Step:
    is_picture = len(shape) == 3
    if isinstance(block, (Convolution, Pool, GlobalPool, Inception)) and not is_picture:
        return _Step(shape, problem="expected a picture before it, got a vector; put it before the flatten")
    match block:
        case Convolution():
            return _convolved(block, shape)
        case Pool():
            height, problem = _window(shape[0], block.size, block.stride or block.size, block.padding)
            return _Step((height, height, shape[2]), problem=problem)
        case Inception():
            return _inception(block, shape)
        case GlobalPool():
            return _Step(shape[2:])
        case Flatten():
            return _Step((math.prod(shape),))
        case Normalise():
            return _Step(shape, parameters=2 * shape[-1], arrays=4)
        case Dense() if is_picture:
            return _Step(shape, problem="expected a vector before it, got a picture; put a flatten before it")
        case Dense():
            weights = shape[0] * block.units
            return _Step((block.units,), weights + block.units * block.bias, weights, 1 + block.bias)
        case _:
            return _Step(shape)


def _convolved(block: Convolution, shape: Shape) -> _Step:
    side, problem = _window(shape[0], block.kernel, block.stride, block.padding)
    weights = block.kernel**2 * shape[2] * block.filters
    made = (side, side, block.filters)
    return _Step(made, weights + block.filters * block.bias, weights * side * side, 1 + block.bias, problem)


def _inception(block: Inception, shape: Shape) -> _Step:
    if block.roads[3] < 1:
        return _Step(
            shape,
            problem=f"expected shares that leave the fourth road a filter, got {', '.join(map(str, block.roads[:3]))} "
            f"of {block.filters}; make filters more or shares smaller",
        )
    parts = [step for road in convolutions_of(block) for step in _road(road, shape)]
    return _Step(
        (*shape[:2], block.filters),
        sum(part.parameters for part in parts),
        sum(part.multiply_adds for part in parts),
        sum(part.arrays for part in parts),
    )


def _road(road: Sequence[Convolution], shape: Shape) -> Iterator[_Step]:
    for convolution in road:
        step = _convolved(convolution, shape)
        yield step
        shape = step.shape


def convolutions_of(block: Inception) -> tuple[tuple[Convolution, ...], ...]:
    """Take an inception module apart.

    Args:
        block: the module.

    Returns:
        The convolutions of each of its four roads, in order; a max-pooling of 3x3 stands before the fourth.
    """
    first, second, third, fourth = block.roads

    def road(filters: int, kernel: int) -> tuple[Convolution, ...]:
        less = block.reduced(filters) if kernel > 1 else 0
        front = (Convolution(less, 1, activation=block.activation),) if less else ()
        return (*front, Convolution(filters, kernel, activation=block.activation))

    return road(first, 1), road(second, 3), road(third, 5), road(fourth, 1)


def _window(side: int, window: int, stride: int, padding: str) -> tuple[int, str]:
    """Say how many windows fit into a side, and what is wrong where none does."""
    if padding == "same":
        return -(-side // stride), ""
    if side < window:
        return 1, f"its window of {window} pixels is larger than the {side} that are left of the picture"
    return (side - window) // stride + 1, ""


def fields_of(block: Block) -> dict[str, Any]:
    """Give a block's values by name.

    Args:
        block: any.

    Returns:
        Name -> value, without those that are as usual.
    """
    return {
        field.name: getattr(block, field.name)
        for field in dataclasses.fields(block)
        if getattr(block, field.name) != field.default
    }
