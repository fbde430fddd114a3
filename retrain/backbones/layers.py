"""The layers of a backbone: their names and blocks, and where fine-tuning begins. Lists them in a process of its own.

Layers are counted as Keras counts ``model.layers``, the input as 0, so that "the first ten" of other people's
tutorials are the same ten here.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retrain.backbones.convert import build_untrained
from retrain.backbones.prepare import run_child
from retrain.backbones.table import BackboneSpec, find_backbone
from retrain.config.flag import AS_USUAL
from retrain.errors import RetrainError, UsageError, did_you_mean

# Of a backbone's layers, those that are trained where no flag says otherwise.
USUAL_SHARE = 1 / 3
# What the layers of one block, module or stage have in common: MobileNet V1; ResNet and DenseNet; VGG, Xception and
# EfficientNet; MobileNet V2 and V3; ConvNeXt; the networks of this project.
_OF_BLOCK = re.compile(
    r"conv_(?:dw|pw|pad)_(\d+)|(conv\d+_block\d+)_|^(block\d+[a-z]?)_|^(block_\d+)_|^(expanded_conv(?:_\d+)?)_"
    r"|(stage_\d+_block_\d+)_|(downsampling_block_\d+)$|^((?:convolution|dense|inception)\d+)(?:_|$)"
)
# The last layer of a module, where the others are only numbered: InceptionV3 and NASNet.
_END_OF_BLOCK = re.compile(r"mixed\d+|(?:normal|reduction)_concat_\w+")


@dataclass(frozen=True)
class LayerFacts:
    """One layer of a backbone.

    Args:
        index: counted from 0, the input.
        name: Keras', as in a process that has built nothing before.
        kind: name of its class.
        parameters: numbers that can be trained.
        has_kernel: whether some of them multiply, other than in a normalisation.
        block: which block it belongs to, counted from 0; never smaller than that of the layer before.
    """

    index: int
    name: str
    kind: str
    parameters: int
    has_kernel: bool
    block: int


def layers_of(model: Any) -> tuple[LayerFacts, ...]:  # noqa: ANN401 - a keras.Model; Keras has no types
    """List the layers of a backbone.

    Args:
        model: of convert.build or build_untrained; all of it trainable, as it was built.

    Returns:
        A row a layer.
    """
    layers = list(model.layers)
    kinds = [type(layer).__name__ for layer in layers]
    names = canonical_names([layer.name for layer in layers], kinds)
    shapes = [[tuple(one.shape) for one in layer.trainable_variables] for layer in layers]
    kernels = [any(len(shape) > 1 for shape in of_layer) for of_layer in shapes]
    blocks = blocks_of(names, kinds, kernels)
    sizes = [sum(math.prod(shape) for shape in of_layer) for of_layer in shapes]
    columns = zip(names, kinds, sizes, kernels, blocks, strict=True)
    return tuple(LayerFacts(index, *row) for index, row in enumerate(columns))


def canonical_names(names: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """Count the layers that Keras names by itself from the first of this model: conv2d, conv2d_1 and so on.

    Trap: Keras counts them through the whole process, so that a second model begins with conv2d_94.

    Args:
        names: of the layers.
        kinds: of the layers, names of classes.

    Returns:
        A name a layer.
    """
    numbers = [_own_number(name, kind) for name, kind in zip(names, kinds, strict=True)]
    least: dict[str, int] = {}
    for kind, number in zip(kinds, numbers, strict=True):
        if number is not None:
            least[kind] = min(number, least.get(kind, number))
    return [
        name if number is None else _numbered(_snake(kind), number - least[kind])
        for name, kind, number in zip(names, kinds, numbers, strict=True)
    ]


def blocks_of(names: Sequence[str], kinds: Sequence[str], kernels: Sequence[bool]) -> list[int]:
    """Say which layers belong together: residual and inverted blocks, modules, else each layer that has a kernel.

    Args:
        names: of the layers, canonical.
        kinds: of the layers, names of classes.
        kernels: whether a layer has one.

    Returns:
        The number of a block a layer, from 0, never falling.
    """
    ended = any(_END_OF_BLOCK.fullmatch(name) for name in names)
    blocks: list[int] = []
    current = ""
    for index, name in enumerate(names):
        if ended:
            begins = index > 0 and _END_OF_BLOCK.fullmatch(names[index - 1]) is not None and any(kernels[index:])
        else:
            found = _OF_BLOCK.search(name)
            key = next(part for part in found.groups() if part) if found else ""
            alone = not key and kernels[index] and _own_number(name, kinds[index]) is None
            begins = alone or (key != "" and key != current)
            current = key if begins else current
        blocks.append((blocks[-1] if blocks else 0) + bool(begins))
    return blocks


def line_of(layers: Sequence[LayerFacts], freeze_layers: int, unfreeze_from: str) -> int:
    """Say which layer is the first that is trained.

    Args:
        layers: of layers_of.
        freeze_layers: how many stay as they are; -1: as usual, those below the blocks that begin in the top third.
        unfreeze_from: name of the first that is trained, in place of that; empty: none.

    Returns:
        Its index; the number of layers where only the head is trained.

    Raises:
        UsageError: there is no such layer, or there are not so many.
    """
    if unfreeze_from:
        return _index_of(layers, unfreeze_from)
    if freeze_layers == AS_USUAL:
        return _usual_line(layers)
    if freeze_layers > len(layers):
        raise UsageError(
            f"expected --freeze_layers to be at most {len(layers)}, all layers of the backbone, got {freeze_layers}"
        )
    return freeze_layers


def _usual_line(layers: Sequence[LayerFacts]) -> int:
    starts = [
        next(one.index for one in layers if one.block == block)
        for block in sorted({one.block for one in layers if one.parameters})
    ]
    first = math.ceil(len(layers) * (1 - USUAL_SHARE))
    return next((start for start in starts if start >= first), starts[-1])


def _index_of(layers: Sequence[LayerFacts], name: str) -> int:
    for layer in layers:
        if layer.name == name:
            return layer.index
    names = [layer.name for layer in layers]
    lower = next((one for one in names if one.lower() == name.lower()), "")
    hint = f"; did you mean {lower}?" if lower else did_you_mean(name, names)
    raise UsageError(
        f"expected --unfreeze_from to be a layer of the backbone, got {name!r}{hint} "
        "(python -m retrain backbones --layers NAME lists them)"
    )


def _own_number(name: str, kind: str) -> int | None:
    """Give the number of a layer that Keras named by itself, 0 for the first; None where a person named it."""
    found = re.fullmatch(rf"{re.escape(_snake(kind))}(?:_(\d+))?", name)
    return None if found is None else int(found[1] or 0)


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _snake(kind: str) -> str:
    """Spell a class as Keras does: Conv2D is conv2d, BatchNormalization batch_normalization."""
    parted = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind))
    return re.sub(r"\W", "", parted).lower()


def listed(spec: BackboneSpec) -> tuple[LayerFacts, ...]:
    """List the layers of a backbone without importing TensorFlow here: a child process of some seconds does.

    Args:
        spec: the architecture.

    Returns:
        A row a layer.

    Raises:
        RetrainError: the process failed.
    """
    child = run_child("retrain.backbones.layers", spec.name, told=spec.definition)
    if child.returncode != 0:
        tail = "\n".join((child.stderr or child.stdout).strip().splitlines()[-5:])
        raise RetrainError(f"listing the layers of {spec.name} failed:\n{tail}")
    return tuple(LayerFacts(**row) for row in json.loads(child.stdout.splitlines()[-1]))


def main() -> int:
    """Print the layers of one backbone as a line of JSON; called by ``listed`` in a child process.

    Returns:
        An exit code of retrain.errors.
    """
    parser = argparse.ArgumentParser(prog="python -m retrain.backbones.layers", description=__doc__)
    parser.add_argument("architecture", help="its name; a network's definition comes on standard input")
    arguments = parser.parse_args()
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]  # see convert.py
    try:
        model = build_untrained(find_backbone(arguments.architecture, sys.stdin.read()))
    except RetrainError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps([asdict(one) for one in layers_of(model)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
