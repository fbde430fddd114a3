"""Build a whole network of Keras Applications, head of ImageNet and all, from weights that have one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from retrain.backbones.convert import read_npz, settle_normalization, ungroup
from retrain.backbones.imagenet import COUNTS
from retrain.backbones.slim import read_slim_mobilenet
from retrain.backbones.table import BackboneSpec
from retrain.errors import WeightsError
from retrain.images import Floats


def build_with_head(spec: BackboneSpec, weights: Path) -> tuple[Any, int]:
    """Build the Keras model of an architecture with its head.

    Args:
        spec: the architecture.
        weights: a .npz in the order of ``get_weights()``, Keras' .h5, or a .pb of Google's MobileNet V1.

    Returns:
        A keras.Model: float32 (N, H, W, 3), what its training was fed -> float32 (N, C), probabilities; and C.

    Raises:
        WeightsError: the weights have no head of ImageNet, or do not fit the architecture.
    """
    try:
        if weights.suffix == ".h5":
            classes = _classes_of_h5(weights)
            model = _untrained(spec, classes)
            model.load_weights(weights)
        else:
            arrays = read_npz(weights) if weights.suffix == ".npz" else _arrays_of_graph(weights)
            classes = _classes_of(spec, arrays)
            model = _untrained(spec, classes)
            model.set_weights(_fitted(arrays, [tuple(one.shape) for one in model.weights]))
        settle_normalization(model)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{weights} does not hold the weights of {spec.name} with a head of ImageNet: {error}"
        ) from error
    return model, classes


def _untrained(spec: BackboneSpec, classes: int) -> Any:  # noqa: ANN401
    import keras

    shape = (spec.input_spec.height, spec.input_spec.width, 3)
    builder = getattr(keras.applications, spec.builder)
    model = builder(input_shape=shape, include_top=True, weights=None, classes=classes, **spec.arguments)
    ungroup(model)
    return model


def _arrays_of_graph(graph: Path) -> list[Floats]:
    found = read_slim_mobilenet(graph.read_bytes())
    if found.head_kernel is None or found.head_bias is None:
        raise WeightsError(f"{graph} has no head of ImageNet, MobilenetV1/Logits; take Google's own graph")
    return [*found.arrays, found.head_kernel, found.head_bias]


def _classes_of(spec: BackboneSpec, arrays: Sequence[Floats]) -> int:
    if len(arrays) <= spec.weight_arrays:
        raise ValueError(
            f"expected more than the {spec.weight_arrays} arrays that it has without its head, got {len(arrays)}"
        )
    return _classes_among({array.size for array in arrays if array.ndim == 1})


def _classes_of_h5(weights: Path) -> int:
    import h5py

    sizes: set[int] = set()

    def look(_: str, item: Any) -> None:  # noqa: ANN401
        if isinstance(item, h5py.Dataset) and item.ndim == 1:
            sizes.add(item.shape[0])

    with h5py.File(weights, "r") as file:
        file.visititems(look)
    return _classes_among(sizes)


def _classes_among(sizes: Collection[int]) -> int:
    """Tell the number of classes by the biases of the head: no other row of numbers is that long."""
    for classes in reversed(COUNTS):
        if classes in sizes:
            return classes
    raise ValueError(f"expected biases of {' or '.join(map(str, COUNTS))} classes, got none")


def _fitted(arrays: Sequence[Floats], shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
    """Give a head's kernel the shape that Keras has for it: (D, C) and (1, 1, D, C) are the same numbers."""
    if len(arrays) != len(shapes):
        raise ValueError(f"expected {len(shapes)} arrays, got {len(arrays)}")
    return [
        array.reshape(shape) if _without_ones(array.shape) == _without_ones(shape) else array
        for array, shape in zip(arrays, shapes, strict=True)
    ]


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
