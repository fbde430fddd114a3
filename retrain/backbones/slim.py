"""The weights of Google's MobileNet V1 out of a frozen graph: slim's variables, Const nodes by name. No TensorFlow.

Howard et al., 2017, arXiv:1704.04861. Graphs whose batch normalisation was folded into the convolutions
(optimize_for_inference's ``..._bn_offset``, constant folding's ``Mul`` and ``Add``) are read from what follows each
convolution, as batch normalisation that only scales and shifts: the same function. Quantised graphs are refused, as
their float weights are not what they compute with.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrain import fsio
from retrain.errors import WeightsError
from retrain.graphs.checked import find_constant, parse_graph, source_name
from retrain.images import Floats

# Of batch normalisation, in slim's MobileNet and in Keras' alike.
KERAS_EPSILON = 1e-3
_FILTERS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_HEAD = "MobilenetV1/Logits/Conv2d_1c_1x1"
_STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")


@dataclass(frozen=True)
class SlimWeights:
    """The weights of a MobileNet V1.

    Args:
        arrays: float32, in the order of ``get_weights()`` of Keras' MobileNet without its top: 27 times kernel, gamma,
            beta, mean, variance.
        head_kernel: float32 (feature width, 1001), background first, or None where the graph has no such head.
        head_bias: float32 (1001,), or None.
        width: width multiplier, 0.25 to 1.0.
    """

    arrays: tuple[Floats, ...]
    head_kernel: Floats | None
    head_bias: Floats | None
    width: float


def read_slim_mobilenet(graph: bytes) -> SlimWeights:
    """Read the weights of a MobileNet V1 of any width out of a frozen graph.

    Args:
        graph: a serialised GraphDef: Google's mobilenet_v1_*_frozen.pb, or what retrain.py made of one.

    Returns:
        The weights.

    Raises:
        WeightsError: a variable is missing or of the wrong shape, or the graph is quantised; the text names it.
    """
    variables = _Variables(parse_graph(graph))
    arrays = [array for layer in layer_names() for array in _layer(variables, layer)]
    width = arrays[-1].size / _FILTERS[-1]
    _check_shapes(arrays, width)
    head = variables.find(f"{_HEAD}/weights"), variables.find(f"{_HEAD}/biases")
    if head[0] is None or head[1] is None:
        return SlimWeights(tuple(arrays), None, None, width)
    if head[0].shape[-2:] != (arrays[-1].size, head[1].size):
        raise WeightsError(f"{_HEAD}/weights is of shape {head[0].shape}, its biases of {head[1].shape}: no head")
    return SlimWeights(tuple(arrays), head[0].reshape(head[0].shape[-2:]), head[1], width)


def write_npz(target: str | Path, arrays: Sequence[Floats]) -> None:
    """Write weights as this project keeps them: float32 arrays '000', '001', ...; equal arrays give equal bytes.

    Args:
        target: the .npz file to create or replace.
        arrays: in the order of Keras' ``get_weights()``.
    """
    file = io.BytesIO()
    named: dict[str, Any] = {f"{number:03d}": array.astype(np.float32) for number, array in enumerate(arrays)}
    np.savez(file, **named)  # each entry is dated 1980, whatever the clock says: a test holds NumPy to it
    fsio.write_bytes(target, file.getvalue())


def layer_names() -> list[str]:
    """Name the 27 layers of MobileNet V1 as slim does, from the image on."""
    blocks = [f"Conv2d_{number}_{kind}" for number in range(1, 14) for kind in ("depthwise", "pointwise")]
    return ["Conv2d_0", *blocks]


class _Variables:
    """The constants of a graph, and what follows what."""

    def __init__(self, graph: Any) -> None:  # noqa: ANN401
        self.nodes = {node.name: node for node in graph.node}
        self.consumers: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            if node.op.startswith(("FakeQuant", "Quantize", "Dequantize")):
                raise WeightsError(f"the graph is quantised ({node.op}, {node.name}); take the float32 one")
            for source in node.input:
                self.consumers[source_name(source)].append(node)

    def find(self, name: str) -> Floats | None:
        """Read a constant; None where there is none of that name."""
        return find_constant(self.nodes, name)

    def get(self, name: str) -> Floats:
        """Read a float32 constant that must be there."""
        values = self.find(name)
        if values is None:
            raise WeightsError(f"the graph has no constant {name}: expected all variables of Google's MobileNet V1")
        return values


def _layer(variables: _Variables, layer: str) -> list[Floats]:
    """Read the five arrays of a layer."""
    scope = f"MobilenetV1/{layer}"
    if not any(f"{scope}/BatchNorm/{part}" in variables.nodes for part in _STATISTICS):
        return _folded_layer(variables, layer)
    kernel = variables.get(f"{scope}/{_kernel_name(layer)}")
    gamma, beta, mean, variance = (variables.get(f"{scope}/BatchNorm/{part}") for part in _STATISTICS)
    difference = _epsilon(variables, layer) - KERAS_EPSILON
    return [kernel, gamma, beta, mean, variance + np.float32(difference) if abs(difference) > 1e-9 else variance]


def _kernel_name(layer: str) -> str:
    return "depthwise_weights" if layer.endswith("depthwise") else "weights"


def _epsilon(variables: _Variables, layer: str) -> float:
    """Read what a layer adds to its variances."""
    scope = f"MobilenetV1/MobilenetV1/{layer}/BatchNorm/"
    plain = variables.find(f"{scope}batchnorm/add/y")
    if plain is not None:
        return float(plain.ravel()[0])
    fused = [n for n in _followers(variables, layer) if n.op.startswith("FusedBatchNorm") and "epsilon" in n.attr]
    return float(fused[0].attr["epsilon"].f) if fused else KERAS_EPSILON


def _folded_layer(variables: _Variables, layer: str) -> list[Floats]:
    """Read a layer without variables of batch normalisation: its convolution, and what scales and shifts it."""
    convolution = next(iter(_followers(variables, layer)), None)
    if convolution is None or len(convolution.input) < 2:
        return [variables.get(f"MobilenetV1/{layer}/{_kernel_name(layer)}")]  # names the variable that is missing
    kernel = variables.get(convolution.input[1])
    channels = kernel.shape[2] if layer.endswith("depthwise") else kernel.shape[-1]
    scale, shift = np.ones(channels, np.float64), np.zeros(channels, np.float64)
    for node in list(_followers(variables, layer))[1:]:
        if node.op == "Relu6":
            break
        constant = _other_side(variables, node, channels)
        if node.op == "Mul":
            scale, shift = scale * constant, shift * constant
        else:
            shift = shift + constant
    else:
        raise WeightsError(f"no Relu6 follows {convolution.name}: this is no MobileNet V1 that can be read")
    zeros = np.zeros(channels, np.float32)
    variance = np.full(channels, 1 - KERAS_EPSILON, np.float32)
    return [kernel, scale.astype(np.float32), shift.astype(np.float32), zeros, variance]


def _followers(variables: _Variables, layer: str) -> Iterator[Any]:
    """Yield a layer's convolution, and what follows as long as it is one node after the other."""
    scopes = (f"MobilenetV1/MobilenetV1/{layer}/", f"MobilenetV1/{layer}/")
    node = next((n for n in variables.nodes.values() if n.op in _CONVOLUTIONS and n.name.startswith(scopes)), None)
    for _ in range(8):
        if node is None:
            return
        yield node
        after = [n for n in variables.consumers[node.name] if n.op != "Identity"]
        node = after[0] if len(after) == 1 else None


def _other_side(variables: _Variables, node: Any, channels: int) -> Floats:  # noqa: ANN401
    """Read the constant that a Mul, an Add or a BiasAdd takes besides what is computed."""
    if node.op not in ("Mul", "Add", "AddV2", "BiasAdd"):
        raise WeightsError(f"{node.name} ({node.op}) stands between a convolution and its Relu6: it cannot be read")
    found = [values for source in node.input if (values := variables.find(source)) is not None]
    if len(found) != 1 or found[0].size not in (1, channels):
        raise WeightsError(f"expected {node.name} ({node.op}) to have one constant of {channels} numbers")
    return found[0].ravel()


def _check_shapes(arrays: Sequence[Floats], width: float) -> None:
    """Refuse what is not MobileNet V1 of one width throughout."""
    incoming = 3
    for number, layer in enumerate(layer_names()):
        filters = max(8, int(_FILTERS[(number + 1) // 2] * width))
        side = 1 if layer.endswith("pointwise") else 3
        if layer.endswith("depthwise"):
            filters, kernel = incoming, (side, side, incoming, 1)
        else:
            kernel = (side, side, incoming, filters)
        got = [array.shape for array in arrays[5 * number : 5 * number + 5]]
        if got != [kernel, *[(filters,)] * 4]:
            raise WeightsError(
                f"expected MobilenetV1/{layer} at width {width:g} to have shapes {kernel} and 4 times ({filters},), "
                f"got {got}"
            )
        incoming = filters
