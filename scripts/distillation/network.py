"""MobileNet V1 as a list of layers, with a forward pass that is fast on a CPU, forwards and backwards.

Three things make it fast: bfloat16; batch normalisation folded into the convolution wherever its statistics stand
still; and _StridedDepthwise, see there. The pictures run through the network turned by half a turn, where TensorFlow's
"pad bottom and right" of the strided layers becomes plain padding by one, which needs no copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

# Of the thirteen pointwise convolutions at width 1.0, and the strides of the depthwise ones before them.
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
STEM_WIDTH = 32
EPSILON = 1e-3
LAYERS = 27
ARRAYS_A_LAYER = 5


@dataclass
class Layer:
    """A convolution without bias, its batch normalisation, and a ReLU that ends at 6.

    Args:
        weight: (out, in, height, width); (channels, 1, 3, 3) if depthwise.
        gamma: scale, a channel.
        beta: shift, a channel.
        mean: what is subtracted, a channel.
        variance: what is divided by the root of, a channel.
        stride: of the convolution.
    """

    weight: Tensor
    gamma: Tensor
    beta: Tensor
    mean: Tensor
    variance: Tensor
    stride: int

    @staticmethod
    def of(tensors: Iterable[Tensor], stride: int) -> Layer:
        """Make a layer of its tensors, in Keras' order."""
        weight, gamma, beta, mean, variance = tensors
        return Layer(weight, gamma, beta, mean, variance, stride)

    @property
    def groups(self) -> int:
        """Groups of the convolution: as many as channels where it is depthwise."""
        return int(self.weight.shape[0]) if self.weight.shape[1] == 1 else 1

    def trained(self) -> list[Tensor]:
        """The tensors that gradients reach."""
        return [self.weight, self.gamma, self.beta]

    def tensors(self) -> list[Tensor]:
        """All tensors, in Keras' order."""
        return [self.weight, self.gamma, self.beta, self.mean, self.variance]


def layer_strides() -> list[int]:
    """Stride of each of the 27 layers: stem, then depthwise and pointwise in turn."""
    return [2, *(stride for depthwise in STRIDES for stride in (depthwise, 1))]


def kept_widths(alpha: float) -> list[int]:
    """Channels after the stem and after each pointwise convolution, at a width."""
    return [int(width * alpha) for width in (STEM_WIDTH, *WIDTHS)]


def from_keras(arrays: Sequence[npt.NDArray[Any]]) -> list[Layer]:
    """Make layers of arrays in Keras' order.

    Args:
        arrays: 135 arrays as ``get_weights()`` gives them.

    Returns:
        27 layers, float32.
    """
    if len(arrays) != LAYERS * ARRAYS_A_LAYER:
        raise ValueError(f"expected {LAYERS * ARRAYS_A_LAYER} arrays of a MobileNet V1 without top, got {len(arrays)}")
    layers = []
    for number, stride in enumerate(layer_strides()):
        kernel, *rest = arrays[number * ARRAYS_A_LAYER : (number + 1) * ARRAYS_A_LAYER]
        axes = (2, 3, 0, 1) if number % 2 == 1 else (3, 2, 0, 1)
        first = torch.from_numpy(np.ascontiguousarray(kernel.transpose(axes), np.float32))
        others = [torch.from_numpy(np.array(array, np.float32)) for array in rest]
        layers.append(Layer.of([first, *others], stride))
    return layers


def to_keras(layers: Sequence[Layer]) -> list[npt.NDArray[np.float32]]:
    """Make arrays in Keras' order of layers: the inverse of from_keras."""
    arrays = []
    for layer in layers:
        axes = (2, 3, 0, 1) if layer.groups > 1 else (2, 3, 1, 0)
        arrays.append(np.ascontiguousarray(layer.weight.detach().numpy().transpose(axes)))
        arrays.extend(tensor.detach().numpy().copy() for tensor in layer.tensors()[1:])
    return arrays


def fold(layer: Layer) -> tuple[Tensor, Tensor]:
    """Fold batch normalisation into the convolution.

    Args:
        layer: gradients reach its weight, gamma and beta through the result.

    Returns:
        Weight and bias of a convolution that does the same.
    """
    scale = layer.gamma / (layer.variance + EPSILON).sqrt()
    return layer.weight * scale.view(-1, 1, 1, 1), layer.beta - layer.mean * scale


def turned(images: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Turn pictures by half a turn and scale them as MobileNet wants them.

    Args:
        images: uint8 (N, size, size, 3).
        dtype: of the result.

    Returns:
        (N, 3, size, size) in -1 to 1, channels last in memory.
    """
    return images.flip(1, 2).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).to(dtype)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Convolve turned feature maps.

    Args:
        x: (N, in, height, width), turned; height and width even where stride is 2.
        weight: as of a Layer, not turned.
        bias: a channel, or none.
        stride: 1 or 2.

    Returns:
        (N, out, height / stride, width / stride), turned.
    """
    groups = int(weight.shape[0]) if weight.shape[1] == 1 else 1
    if weight.shape[2] == 3:
        weight = weight.flip(2, 3)
    weight = weight.to(x.dtype).contiguous(memory_format=torch.channels_last)
    bias = None if bias is None else bias.to(x.dtype)
    if groups > 1 and stride == 2 and torch.is_grad_enabled():
        applied: Tensor = _StridedDepthwise.apply(x, weight, bias)
        return applied
    return functional.conv2d(x, weight, bias, stride, weight.shape[2] // 2, 1, groups)


def feature_map(layers: Sequence[Layer], x: Tensor, live_from: int = LAYERS, momentum: float | None = None) -> Tensor:
    """Run turned pictures through the network.

    Args:
        layers: all 27, or fewer from the image on.
        x: of turned().
        live_from: from this layer on, batch normalisation uses the batch's own statistics, as in training.
        momentum: where given, those layers' mean and variance move towards the batch's by this share.

    Returns:
        (N, channels, height, width), turned back.
    """
    for number, layer in enumerate(layers):
        if number < live_from:
            x = functional.relu6(convolve(x, *fold(layer), layer.stride), inplace=True)
        else:
            x = functional.relu6(
                _normalised(layer, convolve(x, layer.weight, None, layer.stride), momentum), inplace=True
            )
    return x.flip(2, 3)


def _normalised(layer: Layer, x: Tensor, momentum: float | None) -> Tensor:
    running = (None, None) if momentum is None else (layer.mean, layer.variance)
    return functional.batch_norm(x, *running, layer.gamma, layer.beta, True, momentum or 0.0, EPSILON)


class _StridedDepthwise(torch.autograd.Function):  # type: ignore[misc]
    """A depthwise 3x3 convolution of stride 2 whose gradient is not slow.

    Trap: oneDNN's bfloat16 input gradient of these four layers takes half of all time of the convolutions (28 to 49 ms
    for 64 pictures, against 0.2 to 4 ms for the others). The same gradient as a convolution of stride 1 over the
    output's gradient, with zeros put between, is about 20 times as fast.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, bias, 2, 1, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        channels = weight.shape[0]
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        spread = torch.zeros_like(x, memory_format=torch.channels_last)
        spread[:, :, ::2, ::2] = gradient
        of_x = functional.conv2d(spread, weight.flip(2, 3), None, 1, 1, 1, channels)
        same = ((2, 2), (1, 1), (1, 1), False, (0, 0), channels)
        _, of_weight, _ = torch.ops.aten.convolution_backward(gradient, x, weight, None, *same, (False, True, False))
        return of_x, of_weight, gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
