"""An architecture's weights, taken out of a SavedModel of it: its checkpoint is read, nothing of it is run.

Each weight of the architecture must be found exactly once, in one of these ways, the first that finds them all:

1. by name, as ``conv1/kernel``; Keras 2 wrote some names in other words, which are brought together;
2. by the last two parts of the name, for a model inside another;
3. as 1, but layers that Keras numbered itself (``conv2d_94``) by the order of their numbers: these count all layers
   made in a process;
4. by their order in the list ``variables`` that Keras gives a model, if all are of the right kind and shape, and what
   is left over, as a top, comes after them.

Anything else is an error: a weight in the wrong place would be silent nonsense.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.errors import WeightsError
from retrain.graphs.checkpoint import Checkpoint

_Array = npt.NDArray[Any]
_Found = dict[str, list[str]]
# Keras 2's word -> Keras 3's.
_WORDS = {"depthwise_kernel": "kernel"}
_NUMBERED = re.compile(r"(conv2d|batch_normalization|depthwise_conv2d|separable_conv2d|normalization)(?:_(\d+))?")


def read_saved_weights(model: Any, folder: Path) -> list[_Array]:  # noqa: ANN401 - a keras.Model
    """Read the weights of an architecture out of a SavedModel.

    Args:
        model: the architecture, built; of keras.
        folder: of the SavedModel.

    Returns:
        Arrays in the order of ``model.get_weights()``.

    Raises:
        WeightsError: a weight is not there, could be more than one, or is of another shape.
    """
    wanted = [weight.path for layer in model.layers for weight in layer.weights]
    shapes = [tuple(weight.shape) for layer in model.layers for weight in layer.weights]
    checkpoint = Checkpoint(folder)
    keys = _by_name(wanted, checkpoint) or _by_order(wanted, shapes, checkpoint)
    if keys is None:
        raise WeightsError(_missing(wanted, checkpoint, folder))
    arrays = [_only(name, [checkpoint.read(key) for key in found]) for name, found in zip(wanted, keys, strict=True)]
    for name, shape, array in zip(wanted, shapes, arrays, strict=True):
        if array.shape != shape:
            raise WeightsError(
                f"expected {name} to be of shape {shape}, got {array.shape}; is it another architecture?"
            )
    return arrays


def _by_name(wanted: Sequence[str], checkpoint: Checkpoint) -> list[list[str]] | None:
    """Find the keys of each weight; more than one if the SavedModel holds it twice."""
    saved: _Found = defaultdict(list)
    for name, key in checkpoint.named():
        saved[_canonical(name)].append(key)
    names = [_canonical(name) for name in wanted]
    for form in (_whole_name, _last_parts):
        found = _looked_up([form(name) for name in names], saved, form)
        if found is not None:
            return found
    return _by_rank(names, saved)


def _canonical(name: str) -> str:
    *scopes, last = name.removesuffix(":0").split("/")
    return "/".join([*scopes, _WORDS.get(last, last)])


def _whole_name(name: str) -> str:
    return name.replace("/", "_")


def _last_parts(name: str) -> str:
    return "/".join(name.split("/")[-2:])


def _looked_up(names: Sequence[str], saved: _Found, form: Callable[[str], str]) -> list[list[str]] | None:
    if len(set(names)) != len(names):
        return None
    spelt: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for name, keys in saved.items():
        spelt[form(name)].append((name, keys))
    found = [spelt.get(name, []) for name in names]
    # Two different variables that are spelt the same in this form could be either.
    if all(len(one) == 1 for one in found):
        return [one[0][1] for one in found]
    return None


def _by_rank(names: Sequence[str], saved: _Found) -> list[list[str]] | None:
    """Compare numbers that Keras gave by their order, where there are as many of a family on both sides."""
    ours, theirs = _ranked(names), _ranked(list(saved))
    if ours is None or theirs is None or ours.counts.items() - theirs.counts.items():
        return None
    ranked: _Found = defaultdict(list)
    for name, new in theirs.names.items():
        ranked[new] += saved[name]
    return _looked_up([_whole_name(ours.names[name]) for name in names], ranked, _whole_name)


class _Ranked:
    """Names with the rank in place of the number.

    Args:
        names: old -> new.
        counts: how many layers of a family there are.
    """

    def __init__(self, names: dict[str, str], counts: dict[str, int]) -> None:
        self.names, self.counts = names, counts


def _ranked(names: Sequence[str]) -> _Ranked | None:
    numbers: dict[str, set[int]] = defaultdict(set)
    split = {}
    for name in names:
        parts = name.split("/")
        match = _NUMBERED.fullmatch(parts[-2]) if len(parts) > 1 else None
        if match is not None:
            numbers[match[1]].add(int(match[2] or 0))
            split[name] = (parts[:-2], match[1], int(match[2] or 0), parts[-1])
    if not split:
        return None
    order = {family: sorted(found) for family, found in numbers.items()}
    new = {
        name: "/".join([*scopes, f"{family}#{order[family].index(number)}", last])
        for name, (scopes, family, number, last) in split.items()
    }
    counts = {family: len(found) for family, found in numbers.items()}
    return _Ranked({name: new.get(name, name) for name in names}, counts)


def _by_order(
    wanted: Sequence[str], shapes: Sequence[tuple[int, ...]], checkpoint: Checkpoint
) -> list[list[str]] | None:
    names = {key: _canonical(name) for name, key in checkpoint.named()}
    listed = [key for key in checkpoint.listed() if key in names]
    if len(listed) < len(wanted):
        return None
    for name, shape, key in zip(wanted, shapes, listed, strict=False):
        kind, ours = names[key].rsplit("/", 1)[-1], _canonical(name).rsplit("/", 1)[-1]
        if kind != ours or checkpoint.shape(key) != shape:
            return None
    return [[key] for key in listed[: len(wanted)]]


def _only(name: str, found: list[_Array]) -> _Array:
    """Keras' export writes variables twice under one name; they are one if they are equal."""
    if any(not np.array_equal(found[0], other) for other in found[1:]):
        raise WeightsError(f"expected one variable {name}, got {len(found)} of that name that differ; which is meant?")
    return found[0]


def _missing(wanted: Sequence[str], checkpoint: Checkpoint, folder: Path) -> str:
    saved = [name for name, _ in checkpoint.named()]
    known = {_whole_name(_canonical(name)) for name in saved}
    absent = [name for name in wanted if _whole_name(_canonical(name)) not in known]
    return (
        f"expected the {len(wanted)} weights of the architecture, each once, in {folder}; it has {len(saved)} "
        f"variables ({', '.join(saved[:3]) or 'none'} ...), and {', '.join(absent[:3]) or 'no order'} "
        f"{'and more ' if len(absent) > 3 else ''}cannot be told among them; is it another architecture?"
    )
